/* The rack-aware choice: the leader if it is in the rack, else of the replicas there the one that
 * has most, then the one that caught up last, then the highest id. */
#include "broker/api/fetch_rack.h"

#define FIRST_VERSION_WITH_RACK 11

bool fetch_rack_is_asked(const struct request *request, int32_t replica_id)
{
    const struct fetch_request *message = request->message;
    const char *selector = request->broker->config->replica_selector_class;
    return replica_id < 0 && request->api_version >= FIRST_VERSION_WITH_RACK &&
           message->rack_id.size > 0 && selector &&
           strcmp(selector, RACK_AWARE_SELECTOR_CLASS) == 0;
}

/* Under the metadata cache's lock. A broker that the client cannot reach is no choice. */
static bool is_in_rack(const struct metadata_cache *cache, int32_t broker_id, const char *listener,
                       struct slice rack)
{
    const struct broker_node *node = metadata_broker(cache, broker_id);
    return node && node->rack && slice_equal_str(rack, node->rack) &&
           broker_node_endpoint(node, listener);
}

static bool is_better(const struct read_candidate *a, const struct read_candidate *b)
{
    if (a->end_offset != b->end_offset)
        return a->end_offset > b->end_offset;
    if (a->caught_up_ms != b->caught_up_ms)
        return a->caught_up_ms > b->caught_up_ms;
    return a->broker_id > b->broker_id;
}

int32_t fetch_preferred_replica(struct fetch_part *part)
{
    struct request *request = part->wait->request;
    if (!fetch_rack_is_asked(request, part->wait->replica_id))
        return NO_BROKER;
    const struct fetch_request *message = request->message;
    struct read_candidate *candidates;
    int32_t count = partition_read_candidates(part->partition, part->asked->fetch_offset,
                                              request->arena, &candidates);
    const struct read_candidate *best = NULL;
    struct metadata_cache *cache = request->broker->metadata_cache;
    metadata_cache_lock(cache);
    bool leader_is_near =
        is_in_rack(cache, request->broker->id, request->listener, message->rack_id);
    for (int32_t i = 0; !leader_is_near && i < count; i++)
        if (is_in_rack(cache, candidates[i].broker_id, request->listener, message->rack_id) &&
            (!best || is_better(&candidates[i], best)))
            best = &candidates[i];
    metadata_cache_unlock(cache);
    return best ? best->broker_id : NO_BROKER;
}
