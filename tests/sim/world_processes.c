/* Processes and their sessions: a broker begins, registers under /brokers/ids, is stopped for a
 * while, loses its session, dies. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/history.h"
#include "tests/sim/world_internal.h"

static void register_broker(struct world_broker *broker);

static void admitted(struct world_broker *broker, int64_t czxid)
{
    broker->broker_epoch = czxid;
    if (broker->intact_since == INTACT_SINCE_REGISTRATION)
        broker->intact_since = czxid; /* from here on it knows by itself */
    broker->accepting = true;
    if (broker->world->hooks.registered)
        broker->world->hooks.registered(broker->world->hooks.context, broker->id);
    controller_registered(broker->controller, czxid);
}

/* Our own node after a lost answer, or the one of a session that is about to end. */
static void registration_found(void *context, const struct zk_result *results, int32_t count)
{
    struct world_broker *broker = context;
    (void)count;
    if (!results[0].error && results[0].stat.ephemeral_owner == broker->session_id)
        admitted(broker, results[0].stat.czxid);
    else if (results[0].error != ERR_SESSION_EXPIRED)
        register_broker(broker);
}

static void registered(void *context, const struct zk_result *results, int32_t count)
{
    struct world_broker *broker = context;
    (void)count;
    if (results[0].error == ERR_EXISTS) {
        char path[64];
        snprintf(path, sizeof path, "/brokers/ids/%" PRId32, broker->id);
        struct zk_op op = {.kind = ZK_OP_EXISTS, .path = slice_str(path)};
        zk_submit(broker->session, &op, registration_found, broker);
    } else if (results[0].error == ERR_ZK_UNAVAILABLE) {
        register_broker(broker);
    } else if (!results[0].error) {
        admitted(broker, results[0].stat.czxid);
    } /* else the session ended meanwhile: a new one registers */
}

static void register_broker(struct world_broker *broker)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/brokers/ids/%" PRId32, broker->id);
    snprintf(text, sizeof text,
             "{\"version\":5,\"host\":\"h\",\"port\":%" PRId32
             ",\"endpoints\":[\"PLAINTEXT://h%" PRId32 ":%" PRId32
             "\"],\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\"},"
             "\"jmx_port\":-1,\"timestamp\":\"1\",\"features\":{}}",
             9000 + broker->id, broker->id, 9000 + broker->id);
    OWNED(arena) struct arena *arena = arena_new();
    struct slice data = slice_str(text);
    if (broker->intact_since != INTACT_SINCE_UNKNOWN)
        data = znode_broker_set_intact_since(arena, data, broker->intact_since);
    struct zk_op op = {
        .kind = ZK_OP_CREATE, .path = slice_str(path), .data = data, .flags = ZK_CREATE_EPHEMERAL};
    zk_submit(broker->session, &op, registered, broker);
}

static void session_changed(void *owner, enum zk_state state, int64_t session_id)
{
    struct world_broker *broker = owner;
    if (state != ZK_CONNECTED || session_id == broker->session_id)
        return;
    broker->outlived_a_session = broker->session_id != 0;
    broker->session_id = session_id;
    register_broker(broker);
}

static void session_watch(void *owner, enum zk_event_kind kind, struct slice path)
{
    (void)owner;
    (void)kind;
    (void)path;
}

void world_start(struct world *world, int32_t id)
{
    struct world_broker *broker = &world->brokers[id];
    assert(!broker->up);
    if (broker->session_id)
        zk_memory_expire_session(world->zk, broker->session_id);
    memset(broker->metadata, 0, sizeof broker->metadata);
    memset(broker->replicas, 0, sizeof broker->replicas);
    broker->live_brokers = 0;
    broker->seen_controller_epoch = 0;
    broker->session_id = 0;
    broker->intact_since = INTACT_SINCE_UNKNOWN;
    broker->outlived_a_session = false;
    broker->up = true;
    broker->session = zk_memory_client(world->zk);
    broker->session->owner = broker;
    broker->session->state_changed = session_changed;
    broker->session->watch_fired = session_watch;
    broker->view = zk_memory_view(broker->session);
    struct controller_settings settings = world->settings;
    settings.broker_id = id;
    settings.seed = world_random(world, UINT32_MAX - 1) + 1;
    history_tap(broker);
    broker->controller =
        controller_new(&settings, &broker->tap, &broker->peers, NULL, &world->clock.clock);
    if (world->hooks.started)
        world->hooks.started(world->hooks.context, id);
}

void world_pause(struct world *world, int32_t id, bool paused)
{
    struct world_broker *broker = &world->brokers[id];
    if (!broker->up)
        return;
    broker->paused = paused;
    zk_memory_pause(broker->session, paused);
}

void world_crash(struct world *world, int32_t id)
{
    struct world_broker *broker = &world->brokers[id];
    assert(broker->up);
    broker->paused = false;
    broker->up = broker->accepting = false;
    if (world->hooks.crashing)
        world->hooks.crashing(world->hooks.context, id);
    zk_memory_client_kill(broker->session);
    controller_free(broker->controller);
    history_untap(broker);
    broker->controller = NULL;
    for (int32_t to = 0; to < world->broker_count; to++)
        world_peers_forget(&broker->peers, to);
    if (world->hooks.crashed)
        world->hooks.crashed(world->hooks.context, id);
}

void world_expire(struct world *world, int32_t id)
{
    if (world->brokers[id].up)
        zk_memory_expire(world->brokers[id].session);
    else if (world->brokers[id].session_id)
        zk_memory_expire_session(world->zk, world->brokers[id].session_id);
}
