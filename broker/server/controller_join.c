/* The controller's core knows nothing of sockets, sessions or settings; here they are handed to it.
 */
#include "broker/server/controller_join.h"

#include <event2/event.h>

#include "broker/config/config_describe.h"

/* --- settings --- */

static struct controller_settings settings_of(const struct server *server, const struct config *c)
{
    const struct listener_config *control =
        c->control_plane_listener ? c->control_plane_listener : c->inter_broker_listener;
    return (struct controller_settings){
        .broker_id = server->broker.id,
        .inter_broker_protocol_version = c->inter_broker_protocol_version,
        .controller_listener = control->name,
        .inter_broker_listener = c->inter_broker_listener->name,
        .delete_topic_enable = c->delete_topic_enable,
        .auto_leader_rebalance_enable = c->auto_leader_rebalance_enable,
        .leader_imbalance_per_broker_percentage = c->leader_imbalance_per_broker_percentage,
        .leader_imbalance_check_interval_seconds = c->leader_imbalance_check_interval_seconds,
        .num_partitions = c->num_partitions,
        .default_replication_factor = c->default_replication_factor,
        .unclean_leader_election_enable = c->unclean_leader_election_enable,
        .min_insync_replicas = c->min_insync_replicas,
        .crash_detection_enable = c->stoker_crash_detection_enable,
    };
}

static void map_of(const struct create_topics_request_creatable_topic_config *configs,
                   int32_t count, struct config_map *ret)
{
    for (int32_t i = 0; i < count; i++)
        config_map_set_slices(ret, configs[i].name, configs[i].value);
}

static void fill_effective(const struct config *config, const struct config_map *overrides,
                           struct arena *arena,
                           struct create_topics_response_creatable_topic_configs **ret,
                           int32_t *ret_count)
{
    int32_t count;
    const struct config_view *views =
        config_describe_topic(config, overrides, NULL, 0, arena, &count);
    *ret = arena_new_array(arena, struct create_topics_response_creatable_topic_configs, count + 1);
    *ret_count = count;
    for (int32_t i = 0; i < count; i++) {
        create_topics_response_creatable_topic_configs_init(&(*ret)[i]);
        (*ret)[i].name = slice_str(views[i].name);
        (*ret)[i].value = slice_str(views[i].value);
        (*ret)[i].config_source = (int8_t)views[i].source;
        (*ret)[i].is_sensitive = views[i].is_sensitive;
        (*ret)[i].read_only = views[i].is_read_only;
    }
}

static enum err check_topic(void *context, struct slice topic,
                            const struct create_topics_request_creatable_topic_config *configs,
                            int32_t count, struct arena *arena,
                            struct create_topics_response_creatable_topic_configs **ret_effective,
                            int32_t *ret_count)
{
    (void)topic;
    struct server *server = context;
    const struct config *config = config_now(server->live);
    struct config_map overrides = {0};
    map_of(configs, count, &overrides);
    enum err e = topic_config_check(config, &overrides);
    if (!e)
        fill_effective(config, &overrides, arena, ret_effective, ret_count);
    config_map_done(&overrides);
    return e;
}

static bool shows_topic(void *context, struct slice topic)
{
    struct metadata_cache *cache = ((struct server *)context)->broker.metadata_cache;
    metadata_cache_lock(cache);
    bool is_shown = metadata_topic(cache, topic);
    metadata_cache_unlock(cache);
    return is_shown;
}

/* --- the view's mail, on the controller's loop --- */

static void mail_came(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct server *server = context;
    struct list_node messages;
    list_init(&messages);
    mailbox_receive(server->controller_mailbox, &messages);
    zk_session_run(&messages);
}

/* --- life --- */

void controller_join_new(struct server *server)
{
    const struct config *c = server->config;
    server->controller_thread = controller_thread_new();
    struct broker_channels_options options = {
        .base = controller_thread_loop(server->controller_thread),
        .clock = server->clock,
        .client_id = arena_printf(server->names, "%d", server->broker.id),
        .request_timeout_ms = c->request_timeout_ms,
        .connect_timeout_ms = c->socket_connection_setup_timeout_ms,
    };
    if (options.connect_timeout_ms > c->controller_socket_timeout_ms)
        options.connect_timeout_ms = c->controller_socket_timeout_ms;
    server->controller_channels = broker_channels_new(&options);
    options.request_timeout_ms = c->controller_socket_timeout_ms;
    server->client_channels = broker_channels_new(&options);
    server->controller_configs = (struct controller_configs){
        .check_topic = check_topic, .shows_topic = shows_topic, .context = server};
}

void controller_join_start(struct server *server)
{
    server->controller_mailbox = mailbox_new();
    server->controller_zk = zk_session_view(server->zk_session, server->controller_mailbox);
    server->controller_mail =
        event_new(controller_thread_loop(server->controller_thread),
                  mailbox_fd(server->controller_mailbox), EV_READ | EV_PERSIST, mail_came, server);
    if (!server->controller_mail || event_add(server->controller_mail, NULL))
        mem_stop(0);
    struct controller_settings settings = settings_of(server, config_now(server->live));
    controller_thread_start(server->controller_thread, &settings, server->controller_zk,
                            broker_channels_peers(server->controller_channels),
                            &server->controller_configs, server->clock);
    server->is_controller_started = true;
}

static void run_update(struct controller *controller, void *context)
{
    struct server *server = context;
    if (!controller)
        return;
    struct controller_settings settings = settings_of(server, config_now(server->live));
    controller_update_settings(controller, &settings);
}

void controller_join_update(struct server *server)
{
    controller_thread_post(server->controller_thread, run_update, server);
}

void controller_join_stop(struct server *server)
{
    if (!server->is_controller_started)
        return;
    controller_thread_stop(server->controller_thread);
    event_free(server->controller_mail);
    zk_session_view_free(server->controller_zk);
    server->controller_zk = NULL;
    struct list_node rest;
    list_init(&rest);
    mailbox_receive(server->controller_mailbox, &rest);
    zk_session_run(&rest);
    server->is_controller_started = false;
}

void controller_join_free(struct server *server)
{
    if (!server->controller_thread)
        return;
    broker_channels_free(server->controller_channels);
    broker_channels_free(server->client_channels);
    controller_thread_free(server->controller_thread);
    mailbox_free(server->controller_mailbox);
}
