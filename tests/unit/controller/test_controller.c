/* Proves the controller's rules one by one, in a small modelled cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "broker/base/trace.h"
#include "coordinator/controller/ids.h"
#include "coordinator/controller/versions.h"
#include "tests/sim/world.h"

#define SETTLE_MS 5000

static struct world *cluster(int32_t brokers)
{
    struct world *world = world_new(7, brokers);
    for (int32_t i = 0; i < brokers; i++) {
        world_start(world, i);
        world_settle(world, SETTLE_MS);
    }
    return world;
}

static void finish(struct world *world)
{
    assert_string_equal(world->complaint, "");
    world_free(world);
}

static void test_the_first_controller_has_epoch_one_and_makes_the_feature_znode(void **state)
{
    (void)state;
    struct world *world = cluster(1);
    struct world_broker *broker = world_controller(world);
    assert_non_null(broker);
    assert_int_equal(controller_epoch(broker->controller), 1);
    assert_string_equal(world_znode(world, "/controller_epoch"), "1");
    assert_non_null(strstr(world_znode(world, "/controller"), "\"brokerid\":0"));
    assert_string_equal(world_znode(world, "/feature"),
                        "{\"features\":{},\"version\":2,\"status\":1}");
    finish(world);
}

static void test_a_created_topic_gets_leaders_and_the_answer_waits_for_them(void **state)
{
    (void)state;
    struct world *world = cluster(3);
    int16_t error;
    assert_true(world_create_topic(world, "orders", 6, 2, 30000, &error));
    assert_int_equal(error, WORLD_PENDING);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, 0);
    for (int32_t p = 0; p < 6; p++) {
        int32_t leader = world_leader(world, "orders", p);
        assert_true(leader >= 0 && leader < 3);
        assert_int_equal(world_leader_epoch(world, "orders", p), 0);
        for (int32_t b = 0; b < 3; b++)
            assert_int_equal(world->brokers[b].metadata[0][p].leader, leader);
    }
    assert_string_equal(world_znode(world, "/config/topics/orders"),
                        "{\"version\":1,\"config\":{}}");
    finish(world);
}

static void test_a_timeout_of_zero_answers_timed_out_though_the_topic_is_made(void **state)
{
    (void)state;
    struct world *world = cluster(1);
    int16_t error;
    world_create_topic(world, "orders", 1, 1, 0, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, err_wire_code(ERR_REQUEST_TIMED_OUT));
    assert_int_equal(world_leader(world, "orders", 0), 0);
    finish(world);
}

static void test_bad_creations_get_kafkas_codes(void **state)
{
    (void)state;
    struct world *world = cluster(2);
    static const struct {
        const char *name;
        int32_t partitions;
        int16_t factor;
        enum err expected;
    } cases[] = {
        {"a.b", 1, 1, ERR_OK},
        {"a_b", 1, 1, ERR_INVALID_TOPIC_EXCEPTION},
        {"a.b", 1, 1, ERR_TOPIC_ALREADY_EXISTS},
        {"..", 1, 1, ERR_INVALID_TOPIC_EXCEPTION},
        {"x y", 1, 1, ERR_INVALID_TOPIC_EXCEPTION},
        {"c", 0, 1, ERR_INVALID_PARTITIONS},
        {"c", 1, 0, ERR_INVALID_REPLICATION_FACTOR},
        {"c", 1, 3, ERR_INVALID_REPLICATION_FACTOR},
        {"__cluster_metadata", 1, 1, ERR_INVALID_REQUEST},
        {"c", -1, -1, ERR_OK},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int16_t error;
        assert_true(world_create_topic(world, cases[i].name, cases[i].partitions, cases[i].factor,
                                       30000, &error));
        world_settle(world, SETTLE_MS);
        assert_int_equal(error, err_wire_code(cases[i].expected));
    }
    finish(world);
}

static void test_a_dead_leader_is_replaced_by_an_in_sync_replica_with_a_higher_epoch(void **state)
{
    (void)state;
    struct world *world = cluster(3);
    int16_t error;
    world_create_topic(world, "orders", 3, 3, 30000, &error);
    world_settle(world, SETTLE_MS);
    world_crash(world, 2);
    world_expire(world, 2);
    world_settle(world, SETTLE_MS);
    for (int32_t p = 0; p < 3; p++) {
        int32_t leader = world_leader(world, "orders", p);
        assert_true(leader == 0 || leader == 1);
        assert_true(world_leader_epoch(world, "orders", p) >= 1);
        assert_int_equal(world->brokers[leader].replicas[0][p].leader, leader);
    }
    finish(world);
}

static void test_a_lone_replica_leads_again_when_its_broker_returns(void **state)
{
    (void)state;
    struct world *world = cluster(2);
    int16_t error;
    world_create_topic(world, "orders", 2, 1, 30000, &error);
    world_settle(world, SETTLE_MS);
    int32_t epochs[2] = {world_leader_epoch(world, "orders", 0),
                         world_leader_epoch(world, "orders", 1)};
    int32_t gone = world_leader(world, "orders", 0);
    int32_t other = world_leader(world, "orders", 1);
    assert_int_not_equal(gone, other);
    world_crash(world, gone);
    world_expire(world, gone);
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 0), -1);
    assert_int_equal(world_leader(world, "orders", 1), other);
    world_start(world, gone);
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 0), gone);
    assert_int_equal(world_leader_epoch(world, "orders", 0), epochs[0] + 2);
    assert_int_equal(world_leader_epoch(world, "orders", 1), epochs[1]);
    finish(world);
}

static void test_when_the_controller_dies_another_takes_over_with_the_next_epoch(void **state)
{
    (void)state;
    struct world *world = cluster(3);
    int16_t error;
    world_create_topic(world, "orders", 4, 2, 30000, &error);
    world_settle(world, SETTLE_MS);
    int32_t old = world_controller(world)->id;
    world_crash(world, old);
    world_expire(world, old);
    world_settle(world, SETTLE_MS);
    struct world_broker *controller = world_controller(world);
    assert_non_null(controller);
    assert_int_not_equal(controller->id, old);
    assert_int_equal(controller_epoch(controller->controller), 2);
    for (int32_t p = 0; p < 4; p++) {
        int32_t leader = world_leader(world, "orders", p);
        assert_true(leader >= 0 && leader != old);
    }
    finish(world);
}

/* Each move of a leader epoch is a znode written: the departed are taken out of the ISR by the
 * election itself, not by a write before it that clients would have to wait for. */
static void test_a_new_controller_elects_before_it_takes_the_departed_out_of_isrs(void **state)
{
    (void)state;
    struct world *world = cluster(3);
    int16_t error;
    world_create_topic(world, "orders", 6, 3, 30000, &error);
    world_settle(world, SETTLE_MS);
    int32_t old = world_controller(world)->id, led = 0;
    int32_t leaders[6], epochs[6];
    for (int32_t p = 0; p < 6; p++) {
        leaders[p] = world_leader(world, "orders", p);
        epochs[p] = world_leader_epoch(world, "orders", p);
        led += leaders[p] == old;
    }
    assert_true(led > 0);
    world_crash(world, old);
    world_expire(world, old);
    world_settle(world, SETTLE_MS);
    for (int32_t p = 0; p < 6; p++) {
        assert_int_not_equal(world_leader(world, "orders", p), old);
        assert_int_equal(world_leader_epoch(world, "orders", p), epochs[p] + 1);
    }
    finish(world);
}

static void test_a_controller_whose_session_expires_resigns_and_comes_back_fenced(void **state)
{
    (void)state;
    struct world *world = cluster(2);
    struct world_broker *old = world_controller(world);
    world_expire(world, old->id);
    world_settle(world, SETTLE_MS);
    struct world_broker *now = world_controller(world);
    assert_non_null(now);
    assert_int_equal(controller_epoch(now->controller), 2);
    assert_int_equal(controller_active_id(old->controller), now->id);
    int16_t error;
    world_create_topic(world, "orders", 2, 2, 30000, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, 0);
    finish(world);
}

/* T10: the guard is the data version, not the text. */
static void test_the_same_epoch_written_by_hand_fences_every_further_write(void **state)
{
    (void)state;
    struct world *world = cluster(1);
    zk_memory_put(world->zk, "/controller_epoch", "1");
    int16_t error;
    world_create_topic(world, "orders", 1, 1, 1000, &error);
    world_settle(world, SETTLE_MS);
    assert_int_not_equal(error, 0);
    assert_null(world_znode(world, "/brokers/topics/orders"));
    finish(world);
}

/* T18, T42: deletion ends, and everything of the topic is gone in ZooKeeper and in metadata. */
static void test_a_deleted_topic_leaves_nothing_behind(void **state)
{
    (void)state;
    struct world *world = cluster(3);
    int16_t error;
    world_create_topic(world, "orders", 3, 3, 30000, &error);
    world_settle(world, SETTLE_MS);
    world_crash(world, 2); /* so that leader epochs are above zero */
    world_expire(world, 2);
    world_settle(world, SETTLE_MS);
    world_start(world, 2);
    world_settle(world, SETTLE_MS);
    assert_true(world_delete_topic(world, "orders", &error));
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, 0);
    assert_null(world_znode(world, "/brokers/topics/orders"));
    assert_null(world_znode(world, "/config/topics/orders"));
    assert_int_equal(zk_memory_children_count(world->zk, "/admin/delete_topics"), 0);
    for (int32_t b = 0; b < 3; b++) {
        for (int32_t p = 0; p < 3; p++) {
            assert_false(world->brokers[b].metadata[0][p].known);
            assert_false(world->brokers[b].replicas[0][p].hosted);
        }
    }
    finish(world);
}

/* A leader's note of complete replicas stands beside the state of a partition whose ISR is thin. */
static void test_a_deleted_topic_takes_its_notes_along(void **state)
{
    (void)state;
    struct world *world = cluster(3);
    int16_t error;
    world_create_topic(world, "orders", 2, 3, 30000, &error);
    world_settle(world, SETTLE_MS);
    zk_memory_put(world->zk, "/brokers/topics/orders/partitions/1/stoker_complete", "{}");
    assert_true(world_delete_topic(world, "orders", &error));
    world_settle(world, SETTLE_MS);
    assert_null(world_znode(world, "/brokers/topics/orders"));
    assert_int_equal(zk_memory_children_count(world->zk, "/admin/delete_topics"), 0);
    finish(world);
}

/* T32 */
static void test_deletion_waits_for_a_broker_that_is_away_and_ends_when_it_returns(void **state)
{
    (void)state;
    struct world *world = cluster(3);
    int16_t error;
    world_create_topic(world, "orders", 2, 3, 30000, &error);
    world_settle(world, SETTLE_MS);
    int32_t away = (world_controller(world)->id + 1) % 3;
    world_crash(world, away);
    world_expire(world, away);
    world_settle(world, SETTLE_MS);
    world_delete_topic(world, "orders", &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error,
                     0); /* clients see it go at once, and the logs that are there have gone */
    for (int32_t b = 0; b < 3; b++)
        assert_int_equal(world->brokers[b].replicas[0][0].hosted, b == away);
    assert_non_null(
        strstr(world_znode(world, "/brokers/topics/orders/partitions/0/state"), "\"leader\":-1"));
    world_settle(world, 60000);
    assert_int_equal(zk_memory_children_count(world->zk, "/admin/delete_topics"), 1);
    assert_non_null(world_znode(world, "/brokers/topics/orders"));
    world_start(world, away);
    world_settle(world, SETTLE_MS);
    assert_null(world_znode(world, "/brokers/topics/orders"));
    assert_int_equal(zk_memory_children_count(world->zk, "/admin/delete_topics"), 0);
    finish(world);
}

static void test_a_topic_grows_and_refuses_to_shrink(void **state)
{
    (void)state;
    struct world *world = cluster(2);
    int16_t error;
    world_create_topic(world, "orders", 2, 1, 30000, &error);
    world_settle(world, SETTLE_MS);
    world_grow_topic(world, "orders", 5, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, 0);
    for (int32_t p = 0; p < 5; p++)
        assert_true(world_leader(world, "orders", p) >= 0);
    world_grow_topic(world, "orders", 5, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, err_wire_code(ERR_INVALID_PARTITIONS));
    world_grow_topic(world, "nothing", 5, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION));
    finish(world);
}

/* T20 */
static void test_a_topic_of_an_older_broker_gets_an_id_that_growth_keeps(void **state)
{
    (void)state;
    struct world *world = cluster(1);
    world_topic(world, SLICE_LITERAL("old"));
    zk_memory_put(world->zk, "/brokers/topics/old", "{\"version\":1,\"partitions\":{\"0\":[0]}}");
    world_settle(world, SETTLE_MS);
    const char *id = strstr(world_znode(world, "/brokers/topics/old"), "\"topic_id\":");
    assert_non_null(id);
    char kept[40];
    snprintf(kept, sizeof kept, "%.35s", id);
    int16_t error;
    world_grow_topic(world, "old", 2, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, 0);
    assert_non_null(strstr(world_znode(world, "/brokers/topics/old"), kept));
    finish(world);
}

/* T19: the answer to the creation of a state znode is lost. */
static void test_topics_get_leaders_whichever_operation_loses_its_connection(void **state)
{
    (void)state;
    for (int32_t n = 1; n <= 24; n++) {
        for (int executed = 0; executed < 2; executed++) {
            struct world *world = cluster(1);
            int16_t error;
            world_create_topic(world, "orders", 3, 1, 60000, &error);
            zk_memory_lose_operation(world->brokers[0].session, n, executed);
            world_settle(world, 30000);
            assert_int_equal(error, 0);
            for (int32_t p = 0; p < 3; p++)
                assert_int_equal(world_leader(world, "orders", p), 0);
            finish(world);
        }
    }
}

/* T1: one registration that cannot be read keeps nobody else out. */
static void test_a_registration_that_cannot_be_read_is_left_out(void **state)
{
    (void)state;
    struct world *world = cluster(2);
    zk_memory_put(world->zk, "/brokers/ids/77", "{\"version\":\"5\"}");
    world_settle(world, SETTLE_MS);
    int16_t error;
    world_create_topic(world, "orders", 2, 2, 30000, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, 0);
    finish(world);
}

static void test_versions_follow_the_inter_broker_protocol(void **state)
{
    (void)state;
    static const struct {
        const char *ibp;
        int16_t leader_and_isr, stop_replica, update_metadata;
    } cases[] = {{"3.9-IV0", 7, 4, 8},   {"3.9", 7, 4, 8},     {"3.5", 7, 4, 8},
                 {"3.3", 6, 3, 7},       {"2.8-IV0", 4, 3, 6}, {"2.4-IV0", 3, 1, 5},
                 {"0.10.2-IV0", 0, 0, 3}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int32_t level;
        assert_int_equal(ibp_parse(cases[i].ibp, &level), ERR_OK);
        struct rpc_versions versions = rpc_versions_of(level);
        assert_int_equal(versions.leader_and_isr, cases[i].leader_and_isr);
        assert_int_equal(versions.stop_replica, cases[i].stop_replica);
        assert_int_equal(versions.update_metadata, cases[i].update_metadata);
    }
    int32_t level;
    assert_int_equal(ibp_parse("three", &level), ERR_INVALID_CONFIG);
    assert_int_equal(ibp_parse("3.9-IVx", &level), ERR_INVALID_CONFIG);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_controller_has_epoch_one_and_makes_the_feature_znode),
        cmocka_unit_test(test_a_created_topic_gets_leaders_and_the_answer_waits_for_them),
        cmocka_unit_test(test_a_timeout_of_zero_answers_timed_out_though_the_topic_is_made),
        cmocka_unit_test(test_bad_creations_get_kafkas_codes),
        cmocka_unit_test(test_a_dead_leader_is_replaced_by_an_in_sync_replica_with_a_higher_epoch),
        cmocka_unit_test(test_a_lone_replica_leads_again_when_its_broker_returns),
        cmocka_unit_test(test_when_the_controller_dies_another_takes_over_with_the_next_epoch),
        cmocka_unit_test(test_a_new_controller_elects_before_it_takes_the_departed_out_of_isrs),
        cmocka_unit_test(test_a_controller_whose_session_expires_resigns_and_comes_back_fenced),
        cmocka_unit_test(test_the_same_epoch_written_by_hand_fences_every_further_write),
        cmocka_unit_test(test_a_deleted_topic_leaves_nothing_behind),
        cmocka_unit_test(test_deletion_waits_for_a_broker_that_is_away_and_ends_when_it_returns),
        cmocka_unit_test(test_a_deleted_topic_takes_its_notes_along),
        cmocka_unit_test(test_a_topic_grows_and_refuses_to_shrink),
        cmocka_unit_test(test_a_topic_of_an_older_broker_gets_an_id_that_growth_keeps),
        cmocka_unit_test(test_topics_get_leaders_whichever_operation_loses_its_connection),
        cmocka_unit_test(test_a_registration_that_cannot_be_read_is_left_out),
        cmocka_unit_test(test_versions_follow_the_inter_broker_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
