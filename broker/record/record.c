/* Reading records with their contents, one at a time: in place where the record lies whole in the
 * stream's window, which is always so without compression, else in a copy. */
#include "broker/record/record.h"

#include "broker/base/varint.h"

static enum err bad_record(const char *why)
{
    return err_note(ERR_INVALID_RECORD, "a record is malformed: %s", why);
}

static enum err not_as_many(const char *why)
{
    return err_note(ERR_INVALID_RECORD, "the batch does not hold as many records as it says: %s",
                    why);
}

/* --- one record in memory --- */

struct cursor {
    const uint8_t *at, *end;
    bool is_bad;
};

static int64_t take_varlong(struct cursor *c)
{
    int64_t value = 0;
    size_t used = c->is_bad ? 0 : varlong_get(c->at, (size_t)(c->end - c->at), &value);
    c->is_bad |= !used;
    c->at += used;
    return value;
}

static int32_t take_varint(struct cursor *c)
{
    int32_t value = 0;
    size_t used = c->is_bad ? 0 : varint_get(c->at, (size_t)(c->end - c->at), &value);
    c->is_bad |= !used;
    c->at += used;
    return value;
}

/* A length and its bytes; negative is null. */
static struct slice take_bytes(struct cursor *c)
{
    int32_t size = take_varint(c);
    if (c->is_bad || size < 0)
        return SLICE_NULL;
    if (c->end - c->at < size) {
        c->is_bad = true;
        return SLICE_NULL;
    }
    struct slice bytes = slice_of(c->at, (size_t)size);
    c->at += size;
    return bytes;
}

static void skip_headers(struct cursor *c, int32_t count)
{
    c->is_bad |= count < 0;
    for (int32_t i = 0; i < count && !c->is_bad; i++) {
        c->is_bad |= slice_is_null(take_bytes(c)); /* a header's key may not be null */
        take_bytes(c);
    }
}

static int64_t record_timestamp(const uint8_t *batch, int64_t delta)
{
    if (batch_attributes(batch) & BATCH_LOG_APPEND_TIME)
        return batch_max_timestamp(batch);
    return (int64_t)((uint64_t)batch_base_timestamp(batch) + (uint64_t)delta);
}

static enum err read_body(const uint8_t *batch, struct slice body, struct record *ret)
{
    struct cursor c = {.at = body.data, .end = body.data + body.size, .is_bad = body.size == 0};
    c.at += !c.is_bad; /* attributes: no bit has a meaning */
    ret->timestamp_delta = take_varlong(&c);
    ret->offset_delta = take_varint(&c);
    ret->key = take_bytes(&c);
    ret->value = take_bytes(&c);
    const uint8_t *headers = c.at;
    ret->headers_count = take_varint(&c);
    skip_headers(&c, ret->headers_count);
    if (c.is_bad)
        return bad_record("its parts do not fit into its length");
    if (c.at != c.end)
        return bad_record("its length is more than its parts take");
    ret->headers = slice_of(headers, (size_t)(c.at - headers));
    ret->offset = (int64_t)((uint64_t)batch_base_offset(batch) + (uint64_t)ret->offset_delta);
    ret->timestamp_ms = record_timestamp(batch, ret->timestamp_delta);
    return ERR_OK;
}

bool record_headers_next(const struct record *record, size_t *position, struct record_header *ret)
{
    struct cursor c = {.at = record->headers.data,
                       .end = record->headers.data + record->headers.size};
    if (*position == 0)
        take_varint(&c);
    else
        c.at += *position;
    if (c.is_bad || c.at == c.end)
        return false;
    ret->key = take_bytes(&c);
    ret->value = take_bytes(&c);
    *position = (size_t)(c.at - record->headers.data);
    return !c.is_bad;
}

/* --- the reader --- */

enum err record_reader_open(struct record_reader *reader, const uint8_t *batch)
{
    struct record_reader r = {.batch = batch, .left_count = batch_record_count(batch)};
    if (r.left_count < 0)
        return err_note(ERR_INVALID_RECORD, "a record count of %d", r.left_count);
    enum err e = stream_open(
        &r.stream, (enum codec)batch_codec(batch), batch_magic(batch),
        slice_of(batch + BATCH_HEADER_SIZE, (size_t)batch_size(batch) - BATCH_HEADER_SIZE));
    if (!e)
        *reader = r;
    return e;
}

void record_reader_close(struct record_reader *reader)
{
    stream_close(&reader->stream);
    buf_done(&reader->held);
}

static enum err read_length(struct stream *stream, int32_t *ret)
{
    uint8_t bytes[VARINT_MAX_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++) {
        enum err e = stream_read(stream, &bytes[i], 1);
        if (e)
            return e;
        if (!(bytes[i] & 0x80))
            return varint_get(bytes, i + 1, ret) ? ERR_OK : bad_record("its length is too long");
    }
    return bad_record("its length is too long");
}

/* The copy grows with the bytes that arrive, not with the length announced. */
static enum err hold(struct record_reader *reader, size_t size)
{
    enum { STEP_BYTES = 64 << 10 };
    reader->held.size = 0;
    while (reader->held.size < size) {
        size_t left = size - reader->held.size, now = left < STEP_BYTES ? left : STEP_BYTES;
        enum err e = stream_read(&reader->stream, buf_extend(&reader->held, now), now);
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err next_body(struct record_reader *reader, struct slice *ret)
{
    struct stream *stream = &reader->stream;
    int32_t size = 0;
    enum err e = read_length(stream, &size);
    if (e)
        return e;
    if (size <= 0)
        return bad_record("its length is not positive");
    if (stream->end - stream->at >= size) {
        *ret = slice_of(stream->at, (size_t)size);
        stream->at += size;
        return ERR_OK;
    }
    if (!stream->inflater)
        return not_as_many("the last one is cut");
    if ((uint32_t)size > RECORD_MAX_BYTES)
        return err_note(ERR_MESSAGE_TOO_LARGE, "a record of %d bytes", size);
    e = hold(reader, (size_t)size);
    *ret = buf_slice(&reader->held);
    return e;
}

static enum err check_end(struct stream *stream)
{
    bool is_end = true;
    enum err e = stream_at_end(stream, &is_end);
    return e || is_end ? e : not_as_many("bytes remain");
}

enum err record_reader_next(struct record_reader *reader, struct record *ret)
{
    if (reader->left_count == 0) {
        enum err e = check_end(&reader->stream);
        return e ? e : ERR_NOT_FOUND;
    }
    struct slice body = SLICE_NULL;
    enum err e = next_body(reader, &body);
    if (!e)
        e = read_body(reader->batch, body, ret);
    reader->left_count -= !e;
    return e;
}
