/* Requests that wait and are run by the thread of another connection. Connections go to the two
 * threads in turn, so the first and the second that are dialled are of different ones. */
#include "tests/unit/server/network_world.h"

#define ROUNDS  300
#define WAITERS 6
#define WAKERS  2
#define BIG     (6 << 20) /* more than a socket takes at once */

#define ONCE  SLICE_LITERAL("\1")
#define TWICE SLICE_LITERAL("\2")

static int waiting_client, waking_client;

static void begin(int64_t waiting_max_ms)
{
    world.waiting_max_ms = waiting_max_ms;
    start_default();
    waiting_client = dial();
    waking_client = dial();
    wait_until(counters_now().connections == 2);
}

static void end(void)
{
    close(waiting_client);
    close(waking_client);
    stop();
}

static void ask_to_wait(int32_t id, struct slice body)
{
    send_request(waiting_client, KEY_WAITING, 0, id, body);
    wait_until(waiting_count() == 1);
}

static void wake(int32_t id)
{
    send_request(waking_client, KEY_WAKING, 0, id, ONCE);
    expect_answer(waking_client, id, ONCE);
}

static void test_the_thread_that_wakes_a_request_answers_it(void **state)
{
    (void)state;
    begin(0);
    int32_t id = 1;
    while (counters_now().answers_away < 3) { /* not where it is woken before its thread rests */
        ask_to_wait(id, ONCE);
        wake(id);
        expect_answer(waiting_client, id, ONCE);
        wait_until(counters_now().answers == 2 * id); /* they are counted when they have left */
        assert_true(id++ < 1000);
    }
    send_request(waiting_client, KEY_ECHO, 0, id, ONCE);
    expect_answer(waiting_client, id, ONCE);
    wait_until(counters_now().answers == 2 * id - 1);
    assert_int_equal(counters_now().answers_away, 3);
    end();
}

static void test_a_request_that_was_run_away_may_wait_again(void **state)
{
    (void)state;
    begin(0);
    ask_to_wait(1, TWICE);
    wake(1);
    wait_until(waiting_count() == 1);
    wake(2);
    expect_answer(waiting_client, 1, TWICE);
    end();
}

static void test_a_client_that_has_asked_more_is_answered_in_order(void **state)
{
    (void)state;
    begin(0);
    struct buf both = {0};
    put_request(&both, KEY_WAITING, 0, 1, ONCE);
    put_request(&both, KEY_ECHO, 0, 2, TWICE);
    send_all(waiting_client, both.data, both.size);
    buf_done(&both);
    wait_until(waiting_count() == 1);
    send_request(waiting_client, KEY_ECHO, 0, 3, ONCE);
    wake(1);
    expect_answer(waiting_client, 1, ONCE);
    expect_answer(waiting_client, 2, TWICE);
    expect_answer(waiting_client, 3, ONCE);
    assert_int_equal(counters_now().answers_away, 0);
    end();
}

static void test_its_time_may_be_up_before_and_after_it_is_answered(void **state)
{
    (void)state;
    begin(30);
    ask_to_wait(1, ONCE);
    expect_answer(waiting_client, 1, ONCE);
    assert_int_equal(counters_now().answers_away, 0);
    ask_to_wait(2, ONCE);
    wake(2);
    expect_answer(waiting_client, 2, ONCE);
    wait_until(counters_now().unfinished_bytes == 0); /* its frame goes without another request */
    ask_to_wait(3, ONCE);
    wake(3);
    expect_answer(waiting_client, 3, ONCE);
    end();
}

static void test_a_client_may_leave_before_and_after_it_is_answered(void **state)
{
    (void)state;
    begin(0);
    ask_to_wait(1, ONCE);
    wake(1);
    expect_answer(waiting_client, 1, ONCE);
    close(waiting_client);
    wait_until(counters_now().connections == 1);
    assert_int_equal(counters_now().unfinished_bytes, 0);

    waiting_client = dial();
    waking_client = (close(waking_client), dial());
    ask_to_wait(2, ONCE);
    shutdown(waiting_client, SHUT_RDWR);
    wake(2);
    wait_until(counters_now().connections == 1);
    end();
}

static void test_what_the_socket_does_not_take_is_sent_from_home(void **state)
{
    (void)state;
    begin(0);
    struct slice body = body_of(BIG, 1); /* its first byte: woken once */
    send_request(waiting_client, KEY_WAITING, 0, 1, body);
    wait_until(waiting_count() == 1);
    wake(1);
    expect_answer(waiting_client, 1, body);
    assert_int_equal(counters_now().answers_away, 0);
    assert_true(counters_now().send_blocked > 0);
    free((void *)body.data);
    end();
}

static void test_a_stop_waits_for_none_that_was_answered_away(void **state)
{
    (void)state;
    begin(0);
    ask_to_wait(1, ONCE);
    wake(1);
    expect_answer(waiting_client, 1, ONCE);
    int64_t before_ms = clock_mono_ms(&clock_system);
    stop(); /* would drain for 2 s */
    assert_true(clock_mono_ms(&clock_system) - before_ms < 1500);
    close(waiting_client);
    close(waking_client);
}

/* --- many at once --- */

static _Atomic int waiters_left;

static void *ask_many_times(void *context)
{
    (void)context;
    int fd = dial();
    for (int32_t id = 0; id < ROUNDS; id++) {
        uint8_t wakes = (uint8_t)(1 + id % 3);
        send_request(fd, KEY_WAITING, 0, id, slice_of(&wakes, 1));
        if (id % 7 == 0)
            send_request(fd, KEY_ECHO, 0, id, ONCE);
        expect_answer(fd, id, slice_of(&wakes, 1));
        if (id % 7 == 0)
            expect_answer(fd, id, ONCE);
    }
    close(fd);
    atomic_fetch_sub(&waiters_left, 1);
    return NULL;
}

static void *wake_until_all_are_done(void *context)
{
    (void)context;
    int fd = dial();
    for (int32_t id = 0; atomic_load(&waiters_left) > 0; id++) {
        send_request(fd, KEY_WAKING, 0, id, ONCE);
        expect_answer(fd, id, ONCE);
    }
    close(fd);
    return NULL;
}

static void test_many_threads_wake_many_requests(void **state)
{
    (void)state;
    pthread_t threads[WAITERS + WAKERS];
    world.waiting_max_ms = 5;
    start_default();
    atomic_store(&waiters_left, WAITERS);
    for (int i = 0; i < WAITERS + WAKERS; i++)
        threads[i] =
            thread_start("client", i < WAITERS ? ask_many_times : wake_until_all_are_done, NULL);
    for (int i = 0; i < WAITERS + WAKERS; i++)
        pthread_join(threads[i], NULL);
    wait_until(counters_now().answers == counters_now().requests);
    assert_true(counters_now().answers_away > 0);
    wait_until(counters_now().connections == 0);
    assert_int_equal(counters_now().unfinished_bytes, 0);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_thread_that_wakes_a_request_answers_it),
        cmocka_unit_test(test_a_request_that_was_run_away_may_wait_again),
        cmocka_unit_test(test_a_client_that_has_asked_more_is_answered_in_order),
        cmocka_unit_test(test_its_time_may_be_up_before_and_after_it_is_answered),
        cmocka_unit_test(test_a_client_may_leave_before_and_after_it_is_answered),
        cmocka_unit_test(test_what_the_socket_does_not_take_is_sent_from_home),
        cmocka_unit_test(test_a_stop_waits_for_none_that_was_answered_away),
        cmocka_unit_test(test_many_threads_wake_many_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
