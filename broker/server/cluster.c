/* What handlers and the stop ask of the cluster: creating topics on the way, blocks of producer
 * ids, leaving in order. The first goes to our own controller core, active or not (it writes the
 * znodes as any Kafka broker may); the others to the active controller, wherever it is. */
#include "broker/server/controller_ask.h"

#include <event2/event.h>
#include <semaphore.h>
#include <time.h>

#include "broker/wire/topic_name.h"
#include "broker/base/trace.h"
#include "wire/allocate_producer_ids.h"
#include "wire/api_key.h"
#include "wire/controlled_shutdown.h"

#define FOLLOWERSHIP_WAIT_MS 1000
#define FOLLOWERSHIP_LOOK_MS 2
#define FAREWELL_MS          100

/* --- auto-creation --- */

struct auto_create {
    struct server *server;
    struct arena *arena;
    struct create_topics_request request;
    enum err *errors;
    void (*done)(void *context);
    void *context;
};

static void set_defaults(const struct config *config, struct slice name,
                         struct create_topics_request_creatable_topic *ret)
{
    create_topics_request_creatable_topic_init(ret);
    ret->name = name;
    ret->num_partitions = config->num_partitions;
    ret->replication_factor = (int16_t)config->default_replication_factor;
    if (slice_equal_str(name, TOPIC_CONSUMER_OFFSETS)) {
        ret->num_partitions = config->offsets_topic_num_partitions;
        ret->replication_factor = config->offsets_topic_replication_factor;
    } else if (slice_equal_str(name, TOPIC_TRANSACTION_STATE)) {
        ret->num_partitions = config->transaction_state_log_num_partitions;
        ret->replication_factor = config->transaction_state_log_replication_factor;
    }
}

/* The client retries LEADER_NOT_AVAILABLE until the topic has one. */
static void auto_created(void *context, const void *message)
{
    struct auto_create *work = context;
    const struct create_topics_response *response = message;
    for (int32_t i = 0; i < response->topics_count && i < work->request.topics_count; i++) {
        enum err e = err_from_wire(response->topics[i].error_code);
        bool will_come = !e || e == ERR_TOPIC_ALREADY_EXISTS || e == ERR_REQUEST_TIMED_OUT;
        work->errors[i] = will_come ? ERR_LEADER_NOT_AVAILABLE : e;
    }
    work->done(work->context);
}

static struct controller_assignable *live_brokers(struct auto_create *work, int32_t *ret_count)
{
    struct metadata_cache *cache = work->server->broker.metadata_cache;
    metadata_cache_lock(cache);
    int32_t count;
    const struct broker_node *const *nodes = metadata_brokers(cache, &count);
    struct controller_assignable *brokers =
        arena_new_array(work->arena, struct controller_assignable, count + 1);
    for (int32_t i = 0; i < count; i++)
        brokers[i] = (struct controller_assignable){
            nodes[i]->id, arena_copy(work->arena, slice_str(nodes[i]->rack))};
    metadata_cache_unlock(cache);
    *ret_count = count;
    return brokers;
}

static void run_auto_create(struct controller *controller, void *context)
{
    struct auto_create *work = context;
    if (!controller) {
        work->done(work->context);
        return;
    }
    int32_t count;
    struct controller_assignable *brokers = live_brokers(work, &count);
    controller_auto_create_topics(controller, &work->request, brokers, count, work->arena,
                                  auto_created, work);
}

static void auto_create(void *cluster, const struct slice *names, int32_t count,
                        struct arena *arena, enum err *ret_errors, void (*done)(void *context),
                        void *context)
{
    struct server *server = cluster;
    struct auto_create *work = arena_alloc(arena, sizeof *work);
    *work = (struct auto_create){
        .server = server, .arena = arena, .errors = ret_errors, .done = done, .context = context};
    create_topics_request_init(&work->request);
    work->request.topics =
        arena_new_array(arena, struct create_topics_request_creatable_topic, count);
    work->request.topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        set_defaults(config_now(server->live), names[i], &work->request.topics[i]);
        ret_errors[i] = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    controller_thread_post(server->controller_thread, run_auto_create, work);
}

/* --- producer ids --- */

struct id_ask {
    struct controller_ask ask;
    struct allocate_producer_ids_request request;
    void (*done)(void *context, enum err e, int64_t first_id, int32_t size);
    void *context;
};

static void allocate_locally(struct controller *controller, struct controller_ask *ask)
{
    controller_allocate_producer_ids(controller, ask->request, ask->arena, controller_ask_answered,
                                     ask);
}

static void ids_answered(struct controller_ask *ask, enum err e, const void *message)
{
    struct id_ask *ids = CONTAINER_OF(ask, struct id_ask, ask);
    const struct allocate_producer_ids_response *response = message;
    if (!e)
        e = err_from_wire(response->error_code);
    ids->done(ids->context, e, e ? -1 : response->producer_id_start,
              e ? 0 : response->producer_id_len);
    arena_free(ask->arena);
    free(ids);
}

static void allocate_producer_ids(void *cluster,
                                  void (*done)(void *context, enum err e, int64_t first_id,
                                               int32_t size),
                                  void *context)
{
    struct server *server = cluster;
    struct id_ask *ids = mem_new(struct id_ask);
    allocate_producer_ids_request_init(&ids->request);
    ids->request.broker_id = server->broker.id;
    ids->request.broker_epoch = server->broker_epoch;
    ids->done = done;
    ids->context = context;
    ids->ask = (struct controller_ask){.server = server,
                                       .api_key = API_ALLOCATE_PRODUCER_IDS,
                                       .api_version = 0,
                                       .request = &ids->request,
                                       .local = allocate_locally,
                                       .answered = ids_answered,
                                       .arena = arena_new()};
    controller_ask_send(&ids->ask);
}

/* --- leaving in order (version 3 carries the broker epoch, KIP-380) --- */

struct shutdown_ask {
    struct controller_ask ask;
    struct controlled_shutdown_request request;
    enum err error;
    int32_t remaining_count;
    sem_t done;
};

static void shut_down_locally(struct controller *controller, struct controller_ask *ask)
{
    controller_controlled_shutdown(controller, ask->request, ask->arena, controller_ask_answered,
                                   ask);
}

static void shutdown_answered(struct controller_ask *ask, enum err e, const void *message)
{
    struct shutdown_ask *shutdown = CONTAINER_OF(ask, struct shutdown_ask, ask);
    const struct controlled_shutdown_response *response = message;
    shutdown->error = e ? e : err_from_wire(response->error_code);
    shutdown->remaining_count = e ? 0 : response->remaining_partitions_count;
    sem_post(&shutdown->done);
}

static bool ask_to_leave(struct server *server)
{
    struct shutdown_ask shutdown = {0};
    sem_init(&shutdown.done, 0, 0);
    controlled_shutdown_request_init(&shutdown.request);
    shutdown.request.broker_id = server->broker.id;
    shutdown.request.broker_epoch = server->broker_epoch;
    shutdown.ask = (struct controller_ask){.server = server,
                                           .api_key = API_CONTROLLED_SHUTDOWN,
                                           .api_version = 3,
                                           .request = &shutdown.request,
                                           .local = shut_down_locally,
                                           .answered = shutdown_answered,
                                           .arena = arena_new()};
    controller_ask_send(&shutdown.ask);
    while (sem_wait(&shutdown.done))
        ;
    sem_destroy(&shutdown.done);
    arena_free(shutdown.ask.arena);
    bool has_left = !shutdown.error && !shutdown.remaining_count;
    if (has_left)
        trace_info("controlled shutdown accepted broker=%d", server->broker.id);
    else
        trace_warn("controlled shutdown not complete broker=%d error=%s remaining=%d",
                   server->broker.id, err_name(shutdown.error), shutdown.remaining_count);
    return has_left;
}

static void pause_ms(int64_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Nobody is left who could take what we lead: asking again would only cost time. */
static bool is_alone(struct server *server)
{
    struct metadata_cache *cache = server->broker.metadata_cache;
    int32_t count;
    metadata_cache_lock(cache);
    metadata_brokers(cache, &count);
    metadata_cache_unlock(cache);
    return count <= 1;
}

static void count_shared(void *context, struct partition *partition)
{
    int32_t *count = context;
    struct isr_view view = partition_isr_view(partition);
    *count += view.is_leader && view.replicas_count > 1;
}

static int32_t led_and_shared_count(struct server *server)
{
    int32_t count = 0;
    replica_manager_for_each(server->broker.replica_manager, count_shared, &count);
    return count;
}

/* The controller has chosen other leaders, but its word of it comes on another connection than its
 * answer did. Until we have heard it, requests wait here for followers that have gone elsewhere;
 * then they are answered, with the new leader's name, before their connections end. */
static void await_followership(struct server *server)
{
    int64_t deadline_ms = clock_mono_ms(server->clock) + FOLLOWERSHIP_WAIT_MS;
    for (;;) {
        int32_t count = led_and_shared_count(server);
        if (count == 0)
            return;
        if (clock_mono_ms(server->clock) >= deadline_ms) {
            trace_warn("stopping as leader of partitions that have other replicas broker=%d "
                       "partitions=%d",
                       server->broker.id, count);
            return;
        }
        pause_ms(FOLLOWERSHIP_LOOK_MS);
    }
}

/* A client that sends something within FAREWELL_MS is told who leads now and goes there. One whose
 * connection only ends has to find a broker that it can ask, for which librdkafka takes up to a
 * second. */
void server_controlled_shutdown(struct server *server)
{
    const struct config *config = config_now(server->live);
    if (!config->controlled_shutdown_enable || server->broker_epoch < 0)
        return;
    bool has_led = led_and_shared_count(server) > 0;
    replica_manager_leave(server->broker.replica_manager);
    for (int32_t i = 0; i < config->controlled_shutdown_max_retries; i++) {
        if (ask_to_leave(server)) {
            await_followership(server);
            if (has_led)
                pause_ms(FAREWELL_MS);
            return;
        }
        if (is_alone(server))
            return;
        if (i + 1 < config->controlled_shutdown_max_retries)
            pause_ms(config->controlled_shutdown_retry_backoff_ms);
    }
    trace_warn("stopping without a complete controlled shutdown broker=%d", server->broker.id);
}

/* --- facts about topics --- */

static struct topic_facts topic_facts(void *cluster, const char *topic)
{
    struct server *server = cluster;
    struct topic_config config;
    topic_settings_get(server->topic_settings, topic, &config);
    return (struct topic_facts){.compression = config.compression_type,
                                .cleanup_policy = config.cleanup_policy,
                                .is_down_conversion_allowed = config.message_downconversion_enable};
}

void server_join_cluster(struct server *server)
{
    server->broker.cluster = (struct cluster_functions){
        .cluster = server,
        .auto_create = auto_create,
        .allocate_producer_ids = allocate_producer_ids,
        .topic_facts = topic_facts,
    };
}
