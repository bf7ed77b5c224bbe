/* Lists of partitions that brokers and tools leave for the controller. */
#include <inttypes.h>

#include "coordinator/zk/znode_json.h"

#define LOG_DIR_FAILURE 1 /* the one event there is */

/* ---- {"version":1,"partitions":[{"topic":"foo","partition":0,"replicas":[4,5]}]} ---- */

static struct slice list_encode(struct arena *arena, const struct znode_partition_list *list,
                                bool with_replicas)
{
    OWNED(json_t) json_t *json = json_object();
    json_t *array = json_array();
    for (int32_t i = 0; i < list->count; i++) {
        const struct znode_partition_ref *p = &list->partitions[i];
        json_t *item = json_object();
        json_object_set_new(item, "topic", znode_json_from_slice(p->topic));
        znode_json_put_int(item, "partition", p->partition);
        if (with_replicas)
            json_object_set_new(item, "replicas", znode_json_from_ids(&p->replicas));
        json_array_append_new(array, item);
    }
    znode_json_put_int(json, "version", 1);
    json_object_set_new(json, "partitions", array);
    return znode_json_dump(arena, json);
}

static enum err item_decode(struct arena *arena, const json_t *item, bool with_replicas,
                            struct znode_partition_ref *p)
{
    enum err e = znode_json_string(arena, item, "topic", &p->topic);
    if (!e)
        e = znode_json_int32(item, "partition", &p->partition);
    if (!e && with_replicas)
        e = znode_json_ids(arena, json_object_get(item, "replicas"), &p->replicas);
    return e;
}

static enum err list_decode(struct arena *arena, const json_t *json, bool with_replicas,
                            struct znode_partition_list *ret_list)
{
    const json_t *array = json_object_get(json, "partitions");
    if (!json_is_array(array))
        return err_note(ERR_MALFORMED, "'partitions' is %s", array ? "not a list" : "missing");
    struct znode_partition_list list = {0};
    size_t count = json_array_size(array);
    list.partitions = arena_new_array(arena, struct znode_partition_ref, count ? count : 1);
    for (size_t i = 0; i < count; i++) {
        enum err e = item_decode(arena, json_array_get(array, i), with_replicas,
                                 &list.partitions[list.count++]);
        if (e)
            return e;
    }
    *ret_list = list;
    return ERR_OK;
}

static enum err plain_decode(struct arena *arena, struct slice text, const char *what,
                             struct znode_partition_list *ret_list)
{
    OWNED(json_t) json_t *json = NULL;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = list_decode(arena, json, false, ret_list);
    return e ? err_wrap(e, "%s '%.*s'", what, SLICE_ARG(text)) : ERR_OK;
}

struct slice znode_isr_change_encode(struct arena *arena, const struct znode_partition_list *list)
{
    return list_encode(arena, list, false);
}

enum err znode_isr_change_decode(struct arena *arena, struct slice text,
                                 struct znode_partition_list *ret_list)
{
    return plain_decode(arena, text, "isr change", ret_list);
}

struct slice znode_preferred_election_encode(struct arena *arena,
                                             const struct znode_partition_list *list)
{
    return list_encode(arena, list, false);
}

enum err znode_preferred_election_decode(struct arena *arena, struct slice text,
                                         struct znode_partition_list *ret_list)
{
    return plain_decode(arena, text, "/admin/preferred_replica_election", ret_list);
}

struct slice znode_reassign_encode(struct arena *arena, const struct znode_partition_list *list)
{
    return list_encode(arena, list, true);
}

/* Kafka binds this node to a class, which refuses keys it does not have. */
static enum err refuse_unknown_keys(json_t *object, const char *const *known, size_t known_count)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (i < known_count && strcmp(key, known[i]) != 0)
            i++;
        if (i == known_count)
            return err_note(ERR_MALFORMED, "the key '%s' is not allowed here", key);
    }
    return ERR_OK;
}

enum err znode_reassign_decode(struct arena *arena, struct slice text,
                               struct znode_partition_list *ret_list)
{
    static const char *const top_keys[] = {"version", "partitions"};
    static const char *const item_keys[] = {"topic", "partition", "replicas"};
    OWNED(json_t) json_t *json = NULL;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = refuse_unknown_keys(json, top_keys, ARRAY_SIZE(top_keys));
    const json_t *array = e ? NULL : json_object_get(json, "partitions");
    for (size_t i = 0; !e && i < json_array_size(array); i++)
        e = refuse_unknown_keys(json_array_get(array, i), item_keys, ARRAY_SIZE(item_keys));
    if (!e)
        e = list_decode(arena, json, true, ret_list);
    return e ? err_wrap(e, "/admin/reassign_partitions '%.*s'", SLICE_ARG(text)) : ERR_OK;
}

/* ---- {"version":1,"broker":2,"event":1} ---- */

struct slice znode_log_dir_event_encode(struct arena *arena, int32_t broker_id)
{
    return slice_str(arena_printf(arena, "{\"version\":1,\"broker\":%" PRId32 ",\"event\":%d}",
                                  broker_id, LOG_DIR_FAILURE));
}

enum err znode_log_dir_event_decode(struct slice text, int32_t *ret_broker_id)
{
    OWNED(json_t) json_t *json = NULL;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = znode_json_int32(json, "broker", ret_broker_id);
    return e ? err_wrap(e, "log dir event '%.*s'", SLICE_ARG(text)) : ERR_OK;
}
