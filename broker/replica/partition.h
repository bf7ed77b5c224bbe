/* A partition as this broker holds it: its role, its log, who else replicates it, how far all of
 * them are, and who waits for it to move on.
 *
 *      NONE --> LEADER <--> FOLLOWER       by LeaderAndIsr, each time with a higher leader epoch
 *        \________|____________|--> OFFLINE  the log directory failed; left only by a restart
 *
 * High watermark (KIP-101 and before): the offset below which every in-sync replica has everything.
 * It never goes back on a leader. With one replica it follows the log end at once.
 *
 * Threads: any. The partition's lock (RANK_PARTITION) guards its state and serialises appends; the
 * high watermark is an atomic. Waiting requests are told by request_post-like callbacks, outside
 * the lock's work. */
#pragma once

#include <stdatomic.h>

#include "broker/base/list.h"
#include "broker/base/thread.h"
#include "broker/log/log.h"

enum role { ROLE_NONE, ROLE_LEADER, ROLE_FOLLOWER, ROLE_OFFLINE };
enum acks { ACKS_ALL = -1, ACKS_NONE = 0, ACKS_LEADER = 1 };

#define NO_BROKER            (-1)
#define UNKNOWN_BROKER_EPOCH (-1)
#define CONSUMER_REPLICA_ID  (-1)
#define DEBUGGING_REPLICA_ID (-2)

struct partition;

/* Someone who waits for a partition to reach an offset: embedded in the waiter, one for each
 * partition it waits on. `moved` is called with the partition's lock held: it must only note and
 * post. */
struct partition_waiter {
    struct list_node node;
    void (*moved)(struct partition_waiter *waiter);
    int64_t offset; /* of the high watermark (produce) or the low one (DeleteRecords) */
};

/* What has changed for those who read. */
enum movement {
    MOVED_END,       /* the log end: followers may read more */
    MOVED_WATERMARK, /* the high watermark: consumers may read more, and all are told of it */
    MOVED_START,     /* the log start: there is nothing to read, but all are told of it */
    MOVED_ISR,       /* who is in sync: one that is not may ask to join once more */
    MOVED_ROLE,      /* the role, the epoch, the topic id, or the log was cut: any may be refused */
};

/* Someone who wants to know of every movement: embedded in the watcher, one for each partition.
 * `moved` is called with the partition's lock held: it must only note and post. */
struct partition_watcher {
    struct list_node node;
    void (*moved)(struct partition_watcher *watcher, enum movement movement);
};

/* What LeaderAndIsr says of a partition. Arrays are borrowed. */
struct partition_assignment {
    struct uuid topic_id;
    int32_t controller_epoch, leader, leader_epoch, partition_epoch;
    const int32_t *isr, *replicas, *adding, *removing;
    int32_t isr_count, replicas_count, adding_count, removing_count;
    int8_t recovery_state;
    bool is_new;
};

/* A new object with one reference, without a role or a log. */
struct partition *partition_new(const char *topic, int32_t id, struct uuid topic_id,
                                int32_t broker_id, struct clock *clock);
void partition_ref(struct partition *partition);
void partition_unref(struct partition *partition);

/* --- fixed from birth, or read without the lock --- */
const char *partition_topic(const struct partition *partition);
int32_t partition_id(const struct partition *partition);
struct uuid partition_topic_id(struct partition *partition);
int64_t partition_high_watermark(const struct partition *partition);
enum role partition_role(struct partition *partition);
int32_t partition_leader_epoch(struct partition *partition);
int32_t partition_leader_id(struct partition *partition);
struct log *partition_log(struct partition *partition); /* NULL until it has had a role */

/* --- roles: the replica manager's thread --- */

/* Lead with this log, whose high watermark was `high_watermark` at the last checkpoint (0 if none).
 * Errors: those of writing the epoch checkpoint; the role is then unchanged. */
MUST_USE enum err partition_lead(struct partition *partition,
                                 const struct partition_assignment *assignment, struct log *log,
                                 int64_t high_watermark, int32_t min_insync_replicas);
/* Follow: requests that wait are answered NOT_LEADER_OR_FOLLOWER. */
void partition_follow(struct partition *partition, const struct partition_assignment *assignment,
                      struct log *log, int64_t high_watermark);
/* StopReplica without deletion: a follower fetches no more until it is told a role, be it the one
 * that it has. */
void partition_stop(struct partition *partition);
bool partition_is_stopped(struct partition *partition);
/* No role any more (StopReplica), or the directory failed (offline): all who wait are told. */
void partition_retire(struct partition *partition, bool is_offline);
void partition_set_topic_id(struct partition *partition, struct uuid topic_id);
void partition_set_min_insync_replicas(struct partition *partition, int32_t count);

/* The decision of LeaderAndIsr's epoch rules (zookeeper-and-controller §6.2): ERR_OK accepted;
 * STALE_CONTROLLER_EPOCH, UNKNOWN_TOPIC_OR_PARTITION, INCONSISTENT_TOPIC_ID, KAFKA_STORAGE_ERROR.
 * ret_id_only: accepted, but only the topic id is news. */
MUST_USE enum err partition_judge_assignment(struct partition *partition,
                                             const struct partition_assignment *assignment,
                                             bool *ret_id_only);

/* --- the leader's work --- */

/* Append what a client sent; see log_append_leader for `records`, `result` and errors of the
 * batches. continues_txn: the first batch is transactional, and nobody has verified that it may
 * begin a transaction here (KIP-890). ret_required_offset: what the high watermark must reach
 * before acks=all may be answered. Errors besides: NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR
 * (offline), NOT_ENOUGH_REPLICAS (acks=all only), INVALID_TXN_STATE (no transaction to continue).
 */
MUST_USE enum err partition_append(struct partition *partition, uint8_t *records, size_t size,
                                   int16_t acks, enum append_origin origin, bool continues_txn,
                                   int16_t api_version, struct arena *arena,
                                   struct append_result *result, int64_t *ret_required_offset);

/* After log_flush() of what append said needs it: what is on stable storage now counts as
 * committed. */
void partition_flushed(struct partition *partition);

/* How acks=all stands for records below required_offset: ERR_AGAIN (wait), ERR_OK,
 * NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. */
enum err partition_ack_state(struct partition *partition, int64_t required_offset);

enum isolation { READ_UNCOMMITTED = 0, READ_COMMITTED = 1 };

struct partition_read {
    int64_t fetch_offset;
    int32_t max_bytes;
    int32_t current_leader_epoch; /* -1: not checked */
    int32_t last_fetched_epoch;   /* -1: not checked (KIP-595) */
    int32_t replica_id;           /* CONSUMER_REPLICA_ID, or a follower's */
    enum isolation isolation;
    bool at_least_one; /* the first batch whole, even beyond max_bytes */
    bool may_follow;   /* a follower may serve it (KIP-392: consumer, Fetch 11 and above) */
    bool may_block;
};

struct partition_read_result {
    int64_t high_watermark, last_stable_offset, log_start_offset; /* -1 on error */
    int64_t
        limit_offset; /* before which was read: for a follower, the log end before the reading */
    int32_t leader_epoch; /* at which the reader was let in */
    struct log_slice slice;
    struct aborted_txn *aborted; /* read_committed */
    int32_t aborted_count;
    bool is_diverging;
    int32_t diverging_epoch;
    int64_t diverging_end_offset;
};

/* Read for a consumer or a follower. Errors in the order of storage-and-replication §12.2;
 * ERR_AGAIN: it would block, come back on a worker with may_block. */
MUST_USE enum err partition_read(struct partition *partition, const struct partition_read *read,
                                 struct arena *arena, struct partition_read_result *ret);

/* What an answer may end at for this reader. */
int64_t partition_read_limit(struct partition *partition, int32_t replica_id,
                             enum isolation isolation);

/* Check leadership and epoch for requests that are not fetches. Errors: NOT_LEADER_OR_FOLLOWER,
 * FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, KAFKA_STORAGE_ERROR. */
MUST_USE enum err partition_check(struct partition *partition, int32_t current_leader_epoch,
                                  bool must_lead, struct log **ret_log);

/* ListOffsets of "latest" for a consumer after an election: ERR_OFFSET_NOT_AVAILABLE until the high
 * watermark has reached the start of the leader's epoch (KIP-207). */
enum err partition_latest_is_known(struct partition *partition);

/* DeleteRecords: raise the log start to `offset` (-1: the high watermark). ret_offset: what that
 * is; ret_low_watermark: where the log starts at the slowest live replica, -1 while one is not
 * known. POLICY_VIOLATION is the caller's to find; OFFSET_OUT_OF_RANGE, NOT_LEADER_OR_FOLLOWER,
 * KAFKA_STORAGE_ERROR. */
MUST_USE enum err partition_delete_records(struct partition *partition, int64_t offset,
                                           int64_t *ret_offset, int64_t *ret_low_watermark);
/* How that stands: ERR_AGAIN until the low watermark has reached the offset; ERR_OK;
 * NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. */
MUST_USE enum err partition_deleted_state(struct partition *partition, int64_t offset,
                                          int64_t *ret_low_watermark);

/* Follower state (part of a fetch by replica_id): remember how far it is; moves the high watermark.
 * leader_epoch: the one in which partition_read() found the offset to be ours too. Errors:
 * NOT_LEADER_OR_FOLLOWER; FENCED_LEADER_EPOCH, it has gone by; UNKNOWN_LEADER_EPOCH, no replica. */
enum err partition_follower_fetched(struct partition *partition, int32_t leader_epoch,
                                    int32_t replica_id, int64_t fetch_offset,
                                    int64_t leader_end_offset, int64_t log_start_offset);
/* The same of a follower that tells its broker's epoch (UNKNOWN_BROKER_EPOCH: it does not). */
enum err partition_follower_fetched_in(struct partition *partition, int32_t leader_epoch,
                                       int32_t replica_id, int64_t broker_epoch,
                                       int64_t fetch_offset, int64_t leader_end_offset,
                                       int64_t log_start_offset);

/* --- watching and waiting --- */
/* Told of each movement until partition_unwatch(), after which no call is under way. The watcher
 * holds a reference. */
void partition_watch(struct partition *partition, struct partition_watcher *watcher);
void partition_unwatch(struct partition *partition, struct partition_watcher *watcher);
/* The log start was raised by retention, which knows of no partitions. */
void partition_log_start_moved(struct partition *partition);
/* Produce: told when the high watermark reaches waiter->offset or leadership is lost; false if that
 * is already so (not added). */
bool partition_wait_ack(struct partition *partition, struct partition_waiter *waiter);
/* DeleteRecords: told when the low watermark reaches waiter->offset or leadership is lost; false if
 * that is already so (not added). */
bool partition_wait_deleted(struct partition *partition, struct partition_waiter *waiter);
void partition_stop_waiting(struct partition *partition, struct partition_waiter *waiter);
