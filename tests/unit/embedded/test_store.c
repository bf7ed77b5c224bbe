/* What a crash leaves on disk, and what it does not. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/trace.h"
#include "coordinator/embedded/store.h"
#include "tests/unit/embedded/core_client.h"

#define BATCHES  6
#define LOG_NAME "log.0000000000000000"

static char dir[64], log_path[128];

static int setup(void **state UNUSED)
{
    (void)snprintf(dir, sizeof dir, "/tmp/embedded-store-XXXXXX");
    (void)snprintf(log_path, sizeof log_path, "%s/" LOG_NAME, mkdtemp(dir));
    return 0;
}
static void empty_dir(void)
{
    DIR *d = opendir(dir);
    struct dirent *item;
    while ((item = readdir(d)))
        if (item->d_name[0] != '.')
            (void)unlinkat(dirfd(d), item->d_name, 0);
    (void)closedir(d);
}
static int teardown(void **state UNUSED)
{
    empty_dir();
    return rmdir(dir);
}
static void read_whole(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint8_t part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_put(out, part, n);
    (void)fclose(f);
}
static void write_whole(const char *path, struct slice bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.data, 1, bytes.size, f), bytes.size);
    assert_int_equal(fclose(f), 0);
}
static bool is_there(const char *name)
{
    char path[192];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}
static struct core *fresh_core(void)
{
    return core_new(100, 200, 2000, 0x1000);
}
static enum err open_and_count(int *ret_znodes, int64_t *ret_zxid)
{
    struct core *core = fresh_core();
    struct store *store = NULL;
    enum err e = store_open(dir, 0, core, &store);
    if (!e) {
        *ret_zxid = core_numbers(core).zxid;
        *ret_znodes = (int)core_numbers(core).znodes;
    }
    store_close(store);
    core_free(core);
    return e;
}
/* A session and BATCHES - 1 znodes, a batch each. sizes[i]: of the log after batch i. */
static void write_batches(size_t sizes[BATCHES])
{
    struct core *core = fresh_core();
    struct store *store = NULL;
    struct client k = {0};
    struct stat st;
    assert_int_equal(store_open(dir, 0, core, &store), ERR_OK);
    client_connect(&k, core, 1000);
    for (int i = 0; i < BATCHES; i++) {
        char path[8] = {'/', 'n', (char)('0' + i), 0};
        if (i > 0)
            assert_int_equal(do_create(&k, path, "some data", i % 2), ZK_OK);
        assert_int_equal(store_commit(store, core), ERR_OK);
        assert_int_equal(stat(log_path, &st), 0);
        sizes[i] = (size_t)st.st_size;
    }
    client_lost(&k);
    store_close(store);
    core_free(core);
}
static void test_a_log_cut_at_any_byte_gives_the_batches_before_it(void **state UNUSED)
{
    size_t sizes[BATCHES];
    write_batches(sizes);
    struct buf whole = {0};
    read_whole(log_path, &whole);
    assert_int_equal(whole.size, sizes[BATCHES - 1]);
    for (size_t size = 0; size <= whole.size; size++) {
        int batches = 0, znodes = -1;
        int64_t zxid = -1;
        while (batches < BATCHES && sizes[batches] <= size)
            batches++;
        write_whole(log_path, slice_of(whole.data, size));
        assert_int_equal(open_and_count(&znodes, &zxid), ERR_OK);
        assert_int_equal(zxid, batches);
        assert_int_equal(znodes, 4 + (batches > 1 ? batches - 1 : 0));
        struct stat st;
        assert_int_equal(stat(log_path, &st), 0); /* the torn tail is gone */
        assert_int_equal(st.st_size, batches ? sizes[batches - 1] : 0);
    }
    buf_done(&whole);
}
static void test_a_torn_last_batch_of_garbage_is_cut(void **state UNUSED)
{
    size_t sizes[BATCHES];
    write_batches(sizes);
    struct buf whole = {0};
    read_whole(log_path, &whole);
    for (size_t at = sizes[BATCHES - 2]; at < whole.size; at++) {
        int znodes = -1;
        int64_t zxid = -1;
        whole.data[at] ^= 0x20;
        write_whole(log_path, buf_slice(&whole));
        whole.data[at] ^= 0x20;
        assert_int_equal(open_and_count(&znodes, &zxid), ERR_OK);
        assert_int_equal(zxid, BATCHES - 1);
    }
    buf_done(&whole);
}
static void test_damage_before_a_whole_batch_is_refused_and_left_alone(void **state UNUSED)
{
    size_t sizes[BATCHES];
    write_batches(sizes);
    struct buf whole = {0}, after = {0};
    read_whole(log_path, &whole);
    for (size_t at = 0; at < sizes[BATCHES - 2]; at++) {
        int znodes = -1;
        int64_t zxid = -1;
        whole.data[at] ^= 0x20;
        write_whole(log_path, buf_slice(&whole));
        assert_int_equal(open_and_count(&znodes, &zxid), ERR_MALFORMED);
        assert_non_null(strstr(err_sentence(ERR_MALFORMED), "is damaged at byte"));
        after.size = 0;
        read_whole(log_path, &after);
        assert_true(slice_equal(buf_slice(&whole), buf_slice(&after)));
        whole.data[at] ^= 0x20;
    }
    buf_done(&whole);
    buf_done(&after);
}
static void test_a_batch_that_is_missing_in_the_middle_is_refused(void **state UNUSED)
{
    size_t sizes[BATCHES];
    write_batches(sizes);
    struct buf whole = {0}, less = {0};
    int znodes;
    int64_t zxid;
    read_whole(log_path, &whole);
    buf_put(&less, whole.data, sizes[1]);
    buf_put(&less, whole.data + sizes[2], whole.size - sizes[2]);
    write_whole(log_path, buf_slice(&less));
    assert_int_equal(open_and_count(&znodes, &zxid), ERR_MALFORMED);
    assert_non_null(strstr(err_sentence(ERR_MALFORMED), "0x3 is the next one"));
    buf_done(&whole);
    buf_done(&less);
}
static void test_sessions_and_ephemerals_survive_with_their_time_anew(void **state UNUSED)
{
    struct core *core = fresh_core();
    struct store *store = NULL;
    struct client k = {0}, again = {0};
    assert_int_equal(store_open(dir, 0, core, &store), ERR_OK);
    client_connect(&k, core, 1000);
    assert_int_equal(do_create(&k, "/e", "", 1), ZK_OK);
    assert_int_equal(store_commit(store, core), ERR_OK);
    client_lost(&k);
    store_close(store);
    core_free(core);

    core = fresh_core();
    assert_int_equal(store_open(dir, 0, core, &store), ERR_OK);
    core_revive(core, 50000);
    core_tick(core, 51000, 51000);
    again.now_ms = 51000;
    client_connect_as(&again, core, k.id, k.password, 1000);
    assert_int_equal(again.id, k.id);
    assert_true(exists(&again, "/e"));
    core_tick(core, 52100, 52100);
    assert_true(again.c.closing);
    assert_int_equal(core_numbers(core).ephemerals, 0);
    client_connect(&k, core, 1000); /* no session id is given twice */
    assert_int_not_equal(k.id, again.id);
    client_lost(&k);
    client_lost(&again);
    store_close(store);
    core_free(core);
}
static void write_until_snapshot(struct core *core, struct store *store, struct client *k)
{
    for (int i = 0; i < 20; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "/n%02d", i);
        assert_int_equal(do_create(k, path, "some data that lets the log grow", 0), ZK_OK);
        assert_int_equal(store_commit(store, core), ERR_OK);
    }
}
static void test_a_grown_log_is_replaced_by_a_snapshot(void **state UNUSED)
{
    struct core *core = fresh_core();
    struct store *store = NULL;
    struct client k = {0};
    int znodes;
    int64_t zxid;
    assert_int_equal(store_open(dir, 1000, core, &store), ERR_OK);
    client_connect(&k, core, 1000);
    write_until_snapshot(core, store, &k);
    assert_int_equal(core_journal(core)->size, 0);
    client_lost(&k);
    store_close(store);
    core_free(core);
    assert_false(is_there(LOG_NAME));
    assert_int_equal(open_and_count(&znodes, &zxid), ERR_OK);
    assert_int_equal(znodes, 24);
    assert_int_equal(zxid, 21);
}
/* The crash between the snapshot's rename and the old log's end. */
static void test_a_log_older_than_the_snapshot_is_passed_over(void **state UNUSED)
{
    size_t sizes[BATCHES];
    write_batches(sizes);
    struct buf log = {0};
    int znodes;
    int64_t zxid;
    read_whole(log_path, &log);
    struct core *core = fresh_core();
    struct store *store = NULL;
    struct client k = {0};
    assert_int_equal(store_open(dir, 1, core, &store), ERR_OK);
    client_connect(&k, core, 1000);
    assert_int_equal(store_commit(store, core), ERR_OK); /* takes a snapshot at zxid 7 */
    client_lost(&k);
    store_close(store);
    core_free(core);
    assert_true(is_there("snapshot.0000000000000007"));
    write_whole(log_path, buf_slice(&log));
    assert_int_equal(open_and_count(&znodes, &zxid), ERR_OK);
    assert_int_equal(zxid, 7);
    assert_int_equal(znodes, 4 + BATCHES - 1);
    buf_done(&log);
}
static void test_a_damaged_snapshot_is_refused(void **state UNUSED)
{
    size_t sizes[BATCHES];
    write_batches(sizes);
    struct core *core = fresh_core();
    struct store *store = NULL;
    struct client k = {0};
    assert_int_equal(store_open(dir, 1, core, &store), ERR_OK);
    client_connect(&k, core, 1000);
    assert_int_equal(store_commit(store, core), ERR_OK);
    client_lost(&k);
    store_close(store);
    core_free(core);
    struct buf whole = {0};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/snapshot.0000000000000007", dir);
    read_whole(path, &whole);
    for (size_t at = 0; at < whole.size; at += 7) {
        int znodes;
        int64_t zxid;
        whole.data[at] ^= 1;
        write_whole(path, buf_slice(&whole));
        whole.data[at] ^= 1;
        assert_int_equal(open_and_count(&znodes, &zxid), ERR_MALFORMED);
        assert_non_null(strstr(err_sentence(ERR_MALFORMED), "fails its checksum"));
    }
    buf_done(&whole);
}
/* The disk is full at every byte: the commit fails, and what was committed before is there. */
static void test_a_write_that_the_disk_refuses_is_not_acknowledged(void **state UNUSED)
{
    size_t sizes[BATCHES];
    write_batches(sizes);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (size_t limit = 1; limit < sizes[BATCHES - 1]; limit++) {
        struct core *core = fresh_core();
        struct store *store = NULL;
        struct client k = {0};
        int committed = 0, znodes = -1;
        int64_t zxid = -1;
        empty_dir();
        assert_int_equal(store_open(dir, 0, core, &store), ERR_OK);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, before.rlim_max}), 0);
        client_connect(&k, core, 1000);
        enum err e = store_commit(store, core);
        for (; !e && committed < BATCHES; committed++) {
            char path[8] = {'/', 'n', (char)('1' + committed), 0};
            assert_int_equal(do_create(&k, path, "some data", 0), ZK_OK);
            e = store_commit(store, core);
        }
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(e, ERR_IO);
        client_lost(&k);
        store_close(store);
        core_free(core);
        assert_int_equal(open_and_count(&znodes, &zxid), ERR_OK);
        assert_int_equal(zxid, limit < sizes[0] ? 0 : committed);
    }
}
static void test_a_directory_has_one_server(void **state UNUSED)
{
    struct core *core = fresh_core();
    struct store *store = NULL;
    int znodes;
    int64_t zxid;
    assert_int_equal(store_open(dir, 0, core, &store), ERR_OK);
    assert_int_equal(open_and_count(&znodes, &zxid), ERR_EXISTS);
    store_close(store);
    core_free(core);
    assert_int_equal(open_and_count(&znodes, &zxid), ERR_OK);
}
static void ignore(enum trace_level level UNUSED, const char *line UNUSED, void *context UNUSED)
{
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    trace_set_sink(ignore, NULL);   /* every cut says so */
    (void)signal(SIGXFSZ, SIG_IGN); /* a full disk is played by a limit */
    const struct CMUnitTest tests[] = {
        TEST(test_a_log_cut_at_any_byte_gives_the_batches_before_it),
        TEST(test_a_torn_last_batch_of_garbage_is_cut),
        TEST(test_damage_before_a_whole_batch_is_refused_and_left_alone),
        TEST(test_a_batch_that_is_missing_in_the_middle_is_refused),
        TEST(test_sessions_and_ephemerals_survive_with_their_time_anew),
        TEST(test_a_grown_log_is_replaced_by_a_snapshot),
        TEST(test_a_log_older_than_the_snapshot_is_passed_over),
        TEST(test_a_damaged_snapshot_is_refused),
        TEST(test_a_write_that_the_disk_refuses_is_not_acknowledged),
        TEST(test_a_directory_has_one_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
