/* The disk fails: the sweep fails the first call that changes something, then the second, until a
 * run passes untouched. After each, the log that is opened again is whole batches up to the last
 * flush or later. */
#include "log_fixture.h"

#include <errno.h>

/* Log workers call the faulty functions too. */
static _Atomic int calls_left; /* until the one that fails; below zero: none does */
static _Atomic int fail_errno;
static _Atomic bool keeps_failing;

static bool fails(void)
{
    if (calls_left < 0)
        return false;
    if (calls_left > 0) {
        calls_left--;
        return false;
    }
    if (!keeps_failing)
        calls_left = -1;
    errno = fail_errno;
    return true;
}

static int faulty_open(int dir_fd, const char *path, int flags, mode_t mode)
{
    return fails() ? -1 : file_ops_system.open(dir_fd, path, flags, mode);
}

/* Half of the bytes arrive. */
static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t position)
{
    if (!fails())
        return file_ops_system.pwrite(fd, data, size, position);
    (void)!file_ops_system.pwrite(fd, data, size / 2, position);
    errno = fail_errno;
    return -1;
}

static ssize_t faulty_pread(int fd, void *data, size_t size, off_t position)
{
    return fails() ? -1 : file_ops_system.pread(fd, data, size, position);
}

static int faulty_ftruncate(int fd, off_t size)
{
    return fails() ? -1 : file_ops_system.ftruncate(fd, size);
}

static int faulty_fsync(int fd)
{
    return fails() ? -1 : file_ops_system.fsync(fd);
}

static int faulty_rename(const char *from, const char *to)
{
    return fails() ? -1 : file_ops_system.rename(from, to);
}

static int faulty_unlink(const char *path)
{
    return fails() ? -1 : file_ops_system.unlink(path);
}

static int faulty_mkdir(const char *path, mode_t mode)
{
    return fails() ? -1 : file_ops_system.mkdir(path, mode);
}

static struct file_ops faulty;

static void arm(int calls, int code)
{
    faulty = file_ops_system;
    faulty.open = faulty_open;
    faulty.pwrite = faulty_pwrite;
    faulty.pread = faulty_pread;
    faulty.ftruncate = faulty_ftruncate;
    faulty.fsync = faulty.fdatasync = faulty_fsync;
    faulty.rename = faulty_rename;
    faulty.unlink = faulty_unlink;
    faulty.mkdir = faulty_mkdir;
    calls_left = calls;
    fail_errno = code;
    file_ops = &faulty;
}

/* A day in a log's life; gives what was promised: flushed, and acknowledged. */
static void live(struct fixture *f, int64_t *ret_flushed, int64_t *ret_acknowledged)
{
    *ret_flushed = *ret_acknowledged = 0;
    if (fixture_try_start(f))
        return;
    struct log *log = NULL;
    if (log_manager_create(f->manager, "orders", 0, UUID_ZERO, &log))
        return;
    struct batch_spec spec = {
        .records = 3, .value_size = 40, .has_producer = true, .producer_id = 5};
    for (int i = 0; i < 12; i++) {
        spec.leader_epoch = i / 5;
        if (append(log, &spec, NULL) == ERR_OK) {
            spec.base_sequence += 3;
            *ret_acknowledged = log_end_offset(log);
        }
        if (i % 4 == 3 && log_flush(log) == ERR_OK)
            *ret_flushed = *ret_acknowledged;
    }
    log_manager_stop(f->manager, 1);
}

static void check_after(struct fixture *f, int64_t flushed, int64_t acknowledged)
{
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    assert_true(log_end_offset(log) >= flushed);
    assert_true(log_end_offset(log) <= acknowledged);
    assert_int_equal(log_end_offset(log), acknowledged); /* no bytes were lost: only calls failed */
    assert_int_equal(check_readable(log, 0, log_end_offset(log)), log_end_offset(log));
    append_many(log, 2, 3, 40);
    fixture_stop(f);
}

static void sweep(int code, bool keeps)
{
    bool was_met = true;
    for (int n = 0; was_met; n++) {
        struct fixture *f;
        int64_t flushed, acknowledged;
        fixture_setup((void **)&f);
        f->config.segment_bytes = 700;
        keeps_failing = keeps;
        arm(n, code);
        live(f, &flushed, &acknowledged);
        was_met = keeps ? calls_left == 0 : calls_left < 0;
        file_ops = &file_ops_system;
        if (f->manager)
            fixture_kill(f);
        check_after(f, flushed, acknowledged);
        fixture_teardown((void **)&f);
        assert_true(n < 2000);
    }
}

static void test_whatever_call_fails_once_with_eio_the_log_stays_whole(void **state)
{
    (void)state;
    sweep(EIO, false);
}

static void test_whatever_call_fails_for_good_with_eio_the_log_stays_whole(void **state)
{
    (void)state;
    sweep(EIO, true);
}

static void test_whatever_call_fails_once_with_enospc_the_log_stays_whole(void **state)
{
    (void)state;
    sweep(ENOSPC, false);
}

static _Atomic bool is_full;

static ssize_t full_pwrite(int fd, const void *data, size_t size, off_t position)
{
    if (!is_full)
        return file_ops_system.pwrite(fd, data, size, position);
    (void)!file_ops_system.pwrite(fd, data, size / 2, position);
    errno = ENOSPC;
    return -1;
}

static void test_a_full_disk_refuses_appends_and_service_resumes_with_room(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 5, 3, 50);
    int64_t size = file_size(f, "orders-0/00000000000000000000.log");
    faulty = file_ops_system;
    faulty.pwrite = full_pwrite;
    file_ops = &faulty;
    is_full = true;
    struct batch_spec spec = {
        .records = 3, .value_size = 50, .has_producer = true, .producer_id = 9};
    for (int i = 0; i < 3; i++)
        assert_err(append(log, &spec, NULL), ERR_NO_SPACE);
    assert_int_equal(file_size(f, "orders-0/00000000000000000000.log"), size);
    assert_int_equal(check_readable(log, 0, 15), 15);
    is_full = false;
    assert_err(append(log, &spec, NULL),
               ERR_OK); /* the failed ones left no trace in the producer's state */
    assert_int_equal(log_end_offset(log), 18);
    file_ops = &file_ops_system;
    assert_int_equal(f->dirs_failed, 0);
}

static void test_an_io_error_takes_the_directory_down_once(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0), *other = fixture_log(f, "orders", 1);
    append_many(log, 1, 1, 50);
    keeps_failing = true;
    arm(0, EIO);
    struct batch_spec spec = {.records = 3};
    assert_err(append(log, &spec, NULL), ERR_IO);
    file_ops = &file_ops_system;
    assert_err(append(log, &spec, NULL), ERR_IO);
    assert_err(append(other, &spec, NULL), ERR_IO);
    assert_int_equal(f->dirs_failed, 1);
    bool is_offline;
    assert_null(log_manager_get(f->manager, "orders", 1, &is_offline));
    assert_true(is_offline);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_full_disk_refuses_appends_and_service_resumes_with_room),
        T(test_an_io_error_takes_the_directory_down_once),
        T(test_whatever_call_fails_once_with_eio_the_log_stays_whole),
        T(test_whatever_call_fails_for_good_with_eio_the_log_stays_whole),
        T(test_whatever_call_fails_once_with_enospc_the_log_stays_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
