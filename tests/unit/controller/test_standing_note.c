/* Proves that a controller which leaves one member in an ISR notes who else has everything
 * (standing_note.h), and chooses by that note once the member has lost its disk. "orders" has
 * replicas 1, 2, 3; 1 leads, and what brokers lose is told in their registrations. */
#include "coordinator/zk/znode.h"
#include "reassignment_fixture.h"

#define NOTE     "/brokers/topics/orders/partitions/0/stoker_complete"
#define SETTINGS "/config/topics/orders"

static void is_whole_since(struct world *world, int32_t id, int64_t broker_epoch)
{
    world->brokers[id].intact_since = broker_epoch;
}

/* It comes back after an orderly stop. */
static void start_whole(struct world *world, int32_t id)
{
    int64_t epoch = world->brokers[id].broker_epoch;
    world_start(world, id);
    is_whole_since(world, id, epoch);
    world_settle(world, SETTLE_MS);
}

/* It comes back after a power cut, or with another disk. */
static void start_empty(struct world *world, int32_t id)
{
    world_start(world, id);
    is_whole_since(world, id, INTACT_SINCE_REGISTRATION);
    world_settle(world, SETTLE_MS);
}

static struct world *cluster_with_min_isr(int32_t min_isr, const char *assignment)
{
    struct world *world = world_new(7, 4);
    world->settings.min_insync_replicas = min_isr;
    start_all(world);
    for (int32_t i = 1; i < 4; i++) { /* so that all of them tell */
        stop(world, i);
        start_empty(world, i);
        is_whole_since(world, i, world->brokers[i].broker_epoch);
    }
    put_topic(world, assignment);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    return world;
}

/* 1 dies unseen, its session lives on; 2, then 3 are gone; then 1's session ends. */
static void leave_a_dead_one_alone(struct world *world)
{
    world_crash(world, 1);
    stop(world, 2);
    stop(world, 3);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    world_expire(world, 1);
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 0), -1);
}

/* Chaos seed 4245782307. */
static void test_who_lost_its_disk_and_is_alone_in_the_isr_waits_for_who_left_last(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(2, "{\"0\":[1,2,3]}");
    leave_a_dead_one_alone(world);
    start_empty(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), -1);
    start_whole(world, 2); /* left while two others could still commit */
    assert_int_equal(world_leader(world, "orders", 0), -1);
    start_whole(world, 3);
    assert_int_equal(world_leader(world, "orders", 0), 3);
    finish(world);
}

/* Simulator seed 1795284088015: until the move is done they are replicas like others. */
static void test_replicas_that_a_reassignment_will_remove_are_noted_too(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(2, "{\"0\":[1,2]}");
    reassign(world, IDS(3, 0), ERR_OK);
    world_settle(world, SETTLE_MS);
    world_crash(world, 1);
    stop(world, 2);
    world_expire(world, 1);
    world_settle(world, SETTLE_MS);
    start_empty(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), -1);
    start_whole(world, 2);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    finish(world);
}

static void test_who_is_alone_and_has_lost_nothing_leads_at_once(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(2, "{\"0\":[1,2,3]}");
    leave_a_dead_one_alone(world);
    start_whole(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

/* The election makes a state with a leader of its own: the note has to follow. */
static void test_a_note_goes_on_through_an_election(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(2, "{\"0\":[1,2,3]}");
    leave_a_dead_one_alone(world);
    start_whole(world, 1); /* and has not noted anything yet when it loses its disk */
    stop(world, 1);
    start_empty(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), -1);
    start_whole(world, 3);
    assert_int_equal(world_leader(world, "orders", 0), 3);
    finish(world);
}

static void test_a_leader_that_is_left_alone_by_its_own_election_is_noted_too(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(2, "{\"0\":[1,2]}");
    stop(world, 1); /* 2 leads alone */
    assert_int_equal(world_leader(world, "orders", 0), 2);
    stop(world, 2);
    start_empty(world, 2);
    assert_int_equal(world_leader(world, "orders", 0), -1);
    start_whole(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

static void test_a_noted_one_that_lost_something_too_is_not_waited_for(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(2, "{\"0\":[1,2,3]}");
    leave_a_dead_one_alone(world);
    start_empty(world, 1);
    start_empty(world, 3);
    assert_int_equal(world_leader(world, "orders", 0), 1); /* as in Kafka */
    finish(world);
}

static void test_a_controller_that_takes_over_finds_the_note(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(2, "{\"0\":[1,2,3]}");
    leave_a_dead_one_alone(world);
    stop(world, 0);
    start(world, 0);
    start_empty(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), -1);
    start_whole(world, 3);
    assert_int_equal(world_leader(world, "orders", 0), 3);
    finish(world);
}

static void test_where_one_replica_may_commit_alone_nothing_is_noted(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(1, "{\"0\":[1,2,3]}");
    leave_a_dead_one_alone(world);
    assert_null(world_znode(world, NOTE));
    start_empty(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

static void test_the_topics_setting_goes_before_the_clusters_and_that_before_the_files(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(1, "{\"0\":[1,2,3]}");
    zk_memory_put(world->zk, SETTINGS,
                  "{\"version\":1,\"config\":{\"min.insync.replicas\":\"2\"}}");
    zk_memory_put(world->zk, "/config/brokers/<default>",
                  "{\"version\":1,\"config\":{\"min.insync.replicas\":\"1\"}}");
    leave_a_dead_one_alone(world);
    assert_non_null(world_znode(world, NOTE));
    finish(world);

    world = cluster_with_min_isr(1, "{\"0\":[1,2,3]}");
    zk_memory_put(world->zk, "/config/brokers/<default>",
                  "{\"version\":1,\"config\":{\"min.insync.replicas\":\"2\"}}");
    leave_a_dead_one_alone(world);
    assert_non_null(world_znode(world, NOTE));
    finish(world);
}

/* The dead one may have been alive after all, and have committed alone under the new setting. */
static void test_a_note_is_void_once_a_setting_has_changed(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(2, "{\"0\":[1,2,3]}");
    leave_a_dead_one_alone(world);
    zk_memory_put(world->zk, SETTINGS,
                  "{\"version\":1,\"config\":{\"min.insync.replicas\":\"1\"}}");
    zk_memory_put(world->zk, SETTINGS,
                  "{\"version\":1,\"config\":{\"min.insync.replicas\":\"2\"}}");
    start_empty(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

static void test_a_topic_that_is_deleted_gets_no_notes(void **state)
{
    (void)state;
    struct world *world = cluster_with_min_isr(2, "{\"0\":[1,2,3]}");
    stop(world, 2); /* so that the deletion waits */
    int16_t error;
    assert_true(world_delete_topic(world, "orders", &error));
    world_settle(world, SETTLE_MS);
    assert_null(world_znode(world, NOTE));
    stop(world, 1);
    assert_null(world_znode(world, NOTE));
    finish(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_lost_its_disk_and_is_alone_in_the_isr_waits_for_who_left_last),
        cmocka_unit_test(test_replicas_that_a_reassignment_will_remove_are_noted_too),
        cmocka_unit_test(test_who_is_alone_and_has_lost_nothing_leads_at_once),
        cmocka_unit_test(test_a_note_goes_on_through_an_election),
        cmocka_unit_test(test_a_leader_that_is_left_alone_by_its_own_election_is_noted_too),
        cmocka_unit_test(test_a_noted_one_that_lost_something_too_is_not_waited_for),
        cmocka_unit_test(test_a_controller_that_takes_over_finds_the_note),
        cmocka_unit_test(test_where_one_replica_may_commit_alone_nothing_is_noted),
        cmocka_unit_test(
            test_the_topics_setting_goes_before_the_clusters_and_that_before_the_files),
        cmocka_unit_test(test_a_note_is_void_once_a_setting_has_changed),
        cmocka_unit_test(test_a_topic_that_is_deleted_gets_no_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
