/* Records are written into a small buffer, which flows through the squeezer whenever it is full;
 * finishing fills in the head. */
#include "broker/record/build.h"

#include "broker/base/varint.h"

#define PENDING_BYTES   (64 << 10)
#define BATCH_MAX_BYTES (INT32_MAX - BATCH_PREFIX_SIZE) /* what the length field can say */

void batch_builder_init(struct batch_builder *builder, const struct batch_options *options,
                        struct buf *out)
{
    *builder = (struct batch_builder){.options = *options,
                                      .out = out,
                                      .start = out->size,
                                      .base_timestamp = NO_TIMESTAMP,
                                      .max_timestamp = NO_TIMESTAMP,
                                      .last_offset_delta = -1};
    if (builder->options.max_bytes == 0)
        builder->options.max_bytes = BATCH_MAX_BYTES;
    buf_extend(out, BATCH_HEADER_SIZE);
    builder->failure = squeezer_open(options->codec, options->level, 2, out, &builder->squeezer);
}

void batch_builder_done(struct batch_builder *builder)
{
    squeezer_free(builder->squeezer);
    buf_done(&builder->pending);
    *builder = (struct batch_builder){0};
}

static void check_size(struct batch_builder *builder)
{
    size_t size = builder->out->size - builder->start;
    if (!builder->failure && size > builder->options.max_bytes)
        builder->failure =
            err_note(ERR_MESSAGE_TOO_LARGE, "the batch is larger than %zu bytes when rebuilt",
                     builder->options.max_bytes);
}

static void flush_pending(struct batch_builder *builder)
{
    if (!builder->failure)
        builder->failure = squeezer_put(builder->squeezer, buf_slice(&builder->pending));
    builder->pending.size = 0;
    check_size(builder);
}

static void put_varint(struct buf *out, int32_t value)
{
    buf_reserve(out, VARINT_MAX_BYTES);
    out->size += varint_put(out->data + out->size, value);
}

static void put_varlong(struct buf *out, int64_t value)
{
    buf_reserve(out, VARLONG_MAX_BYTES);
    out->size += varlong_put(out->data + out->size, value);
}

static size_t bytes_size(struct slice s)
{
    return s.data ? varint_size((int32_t)s.size) + s.size : varint_size(-1);
}

/* Long bytes go to the squeezer directly: a record may be as large as a batch. */
static void put_raw(struct batch_builder *builder, struct slice s)
{
    if (builder->pending.size + s.size > PENDING_BYTES)
        flush_pending(builder);
    if (s.size <= PENDING_BYTES) {
        buf_put_slice(&builder->pending, s);
        return;
    }
    if (!builder->failure)
        builder->failure = squeezer_put(builder->squeezer, s);
    check_size(builder);
}

static void put_bytes(struct batch_builder *builder, struct slice s)
{
    put_varint(&builder->pending, s.data ? (int32_t)s.size : -1);
    put_raw(builder, s);
}

static void put_record(struct batch_builder *builder, int64_t timestamp_delta, int32_t offset_delta,
                       struct slice key, struct slice value, struct slice headers)
{
    size_t size = 1 + varlong_size(timestamp_delta) + varint_size(offset_delta) + bytes_size(key) +
                  bytes_size(value) + headers.size;
    if (size > builder->options.max_bytes && builder->options.codec == CODEC_NONE)
        builder->failure = err_note(ERR_MESSAGE_TOO_LARGE, "a record of %zu bytes", size);
    if (builder->failure)
        return;
    put_varint(&builder->pending, (int32_t)size);
    buf_put_u8(&builder->pending, 0);
    put_varlong(&builder->pending, timestamp_delta);
    put_varint(&builder->pending, offset_delta);
    put_bytes(builder, key);
    put_bytes(builder, value);
    put_raw(builder, headers);
}

void batch_builder_add(struct batch_builder *builder, int64_t offset, int64_t timestamp_ms,
                       struct slice key, struct slice value, struct slice raw_headers)
{
    if (builder->count == 0)
        builder->base_timestamp = timestamp_ms;
    if (timestamp_ms > builder->max_timestamp)
        builder->max_timestamp = timestamp_ms;
    int64_t timestamp_delta = (int64_t)((uint64_t)timestamp_ms - (uint64_t)builder->base_timestamp);
    int32_t offset_delta = (int32_t)(offset - builder->options.base_offset);
    assert(offset_delta > builder->last_offset_delta);
    static const uint8_t no_headers[] = {0};
    if (slice_is_null(raw_headers))
        raw_headers = slice_of(no_headers, sizeof no_headers);
    put_record(builder, timestamp_delta, offset_delta, key, value, raw_headers);
    builder->count++;
    builder->last_offset_delta = offset_delta;
}

static void put_header_part(struct buf *out, struct slice s)
{
    put_varint(out, s.data ? (int32_t)s.size : -1);
    buf_put_slice(out, s);
}

void record_headers_put(struct buf *out, const struct record *record)
{
    struct record_header header;
    size_t position = 0;
    put_varint(out, record->headers_count);
    while (record_headers_next(record, &position, &header)) {
        put_header_part(out, header.key);
        put_header_part(out, header.value);
    }
}

static int16_t attributes_of(const struct batch_options *options)
{
    int attributes = options->codec;
    if (options->log_append_time_ms != NO_TIMESTAMP)
        attributes |= BATCH_LOG_APPEND_TIME;
    if (options->is_transactional)
        attributes |= BATCH_TRANSACTIONAL;
    if (options->is_control)
        attributes |= BATCH_CONTROL;
    return (int16_t)attributes;
}

static void fill_head(const struct batch_builder *builder, uint8_t *head, size_t size)
{
    const struct batch_options *options = &builder->options;
    bool is_append_time = options->log_append_time_ms != NO_TIMESTAMP;
    put_be64(head, (uint64_t)options->base_offset);
    put_be32(head + BATCH_LENGTH_AT, (uint32_t)(size - BATCH_PREFIX_SIZE));
    batch_set_leader_epoch(head, options->leader_epoch);
    head[BATCH_MAGIC_AT] = 2;
    put_be16(head + BATCH_ATTRIBUTES_AT, (uint16_t)attributes_of(options));
    put_be32(head + 23, (uint32_t)builder->last_offset_delta);
    put_be64(head + 27, (uint64_t)builder->base_timestamp);
    put_be64(head + 35,
             (uint64_t)(is_append_time ? options->log_append_time_ms : builder->max_timestamp));
    put_be64(head + 43, (uint64_t)options->producer_id);
    put_be16(head + 51, (uint16_t)options->producer_epoch);
    put_be32(head + 53, (uint32_t)options->base_sequence);
    put_be32(head + 57, (uint32_t)builder->count);
}

enum err batch_builder_finish(struct batch_builder *builder)
{
    flush_pending(builder);
    if (!builder->failure)
        builder->failure = squeezer_finish(builder->squeezer);
    check_size(builder);
    if (builder->failure) {
        builder->out->size = builder->start;
        return builder->failure;
    }
    uint8_t *head = builder->out->data + builder->start;
    fill_head(builder, head, builder->out->size - builder->start);
    batch_seal(head);
    return ERR_OK;
}

void batch_put_txn_marker(struct buf *out, int64_t producer_id, int16_t producer_epoch,
                          bool is_commit, int32_t coordinator_epoch, int64_t timestamp_ms)
{
    uint8_t key[4] = {0, 0, 0, is_commit}, value[6] = {0}; /* version 0, then type or epoch */
    put_be32(value + 2, (uint32_t)coordinator_epoch);
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    options.producer_id = producer_id;
    options.producer_epoch = producer_epoch;
    options.is_transactional = options.is_control = true;
    struct batch_builder builder;
    batch_builder_init(&builder, &options, out);
    batch_builder_add(&builder, 0, timestamp_ms, slice_of(key, sizeof key),
                      slice_of(value, sizeof value), SLICE_NULL);
    enum err e = batch_builder_finish(&builder);
    assert(!e); /* nothing is compressed, nothing is large */
    batch_builder_done(&builder);
}
