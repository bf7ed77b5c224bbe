/* Disk space ahead of a segment's end: who takes it, how much, and that it comes back. The calls
 * are counted, as most file systems of a test machine would not be asked at all; where /tmp can
 * keep blocks behind a file's end they are looked at, too. */
#include "log_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB   ((int64_t)1 << 20)
#define BATCH ((int)(MIB / 4)) /* bytes of a value, a little less than those of its batch */
#define LOG   "orders-0/00000000000000000000.log"

static struct file_ops counting;
static _Atomic int asked, cuts;              /* how often */
static _Atomic int64_t position, size_bytes; /* of the last */
static _Atomic int refuses;                  /* errno, or 0 */
static _Atomic int64_t room;

static int counting_allocate(int fd, off_t at, off_t size)
{
    asked++;
    position = at;
    size_bytes = size;
    if (refuses) {
        errno = refuses;
        return -1;
    }
    (void)!file_ops_system.allocate(fd, at, size);
    return 0;
}

static int64_t counting_room(int fd)
{
    (void)fd;
    return room;
}

static int counting_ftruncate(int fd, off_t size)
{
    cuts++;
    return file_ops_system.ftruncate(fd, size);
}

static int setup(void **state)
{
    fixture_setup(state);
    counting = file_ops_system;
    counting.allocate = counting_allocate;
    counting.room_ahead = counting_room;
    counting.ftruncate = counting_ftruncate;
    asked = cuts = refuses = 0;
    position = size_bytes = 0;
    room = 1024 * 1024 * MIB;
    file_ops = &counting;
    struct fixture *f = *state;
    f->config.segment_bytes = 64 << 20;
    return 0;
}

static int teardown(void **state)
{
    fixture_teardown(state);
    file_ops = &file_ops_system;
    return 0;
}

/* Appends until the log is at least so large. */
static void grow_to(struct log *log, int64_t size)
{
    while (log_size_bytes(log) < size)
        append_many(log, 1, 1, BATCH);
}

/* The next look is as far away as the segment was long at the last one, or at once if what was
 * held has been given back since, which happens by the real clock. */
static void grow_until_asked(struct log *log)
{
    while (asked == 0) {
        append_many(log, 1, 1, BATCH);
        assert_true(log_size_bytes(log) < 256 * MIB);
    }
}

static int64_t held(struct fixture *f)
{
    return atomic_load(&f->manager->dirs[0].ahead_bytes);
}

static int64_t blocks_bytes(struct fixture *f)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/" LOG, f->dir);
    assert_int_equal(stat(path, &st), 0);
    return (int64_t)st.st_blocks * 512;
}

/* The timer thread does it within a second of the real clock. */
static void await_nothing_held(struct fixture *f)
{
    for (int i = 0; held(f) > 0; i++) {
        assert_true(i < 10000);
        log_manager_tick(f->manager);
        poll(NULL, 0, 1);
    }
}

static void test_a_small_log_takes_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    grow_to(log, MIB / 2);
    assert_int_equal(asked, 0);
    assert_int_equal(held(f), 0);
}

static void test_a_step_is_as_long_as_the_log_and_ends_with_the_segment(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 40 << 20;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    int64_t longest = 0;
    while (log_size_bytes(log) < 39 * MIB) {
        int64_t before = log_size_bytes(log);
        int asked_before = asked;
        append_many(log, 1, 1, BATCH);
        assert_int_equal(file_size(f, LOG), log_size_bytes(log));
        if (asked == asked_before)
            continue;
        int64_t step = position + size_bytes - log_size_bytes(log);
        assert_int_equal(position, before);
        assert_true(step <= log_size_bytes(log) && step <= 16 * MIB);
        assert_true(position + size_bytes <= 40 * MIB);
        assert_int_equal(held(f), step);
        longest = step > longest ? step : longest;
    }
    assert_true(asked >= 5 && asked <= 8); /* 1, 2, 5, 10, 20, 36 MiB and then to the end */
    assert_int_equal(longest, 16 * MIB);
    assert_int_equal(position + size_bytes, 40 * MIB);
}

static void test_a_roll_gives_back_what_is_left(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    grow_to(log, 2 * MIB);
    assert_true(held(f) > 0);
    int64_t size = log_size_bytes(log);
    lock_acquire(&log->lock);
    enum err e = log_roll(log, log_end_offset(log));
    lock_release(&log->lock);
    assert_err(e, ERR_OK);
    assert_int_equal(held(f), 0);
    assert_int_equal(file_size(f, LOG), size);
    assert_true(blocks_bytes(f) < size + MIB / 2);
    grow_to(log, size + 2 * MIB); /* the next segment begins anew */
    assert_true(held(f) > 0);
}

static void test_an_orderly_stop_gives_back_what_is_left(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    grow_to(log, 2 * MIB);
    int64_t size = log_size_bytes(log);
    cuts = 0;
    fixture_stop(f);
    assert_true(cuts > 0);
    assert_int_equal(file_size(f, LOG), size);
    assert_true(blocks_bytes(f) < size + MIB / 2);
}

static void test_a_log_at_rest_gives_back_what_is_left(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    grow_to(log, 2 * MIB);
    assert_true(held(f) > 0);
    log_rest(log);
    assert_int_equal(held(f), 0);
    assert_true(blocks_bytes(f) < log_size_bytes(log) + MIB / 2);
    grow_to(log, 3 * MIB); /* and takes some again when it goes on */
    assert_true(held(f) > 0);
}

static void test_a_cut_log_counts_as_holding_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    grow_to(log, 2 * MIB);
    assert_err(log_truncate(log, 1), ERR_OK);
    assert_int_equal(held(f), 0);
    int asked_before = asked;
    grow_to(log, 2 * MIB);
    assert_true(asked > asked_before);
    assert_err(log_truncate_fully(log, 0), ERR_OK);
    assert_int_equal(held(f), 0);
}

static void test_a_recovery_gives_back_what_a_killed_run_held(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    grow_to(log, 2 * MIB);
    int64_t end = log_end_offset(log), size = log_size_bytes(log), before = blocks_bytes(f);
    fixture_kill(f);
    bool keeps_blocks = before >= size + MIB;
    cuts = 0;
    fixture_start(f);
    log = fixture_log(f, "orders", 0);
    assert_int_equal(log_end_offset(log), end);
    assert_int_equal(file_size(f, LOG), size);
    assert_int_equal(check_readable(log, 0, end), end);
    if (keeps_blocks)
        assert_true(cuts > 0 && blocks_bytes(f) < size + MIB / 2);
}

static void test_below_the_margin_nobody_takes_any(void **state)
{
    struct fixture *f = *state;
    room = AHEAD_MARGIN_BYTES + 15 * MIB; /* a step of 1 MiB is more than its 16th */
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    grow_to(log, 3 * MIB);
    assert_int_equal(asked, 0);
    room = AHEAD_MARGIN_BYTES + 1024 * MIB;
    grow_to(log, 8 * MIB);
    assert_true(asked > 0);
}

static void test_all_logs_together_hold_no_more_than_a_share_of_the_room(void **state)
{
    struct fixture *f = *state;
    room = AHEAD_MARGIN_BYTES + 100 * MIB;
    fixture_start(f);
    for (int i = 0; i < 10; i++)
        grow_to(fixture_log(f, "orders", i), MIB + MIB / 4);
    assert_true(asked > 0 && asked < 10);
    assert_true(held(f) <= 100 * MIB / 16);
}

static void test_where_room_gets_short_all_is_given_back(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    grow_to(log, 2 * MIB);
    grow_to(fixture_log(f, "orders", 1), 2 * MIB);
    int64_t size = log_size_bytes(log);
    room = AHEAD_MARGIN_BYTES - 1;
    await_nothing_held(f);
    assert_int_equal(file_size(f, LOG), size);
    assert_true(blocks_bytes(f) < size + MIB / 2);
    assert_int_equal(check_readable(log, 0, log_end_offset(log)), log_end_offset(log));
}

static void test_a_disk_that_refuses_is_gone_without_for_a_while(void **state)
{
    struct fixture *f = *state;
    int codes[] = {ENOSPC, EDQUOT, EOPNOTSUPP};
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    for (int i = 0; i < 3; i++) {
        refuses = codes[i];
        asked = 0;
        grow_until_asked(log); /* no append fails */
        grow_to(log, log_size_bytes(log) + 4 * MIB);
        assert_int_equal(asked, 1);
        await_nothing_held(f);
        clock_manual_advance_ms(&f->clock, 61000);
    }
    refuses = 0;
    asked = 0;
    grow_until_asked(log);
    assert_int_equal(f->dirs_failed, 0);
}

static void test_a_preallocated_log_takes_nothing_and_keeps_its_meaning(void **state)
{
    struct fixture *f = *state;
    f->config.preallocate = true;
    f->config.segment_bytes = 8 << 20;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    grow_to(log, 4 * MIB);
    assert_int_equal(asked, 0);
    assert_int_equal(file_size(f, LOG), 8 * MIB);
    int64_t size = log_size_bytes(log);
    fixture_stop(f);
    assert_int_equal(file_size(f, LOG), size);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_small_log_takes_nothing),
        T(test_a_step_is_as_long_as_the_log_and_ends_with_the_segment),
        T(test_a_roll_gives_back_what_is_left),
        T(test_an_orderly_stop_gives_back_what_is_left),
        T(test_a_log_at_rest_gives_back_what_is_left),
        T(test_a_cut_log_counts_as_holding_nothing),
        T(test_a_recovery_gives_back_what_a_killed_run_held),
        T(test_below_the_margin_nobody_takes_any),
        T(test_all_logs_together_hold_no_more_than_a_share_of_the_room),
        T(test_where_room_gets_short_all_is_given_back),
        T(test_a_disk_that_refuses_is_gone_without_for_a_while),
        T(test_a_preallocated_log_takes_nothing_and_keeps_its_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
