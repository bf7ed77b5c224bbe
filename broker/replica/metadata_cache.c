/* The cluster's metadata behind one lock. Topics are found by name and by id and also stand in an
 * array, so that "all topics" is a walk and removal is a swap with the last. */
#include "broker/replica/metadata_cache.h"

struct topic_slot {
    struct topic_metadata topic; /* first: slots are handed out as topics */
    int32_t place;               /* in topics[] */
};

struct metadata_cache {
    struct lock lock; /* RANK_METADATA_CACHE; guards all below */
    struct map by_name, by_id;
    struct topic_slot **topics;
    size_t topics_capacity;
    int32_t topics_count;
    struct broker_node **brokers; /* ascending id */
    int32_t brokers_count;
    int32_t controller_id;
    struct live_brokers *live; /* the same brokers, under a lock of its own */

    metadata_changed_fn *changed; /* fixed once serving begins */
    void *changed_context;
};

static void partition_metadata_done(struct partition_metadata *partition)
{
    free(partition->replicas);
    free(partition->isr);
    free(partition->offline_replicas);
    *partition = (struct partition_metadata){0};
}

static void topic_slot_free(struct topic_slot *slot)
{
    if (!slot)
        return;
    for (int32_t i = 0; i < slot->topic.partitions_count; i++)
        partition_metadata_done(&slot->topic.partitions[i]);
    free(slot->topic.partitions);
    free(slot->topic.name);
    free(slot);
}

static void broker_node_free(struct broker_node *node)
{
    if (!node)
        return;
    for (int32_t i = 0; i < node->endpoints_count; i++) {
        free(node->endpoints[i].listener);
        free(node->endpoints[i].host);
    }
    free(node->endpoints);
    free(node->rack);
    free(node);
}

static void free_brokers(struct metadata_cache *cache)
{
    for (int32_t i = 0; i < cache->brokers_count; i++)
        broker_node_free(cache->brokers[i]);
    free(cache->brokers);
    cache->brokers = NULL;
    cache->brokers_count = 0;
}

struct metadata_cache *metadata_cache_new(void)
{
    struct metadata_cache *cache = mem_new(struct metadata_cache);
    lock_init(&cache->lock, RANK_METADATA_CACHE, "metadata cache");
    cache->controller_id = -1;
    cache->live = live_brokers_new();
    return cache;
}

void metadata_cache_free(struct metadata_cache *cache)
{
    if (!cache)
        return;
    for (int32_t i = 0; i < cache->topics_count; i++)
        topic_slot_free(cache->topics[i]);
    free(cache->topics);
    free_brokers(cache);
    map_done(&cache->by_name);
    map_done(&cache->by_id);
    lock_done(&cache->lock);
    live_brokers_free(cache->live);
    free(cache);
}

void metadata_cache_on_change(struct metadata_cache *cache, metadata_changed_fn *changed,
                              void *context)
{
    cache->changed = changed;
    cache->changed_context = context;
}

void metadata_cache_lock(struct metadata_cache *cache)
{
    lock_acquire(&cache->lock);
}

void metadata_cache_unlock(struct metadata_cache *cache)
{
    lock_release(&cache->lock);
}

/* --- taking over an update --- */

static int32_t *copy_ids(const int32_t *ids, int32_t count)
{
    if (count <= 0)
        return NULL;
    int32_t *copy = mem_new_array(int32_t, (size_t)count);
    memcpy(copy, ids, (size_t)count * sizeof *ids);
    return copy;
}

static int compare_nodes(const void *a, const void *b)
{
    int32_t left = (*(struct broker_node *const *)a)->id,
            right = (*(struct broker_node *const *)b)->id;
    return (left > right) - (left < right);
}

static const char *old_listener_name(int16_t security_protocol)
{
    static const char *const names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    return security_protocol >= 0 && security_protocol < 4 ? names[security_protocol] : "PLAINTEXT";
}

static struct broker_node *
node_from(const struct update_metadata_request_update_metadata_broker *live)
{
    struct broker_node *node = mem_new(struct broker_node);
    node->id = live->id;
    node->rack = slice_dup(live->rack);
    if (live->endpoints_count > 0) {
        node->endpoints_count = live->endpoints_count;
        node->endpoints = mem_new_array(struct broker_endpoint, (size_t)live->endpoints_count);
        for (int32_t i = 0; i < live->endpoints_count; i++) {
            const struct update_metadata_request_update_metadata_endpoint *from =
                &live->endpoints[i];
            node->endpoints[i] = (struct broker_endpoint){
                .listener = from->listener.size
                                ? slice_dup(from->listener)
                                : mem_strdup(old_listener_name(from->security_protocol)),
                .host = slice_dup(from->host),
                .port = from->port,
                .security_protocol = from->security_protocol,
            };
        }
    } else if (live->v0_host.size) { /* version 0: one plaintext endpoint */
        node->endpoints_count = 1;
        node->endpoints = mem_new(struct broker_endpoint);
        *node->endpoints = (struct broker_endpoint){.listener = mem_strdup("PLAINTEXT"),
                                                    .host = slice_dup(live->v0_host),
                                                    .port = live->v0_port};
    }
    return node;
}

static void set_live(struct metadata_cache *cache)
{
    int32_t *ids = mem_new_array(int32_t, (size_t)cache->brokers_count + 1);
    for (int32_t i = 0; i < cache->brokers_count; i++)
        ids[i] = cache->brokers[i]->id;
    live_brokers_set(cache->live, ids, cache->brokers_count);
    free(ids);
}

static void take_brokers(struct metadata_cache *cache,
                         const struct update_metadata_request *request)
{
    free_brokers(cache);
    int32_t count = request->live_brokers_count > 0 ? request->live_brokers_count : 0;
    cache->brokers = mem_new_array(struct broker_node *, (size_t)count);
    for (int32_t i = 0; i < count; i++)
        cache->brokers[cache->brokers_count++] = node_from(&request->live_brokers[i]);
    qsort(cache->brokers, (size_t)count, sizeof cache->brokers[0], compare_nodes);
    cache->controller_id = request->controller_id;
    set_live(cache);
}

static void set_topic_id(struct metadata_cache *cache, struct topic_slot *slot, struct uuid id)
{
    if (uuid_equal(slot->topic.id, id))
        return;
    if (map_get(&cache->by_id, MAP_KEY(slot->topic.id)) == slot)
        map_remove(&cache->by_id, MAP_KEY(slot->topic.id));
    slot->topic.id = id;
    if (!uuid_is_zero(id))
        map_put(&cache->by_id, MAP_KEY(id), slot);
}

static struct topic_slot *slot_of(struct metadata_cache *cache, struct slice name)
{
    struct topic_slot *slot = map_get(&cache->by_name, name);
    if (slot)
        return slot;
    slot = mem_new(struct topic_slot);
    slot->topic.name = slice_dup(name);
    slot->place = cache->topics_count;
    cache->topics = mem_grow(cache->topics, &cache->topics_capacity,
                             (size_t)cache->topics_count + 1, sizeof cache->topics[0]);
    cache->topics[cache->topics_count++] = slot;
    map_put(&cache->by_name, name, slot);
    return slot;
}

static void remove_topic(struct metadata_cache *cache, struct topic_slot *slot)
{
    set_topic_id(cache, slot, UUID_ZERO);
    map_remove(&cache->by_name, slice_str(slot->topic.name));
    struct topic_slot *last = cache->topics[--cache->topics_count];
    cache->topics[slot->place] = last;
    last->place = slot->place;
    topic_slot_free(slot);
}

static struct partition_metadata *partition_of(struct topic_metadata *topic, int32_t index)
{
    if (index >= topic->partitions_count) {
        int32_t grown = index + 1;
        topic->partitions =
            mem_resize(topic->partitions, (size_t)grown * sizeof topic->partitions[0]);
        memset(topic->partitions + topic->partitions_count, 0,
               (size_t)(grown - topic->partitions_count) * sizeof topic->partitions[0]);
        topic->partitions_count = grown;
    }
    return &topic->partitions[index];
}

/* The most partitions one topic may name here: an index from the wire must not decide how much
 * memory is taken. */
#define MOST_PARTITIONS 1000000

/* id NULL: the request says nothing of ids. */
static void
take_partition(struct metadata_cache *cache, struct slice name, const struct uuid *id,
               const struct update_metadata_request_update_metadata_partition_state *state)
{
    if (state->partition_index < 0 || state->partition_index >= MOST_PARTITIONS)
        return;
    bool is_gone = state->leader == LEADER_DURING_DELETE;
    if (is_gone && !map_get(&cache->by_name, name))
        return;
    struct topic_slot *slot = slot_of(cache, name);
    if (id)
        set_topic_id(cache, slot, *id);
    struct partition_metadata *partition = partition_of(&slot->topic, state->partition_index);
    slot->topic.known_count -= partition->is_known;
    partition_metadata_done(partition);
    if (is_gone) {
        if (slot->topic.known_count == 0)
            remove_topic(cache, slot);
        return;
    }
    slot->topic.known_count++;
    *partition = (struct partition_metadata){
        .leader = state->leader,
        .leader_epoch = state->leader_epoch,
        .controller_epoch = state->controller_epoch,
        .partition_epoch = state->zk_version,
        .replicas = copy_ids(state->replicas, state->replicas_count),
        .replicas_count = state->replicas_count,
        .isr = copy_ids(state->isr, state->isr_count),
        .isr_count = state->isr_count,
        .offline_replicas = copy_ids(state->offline_replicas, state->offline_replicas_count),
        .offline_replicas_count =
            state->offline_replicas_count > 0 ? state->offline_replicas_count : 0,
        .is_known = true,
    };
}

void metadata_cache_update(struct metadata_cache *cache,
                           const struct update_metadata_request *request)
{
    lock_acquire(&cache->lock);
    take_brokers(cache, request);
    for (int32_t i = 0; i < request->ungrouped_partition_states_count; i++) { /* versions 0 to 4 */
        const struct update_metadata_request_update_metadata_partition_state *state =
            &request->ungrouped_partition_states[i];
        take_partition(cache, state->topic_name, NULL, state);
    }
    for (int32_t t = 0; t < request->topic_states_count; t++) {
        const struct update_metadata_request_update_metadata_topic_state *topic =
            &request->topic_states[t];
        for (int32_t i = 0; i < topic->partition_states_count; i++)
            take_partition(cache, topic->topic_name, &topic->topic_id, &topic->partition_states[i]);
    }
    lock_release(&cache->lock);
    if (cache->changed)
        cache->changed(cache->changed_context);
}

/* --- looking --- */

const struct live_brokers *metadata_live_brokers(const struct metadata_cache *cache)
{
    return cache->live;
}

const struct topic_metadata *metadata_topic(const struct metadata_cache *cache, struct slice name)
{
    assert_held(&cache->lock);
    return map_get(&cache->by_name, name);
}

const struct topic_metadata *metadata_topic_by_id(const struct metadata_cache *cache,
                                                  struct uuid id)
{
    assert_held(&cache->lock);
    return map_get(&cache->by_id, MAP_KEY(id));
}

const struct partition_metadata *metadata_partition(const struct topic_metadata *topic,
                                                    int32_t partition)
{
    if (!topic || partition < 0 || partition >= topic->partitions_count ||
        !topic->partitions[partition].is_known)
        return NULL;
    return &topic->partitions[partition];
}

const struct broker_node *metadata_broker(const struct metadata_cache *cache, int32_t id)
{
    assert_held(&cache->lock);
    for (int32_t i = 0; i < cache->brokers_count; i++)
        if (cache->brokers[i]->id == id)
            return cache->brokers[i];
    return NULL;
}

const struct broker_endpoint *broker_node_endpoint(const struct broker_node *node,
                                                   const char *listener)
{
    for (int32_t i = 0; node && i < node->endpoints_count; i++)
        if (strcmp(node->endpoints[i].listener, listener) == 0)
            return &node->endpoints[i];
    return NULL;
}

const struct broker_node *const *metadata_brokers(const struct metadata_cache *cache,
                                                  int32_t *ret_count)
{
    assert_held(&cache->lock);
    *ret_count = cache->brokers_count;
    return (const struct broker_node *const *)cache->brokers;
}

const struct topic_metadata *const *metadata_topics(const struct metadata_cache *cache,
                                                    int32_t *ret_count)
{
    assert_held(&cache->lock);
    static_assert(offsetof(struct topic_slot, topic) == 0, "slots are handed out as topics");
    *ret_count = cache->topics_count;
    return (const struct topic_metadata *const *)cache->topics;
}

int32_t metadata_controller_id(struct metadata_cache *cache)
{
    LOCK_SCOPE(&cache->lock);
    return metadata_broker(cache, cache->controller_id) ? cache->controller_id : -1;
}

bool metadata_is_known(struct metadata_cache *cache)
{
    LOCK_SCOPE(&cache->lock);
    return cache->brokers_count > 0;
}

bool metadata_has_topics(struct metadata_cache *cache)
{
    LOCK_SCOPE(&cache->lock);
    return cache->topics_count > 0;
}

bool metadata_has_partition(struct metadata_cache *cache, struct slice topic, int32_t partition)
{
    LOCK_SCOPE(&cache->lock);
    return metadata_partition(metadata_topic(cache, topic), partition) != NULL;
}

const char *metadata_topic_name(struct metadata_cache *cache, struct uuid id, struct arena *arena)
{
    LOCK_SCOPE(&cache->lock);
    const struct topic_metadata *topic = metadata_topic_by_id(cache, id);
    return topic ? arena_strdup(arena, slice_str(topic->name)) : NULL;
}

struct uuid metadata_topic_id(struct metadata_cache *cache, struct slice name)
{
    LOCK_SCOPE(&cache->lock);
    const struct topic_metadata *topic = metadata_topic(cache, name);
    return topic ? topic->id : UUID_ZERO;
}

enum err metadata_endpoint(struct metadata_cache *cache, int32_t broker_id, const char *listener,
                           struct arena *arena, const char **ret_host, int32_t *ret_port)
{
    LOCK_SCOPE(&cache->lock);
    const struct broker_node *node = metadata_broker(cache, broker_id);
    if (!node)
        return ERR_NOT_FOUND;
    const struct broker_endpoint *endpoint = broker_node_endpoint(node, listener);
    if (!endpoint)
        return ERR_LISTENER_NOT_FOUND;
    *ret_host = arena_strdup(arena, slice_str(endpoint->host));
    *ret_port = endpoint->port;
    return ERR_OK;
}
