/* A topic's assignment and a partition's state. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/base/buf.h"
#include "coordinator/zk/znode_json.h"

#define LED_ZXID_KEY    "stoker_led_zxid"
#define LED_VERSION_KEY "stoker_led_version"

#define TOPIC_JSON_VERSION 3

/* ----
 * {"partitions":{"0":[1]},"topic_id":"…","adding_replicas":{},"removing_replicas":{},"version":3}
 * ---- */

static void put_replicas(json_t *object, int32_t partition, const struct znode_replicas *replicas)
{
    char key[16];
    snprintf(key, sizeof key, "%" PRId32, partition);
    json_object_set_new(object, key, znode_json_from_ids(replicas));
}

struct slice znode_topic_update(struct arena *arena, struct slice text,
                                const struct znode_topic *topic)
{
    OWNED(json_t) json_t *json = znode_json_edit(text);
    json_t *all = json_object(), *adding = json_object(), *removing = json_object();
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct znode_topic_partition *p = &topic->partitions[i];
        put_replicas(all, p->partition, &p->replicas);
        if (p->adding.count)
            put_replicas(adding, p->partition, &p->adding);
        if (p->removing.count)
            put_replicas(removing, p->partition, &p->removing);
    }
    json_object_set_new(json, "partitions", all);
    if (!uuid_is_zero(topic->topic_id)) {
        char id[UUID_TEXT_SIZE];
        uuid_text(topic->topic_id, id);
        json_object_set_new(json, "topic_id", json_string(id));
    }
    json_object_set_new(json, "adding_replicas", adding);
    json_object_set_new(json, "removing_replicas", removing);
    znode_json_put_int(json, "version", TOPIC_JSON_VERSION);
    return znode_json_dump(arena, json);
}

struct slice znode_topic_encode(struct arena *arena, const struct znode_topic *topic)
{
    return znode_topic_update(arena, SLICE_NULL, topic);
}

static int by_partition(const void *a, const void *b)
{
    int32_t p = ((const struct znode_topic_partition *)a)->partition;
    int32_t q = ((const struct znode_topic_partition *)b)->partition;
    return (p > q) - (p < q);
}

static enum err moves_parse(struct arena *arena, const json_t *json, const char *key,
                            const char *partition, struct znode_replicas *ret_replicas)
{
    const json_t *list = json_object_get(json_object_get(json, key), partition);
    return list ? znode_json_ids(arena, list, ret_replicas) : ERR_OK;
}

static enum err partitions_parse(struct arena *arena, const json_t *json, struct znode_topic *topic)
{
    json_t *object = json_object_get(json, "partitions");
    size_t count = json_object_size(object);
    topic->partitions = arena_new_array(arena, struct znode_topic_partition, count ? count : 1);
    const char *key;
    json_t *list;
    json_object_foreach(object, key, list)
    {
        struct znode_topic_partition *p = &topic->partitions[topic->partition_count++];
        int64_t number;
        if (!slice_to_int64(slice_str(key), &number) || number < 0 || number > INT32_MAX)
            return err_note(ERR_MALFORMED, "partition '%s' is not a number", key);
        p->partition = (int32_t)number;
        enum err e = znode_json_ids(arena, list, &p->replicas);
        if (!e)
            e = moves_parse(arena, json, "adding_replicas", key, &p->adding);
        if (!e)
            e = moves_parse(arena, json, "removing_replicas", key, &p->removing);
        if (e)
            return err_wrap(e, "partition %s", key);
    }
    qsort(topic->partitions, (size_t)topic->partition_count, sizeof *topic->partitions,
          by_partition);
    return ERR_OK;
}

enum err znode_topic_decode(struct arena *arena, struct slice text, struct znode_topic *ret_topic)
{
    struct znode_topic topic = {0};
    OWNED(json_t) json_t *json = NULL;
    if (znode_json_parse(text, &json)) {
        *ret_topic = topic;
        return ERR_OK;
    }
    enum err e = partitions_parse(arena, json, &topic);
    const json_t *id = json_object_get(json, "topic_id");
    if (!e && json_is_string(id) &&
        !uuid_parse(slice_of(json_string_value(id), json_string_length(id)), &topic.topic_id))
        e = err_note(ERR_MALFORMED, "'topic_id' is not a UUID");
    if (e)
        return err_wrap(e, "topic assignment '%.*s'", SLICE_ARG(text));
    *ret_topic = topic;
    return ERR_OK;
}

/* ---- {"controller_epoch":1,"leader":2,"version":1,"leader_epoch":7,"isr":[2,3]} ---- */

/* {"controller_epoch":1,"leader":-1,"version":1,"leader_epoch":8,"isr":[2],"stoker_led_zxid":8589934601,
 *  "stoker_led_version":4} */
static bool tells_who_led(const struct znode_partition_state *state)
{
    return state->led_zxid > 0;
}

/* Written by the ten thousand at a fail-over, so without a tree. */
struct slice znode_partition_state_encode(struct arena *arena,
                                          const struct znode_partition_state *state)
{
    struct buf buf = {0};
    buf_printf(&buf, "{\"controller_epoch\":%" PRId32 ",\"leader\":%" PRId32 ",\"version\":1",
               state->controller_epoch, state->leader);
    if (state->recovery_state)
        buf_printf(&buf, ",\"leader_recovery_state\":%d", state->recovery_state);
    buf_printf(&buf, ",\"leader_epoch\":%" PRId32 ",\"isr\":[", state->leader_epoch);
    for (int32_t i = 0; i < state->isr.count; i++)
        buf_printf(&buf, "%s%" PRId32, i ? "," : "", state->isr.ids[i]);
    buf_printf(&buf, "]");
    if (tells_who_led(state))
        buf_printf(&buf, ",\"" LED_ZXID_KEY "\":%" PRId64 ",\"" LED_VERSION_KEY "\":%" PRId32,
                   state->led_zxid, state->led_version);
    buf_printf(&buf, "}");
    struct slice text = arena_copy(arena, buf_slice(&buf));
    buf_done(&buf);
    return text;
}

struct slice znode_partition_state_update(struct arena *arena, struct slice text,
                                          const struct znode_partition_state *state)
{
    OWNED(json_t) json_t *json = znode_json_edit(text);
    znode_json_put_int(json, "controller_epoch", state->controller_epoch);
    znode_json_put_int(json, "leader", state->leader);
    znode_json_put_int(json, "version", 1);
    /* In the JVM broker's order, in which a recovery that begins comes before what stood there. */
    json_object_del(json, "leader_recovery_state");
    json_object_del(json, "leader_epoch");
    json_object_del(json, "isr");
    if (state->recovery_state)
        znode_json_put_int(json, "leader_recovery_state", state->recovery_state);
    znode_json_put_int(json, "leader_epoch", state->leader_epoch);
    json_object_set_new(json, "isr", znode_json_from_ids(&state->isr));
    if (tells_who_led(state)) {
        znode_json_put_int(json, LED_ZXID_KEY, state->led_zxid);
        znode_json_put_int(json, LED_VERSION_KEY, state->led_version);
    } else {
        json_object_del(json, LED_ZXID_KEY);
        json_object_del(json, LED_VERSION_KEY);
    }
    return znode_json_dump(arena, json);
}

static void who_led(const json_t *json, struct znode_partition_state *state)
{
    const json_t *zxid = json_object_get(json, LED_ZXID_KEY);
    if (!json_is_integer(zxid) || json_integer_value(zxid) <= 0 ||
        znode_json_int32(json, LED_VERSION_KEY, &state->led_version))
        return;
    state->led_zxid = json_integer_value(zxid);
}

enum err znode_partition_state_decode(struct arena *arena, struct slice text,
                                      struct znode_partition_state *ret_state)
{
    struct znode_partition_state state = {0};
    OWNED(json_t) json_t *json = NULL;
    int32_t recovery_state = 0;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = znode_json_int32(json, "leader", &state.leader);
    if (!e)
        e = znode_json_int32(json, "leader_epoch", &state.leader_epoch);
    if (!e)
        e = znode_json_int32(json, "controller_epoch", &state.controller_epoch);
    if (!e)
        e = znode_json_ids(arena, json_object_get(json, "isr"), &state.isr);
    if (!e && json_object_get(json, "leader_recovery_state"))
        e = znode_json_int32(json, "leader_recovery_state", &recovery_state);
    if (!e && (recovery_state < 0 || recovery_state > 1))
        e = err_note(ERR_MALFORMED, "'leader_recovery_state' is not known");
    if (e)
        return err_wrap(e, "partition state '%.*s'", SLICE_ARG(text));
    state.recovery_state = (int8_t)recovery_state;
    who_led(json, &state);
    *ret_state = state;
    return ERR_OK;
}
