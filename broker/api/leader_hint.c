/* Looks a leader up in this broker's own state first, then in the metadata. */
#include "broker/api/leader_hint.h"

static void note_leader(struct leader_hints *hints, int32_t leader)
{
    for (int32_t i = 0; i < hints->count; i++)
        if (hints->leaders[i] == leader)
            return;
    if (hints->count == hints->capacity) {
        int32_t capacity = hints->capacity ? 2 * hints->capacity : 8;
        int32_t *leaders = arena_new_array(hints->request->arena, int32_t, capacity);
        if (hints->count)
            memcpy(leaders, hints->leaders, (size_t)hints->count * sizeof *leaders);
        hints->leaders = leaders;
        hints->capacity = capacity;
    }
    hints->leaders[hints->count++] = leader;
}

static bool find_own(struct broker *broker, struct slice topic, int32_t index, int32_t *ret_leader,
                     int32_t *ret_leader_epoch)
{
    struct partition *partition = replica_manager_get(broker->replica_manager, topic, index);
    if (!partition)
        return false;
    int32_t leader = partition_leader_id(partition), epoch = partition_leader_epoch(partition);
    partition_unref(partition);
    if (leader < 0)
        return false;
    *ret_leader = leader;
    *ret_leader_epoch = epoch;
    return true;
}

static bool find_in_metadata(struct broker *broker, struct slice topic, int32_t index,
                             int32_t *ret_leader, int32_t *ret_leader_epoch)
{
    metadata_cache_lock(broker->metadata_cache);
    const struct partition_metadata *partition =
        metadata_partition(metadata_topic(broker->metadata_cache, topic), index);
    bool is_known = partition && partition->leader >= 0;
    if (is_known) {
        *ret_leader = partition->leader;
        *ret_leader_epoch = partition->leader_epoch;
    }
    metadata_cache_unlock(broker->metadata_cache);
    return is_known;
}

bool leader_hints_find(struct leader_hints *hints, struct slice topic, int32_t partition,
                       int32_t *ret_leader, int32_t *ret_leader_epoch)
{
    struct broker *broker = hints->request->broker;
    if (!find_own(broker, topic, partition, ret_leader, ret_leader_epoch) &&
        !find_in_metadata(broker, topic, partition, ret_leader, ret_leader_epoch))
        return false;
    note_leader(hints, *ret_leader);
    return true;
}

int32_t leader_hints_endpoints(struct leader_hints *hints, struct leader_endpoint **ret)
{
    struct request *request = hints->request;
    struct metadata_cache *cache = request->broker->metadata_cache;
    *ret = arena_new_array(request->arena, struct leader_endpoint, hints->count + 1);
    int32_t count = 0;
    metadata_cache_lock(cache);
    for (int32_t i = 0; i < hints->count; i++) {
        const struct broker_node *node = metadata_broker(cache, hints->leaders[i]);
        const struct broker_endpoint *endpoint = broker_node_endpoint(node, request->listener);
        if (!endpoint)
            continue;
        (*ret)[count++] = (struct leader_endpoint){
            .node_id = node->id,
            .port = endpoint->port,
            .host = arena_copy(request->arena, slice_str(endpoint->host)),
            .rack = arena_copy(request->arena, slice_str(node->rack)),
        };
    }
    metadata_cache_unlock(cache);
    return count;
}
