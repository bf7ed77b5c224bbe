/* Encoding: appends to a buffer by the tables. The size of a tagged field stands before it, so it
 * is written first and moved up by the few bytes that its size needs. */
#include "broker/base/varint.h"
#include "broker/wire/wire_internal.h"

struct writer {
    struct wire_out *out;
    int16_t version;
    bool is_flexible;
};

static void put_uvarint(struct writer *w, uint32_t value)
{
    buf_reserve(&w->out->bytes, VARINT_MAX_BYTES);
    w->out->bytes.size += uvarint_put(w->out->bytes.data + w->out->bytes.size, value);
}

static void put_length(struct writer *w, bool is_short, bool is_compact, int64_t length)
{
    if (is_compact)
        put_uvarint(w, (uint32_t)(length + 1));
    else if (is_short)
        buf_put_be16(&w->out->bytes, (uint16_t)length);
    else
        buf_put_be32(&w->out->bytes, (uint32_t)length);
}

static enum err put_slice(struct writer *w, const struct wire_field *field, struct slice s,
                          bool in_array)
{
    bool is_compact = w->is_flexible && !field->is_inflexible;
    if (!s.data) {
        if (in_array || !wire_is_nullable(field, w->version))
            return err_note(ERR_MALFORMED, "null stands where none may");
        put_length(w, field->type == WIRE_STRING, is_compact, -1);
        return ERR_OK;
    }
    if (field->type == WIRE_STRING && s.size > INT16_MAX)
        return err_note(ERR_MALFORMED, "a string of %zu bytes", s.size);
    put_length(w, field->type == WIRE_STRING, is_compact, (int64_t)s.size);
    buf_put_slice(&w->out->bytes, s);
    return ERR_OK;
}

static enum err put_records(struct writer *w, const struct wire_field *field,
                            const struct wire_records *records)
{
    if (!records->external)
        return put_slice(w, field, records->bytes, false);
    struct wire_out *out = w->out;
    put_length(w, false, w->is_flexible, (int64_t)records->external_size);
    out->splices = mem_grow(out->splices, &out->splices_capacity, out->splices_count + 1,
                            sizeof out->splices[0]);
    out->splices[out->splices_count++] =
        (struct wire_splice){out->bytes.size, records->external_size, records->external};
    return ERR_OK;
}

static enum err put_struct(struct writer *w, const struct wire_struct *body, const void *value);

static enum err put_scalar(struct writer *w, const struct wire_field *field, const void *place,
                           bool in_array)
{
    struct buf *out = &w->out->bytes;
    switch (field->type) {
    case WIRE_BOOL:
        buf_put_u8(out, *(const bool *)place);
        return ERR_OK;
    case WIRE_INT8:
        buf_put_u8(out, *(const uint8_t *)place);
        return ERR_OK;
    case WIRE_INT16:
    case WIRE_UINT16:
        buf_put_be16(out, *(const uint16_t *)place);
        return ERR_OK;
    case WIRE_INT32:
    case WIRE_UINT32:
        buf_put_be32(out, *(const uint32_t *)place);
        return ERR_OK;
    case WIRE_INT64:
    case WIRE_FLOAT64:
        buf_put_be64(out, *(const uint64_t *)place);
        return ERR_OK;
    case WIRE_UUID:
        buf_put(out, place, sizeof(struct uuid));
        return ERR_OK;
    case WIRE_STRING:
    case WIRE_BYTES:
        return put_slice(w, field, *(const struct slice *)place, in_array);
    case WIRE_RECORDS:
        return put_records(w, field, place);
    case WIRE_STRUCT:
        return put_struct(w, field->of, place);
    }
    return ERR_MALFORMED;
}

static enum err put_array(struct writer *w, const struct wire_field *field, const void *base)
{
    int32_t count = wire_count_of(base, field);
    if (count < 0 && !wire_is_nullable(field, w->version))
        return err_note(ERR_MALFORMED, "a null array stands where none may");
    put_length(w, false, w->is_flexible, count < 0 ? -1 : count);
    const char *elements = *(const char *const *)wire_place_const(base, field->offset);
    size_t element_size = wire_element_size(field);
    enum err e = ERR_OK;
    for (int32_t i = 0; !e && i < count; i++)
        e = put_scalar(w, field, elements + (size_t)i * element_size, true);
    return e;
}

static enum err put_nullable_struct(struct writer *w, const struct wire_field *field,
                                    const void *held)
{
    if (!held && !wire_is_nullable(field, w->version))
        return err_note(ERR_MALFORMED, "null stands where none may");
    /* The JVM marks null otherwise in a tagged field. */
    uint8_t null_mark = field->tag >= 0 && w->is_flexible ? 0 : 0xff;
    buf_put_u8(&w->out->bytes, held ? 1 : null_mark);
    return held ? put_struct(w, field->of, held) : ERR_OK;
}

static enum err put_field(struct writer *w, const struct wire_field *field, const void *base)
{
    enum err e;
    if (field->is_array)
        e = put_array(w, field, base);
    else if (wire_is_pointer(field))
        e = put_nullable_struct(w, field, *(void *const *)wire_place_const(base, field->offset));
    else
        e = put_scalar(w, field, wire_place_const(base, field->offset), false);
    return e ? err_wrap(e, "%s", field->name) : ERR_OK;
}

/* --- tagged fields --- */

static bool is_written_as_tag(const struct writer *w, const struct wire_field *field,
                              const void *value)
{
    return field->tag >= 0 && wire_has_version(field, w->version) && !wire_is_default(field, value);
}

static void shift_splices(struct wire_out *out, size_t from, size_t by)
{
    for (size_t i = out->splices_count; i > 0 && out->splices[i - 1].at >= from; i--)
        out->splices[i - 1].at += by;
}

static enum err put_known_tag(struct writer *w, const struct wire_field *field, const void *value)
{
    struct buf *out = &w->out->bytes;
    put_uvarint(w, (uint32_t)field->tag);
    size_t start = out->size;
    enum err e = put_field(w, field, value);
    if (e)
        return e;
    uint8_t size[VARINT_MAX_BYTES];
    size_t length = out->size - start, used = uvarint_put(size, (uint32_t)length);
    buf_extend(out, used);
    memmove(out->data + start + used, out->data + start, length);
    memcpy(out->data + start, size, used);
    shift_splices(w->out, start, used);
    return ERR_OK;
}

static void put_unknown_tag(struct writer *w, const struct wire_tag *tag)
{
    put_uvarint(w, tag->tag);
    put_uvarint(w, (uint32_t)tag->data.size);
    buf_put_slice(&w->out->bytes, tag->data);
}

static const struct wire_field *next_known(const struct writer *w, const struct wire_struct *body,
                                           const void *value, int32_t after)
{
    const struct wire_field *next = NULL;
    for (uint16_t i = 0; i < body->fields_count; i++) {
        const struct wire_field *field = &body->fields[i];
        if (is_written_as_tag(w, field, value) && field->tag > after &&
            (!next || field->tag < next->tag))
            next = field;
    }
    return next;
}

/* Known and unknown ones together, ascending. */
static enum err put_tags(struct writer *w, const struct wire_struct *body, const void *value)
{
    const struct wire_tags *unknown = wire_place_const(value, body->tags_offset);
    uint32_t count = (uint32_t)unknown->tags_count;
    for (uint16_t i = 0; i < body->fields_count; i++)
        count += is_written_as_tag(w, &body->fields[i], value);
    put_uvarint(w, count);
    int32_t place = 0;
    const struct wire_field *field = count ? next_known(w, body, value, -1) : NULL;
    while (field || place < unknown->tags_count) {
        if (!field ||
            (place < unknown->tags_count && unknown->tags[place].tag < (uint32_t)field->tag)) {
            put_unknown_tag(w, &unknown->tags[place++]);
            continue;
        }
        enum err e = put_known_tag(w, field, value);
        if (e)
            return e;
        field = next_known(w, body, value, field->tag);
    }
    return ERR_OK;
}

static enum err put_struct(struct writer *w, const struct wire_struct *body, const void *value)
{
    for (uint16_t i = 0; i < body->fields_count; i++) {
        const struct wire_field *field = &body->fields[i];
        enum err e = ERR_OK;
        if (!wire_has_version(field, w->version)) {
            if (!field->is_ignorable && !wire_is_default(field, value))
                e = err_note(ERR_UNSUPPORTED_VERSION, "%s has a value that version %d cannot carry",
                             field->name, w->version);
        } else if (field->tag < 0 || !w->is_flexible) {
            e = put_field(w, field, value);
        }
        if (e)
            return e;
    }
    return w->is_flexible ? put_tags(w, body, value) : ERR_OK;
}

enum err wire_encode_out(const struct wire_message *message, struct wire_out *out, int16_t version,
                         const void *value)
{
    if (version < message->min_version || version > message->max_version)
        return err_note(ERR_UNSUPPORTED_VERSION, "%s has no version %d", message->name, version);
    struct writer w = {
        .out = out, .version = version, .is_flexible = version >= message->flexible_version};
    enum err e = put_struct(&w, message->body, value);
    return e ? err_wrap(e, "%s version %d", message->name, version) : ERR_OK;
}

enum err wire_encode(const struct wire_message *message, struct buf *out, int16_t version,
                     const void *value)
{
    struct wire_out whole = {.bytes = *out};
    enum err e = wire_encode_out(message, &whole, version, value);
    *out = whole.bytes;
    assert(whole.splices_count == 0);
    return e;
}

void wire_out_done(struct wire_out *out)
{
    buf_done(&out->bytes);
    free(out->splices);
    *out = (struct wire_out){0};
}
