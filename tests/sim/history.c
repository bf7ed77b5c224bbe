/* A tap on what controllers say to ZooKeeper and to brokers. */
#include "tests/sim/history.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/base/trace.h"
#include "coordinator/zk/znode.h"
#include "wire/api_key.h"
#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"
#include "wire/update_metadata.h"

/* ---- Lines ---- */

static void put_ids(struct buf *buf, const char *what, const int32_t *ids, int32_t count)
{
    buf_printf(buf, "%s", what);
    for (int32_t i = 0; i < count; i++)
        buf_printf(buf, "%s%" PRId32, i ? "," : "", ids[i]);
}

static void put_some_ids(struct buf *buf, const char *what, const int32_t *ids, int32_t count)
{
    if (count > 0)
        put_ids(buf, what, ids, count);
}

static void put_leadership(struct buf *buf, int32_t leader, int32_t leader_epoch,
                           const int32_t *isr, int32_t isr_count)
{
    buf_printf(buf, " leader=%" PRId32 " epoch=%" PRId32, leader, leader_epoch);
    put_ids(buf, " isr=", isr, isr_count);
}

void history_begin(struct world *world)
{
    world->is_recording = true;
    world->history.size = 0;
    world->told_at = SIZE_MAX;
    for (int32_t i = 0; i < WORLD_BROKERS_MAX; i++)
        world->brokers[i].waves = 0;
}

const char *history_text(struct world *world)
{
    buf_put_u8(&world->history, 0);
    world->history.size--;
    return (const char *)world->history.data;
}

void history_done(struct world *world)
{
    buf_done(&world->history);
    buf_done(&world->told_rest);
}

/* ---- ZooKeeper ---- */

struct tapped {
    struct list_node node;
    struct world_broker *broker;
    struct zk_op *ops;
    int32_t count;
    bool is_unguarded; /* the check in front was left out, on purpose */
    zk_done_fn *done;
    void *context;
};

static void tapped_free(struct tapped *tapped)
{
    list_remove(&tapped->node);
    for (int32_t i = 0; i < tapped->count; i++) {
        free((void *)tapped->ops[i].path.data);
        free((void *)tapped->ops[i].data.data);
    }
    free(tapped->ops);
    free(tapped);
}

static void put_state(struct buf *buf, const char *topic, int32_t partition, struct slice data,
                      int32_t zk_version)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_partition_state state = {0};
    buf_printf(buf, "state %s-%" PRId32, topic, partition);
    if (znode_partition_state_decode(arena, data, &state))
        buf_printf(buf, " unreadable");
    put_leadership(buf, state.leader, state.leader_epoch, state.isr.ids, state.isr.count);
    buf_printf(buf, " version=%" PRId32 "%s\n", zk_version,
               state.recovery_state ? " recovering" : "");
}

static void put_topic(struct buf *buf, const char *topic, struct slice data)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_topic znode = {0};
    buf_printf(buf, "topic %s", topic);
    if (znode_topic_decode(arena, data, &znode))
        buf_printf(buf, " unreadable");
    for (int32_t p = 0; p < znode.partition_count; p++) {
        const struct znode_topic_partition *partition = &znode.partitions[p];
        buf_printf(buf, " %" PRId32 "=", partition->partition);
        put_ids(buf, "", partition->replicas.ids, partition->replicas.count);
        put_some_ids(buf, " adding=", partition->adding.ids, partition->adding.count);
        put_some_ids(buf, " removing=", partition->removing.ids, partition->removing.count);
    }
    buf_printf(buf, "\n");
}

static void put_write(struct world *world, int32_t controller, const struct zk_op *op,
                      const struct zk_result *result)
{
    static const char *const verbs[] = {
        [ZK_OP_CREATE] = "create", [ZK_OP_SET] = "set", [ZK_OP_DELETE] = "delete"};
    OWNED_MEM char *path = slice_dup(op->path);
    char topic[250], rest[8];
    int32_t partition, used = 0;
    world->told_at = SIZE_MAX;
    trace_debug("controller %" PRId32 " writes %s: %.*s", controller, path, SLICE_ARG(op->data));
    if (op->kind != ZK_OP_DELETE &&
        sscanf(path, "/brokers/topics/%249[^/]/partitions/%" SCNd32 "/%7s%n", topic, &partition,
               rest, &used) == 3 &&
        path[used] == '\0') {
        int32_t version = op->kind == ZK_OP_CREATE ? 0 : result->stat.zk_version;
        put_state(&world->history, topic, partition, op->data, version);
        return;
    }
    if (op->kind == ZK_OP_SET && sscanf(path, "/brokers/topics/%249[^/]%n", topic, &used) == 1 &&
        path[used] == '\0') {
        put_topic(&world->history, topic, op->data);
        return;
    }
    buf_printf(&world->history, "%s %s\n", verbs[op->kind], path);
}

static bool is_write(const struct zk_op *op)
{
    return op->kind == ZK_OP_CREATE || op->kind == ZK_OP_SET || op->kind == ZK_OP_DELETE;
}

/* The results with one for the check that was left out. */
static struct zk_result *with_check(const struct zk_result *results, int32_t count)
{
    struct zk_result *all = mem_new_array(struct zk_result, (size_t)count + 1);
    for (int32_t i = 0; i < count; i++)
        all[i + 1] = results[i];
    all[0].path = results[0].path;
    if (results[0].error == ERR_ZK_UNAVAILABLE || results[0].error == ERR_SESSION_EXPIRED)
        all[0].error = results[0].error;
    return all;
}

static void tapped_done(void *context, const struct zk_result *results, int32_t count)
{
    struct tapped *tapped = context;
    OWNED_MEM struct zk_result *checked = NULL;
    if (tapped->is_unguarded) {
        results = checked = with_check(results, count);
        count++;
    }
    struct world_broker *broker = tapped->broker;
    struct world *world = broker->world;
    broker->tapped_count--;
    bool is_told = world->is_recording || trace_is_on(TRACE_DEBUG);
    for (int32_t i = 0; is_told && i < count; i++)
        if (is_write(&tapped->ops[i]) && !results[i].error)
            put_write(world, broker->id, &tapped->ops[i], &results[i]);
    zk_done_fn *done = tapped->done;
    void *done_context = tapped->context;
    tapped_free(tapped);
    if (done)
        done(done_context, results, count);
}

static struct slice copy(struct slice s)
{
    return slice_is_null(s) ? s : slice_of((const uint8_t *)slice_dup(s), s.size);
}

static struct tapped *tapped_new(struct world_broker *broker, const struct zk_op *ops,
                                 int32_t count, zk_done_fn *done, void *context)
{
    struct tapped *tapped = mem_new(struct tapped);
    *tapped = (struct tapped){.broker = broker, .count = count, .done = done, .context = context};
    tapped->ops = mem_new_array(struct zk_op, (size_t)count);
    for (int32_t i = 0; i < count; i++) {
        tapped->ops[i] = ops[i];
        tapped->ops[i].path = copy(ops[i].path);
        tapped->ops[i].data = copy(ops[i].data);
    }
    if (broker->tapped_count++ == 0)
        broker->waves++;
    list_push_back(&broker->tapped, &tapped->node);
    return tapped;
}

static void tap_submit(struct zk *zk, const struct zk_op *op, zk_done_fn *done, void *context)
{
    struct world_broker *broker = CONTAINER_OF(zk, struct world_broker, tap);
    zk_submit(broker->view, op, tapped_done, tapped_new(broker, op, 1, done, context));
}

static void tap_multi(struct zk *zk, const struct zk_op *ops, int32_t count, zk_done_fn *done,
                      void *context)
{
    struct world_broker *broker = CONTAINER_OF(zk, struct world_broker, tap);
    struct tapped *tapped = tapped_new(broker, ops, count, done, context);
    tapped->is_unguarded =
        broker->world->mutation == WORLD_WITHOUT_GUARD && ops[0].kind == ZK_OP_CHECK;
    if (tapped->is_unguarded)
        zk_multi(broker->view, ops + 1, count - 1, tapped_done, tapped);
    else
        zk_multi(broker->view, ops, count, tapped_done, tapped);
}

static void tap_state_changed(void *owner, enum zk_state state, int64_t session_id)
{
    struct world_broker *broker = owner;
    broker->tap.state_changed(broker->tap.owner, state, session_id);
}

static void tap_watch_fired(void *owner, enum zk_event_kind kind, struct slice path)
{
    struct world_broker *broker = owner;
    broker->tap.watch_fired(broker->tap.owner, kind, path);
}

void history_tap(struct world_broker *broker)
{
    static const struct zk_functions functions = {tap_submit, tap_multi};
    list_init(&broker->tapped);
    broker->tapped_count = 0;
    broker->tap = (struct zk){.functions = &functions};
    broker->view->owner = broker;
    broker->view->state_changed = tap_state_changed;
    broker->view->watch_fired = tap_watch_fired;
}

void history_untap(struct world_broker *broker)
{
    while (!list_is_empty(&broker->tapped))
        tapped_free(list_entry(broker->tapped.next, struct tapped, node));
}

/* ---- Requests to brokers ---- */

static void put_leader_and_isr(struct world *world, int32_t to,
                               const struct leader_and_isr_request *request)
{
    struct buf *buf = &world->history;
    world->told_at = SIZE_MAX;
    for (int32_t t = 0; t < request->topic_states_count; t++) {
        for (int32_t p = 0; p < request->topic_states[t].partition_states_count; p++) {
            const struct leader_and_isr_request_leader_and_isr_partition_state *state =
                &request->topic_states[t].partition_states[p];
            buf_printf(buf, "LISR %" PRId32 " %.*s-%" PRId32, to,
                       SLICE_ARG(request->topic_states[t].topic_name), state->partition_index);
            put_leadership(buf, state->leader, state->leader_epoch, state->isr, state->isr_count);
            buf_printf(buf, " version=%" PRId32, state->partition_epoch);
            put_ids(buf, " replicas=", state->replicas, state->replicas_count);
            put_some_ids(buf, " adding=", state->adding_replicas, state->adding_replicas_count);
            put_some_ids(buf, " removing=", state->removing_replicas,
                         state->removing_replicas_count);
            buf_printf(buf, "%s%s\n", state->leader_recovery_state ? " recovering" : "",
                       state->is_new ? " new" : "");
        }
    }
}

static void put_updates(struct buf *buf, const struct update_metadata_request *request)
{
    for (int32_t t = 0; t < request->topic_states_count; t++) {
        for (int32_t p = 0; p < request->topic_states[t].partition_states_count; p++) {
            const struct update_metadata_request_update_metadata_partition_state *state =
                &request->topic_states[t].partition_states[p];
            buf_printf(buf, " %.*s-%" PRId32, SLICE_ARG(request->topic_states[t].topic_name),
                       state->partition_index);
            put_leadership(buf, state->leader, state->leader_epoch, state->isr, state->isr_count);
            put_ids(buf, " replicas=", state->replicas, state->replicas_count);
            put_some_ids(buf, " offline=", state->offline_replicas, state->offline_replicas_count);
        }
    }
    buf_printf(buf, "\n");
}

/* One line for the brokers that are told the same one after the other; in which order does not
 * matter. */
static void put_update_metadata(struct world *world, int32_t to,
                                const struct update_metadata_request *request)
{
    struct buf rest = {0};
    put_updates(&rest, request);
    struct buf *buf = &world->history;
    bool is_same = world->told_at != SIZE_MAX && world->told_rest.size == rest.size &&
                   memcmp(world->told_rest.data, rest.data, rest.size) == 0 && !world->told[to];
    if (!is_same) {
        memset(world->told, 0, sizeof world->told);
        world->told_at = buf->size;
    }
    world->told[to] = true;
    buf->size = world->told_at;
    const char *before = "UMR ";
    for (int32_t id = 0; id < WORLD_BROKERS_MAX; id++) {
        if (!world->told[id])
            continue;
        buf_printf(buf, "%s%" PRId32, before, id);
        before = ",";
    }
    buf_put(buf, rest.data, rest.size);
    buf_done(&world->told_rest);
    world->told_rest = rest;
}

static void put_stop_replica(struct world *world, int32_t to,
                             const struct stop_replica_request *request)
{
    world->told_at = SIZE_MAX;
    for (int32_t t = 0; t < request->topic_states_count; t++)
        for (int32_t p = 0; p < request->topic_states[t].partition_states_count; p++)
            buf_printf(&world->history, "SR %" PRId32 " %.*s-%" PRId32 " epoch=%" PRId32 "%s\n", to,
                       SLICE_ARG(request->topic_states[t].topic_name),
                       request->topic_states[t].partition_states[p].partition_index,
                       request->topic_states[t].partition_states[p].leader_epoch,
                       request->topic_states[t].partition_states[p].delete_partition ? " delete"
                                                                                     : "");
}

void history_request(struct world *world, int32_t to, int16_t api_key, const void *request)
{
    if (!world->is_recording)
        return;
    if (api_key == API_LEADER_AND_ISR)
        put_leader_and_isr(world, to, request);
    else if (api_key == API_UPDATE_METADATA)
        put_update_metadata(world, to, request);
    else
        put_stop_replica(world, to, request);
}
