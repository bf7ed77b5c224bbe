/* What a leader does with the records a client sent, as the JVM's LogValidator and
 * ProduceRequest.validateRecords do it: check batches and the records in them, assign offsets,
 * leader epoch and timestamps, and rewrite only where a setting or an old format demands it.
 *
 * In place: one batch of format 2 in the codec that is wanted. Rebuilt into a new batch: another
 * codec is wanted, the inner offsets of a compressed batch have gaps, or the format is 0 or 1. */
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
    int64_t now_ms; /* wall clock */
};

struct validate_error {
    int32_t batch_index;
    char *message; /* in the arena */
};

struct validate_result {
    struct slice records;       /* to be written: in place, or in the arena */
    int64_t log_append_time_ms; /* NO_TIMESTAMP with CreateTime */
    int32_t record_count;
    struct validate_error *errors; /* of records; ERR_INVALID_RECORD or ERR_INVALID_TIMESTAMP */
    int32_t errors_count;
};

/* Errors: CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE,
 * UNSUPPORTED_COMPRESSION_TYPE, UNKNOWN_SERVER_ERROR (codec 5 to 7, or what does not inflate),
 * NO_MEMORY. Threads: any. */
MUST_USE enum err records_validate(const struct validate_config *config,
                                   const struct validate_input *input, struct arena *arena,
                                   struct validate_result *ret);
