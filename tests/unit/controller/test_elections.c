/* Proves who is made leader, by whom it was asked and what is answered (zookeeper-and-controller.md
 * §4.5, §5.2). */
#include "fixture.h"

#define PREFERRED      0
#define UNCLEAN        1
#define LATEST         2 /* api version of ElectLeaders */
#define WAIT_MS        30000
#define ZNODE          "/admin/preferred_replica_election"
#define REBALANCE_MS   6000
#define TOPIC_SETTINGS "/config/topics/orders"

static struct world_answer elect(struct world *world, int8_t type, int32_t partition)
{
    struct world_answer answer;
    assert_true(world_elect(world, type, "orders", partition, WAIT_MS, LATEST, &answer));
    world_settle(world, SETTLE_MS);
    return answer;
}

static void expect_election(struct world *world, int8_t type, int32_t partition, enum err expected)
{
    struct world_answer answer = elect(world, type, partition);
    assert_int_equal(answer.top_error, 0);
    assert_int_equal(answer.error, err_wire_code(expected));
}

/* Leader 2 of [1,2,3]; 1 has come back and is in sync again. */
static struct world *led_by_the_second(void)
{
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    stop(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    start(world, 1);
    set_isr(world, IDS(2, 3, 1));
    history_begin(world);
    return world;
}

/* ---- The four choices ---- */

static void
test_offline_takes_the_first_assigned_in_sync_one_and_keeps_only_the_living(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2,3,4]}");
    set_isr(world, IDS(1, 4, 3));
    history_begin(world);
    stop(world, 1);
    assert_non_null(strstr(history_text(world),
                           "state orders-0 leader=3 epoch=1 isr=4,3 version=2\n"
                           "LISR 2 orders-0 leader=3 epoch=1 isr=4,3 version=2 replicas=1,2,3,4\n"
                           "LISR 3 orders-0 leader=3 epoch=1 isr=4,3 version=2 replicas=1,2,3,4\n"
                           "LISR 4 orders-0 leader=3 epoch=1 isr=4,3 version=2 replicas=1,2,3,4\n"
                           "UMR 0,2,3,4 orders-0 leader=3 epoch=1 isr=4,3 replicas=1,2,3,4 "
                           "offline=1\n"));
    finish(world);
}

static void test_preferred_takes_the_first_and_leaves_the_isr_as_it_is(void **state)
{
    (void)state;
    struct world *world = led_by_the_second();
    expect_election(world, PREFERRED, 0, ERR_OK);
    expect(world, "state orders-0 leader=1 epoch=2 isr=2,3,1 version=3\n"
                  "LISR 1 orders-0 leader=1 epoch=2 isr=2,3,1 version=3 replicas=1,2,3\n"
                  "LISR 2 orders-0 leader=1 epoch=2 isr=2,3,1 version=3 replicas=1,2,3\n"
                  "LISR 3 orders-0 leader=1 epoch=2 isr=2,3,1 version=3 replicas=1,2,3\n"
                  "UMR 0,1,2,3 orders-0 leader=1 epoch=2 isr=2,3,1 replicas=1,2,3\n");
    finish(world);
}

/* The choice of reassignments is in test_reassignment.c, that of controlled shutdown in
 * test_notices.c. */

/* ---- Back to the preferred: clock, znode ---- */

static void test_the_clock_gives_leadership_back_above_the_percentage_only(void **state)
{
    (void)state;
    for (int percentage = 49; percentage <= 50; percentage++) {
        struct world *world = world_new(7, 4);
        world->settings.auto_leader_rebalance_enable = true;
        world->settings.leader_imbalance_per_broker_percentage = percentage;
        world->settings.leader_imbalance_check_interval_seconds = 60;
        start_all(world);
        put_topic(world, "{\"0\":[1,2],\"1\":[1,2]}");
        stop(world, 1);
        start(world, 1);
        assert_int_equal(world_leader(world, "orders", 1), 2);
        set_isr(world, IDS(2, 1));
        assert_int_equal(world_set_isr(world, "orders", 1, (int32_t[]){2, 1}, 2), 0);
        expect_election(world, PREFERRED, 0, ERR_OK); /* now one of two is led elsewhere: 50 % */
        assert_int_equal(world_leader(world, "orders", 1), 2);
        world_settle(world, 70000);
        assert_int_equal(world_leader(world, "orders", 1), percentage < 50 ? 1 : 2);
        finish(world);
    }
}

static void test_the_clock_leaves_a_preferred_replica_that_is_not_in_sync(void **state)
{
    (void)state;
    struct world *world = world_new(7, 4);
    world->settings.auto_leader_rebalance_enable = true;
    world->settings.leader_imbalance_check_interval_seconds = 5;
    start_all(world);
    put_topic(world, "{\"0\":[1,2]}");
    stop(world, 1);
    start(world, 1);
    world_settle(world, REBALANCE_MS);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    set_isr(world, IDS(2, 1));
    world_settle(world, REBALANCE_MS);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

static void test_the_znode_with_unknown_and_satisfied_partitions_is_worked_off(void **state)
{
    (void)state;
    struct world *world = led_by_the_second();
    zk_memory_put(
        world->zk, ZNODE,
        "{\"version\":1,\"partitions\":[{\"topic\":\"no\",\"partition\":0},"
        "{\"topic\":\"orders\",\"partition\":7},{\"topic\":\"orders\",\"partition\":0}]}");
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    assert_false(zk_memory_get(world->zk, ZNODE, NULL, NULL));
    zk_memory_put(world->zk, ZNODE, "no json"); /* T26: deleted, and the next one is seen */
    world_settle(world, SETTLE_MS);
    assert_false(zk_memory_get(world->zk, ZNODE, NULL, NULL));
    finish(world);
}

static void test_the_znode_of_a_dead_controller_is_found_by_the_next(void **state)
{
    (void)state;
    struct world *world = led_by_the_second();
    world_crash(world, 0);
    zk_memory_put(world->zk, ZNODE,
                  "{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0}]}");
    world_expire(world, 0);
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    assert_false(zk_memory_get(world->zk, ZNODE, NULL, NULL));
    finish(world);
}

/* ---- ElectLeaders ---- */

static void test_elections_that_cannot_be_get_kafkas_codes_and_sentences(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2],\"1\":[3]}");
    expect_election(world, PREFERRED, 9, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_string_equal(elect(world, PREFERRED, 9).message, "The partition does not exist.");
    expect_election(world, PREFERRED, 0, ERR_ELECTION_NOT_NEEDED);
    expect_election(world, UNCLEAN, 0, ERR_ELECTION_NOT_NEEDED);
    stop(world, 1);
    expect_election(world, PREFERRED, 0, ERR_PREFERRED_LEADER_NOT_AVAILABLE);
    assert_string_equal(elect(world, PREFERRED, 0).message,
                        "Failed to elect leader for partition orders-0 under strategy "
                        "PreferredReplicaPartitionLeaderElectionStrategy");
    start(world, 1); /* alive, not in sync */
    expect_election(world, PREFERRED, 0, ERR_PREFERRED_LEADER_NOT_AVAILABLE);
    stop(world, 3);
    expect_election(world, UNCLEAN, 1, ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE);
    assert_string_equal(elect(world, UNCLEAN, 1).message,
                        "Failed to elect leader for partition orders-1 under strategy "
                        "OfflinePartitionLeaderElectionStrategy(true)");
    int16_t error;
    world_delete_topic(world, "orders", &error); /* waits for 3 */
    world_settle(world, SETTLE_MS);
    expect_election(world, PREFERRED, 0, ERR_INVALID_TOPIC_EXCEPTION);
    assert_string_equal(elect(world, PREFERRED, 0).message, "The topic is being deleted");
    finish(world);
}

static void test_an_election_of_all_leaves_out_what_needs_none(void **state)
{
    (void)state;
    struct world *world = led_by_the_second();
    expect_election(world, PREFERRED, -1, ERR_OK);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    expect_election(world, PREFERRED, -1, ERR_OK); /* an empty answer */
    finish(world);
}

static void count_results(void *context, const void *response)
{
    const struct elect_leaders_response *r = response;
    int32_t *counts = context;
    counts[0] = r->error_code;
    counts[1] = r->replica_election_results_count;
    counts[2] = counts[1] > 0 ? r->replica_election_results[0].partition_result[0].error_code : -1;
}

static void ask_one_that_is_not_controller(struct world *world, int16_t api_version,
                                           int32_t ret_counts[3])
{
    OWNED(arena) struct arena *arena = arena_new();
    struct elect_leaders_request request;
    struct elect_leaders_request_topic_partitions topic;
    int32_t partition = 0;
    elect_leaders_request_init(&request);
    elect_leaders_request_topic_partitions_init(&topic);
    topic.topic = SLICE_LITERAL("orders");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.topic_partitions = &topic;
    request.topic_partitions_count = 1;
    controller_elect_leaders(world->brokers[1].controller, &request, api_version, arena,
                             count_results, ret_counts);
    world_settle(world, 0);
}

static void test_not_the_controller_is_said_of_each_and_at_the_top_from_version_1(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    int16_t code = err_wire_code(ERR_NOT_CONTROLLER);
    for (int16_t version = 0; version <= LATEST; version++) {
        int32_t counts[3] = {-100, -100, -100};
        ask_one_that_is_not_controller(world, version, counts);
        assert_int_equal(counts[0], version ? code : 0);
        assert_int_equal(counts[1], 1);
        assert_int_equal(counts[2], code);
    }
    finish(world);
}

/* The answer comes when the controller's own broker shows the new leader, not before. */
static void test_an_election_is_answered_when_this_brokers_metadata_shows_it(void **state)
{
    (void)state;
    struct world *world = led_by_the_second();
    struct world_answer answer;
    world_elect(world, PREFERRED, "orders", 0, WAIT_MS, LATEST, &answer);
    while (answer.error == WORLD_PENDING) {
        assert_true(world_step(world));
    }
    assert_int_equal(answer.error, 0);
    assert_int_equal(world->brokers[0].metadata[0][0].leader, 1);
    finish(world);
}

static void test_an_election_not_seen_in_time_is_answered_timed_out(void **state)
{
    (void)state;
    struct world *world = led_by_the_second();
    struct world_answer answer;
    world_elect(world, PREFERRED, "orders", 0, 0, LATEST, &answer);
    world_settle(world, SETTLE_MS);
    assert_int_equal(answer.error, err_wire_code(ERR_REQUEST_TIMED_OUT));
    assert_int_equal(world_leader(world, "orders", 0), 1); /* it happened all the same */

    stop(world, 1);
    start(world, 1);
    set_isr(world, IDS(2, 3, 1));
    world->brokers[0].accepting = false; /* its cache hears of nothing */
    world_elect(world, PREFERRED, "orders", 0, 1000, LATEST, &answer);
    world_settle(world, 900);
    assert_int_equal(answer.error, WORLD_PENDING);
    world_settle(world, 200);
    assert_int_equal(answer.error, err_wire_code(ERR_REQUEST_TIMED_OUT));
    world->brokers[0].accepting = true;
    world_settle(world, SETTLE_MS);
    finish(world);
}

/* ---- Unclean ---- */

/* 1 led alone and is gone, 2 lives but misses records. */
static struct world *with_a_lagging_survivor(bool broker_allows)
{
    struct world *world = world_new(7, 4);
    world->settings.unclean_leader_election_enable = broker_allows;
    start_all(world);
    put_topic(world, "{\"0\":[1,2]}");
    set_isr(world, IDS(1));
    stop(world, 1);
    return world;
}

static void test_nobody_out_of_sync_leads_unless_it_is_allowed(void **state)
{
    (void)state;
    struct world *world = with_a_lagging_survivor(false);
    assert_int_equal(world_leader(world, "orders", 0), -1);
    start(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

static void test_the_brokers_setting_allows_it_and_the_leader_is_recovering(void **state)
{
    (void)state;
    struct world *world = with_a_lagging_survivor(true);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    assert_non_null(strstr(world_znode(world, "/brokers/topics/orders/partitions/0/state"),
                           "\"leader_recovery_state\":1"));
    assert_non_null(
        strstr(world_znode(world, "/brokers/topics/orders/partitions/0/state"), "\"isr\":[2]"));
    finish(world);
}

static void test_the_topics_setting_rules_over_the_brokers(void **state)
{
    (void)state;
    for (int broker_allows = 0; broker_allows < 2; broker_allows++) {
        struct world *world = world_new(7, 4);
        world->settings.unclean_leader_election_enable = broker_allows;
        start_all(world);
        put_topic(world, "{\"0\":[1,2]}");
        zk_memory_put(world->zk, TOPIC_SETTINGS,
                      broker_allows ? "{\"version\":1,\"config\":"
                                      "{\"unclean.leader.election.enable\":\"false\"}}"
                                    : "{\"version\":1,\"config\":"
                                      "{\"unclean.leader.election.enable\":\"true\"}}");
        set_isr(world, IDS(1));
        stop(world, 1);
        assert_int_equal(world_leader(world, "orders", 0), broker_allows ? -1 : 2);
        finish(world);
    }
}

static void test_turning_it_on_for_the_broker_elects_what_waits(void **state)
{
    (void)state;
    struct world *world = with_a_lagging_survivor(false);
    struct controller_settings settings = world->settings;
    settings.unclean_leader_election_enable = true;
    controller_update_settings(world->brokers[0].controller, &settings);
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    finish(world);
}

static void test_turning_it_on_for_the_topic_elects_what_waits(void **state)
{
    (void)state;
    struct world *world = with_a_lagging_survivor(false);
    zk_memory_put(world->zk, TOPIC_SETTINGS,
                  "{\"version\":1,\"config\":{\"unclean.leader.election.enable\":\"true\"}}");
    controller_topic_unclean_enabled(world->brokers[0].controller, SLICE_LITERAL("orders"));
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    finish(world);
}

static void test_a_forced_election_needs_no_setting(void **state)
{
    (void)state;
    struct world *world = with_a_lagging_survivor(false);
    expect_election(world, UNCLEAN, 0, ERR_OK);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    finish(world);
}

/* KIP-704: it leads alone until it has said that it recovered. */
static void
test_a_recovering_leader_lets_nobody_in_until_it_says_that_it_has_recovered(void **state)
{
    (void)state;
    struct world *world = with_a_lagging_survivor(true);
    struct world_isr answer;
    start(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, (int32_t[]){2, 1}, 2);
    wish.recovery_state = 1;
    world_alter_partition(world, 0, &wish, &answer);
    world_settle(world, 0);
    assert_int_equal(answer.error, err_wire_code(ERR_INVALID_REQUEST));
    wish.recovery_state = 0;
    world_alter_partition(world, 0, &wish, &answer);
    world_settle(world, 0);
    assert_int_equal(answer.error, 0);
    assert_int_equal(answer.recovery_state, 0);
    assert_null(
        strstr(world_znode(world, "/brokers/topics/orders/partitions/0/state"), "recovery"));
    finish(world);
}

static void test_a_clean_election_keeps_the_recovery_state(void **state)
{
    (void)state;
    struct world *world = with_a_lagging_survivor(true);
    stop(world, 2);
    start(world, 2);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    assert_non_null(strstr(world_znode(world, "/brokers/topics/orders/partitions/0/state"),
                           "\"leader_recovery_state\":1"));
    finish(world);
}

static void test_below_3_2_an_unclean_leader_has_no_recovery_state(void **state)
{
    (void)state;
    struct world *world = world_new(7, 4);
    world->settings.unclean_leader_election_enable = true;
    world->settings.inter_broker_protocol_version = "3.1-IV0";
    start_all(world);
    put_topic(world, "{\"0\":[1,2]}");
    set_isr(world, IDS(1));
    stop(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    assert_null(
        strstr(world_znode(world, "/brokers/topics/orders/partitions/0/state"), "recovery"));
    finish(world);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_offline_takes_the_first_assigned_in_sync_one_and_keeps_only_the_living),
        cmocka_unit_test(test_preferred_takes_the_first_and_leaves_the_isr_as_it_is),
        cmocka_unit_test(test_the_clock_gives_leadership_back_above_the_percentage_only),
        cmocka_unit_test(test_the_clock_leaves_a_preferred_replica_that_is_not_in_sync),
        cmocka_unit_test(test_the_znode_with_unknown_and_satisfied_partitions_is_worked_off),
        cmocka_unit_test(test_the_znode_of_a_dead_controller_is_found_by_the_next),
        cmocka_unit_test(test_elections_that_cannot_be_get_kafkas_codes_and_sentences),
        cmocka_unit_test(test_an_election_of_all_leaves_out_what_needs_none),
        cmocka_unit_test(test_not_the_controller_is_said_of_each_and_at_the_top_from_version_1),
        cmocka_unit_test(test_an_election_is_answered_when_this_brokers_metadata_shows_it),
        cmocka_unit_test(test_an_election_not_seen_in_time_is_answered_timed_out),
        cmocka_unit_test(test_nobody_out_of_sync_leads_unless_it_is_allowed),
        cmocka_unit_test(test_the_brokers_setting_allows_it_and_the_leader_is_recovering),
        cmocka_unit_test(test_the_topics_setting_rules_over_the_brokers),
        cmocka_unit_test(test_turning_it_on_for_the_broker_elects_what_waits),
        cmocka_unit_test(test_turning_it_on_for_the_topic_elects_what_waits),
        cmocka_unit_test(test_a_forced_election_needs_no_setting),
        cmocka_unit_test(
            test_a_recovering_leader_lets_nobody_in_until_it_says_that_it_has_recovered),
        cmocka_unit_test(test_a_clean_election_keeps_the_recovery_state),
        cmocka_unit_test(test_below_3_2_an_unclean_leader_has_no_recovery_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
