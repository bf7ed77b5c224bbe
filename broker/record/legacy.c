/* Messages of formats 0 and 1, and the wrappers that hold compressed ones (KIP-31, KIP-32).
 *
 *     offset 8 | size 4 | crc 4 | magic 1 | attributes 1 | timestamp 8 (format 1) |
 *     keyLength 4 | key | valueLength 4 | value
 *
 * The offsets within a wrapper of format 1 count from its last message back, so its bytes are
 * inflated twice: once to learn the last offset, once to hand the messages out, each held alone. */
#include <zlib.h>

#include "broker/record/record.h"

#define CRC_AT        12
#define ATTRIBUTES_AT 17
#define LEAST_SIZE    14 /* what the size field of a message says at least */

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
    const uint8_t *end = message + batch_size(message), *at = message + ATTRIBUTES_AT + 1;
    *ret = (struct legacy_message){
        .offset = batch_base_offset(message),
        .timestamp_ms = NO_TIMESTAMP,
        .magic = batch_magic(message),
        .attributes = message[ATTRIBUTES_AT],
    };
    bool fits = true;
    if (ret->magic == 1) {
        fits = end - at >= 8;
        ret->timestamp_ms = fits ? (int64_t)get_be64(at) : NO_TIMESTAMP;
        at += fits ? 8 : 0;
    }
    if (!fits || !take_sized(&at, end, &ret->key) || !take_sized(&at, end, &ret->value))
        return err_note(ERR_UNKNOWN_SERVER_ERROR,
                        "a message's key and value do not fit into its size");
    return ERR_OK;
}

/* --- a wrapper --- */

struct unwrapping {
    struct legacy_message wrapper;
    struct stream stream;
    struct buf held; /* the present inner message, with its 12 bytes */
};

static enum err open_wrapper(struct unwrapping *u)
{
    int codec = u->wrapper.attributes & BATCH_CODEC_MASK;
    if (codec == CODEC_ZSTD)
        return err_note(ERR_INVALID_RECORD, "zstd is not known to format %d", u->wrapper.magic);
    if (slice_is_null(u->wrapper.value))
        return err_note(ERR_INVALID_RECORD, "a compressed message has no value");
    return stream_open(&u->stream, (enum codec)codec, u->wrapper.magic, u->wrapper.value);
}

/* As many of the next bytes as there are, so a message that is cut can be told from damage. */
static enum err hold(struct unwrapping *u, size_t size, bool *ret_is_cut)
{
    while (u->held.size < size) {
        bool is_end = true;
        enum err e = stream_at_end(&u->stream, &is_end);
        if (e)
            return e;
        if (is_end) {
            *ret_is_cut = true;
            return ERR_OK;
        }
        size_t there = (size_t)(u->stream.end - u->stream.at), left = size - u->held.size;
        size_t now = there < left ? there : left;
        buf_put(&u->held, u->stream.at, now);
        u->stream.at += now;
    }
    return ERR_OK;
}

/* The next inner message in u->held; a cut one ends the set, as the JVM's reader has it. */
static enum err next_inner(struct unwrapping *u, bool *ret_is_end)
{
    u->held.size = 0;
    *ret_is_end = false;
    enum err e = hold(u, BATCH_PREFIX_SIZE, ret_is_end);
    if (e || *ret_is_end)
        return e;
    int32_t size = batch_length(u->held.data);
    if (size < LEAST_SIZE)
        return err_note(ERR_CORRUPT_MESSAGE, "an inner message of %d bytes", size);
    if ((uint32_t)size > RECORD_MAX_BYTES)
        return err_note(ERR_MESSAGE_TOO_LARGE, "an inner message of %d bytes", size);
    return hold(u, BATCH_PREFIX_SIZE + (size_t)size, ret_is_end);
}

/* The offset of the last, and whether there is any. */
static enum err survey(struct unwrapping *u, int64_t *ret_last, bool *ret_is_empty)
{
    enum err e = open_wrapper(u);
    if (e)
        return e;
    bool is_end = false;
    *ret_is_empty = true;
    while (!(e = next_inner(u, &is_end)) && !is_end) {
        *ret_last = batch_base_offset(u->held.data);
        *ret_is_empty = false;
    }
    stream_close(&u->stream);
    return e;
}

/* What is added to an inner offset. An outer offset of 0 is that of certain old producers, which
 * leave the inner ones as they are. */
static enum err inner_shift(const struct legacy_message *wrapper, int64_t last, int64_t *ret)
{
    *ret = 0;
    if (wrapper->magic == 0 || wrapper->offset == 0)
        return ERR_OK;
    if (wrapper->offset < last)
        return err_note(ERR_INVALID_RECORD,
                        "a wrapper's offset %lld is below that of its last message, %lld",
                        (long long)wrapper->offset, (long long)last);
    *ret = (int64_t)((uint64_t)wrapper->offset - (uint64_t)last);
    return ERR_OK;
}

static bool inner_crc_is_right(struct slice message)
{
    return crc32(0, message.data + BATCH_MAGIC_AT, (uInt)(message.size - BATCH_MAGIC_AT)) ==
           get_be32(message.data + CRC_AT);
}

static enum err read_inner(const struct unwrapping *u, int64_t shift, struct legacy_message *ret)
{
    struct slice message = buf_slice(&u->held);
    if (message.data[ATTRIBUTES_AT] & BATCH_CODEC_MASK)
        return err_note(ERR_INVALID_RECORD, "an inner message is compressed");
    if (batch_magic(message.data) == u->wrapper.magic && !inner_crc_is_right(message))
        return err_note(ERR_CORRUPT_MESSAGE, "an inner message fails its checksum");
    enum err e = legacy_message_read(message.data, ret);
    ret->offset = (int64_t)((uint64_t)ret->offset + (uint64_t)shift);
    if (u->wrapper.magic >= 1 && u->wrapper.attributes & BATCH_LOG_APPEND_TIME)
        ret->timestamp_ms = u->wrapper.timestamp_ms;
    return e;
}

static enum err each_inner(struct unwrapping *u, int64_t shift,
                           enum err (*each)(void *context, const struct legacy_message *inner),
                           void *context)
{
    enum err e = open_wrapper(u);
    if (e)
        return e;
    bool is_end = false;
    while (!(e = next_inner(u, &is_end)) && !is_end) {
        struct legacy_message inner;
        e = read_inner(u, shift, &inner);
        if (!e)
            e = each(context, &inner);
        if (e)
            break;
    }
    stream_close(&u->stream);
    return e;
}

static enum err unwrap(struct unwrapping *u,
                       enum err (*each)(void *context, const struct legacy_message *inner),
                       void *context)
{
    int64_t last = 0, shift = 0;
    bool is_empty = true;
    enum err e = survey(u, &last, &is_empty);
    if (!e && is_empty)
        e = err_note(ERR_INVALID_RECORD, "a compressed message holds none");
    if (!e)
        e = inner_shift(&u->wrapper, last, &shift);
    return e ? e : each_inner(u, shift, each, context);
}

enum err legacy_message_each(const uint8_t *message,
                             enum err (*each)(void *context, const struct legacy_message *inner),
                             void *context)
{
    struct unwrapping u = {0};
    enum err e = legacy_message_read(message, &u.wrapper);
    if ((message[ATTRIBUTES_AT] & BATCH_CODEC_MASK) == CODEC_ZSTD)
        e = open_wrapper(&u); /* refused before anything is read */
    if (e)
        return e;
    if (!(u.wrapper.attributes & BATCH_CODEC_MASK))
        return each(context, &u.wrapper);
    e = unwrap(&u, each, context);
    buf_done(&u.held);
    return e;
}
