/* The cluster as a whole: birth and death, chance, and one step after the other. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/sim/history.h"
#include "tests/sim/world_internal.h"

#define START_PATHS 14

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

void world_note_controller(struct world *world, int32_t controller_epoch, int32_t controller_id)
{
    int32_t *owner = &world->controller_of_epoch[controller_epoch % WORLD_EPOCHS_MAX];
    if (*owner != -1 && *owner != controller_id)
        world_complain(world, "epoch %" PRId32 " has the controllers %" PRId32 " and %" PRId32,
                       controller_epoch, *owner, controller_id);
    *owner = controller_id;
}

/* ---- Birth and death ---- */

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
        world->brokers[i] = (struct world_broker){
            .world = world,
            .id = i,
            .peers = {.send = world_peers_send, .forget = world_peers_forget}};
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
    history_done(world);
    free(world->znode_text);
    free(world);
}
/* ---- Steps ---- */

bool world_step(struct world *world)
{
    bool did = world_random(world, 2) ? zk_memory_step(world->zk) || world_deliver_one(world)
                                      : world_deliver_one(world) || zk_memory_step(world->zk);
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
