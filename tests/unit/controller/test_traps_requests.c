/* The traps of zookeeper-and-controller.md §9 in what brokers are told: order, completeness,
 * epochs. */
#include "fixture.h"

static int32_t lines_with(struct world *world, const char *text)
{
    int32_t count = 0;
    for (const char *at = history_text(world); (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* T11, T24: at a fail-over the list of brokers comes first, with all partitions as they are; then
 * every replica that exists is told with the epochs it has, then everybody of the partitions. */
static void test_a_fail_over_tells_brokers_then_replicas_then_partitions(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    zk_memory_delete(world->zk, "/controller");
    world_settle(world, SETTLE_MS);
    const char *history = history_text(world);
    const char *began = strstr(history, "UMR");
    assert_non_null(began);
    assert_string_equal(began, "UMR 0,1,2,3 orders-0 leader=1 epoch=0 isr=1,2 replicas=1,2\n"
                               "LISR 1 orders-0 leader=1 epoch=0 isr=1,2 version=0 replicas=1,2\n"
                               "LISR 2 orders-0 leader=1 epoch=0 isr=1,2 version=0 replicas=1,2\n"
                               "UMR 0,1,2,3 orders-0 leader=1 epoch=0 isr=1,2 replicas=1,2\n");
    finish(world);
}

/* A broker that started while there was no controller must not learn of elected partitions alone:
 * its topics would have holes. */
static void test_a_fail_over_tells_of_all_partitions_before_it_elects_some(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[0,1],\"1\":[1,2],\"2\":[2,3]}");
    assert_int_equal(world_controller(world)->id, 0);
    stop(world, 0);
    const char *began = strstr(history_text(world), "UMR");
    assert_non_null(began);
    OWNED_MEM char *first = mem_printf("%.*s", (int)strcspn(began, "\n"), began);
    assert_string_equal(first, "UMR 1,2,3 orders-0 leader=0 epoch=0 isr=0,1 replicas=0,1 offline=0 "
                               "orders-1 leader=1 epoch=0 isr=1,2 replicas=1,2 "
                               "orders-2 leader=2 epoch=0 isr=2,3 replicas=2,3");
    finish(world);
}

/* Its departure is written into every ISR, so that all would hear of all partitions twice. */
static void test_a_fail_over_tells_a_replica_once_what_it_is_without_the_one_that_died(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,0,2]}");
    assert_int_equal(world_controller(world)->id, 0);
    history_begin(world);
    stop(world, 0);
    assert_int_equal(lines_with(world, "LISR 1 orders-0 leader=1 epoch=1 isr=1,2 "), 1);
    assert_int_equal(lines_with(world, "LISR 2 orders-0 leader=1 epoch=1 isr=1,2 "), 1);
    assert_int_equal(lines_with(world, "LISR"), 2);
    finish(world);
}

/* T24: a LeaderAndIsr that was lost is made good by the next controller. */
static void test_a_replica_that_missed_its_role_hears_of_it_from_the_next_controller(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    world->brokers[2].replicas[0][0] = (struct world_replica){0};
    zk_memory_delete(world->zk, "/controller");
    world_settle(world, SETTLE_MS);
    assert_true(world->brokers[2].replicas[0][0].hosted);
    finish(world);
}

/* T12: every UpdateMetadata carries the whole list of brokers. */
static void test_every_broker_knows_all_brokers_after_each_event(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2],\"1\":[2,3]}");
    for (int32_t b = 0; b < 5; b++)
        assert_int_equal(world->brokers[b].live_brokers, 5);
    stop(world, 3);
    for (int32_t b = 0; b < 5; b++)
        assert_int_equal(world->brokers[b].live_brokers, b == 3 ? 5 : 4);
    start(world, 3);
    for (int32_t b = 0; b < 5; b++)
        assert_int_equal(world->brokers[b].live_brokers, 5);
    finish(world);
}

/* T25: who hosts nothing of the topic is told all the same, in one request with all partitions. */
static void test_an_update_is_one_request_with_all_partitions_to_all_brokers(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2],\"1\":[1,2],\"2\":[2,1]}");
    int32_t before[5];
    for (int32_t b = 0; b < 5; b++)
        before[b] = world->brokers[b].requests[2];
    int32_t roles = world->brokers[2].requests[0];
    stop(world, 1);
    for (int32_t b = 0; b < 5; b++) {
        if (b == 1)
            continue;
        for (int32_t p = 0; p < 3; p++)
            assert_int_equal(world->brokers[b].metadata[0][p].leader, 2);
        assert_true(world->brokers[b].requests[2] - before[b] <= 2); /* election, removal */
    }
    assert_true(world->brokers[2].requests[0] - roles <= 2); /* not one for each partition */
    finish(world);
}

/* T13, T14: what a leader is told lets it change its ISR at once, after each way to be elected. */
static void test_the_epochs_that_a_leader_is_told_are_those_of_the_znode(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    for (int32_t round = 0; round < 3; round++) {
        int32_t old = world_leader(world, "orders", 0);
        stop(world, old);
        int32_t leader = world_leader(world, "orders", 0);
        const struct world_replica *told = &world->brokers[leader].replicas[0][0];
        struct world_isr_wish wish = world_isr_wish(world, "orders", 0, (int32_t[]){leader}, 1);
        assert_int_equal(told->leader_epoch, wish.leader_epoch);
        assert_int_equal(told->partition_epoch, wish.partition_epoch);
        start(world, old);
        int32_t all[] = {leader, old};
        assert_int_equal(world_set_isr(world, "orders", 0, all, 2), 0);
    }
    finish(world);
}

/* T18: leader -2 and epoch 0 in UpdateMetadata, then epoch -2 in StopReplica. */
static void test_a_deletion_says_minus_two_where_brokers_expect_it(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    int16_t error;
    stop(world, 1);
    start(world, 1);
    set_isr(world, IDS(2, 1));
    history_begin(world);
    world_delete_topic(world, "orders", &error);
    world_settle(world, SETTLE_MS);
    const char *history = history_text(world);
    const char *update = strstr(history, "UMR 0,1,2,3 orders-0 leader=-2 epoch=0");
    const char *stop_1 = strstr(history, "SR 1 orders-0 epoch=-2\n");
    const char *delete_1 = strstr(history, "SR 1 orders-0 epoch=-2 delete\n");
    const char *gone = strstr(history, "delete /brokers/topics/orders\n");
    const char *settings = strstr(history, "delete /config/topics/orders\n");
    const char *request = strstr(history, "delete /admin/delete_topics/orders\n");
    assert_true(update && stop_1 && delete_1 && gone && request);
    assert_null(settings); /* there were none: T42, that is no error */
    assert_true(update < stop_1 && stop_1 < delete_1 && delete_1 < gone && gone < request);
    assert_int_equal(lines_with(world, "LISR"), 0);
    finish(world);
}

/* T22: an answer that is an error keeps the topic. */
static void test_a_replica_that_is_not_deleted_keeps_the_topic_in_zookeeper(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    int16_t error;
    world->brokers[2].refuses_to_delete = true;
    world_delete_topic(world, "orders", &error);
    world_settle(world, SETTLE_MS);
    assert_non_null(world_znode(world, "/brokers/topics/orders"));
    world->brokers[2].refuses_to_delete = false;
    world_crash(world, 2);
    world_expire(world, 2);
    world_settle(world, SETTLE_MS);
    assert_non_null(world_znode(world, "/brokers/topics/orders"));
    start(world, 2);
    assert_null(world_znode(world, "/brokers/topics/orders"));
    finish(world);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fail_over_tells_brokers_then_replicas_then_partitions),
        cmocka_unit_test(test_a_fail_over_tells_of_all_partitions_before_it_elects_some),
        cmocka_unit_test(
            test_a_fail_over_tells_a_replica_once_what_it_is_without_the_one_that_died),
        cmocka_unit_test(test_a_replica_that_missed_its_role_hears_of_it_from_the_next_controller),
        cmocka_unit_test(test_every_broker_knows_all_brokers_after_each_event),
        cmocka_unit_test(test_an_update_is_one_request_with_all_partitions_to_all_brokers),
        cmocka_unit_test(test_the_epochs_that_a_leader_is_told_are_those_of_the_znode),
        cmocka_unit_test(test_a_deletion_says_minus_two_where_brokers_expect_it),
        cmocka_unit_test(test_a_replica_that_is_not_deleted_keeps_the_topic_in_zookeeper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
