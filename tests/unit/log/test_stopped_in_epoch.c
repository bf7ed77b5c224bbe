/* In which broker epoch the logs were last stopped cleanly, which is what a broker tells others of
 * what it has not lost: only if every directory says so, and says the same. */
#include "log_fixture.h"

#include <stdio.h>
#include <unistd.h>

#define EPOCH 7 /* of the fixture's stops */

static void mark_path(const char *dir, char path[static 160])
{
    snprintf(path, 160, "%s/.kafka_cleanshutdown", dir);
}

static void put_mark(const char *dir, const char *text)
{
    char path[160];
    mark_path(dir, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int64_t after_start(struct fixture *f)
{
    fixture_start(f);
    return log_manager_stopped_in_epoch(f->manager);
}

static void begin_with_two_directories(struct fixture *f)
{
    f->dirs_count = 2;
    fixture_start(f);
    assert_err(append(fixture_log(f, "orders", 0), &(struct batch_spec){0}, NULL), ERR_OK);
    assert_err(append(fixture_log(f, "orders", 1), &(struct batch_spec){0}, NULL), ERR_OK);
    fixture_stop(f);
}

static void test_the_mark_of_a_clean_stop_names_the_epoch(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(after_start(f), -1); /* never stopped */
    fixture_stop(f);
    assert_int_equal(after_start(f), EPOCH);
    fixture_kill(f);
    assert_int_equal(after_start(f), -1);
}

static void test_every_directory_must_have_been_stopped_in_the_same_epoch(void **state)
{
    struct fixture *f = *state;
    begin_with_two_directories(f);
    assert_int_equal(after_start(f), EPOCH);
    fixture_stop(f);
    put_mark(f->second_dir, "{\"version\":0,\"brokerEpoch\":6}"); /* it was elsewhere meanwhile */
    assert_int_equal(after_start(f), -1);
}

static void test_a_directory_without_the_mark_makes_the_stop_unclean_also_an_empty_one(void **state)
{
    struct fixture *f = *state;
    char path[160];
    begin_with_two_directories(f);
    mark_path(f->second_dir, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(after_start(f), -1);
    fixture_stop(f);
    assert_int_equal(after_start(f), EPOCH);
    fixture_stop(f);
    f->dirs_count = 1;
    assert_int_equal(after_start(f), EPOCH);
    fixture_stop(f);
    f->dirs_count = 2; /* a disk that has stood by, or a new one in its place */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(after_start(f), -1);
}

static void test_a_mark_that_names_no_epoch_tells_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const marks[] = {"", "{\"version\":0}", "{\"version\":0,\"brokerEpoch\":-1}",
                                        "{\"version\":0,\"brokerEpoch\":null}"};
    fixture_start(f);
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        fixture_stop(f);
        put_mark(f->dir, marks[i]);
        assert_int_equal(after_start(f), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_mark_of_a_clean_stop_names_the_epoch,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_every_directory_must_have_been_stopped_in_the_same_epoch, fixture_setup,
            fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_directory_without_the_mark_makes_the_stop_unclean_also_an_empty_one,
            fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_mark_that_names_no_epoch_tells_nothing,
                                        fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
