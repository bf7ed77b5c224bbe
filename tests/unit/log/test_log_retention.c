/* Rolling, retention, search by time, and what a log directory may hold. */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "log_fixture.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static int segments(struct log *log)
{
    struct segment_list *list = log_pin(log);
    int count = list->count;
    segment_list_unref(list);
    return count;
}

static void append_at(struct log *log, int64_t timestamp)
{
    struct batch_spec spec = {.records = 1, .value_size = 100, .timestamp = timestamp};
    assert_err(append(log, &spec, NULL), ERR_OK);
    log_set_high_watermark(log, log_end_offset(log));
}

static void test_trap_31_an_index_entry_is_last_offset_and_start_of_a_batch(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 20, 3, 100);
    int64_t batch = log_size_bytes(log) / 20;
    fixture_stop(f);
    struct buf index = file_get(f, "orders-0/00000000000000000000.index");
    assert_true(index.size > 0);
    for (size_t at = 0; at < index.size; at += 8) {
        int64_t position = get_be32(index.data + at + 4);
        assert_int_equal(position % batch, 0);
        assert_int_equal(get_be32(index.data + at), position / batch * 3 + 2);
        assert_true(position > 0);
    }
    buf_done(&index);
}

static void test_trap_34_a_locked_directory_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log_manager *first = TAKE(f->manager);
    assert_err(fixture_try_start(f), ERR_EXISTS);
    /* And by the record lock that a JVM broker would take, from another process. */
    pid_t child = fork();
    if (child == 0) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/.lock", f->dir);
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _exit(fcntl(open(path, O_RDWR), F_SETLK, &whole) == 0 ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    f->manager = first;
}

static void test_trap_35_without_a_checkpoint_the_high_watermark_is_the_log_start(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 3, 1, 10);
    fixture_restart(f);
    assert_int_equal(log_manager_checkpointed_high_watermark(f->manager, "orders", 0), -1);
    assert_int_equal(atomic_load(&fixture_find(f, "orders", 0)->high_watermark), 0);
}

static void test_trap_37_a_segment_rolls_by_record_time(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_at(log, 1 * DAY_MS);
    append_at(log, 9 * DAY_MS);
    assert_int_equal(segments(log), 2);
    clock_manual_advance_ms(&f->clock, 30 * DAY_MS); /* the wall clock does not matter */
    append_at(log, 10 * DAY_MS);
    assert_int_equal(segments(log), 2);
}

static void test_trap_38_retention_goes_by_the_greatest_timestamp(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 300;
    f->config.retention_ms = DAY_MS;
    int64_t now = clock_wall_ms(&f->clock.clock);
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    for (int i = 0; i < 6; i++)
        append_at(log, now - 2 * DAY_MS);
    assert_err(log_retain(log), ERR_OK);
    assert_int_equal(segments(log), 1);
    assert_int_equal(log_start_offset(log), 6);
    append_at(log, now + 1000 * DAY_MS); /* pins its segment for ever */
    clock_manual_advance_ms(&f->clock, 900 * DAY_MS);
    assert_err(log_retain(log), ERR_OK);
    assert_int_equal(log_start_offset(log), 6);
    log_manager_remove_due(f->manager, false);
    assert_false(file_exists(f, "orders-0/00000000000000000000.log.deleted"));
}

static void age_file(struct fixture *f, const char *name, int64_t mtime_ms)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime_ms / 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_trap_38_without_timestamps_retention_goes_by_the_files_age(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 200;
    f->config.retention_ms = DAY_MS;
    int64_t now = clock_wall_ms(&f->clock.clock);
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    for (int i = 0; i < 3; i++)
        append_at(log, NO_TIMESTAMP);
    assert_int_equal(segments(log), 3);
    age_file(f, "orders-0/00000000000000000000.log", now - 2 * DAY_MS);
    age_file(f, "orders-0/00000000000000000001.log", now - DAY_MS / 2);
    assert_err(log_retain(log), ERR_OK);
    assert_int_equal(log_start_offset(log), 1);
}

/* There it is the cleaner's work, here retention's own: no cleaner that ended can hinder it. */
static void test_trap_40_what_is_compacted_and_deleted_goes_by_age_and_size(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 400;
    f->config.cleanup_policy = CLEANUP_COMPACT | CLEANUP_DELETE;
    f->config.retention_bytes = 1000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 20, 1, 100);
    assert_err(log_retain(log), ERR_OK);
    assert_true(log_size_bytes(log) >= 1000 && log_size_bytes(log) < 1400);
    struct log_config config = f->config;
    config.retention_ms = DAY_MS;
    log_set_config(log, &config);
    assert_err(log_retain(log), ERR_OK);
    assert_int_equal(log_start_offset(log), 20);
}

static void
test_retention_by_size_keeps_at_least_that_much_and_nothing_above_the_high_watermark(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 400;
    f->config.retention_bytes = 1000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 20, 1, 100);
    log_set_high_watermark(log, 0);
    assert_err(log_retain(log), ERR_OK);
    assert_int_equal(log_start_offset(log), 0);
    log_set_high_watermark(log, 20);
    assert_err(log_retain(log), ERR_OK);
    assert_true(log_size_bytes(log) >= 1000 && log_size_bytes(log) < 1400);
    assert_int_equal(check_readable(log, log_start_offset(log), 20), 20 - log_start_offset(log));
}

static void
test_trap_39_a_compacted_log_loses_what_is_below_its_start_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 400;
    f->config.retention_bytes = 0;
    f->config.retention_ms = 0;
    f->config.cleanup_policy = CLEANUP_COMPACT;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 20, 1, 100);
    int before = segments(log);
    assert_err(log_retain(log), ERR_OK);
    assert_int_equal(segments(log), before);
    assert_err(log_raise_start(log, 10, 20), ERR_OK);
    assert_err(log_retain(log), ERR_OK);
    assert_true(segments(log) < before);
    assert_int_equal(check_readable(log, 10, 20), 10);
    fixture_crash(f);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 20);
}

static void test_trap_41_names_with_dashes_and_dots_are_topics(void **state)
{
    (void)state;
    struct partition_dir dir;
    assert_true(partition_dir_parse("a-b-0", &dir));
    assert_string_equal(dir.topic, "a-b");
    assert_true(partition_dir_parse("x-5-delete-0", &dir));
    assert_string_equal(dir.topic, "x-5-delete");
    assert_int_equal(dir.kind, DIR_LOG);
    assert_true(partition_dir_parse("a.b-7.0123456789abcdef0123456789abcdef-delete", &dir));
    assert_string_equal(dir.topic, "a.b");
    assert_int_equal(dir.partition, 7);
    assert_int_equal(dir.kind, DIR_DELETE);
    assert_false(partition_dir_parse("x-5-delete", &dir));
    assert_false(partition_dir_parse("lost+found", &dir));
    assert_false(partition_dir_parse("-1", &dir));
    char name[DIR_NAME_MAX + 1], topic[TOPIC_NAME_MAX + 1];
    memset(topic, 't', TOPIC_NAME_MAX);
    topic[TOPIC_NAME_MAX] = 0;
    partition_dir_marked_name(topic, 12, DIR_DELETE, name);
    assert_true(strlen(name) <= DIR_NAME_MAX);
    assert_true(partition_dir_parse(name, &dir));
    assert_int_equal(dir.partition, 12);
}

static void test_trap_42_another_topic_id_is_refused_and_the_log_untouched(void **state)
{
    struct fixture *f = *state;
    struct log *log;
    struct uuid id = uuid_random();
    fixture_start(f);
    assert_err(log_manager_create(f->manager, "orders", 0, id, &log), ERR_OK);
    append_many(log, 1, 1, 10);
    assert_true(file_exists(f, "orders-0/partition.metadata"));
    fixture_restart(f);
    log = fixture_find(f, "orders", 0);
    assert_true(uuid_equal(log_topic_id(log), id));
    assert_err(log_set_topic_id(log, uuid_random()), ERR_INCONSISTENT_TOPIC_ID);
    assert_err(log_manager_create(f->manager, "orders", 0, uuid_random(), &log),
               ERR_INCONSISTENT_TOPIC_ID);
    assert_int_equal(log_end_offset(fixture_find(f, "orders", 0)), 1);
}

static void test_trap_46_only_known_names_are_left_and_lost_and_found_is_tolerated(void **state)
{
    static const char *const known[] = {".",
                                        "..",
                                        ".lock",
                                        ".kafka_cleanshutdown",
                                        "meta.properties",
                                        "lost+found",
                                        "orders-0",
                                        "recovery-point-offset-checkpoint",
                                        "log-start-offset-checkpoint",
                                        "replication-offset-checkpoint"};
    struct fixture *f = *state;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/lost+found", f->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    fixture_start(f);
    append_many(fixture_log(f, "orders", 0), 3, 1, 10);
    fixture_stop(f);
    DIR *dir = opendir(f->dir);
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        bool is_known = false;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
            is_known |= strcmp(entry->d_name, known[i]) == 0;
        if (!is_known)
            fail_msg("unknown name %s", entry->d_name);
    }
    closedir(dir);
}

static void test_a_partition_in_two_directories_is_fatal(void **state)
{
    struct fixture *f = *state;
    f->dirs_count = 2;
    fixture_start(f);
    fixture_log(f, "orders", 0);
    fixture_log(f, "orders", 1);
    fixture_stop(f);
    char path[PATH_MAX];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/orders-%d", f->second_dir, i);
        mkdir(path, 0755);
        snprintf(path, sizeof path, "%s/orders-%d", f->dir, i);
        mkdir(path, 0755);
    }
    assert_err(fixture_try_start(f), ERR_INVALID_CONFIG);
}

static void test_offsets_are_found_by_time(void **state)
{
    struct fixture *f = *state;
    f->config.segment_bytes = 2000;
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    for (int i = 0; i < 100; i++) {
        struct batch_spec spec = {.records = 3, .timestamp = 1000 + 10 * i};
        assert_err(append(log, &spec, NULL), ERR_OK);
    }
    for (int round = 0; round < 2; round++) {
        struct timestamp_offset found;
        for (int64_t t = 900; t < 2000; t += 7) {
            int64_t i = t <= 1000 ? 0 : (t - 1000) / 10, in = t <= 1000 ? 0 : (t - 1000) % 10;
            int64_t expected = in > 2 ? 3 * (i + 1) : 3 * i + in;
            assert_err(log_offset_for_timestamp(log, t, &found), ERR_OK);
            assert_int_equal(found.offset, expected < 300 ? expected : -1);
        }
        assert_err(log_offset_of_max_timestamp(log, &found), ERR_OK);
        assert_int_equal(found.offset, 299);
        assert_int_equal(found.timestamp_ms, 1992);
        fixture_restart(f);
        log = fixture_find(f, "orders", 0);
    }
}

static void test_keys_of_meta_properties_that_we_do_not_know_are_kept(void **state)
{
    struct fixture *f = *state;
    const char *text =
        "#by hand\ndirectory.id=AAAAAAAAAAAAAAAAAAAABQ\nversion=0\nsome.key=some value\n";
    file_put(f, "meta.properties", text, strlen(text), 0);
    fixture_start(f);
    struct buf now = file_get(f, "meta.properties");
    assert_non_null(strstr((char *)now.data, "some.key=some value\n"));
    assert_non_null(strstr((char *)now.data, "directory.id=AAAAAAAAAAAAAAAAAAAABQ\n"));
    assert_non_null(strstr((char *)now.data, "broker.id=1\n"));
    buf_done(&now);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_trap_31_an_index_entry_is_last_offset_and_start_of_a_batch),
        T(test_trap_34_a_locked_directory_is_refused),
        T(test_trap_35_without_a_checkpoint_the_high_watermark_is_the_log_start),
        T(test_trap_37_a_segment_rolls_by_record_time),
        T(test_trap_38_retention_goes_by_the_greatest_timestamp),
        T(test_trap_38_without_timestamps_retention_goes_by_the_files_age),
        T(test_trap_40_what_is_compacted_and_deleted_goes_by_age_and_size),
        T(test_retention_by_size_keeps_at_least_that_much_and_nothing_above_the_high_watermark),
        T(test_trap_39_a_compacted_log_loses_what_is_below_its_start_and_nothing_else),
        T(test_trap_41_names_with_dashes_and_dots_are_topics),
        T(test_trap_42_another_topic_id_is_refused_and_the_log_untouched),
        T(test_trap_46_only_known_names_are_left_and_lost_and_found_is_tolerated),
        T(test_a_partition_in_two_directories_is_fatal),
        T(test_offsets_are_found_by_time),
        T(test_keys_of_meta_properties_that_we_do_not_know_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
