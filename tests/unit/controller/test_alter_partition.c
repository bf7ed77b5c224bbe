/* Proves AlterPartition: its checks in their order, its versions, and that it may be asked twice
 * (zookeeper-and-controller.md §4.7). */
#include "fixture.h"

#define LATEST     3
#define STATE_PATH "/brokers/topics/orders/partitions/0/state"

static struct world_isr ask(struct world *world, const struct world_isr_wish *wish)
{
    struct world_isr answer;
    assert_true(world_alter_partition(world, 0, wish, &answer));
    world_settle(world, 0);
    return answer;
}

static void expect_error(struct world *world, const struct world_isr_wish *wish, enum err expected)
{
    struct world_isr answer = ask(world, wish);
    assert_int_equal(answer.top_error, 0);
    assert_int_equal(answer.error, err_wire_code(expected));
}

/* One request that is wrong in every way at once; each step mends what was found. */
static void test_the_checks_come_in_kafkas_order(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2,3]}");
    stop(world, 2);         /* epoch 1, version 1 */
    stop(world, 3);         /* epoch 2, version 2 */
    set_isr(world, IDS(1)); /* as it is: nothing is written */
    start(world, 2);
    set_isr(world, IDS(1, 2));
    struct world_isr_wish right = world_isr_wish(world, "orders", 0, IDS(1, 3));
    struct world_isr_wish wish = right;
    wish.broker_epoch--; /* a broker's are compared before any partition is looked at */
    wish.topic_id.bytes[0] ^= 1;
    wish.partition = 9;
    wish.leader_epoch--;
    wish.partition_epoch--;
    wish.recovery_state = 1;
    assert_int_equal(ask(world, &wish).top_error, err_wire_code(ERR_STALE_BROKER_EPOCH));
    wish.broker_epoch += 2; /* exact: a later one is not known either */
    assert_int_equal(ask(world, &wish).top_error, err_wire_code(ERR_STALE_BROKER_EPOCH));
    wish.broker_epoch = right.broker_epoch;
    expect_error(world, &wish, ERR_UNKNOWN_TOPIC_ID); /* 1 */
    wish.topic_id = right.topic_id;
    expect_error(world, &wish, ERR_UNKNOWN_TOPIC_OR_PARTITION); /* 2 */
    wish.partition = 0;
    wish.partition_epoch = right.partition_epoch + 1;
    expect_error(world, &wish, ERR_NOT_CONTROLLER); /* 3, though the leader epoch is old */
    wish.partition_epoch = right.partition_epoch - 1;
    wish.leader_epoch = right.leader_epoch + 1;
    expect_error(world, &wish, ERR_NOT_CONTROLLER);
    wish.leader_epoch = right.leader_epoch - 1;
    expect_error(world, &wish, ERR_FENCED_LEADER_EPOCH); /* 4 */
    wish.leader_epoch = right.leader_epoch;
    expect_error(world, &wish, ERR_INVALID_UPDATE_VERSION); /* 6 */
    wish.partition_epoch = right.partition_epoch;
    expect_error(world, &wish, ERR_INVALID_REQUEST); /* 7: recovering with two */
    wish.isr_count = 1;
    expect_error(world, &wish, ERR_INVALID_REQUEST); /* 7: recovered once, recovered for good */
    wish.isr_count = 2;
    wish.recovery_state = 0;
    history_begin(world);
    expect_error(world, &wish, ERR_INELIGIBLE_REPLICA); /* 8: 3 is dead */
    wish.api_version = 1;
    expect_error(world, &wish, ERR_OPERATION_NOT_ATTEMPTED);
    /* Everyone is told of the partition even so. */
    expect(world, "UMR 0,1,2,4 orders-0 leader=1 epoch=2 isr=1,2 replicas=1,2,3 offline=3\n"
                  "UMR 0,1,2,4 orders-0 leader=1 epoch=2 isr=1,2 replicas=1,2,3 offline=3\n");
    start(world, 3);
    wish.api_version = LATEST;
    struct world_isr answer = ask(world, &wish); /* 9; T13: the leader epoch stays */
    assert_int_equal(answer.error, 0);
    assert_int_equal(answer.leader_epoch, right.leader_epoch);
    assert_int_equal(answer.partition_epoch, right.partition_epoch + 1);
    assert_int_equal(world_leader_epoch(world, "orders", 0), right.leader_epoch);
    finish(world);
}

/* 5; T15 */
static void test_a_request_whose_answer_was_lost_finds_itself_done(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1, 3));
    assert_int_equal(ask(world, &wish).partition_epoch, 1);
    struct world_isr again = ask(world, &wish);
    assert_int_equal(again.error, 0);
    assert_int_equal(again.partition_epoch, 1); /* nothing is written a second time */
    assert_int_equal(again.leader, 1);
    assert_int_equal(again.isr_count, 2);
    finish(world);
}

/* T37: another order is another list. */
static void test_the_same_members_in_another_order_are_another_wish(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1, 3));
    assert_int_equal(ask(world, &wish).error, 0);
    struct world_isr_wish turned = wish;
    turned.isr[0] = 3;
    turned.isr[1] = 1;
    expect_error(world, &turned, ERR_INVALID_UPDATE_VERSION);
    turned.partition_epoch = 1;
    assert_int_equal(ask(world, &turned).partition_epoch, 2);
    finish(world);
}

static void test_all_versions_are_understood(void **state)
{
    (void)state;
    for (int16_t version = 0; version <= LATEST; version++) {
        struct world *world = cluster(4, "{\"0\":[1,2,3]}");
        struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1, 2));
        wish.api_version = version;
        struct world_isr answer = ask(world, &wish);
        assert_int_equal(answer.error, 0);
        assert_int_equal(answer.partition_epoch, 1);
        assert_non_null(strstr(world_znode(world, STATE_PATH), "\"isr\":[1,2]"));
        wish.topic = "nothing"; /* by name up to version 1 */
        expect_error(world, &wish, version < 2 ? ERR_UNKNOWN_TOPIC_OR_PARTITION : ERR_OK);
        finish(world);
    }
}

static void test_a_broker_that_is_not_registered_is_refused(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1, 2, 3));
    wish.broker_id = 77;
    assert_int_equal(ask(world, &wish).top_error, err_wire_code(ERR_STALE_BROKER_EPOCH));
    finish(world);
}

/* It would lead in the same epoch as the leader; KRaft refuses it so, the JVM's ZooKeeper
 * controller does not look. */
static void test_only_the_leader_changes_the_isr_and_stays_in_it(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1, 2));
    struct world_isr_wish others = wish;
    others.broker_id = 2;
    others.broker_epoch = world->brokers[2].broker_epoch;
    expect_error(world, &others, ERR_INVALID_REQUEST);
    struct world_isr_wish without_itself = world_isr_wish(world, "orders", 0, IDS(2, 3));
    expect_error(world, &without_itself, ERR_INVALID_REQUEST);
    assert_int_equal(ask(world, &wish).error, 0);
    finish(world);
}

static void test_one_that_is_not_controller_says_so(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    struct world_isr answer;
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1));
    world_alter_partition(world, 1, &wish, &answer);
    world_settle(world, 0);
    assert_int_equal(answer.top_error, err_wire_code(ERR_NOT_CONTROLLER));
    finish(world);
}

/* The znode was changed behind the controller's back: what stands there is read, and told. */
static void test_a_state_written_by_another_is_read_anew(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1, 2));
    zk_memory_put(world->zk, STATE_PATH,
                  "{\"version\":1,\"leader\":1,\"leader_epoch\":0,\"isr\":[1,3],"
                  "\"controller_epoch\":1}");
    history_begin(world);
    expect_error(world, &wish, ERR_INVALID_UPDATE_VERSION);
    expect(world, "UMR 0,1,2,3 orders-0 leader=1 epoch=0 isr=1,3 replicas=1,2,3\n");
    wish.partition_epoch = 1;
    assert_int_equal(ask(world, &wish).error, 0);
    finish(world);
}

/* Every operation of the event is lost once, executed or not: the answer is right all the same. */
static void test_a_lost_connection_to_zookeeper_does_not_lose_the_change(void **state)
{
    (void)state;
    for (int32_t n = 1; n < 6; n++) {
        for (int executed = 0; executed < 2; executed++) {
            struct world *world = cluster(4, "{\"0\":[1,2,3]}");
            struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1, 2));
            zk_memory_lose_operation(world->brokers[0].session, n, executed);
            struct world_isr answer = ask(world, &wish);
            assert_int_equal(answer.error, 0);
            assert_int_equal(answer.isr_count, 2);
            assert_int_equal(answer.partition_epoch, 1);
            finish(world);
        }
    }
}

/* T16: the old controller sleeps, the new one has elected; both are asked. */
static void test_a_controller_that_knows_less_sends_the_leader_to_the_other(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2,3]}");
    zk_memory_pause(world->brokers[0].session, true);
    zk_memory_expire(world->brokers[0].session);
    stop(world, 3);
    struct world_broker *now = world_controller(world);
    if (now->id == 0) { /* it still believes so */
        for (int32_t i = 1; i < 5; i++)
            if (world->brokers[i].controller && controller_is_active(world->brokers[i].controller))
                now = &world->brokers[i];
    }
    assert_int_not_equal(now->id, 0);
    assert_int_equal(world_leader_epoch(world, "orders", 0), 1);
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1));
    struct world_isr answer;
    world_alter_partition(world, 0, &wish, &answer);
    world_settle(world, 0);
    assert_int_equal(answer.error, err_wire_code(ERR_NOT_CONTROLLER));
    world_alter_partition(world, now->id, &wish, &answer);
    world_settle(world, 0);
    assert_int_equal(answer.error, 0);
    assert_int_equal(answer.isr_count, 1);
    zk_memory_pause(world->brokers[0].session, false);
    world_settle(world, SETTLE_MS);
    assert_int_not_equal(world_controller(world)->id, 0);
    finish(world);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_checks_come_in_kafkas_order),
        cmocka_unit_test(test_a_request_whose_answer_was_lost_finds_itself_done),
        cmocka_unit_test(test_the_same_members_in_another_order_are_another_wish),
        cmocka_unit_test(test_all_versions_are_understood),
        cmocka_unit_test(test_a_broker_that_is_not_registered_is_refused),
        cmocka_unit_test(test_only_the_leader_changes_the_isr_and_stays_in_it),
        cmocka_unit_test(test_one_that_is_not_controller_says_so),
        cmocka_unit_test(test_a_state_written_by_another_is_read_anew),
        cmocka_unit_test(test_a_lost_connection_to_zookeeper_does_not_lose_the_change),
        cmocka_unit_test(test_a_controller_that_knows_less_sends_the_leader_to_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
