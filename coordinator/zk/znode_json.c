/* jansson under Kafka's rules. */
#include "coordinator/zk/znode_json.h"

#include <inttypes.h>
#include <stdio.h>

enum err znode_json_parse(struct slice text, json_t **ret_json)
{
    json_error_t error = {0};
    if (slice_is_null(text) || text.size == 0)
        return err_note(ERR_MALFORMED, "there is no JSON, the data is %s",
                        slice_is_null(text) ? "null" : "empty");
    json_t *json = json_loadb((const char *)text.data, text.size, JSON_ALLOW_NUL, &error);
    if (!json)
        return err_note(ERR_MALFORMED, "it is not JSON: %s", error.text);
    if (!json_is_object(json)) {
        json_decref(json);
        return err_note(ERR_MALFORMED, "it is JSON, but not an object");
    }
    *ret_json = json;
    return ERR_OK;
}

json_t *znode_json_edit(struct slice text)
{
    json_t *json = NULL;
    if (slice_is_null(text) || text.size == 0 || znode_json_parse(text, &json))
        return json_object();
    return json;
}

struct slice znode_json_dump(struct arena *arena, const json_t *json)
{
    size_t size = json_dumpb(json, NULL, 0, JSON_COMPACT);
    assert(size > 0); /* objects are never empty text */
    char *text = arena_alloc(arena, size + 1);
    json_dumpb(json, text, size, JSON_COMPACT);
    return slice_of(text, size);
}

static enum err integer(const json_t *json, const char *key, int64_t min, int64_t max,
                        int64_t *ret_value)
{
    const json_t *value = json_object_get(json, key);
    if (!json_is_integer(value))
        return err_note(ERR_MALFORMED, "'%s' is %s", key, value ? "not an integer" : "missing");
    int64_t number = json_integer_value(value);
    if (number < min || number > max)
        return err_note(ERR_MALFORMED, "'%s' is out of range: %" PRId64, key, number);
    *ret_value = number;
    return ERR_OK;
}

enum err znode_json_int32(const json_t *json, const char *key, int32_t *ret_value)
{
    int64_t value = 0;
    enum err e = integer(json, key, INT32_MIN, INT32_MAX, &value);
    if (!e)
        *ret_value = (int32_t)value;
    return e;
}

enum err znode_json_int16(const json_t *json, const char *key, int16_t *ret_value)
{
    int64_t value = 0;
    enum err e = integer(json, key, INT16_MIN, INT16_MAX, &value);
    if (!e)
        *ret_value = (int16_t)value;
    return e;
}

enum err znode_json_int64_text(const json_t *json, const char *key, int64_t *ret_value)
{
    const json_t *value = json_object_get(json, key);
    if (!json_is_string(value) ||
        !slice_to_int64(slice_of(json_string_value(value), json_string_length(value)), ret_value))
        return err_note(ERR_MALFORMED, "'%s' is %s", key,
                        value ? "not a number written as a string" : "missing");
    return ERR_OK;
}

enum err znode_json_string(struct arena *arena, const json_t *json, const char *key,
                           struct slice *ret_value)
{
    const json_t *value = json_object_get(json, key);
    if (!json_is_string(value))
        return err_note(ERR_MALFORMED, "'%s' is %s", key, value ? "not a string" : "missing");
    struct slice text = slice_of(json_string_value(value), json_string_length(value));
    *ret_value = slice_of(arena_strdup(arena, text), text.size);
    return ERR_OK;
}

enum err znode_json_ids(struct arena *arena, const json_t *array, struct znode_replicas *ret_ids)
{
    if (!json_is_array(array))
        return err_note(ERR_MALFORMED, "a list of broker ids is %s",
                        array ? "not a list" : "missing");
    size_t count = json_array_size(array);
    int32_t *ids = arena_new_array(arena, int32_t, count ? count : 1);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        int64_t id = json_is_integer(value) ? json_integer_value(value) : INT64_MAX;
        if (id < INT32_MIN || id > INT32_MAX)
            return err_note(ERR_MALFORMED, "a broker id is not a 32-bit integer");
        ids[i] = (int32_t)id;
    }
    *ret_ids = (struct znode_replicas){ids, (int32_t)count};
    return ERR_OK;
}

json_t *znode_json_from_ids(const struct znode_replicas *ids)
{
    json_t *array = json_array();
    for (int32_t i = 0; i < ids->count; i++)
        json_array_append_new(array, json_integer(ids->ids[i]));
    return array;
}

json_t *znode_json_from_slice(struct slice s)
{
    return slice_is_null(s) ? json_null() : json_stringn((const char *)s.data, s.size);
}

json_t *znode_json_from_int64_text(int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return json_string(text);
}

void znode_json_put_int(json_t *json, const char *key, int64_t value)
{
    json_object_set_new(json, key, json_integer(value));
}
