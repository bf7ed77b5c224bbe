/* Building a batch of format 2, record by record: for rebuilding and conversion, for the
 * coordinators, for tools and tests. Thread: one owner. */
#pragma once

#include "broker/record/record.h"

struct batch_builder {
    struct buf records;
    int64_t base_offset, base_timestamp, max_timestamp;
    int32_t count;
    int32_t last_offset_delta;
};

struct batch_options {
    enum codec codec;
    int level;
    int64_t base_offset;
    int32_t leader_epoch;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    bool is_transactional, is_control;
    int64_t log_append_time_ms; /* NO_TIMESTAMP: CreateTime */
};

#define BATCH_OPTIONS_DEFAULT                                                                      \
    ((struct batch_options){.leader_epoch = NO_LEADER_EPOCH,                                       \
                            .producer_id = NO_PRODUCER_ID,                                         \
                            .producer_epoch = NO_PRODUCER_EPOCH,                                   \
                            .base_sequence = NO_SEQUENCE,                                          \
                            .log_append_time_ms = NO_TIMESTAMP})

/* Deltas are counted from base_offset and from the first record's timestamp. */
void batch_builder_init(struct batch_builder *builder, int64_t base_offset);
void batch_builder_done(struct batch_builder *builder);

/* raw_headers: as in struct record (count in front); null: none. Offsets must rise. */
void batch_builder_add(struct batch_builder *builder, int64_t offset, int64_t timestamp_ms,
                       struct slice key, struct slice value, struct slice raw_headers);

/* Append the whole batch to `out`. */
MUST_USE enum err batch_builder_finish(struct batch_builder *builder,
                                       const struct batch_options *options, struct buf *out);
