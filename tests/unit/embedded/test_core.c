/* The core, byte for byte: what ZooKeeper would answer. */
#include "tests/unit/embedded/core_client.h"

static struct core *core;
static struct client a, b;

static int setup(void **state UNUSED)
{
    core = core_new(100, 200, 2000, 0x1000);
    a = b = (struct client){0};
    client_connect(&a, core, 1000);
    client_connect(&b, core, 1000);
    return 0;
}
static int teardown(void **state UNUSED)
{
    client_lost(&a);
    client_lost(&b);
    core_free(core);
    return 0;
}
static void test_the_session_timeout_stays_within_the_bounds(void **state UNUSED)
{
    struct client k = {0};
    client_connect(&k, core, 1);
    assert_int_equal(k.timeout_ms, 200);
    client_lost(&k);
    client_connect(&k, core, 99999);
    assert_int_equal(k.timeout_ms, 2000);
    client_lost(&k);
    assert_int_not_equal(a.id, b.id);
}
static void test_a_stat_tells_all_that_happened(void **state UNUSED)
{
    int64_t before = core_numbers(core).zxid;
    assert_int_equal(do_create(&a, "/n", "data", 0), ZK_OK);
    assert_int_equal(do_create(&a, "/n/x", "", 0), ZK_OK);
    assert_int_equal(do_create(&a, "/n/y", "", 1), ZK_OK);
    a.now_ms = 5;
    assert_int_equal(do_set(&a, "/n", "longer", 0), ZK_OK);
    assert_int_equal(do_delete(&a, "/n/x", 0), ZK_OK);
    struct reply r = do_read(&a, OP_EXISTS, "/n", false);
    struct stat_seen s = read_stat(&r.body);
    assert_int_equal(s.czxid, before + 1);
    assert_int_equal(s.mzxid, before + 4);
    assert_int_equal(s.pzxid, before + 5);
    assert_int_equal(s.ctime, 1000);
    assert_int_equal(s.mtime, 1005);
    assert_int_equal(s.version, 1);
    assert_int_equal(s.cversion, 3);
    assert_int_equal(s.aversion, 0);
    assert_int_equal(s.owner, 0);
    assert_int_equal(s.data_size, 6);
    assert_int_equal(s.children, 1);
    assert_int_equal(r.zxid, before + 5);
    r = do_read(&b, OP_EXISTS, "/n/y", false);
    assert_int_equal(read_stat(&r.body).owner, a.id);
}
static void test_null_data_stays_null_and_empty_stays_empty(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/null", NULL, 0), ZK_OK);
    assert_int_equal(do_create(&a, "/empty", "", 0), ZK_OK);
    struct reply r = do_read(&a, OP_GET_DATA, "/null", false);
    assert_int_equal(jute_int(&r.body), -1);
    r = do_read(&a, OP_GET_DATA, "/empty", false);
    assert_int_equal(jute_int(&r.body), 0);
}
static void test_each_fault_has_zookeepers_code(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/p/q", "", 0), ZK_NO_NODE);
    assert_int_equal(do_create(&a, "p", "", 0), ZK_BAD_ARGUMENTS);
    assert_int_equal(do_create(&a, "/p/", "", 0), ZK_NO_NODE);
    assert_int_equal(do_create(&a, "/.", "", 0), ZK_BAD_ARGUMENTS);
    assert_int_equal(do_create(&a, "/p\x01", "", 0), ZK_BAD_ARGUMENTS);
    assert_int_equal(do_create(&a, "/", "", 0), ZK_NODE_EXISTS);
    assert_int_equal(do_create(&a, "/p", "", 1), ZK_OK);
    assert_int_equal(do_create(&a, "/p", "", 0), ZK_NODE_EXISTS);
    assert_int_equal(do_create(&a, "/p/q", "", 0), ZK_NO_CHILDREN_FOR_EPHEMERALS);
    assert_int_equal(do_set(&a, "/p", "", 7), ZK_BAD_VERSION);
    assert_int_equal(do_set(&a, "/none", "", -1), ZK_NO_NODE);
    assert_int_equal(do_delete(&a, "/p", 7), ZK_BAD_VERSION);
    assert_int_equal(do_delete(&a, "/none", -1), ZK_NO_NODE);
    assert_int_equal(do_delete(&a, "/", -1), ZK_BAD_ARGUMENTS);
    assert_int_equal(do_create(&a, "/d", "", 0), ZK_OK);
    assert_int_equal(do_create(&a, "/d/e", "", 0), ZK_OK);
    assert_int_equal(do_delete(&a, "/d", -1), ZK_NODE_NOT_EMPTY);
    assert_int_equal(do_create(&a, "/ttl", "", 5), ZK_UNIMPLEMENTED);
    assert_int_equal(do_create(&a, "/bad", "", 9), ZK_BAD_ARGUMENTS);
    assert_int_equal(do_create(&a, NULL, "", 0), ZK_MARSHALLING_ERROR);
    assert_int_equal(do_delete(&a, "/zookeeper/quota", -1), ZK_BAD_ARGUMENTS);
    struct buf body = {0};
    assert_int_equal(client_call(&a, 99, &body).result, ZK_UNIMPLEMENTED);
    assert_true(a.c.closing);
}
static void test_a_failed_write_takes_a_zxid_too(void **state UNUSED)
{
    int64_t before = core_numbers(core).zxid;
    assert_int_equal(do_delete(&a, "/none", -1), ZK_NO_NODE);
    assert_int_equal(core_numbers(core).zxid, before + 1);
}
static void test_sequential_names_count_the_creations_under_the_parent(void **state UNUSED)
{
    static const char *const names[] = {"/s/n-0000000000", "/s/n-0000000001", "/s/n-0000000002"};
    assert_int_equal(do_create(&a, "/s", "", 0), ZK_OK);
    for (int i = 0; i < 3; i++) {
        struct buf body = {0};
        put_create(&body, "/s/n-", "", 2);
        struct reply r = client_call(&a, OP_CREATE, &body);
        assert_int_equal(r.result, ZK_OK);
        assert_true(slice_equal_str(jute_bytes(&r.body), names[i]));
        assert_int_equal(do_delete(&a, names[i], -1), ZK_OK);
    }
}
static void test_a_watch_fires_once_and_before_the_writers_reply(void **state UNUSED)
{
    assert_int_equal(do_read(&a, OP_EXISTS, "/w", true).result, ZK_NO_NODE);
    struct buf body = {0};
    put_create(&body, "/w", "", 0);
    client_send(&a, OP_CREATE, &body);
    buf_done(&body);
    expect_event(&a, EVENT_CREATED, "/w");
    assert_int_equal(client_reply(&a).xid, a.xid);

    assert_int_equal(do_read(&b, OP_GET_DATA, "/w", true).result, ZK_OK);
    assert_int_equal(do_read(&b, OP_GET_CHILDREN, "/w", true).result, ZK_OK);
    assert_int_equal(do_set(&a, "/w", "1", -1), ZK_OK);
    assert_int_equal(do_set(&a, "/w", "2", -1), ZK_OK);
    expect_event(&b, EVENT_DATA_CHANGED, "/w");
    assert_false(client_has_more(&b));
    assert_int_equal(do_create(&a, "/w/c", "", 0), ZK_OK);
    expect_event(&b, EVENT_CHILD, "/w");
    assert_false(client_has_more(&b));
}
static void test_one_who_watches_data_and_children_hears_of_a_deletion_once(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/w", "", 0), ZK_OK);
    (void)do_read(&b, OP_GET_DATA, "/w", true);
    (void)do_read(&b, OP_GET_CHILDREN, "/w", true);
    (void)do_read(&b, OP_GET_CHILDREN, "/", true);
    assert_int_equal(do_delete(&a, "/w", -1), ZK_OK);
    expect_event(&b, EVENT_DELETED, "/w");
    expect_event(&b, EVENT_CHILD, "/");
    assert_false(client_has_more(&b));
    assert_int_equal(core_numbers(core).watches, 0);
}
static void add_watch(struct client *k, const char *path, int32_t mode)
{
    struct buf body = {0};
    put_str(&body, path);
    jute_put_int(&body, mode);
    assert_int_equal(client_call(k, OP_ADD_WATCH, &body).result, ZK_OK);
}
static void test_a_recursive_watch_stays_and_covers_what_is_below(void **state UNUSED)
{
    add_watch(&b, "/", 1);
    assert_int_equal(do_create(&a, "/r", "", 0), ZK_OK);
    assert_int_equal(do_create(&a, "/r/s", "", 0), ZK_OK);
    assert_int_equal(do_delete(&a, "/r/s", -1), ZK_OK);
    expect_event(&b, EVENT_CREATED, "/r");
    expect_event(&b, EVENT_CREATED, "/r/s");
    expect_event(&b, EVENT_DELETED, "/r/s");
    assert_false(client_has_more(&b));

    for (int i = 0; i < 2; i++) {
        struct buf body = {0};
        put_str(&body, "/");
        jute_put_int(&body, 3);
        assert_int_equal(client_call(&b, OP_REMOVE_WATCHES, &body).result,
                         i ? ZK_NO_WATCHER : ZK_OK);
    }
    assert_int_equal(do_delete(&a, "/r", -1), ZK_OK);
    assert_false(client_has_more(&b));
}
static void test_watches_set_again_tell_what_was_missed(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/old", "", 0), ZK_OK);
    int64_t seen = core_numbers(core).zxid;
    assert_int_equal(do_set(&a, "/old", "1", -1), ZK_OK);
    assert_int_equal(do_create(&a, "/came", "", 0), ZK_OK);
    struct buf body = {0};
    jute_put_long(&body, seen);
    jute_put_int(&body, 2);
    put_str(&body, "/old");
    put_str(&body, "/gone");
    jute_put_int(&body, 1);
    put_str(&body, "/came");
    jute_put_int(&body, 2);
    put_str(&body, "/");
    put_str(&body, "/old");
    client_send(&b, OP_SET_WATCHES, &body);
    buf_done(&body);
    expect_event(&b, EVENT_DATA_CHANGED, "/old");
    expect_event(&b, EVENT_DELETED, "/gone");
    expect_event(&b, EVENT_CREATED, "/came");
    expect_event(&b, EVENT_CHILD, "/");
    assert_int_equal(client_reply(&b).result, ZK_OK);
    assert_int_equal(do_create(&a, "/old/child", "", 0), ZK_OK);
    expect_event(&b, EVENT_CHILD, "/old");
}
static void put_op(struct buf *body, int32_t op)
{
    jute_put_int(body, op);
    buf_put_u8(body, op == -1);
    jute_put_int(body, -1);
}
static void expect_header(struct jute_in *in, int32_t type, bool is_last, int32_t result)
{
    assert_int_equal(jute_int(in), type);
    assert_int_equal(jute_bool(in), is_last);
    assert_int_equal(jute_int(in), result);
}
/* create /m, set / delete of `deleted`, create /m/k */
static struct reply multi(struct client *k, const char *deleted)
{
    struct buf body = {0};
    put_op(&body, OP_CREATE);
    put_create(&body, "/m", "", 0);
    put_op(&body, OP_SET_DATA);
    put_str(&body, "/base");
    put_str(&body, "new");
    jute_put_int(&body, -1);
    put_op(&body, OP_DELETE);
    put_str(&body, deleted);
    jute_put_int(&body, -1);
    put_op(&body, OP_CREATE);
    put_create(&body, "/m/k", "", 1);
    put_op(&body, -1);
    return client_call(k, OP_MULTI, &body);
}
static void test_a_failed_multi_leaves_nothing_and_says_which_failed(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/base", "old", 0), ZK_OK);
    (void)do_read(&b, OP_GET_DATA, "/base", true);
    struct core_numbers before = core_numbers(core);
    struct reply was = do_read(&a, OP_GET_DATA, "/base", false);
    struct reply r = multi(&a, "/missing");
    static const int32_t codes[] = {0, 0, ZK_NO_NODE, ZK_RUNTIME_INCONSISTENCY};
    assert_int_equal(r.result, ZK_OK);
    for (int i = 0; i < 4; i++) {
        expect_header(&r.body, -1, false, codes[i]);
        assert_int_equal(jute_int(&r.body), codes[i]);
    }
    expect_header(&r.body, -1, true, -1);
    assert_true(r.body.at == r.body.end);
    struct core_numbers after = core_numbers(core);
    assert_int_equal(after.znodes, before.znodes);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(after.ephemerals, before.ephemerals);
    struct reply is = do_read(&a, OP_GET_DATA, "/base", false);
    assert_int_equal(was.result, is.result);
    assert_true(slice_equal_str(jute_bytes(&is.body), "old"));
    assert_int_equal(read_stat(&is.body).version, 0);
    is = do_read(&a, OP_EXISTS, "/", false);
    assert_int_equal(read_stat(&is.body).cversion, 0); /* /base created, minus /zookeeper */
    assert_false(client_has_more(&b));
}
static void test_a_multi_is_one_transaction(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/base", "old", 0), ZK_OK);
    assert_int_equal(do_create(&a, "/gone", "", 0), ZK_OK);
    int64_t before = core_numbers(core).zxid;
    struct reply r = multi(&a, "/gone");
    assert_int_equal(r.zxid, before + 1);
    expect_header(&r.body, OP_CREATE, false, 0);
    assert_true(slice_equal_str(jute_bytes(&r.body), "/m"));
    expect_header(&r.body, OP_SET_DATA, false, 0);
    assert_int_equal(read_stat(&r.body).mzxid, before + 1);
    expect_header(&r.body, OP_DELETE, false, 0);
    expect_header(&r.body, OP_CREATE, false, 0);
    assert_true(slice_equal_str(jute_bytes(&r.body), "/m/k"));
    expect_header(&r.body, -1, true, -1);
    assert_true(r.body.at == r.body.end);
}
static void test_a_multi_read_answers_each_for_itself(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/x", "1", 0), ZK_OK);
    struct buf body = {0};
    put_op(&body, OP_GET_DATA);
    put_str(&body, "/none");
    buf_put_u8(&body, 0);
    put_op(&body, OP_GET_CHILDREN);
    put_str(&body, "/x");
    buf_put_u8(&body, 0);
    put_op(&body, OP_GET_DATA);
    put_str(&body, "/x");
    buf_put_u8(&body, 0);
    put_op(&body, -1);
    struct reply r = client_call(&a, OP_MULTI_READ, &body);
    assert_int_equal(r.result, ZK_OK);
    expect_header(&r.body, -1, false, ZK_NO_NODE);
    assert_int_equal(jute_int(&r.body), ZK_NO_NODE);
    expect_header(&r.body, OP_GET_CHILDREN, false, 0);
    assert_int_equal(jute_int(&r.body), 0);
    expect_header(&r.body, OP_GET_DATA, false, 0);
    assert_true(slice_equal_str(jute_bytes(&r.body), "1"));
    (void)read_stat(&r.body);
    expect_header(&r.body, -1, true, -1);
}
static void test_ephemerals_go_when_the_session_closes(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/e", "", 1), ZK_OK);
    (void)do_read(&b, OP_EXISTS, "/e", true);
    struct buf body = {0};
    assert_int_equal(client_call(&a, OP_CLOSE_SESSION, &body).result, ZK_OK);
    assert_true(a.c.closing);
    expect_event(&b, EVENT_DELETED, "/e");
    assert_false(exists(&b, "/e"));
}
static void test_a_silent_session_expires_with_its_ephemerals(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/e", "", 1), ZK_OK);
    core_tick(core, 1000, 2000);
    b.now_ms = 1000;
    assert_true(exists(&b, "/e"));
    core_tick(core, 1100, 2100);
    assert_true(a.c.closing);
    assert_false(exists(&b, "/e"));
    uint8_t password[16];
    memcpy(password, a.password, 16);
    int64_t id = a.id;
    client_lost(&a);
    client_connect_as(&a, core, id, password, 1000);
    assert_int_equal(a.id, 0);
    assert_int_equal(a.timeout_ms, 0);
    assert_true(a.c.closing);
}
static void test_a_session_moves_with_its_password_only(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/e", "", 1), ZK_OK);
    struct client thief = {0}, moved = {0};
    static const uint8_t wrong[16] = {1};
    client_connect_as(&thief, core, a.id, wrong, 1000);
    assert_int_equal(thief.id, 0);
    assert_false(a.c.closing);
    client_connect_as(&moved, core, a.id, a.password, 1000);
    assert_int_equal(moved.id, a.id);
    assert_true(a.c.closing);
    assert_true(exists(&moved, "/e"));
    client_lost(&thief);
    client_lost(&moved);
}
static int32_t create_with(struct client *k, const char *path, int32_t perms, const char *scheme,
                           const char *id)
{
    struct buf body = {0};
    put_str(&body, path);
    put_str(&body, "secret");
    jute_put_int(&body, 1);
    jute_put_int(&body, perms);
    put_str(&body, scheme);
    put_str(&body, id);
    jute_put_int(&body, 0);
    return client_call(k, OP_CREATE, &body).result;
}
static void authenticate(struct client *k, const char *scheme, const char *who)
{
    struct buf body = {0};
    jute_put_int(&body, 0);
    put_str(&body, scheme);
    put_str(&body, who);
    struct reply r = client_call(k, OP_AUTH, &body);
    assert_int_equal(r.result, strcmp(scheme, "digest") == 0 ? ZK_OK : ZK_AUTH_FAILED);
}
static void test_acls_keep_others_out(void **state UNUSED)
{
    assert_int_equal(create_with(&a, "/x", PERM_ALL, "auth", ""), ZK_INVALID_ACL);
    assert_int_equal(create_with(&a, "/x", PERM_ALL, "world", "me"), ZK_INVALID_ACL);
    assert_int_equal(create_with(&a, "/x", PERM_ALL, "odd", "me"), ZK_INVALID_ACL);
    authenticate(&a, "digest", "user:pass");
    assert_int_equal(create_with(&a, "/x", PERM_ALL, "auth", ""), ZK_OK);
    assert_int_equal(do_create(&a, "/x/y", "", 0), ZK_OK);
    assert_int_equal(do_read(&b, OP_GET_DATA, "/x", false).result, ZK_NO_AUTH);
    assert_int_equal(do_read(&b, OP_EXISTS, "/x", true).result, ZK_NO_AUTH);
    assert_int_equal(core_numbers(core).watches, 0);
    assert_int_equal(do_set(&b, "/x", "", -1), ZK_NO_AUTH);
    assert_int_equal(do_create(&b, "/x/z", "", 0), ZK_NO_AUTH);
    assert_int_equal(do_delete(&b, "/x/y", -1), ZK_NO_AUTH);
    assert_int_equal(do_read(&a, OP_GET_DATA, "/x", false).result, ZK_OK);
    struct reply r = do_read(&a, OP_GET_ACL, "/x", false);
    assert_int_equal(jute_int(&r.body), 1);
    assert_int_equal(jute_int(&r.body), PERM_ALL);
    assert_true(slice_equal_str(jute_bytes(&r.body), "digest"));
    /* printf user:pass | openssl sha1 -binary | base64 */
    assert_true(slice_equal_str(jute_bytes(&r.body), "user:smGaoVKd/cQkjm7b88GyorAUz20="));
    assert_int_equal(create_with(&a, "/ip", PERM_READ, "ip", "10.1.0.0/16"), ZK_OK);
    assert_int_equal(do_read(&b, OP_GET_DATA, "/ip", false).result, ZK_OK);
    assert_int_equal(create_with(&a, "/far", PERM_READ, "ip", "10.9.0.0/16"), ZK_OK);
    assert_int_equal(do_read(&b, OP_GET_DATA, "/far", false).result, ZK_NO_AUTH);
    authenticate(&b, "sasl", "x");
    assert_true(b.c.closing);
}
static void
test_whatever_is_cut_short_closes_the_connection_and_changes_nothing(void **state UNUSED)
{
    struct buf whole = {0};
    put_op(&whole, OP_CREATE);
    put_create(&whole, "/m", "data", 0);
    put_op(&whole, -1);
    for (size_t size = 0; size < whole.size; size++) {
        struct client k = {0};
        client_connect(&k, core, 1000);
        struct buf cut = {0};
        buf_put(&cut, whole.data, size);
        assert_int_equal(client_call(&k, OP_MULTI, &cut).result, ZK_MARSHALLING_ERROR);
        assert_true(k.c.closing);
        assert_false(exists(&a, "/m"));
        client_lost(&k);
    }
    buf_done(&whole);
}
static void test_the_journal_and_a_snapshot_each_give_the_same_state(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/base", NULL, 0), ZK_OK);
    assert_int_equal(do_create(&a, "/gone", "", 0), ZK_OK);
    (void)multi(&a, "/missing");
    (void)multi(&a, "/gone");
    assert_int_equal(create_with(&b, "/ip", PERM_READ, "ip", "10.1.0.0/16"), ZK_OK);
    struct buf body = {0}, first = {0}, second = {0}, third = {0};
    (void)client_call(&b, OP_CLOSE_SESSION, &body);
    core_snapshot(core, &first);

    struct core *other = core_new(100, 200, 2000, 0x1000);
    assert_int_equal(core_replay(other, buf_slice(core_journal(core))), ERR_OK);
    core_snapshot(other, &second);
    assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
    core_free(other);

    other = core_new(100, 200, 2000, 0x1000);
    assert_int_equal(core_restore(other, buf_slice(&first)), ERR_OK);
    core_snapshot(other, &third);
    assert_true(slice_equal(buf_slice(&first), buf_slice(&third)));
    /* entries that the snapshot has are skipped */
    assert_int_equal(core_replay(other, buf_slice(core_journal(core))), ERR_OK);
    assert_int_equal(core_numbers(other).zxid, core_numbers(core).zxid);
    core_free(other);
    buf_done(&first);
    buf_done(&second);
    buf_done(&third);
}
static void test_a_former_runs_session_ends_with_its_ephemerals_and_no_other(void **state UNUSED)
{
    assert_int_equal(do_create(&a, "/own", "", 1), ZK_OK);
    assert_int_equal(do_create(&a, "/own-too", "", 1), ZK_OK);
    assert_int_equal(do_create(&b, "/foreign", "", 1), ZK_OK);
    assert_int_equal(do_create(&b, "/lasting", "", 0), ZK_OK);
    struct core *next = core_new(100, 200, 2000, 0x1000);
    assert_int_equal(core_replay(next, buf_slice(core_journal(core))), ERR_OK);
    size_t sessions = core_numbers(next).sessions;

    assert_int_equal(core_end_owner(next, SLICE_LITERAL("/none"), 1), 0);
    assert_int_equal(core_end_owner(next, SLICE_LITERAL("/lasting"), 1), 0);
    assert_int_equal(core_end_owner(next, SLICE_LITERAL("/own"), 1), a.id);

    assert_int_equal(core_numbers(next).sessions, sessions - 1);
    assert_int_equal(core_numbers(next).ephemerals, 1);
    assert_int_equal(core_end_owner(next, SLICE_LITERAL("/own-too"), 1), 0);
    assert_int_equal(core_end_owner(next, SLICE_LITERAL("/foreign"), 1), b.id);
    core_free(next);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_session_timeout_stays_within_the_bounds),
        TEST(test_a_stat_tells_all_that_happened),
        TEST(test_null_data_stays_null_and_empty_stays_empty),
        TEST(test_each_fault_has_zookeepers_code),
        TEST(test_a_failed_write_takes_a_zxid_too),
        TEST(test_sequential_names_count_the_creations_under_the_parent),
        TEST(test_a_watch_fires_once_and_before_the_writers_reply),
        TEST(test_one_who_watches_data_and_children_hears_of_a_deletion_once),
        TEST(test_a_recursive_watch_stays_and_covers_what_is_below),
        TEST(test_watches_set_again_tell_what_was_missed),
        TEST(test_a_failed_multi_leaves_nothing_and_says_which_failed),
        TEST(test_a_multi_is_one_transaction),
        TEST(test_a_multi_read_answers_each_for_itself),
        TEST(test_ephemerals_go_when_the_session_closes),
        TEST(test_a_silent_session_expires_with_its_ephemerals),
        TEST(test_a_session_moves_with_its_password_only),
        TEST(test_acls_keep_others_out),
        TEST(test_whatever_is_cut_short_closes_the_connection_and_changes_nothing),
        TEST(test_the_journal_and_a_snapshot_each_give_the_same_state),
        TEST(test_a_former_runs_session_ends_with_its_ephemerals_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
