/* The walk that only checks. Nearly every record lies whole in the window and is read by pointers;
 * one that crosses the window's edge is read byte by byte, and what is in it is skipped. */
#include "broker/base/varint.h"
#include "broker/record/record.h"

static enum err bad_record(const char *why)
{
    return err_note(ERR_INVALID_RECORD, "a record is malformed: %s", why);
}

/* --- whole in the window --- */

/* NULL when it does not end within `end`. Most numbers take one byte. */
static inline const uint8_t *take(const uint8_t *at, const uint8_t *end, size_t most, int64_t *ret)
{
    if (LIKELY(at < end && *at < 0x80)) {
        *ret = (int64_t)(*at >> 1) ^ -(int64_t)(*at & 1);
        return at + 1;
    }
    if (LIKELY(end - at >= 2 && at[1] < 0x80)) {
        uint32_t raw = (uint32_t)(at[0] & 0x7f) | (uint32_t)at[1] << 7;
        *ret = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
        return at + 2;
    }
    size_t used = 0;
    if (most == VARINT_MAX_BYTES) {
        int32_t value;
        used = varint_get(at, (size_t)(end - at), &value);
        *ret = used ? value : 0;
    } else {
        used = varlong_get(at, (size_t)(end - at), ret);
    }
    return used ? at + used : NULL;
}

/* Behind a length and its bytes, or NULL. */
static inline const uint8_t *pass(const uint8_t *at, const uint8_t *end, int64_t *ret_size)
{
    at = take(at, end, VARINT_MAX_BYTES, ret_size);
    if (UNLIKELY(!at) || *ret_size <= 0)
        return at;
    return LIKELY(end - at >= *ret_size) ? at + *ret_size : NULL;
}

static const uint8_t *pass_headers(const uint8_t *at, const uint8_t *end, int64_t count)
{
    for (int64_t i = 0; at && i < count; i++) {
        int64_t size;
        at = pass(at, end, &size);
        if (at && size < 0)
            return NULL; /* a header's key may not be null */
        if (at)
            at = pass(at, end, &size);
    }
    return count < 0 ? NULL : at;
}

/* Whether the body [at, end) is exactly one record. */
static inline bool read_body(const uint8_t *at, const uint8_t *end, struct record_outline *ret)
{
    int64_t delta, key_size, size, headers_count;
    if (UNLIKELY(at == end))
        return false;
    at = take(at + 1, end, VARLONG_MAX_BYTES, &ret->timestamp_delta);
    if (LIKELY(at))
        at = take(at, end, VARINT_MAX_BYTES, &delta);
    if (LIKELY(at))
        at = pass(at, end, &key_size);
    if (LIKELY(at))
        at = pass(at, end, &size);
    if (LIKELY(at))
        at = take(at, end, VARINT_MAX_BYTES, &headers_count);
    if (LIKELY(at) && UNLIKELY(headers_count != 0))
        at = pass_headers(at, end, headers_count);
    if (UNLIKELY(at != end))
        return false;
    ret->offset_delta = (int32_t)delta;
    ret->has_key = key_size >= 0;
    return true;
}

/* As many as lie whole in the window; stops before one that does not, or is malformed. */
static size_t read_whole(struct stream *stream, struct record_outline *ret, size_t room)
{
    const uint8_t *at = stream->at, *end = stream->end;
    size_t count = 0;
    while (count < room) {
        int64_t size;
        const uint8_t *body = take(at, end, VARINT_MAX_BYTES, &size);
        if (!body || size <= 0 || end - body < size)
            break;
        if (!read_body(body, body + size, &ret[count]))
            break;
        at = body + size;
        count++;
    }
    stream->at = at;
    return count;
}

/* --- across the window's edge, or malformed --- */

struct walk {
    struct stream *stream;
    int64_t left; /* of the present record */
};

static enum err walk_byte(struct walk *w, uint8_t *ret)
{
    if (w->left < 1)
        return bad_record("its parts do not fit into its length");
    w->left--;
    return stream_read(w->stream, ret, 1);
}

static enum err walk_number(struct walk *w, size_t most, int64_t *ret)
{
    uint8_t bytes[VARLONG_MAX_BYTES];
    for (size_t i = 0; i < most; i++) {
        enum err e = walk_byte(w, &bytes[i]);
        if (e)
            return e;
        if (!(bytes[i] & 0x80))
            return take(bytes, bytes + i + 1, most, ret) ? ERR_OK
                                                         : bad_record("a number is too long");
    }
    return bad_record("a number is too long");
}

/* Skip a length and its bytes. ret_size: negative is null. */
static enum err walk_bytes(struct walk *w, int64_t *ret_size)
{
    enum err e = walk_number(w, VARINT_MAX_BYTES, ret_size);
    if (e || *ret_size <= 0)
        return e;
    if (*ret_size > w->left)
        return bad_record("its parts do not fit into its length");
    w->left -= *ret_size;
    return stream_skip(w->stream, (size_t)*ret_size);
}

static enum err walk_headers(struct walk *w)
{
    int64_t count = 0, size = 0;
    enum err e = walk_number(w, VARINT_MAX_BYTES, &count);
    if (!e && count < 0)
        e = bad_record("its header count is negative");
    for (int64_t i = 0; !e && i < count; i++) {
        e = walk_bytes(w, &size);
        if (!e && size < 0)
            e = bad_record("a header's key is null");
        if (!e)
            e = walk_bytes(w, &size);
    }
    return e;
}

static enum err walk_record(struct stream *stream, struct record_outline *ret)
{
    struct walk w = {.stream = stream, .left = VARINT_MAX_BYTES};
    int64_t size = 0, delta = 0, key_size = 0, value_size = 0;
    uint8_t attributes;
    enum err e = walk_number(&w, VARINT_MAX_BYTES, &size);
    w.left = size;
    if (!e)
        e = walk_byte(&w, &attributes);
    if (!e)
        e = walk_number(&w, VARLONG_MAX_BYTES, &ret->timestamp_delta);
    if (!e)
        e = walk_number(&w, VARINT_MAX_BYTES, &delta);
    if (!e)
        e = walk_bytes(&w, &key_size);
    if (!e)
        e = walk_bytes(&w, &value_size);
    if (!e)
        e = walk_headers(&w);
    if (!e && w.left != 0)
        e = bad_record("its length is more than its parts take");
    ret->offset_delta = (int32_t)delta;
    ret->has_key = key_size >= 0;
    return e;
}

/* --- the walk --- */

static enum err check_end(struct stream *stream)
{
    bool is_end = true;
    enum err e = stream_at_end(stream, &is_end);
    return e || is_end ? e
                       : err_note(ERR_INVALID_RECORD, "bytes remain behind as many records as the "
                                                      "batch says it holds");
}

enum err outline_walk_next(struct outline_walk *walk, struct record_outline *ret, size_t room,
                           size_t *ret_count)
{
    if (room > (size_t)walk->left_count)
        room = (size_t)walk->left_count;
    enum err e = ERR_OK;
    size_t count = 0;
    while (!e && count < room) {
        count += read_whole(walk->stream, ret + count, room - count);
        if (count == room)
            break;
        e = walk_record(walk->stream, &ret[count]);
        count += !e;
    }
    walk->left_count -= (int32_t)count;
    *ret_count = count;
    if (!e && count == 0)
        e = check_end(walk->stream);
    return e;
}
