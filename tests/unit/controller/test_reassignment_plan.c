/* Reassignments by the znode of old tools: a plan is carried out to its end, however it is written
 * and whoever is controller, and what a large one costs. */
#include "reassignment_fixture.h"

#define PLAN "/admin/reassign_partitions"
#define MANY 2000

/* ---- The znode of old tools ---- */

static void put_plan(struct world *world, const char *partitions)
{
    OWNED_MEM char *text = mem_printf("{\"version\":1,\"partitions\":[%s]}", partitions);
    zk_memory_put(world->zk, PLAN, text);
    world_settle(world, SETTLE_MS);
}

#define MOVE(p, replicas) "{\"topic\":\"orders\",\"partition\":" #p ",\"replicas\":" replicas "}"

/* T26 */
static void test_a_plan_stands_until_all_of_it_is_done_and_the_next_is_seen(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2],\"1\":[1,2]}");
    put_plan(world, MOVE(0, "[3,4]") "," MOVE(1, "[3,4]"));
    assert_int_equal(world_reassigning_count(world), 2);
    assert_non_null(strstr(world_znode(world, PLAN), "\"partition\":0"));
    set_isr(world, IDS(1, 2, 3, 4));
    assert_null(strstr(world_znode(world, PLAN), "\"partition\":0"));
    assert_non_null(strstr(world_znode(world, PLAN), "\"partition\":1"));
    assert_int_equal(world_set_isr(world, "orders", 1, IDS(1, 2, 3, 4)), 0);
    assert_null(world_znode(world, PLAN));
    assert_settled_on(world, "\"partitions\":{\"0\":[3,4],\"1\":[3,4]}");
    put_plan(world, MOVE(0, "[1,2]"));
    assert_int_equal(world_reassigning_count(world), 1);
    set_isr(world, IDS(3, 4, 1, 2));
    assert_null(world_znode(world, PLAN));
    finish(world);
}

/* T39 for the key that tools write in their files */
static void test_a_plan_that_cannot_be_read_is_deleted_and_the_next_is_seen(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{", "null", "{\"version\":1,\"partitions\":7}",
        "{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0,\"replicas\":[3,4],"
        "\"log_dirs\":[\"any\",\"any\"]}]}"};
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        zk_memory_put(world->zk, PLAN, bad[i]);
        world_settle(world, SETTLE_MS);
        assert_false(zk_memory_get(world->zk, PLAN, NULL, NULL));
        assert_int_equal(world_reassigning_count(world), 0);
    }
    put_plan(world, MOVE(0, "[3,4]"));
    assert_int_equal(world_reassigning_count(world), 1);
    finish(world);
}

static void test_a_plan_keeps_only_the_partitions_that_exist(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    put_plan(world, MOVE(0, "[3,4]") "," MOVE(7, "[3,4]") ",{\"topic\":\"no\",\"partition\":0,"
                                                          "\"replicas\":[1]}");
    assert_string_equal(world_znode(world, PLAN),
                        "{\"version\":1,\"partitions\":[" MOVE(0, "[3,4]") "]}");
    finish(world);
}

/* No liveness is asked of a plan: the broker may come later. */
static void test_a_plan_may_name_a_broker_that_comes_later(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    world->broker_count = 5;
    put_plan(world, MOVE(0, "[3,4]"));
    assert_int_equal(world_reassigning_count(world), 1);
    history_begin(world);
    start(world, 4);
    assert_true(world->brokers[4].replicas[0][0].hosted);
    set_isr(world, IDS(1, 2, 3, 4));
    assert_settled_on(world, "\"partitions\":{\"0\":[3,4]}");
    assert_null(world_znode(world, PLAN));
    finish(world);
}

static void test_a_request_takes_its_partition_out_of_the_plan(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2],\"1\":[1,2]}");
    put_plan(world, MOVE(0, "[3,4]") "," MOVE(1, "[3,4]"));
    reassign(world, IDS(1, 3), ERR_OK);
    assert_string_equal(world_znode(world, PLAN),
                        "{\"version\":1,\"partitions\":[" MOVE(1, "[3,4]") "]}");
    assert_int_equal(world_reassigning_count(world), 2);
    finish(world);
}

static void test_a_plan_is_found_by_the_next_controller(void **state)
{
    (void)state;
    struct world *world = cluster(5, "{\"0\":[1,2]}");
    world_crash(world, 0);
    put_plan(world, MOVE(0, "[3,4]"));
    world_expire(world, 0);
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_reassigning_count(world), 1);
    set_isr(world, IDS(1, 2, 3, 4));
    assert_null(world_znode(world, PLAN));
    assert_settled_on(world, "\"partitions\":{\"0\":[3,4]}");
    finish(world);
}

/* ---- Cost ---- */

static char *many_partitions(int32_t count)
{
    struct buf buf = {0};
    for (int32_t p = 0; p < count; p++)
        buf_printf(&buf, "%c\"%d\":[1,2]", p ? ',' : '{', (int)p);
    buf_printf(&buf, "}");
    buf_put_u8(&buf, 0);
    return (char *)buf.data;
}

/* Waves at the beginning, and at the end under the next controller, which finds all in sync. */
static void count_waves(int32_t partitions, int32_t *ret_begin, int32_t *ret_end)
{
    OWNED_MEM char *assignment = many_partitions(partitions);
    struct world *world = cluster(5, assignment);
    struct world_answer answer;
    world_reassign_many(world, "orders", partitions, IDS(3, 4), &answer);
    world_settle(world, SETTLE_MS);
    assert_int_equal(answer.error, 0);
    assert_int_equal(world_reassigning_count(world), partitions);
    *ret_begin = world->brokers[0].waves;
    world->is_recording = false;
    for (int32_t p = 0; p < partitions; p++) {
        char path[96];
        snprintf(path, sizeof path, "/brokers/topics/orders/partitions/%d/state", (int)p);
        zk_memory_put(world->zk, path,
                      "{\"version\":1,\"leader\":1,\"leader_epoch\":1,\"isr\":[1,2,3,4],"
                      "\"controller_epoch\":1}");
    }
    for (int32_t i = 0; i < 5; i++)
        world->brokers[i].waves = 0;
    stop(world, 0);
    *ret_end = world_controller(world)->waves;
    assert_int_equal(world_reassigning_count(world), 0);
    assert_int_equal(world_leader(world, "orders", partitions - 1), 3);
    finish(world);
}

static void test_a_plan_of_thousands_takes_as_many_waves_as_one_of_one(void **state)
{
    (void)state;
    int32_t begin_one, end_one, begin_many, end_many;
    count_waves(1, &begin_one, &end_one);
    count_waves(MANY, &begin_many, &end_many);
    print_message("waves: begin %d and %d, fail-over and end %d and %d\n", (int)begin_one,
                  (int)begin_many, (int)end_one, (int)end_many);
    assert_int_equal(begin_one, begin_many);
    assert_int_equal(end_one, end_many);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plan_stands_until_all_of_it_is_done_and_the_next_is_seen),
        cmocka_unit_test(test_a_plan_that_cannot_be_read_is_deleted_and_the_next_is_seen),
        cmocka_unit_test(test_a_plan_keeps_only_the_partitions_that_exist),
        cmocka_unit_test(test_a_plan_may_name_a_broker_that_comes_later),
        cmocka_unit_test(test_a_request_takes_its_partition_out_of_the_plan),
        cmocka_unit_test(test_a_plan_is_found_by_the_next_controller),
        cmocka_unit_test(test_a_plan_of_thousands_takes_as_many_waves_as_one_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
