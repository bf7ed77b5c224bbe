/* Records are written uncompressed into a buffer; finishing compresses them and puts the head
 * before. */
#include "broker/record/build.h"

#include "broker/base/varint.h"

void batch_builder_init(struct batch_builder *builder, int64_t base_offset)
{
    *builder = (struct batch_builder){.base_offset = base_offset,
                                      .base_timestamp = NO_TIMESTAMP,
                                      .max_timestamp = NO_TIMESTAMP,
                                      .last_offset_delta = -1};
}

void batch_builder_done(struct batch_builder *builder)
{
    buf_done(&builder->records);
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

static void put_bytes(struct buf *out, struct slice s)
{
    put_varint(out, s.data ? (int32_t)s.size : -1);
    buf_put_slice(out, s);
}

void batch_builder_add(struct batch_builder *builder, int64_t offset, int64_t timestamp_ms,
                       struct slice key, struct slice value, struct slice raw_headers)
{
    if (builder->count == 0)
        builder->base_timestamp = timestamp_ms;
    if (timestamp_ms > builder->max_timestamp)
        builder->max_timestamp = timestamp_ms;
    int64_t timestamp_delta = (int64_t)((uint64_t)timestamp_ms - (uint64_t)builder->base_timestamp);
    int32_t offset_delta = (int32_t)(offset - builder->base_offset);
    assert(offset_delta > builder->last_offset_delta);
    if (slice_is_null(raw_headers))
        raw_headers = SLICE_LITERAL("\0"); /* none */

    size_t size = 1 + varlong_size(timestamp_delta) + varint_size(offset_delta) + bytes_size(key) +
                  bytes_size(value) + raw_headers.size;
    struct buf *out = &builder->records;
    put_varint(out, (int32_t)size);
    buf_put_u8(out, 0);
    put_varlong(out, timestamp_delta);
    put_varint(out, offset_delta);
    put_bytes(out, key);
    put_bytes(out, value);
    buf_put_slice(out, raw_headers);
    builder->count++;
    builder->last_offset_delta = offset_delta;
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

static void fill_head(const struct batch_builder *builder, const struct batch_options *options,
                      uint8_t *head, size_t size)
{
    put_be64(head, (uint64_t)options->base_offset);
    put_be32(head + BATCH_LENGTH_AT, (uint32_t)(size - BATCH_PREFIX_SIZE));
    batch_set_leader_epoch(head, options->leader_epoch);
    head[BATCH_MAGIC_AT] = 2;
    put_be16(head + BATCH_ATTRIBUTES_AT, (uint16_t)attributes_of(options));
    put_be32(head + 23, (uint32_t)builder->last_offset_delta);
    put_be64(head + 27, (uint64_t)builder->base_timestamp);
    put_be64(head + 35,
             (uint64_t)(options->log_append_time_ms != NO_TIMESTAMP ? options->log_append_time_ms
                                                                    : builder->max_timestamp));
    put_be64(head + 43, (uint64_t)options->producer_id);
    put_be16(head + 51, (uint16_t)options->producer_epoch);
    put_be32(head + 53, (uint32_t)options->base_sequence);
    put_be32(head + 57, (uint32_t)builder->count);
}

enum err batch_builder_finish(struct batch_builder *builder, const struct batch_options *options,
                              struct buf *out)
{
    size_t start = out->size;
    buf_extend(out, BATCH_HEADER_SIZE);
    enum err e =
        records_compress(options->codec, options->level, 2, buf_slice(&builder->records), out);
    if (e) {
        out->size = start;
        return e;
    }
    uint8_t *head = out->data + start;
    fill_head(builder, options, head, out->size - start);
    batch_seal(head);
    return ERR_OK;
}
