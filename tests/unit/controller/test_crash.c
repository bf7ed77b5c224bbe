/* A broker whose process has ended, long before its session does (crash.c). */
#include "fixture.h"

#define STATE "/brokers/topics/orders/partitions/0/state"

static struct world *detecting(const char *assignment)
{
    struct world *world = world_new(7, 4);
    world->settings.crash_detection_enable = true;
    start_all(world);
    put_topic(world, assignment);
    return world;
}

static void expect_state(struct world *world, int32_t leader, const char *isr)
{
    const char *state = world_znode(world, STATE);
    assert_int_equal(world_leader(world, "orders", 0), leader);
    if (!strstr(state, isr))
        fail_msg("%s is not in %s", isr, state);
}

static void crash(struct world *world, int32_t id)
{
    world_crash(world, id);
    world_settle(world, SETTLE_MS);
}

static void test_another_leads_before_the_session_ends(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[1,2,3]}");
    crash(world, 1);
    assert_non_null(world_znode(world, "/brokers/ids/1"));
    expect_state(world, 2, "\"isr\":[2,3]");
    assert_int_equal(world->brokers[3].metadata[0][0].leader, 2);
    finish(world);
}

static void test_a_follower_leaves_the_isr(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[1,2,3]}");
    crash(world, 3);
    expect_state(world, 1, "\"isr\":[1,2]");
    finish(world);
}

static void test_the_last_in_sync_is_left_alone(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[1,2]}");
    set_isr(world, IDS(1));
    crash(world, 1);
    expect_state(world, 1, "\"isr\":[1]");
    world_expire(world, 1);
    world_settle(world, SETTLE_MS);
    expect_state(world, -1, "\"isr\":[1]");
    finish(world);
}

/* The same epochs, leaders and members as without; only earlier. */
static void test_the_end_of_the_session_changes_nothing_more(void **state)
{
    (void)state;
    OWNED_MEM char *without = NULL;
    for (int enabled = 0; enabled < 2; enabled++) {
        struct world *world = world_new(7, 4);
        world->settings.crash_detection_enable = enabled;
        start_all(world);
        put_topic(world, "{\"0\":[1,2,3]}");
        crash(world, 1);
        OWNED_MEM char *early = mem_strdup(world_znode(world, STATE));
        world_expire(world, 1);
        world_settle(world, SETTLE_MS);
        const char *late = world_znode(world, STATE);
        if (enabled) {
            assert_string_equal(early, late);
            assert_string_equal(late, without);
        } else {
            assert_string_not_equal(early, late);
            without = mem_strdup(late);
        }
        finish(world);
    }
}

static void test_a_broker_that_comes_back_at_once_is_taken_as_new(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[1,2,3]}");
    crash(world, 1);
    start(world, 1);
    expect_state(world, 2, "\"isr\":[2,3]");
    assert_true(world->brokers[1].replicas[0][0].hosted);
    assert_int_equal(world->brokers[1].replicas[0][0].leader, 2);
    set_isr(world, IDS(2, 3, 1));
    crash(world, 1); /* and again */
    expect_state(world, 2, "\"isr\":[2,3]");
    finish(world);
}

static void test_one_that_answers_after_all_has_its_replicas_back(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[1,2,3]}");
    world_refuse(world, 0, 1);
    world_settle(world, SETTLE_MS);
    expect_state(world, 2, "\"isr\":[2,3]");
    assert_true(world->brokers[1].replicas[0][0].hosted);
    assert_int_equal(world->brokers[1].replicas[0][0].leader, 2);
    set_isr(world, IDS(2, 3, 1)); /* refused for a broker that is not online */
    crash(world, 2);
    expect_state(world, 1, "\"isr\":[3,1]");
    finish(world);
}

/* Its answer is all that could show it, and nothing had to be told to it. */
static void test_one_that_answers_after_all_is_found_well_though_nothing_was_moved(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[1,2]}");
    set_isr(world, IDS(1));
    world_refuse(world, 0, 1);
    world_settle(world, SETTLE_MS);
    set_isr(world, IDS(1, 2));
    world_refuse(world, 0, 3); /* has no replicas at all */
    world_settle(world, SETTLE_MS);
    zk_memory_put(world->zk, "/brokers/topics/orders",
                  "{\"version\":3,\"topic_id\":\"" TOPIC_ID "\",\"partitions\":{\"0\":[1,2],"
                  "\"1\":[3,1]},\"adding_replicas\":{},\"removing_replicas\":{}}");
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 1), 3);
    finish(world);
}

/* Everybody may be in the way of the next one's leadership, but the last of an ISR stays. */
static void test_of_brokers_that_end_together_the_last_in_sync_stays(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[1,2,3]}");
    world_crash(world, 1);
    world_crash(world, 2);
    crash(world, 3);
    OWNED_MEM char *before = mem_strdup(world_znode(world, STATE));
    assert_int_not_equal(world_leader(world, "orders", 0), -1);
    start(world, world_leader(world, "orders", 0));
    assert_string_not_equal(before, world_znode(world, STATE));
    assert_int_not_equal(world_leader(world, "orders", 0), -1);
    finish(world);
}

/* The next controller has had no answer of it, and waits; what the last one moved stays moved. */
static void test_the_next_controller_waits_for_the_session_of_a_crashed_one(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[1,2,3]}");
    crash(world, 1);
    stop(world, 0);
    assert_non_null(world_znode(world, "/brokers/ids/1"));
    expect_state(world, 2, "\"isr\":[2,3]");
    world_expire(world, 1);
    world_settle(world, SETTLE_MS);
    expect_state(world, 2, "\"isr\":[2,3]");
    start(world, 1);
    set_isr(world, IDS(2, 3, 1));
    finish(world);
}

/* A JVM broker registers before it listens. */
static void test_one_that_has_never_answered_is_waited_for(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[1,2,3]}");
    world->has_answered[0][1] = false;
    crash(world, 1);
    expect_state(world, 1, "\"isr\":[1,2,3]");
    finish(world);
}

static void test_the_controller_does_not_believe_it_of_itself(void **state)
{
    (void)state;
    struct world *world = detecting("{\"0\":[0,1,2]}");
    world_refuse(world, 0, 0);
    world_settle(world, SETTLE_MS);
    expect_state(world, 0, "\"isr\":[0,1,2]");
    finish(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_leads_before_the_session_ends),
        cmocka_unit_test(test_a_follower_leaves_the_isr),
        cmocka_unit_test(test_the_last_in_sync_is_left_alone),
        cmocka_unit_test(test_the_end_of_the_session_changes_nothing_more),
        cmocka_unit_test(test_a_broker_that_comes_back_at_once_is_taken_as_new),
        cmocka_unit_test(test_one_that_answers_after_all_has_its_replicas_back),
        cmocka_unit_test(test_one_that_answers_after_all_is_found_well_though_nothing_was_moved),
        cmocka_unit_test(test_of_brokers_that_end_together_the_last_in_sync_stays),
        cmocka_unit_test(test_the_next_controller_waits_for_the_session_of_a_crashed_one),
        cmocka_unit_test(test_one_that_has_never_answered_is_waited_for),
        cmocka_unit_test(test_the_controller_does_not_believe_it_of_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
