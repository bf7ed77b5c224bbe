/* Guarded writes of many states share transactions, and what one of them meets is its own. */
#include "fixture.h"

#define PARTITIONS 150

/* Partitions that brokers 1 and 2 hold, led by 1. */
static struct world *many_partitions(void)
{
    struct buf assignment = {0};
    for (int32_t p = 0; p < PARTITIONS; p++)
        buf_printf(&assignment, "%s\"%d\":[1,2]", p ? "," : "{", p);
    buf_printf(&assignment, "}");
    OWNED_MEM char *text = slice_dup(buf_slice(&assignment));
    buf_done(&assignment);
    return cluster(3, text);
}

static void assert_all_led_by(struct world *world, int32_t leader)
{
    for (int32_t p = 0; p < PARTITIONS; p++)
        assert_int_equal(world_leader(world, "orders", p), leader);
}

static char *state_path(int32_t partition)
{
    return mem_printf("/brokers/topics/orders/partitions/%d/state", partition);
}

/* A transaction more or less than one for each 64 states, and what a broker's end takes besides. */
static void test_elections_of_many_partitions_take_few_transactions(void **state)
{
    (void)state;
    struct world *world = many_partitions();
    int64_t before = zk_memory_zxid(world->zk);
    stop(world, 1);
    assert_all_led_by(world, 2);
    assert_in_range(zk_memory_zxid(world->zk) - before, 3, 20);
    finish(world);
}

/* The controller has not heard of the write, so that its own of that state is refused. */
static void test_a_state_that_changed_unseen_delays_only_itself(void **state)
{
    (void)state;
    struct world *world = many_partitions();
    OWNED_MEM char *path = state_path(70);
    OWNED_MEM char *text = mem_strdup(world_znode(world, path));
    zk_memory_put(world->zk, path, text);
    stop(world, 1);
    assert_all_led_by(world, 2);
    finish(world);
}

/* Whichever of the transactions is lost with its connection, whether it happened or not. */
static void test_a_lost_transaction_is_made_good_state_by_state(void **state)
{
    (void)state;
    for (int32_t n = 1; n < 12; n++) {
        for (int executed = 0; executed < 2; executed++) {
            struct world *world = many_partitions();
            zk_memory_lose_operation(world->brokers[0].session, n, executed);
            stop(world, 1);
            world_settle(world, 60000);
            assert_all_led_by(world, 2);
            finish(world);
        }
    }
}

/* Every state of a deposed controller's election is refused by the one check. */
static void test_a_fenced_controller_elects_nobody(void **state)
{
    (void)state;
    struct world *world = many_partitions();
    zk_memory_pause(world->brokers[0].session, true);
    zk_memory_expire(world->brokers[0].session);
    world_settle(world, SETTLE_MS);
    stop(world, 1);
    zk_memory_pause(world->brokers[0].session, false);
    world_settle(world, SETTLE_MS);
    assert_all_led_by(world, 2);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        OWNED_MEM char *path = state_path(p);
        assert_non_null(strstr(world_znode(world, path), "\"leader_epoch\":1"));
    }
    finish(world);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elections_of_many_partitions_take_few_transactions),
        cmocka_unit_test(test_a_state_that_changed_unseen_delays_only_itself),
        cmocka_unit_test(test_a_lost_transaction_is_made_good_state_by_state),
        cmocka_unit_test(test_a_fenced_controller_elects_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
