/* From a Produce message to its parts: one a partition, in the order in which they came, each with
 * its place in the answer. */
#include "broker/api/produce_work.h"

#include "broker/base/map.h"

#define FEW_PARTS 16 /* up to this many are searched one by one */

static int32_t count_parts(const struct produce_request *message)
{
    int32_t count = 0;
    for (int32_t t = 0; t < message->topic_data_count; t++)
        count += message->topic_data[t].partition_data_count;
    return count;
}

static bool is_same_part(const struct produce_part *part, struct slice topic, int32_t index)
{
    return part->data->index == index && slice_equal(part->topic, topic);
}

static struct slice part_key(struct arena *arena, struct slice topic, int32_t index)
{
    uint8_t *key = arena_alloc(arena, sizeof index + topic.size);
    memcpy(key, &index, sizeof index);
    if (topic.size)
        memcpy(key + sizeof index, topic.data, topic.size);
    return slice_of(key, sizeof index + topic.size);
}

/* A partition may be named twice: the last one counts, in the place of the first. */
static struct produce_part *part_of(struct produce_wait *wait, struct map *seen, struct slice topic,
                                    int32_t index)
{
    if (wait->parts_count < FEW_PARTS) {
        for (int32_t i = 0; i < wait->parts_count; i++)
            if (is_same_part(&wait->parts[i], topic, index))
                return &wait->parts[i];
        return &wait->parts[wait->parts_count++];
    }
    struct arena *arena = wait->request->arena;
    if (seen->count == 0)
        for (int32_t i = 0; i < wait->parts_count; i++) {
            struct produce_part *known = &wait->parts[i];
            map_put(seen, part_key(arena, known->topic, known->data->index), known);
        }
    struct slice key = part_key(arena, topic, index);
    struct produce_part *part = map_get(seen, key);
    if (!part) {
        part = &wait->parts[wait->parts_count++];
        map_put(seen, key, part);
    }
    return part;
}

static void gather_parts(struct produce_wait *wait)
{
    const struct produce_request *message = produce_message(wait);
    int32_t count = count_parts(message);
    struct map seen = {0};
    wait->parts = arena_new_array(wait->request->arena, struct produce_part, count + 1);
    for (int32_t t = 0; t < message->topic_data_count; t++) {
        const struct produce_request_topic_produce_data *topic = &message->topic_data[t];
        for (int32_t i = 0; i < topic->partition_data_count; i++) {
            struct produce_part *part =
                part_of(wait, &seen, topic->name, topic->partition_data[i].index);
            part->topic = topic->name;
            part->data = &topic->partition_data[i];
            part->wait = wait;
        }
    }
    map_done(&seen);
}

/* A topic of the answer, while its parts are counted. */
struct topic_slot {
    struct slice name;
    int32_t count;
};

struct topic_slots {
    struct topic_slot *slots;
    int32_t count;
    struct map by_name; /* once there are more than a few */
};

static int32_t new_slot(struct topic_slots *topics, struct slice name)
{
    topics->slots[topics->count].name = name;
    return topics->count++;
}

/* Parts of one topic mostly come one after the other. */
static int32_t slot_of(struct topic_slots *topics, struct slice name)
{
    for (int32_t i = topics->count - 1; i >= 0 && i >= topics->count - FEW_PARTS; i--)
        if (slice_equal(topics->slots[i].name, name))
            return i;
    if (topics->count < FEW_PARTS)
        return new_slot(topics, name);
    if (topics->by_name.count == 0)
        for (int32_t i = 0; i < topics->count; i++)
            map_put(&topics->by_name, topics->slots[i].name, &topics->slots[i]);
    struct topic_slot *known = map_get(&topics->by_name, name);
    if (known)
        return (int32_t)(known - topics->slots);
    int32_t slot = new_slot(topics, name);
    map_put(&topics->by_name, name, &topics->slots[slot]);
    return slot;
}

/* One topic of the answer for each that has parts, in the order in which they came. */
static void lay_out_answer(struct produce_wait *wait)
{
    struct arena *arena = wait->request->arena;
    struct produce_response *response = &wait->response;
    produce_response_init(response);
    size_t room = (size_t)wait->parts_count + 1;
    struct topic_slots topics = {.slots = arena_new_array(arena, struct topic_slot, room)};
    int32_t *slot_of_part = arena_new_array(arena, int32_t, room);
    for (int32_t i = 0; i < wait->parts_count; i++) {
        slot_of_part[i] = slot_of(&topics, wait->parts[i].topic);
        topics.slots[slot_of_part[i]].count++;
    }
    map_done(&topics.by_name);
    response->responses_count = topics.count;
    response->responses =
        arena_new_array(arena, struct produce_response_topic_produce_response, topics.count + 1);
    for (int32_t i = 0; i < topics.count; i++) {
        response->responses[i].name = topics.slots[i].name;
        response->responses[i].partition_responses = arena_new_array(
            arena, struct produce_response_partition_produce_response, topics.slots[i].count);
    }
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct produce_response_topic_produce_response *topic =
            &response->responses[slot_of_part[i]];
        struct produce_part *part = &wait->parts[i];
        part->answer = &topic->partition_responses[topic->partition_responses_count++];
        produce_response_partition_produce_response_init(part->answer);
        part->answer->index = part->data->index;
    }
}

void produce_parts_gather(struct produce_wait *wait)
{
    gather_parts(wait);
    lay_out_answer(wait);
}
