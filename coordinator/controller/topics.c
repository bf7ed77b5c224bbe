/* Topics that appear, grow and vanish under /brokers/topics. Whoever creates a topic only writes
 * its assignment; the controller sees it and gives it leaders. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/controller_internal.h"

#define IBP_TOPIC_IDS IBP_LEVEL(2, 8, 0, 0)

/* ---- Reading assignments ---- */

static void take_assignment(struct controller *controller, struct topic *topic,
                            const struct topic_znode *znode, struct partition_list *ret_new)
{
    for (int32_t i = 0; i < znode->count; i++) {
        const struct assignment *item = &znode->items[i];
        if (topic_partition(topic, item->partition))
            continue;
        struct partition *partition =
            context_add_partition(&controller->context, topic, item->partition);
        partition_assign(&controller->context, partition, &item->replicas, &item->adding,
                         &item->removing);
        if (ret_new)
            partition_list_add(ret_new, partition);
    }
}

/* Topics made by older brokers have no id yet; the controller gives them one (never another, trap
 * T20). */
static void give_id(struct wave *wave, struct controller *controller, struct slice text,
                    const char *path, struct topic_znode *znode)
{
    if (!uuid_is_zero(znode->id) || controller->ibp_level < IBP_TOPIC_IDS)
        return;
    znode->id = uuid_random();
    wave_guarded_set(wave, path, codec_topic_encode(wave_arena(wave), text, znode), ZK_ANY_VERSION);
}

static enum err read_topics(struct controller *controller, const struct slice *names, int32_t count,
                            struct partition_list *ret_new)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    OWNED(wave) struct wave *ids = wave_new(controller);
    char path[PATH_MAX_BYTES];
    for (int32_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/brokers/topics/%.*s", SLICE_ARG(names[i]));
        wave_get(wave, path, true);
    }
    enum err e = wave_run(wave);
    for (int32_t i = 0; !e && i < count; i++) {
        const struct wave_result *result = wave_result(wave, (size_t)i);
        if (result->error)
            continue; /* deleted meanwhile */
        struct topic_znode znode;
        codec_topic_decode(wave_arena(wave), result->data, &znode);
        snprintf(path, sizeof path, "/brokers/topics/%.*s", SLICE_ARG(names[i]));
        give_id(ids, controller, result->data, path, &znode);
        struct topic *topic = context_topic(&controller->context, names[i]);
        if (!topic)
            topic = context_add_topic(&controller->context, names[i]);
        context_set_topic_id(&controller->context, topic, znode.id);
        take_assignment(controller, topic, &znode, ret_new);
    }
    return e ? e : wave_run(ids);
}

/* What is below /brokers/topics, and a watch on it. */
static enum err list_topics(struct wave *wave, const struct wave_result **ret_children)
{
    size_t list = wave_children(wave, "/brokers/topics", true);
    enum err e = wave_run(wave);
    if (e)
        return e;
    *ret_children = wave_result(wave, list);
    enum err listed = (*ret_children)->error;
    return listed ? err_note(listed, "list /brokers/topics") : ERR_OK;
}

enum err topics_load(struct controller *controller)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    const struct wave_result *children;
    enum err e = list_topics(wave, &children);
    if (e)
        return e;
    PARTITION_LIST partitions = {0};
    e = read_topics(controller, children->children, children->children_count, &partitions);
    return e ? e : partitions_refresh(controller, &partitions);
}

/* ---- New partitions ---- */

enum err partitions_start_new(struct controller *controller, struct partition_list *partitions)
{
    if (partitions->count == 0)
        return ERR_OK;
    REPLICA_LIST replicas = {0};
    for (size_t i = 0; i < partitions->count; i++) {
        struct partition *partition = partitions->items[i];
        partition_move(&controller->context, partition, PARTITION_NEW);
        for (int32_t r = 0; r < partition->known_count; r++)
            replica_list_add(&replicas, partition, partition->known[r].broker);
    }
    enum err e = replicas_move(controller, &replicas, REPLICA_NEW);
    if (e)
        return e;
    batch_begin(controller);
    e = partitions_initialize(controller, partitions);
    if (e)
        return e;
    batch_send(controller);
    return replicas_move(controller, &replicas, REPLICA_ONLINE);
}

/* ---- Events ---- */

static bool is_listed(const struct map *listed, const struct topic *topic)
{
    return map_get(listed, slice_str(topic->name));
}

static void drop_vanished(struct controller *controller, const struct map *listed)
{
    size_t count = 0;
    OWNED_MEM struct topic **gone =
        mem_new_array(struct topic *, controller->context.topics.count + 1);
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&controller->context.topics, &i));) {
        if (!is_listed(listed, e->value))
            gone[count++] = e->value;
    }
    for (size_t i = 0; i < count; i++) {
        trace_warn("topic vanished from /brokers/topics topic=%s", gone[i]->name);
        context_remove_topic(&controller->context, gone[i]);
    }
}

enum err event_topic_change(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    if (cancelled || !controller->active)
        return ERR_OK;
    OWNED(wave) struct wave *wave = wave_new(controller);
    const struct wave_result *children;
    enum err e = list_topics(wave, &children);
    if (e)
        return e;
    struct map listed = {0};
    struct slice *fresh =
        arena_new_array(wave_arena(wave), struct slice, (size_t)children->children_count + 1);
    int32_t fresh_count = 0;
    for (int32_t i = 0; i < children->children_count; i++) {
        map_put(&listed, children->children[i], controller);
        if (!context_topic(&controller->context, children->children[i]))
            fresh[fresh_count++] = children->children[i];
    }
    drop_vanished(controller, &listed);
    map_done(&listed);
    PARTITION_LIST partitions = {0};
    e = read_topics(controller, fresh, fresh_count, &partitions);
    if (e)
        return e;
    if (fresh_count > 0)
        trace_info("topics appeared count=%" PRId32 " partitions=%zu", fresh_count,
                   partitions.count);
    return partitions_start_new(controller, &partitions);
}

/* A topic that is being deleted does not grow: the partitions that have a leader, or had, are
 * written back. */
static enum err restore_assignment(struct controller *controller, struct topic *topic,
                                   struct slice text, const char *path)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    struct topic_znode znode = {.id = topic->id, .count = topic->partition_count};
    znode.items =
        arena_new_array(wave_arena(wave), struct assignment, (size_t)topic->partition_count + 1);
    for (int32_t i = 0; i < topic->partition_count; i++)
        znode.items[i] = (struct assignment){.partition = topic->partitions[i]->id,
                                             .replicas = topic->partitions[i]->replicas,
                                             .adding = topic->partitions[i]->adding,
                                             .removing = topic->partitions[i]->removing};
    wave_guarded_set(wave, path, codec_topic_encode(wave_arena(wave), text, &znode),
                     ZK_ANY_VERSION);
    return wave_run(wave);
}

enum err event_partition_modified(struct controller *controller, void *context, bool cancelled)
{
    OWNED_MEM char *name = context;
    if (cancelled || !controller->active)
        return ERR_OK;
    struct topic *topic = context_topic(&controller->context, slice_str(name));
    if (!topic)
        return ERR_OK;
    OWNED(wave) struct wave *wave = wave_new(controller);
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof path, "/brokers/topics/%s", name);
    size_t get = wave_get(wave, path, true);
    enum err e = wave_run(wave);
    const struct wave_result *result = e ? NULL : wave_result(wave, get);
    if (e || result->error)
        return e;
    struct topic_znode znode;
    codec_topic_decode(wave_arena(wave), result->data, &znode);
    bool grew = false;
    for (int32_t i = 0; i < znode.count; i++)
        grew |= !topic_partition(topic, znode.items[i].partition);
    if (!grew)
        return ERR_OK;
    if (topic->deleting)
        return restore_assignment(controller, topic, result->data, path);
    PARTITION_LIST partitions = {0};
    take_assignment(controller, topic, &znode, &partitions);
    trace_info("topic grew topic=%s new_partitions=%zu", name, partitions.count);
    return partitions_start_new(controller, &partitions);
}
