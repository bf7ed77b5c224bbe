/* Birth and death of a node, and its queues. */
#include "tests/sim/node.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/log/log_manager_internal.h"
#include "broker/server/isr_sender.h"
#include "broker/server/note_keeper.h"
#include "tests/sim/calls.h"
#include "tests/sim/cluster.h"
#include "wire/api_key.h"

#define NEVER_MS           (INT64_MAX / 4)
#define CHECKPOINT_MS      2000
#define RECOVERY_POINT_MS  10000
#define FETCH_BACKOFF_MS   200
#define FETCH_WAIT_MS      500
#define REPLICA_FETCH_SIZE 2000 /* small, so that catching up takes several requests */
#define SEGMENT_BYTES      8192

/* ---- Queues ---- */

struct task {
    struct list_node node;
    void (*run)(void *context);
    void *context;
};

static struct node *current;

struct node *node_current(void)
{
    return current;
}

struct node *node_enter(struct node *node)
{
    struct node *before = current;
    current = node;
    node->is_touched = true;
    return before;
}

void node_leave(struct node *before)
{
    current = before;
}

void node_post(struct node *node, enum node_queue queue, void (*run)(void *context), void *context)
{
    struct task *task = mem_new(struct task);
    *task = (struct task){.run = run, .context = context};
    list_push_back(&node->queues[queue], &task->node);
}

static struct list_node *pick(struct node *node, enum node_queue queue)
{
    struct list_node *list = &node->queues[queue];
    int32_t count = 0;
    if (queue != QUEUE_WORKERS || list_is_empty(list))
        return list_pop_front(list);
    list_for_each (list, counted)
        count++;
    struct list_node *at = list->next;
    for (uint32_t i = world_random(node->cluster->world, (uint32_t)count); i > 0; i--)
        at = at->next;
    list_remove(at);
    return at;
}

bool node_run(struct node *node, enum node_queue queue)
{
    struct list_node *taken = pick(node, queue);
    if (!taken)
        return false;
    struct node *before = node_enter(node);
    struct task *task = list_entry(taken, struct task, node);
    task->run(task->context);
    free(task);
    node_leave(before);
    return true;
}

bool node_is_idle(const struct node *node)
{
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        if (!list_is_empty(&node->queues[queue]))
            return false;
    return true;
}

/* ---- Time ---- */

static void checkpoint(void *context)
{
    struct node *node = context;
    enum err e = replica_manager_checkpoint(node->server.broker.replica_manager);
    if (e && !node->is_dying)
        world_complain(node->cluster->world, "high watermarks not written: %s", err_sentence(e));
}

static void on_checkpoint(struct timer *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, checkpoint_timer);
    struct node *node = CONTAINER_OF(server, struct node, server);
    node_post(node, QUEUE_WORKERS, checkpoint, node);
    timer_set(&node->control.timers, timer, clock_mono_ms(server->clock) + CHECKPOINT_MS);
}

void node_run_timers(struct node *node)
{
    struct node *before = node_enter(node);
    int64_t now_ms = clock_mono_ms(node->server.clock);
    if (node->process->controller)
        controller_run_timers(node->process->controller);
    timers_run(&node->control.timers, now_ms);
    if (fetcher_next_ms(node->fetcher) <= now_ms)
        fetcher_run(node->fetcher);
    log_manager_tick(node->server.broker.log_manager);
    node_leave(before);
}

int64_t node_next_timer_ms(struct node *node)
{
    int64_t controller = controller_next_timer_ms(node->process->controller);
    int64_t control = timers_next_ms(&node->control.timers);
    int64_t fetcher = fetcher_next_ms(node->fetcher);
    int64_t next = controller < control ? controller : control;
    return fetcher < next ? fetcher : next;
}

/* ---- Following ---- */

struct order {
    struct node *node;
    struct partition *partition; /* a reference */
    int32_t leader_id, leader_epoch;
};

static void take_order(void *context)
{
    OWNED_MEM struct order *order = context;
    struct fetcher *fetcher = order->node->fetcher;
    if (order->leader_id >= 0) {
        fetcher_follow(fetcher, order->partition, order->leader_id, order->leader_epoch);
    } else {
        fetcher_unfollow(fetcher, order->partition);
        partition_unref(order->partition);
    }
    fetcher_run(fetcher);
}

static void follow(void *context, struct partition *partition, int32_t leader_id,
                   int32_t leader_epoch)
{
    struct node *node = context;
    struct order *order = mem_new(struct order);
    partition_ref(partition);
    *order = (struct order){node, partition, leader_id, leader_epoch};
    node_post(node, QUEUE_FETCHER, take_order, order);
}

static void unfollow(void *context, struct partition *partition)
{
    follow(context, partition, NO_BROKER, 0);
}

static enum err send_to_leader(void *context, int32_t leader_id, int16_t api_key,
                               int16_t api_version, const void *request,
                               fetcher_answered_fn *answered, void *answered_context)
{
    struct node *node = context;
    if (node->is_dying)
        return err_note(ERR_CLOSED, "the process is gone");
    if (!live_brokers_has(metadata_live_brokers(node->server.broker.metadata_cache), leader_id))
        return err_note(ERR_NOT_FOUND, "broker %" PRId32 " is not known", leader_id);
    return call_send(node->cluster, node->id, leader_id, api_key, api_version, request, answered,
                     answered_context);
}

/* ---- What the parts ask ---- */

static int32_t min_insync_replicas(void *context, const char *topic)
{
    struct node *node = context;
    return cluster_min_isr(node->cluster, topic);
}

static int64_t broker_epoch(void *context)
{
    struct node *node = context;
    return node->server.broker_epoch;
}

static void isr_changed(void *context, struct isr_change *change)
{
    struct node *node = context;
    isr_sender_post(node->server.isr_sender, change);
}

static void isr_thinned(void *context, struct partition *partition)
{
    struct node *node = context;
    note_keeper_post(node->server.note_keeper, partition);
}

static void look_at_watermarks(void *context, int64_t at_ms)
{
    struct node *node = context;
    isr_sender_look_at_watermarks(node->server.isr_sender, at_ms);
}

static void dir_failed(void *context, const struct log_dir *dir)
{
    struct node *node = context;
    (void)dir;
    if (!node->is_dying)
        world_complain(node->cluster->world, "the log directory of broker %" PRId32 " failed: %s",
                       node->id, err_sentence(ERR_IO));
}

static const struct log_config log_settings = {
    .segment_bytes = SEGMENT_BYTES,
    .index_bytes = 4096,
    .index_interval_bytes = 512,
    .max_message_bytes = 1 << 20,
    .segment_ms = NEVER_MS,
    .retention_bytes = -1,
    .retention_ms = -1,
    .flush_messages = INT64_MAX,
    .flush_ms = INT64_MAX,
    .file_delete_delay_ms = 1000,
    .timestamp_before_max_ms = INT64_MAX,
    .timestamp_after_max_ms = INT64_MAX,
    .cleanup_policy = CLEANUP_DELETE,
    .timestamp_type = TIMESTAMP_CREATE,
    .compression = COMPRESSION_PRODUCER,
};

static struct topic_facts topic_facts(void *cluster, const char *topic)
{
    (void)cluster, (void)topic;
    return (struct topic_facts){.compression = COMPRESSION_PRODUCER,
                                .cleanup_policy = CLEANUP_DELETE,
                                .is_down_conversion_allowed = true};
}

/* ---- ZooKeeper ---- */

static void ignore_state(void *owner, enum zk_state state, int64_t session_id)
{
    (void)owner, (void)state, (void)session_id;
}

static void ignore_watch(void *owner, enum zk_event_kind kind, struct slice path)
{
    (void)owner, (void)kind, (void)path;
}

static void open_view(struct node *node)
{
    node->server.control_zk = zk_memory_view(node->process->session);
    node->server.control_zk->owner = node;
    node->server.control_zk->state_changed = ignore_state;
    node->server.control_zk->watch_fired = ignore_watch;
}

static void never_submit(struct zk *zk, const struct zk_op *op, zk_done_fn *done, void *context)
{
    (void)zk, (void)op, (void)done, (void)context;
}

static void never_multi(struct zk *zk, const struct zk_op *ops, int32_t count, zk_done_fn *done,
                        void *context)
{
    (void)zk, (void)ops, (void)count, (void)done, (void)context;
}

void node_leave_zk(struct node *node)
{
    static const struct zk_functions functions = {never_submit, never_multi};
    static struct zk nowhere = {.functions = &functions};
    node->server.control_zk = &nowhere;
}

/* ---- Birth ---- */

static enum err open_logs(struct node *node)
{
    const char *dirs[] = {node->dir};
    struct log_manager_options options = {
        .dirs = dirs,
        .dirs_count = 1,
        .workers_count = 1,
        .recovery_threads_per_dir = 1,
        .broker_id = node->id,
        .retention_check_interval_ms = NEVER_MS,
        .flush_check_interval_ms = NEVER_MS,
        .recovery_point_checkpoint_interval_ms = RECOVERY_POINT_MS,
        .start_offset_checkpoint_interval_ms = RECOVERY_POINT_MS,
        .initial_task_delay_ms = CHECKPOINT_MS,
        .producer_id_expiration_ms = NEVER_MS,
        .producer_id_expiration_check_interval_ms = NEVER_MS,
        .max_open_files = 200,
        .max_mapped_indexes = 100,
        .clock = node->server.clock,
        .default_config = log_settings,
        .dir_failed = dir_failed,
        .context = node,
    };
    enum err e = log_manager_open(&options, &node->server.broker.log_manager);
    if (!e)
        e = log_manager_claim(node->server.broker.log_manager, node->id, "simulated-cluster-0000");
    return e ? e : log_manager_start(node->server.broker.log_manager);
}

static enum err read_settings(struct node *node)
{
    OWNED_MEM char *text = mem_printf("broker.id=%" PRId32 "\nzookeeper.connect=nowhere:1\n"
                                      "log.dirs=%s\nlisteners=PLAINTEXT://h:%" PRId32 "\n"
                                      "replica.lag.time.max.ms=%d\n",
                                      node->id, node->dir, 9000 + node->id, CLUSTER_LAG_MS);
    enum err e = config_parse("simulated", slice_str(text), NULL, 0, &node->config);
    node->server.config = node->server.broker.config = node->config;
    return e;
}

static void make_replicas(struct node *node)
{
    struct server *server = &node->server;
    server->broker.metadata_cache = metadata_cache_new();
    struct replica_manager_options options = {
        .broker_id = node->id,
        .clock = server->clock,
        .log_manager = server->broker.log_manager,
        .metadata_cache = server->broker.metadata_cache,
        .min_insync_replicas = min_insync_replicas,
        .broker_epoch = broker_epoch,
        .isr_changed = isr_changed,
        .isr_thinned = isr_thinned,
        .look_at_watermarks = look_at_watermarks,
        .context = node,
        .replica_lag_max_ms = server->config->replica_lag_time_max_ms,
    };
    server->isr_sender = isr_sender_new(server);
    server->note_keeper = note_keeper_new(server);
    server->broker.replica_manager = replica_manager_new(&options);
    replica_manager_set_fetchers(
        server->broker.replica_manager,
        (struct replica_fetchers){.follow = follow, .unfollow = unfollow, .context = node});
    server->broker.fetch_sessions = fetch_sessions_new(100, server->clock);
    server->broker.producer_ids = producer_ids_new(&server->broker);
    server->broker.cluster.topic_facts = topic_facts;
}

static void make_fetcher(struct node *node)
{
    struct fetcher_settings settings = {.broker_id = node->id,
                                        .broker_epoch = broker_epoch,
                                        .context = node,
                                        .fetch_version = 17,
                                        .list_offsets_version = 9,
                                        .epoch_version = 4,
                                        .truncates_on_fetch = true,
                                        .wait_max_ms = FETCH_WAIT_MS,
                                        .min_bytes = 1,
                                        .response_max_bytes = 10 << 20,
                                        .max_bytes = REPLICA_FETCH_SIZE,
                                        .backoff_ms = FETCH_BACKOFF_MS};
    struct fetcher_leaders leaders = {.send = send_to_leader, .context = node};
    node->fetcher = fetcher_new(&settings, &leaders, node->server.clock);
}

static void send_to_controller(struct controller_peers *peers, int32_t broker_id,
                               const struct controller_endpoint *endpoint, int16_t api_key,
                               int16_t api_version, const void *request, controller_sent_fn *sent,
                               void *context)
{
    struct node *node = ((struct broker_channels *)peers)->node;
    (void)endpoint;
    if (!node->is_dying) /* else nobody hears any more; the asker is let go of */
        (void)!call_send(node->cluster, node->id, broker_id, api_key, api_version, request, sent,
                         context);
}

void broker_channels_give_up(struct broker_channels *channels, int32_t except_id, enum err e)
{
    calls_give_up(channels->node, except_id, e);
}

void node_init(struct node *node, struct cluster *cluster, int32_t id, const char *dir)
{
    *node = (struct node){.cluster = cluster, .process = &cluster->world->brokers[id], .id = id};
    snprintf(node->dir, sizeof node->dir, "%s/broker-%" PRId32, dir, id);
    node->server.clock = node->server.broker.clock = &cluster->world->clock.clock;
    node->server.broker.id = id;
    node->server.broker.server = &node->server;
    node->server.control = &node->control;
    node->server.controller_thread = &node->controller_thread;
    node->server.client_channels = &node->channels;
    node->control.node = node->controller_thread.node = node->channels.node = node;
    node->channels.peers = (struct controller_peers){.send = send_to_controller};
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        list_init(&node->queues[queue]);
}

bool node_start(struct node *node)
{
    struct node *before = node_enter(node);
    enum err e = read_settings(node);
    if (!e)
        e = open_logs(node);
    if (e) {
        world_complain(node->cluster->world, "broker %" PRId32 " does not start: %s", node->id,
                       err_sentence(e));
        node_leave(before);
        return false;
    }
    open_view(node);
    make_replicas(node);
    make_fetcher(node);
    isr_sender_start(node->server.isr_sender);
    node->server.checkpoint_timer.fire = on_checkpoint;
    timer_set(&node->control.timers, &node->server.checkpoint_timer,
              clock_mono_ms(node->server.clock) + CHECKPOINT_MS);
    int64_t stopped_in_epoch = log_manager_stopped_in_epoch(node->server.broker.log_manager);
    node->process->intact_since =
        stopped_in_epoch > 0 ? stopped_in_epoch : INTACT_SINCE_REGISTRATION;
    node->is_alive = true;
    node_leave(before);
    return true;
}

/* ---- Death ---- */

void node_close_logs(struct node *node)
{
    struct node *before = node_enter(node);
    checkpoint(node);
    log_manager_stop(node->server.broker.log_manager, node->server.broker_epoch);
    node_leave(before);
}

/* What waits must be let go of, though it has no effect any more: the disk refuses and nobody
 * listens. */
static void drain(struct node *node)
{
    bool did = true;
    while (did) {
        did = calls_let_go(node);
        for (int queue = 0; queue < QUEUE_COUNT; queue++)
            while (node_run(node, (enum node_queue)queue))
                did = true;
    }
}

void node_kill(struct node *node)
{
    struct server *server = &node->server;
    struct node *before = node_enter(node);
    node->is_dying = true;
    node_disk_refuse(true);
    drain(node);
    fetcher_free(TAKE(node->fetcher));
    isr_sender_free(TAKE(server->isr_sender));
    note_keeper_free(TAKE(server->note_keeper));
    timers_done(&node->control.timers);
    node->control.timers = (struct timers){0};
    server->checkpoint_timer = (struct timer){0};
    producer_ids_free(TAKE(server->broker.producer_ids));
    fetch_sessions_free(TAKE(server->broker.fetch_sessions));
    replica_manager_free(TAKE(server->broker.replica_manager));
    metadata_cache_free(TAKE(server->broker.metadata_cache));
    log_manager_free(TAKE(server->broker.log_manager));
    config_unref(TAKE(node->config));
    server->broker_epoch = 0;
    node_disk_refuse(false);
    node->is_alive = node->is_dying = false;
    node_leave(before);
}
