/* What a leader does with the records a client sent, as the JVM's LogValidator and
 * ProduceRequest.validateRecords do it: check batches and the records in them, assign offsets,
 * leader epoch and timestamps, and rewrite only where a setting or an old format demands it.
 *
 * In place: one batch of format 2 in the codec that is wanted. Rebuilt into a new batch: another
 * codec is wanted, or the format is 0 or 1. Half a batch behind whole ones is dropped.
 *
 * Where the JVM broker stores what no reader could read (a record in a compressed batch whose own
 * length is wrong), this one says INVALID_RECORD. Where it fails itself, it says
 * UNKNOWN_SERVER_ERROR, and so do we: bytes that do not inflate, codec 5 to 7, compressed batches
 * whose inner offsets are not 0, 1, 2…, and negative timestamps or epochs that would be rewritten.
 *
 * Memory: a window, the largest record when rebuilding, and what is written, which
 * max_message_bytes bounds, however far a batch inflates. */
#pragma once

#include "broker/base/arena.h"
#include "broker/record/record.h"

#define VALIDATE_KEEP_CODEC (-1)

struct validate_config {
    int32_t max_message_bytes;
    bool is_log_append_time;
    bool is_compacted; /* records need keys */
    int64_t before_max_ms, after_max_ms;
    int codec; /* VALIDATE_KEEP_CODEC or enum codec */
    int gzip_level, lz4_level, zstd_level;
};

struct validate_input {
    uint8_t *records; /* written in place */
    size_t size;
    bool is_client;      /* else a coordinator of ours */
    int16_t api_version; /* of Produce: what formats and codecs may come */
    int64_t next_offset;
    int32_t leader_epoch;
    int64_t now_ms;    /* wall clock */
    const char *topic; /* with the partition, for sentences; NULL: not named */
    int32_t partition;
};

struct validate_error {
    int32_t batch_index;
    char *message; /* in the arena */
};

struct validate_result {
    struct slice records;       /* to be written: in place, or in the arena */
    int64_t log_append_time_ms; /* NO_TIMESTAMP with CreateTime */
    int32_t record_count;
    struct validate_error *errors; /* of records; with INVALID_RECORD or INVALID_TIMESTAMP */
    int32_t errors_count;
};

/* What a client may send in this version of Produce, before anything else is looked at: from
 * version 3 on exactly one batch, of format 2. Errors: INVALID_RECORD,
 * UNSUPPORTED_COMPRESSION_TYPE, UNKNOWN_SERVER_ERROR (codec 5 to 7), CORRUPT_MESSAGE. Threads: any.
 */
MUST_USE enum err records_check_version(struct slice records, int16_t api_version);

/* No whole batch: ERR_OK with records of size 0. What is stored is one batch of format 2, so
 * batch_peek() on ret->records tells its offsets, timestamps and producer. On error the input may
 * be read again, as it was; ret->errors is set when single records were refused.
 *
 * Errors: CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE,
 * UNSUPPORTED_COMPRESSION_TYPE, UNKNOWN_SERVER_ERROR, NO_MEMORY. Threads: any. */
MUST_USE enum err records_validate(const struct validate_config *config,
                                   const struct validate_input *input, struct arena *arena,
                                   struct validate_result *ret);
