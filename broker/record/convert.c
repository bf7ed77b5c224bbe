/* Writing messages of formats 0 and 1. */
#include "broker/record/convert.h"

#include <zlib.h>

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

/* A wrapper's inner offsets are relative in format 1, absolute in format 0. */
struct conversion {
    int8_t magic;
    enum codec codec;
    int8_t attributes; /* the timestamp type, format 1 */
    int64_t fetch_offset;
    struct buf inner;
    int64_t first_offset, last_offset, max_timestamp;
    int32_t count;
};

static void add(struct conversion *c, struct buf *out, int64_t offset, int64_t timestamp_ms,
                struct slice key, struct slice value)
{
    if (c->codec == CODEC_NONE) {
        if (offset >= c->fetch_offset)
            put_message(out, c->magic, offset, c->attributes, timestamp_ms, key, value);
        return;
    }
    if (c->count++ == 0)
        c->first_offset = offset;
    c->last_offset = offset;
    if (timestamp_ms > c->max_timestamp)
        c->max_timestamp = timestamp_ms;
    put_message(&c->inner, c->magic, c->magic >= 1 ? offset - c->first_offset : offset,
                c->attributes, timestamp_ms, key, value);
}

static enum err finish(struct conversion *c, struct buf *out)
{
    enum err e = ERR_OK;
    if (c->count) {
        enum { DEFAULT_GZIP_LEVEL = -1 };
        struct buf squeezed = {0};
        e = records_compress(c->codec, c->codec == CODEC_GZIP ? DEFAULT_GZIP_LEVEL : 1, c->magic,
                             buf_slice(&c->inner), &squeezed);
        if (!e)
            put_message(out, c->magic, c->last_offset, (int8_t)(c->attributes | (int8_t)c->codec),
                        c->max_timestamp, SLICE_NULL, buf_slice(&squeezed));
        buf_done(&squeezed);
    }
    buf_done(&c->inner);
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
        add(&c, out, record.offset, record.timestamp_ms, record.key, record.value);
    record_reader_close(&reader);
    enum err finished = finish(&c, out);
    return e == ERR_NOT_FOUND ? finished : e;
}

struct legacy_conversion {
    struct conversion c;
    struct buf *out;
};

static enum err add_legacy(void *context, const struct legacy_message *message)
{
    struct legacy_conversion *l = context;
    add(&l->c, l->out, message->offset, message->timestamp_ms, message->key, message->value);
    return ERR_OK;
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
    enum err finished = finish(&l.c, out);
    return e ? e : finished;
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
