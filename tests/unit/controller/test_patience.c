/* Clients that named a timeout are answered in time while ZooKeeper is away. */
#include "fixture.h"

#define TIMED_OUT 7

static void zookeeper_goes(struct world *world)
{
    zk_memory_disconnect(world->brokers[0].session);
}

static void zookeeper_returns(struct world *world)
{
    zk_memory_connect(world->brokers[0].session);
    world_settle(world, SETTLE_MS);
}

static void test_a_creation_is_answered_at_its_timeout_and_happens_later(void **state)
{
    (void)state;
    struct world *world = cluster(3, "{\"0\":[1,2]}");
    int16_t error;
    zookeeper_goes(world);
    assert_true(world_create_topic(world, "fresh", 2, 2, 3000, &error));
    world_settle(world, 2900);
    assert_int_equal(error, WORLD_PENDING);
    world_settle(world, 200);
    assert_int_equal(error, TIMED_OUT);
    zookeeper_returns(world);
    assert_in_range(world_leader(world, "fresh", 0), 0, 2);
    assert_in_range(world_leader(world, "fresh", 1), 0, 2);
    finish(world);
}

static void test_a_timeout_of_nothing_is_no_reason_to_wait_for_ever(void **state)
{
    (void)state;
    struct world *world = cluster(3, "{\"0\":[1,2]}");
    int16_t error;
    zookeeper_goes(world);
    assert_true(world_create_topic(world, "fresh", 2, 2, 0, &error));
    world_settle(world, 1100);
    assert_int_equal(error, TIMED_OUT);
    zookeeper_returns(world);
    finish(world);
}

static void test_a_deletion_and_a_growth_are_answered_at_their_timeouts(void **state)
{
    (void)state;
    struct world *world = cluster(3, "{\"0\":[1,2]}");
    int16_t deleted, grown, created;
    assert_true(world_create_topic(world, "other", 1, 2, 30000, &created));
    world_settle(world, SETTLE_MS);
    assert_int_equal(created, 0);
    zookeeper_goes(world);
    assert_true(world_grow_topic(world, "other", 3, &grown));
    assert_true(world_delete_topic(world, "orders", &deleted)); /* behind it in the queue */
    world_settle(world, 29900);
    assert_int_equal(grown, WORLD_PENDING);
    assert_int_equal(deleted, WORLD_PENDING);
    world_settle(world, 200);
    assert_int_equal(grown, TIMED_OUT);
    assert_int_equal(deleted, TIMED_OUT);
    zookeeper_returns(world);
    assert_int_equal(world_leader(world, "orders", 0), -2);
    assert_in_range(world_leader(world, "other", 2), 0, 2);
    finish(world);
}

/* Whoever was told already is not told again, and nothing is left behind (Asan). */
static void test_a_controller_that_ends_first_answers_once(void **state)
{
    (void)state;
    struct world *world = cluster(3, "{\"0\":[1,2]}");
    int16_t late, early;
    zookeeper_goes(world);
    assert_true(world_create_topic(world, "late", 1, 2, 2000, &late));
    world_settle(world, 2100);
    assert_int_equal(late, TIMED_OUT);
    assert_true(world_create_topic(world, "early", 1, 2, 20000, &early));
    stop(world, 0);
    assert_int_equal(late, TIMED_OUT);
    finish(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_creation_is_answered_at_its_timeout_and_happens_later),
        cmocka_unit_test(test_a_timeout_of_nothing_is_no_reason_to_wait_for_ever),
        cmocka_unit_test(test_a_deletion_and_a_growth_are_answered_at_their_timeouts),
        cmocka_unit_test(test_a_controller_that_ends_first_answers_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
