/* Writing messages of formats 0 and 1. */
#include "broker/record/convert.h"

#include <zlib.h>

#include "broker/record/compress.h"

static void put_sized(struct buf *out, struct slice s)
{
    buf_put_be32(out, s.data ? (uint32_t)s.size : UINT32_MAX);
    buf_put_slice(out, s);
}

static void put_message(struct buf *out, int8_t magic, int64_t offset, int8_t attributes,
                        int64_t timestamp_ms, struct slice key, struct slice value)
{
    size_t start = out->size;
    buf_extend(out, BATCH_MAGIC_AT); /* offset, size and sum come when all is known */
    buf_put_u8(out, (uint8_t)magic);
    buf_put_u8(out, (uint8_t)attributes);
    if (magic >= 1)
        buf_put_be64(out, (uint64_t)timestamp_ms);
    put_sized(out, key);
    put_sized(out, value);
    uint8_t *message = out->data + start;
    size_t size = out->size - start;
    put_be64(message, (uint64_t)offset);
    put_be32(message + BATCH_LENGTH_AT, (uint32_t)(size - BATCH_PREFIX_SIZE));
    put_be32(message + BATCH_PREFIX_SIZE,
             (uint32_t)crc32(0, message + BATCH_MAGIC_AT, (uInt)(size - BATCH_MAGIC_AT)));
}

/* A wrapper's inner offsets are relative in format 1, absolute in format 0. The inner messages are
 * compressed as they come. */
struct conversion {
    int8_t magic;
    enum codec codec;
    int8_t attributes; /* the timestamp type, format 1 */
    int64_t fetch_offset;
    struct squeezer *squeezer; /* once there is an inner message */
    struct buf inner, squeezed;
    int64_t first_offset, last_offset, max_timestamp;
};

static enum err begin_wrapper(struct conversion *c, int64_t first_offset)
{
    enum { ZLIB_DEFAULT_LEVEL = -1 };
    c->first_offset = first_offset;
    return squeezer_open(c->codec, c->codec == CODEC_GZIP ? ZLIB_DEFAULT_LEVEL : 1, c->magic,
                         &c->squeezed, &c->squeezer);
}

static enum err add_inner(struct conversion *c, int64_t offset, int64_t timestamp_ms,
                          struct slice key, struct slice value)
{
    enum err e = c->squeezer ? ERR_OK : begin_wrapper(c, offset);
    if (e)
        return e;
    c->last_offset = offset;
    int64_t relative = (int64_t)((uint64_t)offset - (uint64_t)c->first_offset);
    if (timestamp_ms > c->max_timestamp)
        c->max_timestamp = timestamp_ms;
    c->inner.size = 0;
    put_message(&c->inner, c->magic, c->magic >= 1 ? relative : offset, c->attributes, timestamp_ms,
                key, value);
    return squeezer_put(c->squeezer, buf_slice(&c->inner));
}

static enum err add(struct conversion *c, struct buf *out, int64_t offset, int64_t timestamp_ms,
                    struct slice key, struct slice value)
{
    if (c->codec != CODEC_NONE)
        return add_inner(c, offset, timestamp_ms, key, value);
    if (offset >= c->fetch_offset)
        put_message(out, c->magic, offset, c->attributes, timestamp_ms, key, value);
    return ERR_OK;
}

/* Also after a failure, `before`: then only what is held goes. */
static enum err finish(struct conversion *c, enum err before, struct buf *out)
{
    enum err e = before;
    if (!e && c->squeezer)
        e = squeezer_finish(c->squeezer);
    if (!e && c->squeezer)
        put_message(out, c->magic, c->last_offset, (int8_t)(c->attributes | (int8_t)c->codec),
                    c->max_timestamp, SLICE_NULL, buf_slice(&c->squeezed));
    squeezer_free(c->squeezer);
    buf_done(&c->inner);
    buf_done(&c->squeezed);
    return e;
}

static enum err convert_batch(const uint8_t *batch, int8_t magic, int64_t fetch_offset,
                              struct buf *out)
{
    struct conversion c = {
        .magic = magic,
        .codec = (enum codec)batch_codec(batch),
        .attributes = magic >= 1 ? (int8_t)(batch_attributes(batch) & BATCH_LOG_APPEND_TIME) : 0,
        .fetch_offset = fetch_offset,
        .max_timestamp = NO_TIMESTAMP,
    };
    struct record_reader reader;
    enum err e = record_reader_open(&reader, batch);
    if (e)
        return e;
    struct record record;
    while (!(e = record_reader_next(&reader, &record)))
        if ((e = add(&c, out, record.offset, record.timestamp_ms, record.key, record.value)))
            break;
    record_reader_close(&reader);
    return finish(&c, e == ERR_NOT_FOUND ? ERR_OK : e, out);
}

struct legacy_conversion {
    struct conversion c;
    struct buf *out;
};

static enum err add_legacy(void *context, const struct legacy_message *message)
{
    struct legacy_conversion *l = context;
    return add(&l->c, l->out, message->offset, message->timestamp_ms, message->key, message->value);
}

static enum err convert_legacy(const uint8_t *message, int8_t magic, int64_t fetch_offset,
                               struct buf *out)
{
    struct legacy_conversion l = {
        .c = {.magic = magic,
              .codec = (enum codec)(message[BATCH_MAGIC_AT + 1] & BATCH_CODEC_MASK),
              .fetch_offset = fetch_offset,
              .max_timestamp = NO_TIMESTAMP},
        .out = out,
    };
    enum err e = legacy_message_each(message, add_legacy, &l);
    return finish(&l.c, e, out);
}

enum err records_convert_down(struct slice bytes, int8_t magic, int64_t fetch_offset,
                              struct buf *out)
{
    size_t before = out->size;
    for (size_t at = 0; at < bytes.size;) {
        struct batch_info info;
        enum err e = batch_peek(slice_of(bytes.data + at, bytes.size - at), &info);
        if (e == ERR_AGAIN || (!e && (size_t)info.size_bytes > bytes.size - at))
            break;
        if (e)
            return e;
        const uint8_t *batch = bytes.data + at;
        at += (size_t)info.size_bytes;
        if (info.magic <= magic)
            buf_put(out, batch, (size_t)info.size_bytes);
        else if (info.magic < 2)
            e = convert_legacy(batch, magic, fetch_offset, out);
        else if (info.attributes & BATCH_CONTROL)
            continue;
        else if ((info.attributes & BATCH_CODEC_MASK) == CODEC_ZSTD)
            return out->size > before
                       ? ERR_OK
                       : err_note(ERR_UNSUPPORTED_COMPRESSION_TYPE,
                                  "zstd is not known to clients of format %d", magic);
        else
            e = convert_batch(batch, magic, fetch_offset, out);
        if (e)
            return e;
    }
    return ERR_OK;
}
