/* What the tests of the controller share: a modelled cluster whose broker 0 is controller and has
 * no replica of the topic "orders", and short words for what happens to it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "broker/base/trace.h"
#include "tests/sim/history.h"
#include "tests/sim/requests.h"

#define SETTLE_MS 5000
#define TOPIC_ID  "J0GsD6mVTPOcHmCHdsOQnQ"
/* Two arguments: the ids and how many. */
#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

static inline void put_topic(struct world *world, const char *assignment)
{
    world_topic(world, SLICE_LITERAL("orders"));
    OWNED_MEM char *text =
        mem_printf("{\"version\":3,\"topic_id\":\"" TOPIC_ID "\",\"partitions\":%s,"
                   "\"adding_replicas\":{},\"removing_replicas\":{}}",
                   assignment);
    zk_memory_put(world->zk, "/brokers/topics/orders", text);
    world_settle(world, SETTLE_MS);
}

/* Brokers start one after the other; no topic yet. */
static inline void start_all(struct world *world)
{
    for (int32_t i = 0; i < world->broker_count; i++) {
        world_start(world, i);
        world_settle(world, SETTLE_MS);
    }
    assert_int_equal(world_controller(world)->id, 0);
}

static inline struct world *cluster(int32_t brokers, const char *assignment)
{
    struct world *world = world_new(7, brokers);
    start_all(world);
    put_topic(world, assignment);
    history_begin(world);
    return world;
}

static inline void finish(struct world *world)
{
    assert_string_equal(world->complaint, "");
    world_free(world);
}

static inline void set_isr(struct world *world, const int32_t *isr, size_t count)
{
    assert_int_equal(world_set_isr(world, "orders", 0, isr, (int32_t)count), 0);
}

static inline void stop(struct world *world, int32_t id)
{
    world_crash(world, id);
    world_expire(world, id);
    world_settle(world, SETTLE_MS);
}

static inline void start(struct world *world, int32_t id)
{
    world_start(world, id);
    world_settle(world, SETTLE_MS);
}

/* All that happened since the cluster was ready or the last expect(). */
static inline void expect(struct world *world, const char *history)
{
    assert_string_equal(history_text(world), history);
    history_begin(world);
}
