/* When leaders are handed over because a disk stands still, and when the broker comes back, on a
 * clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/base/trace.h"
#include "broker/server/stall_machine.h"

#define TIMEOUT_MS 4000
#define STEP_MS    100
#define REST_MS    (TIMEOUT_MS / 4 + STALL_REST_MS) /* until it may come back */
#define NS_IN_MS   1000000
#define DIRS       3
#define NEVER      INT64_MIN

struct world {
    struct stall_world functions;
    struct stall_machine machine;
    int64_t now_ms, began_ms[DIRS]; /* 0: at rest */

    bool is_alone;
    int64_t broker_epoch;
    int32_t controller_id;
    enum relief_state relief; /* what is answered, at once */

    int reliefs, renewals;
    int last_dir;
    int64_t last_age_ms, renewed_epoch, stood_ms;
};

static int64_t oldest_began_ns(void *context, int dir)
{
    return ((struct world *)context)->began_ms[dir] * NS_IN_MS;
}

static bool has_others(void *context)
{
    return !((struct world *)context)->is_alone;
}

static int64_t broker_epoch(void *context)
{
    return ((struct world *)context)->broker_epoch;
}

static int32_t controller_id(void *context)
{
    return ((struct world *)context)->controller_id;
}

static void disk_stood(void *context, int64_t now_ms)
{
    ((struct world *)context)->stood_ms = now_ms;
}

static void ask_for_relief(void *context, int dir, int64_t age_ms)
{
    struct world *w = context;
    w->reliefs++;
    if (dir >= 0) {
        w->last_dir = dir;
        w->last_age_ms = age_ms;
    }
}

static enum relief_state relief(void *context)
{
    return ((struct world *)context)->relief;
}

static void register_anew(void *context, int64_t epoch)
{
    struct world *w = context;
    w->renewals++;
    w->renewed_epoch = epoch;
}

static struct world world_new(void)
{
    return (struct world){.now_ms = 1000000,
                          .broker_epoch = 70,
                          .controller_id = 2,
                          .relief = RELIEF_GRANTED,
                          .last_dir = -1,
                          .stood_ms = NEVER};
}

static void begin(struct world *w)
{
    w->functions = (struct stall_world){.oldest_began_ns = oldest_began_ns,
                                        .has_others = has_others,
                                        .broker_epoch = broker_epoch,
                                        .controller_id = controller_id,
                                        .disk_stood = disk_stood,
                                        .ask_for_relief = ask_for_relief,
                                        .relief = relief,
                                        .register_anew = register_anew,
                                        .context = w};
    stall_machine_init(&w->machine, &w->functions, DIRS, TIMEOUT_MS);
}

static void pass(struct world *w, int64_t ms)
{
    for (int64_t end_ms = w->now_ms + ms; w->now_ms < end_ms;) {
        w->now_ms += STEP_MS;
        stall_machine_look(&w->machine, w->now_ms * NS_IN_MS);
    }
}

static void stand(struct world *w, int dir)
{
    w->began_ms[dir] = w->now_ms;
}

static void answer(struct world *w, int dir)
{
    w->began_ms[dir] = 0;
}

/* Up to the state in which others lead. */
static void stall(struct world *w)
{
    begin(w);
    stand(w, 0);
    pass(w, TIMEOUT_MS);
    assert_int_equal(w->machine.state, DISK_STALLED);
    assert_int_equal(w->reliefs, 1);
}

static void test_a_stall_shorter_than_the_setting_hands_nothing_over(void **state)
{
    (void)state;
    struct world w = world_new();
    begin(&w);
    for (int i = 0; i < 5; i++) {
        stand(&w, 0);
        pass(&w, TIMEOUT_MS - STEP_MS);
        answer(&w, 0);
        pass(&w, STEP_MS);
    }
    assert_int_equal(w.reliefs + w.renewals, 0);
    assert_int_equal(w.machine.state, DISK_WELL);
}

/* As many operations one after the other, none of them long, are a busy disk and not a stall. */
static void test_many_short_operations_are_no_stall(void **state)
{
    (void)state;
    struct world w = world_new();
    begin(&w);
    for (int i = 0; i < 100; i++) {
        stand(&w, i % DIRS);
        pass(&w, 500);
        answer(&w, i % DIRS);
    }
    assert_int_equal(w.reliefs, 0);
    assert_int_equal(w.stood_ms, NEVER);
}

static void test_the_time_in_which_the_process_was_frozen_is_not_the_disks(void **state)
{
    (void)state;
    struct world w = world_new();
    begin(&w);
    pass(&w, 500);
    stand(&w, 1);
    w.now_ms += 3 * TIMEOUT_MS;
    pass(&w, STEP_MS);
    assert_int_equal(w.reliefs, 0);
    assert_int_equal(w.stood_ms, w.now_ms); /* nor the followers' */
    pass(&w, TIMEOUT_MS - STEP_MS);
    assert_int_equal(w.reliefs, 0);
    pass(&w, STEP_MS); /* it stands all the same */
    assert_int_equal(w.reliefs, 1);
}

static void test_a_stall_as_long_as_the_setting_asks_once_to_be_relieved(void **state)
{
    (void)state;
    struct world w = world_new();
    begin(&w);
    pass(&w, 500);
    stand(&w, 1);
    pass(&w, TIMEOUT_MS - STEP_MS);
    assert_int_equal(w.reliefs, 0);
    pass(&w, STEP_MS);
    assert_int_equal(w.reliefs, 1);
    assert_int_equal(w.last_dir, 1);
    assert_int_equal(w.last_age_ms, TIMEOUT_MS);
    pass(&w, 60000);
    assert_int_equal(w.reliefs, 1);
    assert_int_equal(w.renewals, 0);
}

static void test_followers_are_not_blamed_from_a_fourth_of_it_on(void **state)
{
    (void)state;
    struct world w = world_new();
    begin(&w);
    stand(&w, 0);
    pass(&w, TIMEOUT_MS / 4 - STEP_MS);
    assert_int_equal(w.stood_ms, NEVER);
    pass(&w, STEP_MS);
    assert_int_equal(w.stood_ms, w.now_ms);
    pass(&w, TIMEOUT_MS);
    assert_int_equal(w.stood_ms, w.now_ms);
}

static void test_who_is_alone_or_not_registered_stays(void **state)
{
    (void)state;
    struct world w = world_new();
    w.is_alone = true;
    begin(&w);
    stand(&w, 0);
    pass(&w, 10 * TIMEOUT_MS);
    assert_int_equal(w.reliefs, 0);
    assert_int_equal(w.stood_ms, w.now_ms);
    w.is_alone = false;
    w.broker_epoch = -1;
    pass(&w, TIMEOUT_MS);
    assert_int_equal(w.reliefs, 0);
    w.broker_epoch = 71; /* now there is somebody to take over */
    pass(&w, STEP_MS);
    assert_int_equal(w.reliefs, 1);
}

static void test_it_comes_back_once_the_disk_was_quick_for_a_while(void **state)
{
    (void)state;
    struct world w = world_new();
    stall(&w);
    answer(&w, 0);
    pass(&w, REST_MS - STEP_MS);
    assert_int_equal(w.renewals, 0);
    pass(&w, STEP_MS);
    assert_int_equal(w.renewals, 1);
    assert_int_equal(w.renewed_epoch, 70);
    assert_int_equal(w.machine.state, DISK_RETURNING);
    w.broker_epoch = 71;
    pass(&w, STEP_MS);
    assert_int_equal(w.machine.state, DISK_WELL);
    pass(&w, 60000);
    assert_int_equal(w.renewals, 1);
    assert_int_equal(w.reliefs, 1);
}

/* An operation ends now and then, and the next takes long again: however long the setting is, and
 * with it what counts as long. */
static void test_a_disk_that_answers_now_and_then_does_not_bring_it_back(void **state)
{
    (void)state;
    struct world w = world_new();
    stall(&w);
    for (int i = 0; i < 20; i++) {
        answer(&w, 0);
        pass(&w, STALL_REST_MS / 2);
        stand(&w, 0);
        pass(&w, TIMEOUT_MS / 4);
    }
    assert_int_equal(w.renewals, 0);
    assert_int_equal(w.machine.state, DISK_STALLED);
}

static void test_a_registration_that_is_not_made_is_asked_for_again(void **state)
{
    (void)state;
    struct world w = world_new();
    stall(&w);
    answer(&w, 0);
    pass(&w, REST_MS + 3 * STALL_REST_MS);
    assert_int_equal(w.renewals, 4);
    assert_int_equal(w.machine.state, DISK_RETURNING);
}

static void test_a_disk_that_stands_again_on_the_way_back_stays_away(void **state)
{
    (void)state;
    struct world w = world_new();
    stall(&w);
    answer(&w, 0);
    pass(&w, REST_MS);
    stand(&w, 2);
    pass(&w, TIMEOUT_MS);
    assert_int_equal(w.machine.state, DISK_STALLED);
    assert_int_equal(w.reliefs, 1); /* that one still holds */
    answer(&w, 2);
    pass(&w, REST_MS);
    assert_int_equal(w.machine.state, DISK_RETURNING);
}

/* The registration was made in spite of it: its leaders have to go anew. */
static void test_a_registration_made_while_it_stands_is_relieved_again(void **state)
{
    (void)state;
    struct world w = world_new();
    stall(&w);
    w.broker_epoch = 71;
    pass(&w, STEP_MS);
    assert_int_equal(w.reliefs, 2);
    pass(&w, 10000);
    assert_int_equal(w.reliefs, 2);
}

static void test_another_controller_is_asked_again(void **state)
{
    (void)state;
    struct world w = world_new();
    stall(&w);
    w.controller_id = 3;
    pass(&w, STEP_MS);
    assert_int_equal(w.reliefs, 2);
    pass(&w, 10000);
    assert_int_equal(w.reliefs, 2);
}

static void test_a_refusal_is_asked_again_after_a_pause_and_an_answer_is_waited_for(void **state)
{
    (void)state;
    struct world w = world_new();
    w.relief = RELIEF_AWAITED;
    stall(&w);
    pass(&w, 10000);
    assert_int_equal(w.reliefs, 1);
    w.relief = RELIEF_REFUSED;
    pass(&w, STEP_MS);
    assert_int_equal(w.reliefs, 2);
    pass(&w, 5 * STALL_ASK_AGAIN_MS);
    assert_int_equal(w.reliefs, 7);
    w.relief = RELIEF_GRANTED;
    pass(&w, 10000);
    assert_int_equal(w.reliefs, 7);
}

static void test_of_several_directories_the_one_that_stands_longest_counts(void **state)
{
    (void)state;
    struct world w = world_new();
    begin(&w);
    stand(&w, 2);
    pass(&w, 1000);
    stand(&w, 0);
    pass(&w, TIMEOUT_MS - 1000);
    assert_int_equal(w.reliefs, 1);
    assert_int_equal(w.last_dir, 2);
    answer(&w, 2); /* the other still stands */
    pass(&w, 10 * STALL_REST_MS);
    assert_int_equal(w.machine.state, DISK_STALLED);
    answer(&w, 0);
    pass(&w, REST_MS);
    assert_int_equal(w.machine.state, DISK_RETURNING);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stall_shorter_than_the_setting_hands_nothing_over),
        cmocka_unit_test(test_many_short_operations_are_no_stall),
        cmocka_unit_test(test_the_time_in_which_the_process_was_frozen_is_not_the_disks),
        cmocka_unit_test(test_a_stall_as_long_as_the_setting_asks_once_to_be_relieved),
        cmocka_unit_test(test_followers_are_not_blamed_from_a_fourth_of_it_on),
        cmocka_unit_test(test_who_is_alone_or_not_registered_stays),
        cmocka_unit_test(test_it_comes_back_once_the_disk_was_quick_for_a_while),
        cmocka_unit_test(test_a_disk_that_answers_now_and_then_does_not_bring_it_back),
        cmocka_unit_test(test_a_registration_that_is_not_made_is_asked_for_again),
        cmocka_unit_test(test_a_disk_that_stands_again_on_the_way_back_stays_away),
        cmocka_unit_test(test_a_registration_made_while_it_stands_is_relieved_again),
        cmocka_unit_test(test_another_controller_is_asked_again),
        cmocka_unit_test(test_a_refusal_is_asked_again_after_a_pause_and_an_answer_is_waited_for),
        cmocka_unit_test(test_of_several_directories_the_one_that_stands_longest_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
