/* ZooKeeper's own C client against the embedded server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#define THREADED
#include <semaphore.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

#include "broker/base/mem.h"
#include "coordinator/embedded/embedded.h"

static sem_t connected, deleted;

static void watcher(zhandle_t *zh UNUSED, int type, int state, const char *path UNUSED,
                    void *context UNUSED)
{
    if (type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE)
        sem_post(&connected);
    if (type == ZOO_DELETED_EVENT)
        sem_post(&deleted);
}
static void await(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    assert_int_equal(sem_timedwait(sem, &until), 0);
}
static void test_the_c_client_creates_reads_watches_and_commits_whole_multis(void **state UNUSED)
{
    struct embedded *server = NULL;
    assert_int_equal(embedded_start(&(struct embedded_options){.tick_ms = 100}, &server), ERR_OK);
    char *address = mem_printf("127.0.0.1:%d", embedded_port(server));
    sem_init(&connected, 0, 0);
    sem_init(&deleted, 0, 0);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init(address, watcher, 2000, NULL, NULL, 0);
    await(&connected);
    char path[64], data[8];
    int size = sizeof data;
    struct Stat stat;
    assert_int_equal(zoo_create(zh, "/a", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, path, 64), ZOK);
    assert_int_equal(zoo_create(zh, "/a", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, path, 64),
                     ZNODEEXISTS);
    assert_int_equal(zoo_create(zh, "/a/s", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, path, 64),
                     ZOK);
    assert_string_equal(path, "/a/s0000000000");
    assert_int_equal(zoo_get(zh, "/a", 1, data, &size, &stat), ZOK);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "one", 3);
    assert_int_equal(stat.numChildren, 1);
    assert_int_equal(zoo_delete(zh, "/a", -1), ZNOTEMPTY);

    zoo_op_t ops[2];
    zoo_op_result_t results[2];
    zoo_delete_op_init(&ops[0], "/a/s0000000000", -1);
    zoo_check_op_init(&ops[1], "/a", 7);
    assert_int_equal(zoo_multi(zh, 2, ops, results), ZBADVERSION);
    assert_int_equal(zoo_exists(zh, "/a/s0000000000", 0, &stat), ZOK);
    zoo_delete_op_init(&ops[1], "/a", 0);
    assert_int_equal(zoo_multi(zh, 2, ops, results), ZOK);
    await(&deleted);
    assert_int_equal(zoo_exists(zh, "/a", 0, &stat), ZNONODE);
    zookeeper_close(zh);
    embedded_stop(server);
    free(address);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_c_client_creates_reads_watches_and_commits_whole_multis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
