/* Walking the records of a batch. Two walks share nothing but the layout: one hands out contents,
 * and so needs them in memory; the other only checks, and skips through a window. */
#include "broker/record/record.h"

#include "broker/base/varint.h"

static enum err bad_record(const char *why)
{
    return err_note(ERR_INVALID_RECORD, "a record is malformed: %s", why);
}

static enum err eof(void)
{
    return err_note(ERR_INVALID_RECORD, "Incorrect declared batch size, premature EOF reached");
}

/* --- with contents --- */

enum err record_reader_open(struct record_reader *reader, const uint8_t *batch)
{
    *reader = (struct record_reader){.batch = batch, .left_count = batch_record_count(batch)};
    struct slice body =
        slice_of(batch + BATCH_HEADER_SIZE, (size_t)batch_size(batch) - BATCH_HEADER_SIZE);
    if (reader->left_count < 0)
        return err_note(ERR_INVALID_RECORD, "a record count of %d", reader->left_count);
    if (batch_codec(batch) != CODEC_NONE) {
        struct stream stream;
        enum err e = stream_open(&stream, (enum codec)batch_codec(batch), batch_magic(batch), body);
        if (e)
            return e;
        e = stream_read_all(&stream, INFLATED_MAX_BYTES, &reader->inflated);
        stream_close(&stream);
        if (e) {
            record_reader_close(reader);
            return e;
        }
        body = buf_slice(&reader->inflated);
    }
    reader->at = body.data;
    reader->end = body.data + body.size;
    return ERR_OK;
}

void record_reader_close(struct record_reader *reader)
{
    buf_done(&reader->inflated);
    reader->at = reader->end = NULL;
}

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

static enum err read_one(const uint8_t *batch, struct cursor *c, struct record *ret)
{
    if (c->at == c->end)
        c->is_bad = true;
    else
        c->at++; /* attributes: no bit has a meaning */
    ret->timestamp_delta = take_varlong(c);
    ret->offset_delta = take_varint(c);
    ret->key = take_bytes(c);
    ret->value = take_bytes(c);
    const uint8_t *headers = c->at;
    ret->headers_count = take_varint(c);
    skip_headers(c, ret->headers_count);
    if (c->is_bad)
        return bad_record("its parts do not fit into its length");
    if (c->at != c->end)
        return bad_record("its length is more than its parts take");
    ret->headers = slice_of(headers, (size_t)(c->at - headers));
    ret->offset = batch_base_offset(batch) + ret->offset_delta;
    ret->timestamp_ms = record_timestamp(batch, ret->timestamp_delta);
    return ERR_OK;
}

enum err record_reader_next(struct record_reader *reader, struct record *ret)
{
    if (reader->left_count == 0) {
        if (reader->at != reader->end)
            return err_note(ERR_INVALID_RECORD,
                            "Incorrect declared batch size, records still remaining in file");
        return ERR_NOT_FOUND;
    }
    struct cursor c = {.at = reader->at, .end = reader->end};
    int32_t size = take_varint(&c);
    if (c.is_bad || size < 0 || c.end - c.at < size)
        return eof();
    c.end = c.at + size;
    enum err e = read_one(reader->batch, &c, ret);
    if (e)
        return e;
    reader->at = c.end;
    reader->left_count--;
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

/* --- outlines, through a window --- */

/* What is left of the present record. */
struct walk {
    struct stream *stream;
    int64_t left;
};

static enum err walk_byte(struct walk *w, uint8_t *ret)
{
    struct stream *s = w->stream;
    if (w->left < 1)
        return bad_record("its parts do not fit into its length");
    w->left--;
    if (LIKELY(s->at < s->end)) {
        *ret = *s->at++;
        return ERR_OK;
    }
    return stream_read(s, ret, 1);
}

static enum err walk_varlong(struct walk *w, size_t most, int64_t *ret)
{
    struct stream *s = w->stream;
    if (LIKELY(s->at < s->end && !(*s->at & 0x80) && w->left > 0)) { /* one byte, the usual case */
        uint8_t byte = *s->at++;
        w->left--;
        *ret = (int64_t)(byte >> 1) ^ -(int64_t)(byte & 1);
        return ERR_OK;
    }
    uint8_t bytes[VARLONG_MAX_BYTES];
    for (size_t i = 0; i < most; i++) {
        enum err e = walk_byte(w, &bytes[i]);
        if (e)
            return e;
        if (!(bytes[i] & 0x80))
            return varlong_get(bytes, i + 1, ret) ? ERR_OK : bad_record("a number is too long");
    }
    return bad_record("a number is too long");
}

static enum err walk_skip(struct walk *w, int64_t size)
{
    struct stream *s = w->stream;
    if (size > w->left)
        return bad_record("its parts do not fit into its length");
    w->left -= size;
    if (LIKELY(s->end - s->at >= size)) {
        s->at += size;
        return ERR_OK;
    }
    return stream_skip(s, (size_t)size);
}

/* A length and its bytes. ret_is_null may be NULL. */
static enum err walk_bytes(struct walk *w, bool *ret_is_null)
{
    int64_t size = 0;
    enum err e = walk_varlong(w, VARINT_MAX_BYTES, &size);
    if (e)
        return e;
    if (ret_is_null)
        *ret_is_null = size < 0;
    return size > 0 ? walk_skip(w, size) : ERR_OK;
}

static enum err walk_headers(struct walk *w)
{
    int64_t count = 0;
    enum err e = walk_varlong(w, VARINT_MAX_BYTES, &count);
    if (!e && count < 0)
        e = err_note(ERR_INVALID_RECORD, "a header count of %lld", (long long)count);
    for (int64_t i = 0; !e && i < count; i++) {
        bool is_null = false;
        e = walk_bytes(w, &is_null);
        if (!e && is_null)
            e = bad_record("a header's key is null");
        if (!e)
            e = walk_bytes(w, NULL);
    }
    return e;
}

static enum err walk_record(struct stream *stream, struct record_outline *ret)
{
    struct walk w = {.stream = stream, .left = VARINT_MAX_BYTES};
    int64_t size = 0, delta = 0;
    enum err e = walk_varlong(&w, VARINT_MAX_BYTES, &size);
    if (!e && size < 0)
        e = bad_record("its length is negative");
    w.left = size;
    uint8_t attributes;
    if (!e)
        e = walk_byte(&w, &attributes);
    if (!e)
        e = walk_varlong(&w, VARLONG_MAX_BYTES, &ret->timestamp_delta);
    if (!e)
        e = walk_varlong(&w, VARINT_MAX_BYTES, &delta);
    bool is_null = false;
    if (!e)
        e = walk_bytes(&w, &is_null);
    if (!e)
        e = walk_bytes(&w, NULL);
    if (!e)
        e = walk_headers(&w);
    if (!e && w.left != 0)
        e = bad_record("its length is more than its parts take");
    ret->offset_delta = (int32_t)delta;
    ret->has_key = !is_null;
    return e;
}

enum err records_outline(struct stream *stream, int32_t count,
                         enum err (*each)(void *context, int32_t index,
                                          const struct record_outline *record),
                         void *context)
{
    for (int32_t i = 0; i < count; i++) {
        struct record_outline record;
        enum err e = walk_record(stream, &record);
        if (!e)
            e = each(context, i, &record);
        if (e)
            return e;
    }
    bool is_end = true;
    enum err e = stream_at_end(stream, &is_end);
    if (!e && !is_end)
        e = err_note(ERR_INVALID_RECORD,
                     "Incorrect declared batch size, records still remaining in file");
    return e;
}
