/* Settings of topics, brokers, users, clients and addresses, and the notes that they changed. */
#include <inttypes.h>

#include "coordinator/zk/znode_json.h"

/* ---- {"version":1,"config":{"retention.ms":"3600000"}} ---- */

struct slice znode_config_update(struct arena *arena, struct slice text,
                                 const struct znode_config *config)
{
    OWNED(json_t) json_t *json = znode_json_edit(text);
    json_t *object = json_object();
    for (int32_t i = 0; i < config->count; i++) {
        const struct znode_setting *s = &config->settings[i];
        json_object_setn_new(object, (const char *)s->name.data, s->name.size,
                             znode_json_from_slice(s->value));
    }
    znode_json_put_int(json, "version", 1);
    json_object_set_new(json, "config", object);
    return znode_json_dump(arena, json);
}

struct slice znode_config_encode(struct arena *arena, const struct znode_config *config)
{
    return znode_config_update(arena, SLICE_NULL, config);
}

enum err znode_config_decode(struct arena *arena, struct slice text,
                             struct znode_config *ret_config)
{
    struct znode_config config = {0};
    OWNED(json_t) json_t *json = NULL;
    if (znode_json_parse(text, &json)) {
        *ret_config = config;
        return ERR_OK;
    }
    int32_t version = 0;
    json_t *object = json_object_get(json, "config");
    enum err e = znode_json_int32(json, "version", &version);
    if (!e && version != 1)
        e = err_note(ERR_MALFORMED, "version %" PRId32 " is not supported", version);
    if (!e && object && !json_is_object(object))
        e = err_note(ERR_MALFORMED, "'config' is not an object");
    size_t count = e ? 0 : json_object_size(object);
    config.settings = arena_new_array(arena, struct znode_setting, count ? count : 1);
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        struct znode_setting *s = &config.settings[config.count];
        s->name = slice_str(arena_strdup(arena, slice_str(name)));
        if (!e)
            e = znode_json_string(arena, object, name, &s->value);
        config.count += !e;
    }
    if (e) /* the values may be secrets: not in the sentence */
        return err_wrap(e, "settings of a znode");
    *ret_config = config;
    return ERR_OK;
}

/* ---- {"version":2,"entity_path":"topics/foo"} ---- */

struct slice znode_config_change_encode(struct arena *arena, struct slice entity_path)
{
    OWNED(json_t) json_t *json = json_object();
    znode_json_put_int(json, "version", 2);
    json_object_set_new(json, "entity_path", znode_json_from_slice(entity_path));
    return znode_json_dump(arena, json);
}

enum err znode_config_change_decode(struct arena *arena, struct slice text,
                                    struct slice *ret_entity_path)
{
    OWNED(json_t) json_t *json = NULL;
    int32_t version = 0;
    if (znode_json_parse(text, &json))
        return err_note(ERR_NOT_FOUND, "the notification is not JSON");
    enum err e = znode_json_int32(json, "version", &version);
    if (!e && version == 1) { /* {"version":1,"entity_type":"topics","entity_name":"foo"} */
        struct slice type, name;
        e = znode_json_string(arena, json, "entity_type", &type);
        if (!e && !slice_equal_str(type, "topics") && !slice_equal_str(type, "clients"))
            e = err_note(ERR_MALFORMED, "entity_type '%.*s' is not known", SLICE_ARG(type));
        if (!e)
            e = znode_json_string(arena, json, "entity_name", &name);
        if (!e)
            *ret_entity_path =
                slice_str(arena_printf(arena, "%.*s/%.*s", SLICE_ARG(type), SLICE_ARG(name)));
    } else if (!e && version == 2) {
        e = znode_json_string(arena, json, "entity_path", ret_entity_path);
    } else if (!e) {
        e = err_note(ERR_MALFORMED, "version %" PRId32 " is not supported", version);
    }
    return e ? err_wrap(e, "config change '%.*s'", SLICE_ARG(text)) : ERR_OK;
}
