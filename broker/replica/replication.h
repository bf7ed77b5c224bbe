/* What replication does to a partition: a follower appends and truncates as its leader says, a
 * leader watches its followers and asks the controller to change the ISR.
 *
 * ISR (KIP-497): what the controller has confirmed is *committed*; a change that is under way makes
 * a *maximal* ISR, the union of before and after, and the high watermark waits for all of it. One
 * change a partition is under way at a time.
 *
 * Threads: any; each function takes the partition's lock. */
#pragma once

#include "broker/base/arena.h"
#include "broker/replica/live_brokers.h"
#include "broker/replica/partition.h"

#define REPLICA_LAG_DEFAULT_MS 30000

/* What partitions of one broker share; outlives them. */
struct partition_host {
    const struct live_brokers *live_brokers; /* NULL: all are alive */
    _Atomic int64_t replica_lag_max_ms;      /* replica.lag.time.max.ms */
    /* Our own disk stood still until then (monotonic): who could not fetch from us is not behind.
     */
    _Atomic int64_t disk_stood_until_ms;
    /* How often our leaders were handed over to others in sync; what was led before is not ours to
     * acknowledge any more, until the controller has confirmed it, and not while that goes on. */
    _Atomic uint32_t hand_overs;
    _Atomic bool is_handing_over;
    /* A partition that we lead has fewer than min.insync.replicas in sync, or has no longer: its
     * note (partition_complete.h) is to be looked at. Called with its lock held: must only post.
     * NULL: nobody keeps notes. */
    void (*isr_thinned)(void *context, struct partition *partition);
    void *context;
    struct held_watermarks *held_watermarks; /* NULL: nobody remembers them */
};

/* Before the first role. Without it every broker counts as alive. */
void partition_set_host(struct partition *partition, const struct partition_host *host);

/* --- a follower --- */

struct follower_position {
    int64_t fetch_offset; /* the log end */
    int64_t log_start_offset;
    int32_t last_fetched_epoch; /* of the last record, NO_LEADER_EPOCH if none */
};

/* Where a follower of this leader epoch goes on. FENCED_LEADER_EPOCH: role or epoch is another
 * now, here and below. */
MUST_USE enum err partition_follower_position(struct partition *partition, int32_t leader_epoch,
                                              struct follower_position *ret);

/* What a leader's answer holds for one partition. */
struct leader_data {
    int64_t fetch_offset;   /* that was asked for; must be the log end still */
    struct slice records;   /* borrowed; half a batch at the end is left out */
    int64_t high_watermark; /* the leader's */
    int64_t log_start_offset;
};

/* Append it, then follow the leader's high watermark and log start. ret_flush: flush.messages asks
 * for a flush before more is fetched (the next fetch says that we have it). Errors:
 * FENCED_LEADER_EPOCH, OFFSET_OUT_OF_RANGE (the log end has moved, or the records do not follow
 * it), CORRUPT_MESSAGE, IO, NO_SPACE. */
MUST_USE enum err partition_append_follower(struct partition *partition, int32_t leader_epoch,
                                            const struct leader_data *data, bool *ret_flush);

/* The leader's largest epoch up to ours is `epoch` and ended at `end_offset` (KIP-279; -1: it does
 * not know). Cuts what we have beyond. ret_is_done: false, where another round must be asked. */
MUST_USE enum err partition_truncate_to_epoch(struct partition *partition, int32_t leader_epoch,
                                              int32_t epoch, int64_t end_offset, bool *ret_is_done);
/* Cut to an offset (at most the log end); or begin anew, empty, at one. */
MUST_USE enum err partition_truncate(struct partition *partition, int32_t leader_epoch,
                                     int64_t offset);
MUST_USE enum err partition_restart_at(struct partition *partition, int32_t leader_epoch,
                                       int64_t offset);

/* --- a leader and its followers --- */

/* When a follower's session fetched last: shared by the session and by every partition of it that
 * rests there (see partition_rest.c). */
struct follower_beat;
struct follower_beat *follower_beat_new(int64_t now_ms);
void follower_beat_unref(struct follower_beat *beat);
/* Another fetch of the session. Threads: the one that serves it. */
void follower_beat_fetched(struct follower_beat *beat, int64_t now_ms);

/* A follower that fetched from `fetch_offset` has everything, and its next fetches need not say so
 * again: each of them counts as one of this partition, by the beat (NULL: nothing does). False:
 * something is still to come of its fetches (records, a watermark that is behind, its place in the
 * ISR), so that the partition must be looked at each time. Ended by any movement, which watchers
 * are told of. */
MUST_USE bool partition_follower_rests(struct partition *partition, int32_t leader_epoch,
                                       int32_t replica_id, int64_t fetch_offset,
                                       struct follower_beat *beat);
/* The session goes on without this partition. */
void partition_follower_leaves(struct partition *partition, const struct follower_beat *beat);

/* --- a leader and its ISR --- */

/* A wish of the leader, on its way to the controller. */
struct isr_change {
    struct list_node node;       /* the sender's */
    struct partition *partition; /* a reference */
    struct uuid topic_id;
    int32_t leader_epoch, partition_epoch;
    int8_t recovery_state;
    int32_t *isr;
    int32_t isr_count;
    int32_t attempts; /* answers after which it was to be sent again */
};
void isr_change_free(struct isr_change *change);

/* The ISR with this replica, if it has caught up and may join, and no change is under way; else
 * NULL. The change is under way from then on. */
struct isr_change *partition_expand_isr(struct partition *partition, int32_t replica_id);
/* The ISR without those that lag; NULL if none does. Sets the high watermark free of replicas out
 * of the ISR that lag by now. */
struct isr_change *partition_shrink_isr(struct partition *partition);

/* Whether an answer to it would still count. False once a LeaderAndIsr has come in between: it must
 * not be sent, as it might stand in the way of the next wish. */
bool partition_isr_wants(struct partition *partition, const struct isr_change *change);

/* What the controller made of it. */
struct isr_answer {
    enum err error;
    int32_t leader, leader_epoch, partition_epoch;
    int8_t recovery_state;
    const int32_t *isr;
    int32_t isr_count;
};
/* True: the same change is to be sent again. False: it is settled (confirmed, dropped, or left to
 * the next LeaderAndIsr). */
MUST_USE bool partition_isr_answered(struct partition *partition, struct isr_change *change,
                                     const struct isr_answer *answer);

/* Other replicas of a partition that we lead which are in sync and have what begins at an offset:
 * a consumer may be sent there (KIP-392). In the arena; none where we do not lead. */
struct read_candidate {
    int32_t broker_id;
    int64_t end_offset, caught_up_ms;
};
int32_t partition_read_candidates(struct partition *partition, int64_t fetch_offset,
                                  struct arena *arena, struct read_candidate **ret);

struct isr_view {
    bool is_leader;
    int32_t leader_epoch, partition_epoch;
    int32_t committed_count, maximal_count, replicas_count, min_isr;
};
struct isr_view partition_isr_view(struct partition *partition);
