/* Between coordinator/zk's view of the znodes and the controller's own structs. */
#include "coordinator/controller/codec.h"

#include <inttypes.h>

#include "broker/base/buf.h"

#include "coordinator/zk/znode.h"

struct slice codec_controller_encode(struct arena *arena, int32_t broker_id, int64_t timestamp_ms)
{
    return znode_controller_encode(arena, broker_id, timestamp_ms);
}

enum err codec_controller_decode(struct slice text, int32_t *ret_broker_id)
{
    struct znode_controller controller;
    enum err e = znode_controller_decode(text, &controller);
    if (!e)
        *ret_broker_id = controller.broker_id;
    return e;
}

enum err codec_controller_epoch_decode(struct slice text, int32_t *ret_epoch)
{
    return znode_controller_epoch_decode(text, ret_epoch);
}

/* ---- Brokers ---- */

static char *endpoint_text(const struct znode_broker *broker)
{
    struct buf text = {0};
    for (int32_t i = 0; i < broker->endpoint_count; i++)
        buf_printf(&text, "%.*s://%.*s:%" PRId32 "/%d,", SLICE_ARG(broker->endpoints[i].listener),
                   SLICE_ARG(broker->endpoints[i].host), broker->endpoints[i].port,
                   broker->endpoints[i].security_protocol);
    for (int32_t i = 0; i < broker->feature_count; i++)
        buf_printf(&text, "%.*s:%d-%d,", SLICE_ARG(broker->features[i].name),
                   broker->features[i].min_version, broker->features[i].max_version);
    buf_put_u8(&text, 0);
    return (char *)text.data;
}

enum err codec_broker_decode(struct slice text, struct broker_node *broker)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_broker znode;
    enum err e = znode_broker_decode(arena, text, &znode);
    if (e)
        return e;
    broker->endpoints = mem_new_array(struct controller_endpoint, (size_t)znode.endpoint_count + 1);
    broker->endpoint_count = znode.endpoint_count;
    for (int32_t i = 0; i < znode.endpoint_count; i++)
        broker->endpoints[i] =
            (struct controller_endpoint){.host = slice_dup(znode.endpoints[i].host),
                                         .port = znode.endpoints[i].port,
                                         .listener = slice_dup(znode.endpoints[i].listener),
                                         .security_protocol = znode.endpoints[i].security_protocol};
    broker->rack = slice_dup(znode.rack);
    broker->endpoint_text = endpoint_text(&znode);
    broker->intact_since = znode.intact_since;
    return ERR_OK;
}

/* ---- Topics ---- */

static struct ids ids_of(const struct znode_replicas *replicas)
{
    return (struct ids){.ids = replicas->ids, .count = replicas->count};
}

static struct znode_replicas replicas_of(const struct ids *ids)
{
    return (struct znode_replicas){.ids = ids->ids, .count = ids->count};
}

/* A text that cannot be read is an empty assignment, as for Kafka. */
void codec_topic_decode(struct arena *arena, struct slice text, struct topic_znode *ret_topic)
{
    struct znode_topic znode;
    *ret_topic = (struct topic_znode){0};
    if (znode_topic_decode(arena, text, &znode))
        return;
    ret_topic->id = znode.topic_id;
    ret_topic->items = arena_new_array(arena, struct assignment, (size_t)znode.partition_count + 1);
    for (int32_t i = 0; i < znode.partition_count; i++) {
        const struct znode_topic_partition *partition = &znode.partitions[i];
        ret_topic->items[ret_topic->count++] =
            (struct assignment){.partition = partition->partition,
                                .replicas = ids_of(&partition->replicas),
                                .adding = ids_of(&partition->adding),
                                .removing = ids_of(&partition->removing)};
    }
}

struct slice codec_topic_encode(struct arena *arena, struct slice old,
                                const struct topic_znode *topic)
{
    struct znode_topic znode = {.topic_id = topic->id, .partition_count = topic->count};
    znode.partitions =
        arena_new_array(arena, struct znode_topic_partition, (size_t)topic->count + 1);
    for (int32_t i = 0; i < topic->count; i++)
        znode.partitions[i] =
            (struct znode_topic_partition){.partition = topic->items[i].partition,
                                           .replicas = replicas_of(&topic->items[i].replicas),
                                           .adding = replicas_of(&topic->items[i].adding),
                                           .removing = replicas_of(&topic->items[i].removing)};
    return slice_is_null(old) ? znode_topic_encode(arena, &znode)
                              : znode_topic_update(arena, old, &znode);
}

/* ---- Partition state ---- */

static struct znode_partition_state state_of(const struct leadership *state)
{
    return (struct znode_partition_state){.leader = state->leader,
                                          .leader_epoch = state->leader_epoch,
                                          .controller_epoch = state->controller_epoch,
                                          .isr = replicas_of(&state->isr),
                                          .recovery_state = state->recovery_state,
                                          .led_zxid = state->led_zxid,
                                          .led_version = state->led_version};
}

/* A text as long as the one we would write holds nothing else. */
enum err codec_state_decode(struct slice text, struct leadership *ret_state)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_partition_state znode;
    enum err e = znode_partition_state_decode(arena, text, &znode);
    if (e)
        return e;
    struct leadership state = {.leader = znode.leader,
                               .leader_epoch = znode.leader_epoch,
                               .controller_epoch = znode.controller_epoch,
                               .recovery_state = znode.recovery_state,
                               .led_zxid = znode.led_zxid,
                               .led_version = znode.led_version};
    ids_set(&state.isr, znode.isr.ids, znode.isr.count);
    if (znode_partition_state_encode(arena, &znode).size != text.size)
        state.unknown = slice_dup(text);
    *ret_state = state;
    return ERR_OK;
}

struct slice codec_state_encode(struct arena *arena, const struct leadership *state)
{
    struct znode_partition_state znode = state_of(state);
    return state->unknown ? znode_partition_state_update(arena, slice_str(state->unknown), &znode)
                          : znode_partition_state_encode(arena, &znode);
}

/* ---- Configs, lists, and the rest ---- */

struct slice codec_config_value(struct arena *arena, struct slice text, const char *key)
{
    struct znode_config config;
    if (znode_config_decode(arena, text, &config))
        return SLICE_NULL;
    for (int32_t i = 0; i < config.count; i++) {
        if (slice_equal_str(config.settings[i].name, key))
            return config.settings[i].value;
    }
    return SLICE_NULL;
}

struct slice codec_config_encode(struct arena *arena, const struct codec_setting *settings,
                                 int32_t count)
{
    struct znode_config config = {.count = count};
    config.settings = arena_new_array(arena, struct znode_setting, (size_t)count + 1);
    for (int32_t i = 0; i < count; i++)
        config.settings[i] =
            (struct znode_setting){.name = settings[i].name, .value = settings[i].value};
    return znode_config_encode(arena, &config);
}

void codec_partitions_decode(struct arena *arena, struct slice text,
                             struct named_partition **ret_items, int32_t *ret_count)
{
    struct znode_partition_list list;
    *ret_items = NULL;
    *ret_count = 0;
    if (znode_preferred_election_decode(arena, text, &list))
        return;
    *ret_items = arena_new_array(arena, struct named_partition, (size_t)list.count + 1);
    for (int32_t i = 0; i < list.count; i++)
        (*ret_items)[i] = (struct named_partition){.topic = list.partitions[i].topic,
                                                   .partition = list.partitions[i].partition};
    *ret_count = list.count;
}

int32_t codec_log_dir_event_decode(struct slice text)
{
    int32_t broker_id;
    return znode_log_dir_event_decode(text, &broker_id) ? -1 : broker_id;
}

struct slice codec_producer_ids_encode(struct arena *arena, int32_t broker_id, int64_t first,
                                       int64_t last)
{
    struct znode_producer_id_block block = {.broker_id = broker_id, .first = first, .last = last};
    return znode_producer_id_block_encode(arena, &block);
}

enum err codec_producer_ids_decode(struct slice text, int64_t *ret_last)
{
    struct znode_producer_id_block block;
    enum err e = znode_producer_id_block_decode(text, &block);
    if (!e)
        *ret_last = block.last;
    return e;
}

struct slice codec_feature_encode(struct arena *arena, int32_t version, bool enabled)
{
    struct znode_features features = {.enabled = enabled};
    return znode_features_encode(arena, version, &features);
}

/* JSON version 1 and 2 of an empty list differ in the version only. */
enum err codec_feature_decode(struct slice text, int32_t *ret_version, bool *ret_enabled,
                              bool *ret_empty)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_features features;
    enum err e = znode_features_decode(arena, text, &features);
    if (e)
        return e;
    struct slice second = znode_features_encode(arena, 2, &features);
    *ret_version =
        second.size == text.size && memmem(text.data, text.size, "\"version\":2", 11) ? 2 : 1;
    *ret_enabled = features.enabled;
    *ret_empty = features.count == 0;
    return ERR_OK;
}
