/* Files whose checksums are right and whose contents no server of ours wrote: each is refused with
 * a sentence, and none leaves a state that the next request stumbles over. */
#include "tests/unit/embedded/core_client.h"

static struct core *core;

static int setup(void **state UNUSED)
{
    core = core_new(100, 200, 2000, 0x1000);
    return 0;
}
static int teardown(void **state UNUSED)
{
    core_free(core);
    return 0;
}

/* ---- what a file says ---- */

static void put_session(struct buf *out, int64_t id)
{
    jute_put_long(out, id);
    jute_put_int(out, 1000);
    buf_put(out, "0123456789abcdef", 16);
}
static void put_head(struct buf *out, int64_t zxid, int32_t sessions)
{
    jute_put_int(out, 1);
    jute_put_long(out, zxid);
    jute_put_int(out, sessions);
}
static void put_znode_with_acl(struct buf *out, const char *path, int64_t owner, struct slice acl)
{
    put_str(out, path);
    put_str(out, "");
    jute_put_bytes(out, acl);
    for (int i = 0; i < 5; i++) /* three zxids, two times */
        jute_put_long(out, 1);
    jute_put_long(out, owner);
    for (int i = 0; i < 3; i++) /* versions, creations */
        jute_put_int(out, 0);
}
static void put_znode(struct buf *out, const char *path, int64_t owner)
{
    put_znode_with_acl(out, path, owner, acl_open);
}
static void put_entry(struct buf *out, int64_t zxid, int32_t op, const struct buf *body)
{
    jute_put_int(out, (int32_t)body->size + 24);
    jute_put_long(out, zxid);
    jute_put_long(out, 1000);
    jute_put_int(out, 1);
    jute_put_int(out, op);
    buf_put(out, body->data, body->size);
}
static void put_created_with_acl(struct buf *out, int64_t zxid, const char *path, int64_t owner,
                                 struct slice acl)
{
    struct buf body = {0};
    put_str(&body, path);
    put_str(&body, "");
    jute_put_bytes(&body, acl);
    jute_put_long(&body, owner);
    put_entry(out, zxid, OP_CREATE, &body);
    buf_done(&body);
}
static void put_created(struct buf *out, int64_t zxid, const char *path, int64_t owner)
{
    put_created_with_acl(out, zxid, path, owner, acl_open);
}
static void expect_refused(enum err e, struct buf *bytes, const char *sentence)
{
    assert_int_equal(e, ERR_MALFORMED);
    assert_non_null(strstr(err_sentence(e), sentence));
    buf_done(bytes);
}

/* ---- what is made of it ---- */

static void refuse_snapshot_session(int64_t id)
{
    struct buf b = {0};
    put_head(&b, 7, 1);
    put_session(&b, id);
    jute_put_int(&b, 0);
    expect_refused(core_restore(core, buf_slice(&b)), &b, "session 0 of the snapshot");
}
static void test_a_session_id_that_nobody_gave_is_refused(void **state UNUSED)
{
    refuse_snapshot_session(INT64_MAX);
    refuse_snapshot_session(INT64_MIN);
    refuse_snapshot_session(0);
    struct buf body = {0}, b = {0};
    put_session(&body, INT64_MAX);
    put_entry(&b, 8, OP_CREATE_SESSION, &body);
    buf_done(&body);
    expect_refused(core_replay(core, buf_slice(&b)), &b, "operation 0 of zxid 0x8");
}
static void test_a_session_that_is_cut_off_is_refused(void **state UNUSED)
{
    struct buf b = {0};
    put_head(&b, 7, 2);
    put_session(&b, 5);
    jute_put_int(&b, 0);
    expect_refused(core_restore(core, buf_slice(&b)), &b, "session 1 of the snapshot");
}
static void refuse_snapshot_zxid(int64_t zxid)
{
    struct buf b = {0};
    put_head(&b, zxid, 0);
    jute_put_int(&b, 0);
    expect_refused(core_restore(core, buf_slice(&b)), &b, "more than was ever counted");
}
static void test_a_zxid_that_nobody_counted_to_is_refused(void **state UNUSED)
{
    refuse_snapshot_zxid(INT64_MAX);
    refuse_snapshot_zxid(INT64_MIN);
    refuse_snapshot_zxid(-1);
    struct buf body = {0}, b = {0};
    put_entry(&b, INT64_MAX, OP_CREATE_SESSION, &body);
    expect_refused(core_replay(core, buf_slice(&b)), &b, "more than was ever counted");
}
static void test_the_last_zxid_and_session_that_are_taken_can_be_counted_on(void **state UNUSED)
{
    struct client k = {0};
    struct buf b = {0};
    put_head(&b, INT64_MAX / 2, 1);
    put_session(&b, INT64_MAX / 2);
    jute_put_int(&b, 0);
    assert_int_equal(core_restore(core, buf_slice(&b)), ERR_OK);
    buf_done(&b);
    client_connect(&k, core, 1000);
    assert_int_equal(k.id, INT64_MAX / 2 + 1);
    assert_int_equal(do_create(&k, "/n", "", 0), ZK_OK);
    assert_int_equal(core_numbers(core).zxid, INT64_MAX / 2 + 2);
    client_lost(&k);
}
static void test_an_ephemeral_with_children_is_refused(void **state UNUSED)
{
    struct buf b = {0}, body = {0};
    put_created(&b, 1, "/e", 5);
    put_created(&b, 2, "/e/child", 0);
    jute_put_long(&body, 5); /* its end would delete a znode that is not empty */
    put_entry(&b, 3, OP_CLOSE_SESSION, &body);
    buf_done(&body);
    expect_refused(core_replay(core, buf_slice(&b)), &b, "operation 0 of zxid 0x2");

    put_head(&b, 7, 0);
    jute_put_int(&b, 3);
    put_znode(&b, "/", 0);
    put_znode(&b, "/e", 5);
    put_znode(&b, "/e/child", 0);
    expect_refused(core_restore(core, buf_slice(&b)), &b, "znode 2 of the snapshot");
}
static void test_a_root_that_is_a_sessions_is_refused(void **state UNUSED)
{
    struct buf b = {0};
    put_head(&b, 7, 0);
    jute_put_int(&b, 1);
    put_znode(&b, "/", 5);
    expect_refused(core_restore(core, buf_slice(&b)), &b, "znode 0 of the snapshot");
}
static void refuse_acl(struct slice acl)
{
    struct buf b = {0}, body = {0};
    put_head(&b, 7, 0);
    jute_put_int(&b, 1);
    put_znode_with_acl(&b, "/", 0, acl);
    expect_refused(core_restore(core, buf_slice(&b)), &b, "znode 0 of the snapshot");

    core_free(core);
    core = core_new(100, 200, 2000, 0x1000);
    put_created_with_acl(&b, 1, "/n", 0, acl);
    expect_refused(core_replay(core, buf_slice(&b)), &b, "operation 0 of zxid 0x1");

    put_str(&body, "/");
    jute_put_bytes(&body, acl);
    put_entry(&b, 2, OP_SET_ACL, &body);
    buf_done(&body);
    expect_refused(core_replay(core, buf_slice(&b)), &b, "operation 0 of zxid 0x2");
}
static void test_an_acl_that_counts_more_entries_than_it_has_is_refused(void **state UNUSED)
{
    refuse_acl(SLICE_LITERAL("\x7f\xff\xff\xff")); /* whoever asked for it got 25 GB */
    refuse_acl(SLICE_LITERAL("\xff\xff\xff\xff"));
    refuse_acl(SLICE_LITERAL("\0\0\0\0more"));
    refuse_acl(SLICE_LITERAL("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyon"));
    refuse_acl(SLICE_NULL);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_session_id_that_nobody_gave_is_refused),
        TEST(test_a_session_that_is_cut_off_is_refused),
        TEST(test_a_zxid_that_nobody_counted_to_is_refused),
        TEST(test_the_last_zxid_and_session_that_are_taken_can_be_counted_on),
        TEST(test_an_ephemeral_with_children_is_refused),
        TEST(test_a_root_that_is_a_sessions_is_refused),
        TEST(test_an_acl_that_counts_more_entries_than_it_has_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
