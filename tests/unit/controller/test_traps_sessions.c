/* The traps of zookeeper-and-controller.md §9 in sessions, watches and registrations. */
#include "fixture.h"

#define IDS_PATH  "/brokers/ids"
#define LOST_MAX  60
#define EVENT_MAX 200

/* T8: topics are made while the controller moves, at every moment of it. */
static void test_no_topic_is_missed_while_the_controller_moves(void **state)
{
    (void)state;
    bool is_over = false;
    for (int32_t steps = 0; !is_over; steps++) {
        assert_true(steps < EVENT_MAX);
        struct world *world = world_new(7, 3);
        start_all(world);
        zk_memory_delete(world->zk, "/controller");
        for (int32_t i = 0; i < steps && !is_over; i++)
            is_over = !world_step(world);
        put_topic(world, "{\"0\":[1,2]}");
        assert_int_equal(world_leader(world, "orders", 0), 1);
        assert_int_equal(world->brokers[2].metadata[0][0].leader, 1);
        finish(world);
    }
}

/* T8, T19: and whichever of the new controller's operations loses its connection. */
static void test_no_topic_is_missed_whichever_operation_is_lost(void **state)
{
    (void)state;
    for (int32_t n = 1; n < LOST_MAX; n++) {
        for (int executed = 0; executed < 2; executed++) {
            struct world *world = world_new(7, 3);
            start_all(world);
            for (int32_t b = 0; b < 3; b++)
                zk_memory_lose_operation(world->brokers[b].session, n, executed);
            zk_memory_delete(world->zk, "/controller");
            put_topic(world, "{\"0\":[1,2]}");
            world_settle(world, 60000);
            assert_int_equal(world_leader(world, "orders", 0), 1);
            finish(world);
        }
    }
}

/* The watch tells of the first change only: when /controller is read, it has gone as well. */
static void test_a_controller_that_comes_and_goes_unseen_is_followed_by_another(void **state)
{
    (void)state;
    struct world *world = world_new(7, 3);
    start_all(world);
    for (int32_t b = 0; b < 3; b++)
        zk_memory_pause(world->brokers[b].session, true);
    zk_memory_put(world->zk, "/controller", "{\"version\":1,\"brokerid\":9,\"timestamp\":\"1\"}");
    zk_memory_delete(world->zk, "/controller");
    for (int32_t b = 0; b < 3; b++)
        zk_memory_pause(world->brokers[b].session, false);
    world_settle(world, SETTLE_MS);
    assert_non_null(world_controller(world));
    put_topic(world, "{\"0\":[1,2]}");
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

/* T9: its session ended while it slept; when it wakes it may write nothing. */
static void test_a_controller_that_slept_past_its_session_writes_nothing_more(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    struct world_isr answer;
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(1, 2));
    zk_memory_pause(world->brokers[0].session, true);
    world_alter_partition(world, 0, &wish, &answer); /* its write is on the way */
    zk_memory_expire(world->brokers[0].session);
    world_settle(world, SETTLE_MS);
    zk_memory_pause(world->brokers[0].session, false);
    world_settle(world, SETTLE_MS);
    assert_int_equal(answer.error, err_wire_code(ERR_NOT_CONTROLLER));
    assert_non_null(
        strstr(world_znode(world, "/brokers/topics/orders/partitions/0/state"), "\"isr\":[1,2,3]"));
    assert_int_not_equal(world_controller(world)->id, 0);
    finish(world);
}

/* T27: stopping one that has lost /controller leaves it to who has it now. */
static void test_stopping_a_controller_that_was_replaced_leaves_the_new_one(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    zk_memory_pause(world->brokers[0].session, true);
    zk_memory_expire(world->brokers[0].session);
    world_settle(world, SETTLE_MS);
    OWNED_MEM char *now = mem_strdup(world_znode(world, "/controller"));
    assert_null(strstr(now, "\"brokerid\":0"));
    world_crash(world, 0);
    world_settle(world, SETTLE_MS);
    assert_string_equal(world_znode(world, "/controller"), now);
    finish(world);
}

/* It looks who rules, sees itself, looks again, and sees nobody. */
static void test_a_controller_deposed_between_two_looks_starts_from_nothing(void **state)
{
    (void)state;
    bool is_over = false;
    for (int32_t steps = 0; !is_over; steps++) {
        assert_true(steps < EVENT_MAX);
        struct world *world = cluster(4, "{\"0\":[1,2]}");
        struct controller_counts counts;
        controller_registered(world->brokers[0].controller, world->brokers[0].broker_epoch);
        for (int32_t i = 0; i < steps && !is_over; i++)
            is_over = !world_step(world);
        zk_memory_delete(world->zk, "/controller");
        world_settle(world, SETTLE_MS);
        controller_count(world_controller(world)->controller, &counts);
        assert_int_equal(counts.brokers, 4);
        finish(world);
    }
}

/* T10: the guard is the znode's version; in the middle of an event too. */
static void test_an_epoch_written_by_hand_stops_an_event_in_the_middle(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    struct world_answer answer;
    world_reassign(world, "orders", 0, IDS(3, 4), &answer);
    while (!strstr(history_text(world), "topic orders"))
        assert_true(world_step(world));
    zk_memory_put(world->zk, "/controller_epoch", "1");
    world_settle(world, 0);
    assert_int_equal(answer.error, err_wire_code(ERR_NOT_CONTROLLER));
    assert_null(strstr(history_text(world), "state orders-0"));
    world_free(world);
}

/* T1, T3: neither a registration that cannot be read nor one without our listener stops others. */
static void test_bad_registrations_do_not_keep_a_controller_from_taking_over(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"version\":\"5\",\"jmx_port\":-1}", "no json", "",
        "{\"version\":5,\"host\":\"h\",\"port\":1,\"endpoints\":[\"OTHER://h:1\"],"
        "\"listener_security_protocol_map\":{\"OTHER\":\"PLAINTEXT\"},\"jmx_port\":-1,"
        "\"timestamp\":\"1\",\"features\":{}}",
        "{\"version\":5,\"host\":\"h\",\"port\":1,\"endpoints\":[\"PLAINTEXT://h:1\"],"
        "\"listener_security_protocol_map\":{\"plaintext\":\"PLAINTEXT\"},\"jmx_port\":-1,"
        "\"timestamp\":\"1\",\"features\":{}}"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct world *world = cluster(3, "{\"0\":[1,2]}");
        zk_memory_put(world->zk, IDS_PATH "/77", bad[i]);
        world_settle(world, SETTLE_MS);
        stop(world, 0);
        assert_non_null(world_controller(world));
        assert_string_equal(world_znode(world, "/controller_epoch"), "2");
        stop(world, 1);
        assert_int_equal(world_leader(world, "orders", 0), 2);
        finish(world);
    }
}

/* T4: whatever another one finalized is taken back. */
static void test_a_finalized_feature_is_taken_back_at_a_fail_over(void **state)
{
    (void)state;
    struct world *world = cluster(2, "{\"0\":[1]}");
    zk_memory_put(world->zk, "/feature",
                  "{\"version\":2,\"status\":1,\"features\":{\"x\":{\"max_version_level\":3}}}");
    stop(world, 0);
    assert_string_equal(world_znode(world, "/feature"),
                        "{\"features\":{},\"version\":2,\"status\":1}");
    finish(world);
}

static void register_5(struct world *world, const char *endpoints, const char *rack)
{
    OWNED_MEM char *text = mem_printf(
        "{\"version\":5,\"host\":\"h\",\"port\":9005,\"endpoints\":[%s],"
        "\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\",\"B\":\"PLAINTEXT\"},"
        "\"jmx_port\":-1,\"timestamp\":\"1\",\"rack\":\"%s\",\"features\":{}}",
        endpoints, rack);
    zk_memory_put(world->zk, IDS_PATH "/5", text);
    world_settle(world, SETTLE_MS);
}

/* T21 */
static void test_another_rack_is_not_worth_telling_another_order_of_endpoints_is(void **state)
{
    (void)state;
    struct world *world = cluster(3, "{\"0\":[1,2]}");
    register_5(world, "\"PLAINTEXT://h:9005\",\"B://h:2\"", "r1");
    history_begin(world);
    register_5(world, "\"PLAINTEXT://h:9005\",\"B://h:2\"", "r2");
    expect(world, "");
    register_5(world, "\"B://h:2\",\"PLAINTEXT://h:9005\"", "r2");
    assert_non_null(strstr(history_text(world), "UMR "));
    world->complaint[0] = '\0';
    world_free(world);
}

/* T23: away and back within the delay of one watch. */
static void test_a_bounce_that_no_watch_saw_is_a_departure_and_an_arrival(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    world_crash(world, 1);
    world_start(world, 1); /* which ends the old session; nothing was delivered in between */
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    assert_true(world->brokers[1].replicas[0][0].hosted);
    assert_int_equal(world->brokers[1].replicas[0][0].leader, 2);
    set_isr(world, IDS(2, 1)); /* with its new epoch it may come in */
    finish(world);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_topic_is_missed_while_the_controller_moves),
        cmocka_unit_test(test_no_topic_is_missed_whichever_operation_is_lost),
        cmocka_unit_test(test_a_controller_that_comes_and_goes_unseen_is_followed_by_another),
        cmocka_unit_test(test_a_controller_that_slept_past_its_session_writes_nothing_more),
        cmocka_unit_test(test_stopping_a_controller_that_was_replaced_leaves_the_new_one),
        cmocka_unit_test(test_a_controller_deposed_between_two_looks_starts_from_nothing),
        cmocka_unit_test(test_an_epoch_written_by_hand_stops_an_event_in_the_middle),
        cmocka_unit_test(test_bad_registrations_do_not_keep_a_controller_from_taking_over),
        cmocka_unit_test(test_a_finalized_feature_is_taken_back_at_a_fail_over),
        cmocka_unit_test(test_another_rack_is_not_worth_telling_another_order_of_endpoints_is),
        cmocka_unit_test(test_a_bounce_that_no_watch_saw_is_a_departure_and_an_arrival),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
