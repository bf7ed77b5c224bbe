/* Everything here runs on the control thread, in answer to what ZooKeeper says through its view. */
#include "broker/server/broker_zk.h"

#include "broker/base/trace.h"
#include "broker/server/config_watch.h"
#include "coordinator/zk/zk_bootstrap.h"
#include "coordinator/zk/znode.h"

/* --- what we register --- */

static struct znode_broker describe_broker(struct server *server, struct arena *arena)
{
    const struct config *c = config_now(server->live);
    struct znode_broker broker = {.rack = slice_str(c->broker_rack),
                                  .jmx_port = -1,
                                  .timestamp_ms = clock_wall_ms(server->clock)};
    broker.endpoints = arena_new_array(arena, struct znode_endpoint, c->listeners_count);
    for (int32_t i = 0; i < c->listeners_count; i++) {
        const struct listener_config *listener = &c->listeners[i];
        if (!listener->is_advertised)
            continue;
        int32_t port = listener->advertised_port ? listener->advertised_port
                                                 : network_port_of(server->network, listener->name);
        broker.endpoints[broker.endpoint_count++] =
            (struct znode_endpoint){.listener = slice_str(listener->name),
                                    .host = slice_str(listener->advertised_host),
                                    .port = port,
                                    .security_protocol = (int16_t)listener->protocol};
    }
    return broker;
}

enum err broker_zk_check_endpoints(struct server *server)
{
    struct arena *arena = arena_new();
    struct znode_broker broker = describe_broker(server, arena);
    enum err e = zk_bootstrap_check_endpoints(server->control_zk, server->broker.id, &broker);
    arena_free(arena);
    return e;
}

/* --- /feature: its version is the epoch that ApiVersions tells --- */

static void feature_came(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct server *server = context;
    if (!results[0].error)
        server->broker.finalized_features_epoch = results[0].stat.zk_version;
    else if (results[0].error == ERR_NOT_FOUND)
        server->broker.finalized_features_epoch = -1;
}

static void look_at_feature(struct server *server)
{
    struct zk_op op = {
        .kind = ZK_OP_EXISTS, .path = slice_str(znode_path(ZNODE_FEATURE)), .watch = true};
    zk_read(server->control_zk, &op, feature_came, server);
}

/* --- registration --- */

struct tell_controller {
    struct server *server;
    int64_t broker_epoch;
};

static void run_registered(struct controller *controller, void *context)
{
    struct tell_controller *tell = context;
    if (controller)
        controller_registered(controller, tell->broker_epoch);
    free(tell);
}

static void registered(void *context, int64_t broker_epoch)
{
    struct server *server = context;
    server->broker_epoch = broker_epoch;
    replica_manager_hand_over(server->broker.replica_manager, false);
    atomic_fetch_add(&server->registered_count, 1);
    network_open(server->network); /* nobody is answered by a broker that is not in the cluster */
    struct tell_controller *tell = mem_new(struct tell_controller);
    *tell = (struct tell_controller){server, broker_epoch};
    controller_thread_post(server->controller_thread, run_registered, tell);
}

static void refused(void *context, enum err e)
{
    server_fail(context, "registration of the broker was refused: %s", err_sentence(e));
}

static void follow_session(struct server *server, enum zk_state state, int64_t session_id)
{
    registration_state_changed(server->registration, state, session_id);
    if (state == ZK_CONNECTED) {
        config_watch_look(server->config_watch);
        look_at_feature(server);
    } else if (state == ZK_AUTH_FAILED) {
        server_fail(server, "ZooKeeper refused the authentication");
    }
}

static void state_changed(void *owner, enum zk_state state, int64_t session_id)
{
    static const char *const names[] = {"connecting", "connected", "expired", "refused"};
    trace_info("ZooKeeper session %s session=0x%llx", names[state], (unsigned long long)session_id);
    follow_session(owner, state, session_id);
}

static void watch_fired(void *owner, enum zk_event_kind kind, struct slice path)
{
    (void)kind;
    struct server *server = owner;
    if (!config_watch_fired(server->config_watch, path) &&
        slice_equal_str(path, znode_path(ZNODE_FEATURE)))
        look_at_feature(server);
}

static void take_mail(void *context, struct list_node *messages)
{
    (void)context;
    zk_session_run(messages);
}

/* ZooKeeper does not tell how long a session of others may be silent. */
static int32_t former_session_ms(const struct server *server)
{
    int32_t granted_ms = zk_session_timeout_ms(server->zk_session);
    int32_t set_ms = server->config->zookeeper_former_session_ms;
    return granted_ms > set_ms ? granted_ms : set_ms;
}

void broker_zk_start(struct server *server)
{
    struct arena *arena = arena_new();
    struct znode_broker broker = describe_broker(server, arena);
    int64_t stopped_in_epoch = log_manager_stopped_in_epoch(server->broker.log_manager);
    broker.intact_since = stopped_in_epoch > 0 ? stopped_in_epoch : INTACT_SINCE_REGISTRATION;
    struct registration_callbacks callbacks = {
        .registered = registered, .refused = refused, .context = server};
    server->registration =
        registration_new(server->control_zk, control_thread_timers(server->control), server->clock,
                         server->broker.id, &broker, former_session_ms(server), &callbacks);
    arena_free(arena);
    server->control_zk->owner = server;
    server->control_zk->state_changed = state_changed;
    server->control_zk->watch_fired = watch_fired;
    control_thread_watch(server->control, server->control_mailbox, take_mail, server);
    /* The session is there since start-up; what it said then went to nobody. */
    follow_session(server, ZK_CONNECTED, zk_session_id(server->zk_session));
}

void broker_zk_stop(struct server *server)
{
    registration_free(server->registration);
    server->registration = NULL;
}

void broker_zk_addresses_changed(struct server *server)
{
    struct arena *arena = arena_new();
    struct znode_broker broker = describe_broker(server, arena);
    if (server->registration)
        registration_update(server->registration, &broker);
    arena_free(arena);
}

/* --- a failed log directory --- */

static void told_dir_failed(void *context, const struct zk_result *results, int32_t count)
{
    (void)context;
    (void)count;
    if (results[0].error)
        trace_error("the controller could not be told of the failed log directory error=%s",
                    err_name(results[0].error));
}

void broker_zk_tell_dir_failed(struct server *server)
{
    struct arena *arena = arena_new();
    struct zk_op op = {.kind = ZK_OP_CREATE,
                       .path = SLICE_LITERAL(ZNODE_LOG_DIR_EVENT_PREFIX),
                       .data = znode_log_dir_event_encode(arena, server->broker.id),
                       .flags = ZK_CREATE_SEQUENTIAL};
    zk_submit(server->control_zk, &op, told_dir_failed, server);
    arena_free(arena);
}

/* --- settings --- */

struct apply {
    struct server *server;
    const char *topic;
};

static void apply_to_log(void *context, struct log *log)
{
    struct apply *apply = context;
    if (apply->topic && strcmp(apply->topic, log_topic(log)) != 0)
        return;
    struct log_config config;
    topic_settings_log_config(apply->server->topic_settings, log_topic(log), &config);
    log_set_config(log, &config);
}

static void refresh_min_isr(void *context, struct partition *partition)
{
    struct server *server = context;
    struct topic_config config;
    topic_settings_get(server->topic_settings, partition_topic(partition), &config);
    partition_set_min_insync_replicas(partition, config.min_insync_replicas);
}

void broker_zk_apply_to_logs(struct server *server, const char *topic)
{
    if (!server->broker.replica_manager)
        return;
    struct apply apply = {server, topic};
    log_manager_for_each(server->broker.log_manager, apply_to_log, &apply);
    if (topic)
        replica_manager_topic_changed(server->broker.replica_manager, topic);
    else
        replica_manager_for_each(server->broker.replica_manager, refresh_min_isr, server);
}

struct unclean_change {
    char *topic;
};

static void run_unclean(struct controller *controller, void *context)
{
    struct unclean_change *change = context;
    if (controller)
        controller_topic_unclean_enabled(controller, slice_str(change->topic));
    free(change->topic);
    free(change);
}

void broker_zk_topic_changed(void *context, const char *topic)
{
    struct server *server = context;
    struct topic_config config;
    trace_info("topic settings changed topic=%s", topic);
    broker_zk_apply_to_logs(server, topic);
    topic_settings_get(server->topic_settings, topic, &config);
    if (!config.unclean_leader_election_enable)
        return;
    struct unclean_change *change = mem_new(struct unclean_change);
    change->topic = mem_strdup(topic);
    controller_thread_post(server->controller_thread, run_unclean, change);
}
