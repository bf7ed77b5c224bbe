/* log.flush.interval.messages=1 for many producers at once: one sync acknowledges all that arrived
 * while the one before ran, and nothing is acknowledged that no sync covers. */
#include "log_fixture.h"

#include <pthread.h>
#include <unistd.h>

#define PRODUCERS    64
#define APPENDS_EACH 20
#define SYNC_US      2000

static struct file_ops slow;
static _Atomic int syncs;
static _Atomic int producing, waiting; /* producers that are not done; those of them that wait */

/* A disk so slow that all producers have come to wait before it is done, whatever the machine. */
static int slow_fdatasync(int fd)
{
    syncs++;
    for (int looks = 0; waiting < producing && looks < 20000; looks++)
        usleep(100);
    return file_ops_system.fdatasync(fd);
}

static _Atomic int file_syncs;

static int counted_fsync(int fd)
{
    file_syncs++;
    return file_ops_system.fsync(fd);
}

static void count_syncs(void)
{
    slow = file_ops_system;
    slow.fdatasync = slow_fdatasync;
    slow.fsync = counted_fsync;
    file_syncs = 0;
    file_ops = &slow;
    syncs = 0;
    producing = waiting = 0;
}

struct producers {
    struct log **logs;
    int logs_count;
    pthread_mutex_t append_mutex; /* the partition's lock */
    _Atomic int next, broken;
};

static void *produce(void *context)
{
    struct producers *p = context;
    struct log *log = p->logs[p->next++ % p->logs_count];
    for (int i = 0; i < APPENDS_EACH; i++) {
        struct batch_spec spec = {.records = 2};
        struct append_result result = {0};
        pthread_mutex_lock(&p->append_mutex);
        enum err e = append(log, &spec, &result);
        pthread_mutex_unlock(&p->append_mutex);
        waiting++;
        if (e || !result.needs_flush || log_flush_to(log, result.last_offset + 1) ||
            log_recovery_point(log) <= result.last_offset)
            p->broken++;
        waiting--;
    }
    producing--;
    return NULL;
}

static void produce_by_all(struct log **logs, int logs_count)
{
    struct producers p = {.logs = logs, .logs_count = logs_count};
    pthread_t threads[PRODUCERS];
    pthread_mutex_init(&p.append_mutex, NULL);
    producing = PRODUCERS;
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &p), 0);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&p.append_mutex);
    assert_int_equal(p.broken, 0);
}

static void test_64_producers_of_one_partition_share_syncs(void **state)
{
    struct fixture *f = *state;
    f->config.flush_messages = 1;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    count_syncs();
    produce_by_all(&log, 1);
    file_ops = &file_ops_system;
    assert_int_equal(log_end_offset(log), PRODUCERS * APPENDS_EACH * 2);
    assert_true(syncs < PRODUCERS * APPENDS_EACH / 4);
}

static void test_producers_of_many_partitions_do_not_wait_for_each_other(void **state)
{
    struct fixture *f = *state;
    f->config.flush_messages = 1;
    fixture_start(f);
    struct log *logs[8];
    for (int i = 0; i < 8; i++)
        logs[i] = fixture_log(f, "orders", i);
    count_syncs();
    produce_by_all(logs, 8);
    file_ops = &file_ops_system;
    assert_true(syncs < PRODUCERS * APPENDS_EACH / 2);
}

/* One of those that wait without a thread, and appends again as soon as it is told. */
struct asker {
    struct log_flush_waiter waiter;
    struct producers *producers;
    struct log *log;
    int left;
};

static _Atomic int askers_done;

static void ask_again(struct asker *asker)
{
    struct producers *p = asker->producers;
    struct batch_spec spec = {.records = 2};
    struct append_result result = {0};
    pthread_mutex_lock(&p->append_mutex);
    enum err e = append(asker->log, &spec, &result);
    pthread_mutex_unlock(&p->append_mutex);
    if (e || !result.needs_flush)
        p->broken++;
    asker->waiter.offset = result.last_offset + 1;
    waiting++;
    log_flush_begin(asker->log, &asker->waiter);
}

static void told(struct log_flush_waiter *waiter, enum err e)
{
    struct asker *asker = CONTAINER_OF(waiter, struct asker, waiter);
    if (e || log_recovery_point(asker->log) < waiter->offset)
        asker->producers->broken++;
    waiting--;
    if (--asker->left > 0) {
        ask_again(asker);
        return;
    }
    producing--;
    askers_done++;
}

/* The appends of all, by callbacks alone. */
static void ask_by_all(struct log **logs, int logs_count)
{
    static struct asker askers[PRODUCERS];
    struct producers p = {.logs = logs, .logs_count = logs_count};
    pthread_mutex_init(&p.append_mutex, NULL);
    askers_done = 0;
    producing = PRODUCERS;
    for (int i = 0; i < PRODUCERS; i++) {
        askers[i] = (struct asker){.waiter = {.done = told},
                                   .producers = &p,
                                   .log = logs[i % logs_count],
                                   .left = APPENDS_EACH};
        ask_again(&askers[i]);
    }
    while (askers_done < PRODUCERS)
        usleep(100);
    pthread_mutex_destroy(&p.append_mutex);
    assert_int_equal(p.broken, 0);
}

static void test_who_waits_without_a_thread_shares_syncs_and_is_told_after_them(void **state)
{
    struct fixture *f = *state;
    f->config.flush_messages = 1;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    count_syncs();
    ask_by_all(&log, 1);
    file_ops = &file_ops_system;
    assert_int_equal(log_end_offset(log), PRODUCERS * APPENDS_EACH * 2);
    assert_true(syncs < PRODUCERS * APPENDS_EACH / 4);
}

static _Atomic int syncing, syncing_max;

static int overlapping_fdatasync(int fd)
{
    int now = ++syncing, max = syncing_max;
    while (now > max && !atomic_compare_exchange_weak(&syncing_max, &max, now))
        ;
    usleep(SYNC_US);
    syncing--;
    return file_ops_system.fdatasync(fd);
}

/* The fixture has one worker: what waits for a disk takes none of it. */
static void test_many_logs_are_synced_side_by_side_however_few_the_workers(void **state)
{
    struct fixture *f = *state;
    f->config.flush_messages = 1;
    fixture_start(f);
    struct log *logs[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++)
        logs[i] = fixture_log(f, "orders", i);
    slow = file_ops_system;
    slow.fdatasync = overlapping_fdatasync;
    file_ops = &slow;
    syncing = syncing_max = 0;
    ask_by_all(logs, PRODUCERS);
    file_ops = &file_ops_system;
    assert_true(syncing_max > 8);
}

static void test_who_has_nothing_to_wait_for_is_told_at_once(void **state)
{
    struct fixture *f = *state;
    f->config.flush_messages = 1;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct producers p = {0};
    struct asker asker = {
        .waiter = {.offset = 2, .done = told}, .producers = &p, .log = log, .left = 1};
    askers_done = 0;
    log_flush_begin(log, &asker.waiter); /* beyond the end: nothing to wait for */
    assert_int_equal(askers_done, 1);
    p.broken = 0;
    append_many(log, 1, 2, 10);
    asker.left = 1;
    assert_err(log_flush(log), ERR_OK);
    log_flush_begin(log, &asker.waiter);
    assert_int_equal(askers_done, 2);
    assert_int_equal(p.broken, 0);
}

static void test_what_another_sync_covered_costs_none(void **state)
{
    struct fixture *f = *state;
    f->config.flush_messages = 1;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 3, 2, 10);
    assert_err(log_flush(log), ERR_OK);
    append_many(log, 1, 2, 10);
    count_syncs();
    assert_err(log_flush_to(log, 6), ERR_OK);
    assert_int_equal(syncs, 0);
    assert_err(log_flush_to(log, 8), ERR_OK);
    assert_int_equal(syncs, 1);
    file_ops = &file_ops_system;
}

static void test_a_repeated_batch_waits_for_the_sync_of_the_first(void **state)
{
    struct fixture *f = *state;
    f->config.flush_messages = 1;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    struct batch_spec spec = {.records = 2, .has_producer = true, .producer_id = 7};
    struct append_result result = {0};
    assert_err(append(log, &spec, NULL), ERR_OK);
    assert_err(append(log, &spec, &result), ERR_OK);
    assert_true(result.is_duplicate);
    assert_true(result.needs_flush);
    assert_err(log_flush_to(log, result.last_offset + 1), ERR_OK);
    assert_err(append(log, &spec, &result), ERR_OK);
    assert_false(result.needs_flush);
}

static void test_a_stop_syncs_many_logs_by_one_call(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    log_manager_stop_timer(f->manager); /* the stop finds every small file unwritten */
    for (int i = 0; i < 50; i++) {
        append_many(fixture_log(f, "orders", i), 1, 2, 10);
        assert_err(log_assign_epoch(fixture_find(f, "orders", i), 3, 2), ERR_OK);
    }
    count_syncs();
    fixture_stop(f);
    assert_int_equal(syncs, 0);   /* fdatasync, that is: the file system was synced as a whole */
    assert_true(file_syncs < 10); /* the directory's checkpoints and mark; no log's epochs */
    file_ops = &file_ops_system;
    fixture_start(f);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(log_end_offset(fixture_log(f, "orders", i)), 2);
        assert_int_equal(log_recovery_point(fixture_log(f, "orders", i)), 2);
        assert_int_equal(log_latest_epoch(fixture_log(f, "orders", i)), 3);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_64_producers_of_one_partition_share_syncs),
        T(test_producers_of_many_partitions_do_not_wait_for_each_other),
        T(test_who_waits_without_a_thread_shares_syncs_and_is_told_after_them),
        T(test_many_logs_are_synced_side_by_side_however_few_the_workers),
        T(test_who_has_nothing_to_wait_for_is_told_at_once),
        T(test_what_another_sync_covered_costs_none),
        T(test_a_repeated_batch_waits_for_the_sync_of_the_first),
        T(test_a_stop_syncs_many_logs_by_one_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
