/* The model keeps ZooKeeper's rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/fake/zk_memory.h"

struct heard {
    enum err errors[16];
    int32_t answers;
    struct zk_stat stat;
    char path[64];
    enum zk_event_kind events[16];
    int32_t event_count;
    enum zk_state states[16];
    int32_t state_count;
};

static void done(void *context, const struct zk_result *results, int32_t count)
{
    struct heard *heard = context;
    for (int32_t i = 0; i < count; i++)
        heard->errors[heard->answers++] = results[i].error;
    heard->stat = results[count - 1].stat;
    if (results[0].path.size < sizeof heard->path) {
        memcpy(heard->path, results[0].path.data, results[0].path.size);
        heard->path[results[0].path.size] = '\0';
    }
}
static void watch(void *owner, enum zk_event_kind kind, struct slice path)
{
    struct heard *heard = owner;
    (void)path;
    heard->events[heard->event_count++] = kind;
}
static void changed(void *owner, enum zk_state state, int64_t session_id)
{
    struct heard *heard = owner;
    (void)session_id;
    heard->states[heard->state_count++] = state;
}
static struct zk *client(struct zk_memory *memory, struct heard *heard)
{
    struct zk *zk = zk_memory_client(memory);
    zk->owner = heard;
    zk->watch_fired = watch;
    zk->state_changed = changed;
    zk_memory_run(memory);
    return zk;
}
static void op(struct zk *zk, enum zk_op_kind kind, const char *path, int32_t flags, bool watched,
               struct heard *heard)
{
    struct zk_op o = {.kind = kind,
                      .path = slice_str(path),
                      .data = SLICE_LITERAL("x"),
                      .zk_version = ZK_ANY_VERSION,
                      .flags = flags,
                      .watch = watched};
    zk_submit(zk, &o, done, heard);
}

static void test_watches_fire_once(void **state)
{
    (void)state;
    struct zk_memory *memory = zk_memory_new(0);
    struct heard heard = {0};
    struct zk *zk = client(memory, &heard);
    op(zk, ZK_OP_EXISTS, "/a", 0, true, &heard);
    zk_memory_run(memory);
    assert_int_equal(heard.errors[0], ERR_NOT_FOUND);
    zk_memory_put(memory, "/a", "1");
    zk_memory_put(memory, "/a", "2");
    zk_memory_run(memory);
    assert_int_equal(heard.event_count, 1);
    assert_int_equal(heard.events[0], ZK_EVENT_CREATED);
    zk_memory_free(memory);
}

static void test_a_refused_multi_leaves_nothing(void **state)
{
    (void)state;
    struct zk_memory *memory = zk_memory_new(0);
    struct heard heard = {0};
    struct zk *zk = client(memory, &heard);
    zk_memory_put(memory, "/epoch", "0");
    struct zk_op ops[] = {
        {.kind = ZK_OP_CREATE, .path = SLICE_LITERAL("/c"), .flags = ZK_CREATE_EPHEMERAL},
        {.kind = ZK_OP_SET, .path = SLICE_LITERAL("/epoch"), .data = SLICE_LITERAL("1")},
        {.kind = ZK_OP_CHECK, .path = SLICE_LITERAL("/epoch"), .zk_version = 7},
    };
    int64_t zxid = zk_memory_zxid(memory);
    zk_multi(zk, ops, 3, done, &heard);
    zk_memory_run(memory);
    assert_int_equal(heard.errors[0], ERR_CANCELLED);
    assert_int_equal(heard.errors[1], ERR_CANCELLED);
    assert_int_equal(heard.errors[2], ERR_ZK_BAD_VERSION);
    struct zk_stat stat;
    struct slice data;
    assert_false(zk_memory_get(memory, "/c", NULL, NULL));
    assert_true(zk_memory_get(memory, "/epoch", &data, &stat));
    assert_true(slice_equal_str(data, "0"));
    assert_int_equal(stat.zk_version, 0);
    assert_int_equal(zk_memory_zxid(memory), zxid);
    ops[2].zk_version = 1;
    zk_multi(zk, ops, 3, done, &heard);
    zk_memory_run(memory);
    assert_int_equal(heard.errors[5], ERR_OK);
    assert_true(zk_memory_get(memory, "/c", NULL, &stat));
    assert_int_equal(stat.ephemeral_owner, zk_memory_session_id(zk));
    zk_memory_free(memory);
}

static void test_expiry_removes_ephemerals_and_fails_what_is_outstanding(void **state)
{
    (void)state;
    struct zk_memory *memory = zk_memory_new(0);
    struct heard heard = {0}, other = {0};
    struct zk *zk = client(memory, &heard), *watcher = client(memory, &other);
    op(zk, ZK_OP_CREATE, "/e", ZK_CREATE_EPHEMERAL, false, &heard);
    op(watcher, ZK_OP_EXISTS, "/e", 0, true, &other);
    zk_memory_run(memory);
    op(zk, ZK_OP_GET, "/e", 0, false, &heard);
    zk_memory_expire(zk);
    op(zk, ZK_OP_GET, "/e", 0, false, &heard); /* before it heard of the expiry */
    zk_memory_run(memory);
    assert_int_equal(heard.answers, 3);
    assert_int_equal(heard.errors[1], ERR_SESSION_EXPIRED);
    assert_int_equal(heard.errors[2], ERR_SESSION_EXPIRED);
    assert_int_equal(heard.state_count, 3);
    assert_int_equal(heard.states[1], ZK_EXPIRED);
    assert_int_equal(heard.states[2], ZK_CONNECTED);
    assert_int_equal(other.events[0], ZK_EVENT_DELETED);
    zk_memory_free(memory);
}

static void test_a_lost_operation_may_have_happened_and_the_session_lives_on(void **state)
{
    (void)state;
    for (int executed = 0; executed < 2; executed++) {
        struct zk_memory *memory = zk_memory_new(5);
        struct heard heard = {0};
        struct zk *zk = client(memory, &heard);
        zk_memory_lose_operation(zk, 1, executed);
        op(zk, ZK_OP_CREATE, "/a", 0, false, &heard);
        zk_memory_run(memory);
        assert_int_equal(heard.errors[0], ERR_ZK_UNAVAILABLE);
        assert_int_equal(zk_memory_get(memory, "/a", NULL, NULL), executed);
        op(zk, ZK_OP_CREATE, "/a", 0, false, &heard);
        zk_memory_run(memory);
        assert_int_equal(heard.errors[1], executed ? ERR_EXISTS : ERR_OK);
        zk_memory_free(memory);
    }
}

static void test_sequential_names_count_up(void **state)
{
    (void)state;
    struct zk_memory *memory = zk_memory_new(0);
    struct heard heard = {0};
    struct zk *zk = client(memory, &heard);
    op(zk, ZK_OP_CREATE, "/n_", ZK_CREATE_SEQUENTIAL, false, &heard);
    op(zk, ZK_OP_CREATE, "/n_", ZK_CREATE_SEQUENTIAL, false, &heard);
    zk_memory_run(memory);
    assert_string_equal(heard.path, "/n_0000000001");
    zk_memory_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watches_fire_once),
        cmocka_unit_test(test_a_refused_multi_leaves_nothing),
        cmocka_unit_test(test_expiry_removes_ephemerals_and_fails_what_is_outstanding),
        cmocka_unit_test(test_a_lost_operation_may_have_happened_and_the_session_lives_on),
        cmocka_unit_test(test_sequential_names_count_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
