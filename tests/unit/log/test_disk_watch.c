/* What is under way on a disk is seen from another thread. A FIFO is the disk that stands still:
 * the system keeps who opens it for reading until a writer comes. */
#include "log_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/log/disk_watch.h"

#define TICK_NS INT64_C(20000000) /* more than the coarse clock's */
#define NOTES   2000000

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct stall {
    char path[200];
    pthread_t thread;
};

static void *open_and_close(void *context)
{
    int fd = file_ops_system.open(AT_FDCWD, ((struct stall *)context)->path, O_RDONLY, 0);
    assert_true(fd >= 0);
    assert_int_equal(file_ops_system.close(fd), 0);
    return NULL;
}

static void stall_begin(struct stall *stall, const char *dir, const char *name)
{
    snprintf(stall->path, sizeof stall->path, "%s/%s", dir, name);
    assert_int_equal(mkfifo(stall->path, 0600), 0);
    assert_int_equal(pthread_create(&stall->thread, NULL, open_and_close, stall), 0);
}

static void stall_end(struct stall *stall)
{
    int fd = open(stall->path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    pthread_join(stall->thread, NULL);
    close(fd);
    unlink(stall->path);
}

static void let_the_clock_tick(void)
{
    int64_t begun = now_ns();
    while (now_ns() < begun + 2 * TICK_NS)
        usleep(1000);
}

static int64_t wait_for_stall(const struct disk_watch *watch, size_t dir)
{
    int64_t since;
    while ((since = disk_watch_oldest(watch, dir)) == 0)
        usleep(1000);
    return since;
}

static void test_an_operation_under_way_tells_since_when(void **state)
{
    struct fixture *f = *state;
    const char *dirs[] = {f->dir};
    struct disk_watch *watch = disk_watch_new(dirs, 1);
    struct stall stall;
    assert_int_equal(disk_watch_oldest(watch, 0), 0);
    int64_t before = now_ns();
    stall_begin(&stall, f->dir, "still");
    int64_t since = wait_for_stall(watch, 0);
    assert_in_range(since, before - TICK_NS, now_ns());
    let_the_clock_tick();
    assert_int_equal(disk_watch_oldest(watch, 0), since); /* it does not grow younger */
    stall_end(&stall);
    assert_int_equal(disk_watch_oldest(watch, 0), 0);
    disk_watch_free(watch);
}

static void test_the_oldest_of_several_counts(void **state)
{
    struct fixture *f = *state;
    const char *dirs[] = {f->dir};
    struct disk_watch *watch = disk_watch_new(dirs, 1);
    struct stall old, young;
    stall_begin(&old, f->dir, "old");
    int64_t first = wait_for_stall(watch, 0);
    let_the_clock_tick();
    stall_begin(&young, f->dir, "young");
    let_the_clock_tick();
    assert_int_equal(disk_watch_oldest(watch, 0), first);
    stall_end(&old);
    assert_true(wait_for_stall(watch, 0) > first);
    stall_end(&young);
    disk_watch_free(watch);
}

static void test_each_directory_stands_for_itself(void **state)
{
    struct fixture *f = *state;
    char inner[120], beside[120];
    snprintf(inner, sizeof inner, "%s/inner", f->dir);
    snprintf(beside, sizeof beside, "%s/inner-beside", f->dir);
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(mkdir(beside, 0700), 0);
    const char *dirs[] = {inner, beside, f->dir};
    struct disk_watch *watch = disk_watch_new(dirs, 3);
    struct stall stall;
    stall_begin(&stall, beside, "still");
    wait_for_stall(watch, 1);
    assert_int_equal(disk_watch_oldest(watch, 0), 0);
    assert_int_equal(disk_watch_oldest(watch, 2), 0);
    stall_end(&stall);
    disk_watch_free(watch);
}

static void test_an_open_file_belongs_to_its_directory_until_it_is_closed(void **state)
{
    struct fixture *f = *state;
    char path[120];
    const char *dirs[] = {f->dir};
    struct disk_watch *watch = disk_watch_new(dirs, 1);
    snprintf(path, sizeof path, "%s/file", f->dir);
    int fd = file_ops_system.open(AT_FDCWD, path, O_RDWR | O_CREAT, 0600);
    uint8_t dir = disk_watch_of_fd(fd);
    assert_int_not_equal(dir, 0);
    assert_int_equal(dir, disk_watch_of_path(path));
    disk_watch_begin(dir);
    assert_int_not_equal(disk_watch_oldest(watch, 0), 0);
    disk_watch_end();
    assert_int_equal(disk_watch_oldest(watch, 0), 0);
    assert_int_equal(file_ops_system.close(fd), 0);
    assert_int_equal(disk_watch_of_fd(fd), 0);
    disk_watch_free(watch);
    assert_int_equal(disk_watch_of_path(path), 0);
}

static void test_a_manager_watches_its_directories(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    const struct disk_watch *watch = log_manager_disk_watch(f->manager);
    struct stall stall;
    append_many(fixture_log(f, "orders", 0), 3, 2, 10);
    stall_begin(&stall, f->dir, "orders-0/still");
    wait_for_stall(watch, 0);
    stall_end(&stall);
}

static void test_noting_costs_next_to_nothing(void **state)
{
    struct fixture *f = *state;
    const char *dirs[] = {f->dir};
    struct disk_watch *watch = disk_watch_new(dirs, 1);
    uint8_t dir = disk_watch_of_path(f->dir);
    int64_t begun = now_ns();
    for (int i = 0; i < NOTES; i++) {
        disk_watch_begin(dir);
        disk_watch_end();
    }
    int64_t each = (now_ns() - begun) / (NOTES);
    print_message("%lld ns an operation\n", (long long)each);
    assert_true(each < 2000);
    disk_watch_free(watch);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_an_operation_under_way_tells_since_when),
        T(test_the_oldest_of_several_counts),
        T(test_each_directory_stands_for_itself),
        T(test_an_open_file_belongs_to_its_directory_until_it_is_closed),
        T(test_a_manager_watches_its_directories),
        T(test_noting_costs_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
