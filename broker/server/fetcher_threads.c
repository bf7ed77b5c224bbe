/* An event loop around each fetcher: orders come by a mailbox, answers by the loop, and a timer
 * follows the fetcher's next deadline.
 *
 * Another number of threads gives nearly every partition another owner, and no two may ever fetch
 * for one: so all threads end first, each when what it fetched is on the disk, and the last of them
 * tells control, which starts the new ones and lets them follow all that this broker follows by
 * then. Nobody waits meanwhile; orders that come in between are dropped, as roles say it all. */
#include "broker/server/fetcher_threads.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdatomic.h>

#include "broker/base/mailbox.h"
#include "broker/base/trace.h"
#include "broker/config/metadata_version.h"
#include "broker/peer/peer.h"
#include "broker/replica/fetcher.h"
#include "broker/server/control_thread.h"
#include "broker/server/server_internal.h"

enum order_kind { ORDER_FOLLOW, ORDER_UNFOLLOW, ORDER_FLUSHED, ORDER_STOP };

struct order {
    struct list_node node;
    enum order_kind kind;
    struct partition *partition; /* a reference */
    struct fetch_flushes *flushes;
    int32_t leader_id, leader_epoch;
};

struct leader_connection {
    struct peer *peer;
    char *host;
    int32_t port;
};

struct fetcher_thread {
    struct fetcher_threads *threads; /* it is one of */
    struct server *server;
    struct event_base *loop;
    struct event *mail_event, *timer_event;
    struct mailbox *mailbox;
    struct fetcher *fetcher;
    struct map connections; /* leader id -> struct leader_connection */
    struct arena *arena;
    char *client_id;
    bool is_stopping; /* as soon as no sync is under way */
    pthread_t thread;
};

struct fetcher_threads {
    struct server *server;
    struct fetcher_thread *items;
    int32_t count, wanted_count;
    struct control_work ended;    /* posted by the last that ends for a change of their number */
    _Atomic int32_t living_count; /* of these threads */
    bool is_changing;             /* they have been told to end; read by them after that */
    bool is_stopped;
};

/* --- connections --- */

static struct leader_connection *connection_to(struct fetcher_thread *thread, int32_t leader_id,
                                               const char *host, int32_t port)
{
    struct leader_connection *connection = map_get(&thread->connections, MAP_KEY(leader_id));
    if (connection) {
        if (strcmp(connection->host, host) != 0 || connection->port != port)
            peer_set_address(connection->peer, host, (uint16_t)port);
    } else {
        const struct config *c = thread->server->config;
        struct peer_options options;
        peer_options_init(&options);
        options.base = thread->loop;
        options.clock = thread->server->clock;
        options.host = host;
        options.port = (uint16_t)port;
        options.client_id = thread->client_id;
        options.broker_id = leader_id;
        options.connect_timeout_ms = c->socket_connection_setup_timeout_ms;
        options.receive_buffer_bytes = c->replica_socket_receive_buffer_bytes;
        connection = mem_new(struct leader_connection);
        connection->peer = peer_new(&options);
        map_put(&thread->connections, MAP_KEY(leader_id), connection);
    }
    free(connection->host);
    connection->host = mem_strdup(host);
    connection->port = port;
    return connection;
}

/* The address is looked up where there is no connection: a broker may come back elsewhere. */
static enum err find_connection(struct fetcher_thread *thread, int32_t leader_id,
                                struct leader_connection **ret)
{
    *ret = map_get(&thread->connections, MAP_KEY(leader_id));
    if (*ret && peer_is_connected((*ret)->peer))
        return ERR_OK;
    const char *host;
    int32_t port;
    enum err e = metadata_endpoint(thread->server->broker.metadata_cache, leader_id,
                                   thread->server->config->inter_broker_listener->name,
                                   thread->arena, &host, &port);
    if (!e)
        *ret = connection_to(thread, leader_id, host, port);
    arena_reset(thread->arena);
    return e;
}

static enum err send_to_leader(void *context, int32_t leader_id, int16_t api_key,
                               int16_t api_version, const void *request,
                               fetcher_answered_fn *answered, void *answered_context)
{
    struct fetcher_thread *thread = context;
    struct leader_connection *connection = NULL;
    if (thread->is_stopping)
        return ERR_CANCELLED;
    enum err e = find_connection(thread, leader_id, &connection);
    if (e)
        return e;
    return peer_send(connection->peer, peer_wire_api(api_key), api_version, request,
                     thread->server->config->replica_socket_timeout_ms, answered, answered_context);
}

static void drop_connections(struct fetcher_thread *thread)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&thread->connections, &i));) {
        struct leader_connection *connection = e->value;
        peer_free(connection->peer);
        free(connection->host);
        free(connection);
    }
    map_done(&thread->connections);
    thread->connections = (struct map){0};
}

/* --- the loop --- */

static void set_timer(struct fetcher_thread *thread)
{
    int64_t next_ms = fetcher_next_ms(thread->fetcher);
    if (next_ms == INT64_MAX) {
        event_del(thread->timer_event);
        return;
    }
    int64_t wait_ms = next_ms - clock_mono_ms(thread->server->clock);
    wait_ms = wait_ms < 0 ? 0 : wait_ms;
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    event_add(thread->timer_event, &wait);
}

static void timer_due(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct fetcher_thread *thread = context;
    if (!thread->is_stopping)
        fetcher_run(thread->fetcher);
}

static void take_order(struct fetcher_thread *thread, struct order *order)
{
    switch (order->kind) {
    case ORDER_FOLLOW:
        fetcher_follow(thread->fetcher, order->partition, order->leader_id, order->leader_epoch);
        break;
    case ORDER_UNFOLLOW:
        fetcher_unfollow(thread->fetcher, order->partition);
        partition_unref(order->partition);
        break;
    case ORDER_FLUSHED:
        fetcher_flushed(thread->fetcher, order->flushes);
        break;
    case ORDER_STOP:
        thread->is_stopping = true;
        drop_connections(thread); /* what is under way is answered with CANCELLED */
        break;
    }
    free(order);
}

static void mail_came(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct fetcher_thread *thread = context;
    struct list_node orders;
    list_init(&orders);
    mailbox_receive(thread->mailbox, &orders);
    for (struct list_node *node; (node = list_pop_front(&orders));)
        take_order(thread, list_entry(node, struct order, node));
    if (!thread->is_stopping)
        fetcher_run(thread->fetcher);
    else if (!fetcher_is_flushing(thread->fetcher)) /* else the last of them comes this way */
        event_base_loopbreak(thread->loop);
}

static void *run(void *context)
{
    struct fetcher_thread *thread = context;
    while (!event_base_got_break(thread->loop)) {
        set_timer(thread);
        if (event_base_loop(thread->loop, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) != 0)
            break;
    }
    struct fetcher_threads *threads = thread->threads;
    if (atomic_fetch_sub(&threads->living_count, 1) == 1 && threads->is_changing)
        control_thread_post(thread->server->control, &threads->ended);
    return NULL;
}

/* --- orders --- */

static void post(struct fetcher_thread *thread, enum order_kind kind, struct partition *partition,
                 int32_t leader_id, int32_t leader_epoch)
{
    struct order *order = mem_new(struct order);
    if (partition)
        partition_ref(partition);
    order->kind = kind;
    order->partition = partition;
    order->leader_id = leader_id;
    order->leader_epoch = leader_epoch;
    mailbox_post(thread->mailbox, &order->node);
}

static void flushed(void *context, struct fetch_flushes *flushes)
{
    struct fetcher_thread *thread = context;
    struct order *order = mem_new(struct order);
    order->kind = ORDER_FLUSHED;
    order->flushes = flushes;
    mailbox_post(thread->mailbox, &order->node);
}

static struct fetcher_thread *thread_of(struct fetcher_threads *threads,
                                        const struct partition *partition)
{
    const char *topic = partition_topic(partition);
    uint64_t hash = hash_bytes(topic, strlen(topic)) + (uint64_t)partition_id(partition);
    return &threads->items[hash % (uint64_t)threads->count];
}

static void follow(void *context, struct partition *partition, int32_t leader_id,
                   int32_t leader_epoch)
{
    struct fetcher_threads *threads = context;
    if (!threads->is_stopped && !threads->is_changing)
        post(thread_of(threads, partition), ORDER_FOLLOW, partition, leader_id, leader_epoch);
}

static void unfollow(void *context, struct partition *partition)
{
    struct fetcher_threads *threads = context;
    if (!threads->is_stopped && !threads->is_changing)
        post(thread_of(threads, partition), ORDER_UNFOLLOW, partition, NO_BROKER, 0);
}

struct replica_fetchers fetcher_threads_functions(struct fetcher_threads *threads)
{
    return (struct replica_fetchers){.follow = follow, .unfollow = unfollow, .context = threads};
}

/* --- what a cluster of this inter.broker.protocol.version speaks (zookeeper-and-controller §7.1)
 * --- */

static bool is_at_least(const char *version, const char *other)
{
    return metadata_version_compare(version, metadata_version_find(other)) >= 0;
}

struct version_since {
    const char *since;
    int16_t version;
};

static int16_t newest(const struct version_since *versions, const char *protocol)
{
    while (versions->since && !is_at_least(protocol, versions->since))
        versions++;
    return versions->version;
}

static void settle_versions(const char *protocol, struct fetcher_settings *ret)
{
    static const struct version_since fetch[] = {{"3.9-IV0", 17}, {"3.7-IV4", 16}, {"3.5-IV1", 15},
                                                 {"3.5-IV0", 14}, {"3.1-IV0", 13}, {"2.7-IV1", 12},
                                                 {"2.3-IV1", 11}, {NULL, 10}};
    static const struct version_since offsets[] = {{"3.9-IV0", 9}, {"3.5-IV0", 8}, {"3.0-IV1", 7},
                                                   {"2.8-IV0", 6}, {"2.2-IV1", 5}, {NULL, 4}};
    static const struct version_since epochs[] = {{"2.8-IV0", 4}, {"2.3-IV1", 3}, {NULL, 2}};
    ret->fetch_version = newest(fetch, protocol);
    ret->list_offsets_version = newest(offsets, protocol);
    ret->epoch_version = newest(epochs, protocol);
    ret->truncates_on_fetch = is_at_least(protocol, "2.7-IV1");
}

/* --- life --- */

static int64_t broker_epoch(void *context)
{
    struct server *server = context;
    return server->broker_epoch;
}

static void start_thread(struct fetcher_threads *threads, int32_t index)
{
    struct fetcher_thread *thread = &threads->items[index];
    struct server *server = threads->server;
    const struct config *c = server->config;
    struct fetcher_settings settings = {.broker_id = server->broker.id,
                                        .broker_epoch = broker_epoch,
                                        .context = server,
                                        .wait_max_ms = c->replica_fetch_wait_max_ms,
                                        .min_bytes = c->replica_fetch_min_bytes,
                                        .response_max_bytes = c->replica_fetch_response_max_bytes,
                                        .max_bytes = c->replica_fetch_max_bytes,
                                        .backoff_ms = c->replica_fetch_backoff_ms,
                                        .flushed = flushed,
                                        .flushed_context = thread};
    settle_versions(c->inter_broker_protocol_version, &settings);
    struct fetcher_leaders leaders = {.send = send_to_leader, .context = thread};
    thread->threads = threads;
    thread->server = server;
    thread->arena = arena_new();
    thread->client_id = mem_printf("broker-%d-fetcher-%d", server->broker.id, index);
    thread->mailbox = mailbox_new();
    thread->loop = event_base_new();
    if (!thread->loop)
        mem_stop(0);
    thread->fetcher = fetcher_new(&settings, &leaders, server->clock);
    thread->timer_event = event_new(thread->loop, -1, 0, timer_due, thread);
    thread->mail_event = event_new(thread->loop, mailbox_fd(thread->mailbox), EV_READ | EV_PERSIST,
                                   mail_came, thread);
    if (!thread->timer_event || !thread->mail_event || event_add(thread->mail_event, NULL))
        mem_stop(0);
    thread->thread = thread_start("fetcher", run, thread);
}

static void start_all(struct fetcher_threads *threads)
{
    threads->count = threads->wanted_count;
    threads->items = mem_new_array(struct fetcher_thread, (size_t)threads->count);
    atomic_store(&threads->living_count, threads->count);
    for (int32_t i = 0; i < threads->count; i++)
        start_thread(threads, i);
}

static void tell_all_to_end(struct fetcher_threads *threads)
{
    for (int32_t i = 0; i < threads->count; i++)
        post(&threads->items[i], ORDER_STOP, NULL, NO_BROKER, 0);
}

static void join_all(struct fetcher_threads *threads)
{
    for (int32_t i = 0; i < threads->count; i++)
        pthread_join(threads->items[i].thread, NULL);
}

static void drop_orders(struct fetcher_thread *thread)
{
    struct list_node orders;
    list_init(&orders);
    mailbox_receive(thread->mailbox, &orders);
    for (struct list_node *node; (node = list_pop_front(&orders));) {
        struct order *order = list_entry(node, struct order, node);
        partition_unref(order->partition);
        free(order);
    }
}

/* They have ended. */
static void free_all(struct fetcher_threads *threads)
{
    for (int32_t i = 0; i < threads->count; i++) {
        struct fetcher_thread *thread = &threads->items[i];
        drop_orders(thread);
        fetcher_free(thread->fetcher);
        event_free(thread->mail_event);
        event_free(thread->timer_event);
        event_base_free(thread->loop);
        mailbox_free(thread->mailbox);
        arena_free(thread->arena);
        free(thread->client_id);
    }
    free(TAKE(threads->items));
}

static void all_have_ended(struct control_work *work)
{
    struct fetcher_threads *threads = CONTAINER_OF(work, struct fetcher_threads, ended);
    join_all(threads); /* what they do after their last word takes no time */
    free_all(threads);
    threads->is_changing = false;
    start_all(threads);
    trace_info("replica fetchers changed count=%" PRId32, threads->count);
    replica_manager_follow_all(threads->server->broker.replica_manager);
}

static int32_t bounded(int32_t count)
{
    return count < FETCHER_THREADS_MAX ? count : FETCHER_THREADS_MAX;
}

struct fetcher_threads *fetcher_threads_start(struct server *server)
{
    struct fetcher_threads *threads = mem_new(struct fetcher_threads);
    threads->server = server;
    threads->ended.run = all_have_ended;
    threads->wanted_count = bounded(config_now(server->live)->num_replica_fetchers);
    start_all(threads);
    return threads;
}

void fetcher_threads_change(struct fetcher_threads *threads, int32_t count)
{
    threads->wanted_count = bounded(count);
    if (threads->is_stopped || threads->is_changing || threads->wanted_count == threads->count)
        return;
    threads->is_changing = true;
    tell_all_to_end(threads);
}

void fetcher_threads_stop(struct fetcher_threads *threads)
{
    if (!threads || threads->is_stopped)
        return;
    threads->is_stopped = true;
    tell_all_to_end(threads);
    join_all(threads);
}

void fetcher_threads_free(struct fetcher_threads *threads)
{
    if (!threads)
        return;
    fetcher_threads_stop(threads);
    free_all(threads);
    free(threads);
}
