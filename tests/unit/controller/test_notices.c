/* Proves what brokers leave in ZooKeeper for the controller: log directories that failed, ISRs that
 * leaders before 2.7 wrote themselves; and ControlledShutdown (zookeeper-and-controller.md §4.6,
 * §4.8, §4.9). */
#include "fixture.h"

#include "wire/controlled_shutdown.h"

#define LOG_DIRS   "/log_dir_event_notification"
#define ISR_ROOT   "/isr_change_notification"
#define STATE_PATH "/brokers/topics/orders/partitions/0/state"

static void lose_directory(struct world *world, int32_t broker, int16_t error)
{
    static int32_t number;
    char path[80], text[80];
    world->brokers[broker].role_error = error;
    snprintf(path, sizeof path, LOG_DIRS "/log_dir_event_%010d", (int)++number);
    snprintf(text, sizeof text, "{\"version\":1,\"broker\":%d,\"event\":1}", (int)broker);
    zk_memory_put(world->zk, path, text);
    world_settle(world, SETTLE_MS);
    assert_int_equal(zk_memory_children_count(world->zk, LOG_DIRS), 0);
}

static void test_a_failed_directory_moves_leaders_and_shrinks_isrs(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    int16_t code = err_wire_code(ERR_KAFKA_STORAGE_ERROR);
    lose_directory(world, 1, code);
    assert_int_equal(world_leader(world, "orders", 0), 2);
    assert_non_null(strstr(world_znode(world, STATE_PATH), "\"isr\":[2,3]"));
    history_begin(world);
    lose_directory(world, 1, code); /* known already: told again, nothing changes */
    assert_null(strstr(history_text(world), "state orders-0"));
    lose_directory(world, 1, 0); /* it answers well: it may lead again */
    struct world_isr_wish wish = world_isr_wish(world, "orders", 0, IDS(2, 3, 1));
    assert_int_equal(world_set_isr(world, "orders", 0, wish.isr, 3), 0);
    stop(world, 2);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

/* Any other code changes nothing: 11 is the normal answer to epochs that are equal. */
static void test_other_answers_say_nothing_about_directories(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    lose_directory(world, 1, err_wire_code(ERR_STALE_CONTROLLER_EPOCH));
    assert_int_equal(world_leader(world, "orders", 0), 1);
    lose_directory(world, 1, err_wire_code(ERR_KAFKA_STORAGE_ERROR));
    assert_int_equal(world_leader(world, "orders", 0), 2);
    lose_directory(world, 1, err_wire_code(ERR_STALE_CONTROLLER_EPOCH));
    stop(world, 2);
    stop(world, 3);
    assert_int_equal(world_leader(world, "orders", 0), -1); /* still offline */
    finish(world);
}

static void test_a_directory_notice_of_nobody_known_is_deleted(void **state)
{
    (void)state;
    struct world *world = cluster(2, "{\"0\":[1]}");
    zk_memory_put(world->zk, LOG_DIRS "/log_dir_event_1",
                  "{\"version\":1,\"broker\":99,\"event\":1}");
    zk_memory_put(world->zk, LOG_DIRS "/log_dir_event_2", "no json");
    world_settle(world, SETTLE_MS);
    assert_int_equal(zk_memory_children_count(world->zk, LOG_DIRS), 0);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    finish(world);
}

static void put_isr_notice(struct world *world, const char *isr)
{
    OWNED_MEM char *text = mem_printf("{\"version\":1,\"leader\":1,\"leader_epoch\":%d,"
                                      "\"isr\":[%s],\"controller_epoch\":1}",
                                      (int)world_leader_epoch(world, "orders", 0), isr);
    zk_memory_put(world->zk, STATE_PATH, text);
    for (int i = 1; i < 3; i++) { /* in two notices, as it may happen */
        char path[80];
        snprintf(path, sizeof path, ISR_ROOT "/isr_change_%010d", i);
        zk_memory_put(world->zk, path,
                      "{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0}]}");
    }
    world_settle(world, SETTLE_MS);
    assert_int_equal(zk_memory_children_count(world->zk, ISR_ROOT), 0);
}

static void test_an_isr_that_an_old_leader_wrote_is_told_to_all(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3]}");
    put_isr_notice(world, "1,3");
    assert_non_null(strstr(history_text(world), "UMR 0,1,2,3 orders-0 leader=1 epoch=0 isr=1,3"));
    finish(world);
}

static void test_an_isr_that_an_old_leader_wrote_can_end_a_reassignment(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2]}");
    struct world_answer answer;
    world_reassign(world, "orders", 0, IDS(1, 3), &answer);
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_reassigning_count(world), 1);
    put_isr_notice(world, "1,2,3");
    assert_int_equal(world_reassigning_count(world), 0);
    assert_int_equal(world_leader_epoch(world, "orders", 0),
                     3); /* begin, end, removal: each once */
    finish(world);
}

/* ---- ControlledShutdown ---- */

struct relief {
    int32_t error, remaining;
};

static void relieved(void *context, const void *response)
{
    const struct controlled_shutdown_response *r = response;
    *(struct relief *)context = (struct relief){r->error_code, r->remaining_partitions_count};
}

static struct relief shut_down(struct world *world, int32_t to, int32_t id, int64_t broker_epoch)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct controlled_shutdown_request request;
    struct relief relief = {-100, -100};
    controlled_shutdown_request_init(&request);
    request.broker_id = id;
    request.broker_epoch = broker_epoch;
    controller_controlled_shutdown(world->brokers[to].controller, &request, arena, relieved,
                                   &relief);
    world_settle(world, SETTLE_MS);
    return relief;
}

static void test_a_shutdown_is_refused_with_kafkas_codes(void **state)
{
    (void)state;
    struct world *world = cluster(3, "{\"0\":[1,2]}");
    int64_t known = world->brokers[1].broker_epoch;
    assert_int_equal(shut_down(world, 1, 1, known).error,
                     err_wire_code(ERR_STALE_CONTROLLER_EPOCH));
    assert_int_equal(shut_down(world, 0, 9, 5).error, err_wire_code(ERR_UNKNOWN_SERVER_ERROR));
    assert_int_equal(shut_down(world, 0, 9, -1).error, err_wire_code(ERR_BROKER_NOT_AVAILABLE));
    assert_int_equal(shut_down(world, 0, 1, known - 1).error,
                     err_wire_code(ERR_STALE_BROKER_EPOCH));
    assert_int_equal(world_leader(world, "orders", 0), 1);
    assert_int_equal(shut_down(world, 0, 1, known + 1).error, 0); /* a later one passes */
    finish(world);
}

/* T17 */
static void test_a_shutdown_moves_what_it_leads_and_takes_it_out_of_isrs(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2,3],\"1\":[2,1,3],\"2\":[1]}");
    struct relief relief = shut_down(world, 0, 1, -1);
    assert_int_equal(relief.error, 0);
    assert_int_equal(relief.remaining, 0); /* one that has no other replica does not count */
    assert_int_equal(world_leader(world, "orders", 0), 2);
    assert_int_equal(world_leader(world, "orders", 2), 1);
    assert_non_null(
        strstr(history_text(world), "state orders-0 leader=2 epoch=1 isr=2,3 version=1\n"));
    assert_non_null(
        strstr(history_text(world), "state orders-1 leader=2 epoch=1 isr=2,3 version=1\n"));
    assert_non_null(strstr(history_text(world), "SR 1 orders-1 epoch=0\n"));
    int32_t back[] = {2, 3, 1};
    assert_int_equal(world_set_isr(world, "orders", 0, back, 3),
                     err_wire_code(ERR_INELIGIBLE_REPLICA));
    stop(world, 1);
    start(world, 1);
    assert_int_equal(world_set_isr(world, "orders", 0, back, 3), 0);
    finish(world);
}

static void test_a_shutdown_says_what_it_still_leads(void **state)
{
    (void)state;
    struct world *world = cluster(4, "{\"0\":[1,2],\"1\":[1,3]}");
    set_isr(world, IDS(1));
    assert_int_equal(shut_down(world, 0, 1, -1).remaining, 1);
    assert_int_equal(world_leader(world, "orders", 0), 1);
    assert_int_equal(world_leader(world, "orders", 1), 3);
    set_isr(world, IDS(1)); /* its own ISR is as it was */
    finish(world);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failed_directory_moves_leaders_and_shrinks_isrs),
        cmocka_unit_test(test_other_answers_say_nothing_about_directories),
        cmocka_unit_test(test_a_directory_notice_of_nobody_known_is_deleted),
        cmocka_unit_test(test_an_isr_that_an_old_leader_wrote_is_told_to_all),
        cmocka_unit_test(test_an_isr_that_an_old_leader_wrote_can_end_a_reassignment),
        cmocka_unit_test(test_a_shutdown_is_refused_with_kafkas_codes),
        cmocka_unit_test(test_a_shutdown_moves_what_it_leads_and_takes_it_out_of_isrs),
        cmocka_unit_test(test_a_shutdown_says_what_it_still_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
