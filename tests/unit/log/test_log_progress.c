/* One huge log says how far the reading of it has come, in bytes and segments and time. The disk of
 * these tests takes a second for each read, by a clock that is moved by hand. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/trace.h"
#include "log_fixture.h"

#define READ_TAKES_MS   1000
#define SPEAK_EVERY_MS  5000
#define LINES_MAX       64
#define BATCH_VALUES    50000
#define BATCHES         100
#define SEGMENT_BATCHES 20 /* in the 1 MiB of the fixture's segments */

static struct clock_manual *disk_clock;
static char lines[LINES_MAX][512];
static int lines_count;

static ssize_t slow_pread(int fd, void *data, size_t size, off_t position)
{
    if (size > 4096)
        clock_manual_advance_ms(disk_clock, READ_TAKES_MS);
    return file_ops_system.pread(fd, data, size, position);
}

static void hear(enum trace_level level, const char *line, void *context)
{
    (void)context;
    if (level == TRACE_INFO && lines_count < LINES_MAX)
        snprintf(lines[lines_count++], sizeof lines[0], "%s", line);
}

static void start_on_a_slow_disk(struct fixture *f)
{
    static struct file_ops slow;
    const struct file_ops *before = file_ops;
    slow = *before;
    slow.pread = slow_pread;
    disk_clock = &f->clock;
    lines_count = 0;
    trace_set_sink(hear, NULL);
    file_ops = &slow;
    fixture_start(f);
    file_ops = before;
    trace_set_sink(NULL, NULL);
}

/* The number behind `key=` of the line. */
static int64_t value_of(const char *line, const char *key)
{
    char name[64];
    int64_t value = -1;
    snprintf(name, sizeof name, " %s=", key);
    const char *at = strstr(line, name);
    if (!at || sscanf(at + strlen(name), "%" SCNd64, &value) != 1)
        fail_msg("no %s in: %s", key, line);
    return value;
}

static int find_lines(const char *words, const char **ret, int max)
{
    int count = 0;
    for (int i = 0; i < lines_count && count < max; i++)
        if (strstr(lines[i], words))
            ret[count++] = lines[i];
    return count;
}

/* The lines tell the same story: more is done each time, what is left goes down, and the last says
 * the whole. */
static void expect_progress(const char *during, const char *after, int64_t bytes, int segments)
{
    const char *told[LINES_MAX];
    int count = find_lines(during, told, LINES_MAX - 1);
    assert_true(count >= 2);
    assert_int_equal(find_lines(after, told + count, 2), 1);
    for (int i = 0; i < count; i++) {
        int64_t done = value_of(told[i], "done_bytes"), elapsed = value_of(told[i], "elapsed_ms");
        int64_t before_ms = i > 0 ? value_of(told[i - 1], "elapsed_ms") : 0;
        assert_non_null(strstr(told[i], " topic=orders partition=0 "));
        assert_int_equal(value_of(told[i], "of_bytes"), bytes);
        assert_int_equal(value_of(told[i], "of_segments"), segments);
        assert_in_range(value_of(told[i], "done_segments"), 0, segments - 1);
        assert_int_equal(value_of(told[i], "bytes_per_second"), done * 1000 / elapsed);
        assert_in_range(value_of(told[i], "left_ms"), elapsed * (bytes - done) / done - 1,
                        elapsed * (bytes - done) / done + 1);
        assert_true(elapsed - before_ms >= SPEAK_EVERY_MS);
        assert_true(elapsed - before_ms <= SPEAK_EVERY_MS + 2 * READ_TAKES_MS);
        assert_true(i == 0 || done > value_of(told[i - 1], "done_bytes"));
    }
    assert_int_equal(value_of(told[count], "done_bytes"), bytes);
    assert_int_equal(value_of(told[count], "done_segments"), segments);
    assert_int_equal(value_of(told[count], "left_ms"), 0);
}

static int64_t segments_size(struct fixture *f, int count)
{
    struct log *log = fixture_find(f, "orders", 0);
    int64_t size = 0;
    assert_non_null(log);
    assert_true(log->list->count >= count);
    for (int i = 0; i < count; i++)
        size += log->list->items[i]->size_bytes;
    return size;
}

static void begin(struct fixture *f)
{
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), BATCHES, 1, BATCH_VALUES);
}

static void test_the_recovery_of_one_huge_log_says_how_far_it_is(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int segments = BATCHES / SEGMENT_BATCHES;
    int64_t size = segments_size(f, segments);
    fixture_kill(f);
    start_on_a_slow_disk(f);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), BATCHES);
    expect_progress("log is being recovered", "log is recovered", size, segments);
}

static void test_a_torn_end_is_over_where_the_log_ends(void **state)
{
    struct fixture *f = *state;
    begin(f);
    char last[64];
    snprintf(last, sizeof last, "orders-0/%020d.log", BATCHES - SEGMENT_BATCHES);
    fixture_kill(f);
    file_cut(f, last, file_size(f, last) - 7);
    start_on_a_slow_disk(f);
    const char *told[2];
    assert_int_equal(find_lines("log is recovered", told, 2), 1);
    assert_int_equal(value_of(told[0], "done_bytes"), segments_size(f, BATCHES / SEGMENT_BATCHES));
    assert_int_equal(value_of(told[0], "left_ms"), 0);
}

static void test_a_log_that_is_recovered_in_a_moment_says_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 10, 1, BATCH_VALUES);
    fixture_kill(f);
    start_on_a_slow_disk(f);
    const char *told[2];
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 10);
    assert_int_equal(find_lines("recovered", told, 2), 0);
    assert_int_equal(find_lines("producers", told, 2), 0);
}

static void remove_snapshots(struct fixture *f)
{
    char path[160];
    struct dirent *entry;
    snprintf(path, sizeof path, "%s/orders-0", f->dir);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        snprintf(path, sizeof path, "orders-0/%.100s", entry->d_name);
        if (strstr(entry->d_name, ".snapshot"))
            file_remove(f, path);
    }
    closedir(dir);
}

static void test_a_log_without_snapshots_says_how_far_its_producers_are_read(void **state)
{
    struct fixture *f = *state;
    begin(f);
    int segments = BATCHES / SEGMENT_BATCHES - 1; /* below the last */
    int64_t size = segments_size(f, segments);
    fixture_stop(f); /* the recovery point is the end */
    file_remove(f, ".kafka_cleanshutdown");
    remove_snapshots(f);
    start_on_a_slow_disk(f);
    expect_progress("producers are being read", "producers are read", size, segments);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_the_recovery_of_one_huge_log_says_how_far_it_is),
        T(test_a_torn_end_is_over_where_the_log_ends),
        T(test_a_log_that_is_recovered_in_a_moment_says_nothing),
        T(test_a_log_without_snapshots_says_how_far_its_producers_are_read),
    };
    fixture_leave_out_the_disk();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
