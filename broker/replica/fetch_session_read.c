/* From a Fetch request to the list of partitions it names. */
#include "broker/replica/fetch_session_internal.h"

int32_t fetch_request_replica_id(const struct fetch_request *request, int16_t api_version)
{
    return api_version >= 15 ? request->replica_state.replica_id : request->replica_id;
}

struct slice fetch_partition_key(struct arena *arena, struct slice topic, struct uuid topic_id,
                                 int32_t partition)
{
    size_t size = sizeof topic_id + sizeof partition + topic.size;
    uint8_t *key = arena_alloc(arena, size);
    memcpy(key, &topic_id, sizeof topic_id);
    memcpy(key + sizeof topic_id, &partition, sizeof partition);
    if (topic.size)
        memcpy(key + sizeof topic_id + sizeof partition, topic.data, topic.size);
    return slice_of(key, size);
}

static struct slice key_of(struct arena *arena, const struct fetch_partition *p)
{
    return fetch_partition_key(arena, p->topic, p->topic_id, p->partition);
}

static int32_t count_partitions(const struct fetch_request *request)
{
    int32_t count = 0;
    for (int32_t t = 0; t < request->topics_count; t++)
        count += request->topics[t].partitions_count > 0 ? request->topics[t].partitions_count : 0;
    return count;
}

static struct fetch_partition partition_from(const struct fetch_request_fetch_topic *topic,
                                             const struct fetch_request_fetch_partition *from,
                                             int16_t api_version)
{
    return (struct fetch_partition){
        .topic = api_version >= 13 ? SLICE_NULL : topic->topic,
        .topic_id = api_version >= 13 ? topic->topic_id : UUID_ZERO,
        .partition = from->partition,
        .fetch_offset = from->fetch_offset,
        .log_start_offset = from->log_start_offset,
        .max_bytes = from->partition_max_bytes,
        .current_leader_epoch = from->current_leader_epoch,
        .last_fetched_epoch = from->last_fetched_epoch,
        .sent_high_watermark = -1,
        .sent_log_start_offset = -1,
    };
}

#define FEW_PARTITIONS 8 /* up to this many are searched one by one for one named twice */

static bool is_same(const struct fetch_partition *a, const struct fetch_partition *b)
{
    return a->partition == b->partition && slice_equal(a->topic, b->topic) &&
           uuid_equal(a->topic_id, b->topic_id);
}

/* Where the partition stands already, or the next free place. */
static struct fetch_partition *place_for(struct fetch_context *context, struct map *seen,
                                         const struct fetch_partition *partition,
                                         struct arena *arena)
{
    struct fetch_partition *next = &context->request[context->request_count];
    if (context->request_count < FEW_PARTITIONS) {
        for (int32_t i = 0; i < context->request_count; i++)
            if (is_same(&context->request[i], partition))
                return &context->request[i];
        return next;
    }
    if (seen->count == 0)
        for (int32_t i = 0; i < context->request_count; i++)
            map_put(seen, key_of(arena, &context->request[i]), &context->request[i]);
    struct slice whole = key_of(arena, partition);
    struct fetch_partition *known = map_get(seen, whole);
    if (!known)
        map_put(seen, whole, next);
    return known ? known : next;
}

/* A partition may be named twice: the last one counts, in the place of the first. */
void fetch_request_read(const struct fetch_request *request, int16_t api_version,
                        struct arena *arena, struct fetch_context *ret)
{
    struct map seen = {0};
    ret->request =
        arena_new_array(arena, struct fetch_partition, (size_t)count_partitions(request) + 1);
    ret->request_count = 0;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct fetch_request_fetch_topic *topic = &request->topics[t];
        for (int32_t i = 0; i < topic->partitions_count; i++) {
            struct fetch_partition partition =
                partition_from(topic, &topic->partitions[i], api_version);
            struct fetch_partition *place = place_for(ret, &seen, &partition, arena);
            *place = partition;
            if (place == &ret->request[ret->request_count])
                ret->request_count++;
        }
    }
    map_done(&seen);
}
