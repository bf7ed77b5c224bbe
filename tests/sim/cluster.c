/* See cluster.h. */
#include "tests/sim/cluster.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/trace.h"
#include "tests/sim/calls.h"
#include "tests/sim/chance.h"
#include "tests/sim/clients.h"
#include "tests/sim/operator.h"
#include "tests/sim/promises.h"
#include "tests/sim/world_internal.h"
#include "wire/api_key.h"
#include "wire/leader_and_isr.h"
#include "wire/update_metadata.h"

#define LOSS_ONE_IN 30
#define PASS_MAX_MS 40
#define IDLE_MAX_MS 2000

/* ---- What the world tells ---- */

static void started(void *context, int32_t id)
{
    struct cluster *cluster = context;
    node_start(&cluster->nodes[id]);
    memset(cluster->told_deleted[id], 0, sizeof cluster->told_deleted[id]); /* it knows nothing */
}

static void registered(void *context, int32_t id)
{
    struct cluster *cluster = context;
    cluster->nodes[id].server.broker_epoch = cluster->world->brokers[id].broker_epoch;
}

static void crashing(void *context, int32_t id)
{
    struct cluster *cluster = context;
    node_leave_zk(&cluster->nodes[id]);
}

static void crashed(void *context, int32_t id)
{
    struct cluster *cluster = context;
    struct node *node = &cluster->nodes[id];
    if (!node->is_alive)
        return;
    trace_info("process ends broker=%" PRId32, id);
    calls_caller_died(node);
    node_kill(node);
    calls_server_died(node);
    promises_node_died(cluster, id);
}

static void note_controller(struct cluster *cluster, struct world_message *message,
                            const struct leader_and_isr_response *response)
{
    struct leader_and_isr_request request;
    if (!response->error_code &&
        !leader_and_isr_request_decode(buf_slice(&message->bytes), message->api_version,
                                       message->arena, &request, NULL))
        world_note_controller(cluster->world, request.controller_epoch, request.controller_id);
}

static void note_deletions(struct cluster *cluster, const struct world_message *message,
                           const struct update_metadata_response *response)
{
    struct update_metadata_request request;
    if (response->error_code ||
        update_metadata_request_decode(buf_slice(&message->bytes), message->api_version,
                                       message->arena, &request, NULL))
        return;
    for (int32_t i = 0; i < request.topic_states_count; i++) {
        const struct update_metadata_request_update_metadata_topic_state *topic =
            &request.topic_states[i];
        int32_t t = world_topic(cluster->world, topic->topic_name);
        for (int32_t j = 0; t >= 0 && j < topic->partition_states_count; j++) {
            int32_t p = topic->partition_states[j].partition_index;
            if (topic->partition_states[j].leader == LEADER_DURING_DELETE &&
                p < WORLD_PARTITIONS_MAX)
                cluster->told_deleted[message->to][t][p] = topic->topic_id;
        }
    }
}

static void take(void *context, struct world_message *message)
{
    struct cluster *cluster = context;
    if (message->api_key == API_LEADER_AND_ISR)
        operator_clears_the_way(cluster, message);
    message->response =
        call_serve_now(&cluster->nodes[message->to], message->api_key, message->api_version,
                       buf_slice(&message->bytes), message->arena);
    if (message->api_key == API_LEADER_AND_ISR && message->response)
        note_controller(cluster, message, message->response);
    if (message->api_key == API_UPDATE_METADATA && message->response)
        note_deletions(cluster, message, message->response);
}

static void state_written(void *context, int32_t topic, int32_t partition,
                          const struct znode_partition_state *state)
{
    struct cluster *cluster = context;
    promises_state_written(cluster, topic, partition, state);
}

static void topic_doomed(void *context, int32_t topic)
{
    struct cluster *cluster = context;
    promises_topic_doomed(cluster, topic);
}

/* ---- Birth and death ---- */

static const char *place(void)
{
    struct stat st;
    return stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

struct cluster *cluster_new(uint64_t seed, int32_t brokers)
{
    struct cluster *cluster = mem_new(struct cluster);
    chance_begin(seed);
    cluster->world = world_new(seed, brokers);
    cluster->world->hooks = (struct world_hooks){.started = started,
                                                 .registered = registered,
                                                 .crashing = crashing,
                                                 .crashed = crashed,
                                                 .take = take,
                                                 .state_written = state_written,
                                                 .topic_doomed = topic_doomed,
                                                 .context = cluster};
    list_init(&cluster->calls);
    snprintf(cluster->dir, sizeof cluster->dir, "%s/stoker-sim-XXXXXX", place());
    if (!mkdtemp(cluster->dir))
        world_complain(cluster->world, "no directory can be made at %s", cluster->dir);
    cluster_set_min_isr(cluster, 1 + (int32_t)world_random(cluster->world, 2));
    cluster->world->settings.crash_detection_enable = world_random(cluster->world, 4) > 0;
    for (int32_t i = 0; i < brokers; i++) {
        node_init(&cluster->nodes[i], cluster, i, cluster->dir);
        mkdir(cluster->nodes[i].dir, 0755);
    }
    node_disk_begin(cluster->dir);
    cluster->promises = promises_new();
    cluster->clients = clients_new(cluster);
    return cluster;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

void cluster_free(struct cluster *cluster)
{
    for (int32_t i = 0; i < cluster->world->broker_count; i++)
        if (cluster->world->brokers[i].up)
            world_crash(cluster->world, i);
    calls_free(cluster);
    clients_free(cluster->clients);
    promises_free(cluster->promises);
    world_free(cluster->world);
    node_disk_end();
    nftw(cluster->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(cluster);
}

/* ---- Steps ---- */

static void look(struct cluster *cluster)
{
    world_check(cluster->world);
    for (int32_t i = 0; i < cluster->world->broker_count; i++) {
        struct node *node = &cluster->nodes[i];
        if (node->is_touched && node->is_alive)
            promises_look(cluster, node);
        node->is_touched = false;
    }
}

static void touch_all(struct cluster *cluster)
{
    for (int32_t i = 0; i < cluster->world->broker_count; i++)
        cluster->nodes[i].is_touched = true;
}

static bool run_some_queue(struct cluster *cluster)
{
    int32_t count = cluster->world->broker_count * QUEUE_COUNT;
    int32_t start = (int32_t)world_random(cluster->world, (uint32_t)count);
    for (int32_t i = 0; i < count; i++) {
        int32_t at = (start + i) % count;
        struct node *node = &cluster->nodes[at / QUEUE_COUNT];
        if (node->is_alive && !node->process->paused &&
            node_run(node, (enum node_queue)(at % QUEUE_COUNT)))
            return true;
    }
    return false;
}

static bool step_once(struct cluster *cluster, uint32_t what)
{
    struct world *world = cluster->world;
    switch (what) {
    case 0:
    case 1:
    case 2:
        touch_all(cluster); /* an answer of ZooKeeper may be for any of them */
        return world_step(world);
    case 3:
    case 4:
    case 5:
        return calls_step(cluster, cluster->has_losses && world_random(world, LOSS_ONE_IN) == 0);
    default:
        return run_some_queue(cluster);
    }
}

bool cluster_step(struct cluster *cluster)
{
    uint32_t what = world_random(cluster->world, 9);
    bool did = step_once(cluster, what);
    for (uint32_t i = 3; !did && i < 9; i += 3)
        did = step_once(cluster, (what + i) % 9);
    look(cluster);
    return did;
}

static int64_t next_timer_ms(struct cluster *cluster)
{
    int64_t next = calls_next_timer_ms(cluster);
    for (int32_t i = 0; i < cluster->world->broker_count; i++) {
        struct node *node = &cluster->nodes[i];
        if (!node->is_alive || node->process->paused)
            continue;
        int64_t mine = node_next_timer_ms(node);
        next = mine < next ? mine : next;
    }
    return next;
}

void cluster_pass(struct cluster *cluster, int64_t ms)
{
    clock_manual_advance_ms(&cluster->world->clock, ms);
    for (int32_t i = 0; i < cluster->world->broker_count; i++) {
        struct node *node = &cluster->nodes[i];
        if (node->is_alive && !node->process->paused)
            node_run_timers(node);
    }
    calls_run_timers(cluster);
    look(cluster);
}

/* To the next timer, or a little way. */
static void pass_some(struct cluster *cluster)
{
    int64_t now = clock_mono_ms(&cluster->world->clock.clock), next = next_timer_ms(cluster);
    int64_t ms = next > now ? next - now : 1;
    cluster_pass(cluster, ms < IDLE_MAX_MS ? ms : IDLE_MAX_MS);
}

bool cluster_run_until(struct cluster *cluster, bool (*is_so)(struct cluster *cluster), int64_t ms)
{
    struct clock *clock = &cluster->world->clock.clock;
    int64_t end = clock_mono_ms(clock) + ms;
    while (clock_mono_ms(clock) < end && !cluster->world->complaint[0]) {
        if (cluster_step(cluster))
            continue;
        if (is_so(cluster))
            return true;
        pass_some(cluster);
    }
    return false;
}

/* ---- Faults of whole brokers ---- */

void cluster_cut_power(struct cluster *cluster, int32_t id)
{
    if (cluster->world->brokers[id].up)
        world_crash(cluster->world, id);
    trace_warn("power cut broker=%" PRId32, id);
    node_disk_cut(&cluster->nodes[id], world_random(cluster->world, UINT32_MAX - 1));
    promises_power_cut(cluster, id);
}

void cluster_replace_disk(struct cluster *cluster, int32_t id)
{
    struct node *node = &cluster->nodes[id];
    cluster_cut_power(cluster, id);
    trace_warn("disk replaced broker=%" PRId32, id);
    nftw(node->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mkdir(node->dir, 0755);
}

void cluster_stop(struct cluster *cluster, int32_t id)
{
    node_close_logs(&cluster->nodes[id]);
    world_crash(cluster->world, id);
    world_expire(cluster->world, id); /* it closes its session */
}

/* ---- Looking ---- */

void cluster_set_min_isr(struct cluster *cluster, int32_t count)
{
    cluster->min_isr = cluster->world->settings.min_insync_replicas = count;
}

int32_t cluster_min_isr(struct cluster *cluster, const char *topic)
{
    (void)topic;
    return cluster->min_isr;
}

int32_t cluster_guess_leader(struct cluster *cluster, int32_t topic, int32_t partition)
{
    struct node *node =
        &cluster->nodes[world_random(cluster->world, (uint32_t)cluster->world->broker_count)];
    if (!node->is_alive)
        return -1;
    struct metadata_cache *cache = node->server.broker.metadata_cache;
    int32_t leader = -1;
    metadata_cache_lock(cache);
    const struct topic_metadata *known =
        metadata_topic(cache, slice_str(cluster->world->topics[topic]));
    const struct partition_metadata *found = known ? metadata_partition(known, partition) : NULL;
    if (found)
        leader = found->leader;
    metadata_cache_unlock(cache);
    return leader;
}

static bool leader_is_whole(struct cluster *cluster, const char *topic, int32_t partition,
                            const struct znode_partition_state *state)
{
    struct node *leader = &cluster->nodes[state->leader];
    struct partition *p =
        replica_manager_get(leader->server.broker.replica_manager, slice_str(topic), partition);
    if (!p)
        return false;
    struct isr_view view = partition_isr_view(p);
    struct log *log = partition_log(p);
    trace_debug("leader of %s-%" PRId32 " broker=%" PRId32 " leads=%d epoch=%" PRId32
                " znode_epoch=%" PRId32 " isr=%" PRId32 " znode_isr=%" PRId32 " replicas=%" PRId32
                " high_watermark=%" PRId64 " end=%" PRId64,
                topic, partition, state->leader, view.is_leader, view.leader_epoch,
                state->leader_epoch, view.committed_count, state->isr.count, view.replicas_count,
                partition_high_watermark(p), log ? log_end_offset(log) : -1);
    bool is_whole = view.is_leader && view.leader_epoch == state->leader_epoch &&
                    view.committed_count == view.replicas_count &&
                    state->isr.count == view.replicas_count && log &&
                    partition_high_watermark(p) == log_end_offset(log);
    partition_unref(p);
    return is_whole;
}

/* As the znode says and as its leader knows: one may be ahead of the other. */
static bool is_partition_whole(struct cluster *cluster, int32_t topic, int32_t partition)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_partition_state state = {0};
    int64_t zxid;
    const char *name = cluster->world->topics[topic];
    if (!world_read_state(cluster->world, name, partition, arena, &state, &zxid))
        return true; /* there is none */
    return state.leader >= 0 && cluster->nodes[state.leader].is_alive &&
           leader_is_whole(cluster, name, partition, &state);
}

bool cluster_is_whole(struct cluster *cluster)
{
    for (int32_t i = 0; i < cluster->world->broker_count; i++)
        if (!cluster->nodes[i].is_alive || !cluster->world->brokers[i].accepting)
            return false;
    for (int32_t t = 0; t < WORLD_TOPICS_MAX && cluster->world->topics[t][0]; t++)
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++)
            if (!is_partition_whole(cluster, t, p))
                return false;
    return true;
}
