/* Proves what the controller says of a broker that is registered and cannot be reached. */
#include "fixture.h"

#define MINUTE_MS 60000

struct heard {
    int failed, answered;
};

static void hear(enum trace_level level, const char *line, void *context)
{
    (void)level;
    struct heard *heard = context;
    if (strstr(line, " broker=3 ")) {
        heard->failed += strstr(line, "request to a broker failed") != NULL;
        heard->answered += strstr(line, "requests to a broker are answered again") != NULL;
    }
}

static void test_a_broker_out_of_reach_is_told_ever_more_seldom_and_that_it_is_back(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct world *world = world_new(7, 4);
    start_all(world);
    trace_set_level(TRACE_INFO);
    trace_set_sink(hear, &heard);
    world->brokers[3].accepting = false;
    put_topic(world, "{\"0\":[1,2,3]}");
    assert_int_equal(heard.failed, 1); /* ten times a second it is tried */
    world_settle(world, 10 * MINUTE_MS);
    assert_int_equal(heard.failed, 6); /* at 0, 10, 30, 70, 150 and 310 s */
    assert_int_equal(heard.answered, 0);
    world->brokers[3].accepting = true;
    world_settle(world, MINUTE_MS);
    assert_int_equal(heard.failed, 6);
    assert_int_equal(heard.answered, 1);
    assert_true(world->brokers[3].replicas[0][0].hosted);
    trace_set_sink(NULL, NULL);
    trace_set_level(TRACE_ERROR);
    finish(world);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_broker_out_of_reach_is_told_ever_more_seldom_and_that_it_is_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
