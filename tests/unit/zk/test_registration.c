/* The registration over the model of ZooKeeper, on virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coordinator/zk/registration.h"
#include "coordinator/zk/znode.h"
#include "tests/fake/zk_memory.h"

struct world {
    struct zk_memory *memory;
    struct zk *zk;
    struct timers timers;
    struct clock_manual clock;
    struct registration *registration;
    int32_t registered, refused;
    int64_t broker_epoch;
};

static void on_registered(void *context, int64_t broker_epoch)
{
    struct world *world = context;
    world->registered++;
    world->broker_epoch = broker_epoch;
}
static void on_refused(void *context, enum err error)
{
    struct world *world = context;
    assert_int_equal(error, ERR_DUPLICATE_BROKER_REGISTRATION);
    world->refused++;
}
static void on_state(void *owner, enum zk_state state, int64_t session_id)
{
    registration_state_changed(((struct world *)owner)->registration, state, session_id);
}

static void world_init(struct world *world, struct zk_memory *memory)
{
    struct znode_endpoint endpoint = {SLICE_LITERAL("PLAINTEXT"), SLICE_LITERAL("h"), 9092, 0};
    struct znode_broker broker = {.endpoints = &endpoint,
                                  .endpoint_count = 1,
                                  .jmx_port = -1,
                                  .intact_since = INTACT_SINCE_REGISTRATION};
    struct registration_callbacks callbacks = {on_registered, on_refused, world};
    *world = (struct world){.memory = memory};
    clock_manual_init(&world->clock, 0);
    world->zk = zk_memory_client(memory);
    world->zk->owner = world;
    world->zk->state_changed = on_state;
    world->registration = registration_new(world->zk, &world->timers, &world->clock.clock, 1,
                                           &broker, 6000, &callbacks);
}
static void world_done(struct world *world)
{
    zk_memory_run(world->memory);
    registration_free(world->registration);
    timers_done(&world->timers);
}
static void advance(struct world *world, int32_t seconds)
{
    for (int32_t i = 0; i < seconds; i++) {
        clock_manual_advance_ms(&world->clock, 1000);
        timers_run(&world->timers, clock_mono_ms(&world->clock.clock));
        zk_memory_run(world->memory);
    }
}

static struct zk_memory *memory_new(void)
{
    struct zk_memory *memory = zk_memory_new(0);
    zk_memory_put(memory, "/brokers/ids", NULL);
    return memory;
}

static void assert_stands(struct world *world)
{
    struct zk_stat stat;
    assert_true(zk_memory_get(world->memory, "/brokers/ids/1", NULL, &stat));
    assert_int_equal(stat.ephemeral_owner, zk_memory_session_id(world->zk));
    assert_int_equal(stat.zk_version, 1);
    assert_int_equal(world->broker_epoch, stat.czxid);
}

static void test_registers_and_again_after_expiry_with_a_new_epoch(void **state)
{
    (void)state;
    struct zk_memory *memory = memory_new();
    struct world world;
    world_init(&world, memory);
    zk_memory_run(memory);
    assert_int_equal(world.registered, 1);
    assert_stands(&world);
    int64_t first = world.broker_epoch;
    zk_memory_expire(world.zk);
    zk_memory_run(memory);
    assert_int_equal(world.registered, 2);
    assert_true(world.broker_epoch > first);
    assert_stands(&world);
    world_done(&world);
    zk_memory_free(memory);
}

static int64_t told_intact_since(struct world *world, struct arena *arena)
{
    struct slice text;
    struct zk_stat stat;
    struct znode_broker broker;
    assert_true(zk_memory_get(world->memory, "/brokers/ids/1", &text, &stat));
    assert_int_equal(znode_broker_decode(arena, text, &broker), ERR_OK);
    return broker.intact_since;
}

/* Its process has lost nothing meanwhile, however it had been stopped before. */
static void
test_after_an_expiry_it_tells_that_it_is_intact_since_its_first_registration(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct zk_memory *memory = memory_new();
    struct world world;
    world_init(&world, memory);
    zk_memory_run(memory);
    assert_int_equal(told_intact_since(&world, arena), INTACT_SINCE_REGISTRATION);
    int64_t first = world.broker_epoch;
    for (int32_t i = 0; i < 2; i++) {
        zk_memory_expire(world.zk);
        zk_memory_run(memory);
        assert_int_equal(told_intact_since(&world, arena), first);
        assert_true(world.broker_epoch > first);
    }
    world_done(&world);
    zk_memory_free(memory);
    arena_free(arena);
}

static void test_renewed_it_stands_there_with_another_epoch(void **state)
{
    (void)state;
    struct zk_memory *memory = memory_new();
    struct world world;
    world_init(&world, memory);
    registration_renew(world.registration); /* not yet ours: nothing */
    zk_memory_run(memory);
    int64_t first = world.broker_epoch;
    registration_renew(world.registration);
    zk_memory_run(memory);
    assert_int_equal(world.registered, 2);
    assert_true(world.broker_epoch > first);
    assert_stands(&world);
    world_done(&world);
    zk_memory_free(memory);
}

static void test_a_renewal_whose_answer_is_lost_ends_registered(void **state)
{
    (void)state;
    for (int executed = 0; executed < 2; executed++) {
        struct zk_memory *memory = memory_new();
        struct world world;
        world_init(&world, memory);
        zk_memory_run(memory);
        int64_t first = world.broker_epoch;
        registration_renew(world.registration);
        zk_memory_lose_operation(world.zk, 1, executed);
        zk_memory_run(memory);
        assert_int_equal(world.registered, 2);
        assert_int_equal(world.broker_epoch > first, executed); /* else it is to be asked again */
        assert_stands(&world);
        world_done(&world);
        zk_memory_free(memory);
    }
}

static void test_a_lost_answer_is_recognised_as_our_own(void **state)
{
    (void)state;
    for (int executed = 0; executed < 2; executed++) {
        struct zk_memory *memory = memory_new();
        struct world world;
        world_init(&world, memory);
        zk_memory_lose_operation(world.zk, 1, executed);
        zk_memory_run(memory);
        assert_int_equal(world.registered, 1);
        assert_stands(&world);
        world_done(&world);
        zk_memory_free(memory);
    }
}

static void test_waits_for_the_former_process_and_registers_when_it_expires(void **state)
{
    (void)state;
    struct zk_memory *memory = memory_new();
    struct world former, world;
    world_init(&former, memory);
    zk_memory_run(memory);
    int64_t former_session = zk_memory_session_id(former.zk);
    zk_memory_client_kill(former.zk);
    world_init(&world, memory);
    zk_memory_run(memory);
    assert_int_equal(registration_state(world.registration), REGISTRATION_WAITING);
    advance(&world, 5);
    assert_int_equal(world.registered, 0);
    zk_memory_expire_session(memory, former_session);
    advance(&world, 1);
    assert_int_equal(world.registered, 1);
    assert_stands(&world);
    world_done(&former);
    world_done(&world);
    zk_memory_free(memory);
}

static void test_refuses_after_the_timeout_and_never_deletes_the_stranger(void **state)
{
    (void)state;
    struct zk_memory *memory = memory_new();
    struct world stranger, world;
    world_init(&stranger, memory);
    zk_memory_run(memory);
    world_init(&world, memory);
    zk_memory_run(memory);
    advance(&world, 12);
    assert_int_equal(world.refused, 1);
    assert_int_equal(world.registered, 0);
    assert_stands(&stranger);
    world_done(&world);
    world_done(&stranger);
    zk_memory_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers_and_again_after_expiry_with_a_new_epoch),
        cmocka_unit_test(
            test_after_an_expiry_it_tells_that_it_is_intact_since_its_first_registration),
        cmocka_unit_test(test_renewed_it_stands_there_with_another_epoch),
        cmocka_unit_test(test_a_renewal_whose_answer_is_lost_ends_registered),
        cmocka_unit_test(test_a_lost_answer_is_recognised_as_our_own),
        cmocka_unit_test(test_waits_for_the_former_process_and_registers_when_it_expires),
        cmocka_unit_test(test_refuses_after_the_timeout_and_never_deletes_the_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
