/* Proves reassignments (KIP-455) phase by phase: what is written to ZooKeeper and what is sent to
 * brokers, in which order and with which epochs (zookeeper-and-controller.md §4.4). */
#include "reassignment_fixture.h"

#define SWEEP_MAX 400

/* ---- The phases ---- */

/* U1, A1, A2; T13, T14, T25 */
static void test_a_beginning_writes_the_topic_then_raises_the_epoch_then_tells_all(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    reassign(world, IDS(3, 4), ERR_OK);
    expect(world, "topic orders 0=3,4,1,2 adding=3,4 removing=1,2\n"
                  "state orders-0 leader=1 epoch=1 isr=1,2 version=1\n"
                  "LISR 1 orders-0 leader=1 epoch=1 isr=1,2 version=1 replicas=3,4,1,2 adding=3,4 "
                  "removing=1,2\n"
                  "LISR 2 orders-0 leader=1 epoch=1 isr=1,2 version=1 replicas=3,4,1,2 adding=3,4 "
                  "removing=1,2\n"
                  "LISR 3 orders-0 leader=1 epoch=1 isr=1,2 version=1 replicas=3,4,1,2 adding=3,4 "
                  "removing=1,2 new\n"
                  "LISR 4 orders-0 leader=1 epoch=1 isr=1,2 version=1 replicas=3,4,1,2 adding=3,4 "
                  "removing=1,2 new\n"
                  "UMR 0,1,2,3,4 orders-0 leader=1 epoch=1 isr=1,2 replicas=3,4,1,2\n"
                  "LISR 3 orders-0 leader=1 epoch=1 isr=1,2 version=1 replicas=3,4,1,2 adding=3,4 "
                  "removing=1,2 new\n"
                  "LISR 4 orders-0 leader=1 epoch=1 isr=1,2 version=1 replicas=3,4,1,2 adding=3,4 "
                  "removing=1,2 new\n"
                  "UMR 0,1,2,3,4 orders-0 leader=1 epoch=1 isr=1,2 replicas=3,4,1,2\n");
    assert_int_equal(world_reassigning_count(world), 1);
    finish(world);
}

/* B1 to B8; T22 */
static void test_an_end_moves_the_leader_and_drops_the_old_before_it_writes_the_topic(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    reassign(world, IDS(3, 4), ERR_OK);
    set_isr(world, IDS(1, 2, 3));
    assert_int_equal(world_reassigning_count(world), 1);
    history_begin(world);
    set_isr(world, IDS(1, 2, 3, 4));
    expect(world, "state orders-0 leader=1 epoch=1 isr=1,2,3,4 version=3\n"
                  "UMR 0,1,2,3,4 orders-0 leader=1 epoch=1 isr=1,2,3,4 replicas=3,4,1,2\n"
                  "state orders-0 leader=3 epoch=2 isr=1,2,3,4 version=4\n"
                  "LISR 3 orders-0 leader=3 epoch=2 isr=1,2,3,4 version=4 replicas=3,4\n"
                  "LISR 4 orders-0 leader=3 epoch=2 isr=1,2,3,4 version=4 replicas=3,4\n"
                  "UMR 0,1,2,3,4 orders-0 leader=3 epoch=2 isr=1,2,3,4 replicas=3,4\n"
                  "state orders-0 leader=3 epoch=3 isr=2,3,4 version=5\n"
                  "state orders-0 leader=3 epoch=4 isr=3,4 version=6\n"
                  "LISR 3 orders-0 leader=3 epoch=4 isr=3,4 version=6 replicas=3,4\n"
                  "LISR 4 orders-0 leader=3 epoch=4 isr=3,4 version=6 replicas=3,4\n"
                  "UMR 0,1,2,3,4 orders-0 leader=3 epoch=4 isr=3,4 replicas=3,4\n"
                  "SR 1 orders-0 epoch=2\n"
                  "SR 2 orders-0 epoch=3\n"
                  "SR 1 orders-0 epoch=4 delete\n"
                  "SR 2 orders-0 epoch=4 delete\n"
                  "topic orders 0=3,4\n"
                  "UMR 0,1,2,3,4 orders-0 leader=3 epoch=4 isr=3,4 replicas=3,4\n");
    assert_settled_on(world, "\"partitions\":{\"0\":[3,4]}");
    assert_false(world->brokers[1].replicas[0][0].hosted);
    assert_true(world->brokers[4].replicas[0][0].hosted);
    finish(world);
}

/* B3, the leader is in the target and online */
static void test_a_leader_in_the_target_stays_with_a_higher_epoch(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    reassign(world, IDS(3, 1), ERR_OK);
    history_begin(world);
    set_isr(world, IDS(1, 2, 3));
    expect(world, "state orders-0 leader=1 epoch=1 isr=1,2,3 version=2\n"
                  "UMR 0,1,2,3,4 orders-0 leader=1 epoch=1 isr=1,2,3 replicas=3,1,2\n"
                  "state orders-0 leader=1 epoch=2 isr=1,2,3 version=3\n"
                  "LISR 1 orders-0 leader=1 epoch=2 isr=1,2,3 version=3 replicas=3,1\n"
                  "LISR 3 orders-0 leader=1 epoch=2 isr=1,2,3 version=3 replicas=3,1\n"
                  "UMR 0,1,2,3,4 orders-0 leader=1 epoch=2 isr=1,2,3 replicas=3,1\n"
                  "state orders-0 leader=1 epoch=3 isr=1,3 version=4\n"
                  "LISR 1 orders-0 leader=1 epoch=3 isr=1,3 version=4 replicas=3,1\n"
                  "LISR 3 orders-0 leader=1 epoch=3 isr=1,3 version=4 replicas=3,1\n"
                  "UMR 0,1,2,3,4 orders-0 leader=1 epoch=3 isr=1,3 replicas=3,1\n"
                  "SR 2 orders-0 epoch=2\n"
                  "SR 2 orders-0 epoch=3 delete\n"
                  "topic orders 0=3,1\n"
                  "UMR 0,1,2,3,4 orders-0 leader=1 epoch=3 isr=1,3 replicas=3,1\n");
    finish(world);
}

/* U3 */
static void test_a_new_target_replaces_the_running_one_and_drops_what_it_had_added(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    reassign(world, IDS(3, 2), ERR_OK);
    set_isr(world, IDS(1, 2, 3));
    assert_settled_on(world, "\"partitions\":{\"0\":[3,2]}");
    reassign(world, IDS(1, 2, 3), ERR_OK);
    history_begin(world);
    reassign(world, IDS(4, 2, 3), ERR_OK);
    expect(world, "topic orders 0=4,2,3 adding=4\n"
                  "LISR 2 orders-0 leader=3 epoch=4 isr=2,3 version=5 replicas=4,2,3 adding=4\n"
                  "LISR 3 orders-0 leader=3 epoch=4 isr=2,3 version=5 replicas=4,2,3 adding=4\n"
                  "LISR 4 orders-0 leader=3 epoch=4 isr=2,3 version=5 replicas=4,2,3 adding=4\n"
                  "UMR 0,1,2,3,4 orders-0 leader=3 epoch=4 isr=2,3 replicas=4,2,3\n"
                  "SR 1 orders-0 epoch=4\n"
                  "SR 1 orders-0 epoch=4 delete\n"
                  "state orders-0 leader=3 epoch=5 isr=2,3 version=6\n"
                  "LISR 2 orders-0 leader=3 epoch=5 isr=2,3 version=6 replicas=4,2,3 adding=4\n"
                  "LISR 3 orders-0 leader=3 epoch=5 isr=2,3 version=6 replicas=4,2,3 adding=4\n"
                  "LISR 4 orders-0 leader=3 epoch=5 isr=2,3 version=6 replicas=4,2,3 adding=4 new\n"
                  "UMR 0,1,2,3,4 orders-0 leader=3 epoch=5 isr=2,3 replicas=4,2,3\n"
                  "LISR 4 orders-0 leader=3 epoch=5 isr=2,3 version=6 replicas=4,2,3 adding=4 new\n"
                  "UMR 0,1,2,3,4 orders-0 leader=3 epoch=5 isr=2,3 replicas=4,2,3\n");
    assert_false(world->brokers[1].replicas[0][0].hosted);
    finish(world);
}

static void test_a_dropped_replica_that_was_in_sync_leaves_the_isr_first(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    reassign(world, IDS(3, 4), ERR_OK);
    set_isr(world, IDS(1, 2, 3));
    history_begin(world);
    cancel(world, ERR_OK);
    assert_non_null(strstr(history_text(world),
                           "topic orders 0=1,2\n"
                           "state orders-0 leader=1 epoch=2 isr=1,2 version=3\n"));
    assert_settled_on(world, "\"partitions\":{\"0\":[1,2]}");
    assert_false(world->brokers[3].replicas[0][0].hosted);
    assert_false(world->brokers[4].replicas[0][0].hosted);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

/* KAFKA-14424: with the JVM's ZooKeeper controller nobody leads then, until a broker comes or goes.
 */
static void test_where_a_dropped_replica_leads_another_one_leads_before_its_log_goes(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    reassign(world, IDS(3, 4), ERR_OK);
    set_isr(world, IDS(1, 2, 3));
    stop(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 3);
    history_begin(world);
    cancel(world, ERR_OK);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    const char *leads = strstr(history_text(world), "LISR 2 orders-0 leader=2");
    const char *goes = strstr(history_text(world), "SR 3 orders-0");
    assert_true(leads && goes && leads < goes);
    assert_false(world->brokers[3].replicas[0][0].hosted);
    assert_true(topic_says(world, "\"partitions\":{\"0\":[1,2]}"));
    finish(world);
}

/* Only the one that was added has all records: it is not dropped. */
static void test_the_last_replica_in_sync_is_not_dropped(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    reassign(world, IDS(3, 4), ERR_OK);
    set_isr(world, IDS(1, 2, 3));
    stop(world, 1);
    stop(world, 2);
    assert_int_equal(world_leader(world, "orders", 0), 3);
    set_isr(world, IDS(3));
    history_begin(world);
    cancel(world, ERR_INVALID_REPLICA_ASSIGNMENT);
    reassign(world, IDS(4, 0), ERR_INVALID_REPLICA_ASSIGNMENT);
    expect(world, "");
    assert_true(topic_says(world, "\"partitions\":{\"0\":[3,4,1,2]}"));
    assert_true(world->brokers[3].replicas[0][0].hosted);
    set_isr(world, IDS(3, 4));
    assert_settled_on(world, "\"partitions\":{\"0\":[3,4]}");
    finish(world);
}

static void test_a_cancellation_goes_back_to_the_origin_in_the_order_that_is_stored(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2,3]}");
    cancel(world, ERR_NO_REASSIGNMENT_IN_PROGRESS);
    reassign(world, IDS(3, 4, 2), ERR_OK);
    assert_true(topic_says(world, "\"partitions\":{\"0\":[3,4,2,1]}"));
    cancel(world, ERR_OK);
    assert_settled_on(world, "\"partitions\":{\"0\":[3,2,1]}");
    cancel(world, ERR_NO_REASSIGNMENT_IN_PROGRESS);
    finish(world);
}

static void test_the_same_replicas_in_another_order_are_done_at_once(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    reassign(world, IDS(2, 1), ERR_OK);
    expect(world, "topic orders 0=2,1\n"
                  "state orders-0 leader=1 epoch=1 isr=1,2 version=1\n"
                  "LISR 1 orders-0 leader=1 epoch=1 isr=1,2 version=1 replicas=2,1\n"
                  "LISR 2 orders-0 leader=1 epoch=1 isr=1,2 version=1 replicas=2,1\n"
                  "UMR 0,1,2,3,4 orders-0 leader=1 epoch=1 isr=1,2 replicas=2,1\n"
                  "topic orders 0=2,1\n"
                  "UMR 0,1,2,3,4 orders-0 leader=1 epoch=1 isr=1,2 replicas=2,1\n");
    finish(world);
}

/* ---- What is refused ---- */

static void test_bad_targets_get_kafkas_codes_and_change_nothing(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    struct world_answer answer;
    stop(world, 4);
    history_begin(world);
    world_reassign(world, "orders", 0, IDS(0), &answer);
    reassign(world, NULL, 0, ERR_INVALID_REPLICA_ASSIGNMENT);
    cancel(world, ERR_OK);
    history_begin(world);
    reassign(world, IDS(1, 1), ERR_INVALID_REPLICA_ASSIGNMENT);
    reassign(world, IDS(1, -1), ERR_INVALID_REPLICA_ASSIGNMENT);
    reassign(world, IDS(1, 4), ERR_INVALID_REPLICA_ASSIGNMENT);  /* is down */
    reassign(world, IDS(1, 77), ERR_INVALID_REPLICA_ASSIGNMENT); /* never was */
    static const struct {
        const char *topic;
        int32_t partition, count;
        enum err expected;
    } unknown[] = {
        {"nothing", 0, 1, ERR_UNKNOWN_TOPIC_OR_PARTITION},
        {"orders", 9, 1, ERR_UNKNOWN_TOPIC_OR_PARTITION},
        {"orders", 9, 0, ERR_INVALID_REPLICA_ASSIGNMENT}, /* the target is looked at first */
        {"nothing", 0, -1, ERR_NO_REASSIGNMENT_IN_PROGRESS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        int32_t one = 1;
        world_reassign(world, unknown[i].topic, unknown[i].partition, &one, unknown[i].count,
                       &answer);
        world_settle(world, 0);
        assert_int_equal(answer.error, err_wire_code(unknown[i].expected));
    }
    expect(world, "");
    finish(world);
}

/* A replica that is a member already may be down: only those that are added must live. */
static void test_a_dead_member_may_stay_in_the_target(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    stop(world, 2);
    reassign(world, IDS(1, 2, 3), ERR_OK);
    set_isr(world, IDS(1, 3));
    assert_int_equal(world_reassigning_count(world), 1); /* 2 is not in sync */
    start(world, 2);
    set_isr(world, IDS(1, 3, 2));
    assert_settled_on(world, "\"partitions\":{\"0\":[1,2,3]}");
    finish(world);
}

/* T20 */
static void test_partitions_are_not_added_while_a_reassignment_runs(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    int16_t error;
    reassign(world, IDS(3, 4), ERR_OK);
    world_grow_topic(world, "orders", 3, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, err_wire_code(ERR_REASSIGNMENT_IN_PROGRESS));
    assert_true(topic_says(world, "\"partitions\":{\"0\":[3,4,1,2]}"));
    set_isr(world, IDS(1, 2, 3, 4));
    world_grow_topic(world, "orders", 3, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, 0);
    assert_true(world_leader(world, "orders", 2) >= 0);
    finish(world);
}

static void test_a_deletion_waits_for_the_reassignment_and_then_runs(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    int16_t error;
    reassign(world, IDS(3, 4), ERR_OK);
    world_delete_topic(world, "orders", &error);
    world_settle(world, SETTLE_MS);
    assert_true(topic_says(world, "[3,4,1,2]"));
    assert_int_equal(zk_memory_children_count(world->zk, "/admin/delete_topics"), 1);
    struct world_answer answer; /* and nobody gives it another target now */
    world_reassign(world, "orders", 0, IDS(1), &answer);
    world_settle(world, 0);
    assert_int_equal(answer.error, err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION));
    set_isr(world, IDS(1, 2, 3, 4));
    world_settle(world, SETTLE_MS);
    assert_null(world_znode(world, "/brokers/topics/orders"));
    assert_int_equal(zk_memory_children_count(world->zk, "/admin/delete_topics"), 0);
    for (int32_t b = 0; b < 5; b++)
        assert_false(world->brokers[b].replicas[0][0].hosted);
    finish(world);
}

/* The deletion waits for the reassignment, and that needs a leader; a broker that returns begins no
 * deletion under it. */
static void test_a_topic_that_is_deleted_while_reassigned_is_led_to_the_end(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    int16_t error;
    set_isr(world, IDS(1));
    reassign(world, IDS(3, 4), ERR_OK);
    world_delete_topic(world, "orders", &error);
    world_settle(world, SETTLE_MS);
    stop(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), -1);
    start(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    assert_true(world->brokers[1].replicas[0][0].hosted);
    set_isr(world, IDS(1, 2, 3, 4));
    world_settle(world, SETTLE_MS);
    assert_null(world_znode(world, "/brokers/topics/orders"));
    assert_int_equal(zk_memory_children_count(world->zk, "/admin/delete_topics"), 0);
    finish(world);
}

/* ---- Brokers that come and go, controllers that move ---- */

static void test_a_target_broker_that_returns_is_told_again_that_it_is_new(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    reassign(world, IDS(3, 4), ERR_OK);
    stop(world, 4);
    set_isr(world, IDS(1, 2, 3));
    assert_int_equal(world_reassigning_count(world), 1);
    history_begin(world);
    start(world, 4);
    assert_non_null(strstr(history_text(world), "LISR 4 orders-0 leader=1"));
    assert_true(world->brokers[4].replicas[0][0].hosted);
    set_isr(world, IDS(1, 2, 3, 4));
    assert_settled_on(world, "\"partitions\":{\"0\":[3,4]}");
    finish(world);
}

/* T22 */
static void test_a_reassignment_away_from_a_dead_broker_ends_without_its_answer(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    stop(world, 1);
    reassign(world, IDS(3, 4), ERR_OK);
    set_isr(world, IDS(2, 3, 4));
    assert_settled_on(world, "\"partitions\":{\"0\":[3,4]}");
    assert_int_equal(world_leader(world, "orders", 0), 3);
    finish(world);
}

/* The controller is lost after so many steps, by death or by the end of its session; false when
 * the reassignment was over before. */
static bool lose_controller_at(int32_t steps, bool dies, bool at_end)
{
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    struct world_answer answer;
    struct world_isr isr;
    if (at_end)
        reassign(world, IDS(3, 4), ERR_OK);
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1, 2, 3, 4));
    if (at_end)
        world_alter_partition(world, 0, &wish, &isr);
    else
        world_reassign(world, "orders", 0, IDS(3, 4), &answer);
    bool is_over = false;
    for (int32_t i = 0; i < steps && !is_over; i++)
        is_over = !world_step(world);
    /* Who had to go was told, but nobody waits for the answers: logs may be left over, as in Kafka.
     */
    bool was_written = topic_says(world, "\"partitions\":{\"0\":[3,4]}");
    if (dies)
        world_crash(world, 0);
    world_expire(world, 0);
    world_settle(world, SETTLE_MS);
    if (!topic_says(world, "3,4")) /* it was lost before anything was written */
        reassign(world, IDS(3, 4), ERR_OK);
    if (world_reassigning_count(world) > 0)
        set_isr(world, IDS(1, 2, 3, 4));
    assert_settled_on(world, "\"partitions\":{\"0\":[3,4]}");
    assert_int_equal(world_leader(world, "orders", 0), 3);
    for (int32_t b = was_written ? 3 : 1; b < 5; b++)
        assert_int_equal(world->brokers[b].replicas[0][0].hosted, b >= 3);
    finish(world);
    return !is_over;
}

static void test_another_controller_ends_it_wherever_the_first_was_lost(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        int32_t steps = 0;
        while (lose_controller_at(steps, how & 1, how & 2))
            assert_true(++steps < SWEEP_MAX);
        assert_true(steps > 10);
    }
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_beginning_writes_the_topic_then_raises_the_epoch_then_tells_all),
        cmocka_unit_test(test_an_end_moves_the_leader_and_drops_the_old_before_it_writes_the_topic),
        cmocka_unit_test(test_a_leader_in_the_target_stays_with_a_higher_epoch),
        cmocka_unit_test(test_a_new_target_replaces_the_running_one_and_drops_what_it_had_added),
        cmocka_unit_test(test_a_dropped_replica_that_was_in_sync_leaves_the_isr_first),
        cmocka_unit_test(test_where_a_dropped_replica_leads_another_one_leads_before_its_log_goes),
        cmocka_unit_test(test_the_last_replica_in_sync_is_not_dropped),
        cmocka_unit_test(test_a_cancellation_goes_back_to_the_origin_in_the_order_that_is_stored),
        cmocka_unit_test(test_the_same_replicas_in_another_order_are_done_at_once),
        cmocka_unit_test(test_bad_targets_get_kafkas_codes_and_change_nothing),
        cmocka_unit_test(test_a_dead_member_may_stay_in_the_target),
        cmocka_unit_test(test_partitions_are_not_added_while_a_reassignment_runs),
        cmocka_unit_test(test_a_deletion_waits_for_the_reassignment_and_then_runs),
        cmocka_unit_test(test_a_topic_that_is_deleted_while_reassigned_is_led_to_the_end),
        cmocka_unit_test(test_a_target_broker_that_returns_is_told_again_that_it_is_new),
        cmocka_unit_test(test_a_reassignment_away_from_a_dead_broker_ends_without_its_answer),
        cmocka_unit_test(test_another_controller_ends_it_wherever_the_first_was_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
