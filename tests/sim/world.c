/* The modelled cluster. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "coordinator/zk/znode.h"
#include "tests/sim/history.h"
#include "tests/sim/partitions.h"
#include "wire/api_key.h"
#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"
#include "wire/update_metadata.h"

#define START_PATHS        14
#define ANSWER_LOST_ONE_IN 20

uint32_t world_random(struct world *world, uint32_t bound)
{
    uint64_t x = world->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    world->random = x;
    return (uint32_t)((x * 0x2545F4914F6CDD1Dull) >> 32) % bound;
}

void world_complain(struct world *world, const char *format, ...)
{
    if (world->complaint[0])
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->complaint, sizeof world->complaint, format, arguments);
    va_end(arguments);
}

int32_t world_topic(struct world *world, struct slice name)
{
    for (int32_t i = 0; i < WORLD_TOPICS_MAX; i++) {
        if (slice_equal_str(name, world->topics[i]))
            return i;
        if (!world->topics[i][0]) {
            snprintf(world->topics[i], sizeof world->topics[i], "%.*s", SLICE_ARG(name));
            return i;
        }
    }
    return -1;
}

/* ---- What a broker does with a request ---- */

/* Topics and partitions beyond the tables exist for the controllers only. */
static bool is_modelled(int32_t topic, int32_t partition)
{
    return topic >= 0 && partition < WORLD_PARTITIONS_MAX;
}

static int16_t gate(struct world_broker *broker, int32_t controller_id, int32_t controller_epoch,
                    int64_t broker_epoch)
{
    struct world *world = broker->world;
    if (broker_epoch != -1 && broker_epoch < broker->broker_epoch)
        return err_wire_code(ERR_STALE_BROKER_EPOCH);
    if (controller_epoch < broker->seen_controller_epoch)
        return err_wire_code(ERR_STALE_CONTROLLER_EPOCH);
    broker->seen_controller_epoch = controller_epoch;
    broker->controller_id = controller_id;
    int32_t *owner = &world->controller_of_epoch[controller_epoch % WORLD_EPOCHS_MAX];
    if (*owner != -1 && *owner != controller_id)
        world_complain(world, "epoch %" PRId32 " has the controllers %" PRId32 " and %" PRId32,
                       controller_epoch, *owner, controller_id);
    *owner = controller_id;
    return 0;
}

static void
tell_partition(struct world_broker *broker, int32_t topic, struct uuid topic_id,
               const struct leader_and_isr_request_leader_and_isr_partition_state *state)
{
    if (!broker->world->partitions || !is_modelled(topic, state->partition_index))
        return;
    struct sim_role role = {.topic_id = topic_id,
                            .leader = state->leader,
                            .leader_epoch = state->leader_epoch,
                            .partition_epoch = state->partition_epoch,
                            .replicas = state->replicas,
                            .replicas_count = state->replicas_count,
                            .isr = state->isr,
                            .isr_count = state->isr_count};
    sim_partition_role(broker->world->partitions, broker->id, topic, state->partition_index, &role);
}

static void take_leader_and_isr(struct world_broker *broker, struct world_message *message)
{
    struct leader_and_isr_request request;
    struct leader_and_isr_response *response = arena_alloc(message->arena, sizeof *response);
    leader_and_isr_response_init(response);
    size_t used;
    enum err e = leader_and_isr_request_decode(buf_slice(&message->bytes), message->api_version,
                                               message->arena, &request, &used);
    message->response = response;
    if (e) {
        world_complain(broker->world, "LeaderAndIsr cannot be decoded: %s", err_sentence(e));
        return;
    }
    broker->requests[0]++;
    response->error_code =
        gate(broker, request.controller_id, request.controller_epoch, request.broker_epoch);
    if (response->error_code)
        return;
    if (broker->live_brokers == 0)
        world_complain(broker->world,
                       "broker %" PRId32 " got LeaderAndIsr before the list of brokers",
                       broker->id);
    response->topics =
        arena_new_array(message->arena, struct leader_and_isr_response_leader_and_isr_topic_error,
                        request.topic_states_count + 1);
    for (int32_t t = 0; t < request.topic_states_count; t++) {
        int32_t topic = world_topic(broker->world, request.topic_states[t].topic_name);
        struct leader_and_isr_response_leader_and_isr_topic_error *answer =
            &response->topics[response->topics_count++];
        leader_and_isr_response_leader_and_isr_topic_error_init(answer);
        answer->topic_id = request.topic_states[t].topic_id;
        int32_t count = request.topic_states[t].partition_states_count;
        answer->partition_errors = arena_new_array(
            message->arena, struct leader_and_isr_response_leader_and_isr_partition_error,
            count + 1);
        for (int32_t p = 0; p < count; p++) {
            const struct leader_and_isr_request_leader_and_isr_partition_state *state =
                &request.topic_states[t].partition_states[p];
            struct world_replica unmodelled = {0};
            struct world_replica *replica = is_modelled(topic, state->partition_index)
                                                ? &broker->replicas[topic][state->partition_index]
                                                : &unmodelled;
            /* A topic made anew where the log of a deleted one was left over (a reassignment does
             * not wait until those who leave have deleted theirs) is taken, as after an operator's
             * hand; a JVM broker, and ours, would say INCONSISTENT_TOPIC_ID. */
            bool fresh = !replica->hosted ||
                         !uuid_equal(replica->topic_id, request.topic_states[t].topic_id) ||
                         state->leader_epoch > replica->leader_epoch;
            answer->partition_errors[p].partition_index = state->partition_index;
            answer->partition_errors[p].error_code =
                fresh ? 0 : err_wire_code(ERR_STALE_CONTROLLER_EPOCH);
            answer->partition_errors_count++;
            if (broker->role_error) {
                answer->partition_errors[p].error_code = broker->role_error;
                continue;
            }
            if (!fresh)
                continue;
            *replica = (struct world_replica){.hosted = true,
                                              .topic_id = request.topic_states[t].topic_id,
                                              .leader = state->leader,
                                              .leader_epoch = state->leader_epoch,
                                              .partition_epoch = state->partition_epoch};
            tell_partition(broker, topic, request.topic_states[t].topic_id, state);
        }
    }
}

static void take_update_metadata(struct world_broker *broker, struct world_message *message)
{
    struct update_metadata_request request;
    struct update_metadata_response *response = arena_alloc(message->arena, sizeof *response);
    update_metadata_response_init(response);
    message->response = response;
    size_t used;
    enum err e = update_metadata_request_decode(buf_slice(&message->bytes), message->api_version,
                                                message->arena, &request, &used);
    if (e) {
        world_complain(broker->world, "UpdateMetadata cannot be decoded: %s", err_sentence(e));
        return;
    }
    broker->requests[2]++;
    response->error_code =
        gate(broker, request.controller_id, request.controller_epoch, request.broker_epoch);
    if (response->error_code)
        return;
    broker->live_brokers = request.live_brokers_count;
    for (int32_t t = 0; t < request.topic_states_count; t++) {
        int32_t topic = world_topic(broker->world, request.topic_states[t].topic_name);
        for (int32_t p = 0; p < request.topic_states[t].partition_states_count; p++) {
            const struct update_metadata_request_update_metadata_partition_state *state =
                &request.topic_states[t].partition_states[p];
            if (!is_modelled(topic, state->partition_index))
                continue;
            broker->metadata[topic][state->partition_index] =
                (struct world_metadata){.known = state->leader != -2,
                                        .leader = state->leader,
                                        .leader_epoch = state->leader_epoch,
                                        .topic_id = request.topic_states[t].topic_id};
        }
    }
}

static void take_stop_replica(struct world_broker *broker, struct world_message *message)
{
    struct stop_replica_request request;
    struct stop_replica_response *response = arena_alloc(message->arena, sizeof *response);
    stop_replica_response_init(response);
    message->response = response;
    size_t used;
    enum err e = stop_replica_request_decode(buf_slice(&message->bytes), message->api_version,
                                             message->arena, &request, &used);
    if (e) {
        world_complain(broker->world, "StopReplica cannot be decoded: %s", err_sentence(e));
        return;
    }
    broker->requests[1]++;
    response->error_code =
        gate(broker, request.controller_id, request.controller_epoch, request.broker_epoch);
    if (response->error_code)
        return;
    size_t total = 0;
    for (int32_t t = 0; t < request.topic_states_count; t++)
        total += (size_t)request.topic_states[t].partition_states_count;
    response->partition_errors = arena_new_array(
        message->arena, struct stop_replica_response_stop_replica_partition_error, total + 1);
    for (int32_t t = 0; t < request.topic_states_count; t++) {
        int32_t topic = world_topic(broker->world, request.topic_states[t].topic_name);
        for (int32_t p = 0; p < request.topic_states[t].partition_states_count; p++) {
            const struct stop_replica_request_stop_replica_partition_state *state =
                &request.topic_states[t].partition_states[p];
            struct world_replica unmodelled = {0};
            struct world_replica *replica = is_modelled(topic, state->partition_index)
                                                ? &broker->replicas[topic][state->partition_index]
                                                : &unmodelled;
            struct stop_replica_response_stop_replica_partition_error *answer =
                &response->partition_errors[response->partition_errors_count++];
            answer->topic_name = request.topic_states[t].topic_name;
            answer->partition_index = state->partition_index;
            bool fenced = replica->hosted && state->leader_epoch >= 0 &&
                          state->leader_epoch < replica->leader_epoch;
            answer->error_code = fenced ? err_wire_code(ERR_FENCED_LEADER_EPOCH) : 0;
            if (state->delete_partition && broker->refuses_to_delete) {
                answer->error_code = err_wire_code(ERR_KAFKA_STORAGE_ERROR);
                continue;
            }
            if (fenced || !state->delete_partition)
                continue;
            *replica = (struct world_replica){0};
            if (broker->world->partitions && is_modelled(topic, state->partition_index))
                sim_partition_delete(broker->world->partitions, broker->id, topic,
                                     state->partition_index);
        }
    }
}

/* ---- Links ---- */

static void message_free(struct world_message *message)
{
    list_remove(&message->node);
    buf_done(&message->bytes);
    arena_free(message->arena);
    free(message);
}

static void peers_send(struct controller_peers *peers, int32_t broker_id,
                       const struct controller_endpoint *endpoint, int16_t api_key,
                       int16_t api_version, const void *request, controller_sent_fn *sent,
                       void *context)
{
    struct world_broker *from = (struct world_broker *)peers;
    struct world_message *message = mem_new(struct world_message);
    *message = (struct world_message){.from = from->id,
                                      .to = broker_id,
                                      .api_key = api_key,
                                      .api_version = api_version,
                                      .arena = arena_new(),
                                      .sent = sent,
                                      .context = context};
    enum err e = ERR_OK;
    if (endpoint->port != 9000 + broker_id)
        world_complain(from->world, "request to the wrong port %" PRId32, endpoint->port);
    history_request(from->world, broker_id, api_key, request);
    if (api_key == API_LEADER_AND_ISR)
        e = leader_and_isr_request_encode(&message->bytes, api_version, request);
    else if (api_key == API_UPDATE_METADATA)
        e = update_metadata_request_encode(&message->bytes, api_version, request);
    else
        e = stop_replica_request_encode(&message->bytes, api_version, request);
    if (e)
        world_complain(from->world, "api %d cannot be encoded: %s", api_key, err_sentence(e));
    list_push_back(&from->world->links[from->id][broker_id], &message->node);
}

static void peers_forget(struct controller_peers *peers, int32_t broker_id)
{
    struct world_broker *from = (struct world_broker *)peers;
    struct list_node *link = &from->world->links[from->id][broker_id];
    while (!list_is_empty(link))
        message_free(list_entry(link->next, struct world_message, node));
}

void world_disconnect(struct world *world, int32_t from, int32_t to)
{
    struct list_node lost;
    struct list_node *node, *link = &world->links[from][to];
    list_init(&lost);
    while ((node = list_pop_front(link)))
        list_push_back(&lost, node);
    while ((node = list_pop_front(&lost))) {
        struct world_message *message = list_entry(node, struct world_message, node);
        message->sent(message->context, err_note(ERR_CLOSED, "disconnected"), NULL);
        message_free(message);
    }
}

/* The head of a link arrives, or its answer does. */
static void deliver(struct world *world, struct list_node *link)
{
    struct world_message *message = list_entry(link->next, struct world_message, node);
    struct world_broker *to = &world->brokers[message->to];
    if (!to->accepting) {
        world_disconnect(world, message->from, message->to);
        return;
    }
    if (message->api_key == API_LEADER_AND_ISR)
        take_leader_and_isr(to, message);
    else if (message->api_key == API_UPDATE_METADATA)
        take_update_metadata(to, message);
    else
        take_stop_replica(to, message);
    if (world->loses_answers && world_random(world, ANSWER_LOST_ONE_IN) == 0) {
        world_disconnect(world, message->from, message->to); /* done, but nobody hears of it */
        return;
    }
    list_remove(&message->node);
    message->sent(message->context, ERR_OK, message->response);
    message_free(message);
}

static bool deliver_one(struct world *world)
{
    int32_t n = world->broker_count;
    uint32_t start = world_random(world, (uint32_t)(n * n));
    for (uint32_t i = 0; i < (uint32_t)(n * n); i++) {
        uint32_t at = (start + i) % (uint32_t)(n * n);
        struct list_node *link = &world->links[at / (uint32_t)n][at % (uint32_t)n];
        if (!list_is_empty(link) && !world->brokers[at / (uint32_t)n].paused &&
            !world->brokers[at % (uint32_t)n].paused) {
            deliver(world, link);
            return true;
        }
    }
    return false;
}

/* ---- Processes and sessions ---- */

static void register_broker(struct world_broker *broker);

static void admitted(struct world_broker *broker, int64_t czxid)
{
    broker->broker_epoch = czxid;
    broker->accepting = true;
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
    struct zk_op op = {.kind = ZK_OP_CREATE,
                       .path = slice_str(path),
                       .data = slice_str(text),
                       .flags = ZK_CREATE_EPHEMERAL};
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
    if (world->partitions)
        sim_partitions_crash(world->partitions, id);
    zk_memory_client_kill(broker->session);
    controller_free(broker->controller);
    history_untap(broker);
    broker->controller = NULL;
    for (int32_t to = 0; to < world->broker_count; to++)
        peers_forget(&broker->peers, to);
}

void world_expire(struct world *world, int32_t id)
{
    if (world->brokers[id].up)
        zk_memory_expire(world->brokers[id].session);
    else if (world->brokers[id].session_id)
        zk_memory_expire_session(world->zk, world->brokers[id].session_id);
}

struct world *world_new(uint64_t seed, int32_t broker_count)
{
    static const char *const paths[START_PATHS] = {"/consumers",
                                                   "/brokers/ids",
                                                   "/brokers/topics",
                                                   "/config/changes",
                                                   "/admin/delete_topics",
                                                   "/brokers/seqid",
                                                   "/isr_change_notification",
                                                   "/latest_producer_id_block",
                                                   "/log_dir_event_notification",
                                                   "/config/topics",
                                                   "/config/clients",
                                                   "/config/users",
                                                   "/config/brokers",
                                                   "/config/ips"};
    struct world *world = mem_new(struct world);
    world->random = seed * 0x9E3779B97F4A7C15ull + 1;
    world->zk = zk_memory_new(seed);
    world->broker_count = broker_count;
    clock_manual_init(&world->clock, 1700000000000);
    for (int32_t i = 0; i < WORLD_EPOCHS_MAX; i++)
        world->controller_of_epoch[i] = -1;
    for (int i = 0; i < START_PATHS; i++)
        zk_memory_put(world->zk, paths[i], NULL);
    for (int32_t i = 0; i < WORLD_BROKERS_MAX; i++) {
        world->brokers[i] =
            (struct world_broker){.world = world, .id = i, .peers = {peers_send, peers_forget}};
        for (int32_t k = 0; k < WORLD_BROKERS_MAX; k++)
            list_init(&world->links[i][k]);
    }
    world->settings = (struct controller_settings){.inter_broker_protocol_version = "3.9-IV0",
                                                   .controller_listener = "PLAINTEXT",
                                                   .inter_broker_listener = "PLAINTEXT",
                                                   .delete_topic_enable = true,
                                                   .auto_leader_rebalance_enable = false,
                                                   .leader_imbalance_per_broker_percentage = 10,
                                                   .leader_imbalance_check_interval_seconds = 300,
                                                   .num_partitions = 1,
                                                   .default_replication_factor = 1};
    return world;
}

void world_free(struct world *world)
{
    for (int32_t i = 0; i < world->broker_count; i++) {
        if (world->brokers[i].up)
            world_crash(world, i);
    }
    zk_memory_free(world->zk);
    sim_partitions_free(world->partitions);
    history_done(world);
    free(world->znode_text);
    free(world);
}

/* ---- Steps ---- */

bool world_step(struct world *world)
{
    bool did = world_random(world, 2) ? zk_memory_step(world->zk) || deliver_one(world)
                                      : deliver_one(world) || zk_memory_step(world->zk);
    world_check(world);
    return did;
}

static int64_t next_timer_ms(struct world *world)
{
    int64_t next = INT64_MAX;
    for (int32_t i = 0; i < world->broker_count; i++) {
        int64_t mine = world->brokers[i].controller && !world->brokers[i].paused
                           ? controller_next_timer_ms(world->brokers[i].controller)
                           : INT64_MAX;
        next = mine < next ? mine : next;
    }
    return next;
}

void world_settle(struct world *world, int64_t ms)
{
    int64_t end = clock_mono_ms(&world->clock.clock) + ms;
    for (;;) {
        while (!world->complaint[0] && world_step(world))
            continue;
        int64_t now = clock_mono_ms(&world->clock.clock), next = next_timer_ms(world);
        if (next > end || world->complaint[0])
            break;
        clock_manual_advance_ms(&world->clock, next > now ? next - now : 0);
        for (int32_t i = 0; i < world->broker_count; i++) {
            if (world->brokers[i].controller && !world->brokers[i].paused)
                controller_run_timers(world->brokers[i].controller);
        }
    }
    int64_t now = clock_mono_ms(&world->clock.clock);
    if (now < end)
        clock_manual_advance_ms(&world->clock, end - now);
}

/* ---- Looking ---- */

const char *world_znode(struct world *world, const char *path)
{
    struct slice data;
    struct zk_stat stat;
    free(world->znode_text);
    world->znode_text = NULL;
    if (!zk_memory_get(world->zk, path, &data, &stat))
        return NULL;
    world->znode_text = mem_printf("%.*s", SLICE_ARG(data));
    return world->znode_text;
}

static bool read_state(struct world *world, const char *topic, int32_t partition,
                       struct arena *arena, struct znode_partition_state *ret, int64_t *ret_zxid)
{
    char path[128];
    struct slice data;
    struct zk_stat stat;
    snprintf(path, sizeof path, "/brokers/topics/%s/partitions/%" PRId32 "/state", topic,
             partition);
    if (!zk_memory_get(world->zk, path, &data, &stat))
        return false;
    *ret_zxid = stat.mzxid;
    if (znode_partition_state_decode(arena, data, ret))
        world_complain(world, "%s cannot be read", path);
    return true;
}

int32_t world_leader(struct world *world, const char *topic, int32_t partition)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_partition_state state = {0};
    int64_t zxid;
    return read_state(world, topic, partition, arena, &state, &zxid) ? state.leader : -2;
}

int32_t world_leader_epoch(struct world *world, const char *topic, int32_t partition)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_partition_state state = {0};
    int64_t zxid;
    return read_state(world, topic, partition, arena, &state, &zxid) ? state.leader_epoch : -2;
}

struct world_broker *world_controller(struct world *world)
{
    for (int32_t i = 0; i < world->broker_count; i++) {
        if (world->brokers[i].controller && controller_is_active(world->brokers[i].controller))
            return &world->brokers[i];
    }
    return NULL;
}

/* ---- Promises ---- */

static void check_partition(struct world *world, int32_t t, int32_t p, int32_t controller_epoch,
                            struct arena *arena)
{
    struct znode_partition_state state = {0};
    int64_t zxid;
    if (!read_state(world, world->topics[t], p, arena, &state, &zxid) ||
        zxid == world->seen_zxid[t][p])
        return;
    bool again = world->seen_zxid[t][p] != 0;
    world->seen_zxid[t][p] = zxid;
    if (state.controller_epoch != controller_epoch)
        world_complain(world,
                       "%s-%" PRId32 " was written by the fenced controller epoch %" PRId32
                       " under %" PRId32,
                       world->topics[t], p, state.controller_epoch, controller_epoch);
    if (again && state.leader_epoch < world->seen_leader_epoch[t][p] && state.leader_epoch != 0)
        world_complain(world, "the leader epoch of %s-%" PRId32 " went back", world->topics[t], p);
    if (again && state.leader_epoch == world->seen_leader_epoch[t][p] &&
        state.leader != world->seen_leader[t][p] && state.leader_epoch != 0)
        world_complain(world, "leader epoch %" PRId32 " of %s-%" PRId32 " has two leaders",
                       state.leader_epoch, world->topics[t], p);
    if (state.leader >= 0) {
        bool member = false;
        for (int32_t i = 0; i < state.isr.count; i++)
            member |= state.isr.ids[i] == state.leader;
        if (!member)
            world_complain(world, "the leader of %s-%" PRId32 " is not in its ISR",
                           world->topics[t], p);
    }
    if (world->partitions)
        sim_partition_check_isr(world->partitions, t, p, state.leader, state.leader_epoch,
                                state.isr.ids, state.isr.count);
    world->seen_leader_epoch[t][p] = state.leader_epoch;
    world->seen_leader[t][p] = state.leader;
}

void world_check_isr(struct world *world, int32_t topic, int32_t partition)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_partition_state state = {0};
    int64_t zxid;
    if (read_state(world, world->topics[topic], partition, arena, &state, &zxid))
        sim_partition_check_isr(world->partitions, topic, partition, state.leader,
                                state.leader_epoch, state.isr.ids, state.isr.count);
}

void world_check(struct world *world)
{
    struct slice data;
    struct zk_stat stat;
    int32_t epoch = 0, active = 0;
    if (zk_memory_get(world->zk, "/controller_epoch", &data, &stat) &&
        znode_controller_epoch_decode(data, &epoch))
        world_complain(world, "/controller_epoch cannot be read");
    if (epoch < world->last_controller_epoch)
        world_complain(world, "the controller epoch went back from %" PRId32 " to %" PRId32,
                       world->last_controller_epoch, epoch);
    world->last_controller_epoch = epoch;
    for (int32_t i = 0; i < world->broker_count; i++)
        active += world->brokers[i].controller &&
                  controller_epoch(world->brokers[i].controller) == epoch && epoch > 0;
    if (active > 1)
        world_complain(world, "%" PRId32 " controllers hold epoch %" PRId32, active, epoch);
    if (zk_memory_zxid(world->zk) == world->checked_zxid)
        return; /* nothing was written since */
    world->checked_zxid = zk_memory_zxid(world->zk);
    OWNED(arena) struct arena *arena = arena_new();
    for (int32_t t = 0; t < WORLD_TOPICS_MAX && world->topics[t][0]; t++) {
        char deletion[64];
        snprintf(deletion, sizeof deletion, "/admin/delete_topics/%s", world->topics[t]);
        if (world->partitions && zk_memory_get(world->zk, deletion, NULL, NULL))
            sim_topic_given_up(world->partitions, t);
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++)
            check_partition(world, t, p, epoch, arena);
    }
}

/* ---- Requests of clients ---- */

struct client {
    struct arena *arena;
    int16_t *ret_error;
    int16_t (*error_of)(const void *response);
};

static void client_answered(void *context, const void *response)
{
    struct client *client = context;
    *client->ret_error = client->error_of(response);
    arena_free(client->arena);
}

static struct client *client_new(struct world_broker **ret_controller, struct world *world,
                                 int16_t (*error_of)(const void *), int16_t *ret_error)
{
    *ret_controller = world_controller(world);
    if (!*ret_controller)
        return NULL;
    struct arena *arena = arena_new();
    struct client *client = arena_alloc(arena, sizeof *client);
    *client = (struct client){arena, ret_error, error_of};
    *ret_error = WORLD_PENDING;
    return client;
}

static int16_t created_error(const void *response)
{
    return ((const struct create_topics_response *)response)->topics[0].error_code;
}

bool world_create_topic(struct world *world, const char *topic, int32_t partitions, int16_t factor,
                        int32_t timeout_ms, int16_t *ret_error)
{
    struct world_broker *broker;
    struct client *client = client_new(&broker, world, created_error, ret_error);
    if (!client)
        return false;
    world_topic(world, slice_str(topic));
    struct create_topics_request *request = arena_alloc(client->arena, sizeof *request);
    create_topics_request_init(request);
    request->timeout_ms = timeout_ms;
    request->topics_count = 1;
    request->topics = arena_alloc(client->arena, sizeof *request->topics);
    create_topics_request_creatable_topic_init(request->topics);
    request->topics->name = arena_copy(client->arena, slice_str(topic));
    request->topics->num_partitions = partitions;
    request->topics->replication_factor = factor;
    controller_create_topics(broker->controller, request, client->arena, client_answered, client);
    return true;
}

static int16_t deleted_error(const void *response)
{
    return ((const struct delete_topics_response *)response)->responses[0].error_code;
}

bool world_delete_topic(struct world *world, const char *topic, int16_t *ret_error)
{
    struct world_broker *broker;
    struct client *client = client_new(&broker, world, deleted_error, ret_error);
    if (!client)
        return false;
    struct delete_topics_request *request = arena_alloc(client->arena, sizeof *request);
    delete_topics_request_init(request);
    request->timeout_ms = 30000;
    request->topics_count = 1;
    request->topics = arena_alloc(client->arena, sizeof *request->topics);
    delete_topics_request_delete_topic_state_init(request->topics);
    request->topics->name = arena_copy(client->arena, slice_str(topic));
    controller_delete_topics(broker->controller, request, 6, client->arena, client_answered,
                             client);
    return true;
}

static int16_t grown_error(const void *response)
{
    return ((const struct create_partitions_response *)response)->results[0].error_code;
}

bool world_grow_topic(struct world *world, const char *topic, int32_t partitions,
                      int16_t *ret_error)
{
    struct world_broker *broker;
    struct client *client = client_new(&broker, world, grown_error, ret_error);
    if (!client)
        return false;
    struct create_partitions_request *request = arena_alloc(client->arena, sizeof *request);
    create_partitions_request_init(request);
    request->timeout_ms = 30000;
    request->topics_count = 1;
    request->topics = arena_alloc(client->arena, sizeof *request->topics);
    create_partitions_request_create_partitions_topic_init(request->topics);
    request->topics->name = arena_copy(client->arena, slice_str(topic));
    request->topics->count = partitions;
    request->topics->assignments_count = -1;
    controller_create_partitions(broker->controller, request, client->arena, client_answered,
                                 client);
    return true;
}
