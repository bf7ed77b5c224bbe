/* Building a batch of format 2, record by record: for rebuilding and conversion, for the
 * coordinators, for tools and tests. Records are compressed as they come, so a batch being built
 * takes the memory of its compressed bytes. Thread: one owner. */
#pragma once

#include "broker/record/compress.h"
#include "broker/record/record.h"

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
    size_t max_bytes;           /* of the whole batch; 0: as the format allows */
};

#define BATCH_OPTIONS_DEFAULT                                                                      \
    ((struct batch_options){.leader_epoch = NO_LEADER_EPOCH,                                       \
                            .producer_id = NO_PRODUCER_ID,                                         \
                            .producer_epoch = NO_PRODUCER_EPOCH,                                   \
                            .base_sequence = NO_SEQUENCE,                                          \
                            .log_append_time_ms = NO_TIMESTAMP})

struct batch_builder {
    struct batch_options options;
    struct buf *out;
    size_t start; /* of the batch in `out` */
    struct squeezer *squeezer;
    struct buf pending; /* records that the squeezer has not been given */
    int64_t base_timestamp, max_timestamp;
    int32_t count, last_offset_delta;
    enum err failure; /* told by batch_builder_finish() */
};

/* Keeps `out`, which must not change until finish. Pair with batch_builder_done(). */
void batch_builder_init(struct batch_builder *builder, const struct batch_options *options,
                        struct buf *out);
void batch_builder_done(struct batch_builder *builder);

/* raw_headers: as in struct record (count in front); null: none. Deltas are counted from the base
 * offset and from the first record's timestamp. Offsets must rise. */
void batch_builder_add(struct batch_builder *builder, int64_t offset, int64_t timestamp_ms,
                       struct slice key, struct slice value, struct slice raw_headers);

/* Append a record's headers as they should be written: every length in its shortest form, null as
 * -1. What stands in a batch from outside may have other negative lengths. */
void record_headers_put(struct buf *out, const struct record *record);

/* The batch stands at the end of `out`. Errors leave `out` as it was at init: MESSAGE_TOO_LARGE,
 * NO_MEMORY, UNKNOWN_SERVER_ERROR (no such level). */
MUST_USE enum err batch_builder_finish(struct batch_builder *builder);

/* Append the batch that ends a transaction (KIP-98), offset 0 until a leader assigns it. */
void batch_put_txn_marker(struct buf *out, int64_t producer_id, int16_t producer_epoch,
                          bool is_commit, int32_t coordinator_epoch, int64_t timestamp_ms);
