/* Readers that wait for a disk keep neither a producer's log nor each other from getting on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "broker/log/log_workers.h"

#define THREADS  4
#define REQUESTS 20

static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER; /* held: it does not answer */
static _Atomic int waiting, waiting_max, answered, own_work;

static void wait_for_the_disk(void *context)
{
    (void)context;
    int now = ++waiting, max = waiting_max;
    while (now > max && !atomic_compare_exchange_weak(&waiting_max, &max, now))
        ;
    pthread_mutex_lock(&disk);
    pthread_mutex_unlock(&disk);
    waiting--;
    answered++;
}

static void work(void *context)
{
    (void)context;
    own_work++;
}

static void wait_until(const _Atomic int *counter, int value)
{
    while (*counter < value)
        usleep(1000);
}

static struct log_workers *begin(int threads)
{
    waiting = waiting_max = answered = own_work = 0;
    pthread_mutex_lock(&disk);
    struct log_workers *workers = log_workers_start(threads);
    for (int i = 0; i < REQUESTS; i++)
        log_workers_run_request(workers, wait_for_the_disk, NULL);
    return workers;
}

static void test_a_logs_work_does_not_wait_for_requests_that_wait_for_a_disk(void **state)
{
    (void)state;
    struct log_workers *workers = begin(THREADS);
    wait_until(&waiting, 2);
    for (int i = 1; i <= 100; i++) {
        log_workers_run(workers, work, NULL);
        wait_until(&own_work, i); /* though the disk answers nobody */
    }
    assert_int_equal(waiting_max, 2);
    pthread_mutex_unlock(&disk);
    wait_until(&answered, REQUESTS);
    log_workers_stop(workers);
}

static void test_requests_run_on_a_single_thread_too(void **state)
{
    (void)state;
    struct log_workers *workers = begin(1);
    wait_until(&waiting, 1);
    pthread_mutex_unlock(&disk);
    wait_until(&answered, REQUESTS);
    log_workers_run(workers, work, NULL);
    wait_until(&own_work, 1);
    log_workers_stop(workers);
}

static void test_a_stop_runs_what_is_queued(void **state)
{
    (void)state;
    struct log_workers *workers = begin(THREADS);
    log_workers_run(workers, work, NULL);
    pthread_mutex_unlock(&disk);
    log_workers_stop(workers);
    assert_int_equal(answered, REQUESTS);
    assert_int_equal(own_work, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_logs_work_does_not_wait_for_requests_that_wait_for_a_disk),
        cmocka_unit_test(test_requests_run_on_a_single_thread_too),
        cmocka_unit_test(test_a_stop_runs_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
