/* Printing a message as one line, by the tables. */
#include <inttypes.h>

#include "broker/wire/wire_internal.h"

static void print_string(struct buf *out, struct slice s)
{
    if (!s.data) {
        buf_printf(out, "null");
        return;
    }
    buf_put_u8(out, '"');
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_put_u8(out, c);
    }
    buf_put_u8(out, '"');
}

static void print_size(struct buf *out, struct slice s)
{
    if (s.data)
        buf_printf(out, "\"%zu bytes\"", s.size);
    else
        buf_printf(out, "null");
}

static void print_struct(struct buf *out, const struct wire_struct *body, int16_t version,
                         const void *value);

static void print_uuid(struct buf *out, const struct uuid *id)
{
    char text[UUID_TEXT_SIZE];
    uuid_text(*id, text);
    buf_printf(out, "\"%s\"", text);
}

static void print_records(struct buf *out, const struct wire_records *records)
{
    if (records->external)
        buf_printf(out, "\"%zu bytes\"", records->external_size);
    else
        print_size(out, records->bytes);
}

static void print_scalar(struct buf *out, const struct wire_field *field, int16_t version,
                         const void *place)
{
    switch (field->type) {
    case WIRE_BOOL:
        buf_printf(out, *(const bool *)place ? "true" : "false");
        break;
    case WIRE_INT8:
        buf_printf(out, "%d", *(const int8_t *)place);
        break;
    case WIRE_INT16:
        buf_printf(out, "%d", *(const int16_t *)place);
        break;
    case WIRE_UINT16:
        buf_printf(out, "%u", *(const uint16_t *)place);
        break;
    case WIRE_INT32:
        buf_printf(out, "%" PRId32, *(const int32_t *)place);
        break;
    case WIRE_UINT32:
        buf_printf(out, "%" PRIu32, *(const uint32_t *)place);
        break;
    case WIRE_INT64:
        buf_printf(out, "%" PRId64, *(const int64_t *)place);
        break;
    case WIRE_FLOAT64:
        buf_printf(out, "%.17g", *(const double *)place);
        break;
    case WIRE_UUID:
        print_uuid(out, place);
        break;
    case WIRE_STRING:
        print_string(out, *(const struct slice *)place);
        break;
    case WIRE_BYTES:
        print_size(out, *(const struct slice *)place);
        break;
    case WIRE_RECORDS:
        print_records(out, place);
        break;
    case WIRE_STRUCT:
        print_struct(out, field->of, version, place);
        break;
    }
}

static void print_array(struct buf *out, const struct wire_field *field, int16_t version,
                        const void *base)
{
    int32_t count = wire_count_of(base, field);
    if (count < 0) {
        buf_printf(out, "null");
        return;
    }
    const char *elements = *(const char *const *)wire_place_const(base, field->offset);
    size_t element_size = wire_element_size(field);
    buf_put_u8(out, '[');
    for (int32_t i = 0; i < count; i++) {
        if (i)
            buf_put_u8(out, ',');
        print_scalar(out, field, version, elements + (size_t)i * element_size);
    }
    buf_put_u8(out, ']');
}

static void print_field(struct buf *out, const struct wire_field *field, int16_t version,
                        const void *base)
{
    const void *place = wire_place_const(base, field->offset);
    if (field->is_array) {
        print_array(out, field, version, base);
    } else if (wire_is_pointer(field)) {
        const void *held = *(void *const *)place;
        if (held)
            print_struct(out, field->of, version, held);
        else
            buf_printf(out, "null");
    } else {
        print_scalar(out, field, version, place);
    }
}

static void print_struct(struct buf *out, const struct wire_struct *body, int16_t version,
                         const void *value)
{
    bool is_first = true;
    buf_put_u8(out, '{');
    for (uint16_t i = 0; i < body->fields_count; i++) {
        const struct wire_field *field = &body->fields[i];
        if (!wire_has_version(field, version))
            continue;
        buf_printf(out, "%s\"%s\":", is_first ? "" : ",", field->name);
        is_first = false;
        print_field(out, field, version, value);
    }
    buf_put_u8(out, '}');
}

void wire_print(const struct wire_message *message, struct buf *out, int16_t version,
                const void *value)
{
    buf_printf(out, "%s ", message->name);
    print_struct(out, message->body, version, value);
}
