/* What the znodes say, and what they promise: epochs never go back, a leader epoch has one leader,
 * no znode is written by a controller that another one has replaced. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/world_internal.h"

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

bool world_read_state(struct world *world, const char *topic, int32_t partition,
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
    return world_read_state(world, topic, partition, arena, &state, &zxid) ? state.leader : -2;
}

int32_t world_leader_epoch(struct world *world, const char *topic, int32_t partition)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_partition_state state = {0};
    int64_t zxid;
    return world_read_state(world, topic, partition, arena, &state, &zxid) ? state.leader_epoch
                                                                           : -2;
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
    if (!world_read_state(world, world->topics[t], p, arena, &state, &zxid) ||
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
    if (world->hooks.state_written)
        world->hooks.state_written(world->hooks.context, t, p, &state);
    world->seen_leader_epoch[t][p] = state.leader_epoch;
    world->seen_leader[t][p] = state.leader;
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
        if (zk_memory_get(world->zk, deletion, NULL, NULL)) {
            world->deleting_epoch[t] = epoch;
            if (world->hooks.topic_doomed)
                world->hooks.topic_doomed(world->hooks.context, t);
        }
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++)
            check_partition(world, t, p, epoch, arena);
    }
}
