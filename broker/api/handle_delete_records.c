/* DeleteRecords (KIP-107): the log starts are raised on a worker, as files may be written; then the
 * request waits until every live replica has followed, or its time is up.
 *
 *      delete all (worker) --> wait for the other replicas --> answer */
#include <stdatomic.h>

#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "broker/base/map.h"
#include "broker/wire/topic_name.h"
#include "wire/delete_records.h"

struct delete_wait;

/* One partition of the request. */
struct delete_part {
    struct delete_records_response_delete_records_partition_result *answer;
    struct slice topic;
    int32_t topic_place; /* in the answer */
    int32_t index;
    int64_t asked_offset, offset; /* -1 resolved */
    struct partition *partition;  /* a reference, while it waits */
    struct partition_waiter waiter;
    struct delete_wait *wait;
};

struct delete_wait {
    struct request *request;
    struct delete_records_response response;
    struct delete_part *parts;
    int32_t parts_count;
    _Atomic int32_t open_count; /* parts that wait, and one for the thread that sets them up */
};

/* --- the parts of a request --- */

static struct slice part_key(struct arena *arena, int32_t topic_place, int32_t index)
{
    int32_t *key = arena_new_array(arena, int32_t, 2);
    key[0] = topic_place;
    key[1] = index;
    return slice_of(key, 2 * sizeof *key);
}

/* The place of a topic in the answer: a topic may be named twice. */
static int32_t place_of_topic(struct delete_wait *wait, struct map *places, struct slice name)
{
    struct delete_records_response *response = &wait->response;
    const struct delete_records_response_delete_records_topic_result *known = map_get(places, name);
    if (known)
        return (int32_t)(known - response->topics);
    struct delete_records_response_delete_records_topic_result *to =
        &response->topics[response->topics_count];
    to->name = name;
    map_put(places, name, to);
    return response->topics_count++;
}

/* A partition may be named twice: the last offset counts. */
static void add_part(struct delete_wait *wait, struct map *seen, int32_t topic_place,
                     const struct delete_records_request_delete_records_partition *from)
{
    struct slice key = part_key(wait->request->arena, topic_place, from->partition_index);
    struct delete_part *part = map_get(seen, key);
    if (!part) {
        part = &wait->parts[wait->parts_count++];
        part->wait = wait;
        part->topic = wait->response.topics[topic_place].name;
        part->topic_place = topic_place;
        part->index = from->partition_index;
        wait->response.topics[topic_place].partitions_count++;
        map_put(seen, key, part);
    }
    part->asked_offset = from->offset;
}

static void gather_parts(struct delete_wait *wait)
{
    const struct delete_records_request *message = wait->request->message;
    struct arena *arena = wait->request->arena;
    struct map places = {0}, seen = {0};
    size_t count = 0;
    for (int32_t t = 0; t < message->topics_count; t++)
        count += (size_t)message->topics[t].partitions_count;
    wait->parts = arena_new_array(arena, struct delete_part, count + 1);
    wait->response.topics =
        arena_new_array(arena, struct delete_records_response_delete_records_topic_result,
                        (size_t)message->topics_count + 1);
    for (int32_t t = 0; t < message->topics_count; t++) {
        if (message->topics[t].partitions_count == 0)
            continue; /* the JVM broker says nothing of a topic without partitions */
        int32_t place = place_of_topic(wait, &places, message->topics[t].name);
        for (int32_t i = 0; i < message->topics[t].partitions_count; i++)
            add_part(wait, &seen, place, &message->topics[t].partitions[i]);
    }
    map_done(&places);
    map_done(&seen);
}

static void lay_out_answer(struct delete_wait *wait)
{
    struct delete_records_response *response = &wait->response;
    for (int32_t t = 0; t < response->topics_count; t++) {
        response->topics[t].partitions = arena_new_array(
            wait->request->arena, struct delete_records_response_delete_records_partition_result,
            (size_t)response->topics[t].partitions_count + 1);
        response->topics[t].partitions_count = 0;
    }
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct delete_part *part = &wait->parts[i];
        struct delete_records_response_delete_records_topic_result *topic =
            &response->topics[part->topic_place];
        part->answer = &topic->partitions[topic->partitions_count++];
        delete_records_response_delete_records_partition_result_init(part->answer);
        part->answer->partition_index = part->index;
        part->answer->low_watermark = -1;
    }
}

/* --- waiting for the other replicas --- */

static void answer(struct delete_wait *wait)
{
    for (int32_t i = 0; i < wait->parts_count; i++)
        partition_unref(wait->parts[i].partition);
    request_answer(wait->request, &wait->response);
}

/* What waits still has the low watermark of the beginning in its answer, and has timed out. */
static void finish(struct request *request)
{
    struct delete_wait *wait = request->waiting;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct delete_part *part = &wait->parts[i];
        if (!part->partition)
            continue;
        partition_stop_waiting(part->partition, &part->waiter);
        int64_t low_watermark = -1;
        enum err e = partition_deleted_state(part->partition, part->offset, &low_watermark);
        part->answer->error_code = err_wire_code(e == ERR_AGAIN ? ERR_REQUEST_TIMED_OUT : e);
        if (e != ERR_AGAIN)
            part->answer->low_watermark = low_watermark;
    }
    answer(wait);
}

static void all_moved(struct request *request)
{
    request_timer_cancel(request);
    finish(request);
}

static void part_closed(struct delete_wait *wait)
{
    if (atomic_fetch_sub(&wait->open_count, 1) == 1)
        request_post(wait->request, all_moved);
}

static void moved(struct partition_waiter *waiter)
{
    part_closed(CONTAINER_OF(waiter, struct delete_part, waiter)->wait);
}

static void time_is_up(struct request *request)
{
    struct delete_wait *wait = request->waiting;
    for (int32_t i = 0; i < wait->parts_count; i++)
        if (wait->parts[i].partition)
            partition_stop_waiting(wait->parts[i].partition, &wait->parts[i].waiter);
    /* Whoever moved before that has counted down; if that was the last, all_moved() is on its way
     * and answers. */
    if (atomic_exchange(&wait->open_count, -1) > 0)
        finish(request);
}

/* Thread: the request's network thread, whose timer is needed. */
static void wait_for_replicas(struct request *request)
{
    struct delete_wait *wait = request->waiting;
    const struct delete_records_request *message = request->message;
    int32_t open = 0;
    wait->open_count = 1;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct delete_part *part = &wait->parts[i];
        if (!part->partition)
            continue;
        part->waiter.offset = part->offset;
        part->waiter.moved = moved;
        atomic_fetch_add(&wait->open_count, 1);
        if (partition_wait_deleted(part->partition, &part->waiter))
            open++;
        else
            atomic_fetch_sub(&wait->open_count, 1);
    }
    if (!open) {
        finish(request);
        return;
    }
    if (message->timeout_ms <= 0) {
        time_is_up(request);
        return;
    }
    request_timer_set(request, message->timeout_ms, NULL, time_is_up);
    part_closed(wait);
}

/* --- deleting --- */

static bool may_delete(const struct request *request, struct partition *partition)
{
    const struct cluster_functions *cluster = &request->broker->cluster;
    return cluster->topic_facts(cluster->cluster, partition_topic(partition)).cleanup_policy &
           CLEANUP_DELETE;
}

static enum err delete_records_of(struct delete_part *part)
{
    const struct request *request = part->wait->request;
    struct broker *broker = request->broker;
    if (topic_is_internal(part->topic) &&
        metadata_has_partition(broker->metadata_cache, part->topic, part->index))
        return ERR_INVALID_TOPIC_EXCEPTION;
    enum err e =
        replica_manager_find(broker->replica_manager, part->topic, part->index, &part->partition);
    if (!e && !may_delete(request, part->partition))
        e = ERR_POLICY_VIOLATION;
    return e ? e
             : partition_delete_records(part->partition, part->asked_offset, &part->offset,
                                        &part->answer->low_watermark);
}

/* True: the other replicas are behind. */
static bool delete_and_see(struct delete_part *part)
{
    enum err e = delete_records_of(part);
    part->answer->error_code = err_wire_code(e);
    bool must_wait = !e && part->answer->low_watermark < part->offset;
    if (!must_wait)
        partition_unref(TAKE(part->partition));
    return must_wait;
}

static void delete_all(struct request *request)
{
    struct delete_wait *wait = request->waiting;
    bool must_wait = false;
    for (int32_t i = 0; i < wait->parts_count; i++)
        must_wait |= delete_and_see(&wait->parts[i]);
    if (must_wait)
        request_post(request, wait_for_replicas);
    else
        answer(wait);
}

void handle_delete_records(struct request *request)
{
    struct delete_wait *wait = arena_alloc(request->arena, sizeof *wait);
    wait->request = request;
    request->waiting = wait;
    delete_records_response_init(&wait->response);
    gather_parts(wait);
    lay_out_answer(wait);
    request_to_worker(request, delete_all);
}
