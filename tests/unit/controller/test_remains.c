/* What creations and deletions leave behind when they do not come to their end, and what the next
 * ones make of it. */
#include "fixture.h"

#include "coordinator/controller/controller_internal.h"

static bool is_shown;

static bool shows_topic(void *context, struct slice topic)
{
    (void)context;
    (void)topic;
    return is_shown;
}

/* A deletion that waits for a dead replica is over for clients: they do not see the topic. */
static void test_a_topic_that_metadata_do_not_show_is_not_deleted_again(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    int16_t error;
    stop(world, 3);
    zk_memory_put(world->zk, "/admin/delete_topics/orders", NULL);
    world_settle(world, SETTLE_MS);
    start(world, 3);
    assert_null(world_znode(world, "/brokers/topics/orders"));
    world_delete_topic(world, "orders", &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION));
    finish(world);
}

/* The word that this broker has taken an UpdateMetadata comes a moment after its clients see it. */
static void test_what_clients_see_counts_and_not_what_was_acknowledged(void **state)
{
    (void)state;
    for (int shown = 0; shown < 2; shown++) {
        struct world *world = cluster(4, "{\"0\":[1,2,3]}");
        struct controller_configs configs = {.shows_topic = shows_topic};
        struct controller *controller = world->brokers[0].controller;
        struct controller_configs *before = controller->configs;
        int16_t first, second;
        controller->configs = &configs;
        is_shown = true;
        world->brokers[3].accepting = false; /* so that the deletion does not come to its end */
        world_delete_topic(world, "orders", &first);
        world_settle(world, SETTLE_MS);
        assert_non_null(world_znode(world, "/brokers/topics/orders"));
        is_shown = shown;
        world_delete_topic(world, "orders", &second);
        world_settle(world, 100);
        assert_int_equal(second, shown ? 0 : err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION));
        world->brokers[3].accepting = true;
        world_settle(world, 60000);
        assert_null(world_znode(world, "/brokers/topics/orders"));
        controller->configs = before;
        finish(world);
    }
}

/* As the JVM, whose AdminZkClient sets what it finds there. */
static void test_settings_of_a_creation_that_was_cut_short_do_not_outlive_the_next(void **state)
{
    (void)state;
    struct world *world = cluster(3, "{\"0\":[1,2]}");
    int16_t error;
    zk_memory_put(world->zk, "/config/topics/fresh",
                  "{\"version\":1,\"config\":{\"retention.ms\":\"1\"}}");
    world_create_topic(world, "fresh", 1, 2, 30000, &error);
    world_settle(world, SETTLE_MS);
    assert_int_equal(error, 0);
    assert_non_null(strstr(world_znode(world, "/config/topics/fresh"), "\"config\":{}"));
    finish(world);
}

/* ---- Logs of another topic of the same name ---- */

static void leave_a_log(struct world *world, int32_t broker)
{
    world_topic(world, SLICE_LITERAL("orders"));
    world->brokers[broker].keeps_strays = true;
    world->brokers[broker].replicas[0][0] = (struct world_replica){
        .hosted = true, .topic_id = uuid_random(), .leader = 2, .leader_epoch = 9};
}

static bool has_new_one(const struct world *world, int32_t broker)
{
    const struct world_replica *replica = &world->brokers[broker].replicas[0][0];
    return replica->hosted && replica->leader_epoch < 9;
}

static struct world *with_logs_left_at(const int32_t *ids, size_t count)
{
    struct world *world = world_new(7, 4);
    start_all(world);
    for (size_t i = 0; i < count; i++)
        leave_a_log(world, ids[i]);
    put_topic(world, "{\"0\":[1,2,3]}");
    return world;
}

static void test_a_log_left_over_makes_way_for_the_topic_that_is_led(void **state)
{
    (void)state;
    struct world *world = with_logs_left_at(IDS(2, 3));
    assert_int_equal(world_leader(world, "orders", 0), 1);
    assert_true(has_new_one(world, 1));
    assert_true(has_new_one(world, 2));
    assert_true(has_new_one(world, 3));
    finish(world);
}

/* ZooKeeper came from an old copy: these logs are all there is. */
static void test_nothing_is_deleted_where_nobody_knows_the_topic_of_zookeeper(void **state)
{
    (void)state;
    struct world *world = with_logs_left_at(IDS(1, 2, 3));
    for (int32_t b = 1; b < 4; b++)
        assert_int_equal(world->brokers[b].replicas[0][0].leader_epoch, 9);
    finish(world);
}

static void test_a_leader_in_the_way_of_itself_is_left_alone(void **state)
{
    (void)state;
    struct world *world = with_logs_left_at(IDS(1));
    assert_int_equal(world->brokers[1].replicas[0][0].leader_epoch, 9);
    assert_true(has_new_one(world, 2));
    stop(world, 1); /* another leads: now the log goes when its broker returns */
    start(world, 1);
    assert_true(has_new_one(world, 1));
    finish(world);
}

static void test_a_broker_that_cannot_delete_it_is_asked_once(void **state)
{
    (void)state;
    struct world *world = world_new(7, 4);
    start_all(world);
    leave_a_log(world, 3);
    world->brokers[3].refuses_to_delete = true;
    int32_t before = world->brokers[3].requests[1];
    put_topic(world, "{\"0\":[1,2,3]}");
    world_settle(world, 60000);
    assert_int_equal(world->brokers[3].requests[1], before + 1);
    assert_int_equal(world->brokers[3].replicas[0][0].leader_epoch, 9);
    finish(world);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_topic_that_metadata_do_not_show_is_not_deleted_again),
        cmocka_unit_test(test_what_clients_see_counts_and_not_what_was_acknowledged),
        cmocka_unit_test(test_a_log_left_over_makes_way_for_the_topic_that_is_led),
        cmocka_unit_test(test_nothing_is_deleted_where_nobody_knows_the_topic_of_zookeeper),
        cmocka_unit_test(test_a_leader_in_the_way_of_itself_is_left_alone),
        cmocka_unit_test(test_a_broker_that_cannot_delete_it_is_asked_once),
        cmocka_unit_test(test_settings_of_a_creation_that_was_cut_short_do_not_outlive_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
