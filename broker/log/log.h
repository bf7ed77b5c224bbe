/* One partition's log: an ordered list of segments, the leader epochs, the producers' state, and
 * the three offsets that bound it: log start, recovery point, log end. High watermark and last
 * stable offset belong to the replica layer, which tells the log its high watermark so that the log
 * can answer what is stable.
 *
 * Threads: functions marked (lock) are called with the log's own lock free; they take it. The
 * caller (a partition) serialises appends and truncations by its lock, RANK_PARTITION. Offsets are
 * atomics, and reads pin an immutable, counted segment list, so readers wait for nobody. Files are
 * opened on first use through the bounded cache of broker/log/file_cache.h.
 *
 * Errors of the disk: ERR_IO (the log directory has failed; the manager is told through its
 * callback) and ERR_NO_SPACE (the torn tail was cut, the log goes on; try again). Both are
 * KAFKA_STORAGE_ERROR on the wire. */
#pragma once

#include "broker/base/clock.h"
#include "broker/base/err.h"
#include "broker/base/slice.h"
#include "broker/base/uuid.h"
#include "broker/record/batch.h"

enum cleanup_policy { CLEANUP_DELETE = 1, CLEANUP_COMPACT = 2 };
enum timestamp_type { TIMESTAMP_CREATE, TIMESTAMP_LOG_APPEND };
#define COMPRESSION_PRODUCER (-1) /* keep what the producer chose; else an enum codec */

/* The settings of one topic's logs, after defaults. Times in ms, -1 without limit where Kafka
 * allows it. */
struct log_config {
    int32_t segment_bytes, index_bytes, index_interval_bytes, max_message_bytes;
    int64_t segment_ms, segment_jitter_ms;
    int64_t retention_bytes, retention_ms;
    int64_t flush_messages, flush_ms;
    int64_t file_delete_delay_ms;
    int64_t timestamp_before_max_ms, timestamp_after_max_ms;
    int64_t delete_retention_ms, min_compaction_lag_ms, max_compaction_lag_ms;
    double min_cleanable_dirty_ratio;
    int cleanup_policy; /* enum cleanup_policy, both possible */
    enum timestamp_type timestamp_type;
    int compression; /* COMPRESSION_PRODUCER or enum codec */
    int gzip_level, lz4_level, zstd_level;
    bool preallocate;
};

struct log;
struct log_dir;

/* --- what is read anywhere, without a lock --- */
const char *log_topic(const struct log *log);
int32_t log_partition(const struct log *log);
const struct log_dir *log_dir_of(const struct log *log);
int64_t log_start_offset(const struct log *log);
int64_t log_end_offset(const struct log *log);
int64_t log_size_bytes(const struct log *log);
int64_t log_recovery_point(const struct log *log); /* everything below is on stable storage */
/* The first offset of an open transaction that is below the high watermark `hw`, or hw: KIP-98's
 * LSO. */
int64_t log_last_stable_offset(struct log *log, int64_t high_watermark);
/* The newest leader epoch in the epoch cache, NO_LEADER_EPOCH if none. */
int32_t log_latest_epoch(struct log *log);
struct uuid log_topic_id(struct log *log); /* from partition.metadata; zero if none */

/* --- writing (lock; one writer at a time) --- */
enum append_origin { APPEND_CLIENT, APPEND_COORDINATOR, APPEND_REPLICA };

struct record_error {
    int32_t batch_index;
    const char *message; /* in the arena */
};

struct append_result {
    int64_t base_offset,
        last_offset;            /* of what was appended, or of the first copy when is_duplicate */
    int64_t log_append_time_ms; /* NO_TIMESTAMP with CreateTime */
    int64_t log_start_offset;
    int32_t record_count;
    bool is_duplicate; /* an idempotent retry: nothing was written */
    bool needs_flush;  /* flush.messages reached: log_flush() before it may be acknowledged */
    struct record_error *record_errors; /* ERR_INVALID_RECORD, ERR_INVALID_TIMESTAMP: KIP-467 */
    int32_t record_errors_count;
};

/* Check, stamp and append what a client sent for this partition as leader
 * (storage-and-replication.md §3). `records` is written in place: base offset, leader epoch,
 * timestamps. `api_version` is that of Produce, which decides what formats are allowed. Borrows. On
 * error nothing was appended. Errors: CORRUPT_MESSAGE, INVALID_RECORD, MESSAGE_TOO_LARGE,
 * RECORD_LIST_TOO_LARGE, INVALID_TIMESTAMP, UNSUPPORTED_COMPRESSION_TYPE,
 * UNSUPPORTED_FOR_MESSAGE_FORMAT, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH,
 * DUPLICATE_SEQUENCE_NUMBER, UNKNOWN_SERVER_ERROR (codec 5 to 7), IO, NO_SPACE. */
struct arena;
MUST_USE enum err log_append_leader(struct log *log, uint8_t *records, size_t size,
                                    int32_t leader_epoch, enum append_origin origin,
                                    int16_t api_version, struct arena *arena,
                                    struct append_result *ret);

/* Append what a leader sent, offsets and epochs as they are; no limit of this broker refuses it: a
 * batch larger than a segment has one of its own. Half a batch at the end is left out. Errors:
 * CORRUPT_MESSAGE, or OFFSET_OUT_OF_RANGE when an offset is below the log end, and nothing was
 * appended; IO and NO_SPACE, and whole batches may have been: the log end says which. */
MUST_USE enum err log_append_follower(struct log *log, const uint8_t *records, size_t size,
                                      struct append_result *ret);

/* A new leader epoch begins at the log end (becoming leader); written through to
 * leader-epoch-checkpoint. */
MUST_USE enum err log_assign_epoch(struct log *log, int32_t leader_epoch, int64_t start_offset);

/* Cut everything at and above `offset`, and epochs that began there, also where nothing else is
 * cut; or begin anew, empty, at `offset`. */
MUST_USE enum err log_truncate(struct log *log, int64_t offset);
MUST_USE enum err log_truncate_fully(struct log *log, int64_t offset);

/* Raise the log start; at most the high watermark (OFFSET_OUT_OF_RANGE). Segments below go with the
 * next retention pass. */
MUST_USE enum err log_raise_start(struct log *log, int64_t offset, int64_t high_watermark);

/* The high watermark moved: retention and transaction state may follow. Cheap. */
void log_set_high_watermark(struct log *log, int64_t high_watermark);

/* fsync everything up to the log end at the time of the call, by group commit: callers that arrive
 * while a sync runs share the next one. Blocks; threads: log workers only. */
MUST_USE enum err log_flush(struct log *log);
/* The same, for what lies below `offset`: nothing is done where another sync has covered it. */
MUST_USE enum err log_flush_to(struct log *log, int64_t offset);

/* One who waits for a sync without a thread of its own: embedded by the caller, who keeps it until
 * `done`. */
struct log_flush_waiter {
    int64_t offset; /* what lies below is to be on stable storage */
    void (*done)(struct log_flush_waiter *waiter, enum err e);
    struct log_flush_waiter *next; /* the log's */
};
/* log_flush_to() that does not block: `done` is called once; before the return where a sync has
 * covered the offset already or none ever will, else by the thread that syncs, without a lock. */
void log_flush_begin(struct log *log, struct log_flush_waiter *waiter);

void log_set_config(struct log *log, const struct log_config *config);
MUST_USE enum err
log_set_topic_id(struct log *log,
                 struct uuid id); /* writes partition.metadata; INCONSISTENT_TOPIC_ID */

/* --- reading (any thread) --- */

/* A counted file that stays open while someone holds a reference (sendfile of a slice that is on
 * its way). */
struct log_file;
int log_file_fd(const struct log_file *file);
void log_file_ref(struct log_file *file);
void log_file_unref(struct log_file *file);

struct log_slice {
    struct log_file
        *file; /* a reference that the holder gives back with log_file_unref; NULL when empty */
    int64_t position; /* byte in the file */
    int32_t
        size_bytes; /* whole batches, except where max_bytes cut the last (clients expect that) */
    int64_t first_offset; /* base offset of the first batch */
    int64_t segment_base_offset;
    int8_t first_magic;
};

struct aborted_txn {
    int64_t producer_id, first_offset;
};

/* Find the batches from the one that holds `offset` on, below `upper_offset` (high watermark, last
 * stable offset, or log end), at most max_bytes; with `at_least_one` the first batch whole even if
 * it is larger. Does not read record bytes, only indexes and batch heads. may_block false:
 * ERR_AGAIN where a disk read would be needed that is not in memory: come back on a worker. Errors:
 * OFFSET_OUT_OF_RANGE below the log start or above the log end; IO. */
MUST_USE enum err log_read(struct log *log, int64_t offset, int64_t upper_offset, int32_t max_bytes,
                           bool at_least_one, bool may_block, struct log_slice *ret);

/* The aborted transactions that overlap [offset, upper_offset), ascending by first offset, in the
 * arena. From memory: never waits for the disk. */
MUST_USE enum err log_aborted_txns(struct log *log, int64_t offset, int64_t upper_offset,
                                   struct arena *arena, struct aborted_txn **ret_txns,
                                   int32_t *ret_count);

/* An offset at or above which nothing of the slice lies, as near as the offset index knows (Kafka's
 * fetchUpperBoundOffset): a reader of committed records needs to hear of what was aborted below it
 * alone. ERR_AGAIN as of log_read(). */
MUST_USE enum err log_slice_bound(struct log *log, const struct log_slice *slice, bool may_block,
                                  int64_t *ret_offset);

struct timestamp_offset {
    int64_t timestamp_ms, offset; /* -1 both: none */
    int32_t leader_epoch;
};
/* ListOffsets: the first record with timestamp >= timestamp_ms; or (-3) the one with the greatest.
 * May block: worker only. */
MUST_USE enum err log_offset_for_timestamp(struct log *log, int64_t timestamp_ms,
                                           struct timestamp_offset *ret);
MUST_USE enum err log_offset_of_max_timestamp(struct log *log, struct timestamp_offset *ret);
/* ListOffsets 0: base offsets of segments older than the timestamp, newest first. */
MUST_USE enum err log_legacy_offsets_before(struct log *log, int64_t timestamp_ms,
                                            int32_t max_count, int64_t *ret_offsets,
                                            int32_t *ret_count);
int32_t log_epoch_for_offset(struct log *log, int64_t offset); /* NO_LEADER_EPOCH if unknown */
/* OffsetForLeaderEpoch (KIP-101, KIP-279): the largest epoch <= leader_epoch that the log knows,
 * and where it ended. */
void log_epoch_end(struct log *log, int32_t leader_epoch, int32_t *ret_epoch,
                   int64_t *ret_end_offset);

/* Whether the producer has a transaction open here (its marker has not come yet). */
bool log_has_open_txn(struct log *log, int64_t producer_id);

/* DescribeProducers. In the arena. */
struct producer_view {
    int64_t producer_id, last_timestamp_ms, txn_start_offset;
    int32_t producer_epoch, last_sequence, coordinator_epoch;
};
void log_producers(struct log *log, struct arena *arena, struct producer_view **ret,
                   int32_t *ret_count);
