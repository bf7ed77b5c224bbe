/* What decoding, encoding and printing share: defaults, versions of headers, and finding a message.
 */
#include "broker/wire/wire_internal.h"

#define API_VERSIONS_KEY        18
#define CONTROLLED_SHUTDOWN_KEY 7

int16_t wire_request_header_version(const struct wire_api *api, int16_t api_version)
{
    if (api->api_key == CONTROLLED_SHUTDOWN_KEY && api_version == 0)
        return 0;
    return api_version >= api->request->flexible_version ? 2 : 1;
}

int16_t wire_response_header_version(const struct wire_api *api, int16_t api_version)
{
    if (api->api_key ==
        API_VERSIONS_KEY) /* so that a client which knows no version can read it (KIP-511) */
        return 0;
    return api_version >= api->request->flexible_version ? 1 : 0;
}

const struct wire_message *wire_message_by_name(const char *name)
{
    for (size_t i = 0; i < wire_messages_count; i++)
        if (strcmp(wire_messages[i]->name, name) == 0)
            return wire_messages[i];
    return NULL;
}

size_t wire_type_size(enum wire_type type)
{
    switch (type) {
    case WIRE_BOOL:
        return sizeof(bool);
    case WIRE_INT8:
        return 1;
    case WIRE_INT16:
    case WIRE_UINT16:
        return 2;
    case WIRE_INT32:
    case WIRE_UINT32:
        return 4;
    case WIRE_INT64:
    case WIRE_FLOAT64:
        return 8;
    case WIRE_UUID:
        return sizeof(struct uuid);
    case WIRE_STRING:
    case WIRE_BYTES:
        return sizeof(struct slice);
    case WIRE_RECORDS:
        return sizeof(struct wire_records);
    case WIRE_STRUCT:
        break;
    }
    assert(!"a struct's size is in its table");
    return 0;
}

/* --- defaults --- */

bool wire_store_number(enum wire_type type, int64_t number, void *place)
{
    switch (type) {
    case WIRE_BOOL:
        *(bool *)place = number != 0;
        return true;
    case WIRE_INT8:
        *(int8_t *)place = (int8_t)number;
        return true;
    case WIRE_INT16:
    case WIRE_UINT16:
        *(int16_t *)place = (int16_t)number;
        return true;
    case WIRE_INT32:
    case WIRE_UINT32:
        *(int32_t *)place = (int32_t)number;
        return true;
    case WIRE_INT64:
        *(int64_t *)place = number;
        return true;
    default:
        return false;
    }
}

static void init_scalar(const struct wire_field *field, void *place)
{
    if (wire_store_number(field->type, field->default_value, place))
        return;
    switch (field->type) {
    case WIRE_STRING:
    case WIRE_BYTES:
        *(struct slice *)place = field->default_is_null ? SLICE_NULL : SLICE_LITERAL("");
        break;
    case WIRE_STRUCT:
        *(const void **)place = field->default_struct;
        break;
    default: /* records are null by zeroes too */
        break;
    }
}

void wire_init(const struct wire_struct *body, void *ret)
{
    memset(ret, 0, body->size_bytes);
    for (uint16_t i = 0; i < body->fields_count; i++) {
        const struct wire_field *field = &body->fields[i];
        void *place = wire_place(ret, field->offset);
        if (field->is_array)
            *wire_count(ret, field) = field->default_is_null ? -1 : 0;
        else if (field->type == WIRE_STRUCT && !wire_is_pointer(field))
            wire_init(field->of, place);
        else
            init_scalar(field, place);
    }
}

static bool scalar_is_default(const struct wire_field *field, const void *place)
{
    static const struct uuid zero;
    switch (field->type) {
    case WIRE_BOOL:
        return *(const bool *)place == (field->default_value != 0);
    case WIRE_INT8:
        return *(const int8_t *)place == field->default_value;
    case WIRE_INT16:
        return *(const int16_t *)place == field->default_value;
    case WIRE_UINT16:
        return *(const uint16_t *)place == field->default_value;
    case WIRE_INT32:
        return *(const int32_t *)place == field->default_value;
    case WIRE_UINT32:
        return *(const uint32_t *)place == field->default_value;
    case WIRE_INT64:
        return *(const int64_t *)place == field->default_value;
    case WIRE_FLOAT64:
        return *(const double *)place == (double)field->default_value;
    case WIRE_UUID:
        return uuid_equal(*(const struct uuid *)place, zero);
    case WIRE_STRING:
    case WIRE_BYTES: {
        const struct slice *s = place;
        return field->default_is_null ? !s->data : s->data && s->size == 0;
    }
    case WIRE_RECORDS:
        return !((const struct wire_records *)place)->bytes.data &&
               !((const struct wire_records *)place)->external;
    case WIRE_STRUCT:
        break;
    }
    return false;
}

static bool struct_is_default(const struct wire_struct *body, const void *value)
{
    /* Tags that we do not know are a value too: without this they would be lost on the way through.
     */
    if (body->tags_offset != WIRE_NO_TAGS &&
        ((const struct wire_tags *)wire_place_const(value, body->tags_offset))->tags_count > 0)
        return false;
    for (uint16_t i = 0; i < body->fields_count; i++)
        if (!wire_is_default(&body->fields[i], value))
            return false;
    return true;
}

bool wire_is_default(const struct wire_field *field, const void *value)
{
    const void *place = wire_place_const(value, field->offset);
    if (field->is_array)
        return wire_count_of(value, field) == (field->default_is_null ? -1 : 0);
    if (wire_is_pointer(field)) {
        const void *held = *(void *const *)place;
        return field->default_struct ? held && struct_is_default(field->of, held) : !held;
    }
    if (field->type == WIRE_STRUCT)
        return struct_is_default(field->of, place);
    return scalar_is_default(field, place);
}
