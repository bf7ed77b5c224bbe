/* Proves the controller's thread, and the assignment of replicas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "broker/base/trace.h"
#include "coordinator/controller/admin.h"
#include "coordinator/controller/controller_thread.h"
#include "tests/sim/world.h"

struct heard {
    _Atomic int32_t with_core, without_core;
};

static void listen(struct controller *controller, void *context)
{
    struct heard *heard = context;
    if (controller) {
        assert_false(controller_is_active(controller));
        heard->with_core++;
    } else {
        heard->without_core++;
    }
}

static void no_forget(struct controller_peers *peers, int32_t broker_id)
{
    (void)peers;
    (void)broker_id;
}

static void test_posts_run_with_the_core_and_after_the_stop_without_it(void **state)
{
    (void)state;
    struct zk_memory *memory = zk_memory_new(0);
    struct controller_peers peers = {.forget = no_forget};
    struct controller_settings settings = {.inter_broker_protocol_version = "3.9-IV0",
                                           .controller_listener = "PLAINTEXT",
                                           .inter_broker_listener = "PLAINTEXT"};
    struct heard heard = {0};
    struct controller_thread *thread = controller_thread_new();
    controller_thread_post(thread, listen, &heard); /* before the start: waits for it */
    controller_thread_start(thread, &settings, zk_memory_client(memory), &peers, NULL,
                            &clock_system);
    for (int i = 0; i < 100; i++)
        controller_thread_post(thread, listen, &heard);
    controller_thread_stop(thread);
    controller_thread_post(thread, listen, &heard);
    assert_int_equal(heard.with_core, 101);
    assert_int_equal(heard.without_core, 1);
    controller_thread_free(thread);
    zk_memory_free(memory);
}

static int32_t rack_of(int32_t broker_id)
{
    return broker_id % 3;
}

static void test_replicas_are_spread_evenly_and_over_racks(void **state)
{
    (void)state;
    struct world *world = world_new(1, 1);
    world_start(world, 0);
    world_settle(world, 1000);
    OWNED(arena) struct arena *arena = arena_new();
    static const char *const racks[] = {"r0", "r1", "r2"};
    struct assign_broker brokers[6];
    for (int32_t i = 0; i < 6; i++)
        brokers[i] = (struct assign_broker){.id = i, .rack = slice_str(racks[rack_of(i)])};
    struct ids *lists;
    assert_int_equal(
        assign_replicas(world->brokers[0].controller, arena, brokers, 6, 60, 3, -1, 0, &lists),
        ERR_OK);
    int32_t leads[6] = {0}, holds[6] = {0};
    for (int32_t p = 0; p < 60; p++) {
        bool seen[3] = {false};
        assert_int_equal(lists[p].count, 3);
        leads[lists[p].ids[0]]++;
        for (int32_t r = 0; r < 3; r++) {
            assert_false(seen[rack_of(lists[p].ids[r])]);
            seen[rack_of(lists[p].ids[r])] = true;
            holds[lists[p].ids[r]]++;
        }
    }
    for (int32_t b = 0; b < 6; b++) {
        assert_int_equal(leads[b], 10);
        assert_int_equal(holds[b], 30);
    }
    brokers[0].rack = SLICE_NULL;
    assert_int_equal(
        assign_replicas(world->brokers[0].controller, arena, brokers, 6, 1, 1, -1, 0, &lists),
        ERR_UNKNOWN_SERVER_ERROR);
    world_free(world);
}

/* Without racks, start 0: the table that Kafka's documentation of the algorithm shows. */
static void test_a_fixed_start_gives_kafkas_table(void **state)
{
    (void)state;
    static const int32_t expected[10][3] = {{0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 0}, {4, 0, 1},
                                            {0, 2, 3}, {1, 3, 4}, {2, 4, 0}, {3, 0, 1}, {4, 1, 2}};
    struct world *world = world_new(1, 1);
    world_start(world, 0);
    OWNED(arena) struct arena *arena = arena_new();
    struct assign_broker brokers[5];
    for (int32_t i = 0; i < 5; i++)
        brokers[i] = (struct assign_broker){.id = i};
    struct ids *lists;
    assert_int_equal(
        assign_replicas(world->brokers[0].controller, arena, brokers, 5, 10, 3, 0, 0, &lists),
        ERR_OK);
    for (int32_t p = 0; p < 10; p++) {
        for (int32_t r = 0; r < 3; r++)
            assert_int_equal(lists[p].ids[r], expected[p][r]);
    }
    world_free(world);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts_run_with_the_core_and_after_the_stop_without_it),
        cmocka_unit_test(test_replicas_are_spread_evenly_and_over_racks),
        cmocka_unit_test(test_a_fixed_start_gives_kafkas_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
