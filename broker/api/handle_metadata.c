/* Metadata: brokers of the listener the client came by, and topics with their leaders, from the
 * cache. Unknown topics may be created on the way (auto.create.topics.enable); their answer is
 * LEADER_NOT_AVAILABLE, which clients retry. */
#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "broker/api/repeats.h"
#include "broker/wire/topic_name.h"
#include "wire/metadata.h"

/* Bits by AclOperation: what a client without restrictions may do, and "not asked". */
#define EVERY_TOPIC_OPERATION   3576
#define EVERY_CLUSTER_OPERATION 8096

/* A longer answer is made by a worker, so that the network thread serves others meanwhile. */
#define SHORT_TOPICS_MAX     1000 /* that are named */
#define SHORT_PARTITIONS_MAX 4000 /* of all topics */

struct metadata_work {
    struct request *request;
    const struct metadata_request *message;
    struct metadata_response response;
    bool *was_named_before;  /* beside message->topics */
    struct slice *to_create; /* names, and their places in the answer */
    int32_t *create_places;
    enum err *create_errors;
    int32_t create_count;
};

/* --- topics --- */

static int32_t *copy_ids(struct arena *arena, const int32_t *ids, int32_t count)
{
    int32_t *copy = arena_new_array(arena, int32_t, count + 1);
    if (count > 0)
        memcpy(copy, ids, (size_t)count * sizeof *ids);
    return copy;
}

/* Version 0 knows no incomplete lists: dead brokers are left out of them. */
static int32_t keep_alive(const struct metadata_cache *cache, int32_t *ids, int32_t count)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < count; i++)
        if (metadata_broker(cache, ids[i]))
            ids[kept++] = ids[i];
    return kept;
}

static bool id_is_in(int32_t id, const int32_t *ids, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static void add_offline(const struct metadata_cache *cache, const struct partition_metadata *from,
                        struct metadata_response_metadata_response_partition *to,
                        struct arena *arena)
{
    to->offline_replicas = arena_new_array(arena, int32_t, from->replicas_count + 1);
    for (int32_t i = 0; i < from->replicas_count; i++) {
        int32_t id = from->replicas[i];
        if (!metadata_broker(cache, id) ||
            id_is_in(id, from->offline_replicas, from->offline_replicas_count))
            to->offline_replicas[to->offline_replicas_count++] = id;
    }
}

static enum err leader_error(const struct metadata_cache *cache,
                             const struct partition_metadata *partition,
                             const struct request *request)
{
    const struct broker_node *leader = metadata_broker(cache, partition->leader);
    if (!leader)
        return ERR_LEADER_NOT_AVAILABLE;
    if (!broker_node_endpoint(leader, request->listener))
        return request->api_version >= 6 ? ERR_LISTENER_NOT_FOUND : ERR_LEADER_NOT_AVAILABLE;
    return ERR_OK;
}

static void fill_partition(const struct metadata_work *work, const struct metadata_cache *cache,
                           int32_t index, const struct partition_metadata *from,
                           struct metadata_response_metadata_response_partition *to)
{
    struct arena *arena = work->request->arena;
    metadata_response_metadata_response_partition_init(to);
    enum err e = leader_error(cache, from, work->request);
    to->partition_index = index;
    to->leader_id = e ? NO_BROKER : from->leader;
    to->leader_epoch = from->leader_epoch;
    to->replica_nodes = copy_ids(arena, from->replicas, from->replicas_count);
    to->replica_nodes_count = from->replicas_count;
    to->isr_nodes = copy_ids(arena, from->isr, from->isr_count);
    to->isr_nodes_count = from->isr_count;
    add_offline(cache, from, to, arena);
    if (work->request->api_version == 0) {
        to->replica_nodes_count = keep_alive(cache, to->replica_nodes, to->replica_nodes_count);
        to->isr_nodes_count = keep_alive(cache, to->isr_nodes, to->isr_nodes_count);
        if (!e && (to->replica_nodes_count < from->replicas_count ||
                   to->isr_nodes_count < from->isr_count))
            e = ERR_REPLICA_NOT_AVAILABLE;
    }
    to->error_code = err_wire_code(e);
}

static void fill_topic(const struct metadata_work *work, const struct metadata_cache *cache,
                       const struct topic_metadata *from,
                       struct metadata_response_metadata_response_topic *to)
{
    struct arena *arena = work->request->arena;
    to->name = arena_copy(arena, slice_str(from->name));
    to->topic_id = from->id;
    to->is_internal = topic_is_internal(to->name);
    if (work->request->api_version >= 8 && work->message->include_topic_authorized_operations)
        to->topic_authorized_operations = EVERY_TOPIC_OPERATION;
    to->partitions = arena_new_array(arena, struct metadata_response_metadata_response_partition,
                                     from->known_count + 1);
    for (int32_t i = 0; i < from->partitions_count; i++)
        if (from->partitions[i].is_known)
            fill_partition(work, cache, i, &from->partitions[i],
                           &to->partitions[to->partitions_count++]);
}

static void fill_all_topics(struct metadata_work *work, const struct metadata_cache *cache)
{
    int32_t count;
    const struct topic_metadata *const *topics = metadata_topics(cache, &count);
    work->response.topics = arena_new_array(
        work->request->arena, struct metadata_response_metadata_response_topic, count + 1);
    work->response.topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        metadata_response_metadata_response_topic_init(&work->response.topics[i]);
        fill_topic(work, cache, topics[i], &work->response.topics[i]);
    }
}

static void want_creation(struct metadata_work *work, struct slice name, int32_t place)
{
    work->to_create[work->create_count] = name;
    work->create_places[work->create_count++] = place;
}

static bool may_create(const struct metadata_work *work)
{
    return work->request->broker->config->auto_create_topics_enable &&
           (work->request->api_version < 4 || work->message->allow_auto_topic_creation);
}

static void fill_by_name(struct metadata_work *work, const struct metadata_cache *cache,
                         struct slice name, int32_t place)
{
    struct metadata_response_metadata_response_topic *to = &work->response.topics[place];
    const struct topic_metadata *topic = metadata_topic(cache, name);
    if (topic) {
        fill_topic(work, cache, topic, to);
        return;
    }
    to->name = name;
    to->is_internal = topic_is_internal(name);
    enum err e = topic_name_check(name);
    if (!e && may_create(work))
        want_creation(work, name, place);
    else if (!e)
        e = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    to->error_code = err_wire_code(e);
}

static void fill_by_id(struct metadata_work *work, const struct metadata_cache *cache,
                       struct uuid id, int32_t place)
{
    struct metadata_response_metadata_response_topic *to = &work->response.topics[place];
    const struct topic_metadata *topic = metadata_topic_by_id(cache, id);
    if (topic) {
        fill_topic(work, cache, topic, to);
        return;
    }
    to->topic_id = id;
    to->name = SLICE_NULL;
    to->error_code = err_wire_code(ERR_UNKNOWN_TOPIC_ID);
}

static struct slice topic_key(struct arena *arena,
                              const struct metadata_request_metadata_request_topic *topic)
{
    uint8_t *key = arena_alloc(arena, sizeof topic->topic_id + topic->name.size);
    memcpy(key, &topic->topic_id, sizeof topic->topic_id);
    if (topic->name.size)
        memcpy(key + sizeof topic->topic_id, topic->name.data, topic->name.size);
    return slice_of(key, sizeof topic->topic_id + topic->name.size);
}

/* A topic that is named twice is told once. */
static void find_repeats(struct metadata_work *work)
{
    const struct metadata_request *message = work->message;
    struct arena *arena = work->request->arena;
    if (message->topics_count <= 0)
        return;
    struct repeats repeats;
    repeats_init(&repeats, arena, message->topics_count);
    work->was_named_before = arena_new_array(arena, bool, message->topics_count);
    for (int32_t i = 0; i < message->topics_count; i++)
        work->was_named_before[i] =
            repeats_note(&repeats, topic_key(arena, &message->topics[i])) < i;
    repeats_done(&repeats);
}

/* Where one topic is asked by id, only ids count, as for the JVM broker. */
static bool asks_by_id(const struct metadata_request *message)
{
    for (int32_t i = 0; i < message->topics_count; i++)
        if (!uuid_is_zero(message->topics[i].topic_id))
            return true;
    return false;
}

static void fill_asked_topics(struct metadata_work *work, const struct metadata_cache *cache)
{
    const struct metadata_request *message = work->message;
    struct arena *arena = work->request->arena;
    size_t room = (size_t)message->topics_count + 1;
    bool by_id = asks_by_id(message);
    work->response.topics =
        arena_new_array(arena, struct metadata_response_metadata_response_topic, room);
    work->to_create = arena_new_array(arena, struct slice, room);
    work->create_places = arena_new_array(arena, int32_t, room);
    work->create_errors = arena_new_array(arena, enum err, room);
    for (int32_t i = 0; i < message->topics_count; i++) {
        if (work->was_named_before[i] || (by_id && uuid_is_zero(message->topics[i].topic_id)))
            continue;
        int32_t place = work->response.topics_count++;
        metadata_response_metadata_response_topic_init(&work->response.topics[place]);
        if (!uuid_is_zero(message->topics[i].topic_id))
            fill_by_id(work, cache, message->topics[i].topic_id, place);
        else
            fill_by_name(work, cache, message->topics[i].name, place);
    }
}

/* --- the answer --- */

static void fill_brokers(struct metadata_work *work, const struct metadata_cache *cache)
{
    struct arena *arena = work->request->arena;
    int32_t count;
    const struct broker_node *const *nodes = metadata_brokers(cache, &count);
    work->response.brokers =
        arena_new_array(arena, struct metadata_response_metadata_response_broker, count + 1);
    for (int32_t i = 0; i < count; i++) {
        const struct broker_endpoint *endpoint =
            broker_node_endpoint(nodes[i], work->request->listener);
        if (!endpoint)
            continue;
        struct metadata_response_metadata_response_broker *to =
            &work->response.brokers[work->response.brokers_count++];
        metadata_response_metadata_response_broker_init(to);
        to->node_id = nodes[i]->id;
        to->host = arena_copy(arena, slice_str(endpoint->host));
        to->port = endpoint->port;
        to->rack = arena_copy(arena, slice_str(nodes[i]->rack));
    }
}

static bool asks_for_all(const struct request *request)
{
    const struct metadata_request *message = request->message;
    return request->api_version == 0 ? message->topics_count <= 0 : message->topics_count < 0;
}

static void answer(struct metadata_work *work)
{
    struct request *request = work->request;
    work->response.cluster_id = slice_str(request->broker->cluster_id);
    work->response.controller_id = metadata_controller_id(request->broker->metadata_cache);
    if (request->api_version >= 8 && request->api_version <= 10 &&
        work->message->include_cluster_authorized_operations)
        work->response.cluster_authorized_operations = EVERY_CLUSTER_OPERATION;
    request_answer(request, &work->response);
}

static void created(void *context)
{
    struct metadata_work *work = context;
    for (int32_t i = 0; i < work->create_count; i++)
        work->response.topics[work->create_places[i]].error_code =
            err_wire_code(work->create_errors[i]);
    answer(work);
}

/* Versions 10 and 11 carry ids but may not be asked by them; a topic with neither id nor name
 * upsets the JVM broker. */
static enum err check_asked(const struct request *request)
{
    const struct metadata_request *message = request->message;
    for (int32_t i = 0; i < message->topics_count; i++) {
        bool has_id = !uuid_is_zero(message->topics[i].topic_id),
             has_name = !slice_is_null(message->topics[i].name);
        if (request->api_version < 12 && (has_id || !has_name))
            return ERR_INVALID_REQUEST;
        if (!has_id && !has_name)
            return ERR_UNKNOWN_SERVER_ERROR;
    }
    return ERR_OK;
}

static void refuse(struct metadata_work *work, enum err e)
{
    const struct metadata_request *message = work->message;
    work->response.topics =
        arena_new_array(work->request->arena, struct metadata_response_metadata_response_topic,
                        message->topics_count + 1);
    work->response.topics_count = message->topics_count;
    for (int32_t i = 0; i < message->topics_count; i++) {
        metadata_response_metadata_response_topic_init(&work->response.topics[i]);
        bool has_name = !slice_is_null(message->topics[i].name);
        work->response.topics[i].name = has_name ? message->topics[i].name : SLICE_LITERAL("");
        work->response.topics[i].topic_id = message->topics[i].topic_id;
        work->response.topics[i].error_code = err_wire_code(e);
    }
    request_answer(work->request, &work->response);
}

static void serve_here(struct request *request)
{
    struct metadata_work *work = arena_alloc(request->arena, sizeof *work);
    work->request = request;
    work->message = request->message;
    metadata_response_init(&work->response);
    enum err e = check_asked(request);
    if (e) {
        refuse(work, e);
        return;
    }
    find_repeats(work);
    struct broker *broker = request->broker;
    metadata_cache_lock(broker->metadata_cache);
    fill_brokers(work, broker->metadata_cache);
    if (asks_for_all(request))
        fill_all_topics(work, broker->metadata_cache);
    else
        fill_asked_topics(work, broker->metadata_cache);
    metadata_cache_unlock(broker->metadata_cache);
    if (work->create_count)
        broker->cluster.auto_create(broker->cluster.cluster, work->to_create, work->create_count,
                                    request->arena, work->create_errors, created, work);
    else
        answer(work);
}

static bool are_many(struct metadata_cache *cache)
{
    int32_t count, partitions = 0;
    metadata_cache_lock(cache);
    const struct topic_metadata *const *topics = metadata_topics(cache, &count);
    for (int32_t i = 0; i < count && partitions <= SHORT_PARTITIONS_MAX; i++)
        partitions += topics[i]->known_count;
    metadata_cache_unlock(cache);
    return count > SHORT_TOPICS_MAX || partitions > SHORT_PARTITIONS_MAX;
}

static void serve(struct request *request)
{
    const struct metadata_request *message = request->message;
    bool is_long = asks_for_all(request) ? are_many(request->broker->metadata_cache)
                                         : message->topics_count > SHORT_TOPICS_MAX;
    if (is_long)
        request_to_worker(request, serve_here);
    else
        serve_here(request);
}

/* --- the first moments after the start --- */

#define FIRST_NEWS_PAUSE_MS 20
#define FIRST_NEWS_MAX_MS   3000

/* The controller has spoken. Its first words name brokers alone; where there are topics we wait for
 * the next, which name them. */
static bool has_news(struct broker *broker, int64_t now_ms)
{
    if (!metadata_is_known(broker->metadata_cache))
        return false;
    if (!broker->expects_topics || metadata_has_topics(broker->metadata_cache))
        return true;
    int64_t first_ms = 0;
    if (atomic_compare_exchange_strong(&broker->first_news_ms, &first_ms, now_ms))
        first_ms = now_ms;
    return now_ms - first_ms >= FIRST_NEWS_MAX_MS;
}

/* Before that nothing is known, and an answer of nothing makes clients give up their topics and
 * what they have for them: librdkafka does not go back to a partition that was gone for a moment
 * until it has another leader or epoch. So the first questions wait a little, and where the
 * controller cannot reach us the client is sent away, to ask a broker that knows. */
static void wait_for_news(struct request *request)
{
    const int64_t *since_ms = request->waiting;
    int64_t now_ms = clock_mono_ms(request->broker->clock);
    if (has_news(request->broker, now_ms))
        serve(request);
    else if (now_ms - *since_ms >= FIRST_NEWS_MAX_MS)
        request_refuse(request, "the controller has not told us of the cluster yet");
    else
        request_timer_set(request, FIRST_NEWS_PAUSE_MS, NULL, wait_for_news);
}

void handle_metadata(struct request *request)
{
    int64_t now_ms = clock_mono_ms(request->broker->clock);
    if (has_news(request->broker, now_ms)) {
        serve(request);
        return;
    }
    int64_t *since_ms = arena_alloc(request->arena, sizeof *since_ms);
    *since_ms = now_ms;
    request->waiting = since_ms;
    wait_for_news(request);
}
