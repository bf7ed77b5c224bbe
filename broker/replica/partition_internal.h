/* The struct of a partition, for the files of broker/replica that share it. */
#pragma once

#include "broker/replica/replication.h"

/* Another replica, as the leader sees it. */
struct remote_replica {
    int32_t broker_id;
    int64_t end_offset; /* what it asked for last; -1: not known since we lead */
    int64_t start_offset;
    int64_t caught_up_ms; /* when it last had everything, monotonic */
    int64_t last_fetch_ms, last_fetch_leader_end;
    int64_t broker_epoch;       /* that it gave when it asked last; -1: none */
    struct follower_beat *beat; /* a reference while it rests: see partition_rest.c */
    /* The controller would not have it in the ISR so many times, one after the other; it is not
     * asked again before that (monotonic). */
    int32_t refusals;
    int64_t may_join_at_ms;
};

struct partition {
    char *topic; /* fixed from birth: anyone may read */
    int32_t id, broker_id;
    struct clock *clock;
    const struct partition_host *host; /* NULL: partition_set_host() was not called */
    _Atomic int references;

    struct lock lock; /* RANK_PARTITION; guards down to the blank line */
    enum role role;
    struct uuid topic_id;
    struct log *log;
    int32_t leader_id, leader_epoch, partition_epoch, controller_epoch;
    int64_t epoch_start_offset;    /* the log end when this leader epoch began */
    uint32_t led_after_hand_overs; /* host->hand_overs when the controller last said so */
    int64_t led_since_offset;      /* the log end when we became leader from something else */
    int32_t min_insync_replicas;
    int32_t *isr, *replicas;
    int32_t isr_count, replicas_count;
    int8_t recovery_state;
    bool is_stopped;                /* of a follower: by StopReplica, until it takes a role again */
    bool is_isr_pending;            /* a change is on its way to the controller */
    int32_t joining_id;             /* whom that change would add, or NO_BROKER */
    struct remote_replica *remotes; /* of replicas[] without ourselves */
    int32_t remotes_count;
    int32_t noted_epoch; /* partition epoch of the note that may stand in ZooKeeper, or NO_NOTE */
    int32_t noted_count; /* replicas that it names */
    bool flush_gates_commit; /* flush.messages asks for it: nothing unsynced counts as committed */
    struct list_node watchers, ack_waiters, delete_waiters;
    struct list_node held; /* among the host's held watermarks, guarded by their lock */

    _Atomic int64_t high_watermark; /* written under the lock (release), read by all (acquire) */
};

/* Is an id among those of an ISR or an assignment? */
bool ids_contain(const int32_t *ids, int32_t count, int32_t id);
struct remote_replica *partition_remote(struct partition *partition, int32_t broker_id);

/* Under the lock: move the high watermark as far as the replicas allow, and tell who waits. */
void partition_advance_high_watermark(struct partition *partition);
/* The same without the lock, where nothing has happened but time. */
void partition_look_at_watermark(struct partition *partition);
void partition_tell_readers(struct partition *partition, enum movement movement);
void partition_tell_everyone(struct partition *partition);
/* Those whose deletion has reached every live replica, or will not here. */
void partition_tell_deleters(struct partition *partition);
bool partition_is_alive(const struct partition *partition, int32_t id);
/* Something is another than when the controller refused it: it may be asked at once. */
void remote_forget_refusals(struct remote_replica *remote);
/* The controller says that we lead in this leader epoch. */
void partition_confirm_leading(struct partition *partition);
/* We were relieved, and others in sync may lead by now: nothing more is acknowledged. */
bool partition_is_handed_over(const struct partition *partition);
int32_t partition_effective_min_isr(const struct partition *partition);
bool partition_is_in_maximal_isr(const struct partition *partition, int32_t id);
int32_t partition_maximal_isr_count(const struct partition *partition);
/* The high watermark may not pass this replica: it is in the maximal ISR, or has caught up and is
 * about to join. */
bool partition_waits_for(const struct partition *partition, const struct remote_replica *remote,
                         int64_t now_ms);

/* When it will have lagged too long for that, if it does not fetch. */
int64_t partition_waits_until(const struct partition *partition,
                              const struct remote_replica *remote);

/* --- partition_rest.c; under the lock --- */
/* The log end is about to be another than the one they have reached: what their sessions said of
 * them until now is written down. */
void partition_end_rests(struct partition *partition);
void remote_end_rest(struct remote_replica *remote);
int64_t remote_caught_up_ms(const struct remote_replica *remote);
