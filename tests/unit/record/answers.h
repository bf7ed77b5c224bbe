/* Cases kept in a file, each with the answer that a JVM broker's own classes gave to it.
 *
 * validate.cases, behind a count of 4 bytes, each big-endian:
 *     apiVersion 2 | origin 1 (0 client) | maxMessageBytes 4 | isLogAppendTime 1 | isCompacted 1 |
 *     beforeMax 8 | afterMax 8 | codec 1 (-1 keep) | level 4 (0 default) | nextOffset 8 |
 *     leaderEpoch 4 | now 8 | size 4 | records
 * validate.answers:
 *     error 2 | count 4 | {batchIndex 4 | size 2 | message}* | size 4 | bytes to be stored |
 *     logAppendTime 8 | maxTimestamp 8 */
#pragma once

#include "broker/record/validate.h"

struct validate_case {
    struct validate_config config;
    struct validate_input input; /* records: a copy of exactly its size, on the heap */
};

struct validate_answer {
    int16_t code;
    int32_t errors_count;
    int32_t indexes[512];
    struct slice messages[512];
    struct slice stored;
    int64_t log_append_time_ms, max_timestamp;
};

/* What is left of a file. */
struct source {
    struct buf bytes;
    size_t at;
};

void source_open(struct source *source, const char *path);
void source_close(struct source *source);
int64_t source_take(struct source *source, int size_bytes);
struct slice source_take_bytes(struct source *source, size_t size);

void validate_case_read(struct source *source, struct validate_case *ret);
void validate_case_done(struct validate_case *c);
void validate_answer_read(struct source *source, struct validate_answer *ret);
