/* Starting the broker, part after part, and stopping it in the opposite order. Whatever fails on
 * the way unwinds what was begun: server_stop() takes half a server too. */
#include "broker/server/server_internal.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "broker/base/trace.h"
#include "broker/server/broker_zk.h"
#include "broker/server/config_effects.h"
#include "broker/server/config_watch.h"
#include "broker/server/controller_join.h"
#include "broker/server/disk_stall.h"
#include "broker/server/fetcher_threads.h"
#include "broker/server/isr_sender.h"
#include "broker/server/note_keeper.h"
#include "coordinator/zk/zk_bootstrap.h"
#include "coordinator/zk/znode.h"

#define DRAIN_MS 5000

/* --- faults --- */

void server_fail(struct server *server, const char *format, ...)
{
    if (atomic_exchange(&server->has_fault, true))
        return;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&server->fault, format, arguments) < 0)
        server->fault = mem_strdup("memory is exhausted");
    va_end(arguments);
    trace_error("the broker must stop: %s", server->fault);
    ssize_t written = write(server->fault_pipe[1], "!", 1);
    (void)written;
}

int server_fault_fd(const struct server *server)
{
    return server->fault_pipe[0];
}

/* --- logs --- */

static void topic_config(void *context, const char *topic, struct log_config *ret)
{
    struct server *server = context;
    topic_settings_log_config(server->topic_settings, topic, ret);
}

struct failed_dir_work {
    struct control_work work;
    struct server *server;
    const struct log_dir *dir;
};

static bool any_dir_is_online(struct log_manager *logs)
{
    for (int i = 0; i < log_manager_dirs_count(logs); i++) {
        struct log_dir_view view;
        log_manager_dir_view(logs, i, &view);
        if (view.is_online)
            return true;
    }
    return false;
}

static void dir_failed_on_control(struct control_work *control_work)
{
    struct failed_dir_work *work = CONTAINER_OF(control_work, struct failed_dir_work, work);
    struct server *server = work->server;
    int32_t count = replica_manager_dir_failed(server->broker.replica_manager, work->dir);
    trace_error("log directory failed partitions_offline=%d", count);
    if (any_dir_is_online(server->broker.log_manager))
        broker_zk_tell_dir_failed(server);
    else
        server_fail(server, "every log directory has failed");
}

/* Nobody runs what is posted where the start fails, so it is the server's. */
static void dir_failed(void *context, const struct log_dir *dir)
{
    struct server *server = context;
    struct failed_dir_work *work = NULL;
    for (int i = 0; !work; i++) {
        struct log_dir_view view;
        log_manager_dir_view(server->broker.log_manager, i, &view);
        if (view.dir == dir)
            work = &server->failed_dirs[i];
    }
    work->work.run = dir_failed_on_control;
    work->server = server;
    work->dir = dir;
    control_thread_post(server->control, &work->work);
}

static enum err open_logs(struct server *server)
{
    const struct config *c = server->config;
    struct log_manager_options options = {
        .dirs = c->log_dirs.items,
        .dirs_count = c->log_dirs.count,
        .workers_count = c->background_threads,
        .recovery_threads_per_dir = c->num_recovery_threads_per_data_dir,
        .broker_id = c->broker_id,
        .retention_check_interval_ms = c->log_retention_check_interval_ms,
        .flush_check_interval_ms = c->log_flush_scheduler_interval_ms,
        .recovery_point_checkpoint_interval_ms = c->log_flush_offset_checkpoint_interval_ms,
        .start_offset_checkpoint_interval_ms = c->log_flush_start_offset_checkpoint_interval_ms,
        .initial_task_delay_ms = c->log_initial_task_delay_ms,
        .producer_id_expiration_ms = c->producer_id_expiration_ms,
        .writeback_bytes = c->log_writeback_bytes,
        .producer_id_expiration_check_interval_ms = c->producer_id_expiration_check_interval_ms,
        .max_open_files = c->max_open_files,
        .max_mapped_indexes = c->max_mapped_indexes,
        .clock = server->clock,
        .topic_config = topic_config,
        .dir_failed = dir_failed,
        .context = server,
    };
    topic_settings_log_config(server->topic_settings, "", &options.default_config);
    server->failed_dirs = arena_new_array(server->names, struct failed_dir_work, c->log_dirs.count);
    return log_manager_open(&options, &server->broker.log_manager);
}

/* --- ZooKeeper --- */

static enum err start_embedded(struct server *server)
{
    const struct config *c = server->config;
    const char *listener =
        c->stoker_embedded_listener ? c->stoker_embedded_listener : "127.0.0.1:2181";
    const char *colon = strrchr(listener, ':');
    int64_t port = 0;
    if (!colon || !slice_to_int64(slice_str(colon + 1), &port) || port < 0 || port > UINT16_MAX)
        return err_note(ERR_INVALID_CONFIG, "stoker.embedded.listener=%s is not HOST:PORT",
                        listener);
    OWNED_MEM char *host = mem_strndup(listener, (size_t)(colon - listener));
    OWNED_MEM char *dir = c->stoker_embedded_data_dir
                              ? mem_strdup(c->stoker_embedded_data_dir)
                              : mem_printf("%s/../coordinator", c->log_dirs.items[0]);
    int32_t id =
        c->broker_id >= 0 ? c->broker_id : log_manager_stored_broker_id(server->broker.log_manager);
    char own_znode[64];
    snprintf(own_znode, sizeof own_znode, "/brokers/ids/%d", id);
    struct embedded_options options = {.data_dir = dir,
                                       .own_znode = id >= 0 ? own_znode : NULL,
                                       .bind_host = host[0] ? host : "0.0.0.0",
                                       .port = (uint16_t)port,
                                       .clock = server->clock};
    enum err e = embedded_start(&options, &server->embedded);
    if (e)
        return err_wrap(e, "start the embedded coordinator on %s", listener);
    free(server->zookeeper_connect);
    server->zookeeper_connect = mem_printf("127.0.0.1:%u", embedded_port(server->embedded));
    return ERR_OK;
}

/* "user:password" of "digest:user:password"; NULL: none is set. */
static const char *digest_auth(const struct config *config)
{
    const char *auth = config->stoker_zookeeper_auth;
    return auth && auth[0] ? auth + strlen("digest:") : NULL;
}

static enum err open_session(struct server *server)
{
    const struct config *c = server->config;
    struct zk_session_settings settings = {
        .connect = server->zookeeper_connect,
        .session_timeout_ms = c->zookeeper_session_timeout_ms,
        .connection_timeout_ms = c->zookeeper_connection_timeout_ms,
        .max_in_flight = c->zookeeper_max_in_flight_requests,
        .auth_scheme = "digest",
        .auth = digest_auth(c),
    };
    enum err e = zk_session_open(&settings, &server->zk_session);
    if (e)
        return e;
    server->control_mailbox = mailbox_new();
    server->control_zk = zk_session_view(server->zk_session, server->control_mailbox);
    return zk_bootstrap_paths(server->control_zk);
}

/* broker.id of the settings, else of the directories, else a fresh one. */
static enum err settle_broker_id(struct server *server)
{
    const struct config *c = server->config;
    int32_t stored = log_manager_stored_broker_id(server->broker.log_manager);
    server->broker.id = c->broker_id >= 0 ? c->broker_id : stored;
    if (server->broker.id >= 0)
        return ERR_OK;
    if (!c->broker_id_generation_enable)
        return err_note(ERR_INVALID_CONFIG,
                        "broker.id is not set and broker.id.generation.enable is false");
    return zk_bootstrap_broker_id(server->control_zk, c->reserved_broker_max_id,
                                  &server->broker.id);
}

static enum err settle_cluster_id(struct server *server)
{
    struct arena *arena = arena_new();
    struct slice id;
    enum err e = zk_bootstrap_cluster_id(server->control_zk, arena, &id);
    if (!e)
        server->broker.cluster_id = slice_dup(id);
    arena_free(arena);
    if (!e)
        e = log_manager_claim(server->broker.log_manager, server->broker.id,
                              server->broker.cluster_id);
    return e;
}

/* --- replicas --- */

static int32_t min_insync_replicas(void *context, const char *topic)
{
    struct server *server = context;
    struct topic_config config;
    topic_settings_get(server->topic_settings, topic, &config);
    return config.min_insync_replicas;
}

static int64_t broker_epoch(void *context)
{
    struct server *server = context;
    return server->broker_epoch;
}

static void isr_changed(void *context, struct isr_change *change)
{
    struct server *server = context;
    isr_sender_post(server->isr_sender, change);
}

static void isr_thinned(void *context, struct partition *partition)
{
    struct server *server = context;
    note_keeper_post(server->note_keeper, partition);
}

static void look_at_watermarks(void *context, int64_t at_ms)
{
    struct server *server = context;
    isr_sender_look_at_watermarks(server->isr_sender, at_ms);
}

static void note_log(void *context, struct log *log)
{
    (void)log;
    *(bool *)context = true;
}

static void make_replicas(struct server *server)
{
    server->broker.expects_topics = config_watch_saw_topics(server->config_watch);
    log_manager_for_each(server->broker.log_manager, note_log, &server->broker.expects_topics);
    server->broker.metadata_cache = metadata_cache_new();
    struct replica_manager_options options = {
        .broker_id = server->broker.id,
        .clock = server->clock,
        .log_manager = server->broker.log_manager,
        .metadata_cache = server->broker.metadata_cache,
        .min_insync_replicas = min_insync_replicas,
        .broker_epoch = broker_epoch,
        .isr_changed = isr_changed,
        .isr_thinned = isr_thinned,
        .look_at_watermarks = look_at_watermarks,
        .context = server,
        .replica_lag_max_ms = server->config->replica_lag_time_max_ms,
    };
    server->isr_sender = isr_sender_new(server);
    server->note_keeper = note_keeper_new(server);
    server->broker.replica_manager = replica_manager_new(&options);
    server->fetchers = fetcher_threads_start(server);
    replica_manager_set_fetchers(server->broker.replica_manager,
                                 fetcher_threads_functions(server->fetchers));
    server->broker.fetch_sessions = fetch_sessions_new(
        server->config->max_incremental_fetch_session_cache_slots, server->clock);
    server->broker.producer_ids = producer_ids_new(&server->broker);
}

/* --- network --- */

static void run_request(void *context)
{
    struct request *request = context;
    request->run(request);
}

static void to_worker(void *context, struct request *request)
{
    struct server *server = context;
    log_manager_run_request(server->broker.log_manager, run_request, request);
}

/* What may change while the network runs. The two arrays are the caller's to free. */
static void fill_changing(const struct config *c, struct network_options *ret)
{
    struct listener_options *listeners =
        mem_new_array(struct listener_options, (size_t)c->listeners_count);
    for (int32_t i = 0; i < c->listeners_count; i++)
        listeners[i] = (struct listener_options){
            .name = c->listeners[i].name,
            .host = c->listeners[i].host,
            .port = (uint16_t)c->listeners[i].port,
            .is_inter_broker = &c->listeners[i] == c->inter_broker_listener,
            .max_connections = c->listeners[i].max_connections,
            .max_creation_rate = c->listeners[i].max_connection_creation_rate};
    struct ip_limit *limits =
        mem_new_array(struct ip_limit, (size_t)c->max_connections_per_ip_overrides_count + 1);
    for (int32_t i = 0; i < c->max_connections_per_ip_overrides_count; i++)
        limits[i] = (struct ip_limit){c->max_connections_per_ip_overrides[i].host,
                                      c->max_connections_per_ip_overrides[i].max_connections};
    ret->listeners = listeners;
    ret->listeners_count = (size_t)c->listeners_count;
    ret->threads_count = c->num_network_threads;
    ret->max_connections = c->max_connections;
    ret->max_connections_per_ip = c->max_connections_per_ip;
    ret->max_creation_rate = c->max_connection_creation_rate;
    ret->ip_limits = limits;
    ret->ip_limits_count = (size_t)c->max_connections_per_ip_overrides_count;
}

static void free_changing(struct network_options *options)
{
    free((struct listener_options *)options->listeners);
    free((struct ip_limit *)options->ip_limits);
}

static enum err bind_network(struct server *server)
{
    const struct config *c = config_now(server->live);
    struct network_options options;
    network_options_init(&options);
    fill_changing(c, &options);
    options.request_max_bytes = c->socket_request_max_bytes;
    options.unfinished_max_bytes = c->stoker_unfinished_requests_max_bytes;
    options.idle_max_ms = c->connections_max_idle_ms;
    options.send_buffer_bytes = c->socket_send_buffer_bytes;
    options.receive_buffer_bytes = c->socket_receive_buffer_bytes;
    options.congestion_control = c->stoker_socket_congestion_control;
    options.backlog = c->socket_listen_backlog_size;
    options.clock = server->clock;
    options.broker = &server->broker;
    options.lookup = server_api_lookup;
    options.to_worker = to_worker;
    options.context = server;
    enum err e = network_start(&options, &server->network);
    free_changing(&options);
    return e;
}

enum err server_update_network(struct server *server, const struct config *config)
{
    struct network_options options;
    network_options_init(&options);
    fill_changing(config, &options);
    enum err e = network_update(server->network, &options);
    free_changing(&options);
    return e;
}

/* --- the whole --- */

static void checkpoint(void *context)
{
    struct server *server = context;
    enum err e = replica_manager_checkpoint(server->broker.replica_manager);
    if (e)
        trace_warn("high watermarks not written: %s", err_sentence(e));
}

static void on_checkpoint(struct timer *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, checkpoint_timer);
    log_manager_run(server->broker.log_manager, checkpoint, server);
    timer_set(control_thread_timers(server->control), timer,
              clock_later_ms(clock_mono_ms(server->clock),
                             server->config->replica_high_watermark_checkpoint_interval_ms));
}

static void config_changed(void *context, const struct config *old_config,
                           const struct config *new_config)
{
    struct server *server = context;
    server->broker.config = new_config;
    config_effects_apply(server, old_config, new_config);
}

static enum err begin_coordination(struct server *server)
{
    struct config_watch_options options = {
        .zk = server->control_zk,
        .clock = server->clock,
        .broker_id = server->broker.id,
        .live = server->live,
        .topics = server->topic_settings,
        .topic_changed = broker_zk_topic_changed,
        .context = server,
    };
    return config_watch_new(&options, &server->config_watch);
}

static enum err start_parts(struct server *server, bool is_standalone)
{
    enum err e = open_logs(server);
    if (!e && is_standalone)
        e = start_embedded(server);
    if (!e)
        e = open_session(server);
    if (!e)
        e = settle_broker_id(server);
    if (!e)
        e = settle_cluster_id(server);
    if (!e)
        e = begin_coordination(server);
    if (!e)
        e = log_manager_start(server->broker.log_manager);
    if (e)
        return e;
    make_replicas(server);
    server_join_cluster(server);
    controller_join_new(server);
    e = bind_network(server);
    if (e)
        return e;
    e = broker_zk_check_endpoints(server);
    if (e)
        return e;
    controller_join_start(server);
    config_live_watch(server->live, config_changed, server);
    broker_zk_start(server);
    timer_set(control_thread_timers(server->control), &server->checkpoint_timer,
              clock_later_ms(clock_mono_ms(server->clock),
                             server->config->replica_high_watermark_checkpoint_interval_ms));
    isr_sender_start(server->isr_sender);
    control_thread_start(server->control);
    server->disk_stall = disk_stall_start(server);
    return ERR_OK;
}

enum err server_start(const struct server_options *options, struct server **ret)
{
    struct server *server = mem_new(struct server);
    server->clock = &clock_system;
    server->names = arena_new();
    server->config = config_ref(options->config);
    server->live = config_live_new(server->config, server->clock);
    server->broker.config = server->config;
    server->broker.clock = server->clock;
    server->broker.server = server;
    server->broker.finalized_features_epoch = -1;
    server->broker.apis = server_api_ranges(&server->broker.apis_count);
    server->broker_epoch = -1;
    server->checkpoint_timer.fire = on_checkpoint;
    server->topic_settings = topic_settings_new(server->live);
    server->control = control_thread_new(server->clock);
    if (server->config->zookeeper_connect)
        server->zookeeper_connect = mem_strdup(server->config->zookeeper_connect);
    if (pipe2(server->fault_pipe, O_CLOEXEC | O_NONBLOCK)) {
        perror("pipe2");
        abort();
    }
    enum err e = start_parts(server, options->is_standalone);
    if (e) {
        OWNED_MEM char *why = mem_strdup(err_sentence(e));
        server_stop(server);
        return err_note(e, "%s", why);
    }
    *ret = server;
    return ERR_OK;
}

static void stop_coordination(struct server *server)
{
    controller_join_stop(server); /* its view is silenced before the session goes */
    control_thread_stop(server->control);
    broker_zk_stop(server);
    if (server->control_zk)
        zk_session_view_free(server->control_zk);
    zk_session_close(server->zk_session);
    if (server->control_mailbox) {
        struct list_node rest;
        list_init(&rest);
        mailbox_receive(server->control_mailbox, &rest);
        zk_session_run(&rest);
        mailbox_free(server->control_mailbox);
    }
    controller_join_free(server);
}

static void stop_logs(struct server *server)
{
    struct log_manager *logs = server->broker.log_manager;
    if (!logs)
        return;
    if (server->broker.replica_manager) {
        enum err e = replica_manager_checkpoint(server->broker.replica_manager);
        if (e)
            trace_warn("high watermarks not written: %s", err_sentence(e));
    }
    log_manager_stop(logs, server->broker_epoch);
}

void server_stop(struct server *server)
{
    if (!server)
        return;
    server->is_stopping = true;
    disk_stall_stop(server->disk_stall);
    if (server->is_controller_started && !server->has_fault)
        server_controlled_shutdown(server);
    if (server->network)
        network_stop(server->network, DRAIN_MS);
    stop_coordination(server);
    fetcher_threads_stop(server->fetchers);
    stop_logs(server);
    if (server->network)
        network_free(server->network);
    producer_ids_free(server->broker.producer_ids);
    fetch_sessions_free(server->broker.fetch_sessions);
    fetcher_threads_free(server->fetchers);
    isr_sender_free(server->isr_sender);
    note_keeper_free(server->note_keeper);
    replica_manager_free(server->broker.replica_manager);
    metadata_cache_free(server->broker.metadata_cache);
    log_manager_free(server->broker.log_manager);
    config_watch_free(server->config_watch);
    topic_settings_free(server->topic_settings);
    control_thread_free(server->control);
    embedded_stop(server->embedded);
    config_live_free(server->live);
    config_unref(server->config);
    free((char *)(uintptr_t)server->broker.cluster_id);
    free(server->zookeeper_connect);
    close(server->fault_pipe[0]);
    close(server->fault_pipe[1]);
    free(server->fault);
    arena_free(server->names);
    free(server);
}
