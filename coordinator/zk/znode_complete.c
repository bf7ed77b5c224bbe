/* …/partitions/P/stoker_complete, beside Kafka's own state znode, which a JVM controller rebuilds
 * from the keys it knows and so could not keep this in:
 * {"version":1,"leader":1,"broker_epoch":8589934601,"state_version":4,
 *  "complete":[{"broker":2,"broker_epoch":8589934599}]}
 * A controller's has "settings_zxid":8589934580 besides.
 * It goes with its topic: whoever deletes a topic deletes all below its znode. */
#include <inttypes.h>

#include "coordinator/zk/znode_json.h"

const char *znode_complete_path(struct arena *arena, struct slice topic, int32_t partition)
{
    return arena_printf(arena, "/brokers/topics/%.*s/partitions/%" PRId32 "/stoker_complete",
                        SLICE_ARG(topic), partition);
}

struct slice znode_complete_encode(struct arena *arena, const struct znode_complete *complete)
{
    OWNED(json_t) json_t *json = json_object();
    json_t *list = json_array();
    for (int32_t i = 0; i < complete->replica_count; i++) {
        json_t *item = json_object();
        znode_json_put_int(item, "broker", complete->replicas[i].broker_id);
        znode_json_put_int(item, "broker_epoch", complete->replicas[i].broker_epoch);
        json_array_append_new(list, item);
    }
    znode_json_put_int(json, "version", 1);
    znode_json_put_int(json, "leader", complete->leader);
    znode_json_put_int(json, "broker_epoch", complete->leader_broker_epoch);
    znode_json_put_int(json, "state_version", complete->state_version);
    json_object_set_new(json, "complete", list);
    if (complete->is_of_controller)
        znode_json_put_int(json, "settings_zxid", complete->settings_zxid);
    return znode_json_dump(arena, json);
}

static enum err broker_epoch_of(const json_t *json, int64_t *ret_epoch)
{
    const json_t *value = json_object_get(json, "broker_epoch");
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return err_note(ERR_MALFORMED, "'broker_epoch' is no epoch");
    *ret_epoch = json_integer_value(value);
    return ERR_OK;
}

static enum err replicas_parse(struct arena *arena, const json_t *list,
                               struct znode_complete *complete)
{
    if (!json_is_array(list))
        return err_note(ERR_MALFORMED, "'complete' is no list");
    size_t count = json_array_size(list);
    complete->replicas = arena_new_array(arena, struct znode_complete_replica, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct znode_complete_replica *replica = &complete->replicas[complete->replica_count++];
        enum err e = znode_json_int32(json_array_get(list, i), "broker", &replica->broker_id);
        if (!e)
            e = broker_epoch_of(json_array_get(list, i), &replica->broker_epoch);
        if (e)
            return e;
    }
    return ERR_OK;
}

enum err znode_complete_decode(struct arena *arena, struct slice text,
                               struct znode_complete *ret_complete)
{
    struct znode_complete complete = {0};
    OWNED(json_t) json_t *json = NULL;
    int32_t version = 0;
    enum err e = znode_json_parse(text, &json);
    if (!e)
        e = znode_json_int32(json, "version", &version);
    if (!e && version != 1)
        e = err_note(ERR_MALFORMED, "version %" PRId32 " is not known", version);
    if (!e)
        e = znode_json_int32(json, "leader", &complete.leader);
    if (!e)
        e = broker_epoch_of(json, &complete.leader_broker_epoch);
    if (!e)
        e = znode_json_int32(json, "state_version", &complete.state_version);
    if (!e)
        e = replicas_parse(arena, json_object_get(json, "complete"), &complete);
    const json_t *settings_zxid = json_object_get(json, "settings_zxid");
    complete.is_of_controller = settings_zxid != NULL;
    if (!e && settings_zxid && !json_is_integer(settings_zxid))
        e = err_note(ERR_MALFORMED, "'settings_zxid' is no zxid");
    complete.settings_zxid = json_integer_value(settings_zxid);
    if (e)
        return err_wrap(e, "complete replicas '%.*s'", SLICE_ARG(text));
    *ret_complete = complete;
    return ERR_OK;
}
