/* The power goes: what store_commit() said is durable is there afterwards, whichever of the other
 * changes the disk kept. The file calls of this program are those of the disk that forgets. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "coordinator/embedded/store.h"
#include "tests/fake/forgetful_disk.h"
#include "tests/unit/embedded/core_client.h"

#define SEEDS      40
#define LOG_SMALL  600 /* bytes: snapshots come often */
#define COMMITS    30
#define ZNODES_OWN 4 /* that a fresh core has */

/* --- what the linker gives the store instead of the system's calls (--wrap) --- */

int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_openat(int dir_fd, const char *path, int flags, mode_t mode);
int __wrap_close(int fd);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);

int __wrap_open(const char *path, int flags, mode_t mode)
{
    return forgetful_open(AT_FDCWD, path, flags, flags & O_CREAT ? mode : 0);
}
int __wrap_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
    return forgetful_open(dir_fd, path, flags, flags & O_CREAT ? mode : 0);
}
int __wrap_close(int fd)
{
    return forgetful_close(fd);
}
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    return forgetful_write(fd, data, size);
}
int __wrap_ftruncate(int fd, off_t size)
{
    return forgetful_ftruncate(fd, size);
}
int __wrap_fsync(int fd)
{
    return forgetful_fsync(fd);
}
int __wrap_fdatasync(int fd)
{
    return forgetful_fsync(fd);
}
int __wrap_mkdir(const char *path, mode_t mode)
{
    return forgetful_mkdir(AT_FDCWD, path, mode);
}
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return forgetful_rename(from_fd, from, to_fd, to);
}
int __wrap_unlinkat(int dir_fd, const char *path, int flags)
{
    return forgetful_unlink(dir_fd, path, flags);
}

/* --- the tests --- */

static char root[64], dir[80];

static int setup(void **state UNUSED)
{
    (void)snprintf(root, sizeof root, "/tmp/embedded-power-XXXXXX");
    (void)snprintf(dir, sizeof dir, "%s/zk", mkdtemp(root));
    forgetful_begin(root);
    return 0;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                      struct FTW *ftw UNUSED)
{
    return remove(path);
}

static int teardown(void **state UNUSED)
{
    forgetful_end();
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A server's life until the power goes: gives how many znodes were committed. */
static int commit_until_cut(int64_t log_size_max, int commits, enum forgetful_cut how,
                            uint64_t seed)
{
    struct core *core = core_new(100, 200, 2000, 0x1000);
    struct store *store = NULL;
    struct client k = {0};
    assert_int_equal(store_open(dir, log_size_max, core, &store), ERR_OK);
    client_connect(&k, core, 1000);
    for (int i = 0; i < commits; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "/n%d", i);
        assert_int_equal(do_create(&k, path, "some data", 0), ZK_OK);
        assert_int_equal(store_commit(store, core), ERR_OK);
    }
    int znodes = (int)core_numbers(core).znodes;
    client_lost(&k);
    store_close(store);
    core_free(core);
    forgetful_cut(how, seed);
    forgetful_begin(root);
    return znodes;
}

static int znodes_after(int64_t log_size_max)
{
    struct core *core = core_new(100, 200, 2000, 0x1000);
    struct store *store = NULL;
    assert_int_equal(store_open(dir, log_size_max, core, &store), ERR_OK);
    int znodes = (int)core_numbers(core).znodes;
    store_close(store);
    core_free(core);
    return znodes;
}

static void test_what_was_committed_into_a_new_directory_stays(void **state UNUSED)
{
    int znodes = commit_until_cut(0, 3, CUT_ALL, 0);
    assert_int_equal(znodes, ZNODES_OWN + 3);
    assert_int_equal(access(dir, F_OK), 0); /* the directory's own name, too */
    assert_int_equal(znodes_after(0), znodes);
}

static void test_what_was_committed_stays_over_snapshots_and_new_logs(void **state UNUSED)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        int commits = 1 + (int)(seed * 7 % COMMITS);
        int znodes = commit_until_cut(LOG_SMALL, commits, seed % 4 ? CUT_SOME : CUT_ALL, seed);
        assert_int_equal(znodes_after(LOG_SMALL), znodes);
        forgetful_end();
        assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        forgetful_begin(root);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_committed_into_a_new_directory_stays),
        TEST(test_what_was_committed_stays_over_snapshots_and_new_logs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
