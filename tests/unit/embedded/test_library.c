/* ZooKeeper's own C client against the embedded server, over sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#define THREADED
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#include "broker/base/mem.h"
#include "broker/base/trace.h"
#include "coordinator/embedded/embedded.h"
#include "coordinator/embedded/jute.h"

#define TICK_MS 50

struct seen {
    sem_t connected, expired, created, changed, deleted, children;
};
static struct seen first, second;
static char dir[64];

static void watcher(zhandle_t *zh, int type, int state, const char *path UNUSED,
                    void *context UNUSED)
{
    struct seen *seen = (struct seen *)zoo_get_context(zh);
    if (type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE)
        sem_post(&seen->connected);
    if (type == ZOO_SESSION_EVENT && state == ZOO_EXPIRED_SESSION_STATE)
        sem_post(&seen->expired);
    if (type == ZOO_CREATED_EVENT)
        sem_post(&seen->created);
    if (type == ZOO_CHANGED_EVENT)
        sem_post(&seen->changed);
    if (type == ZOO_DELETED_EVENT)
        sem_post(&seen->deleted);
    if (type == ZOO_CHILD_EVENT)
        sem_post(&seen->children);
}
static void await(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    assert_int_equal(sem_timedwait(sem, &until), 0);
}
static void seen_init(struct seen *seen)
{
    sem_t *all[] = {&seen->connected, &seen->expired, &seen->created,
                    &seen->changed,   &seen->deleted, &seen->children};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        sem_init(all[i], 0, 0);
}
static struct embedded *start(const char *data_dir, uint16_t port)
{
    struct embedded *server = NULL;
    struct embedded_options o = {.data_dir = data_dir, .port = port, .tick_ms = TICK_MS};
    assert_int_equal(embedded_start(&o, &server), ERR_OK);
    return server;
}
static zhandle_t *connect_to(uint16_t port, struct seen *seen, const clientid_t *id)
{
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    seen_init(seen);
    return zookeeper_init(address, watcher, 20 * TICK_MS, id, seen, 0);
}
static int create(zhandle_t *zh, const char *path, int flags)
{
    char made[64];
    return zoo_create(zh, path, "one", 3, &ZOO_OPEN_ACL_UNSAFE, flags, made, sizeof made);
}
static int setup(void **state UNUSED)
{
    (void)snprintf(dir, sizeof dir, "/tmp/embedded-library-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}
static int teardown(void **state UNUSED)
{
    DIR *d = opendir(dir);
    struct dirent *item;
    while ((item = readdir(d)))
        if (item->d_name[0] != '.')
            (void)unlinkat(dirfd(d), item->d_name, 0);
    (void)closedir(d);
    return rmdir(dir);
}
static void test_the_c_client_creates_reads_watches_and_commits_whole_multis(void **state UNUSED)
{
    struct embedded *server = start(NULL, 0);
    zhandle_t *zh = connect_to(embedded_port(server), &first, NULL);
    await(&first.connected);
    char path[64], data[8];
    int size = sizeof data;
    struct Stat stat;
    assert_int_equal(create(zh, "/a", 0), ZOK);
    assert_int_equal(create(zh, "/a", 0), ZNODEEXISTS);
    assert_int_equal(zoo_create(zh, "/a/s", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, path, 64),
                     ZOK);
    assert_string_equal(path, "/a/s0000000000");
    assert_int_equal(zoo_get(zh, "/a", 1, data, &size, &stat), ZOK);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "one", 3);
    assert_int_equal(stat.numChildren, 1);
    struct String_vector names = {0};
    assert_int_equal(zoo_get_children(zh, "/a", 1, &names), ZOK);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.data[0], "s0000000000");
    deallocate_String_vector(&names);
    assert_int_equal(zoo_delete(zh, "/a", -1), ZNOTEMPTY);

    zoo_op_t ops[2];
    zoo_op_result_t results[2];
    zoo_delete_op_init(&ops[0], "/a/s0000000000", -1);
    zoo_check_op_init(&ops[1], "/a", 7);
    assert_int_equal(zoo_multi(zh, 2, ops, results), ZBADVERSION);
    assert_int_equal(results[0].err, ZOK);
    assert_int_equal(results[1].err, ZBADVERSION);
    assert_int_equal(zoo_exists(zh, "/a/s0000000000", 0, &stat), ZOK);
    zoo_delete_op_init(&ops[1], "/a", 0);
    assert_int_equal(zoo_multi(zh, 2, ops, results), ZOK);
    await(&first.deleted);
    assert_int_equal(zoo_exists(zh, "/a", 0, &stat), ZNONODE);
    zookeeper_close(zh);
    embedded_stop(server);
}
static void test_state_session_and_watches_survive_a_restart(void **state UNUSED)
{
    struct embedded *server = start(dir, 0);
    uint16_t port = embedded_port(server);
    zhandle_t *zh = connect_to(port, &first, NULL);
    await(&first.connected);
    struct Stat stat;
    int64_t id = zoo_client_id(zh)->client_id;
    assert_int_equal(create(zh, "/kept", 0), ZOK);
    assert_int_equal(create(zh, "/mine", ZOO_EPHEMERAL), ZOK);
    assert_int_equal(zoo_exists(zh, "/kept", 1, &stat), ZOK);
    embedded_stop(server);
    server = start(dir, port);
    await(&first.connected);
    assert_int_equal(zoo_client_id(zh)->client_id, id);
    assert_int_equal(zoo_exists(zh, "/mine", 0, &stat), ZOK);
    assert_int_equal(stat.ephemeralOwner, id);

    zhandle_t *other = connect_to(port, &second, NULL);
    await(&second.connected);
    assert_int_equal(zoo_set(other, "/kept", "two", 3, 0), ZOK);
    await(&first.changed); /* the watch was set again */
    zookeeper_close(zh);
    zookeeper_close(other);
    embedded_stop(server);
}
static int open_socket(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}
static void send_frame(int fd, struct buf *frame)
{
    put_be32(frame->data, (uint32_t)frame->size - 4);
    assert_int_equal(write(fd, frame->data, frame->size), (ssize_t)frame->size);
    buf_done(frame);
}
/* A session with an ephemeral znode, of a client that never pings. */
static int open_silent_session(uint16_t port, const char *path, clientid_t *ret_id)
{
    int fd = open_socket(port);
    struct buf hello = {0}, create_it = {0};
    jute_put_int(&hello, 0); /* the frame's length */
    jute_put_int(&hello, 0);
    jute_put_long(&hello, 0);
    jute_put_int(&hello, 4 * TICK_MS);
    jute_put_long(&hello, 0);
    jute_put_bytes(&hello, slice_of("0123456789abcdef", 16));
    send_frame(fd, &hello);
    uint8_t reply[40];
    assert_int_equal(recv(fd, reply, sizeof reply, MSG_WAITALL), sizeof reply);
    ret_id->client_id = (int64_t)get_be64(reply + 12);
    memcpy(ret_id->passwd, reply + 24, 16);
    jute_put_int(&create_it, 0);
    jute_put_int(&create_it, 1);
    jute_put_int(&create_it, 1);
    jute_put_bytes(&create_it, slice_str(path));
    jute_put_int(&create_it, -1);
    jute_put_int(&create_it, 1);
    jute_put_int(&create_it, 31);
    jute_put_bytes(&create_it, SLICE_LITERAL("world"));
    jute_put_bytes(&create_it, SLICE_LITERAL("anyone"));
    jute_put_int(&create_it, ZOO_EPHEMERAL);
    send_frame(fd, &create_it);
    return fd;
}
static void test_the_session_of_a_silent_client_expires(void **state UNUSED)
{
    struct embedded *server = start(NULL, 0);
    zhandle_t *other = connect_to(embedded_port(server), &second, NULL);
    await(&second.connected);
    struct Stat stat;
    clientid_t id;
    (void)zoo_exists(other, "/e", 1, &stat);
    int fd = open_silent_session(embedded_port(server), "/e", &id);
    await(&second.created);
    if (zoo_exists(other, "/e", 1, &stat) == ZOK)
        await(&second.deleted);
    zhandle_t *zh = connect_to(embedded_port(server), &first, &id);
    await(&first.expired);
    close(fd);
    zookeeper_close(zh);
    zookeeper_close(other);
    embedded_stop(server);
}
static void ask(uint16_t port, const void *bytes, size_t size, char *answer, size_t answer_size)
{
    int fd = open_socket(port);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    size_t have = 0;
    ssize_t n;
    while (have + 1 < answer_size && (n = read(fd, answer + have, answer_size - 1 - have)) > 0)
        have += (size_t)n;
    answer[have] = 0;
    close(fd);
}
static void test_four_letters_are_answered_and_close_the_connection(void **state UNUSED)
{
    static const char *const words[][2] = {
        {"ruok", "imok"},
        {"isro", "rw"},
        {"srvr", "Mode: standalone\nNode count: 4\n"},
        {"stat", "Clients:\n /127.0.0.1:"},
        {"mntr", "zk_server_state\tstandalone\n"},
        {"conf", "tickTime=50\n"},
    };
    struct embedded *server = start(NULL, 0);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        char answer[2000];
        ask(embedded_port(server), words[i][0], 4, answer, sizeof answer);
        assert_non_null(strstr(answer, words[i][1]));
    }
    embedded_stop(server);
}
static void test_a_frame_beyond_the_bound_closes_the_connection(void **state UNUSED)
{
    struct embedded *server = start(NULL, 0);
    char answer[16];
    ask(embedded_port(server), "\x00\x20\x00\x00", 4, answer, sizeof answer);
    assert_string_equal(answer, "");
    ask(embedded_port(server), "\xff\xff\xff\xff", 4, answer, sizeof answer);
    assert_string_equal(answer, "");
    embedded_stop(server);
}
static void test_what_cannot_be_started_is_refused(void **state UNUSED)
{
    struct embedded *server = start(dir, 0), *other = NULL;
    struct embedded_options o = {.data_dir = dir};
    assert_int_equal(embedded_start(&o, &other), ERR_EXISTS);
    o = (struct embedded_options){.port = embedded_port(server)};
    assert_int_equal(embedded_start(&o, &other), ERR_IO);
    o = (struct embedded_options){.tick_ms = -1};
    assert_int_equal(embedded_start(&o, &other), ERR_INVALID_CONFIG);
    assert_null(other);
    embedded_stop(server);
}
static void ignore(enum trace_level level UNUSED, const char *line UNUSED, void *context UNUSED)
{
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    trace_set_sink(ignore, NULL);
    zoo_set_debug_level(0);
    const struct CMUnitTest tests[] = {
        TEST(test_the_c_client_creates_reads_watches_and_commits_whole_multis),
        TEST(test_state_session_and_watches_survive_a_restart),
        TEST(test_the_session_of_a_silent_client_expires),
        TEST(test_four_letters_are_answered_and_close_the_connection),
        TEST(test_a_frame_beyond_the_bound_closes_the_connection),
        TEST(test_what_cannot_be_started_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
