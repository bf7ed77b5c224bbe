/* Messages of formats 0 and 1, and the wrappers that hold compressed ones (KIP-31, KIP-32).
 *
 *     offset 8 | size 4 | crc 4 | magic 1 | attributes 1 | timestamp 8 (format 1) | keyLength 4 |
 * key | valueLength 4 | value */
#include "broker/record/record.h"

#define INNER_MAX 1000000 /* messages in a wrapper: no real one comes near */

static bool take_sized(const uint8_t **at, const uint8_t *end, struct slice *ret)
{
    if (end - *at < 4)
        return false;
    int32_t size = (int32_t)get_be32(*at);
    *at += 4;
    *ret = SLICE_NULL;
    if (size < 0)
        return true;
    if (end - *at < size)
        return false;
    *ret = slice_of(*at, (size_t)size);
    *at += size;
    return true;
}

enum err legacy_message_read(const uint8_t *message, struct legacy_message *ret)
{
    const uint8_t *end = message + batch_size(message), *at = message + BATCH_MAGIC_AT + 2;
    *ret = (struct legacy_message){
        .offset = batch_base_offset(message),
        .timestamp_ms = NO_TIMESTAMP,
        .magic = batch_magic(message),
        .attributes = message[BATCH_MAGIC_AT + 1],
    };
    if (ret->magic == 1) {
        if (end - at < 8)
            return err_note(ERR_CORRUPT_MESSAGE,
                            "a message of format 1 has no room for its timestamp");
        ret->timestamp_ms = (int64_t)get_be64(at);
        at += 8;
    }
    if (!take_sized(&at, end, &ret->key) || !take_sized(&at, end, &ret->value))
        return err_note(ERR_CORRUPT_MESSAGE, "a message's key and value do not fit into its size");
    return ERR_OK;
}

static enum err inflate_wrapper(const struct legacy_message *wrapper, struct buf *ret)
{
    if (slice_is_null(wrapper->value))
        return err_note(ERR_INVALID_RECORD, "a compressed message has no value");
    int codec = wrapper->attributes & BATCH_CODEC_MASK;
    if (codec == CODEC_ZSTD)
        return err_note(ERR_INVALID_RECORD, "zstd is not known to format %d", wrapper->magic);
    struct stream stream;
    enum err e = stream_open(&stream, (enum codec)codec, wrapper->magic, wrapper->value);
    if (e)
        return e;
    e = stream_read_all(&stream, INFLATED_MAX_BYTES, ret);
    stream_close(&stream);
    return e;
}

static enum err next_inner(struct slice *rest, struct legacy_message *ret)
{
    struct batch_info info;
    enum err e = batch_peek(*rest, &info);
    if (e == ERR_AGAIN || (!e && (size_t)info.size_bytes > rest->size))
        return err_note(ERR_INVALID_RECORD, "a compressed message ends within an inner one");
    if (e)
        return e;
    if (info.magic > 1 || info.attributes & BATCH_CODEC_MASK)
        return err_note(ERR_INVALID_RECORD, "an inner message is compressed or of another format");
    if (!batch_crc_is_right(rest->data))
        return err_note(ERR_CORRUPT_MESSAGE, "an inner message fails its checksum");
    e = legacy_message_read(rest->data, ret);
    *rest = slice_of(rest->data + info.size_bytes, rest->size - (size_t)info.size_bytes);
    return e;
}

/* The last inner message's own offset: with it, relative offsets become absolute (format 1). */
static enum err last_inner_offset(struct slice rest, int64_t *ret)
{
    for (int count = 0; rest.size; count++) {
        struct legacy_message inner;
        enum err e = count < INNER_MAX ? next_inner(&rest, &inner) : ERR_INVALID_RECORD;
        if (e)
            return e;
        *ret = inner.offset;
    }
    return ERR_OK;
}

static enum err each_inner(const struct legacy_message *wrapper, struct slice rest,
                           enum err (*each)(void *context, const struct legacy_message *inner),
                           void *context)
{
    int64_t last = 0;
    enum err e = last_inner_offset(rest, &last);
    int64_t shift = wrapper->magic >= 1 && wrapper->offset >= last ? wrapper->offset - last : 0;
    while (!e && rest.size) {
        struct legacy_message inner;
        e = next_inner(&rest, &inner);
        if (e)
            break;
        inner.offset += shift;
        if (wrapper->magic >= 1 && wrapper->attributes & BATCH_LOG_APPEND_TIME)
            inner.timestamp_ms = wrapper->timestamp_ms;
        e = each(context, &inner);
    }
    return e;
}

enum err legacy_message_each(const uint8_t *message,
                             enum err (*each)(void *context, const struct legacy_message *inner),
                             void *context)
{
    struct legacy_message outer;
    enum err e = legacy_message_read(message, &outer);
    if (e)
        return e;
    if (!(outer.attributes & BATCH_CODEC_MASK))
        return each(context, &outer);
    struct buf inflated = {0};
    e = inflate_wrapper(&outer, &inflated);
    if (!e)
        e = each_inner(&outer, buf_slice(&inflated), each, context);
    buf_done(&inflated);
    return e;
}
