/* The session against a server: ZOOKEEPER=host:port, a real ZooKeeper or the embedded one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/base/clock.h"
#include "broker/base/mem.h"
#include "coordinator/zk/zk_bootstrap.h"
#include "coordinator/zk/zk_session_internal.h"

#define TIMEOUT_MS   6000
#define PIPELINED    10000
#define SPREAD_NODES 10

struct world {
    struct zk_session *session;
    struct mailbox *mailbox;
    struct zk *zk;
    int32_t answers, expected, out_of_order;
    enum err error, part_error;
    struct zk_stat stat;
    bool data_is_null;
    char path[128];
    int32_t events;
    enum zk_event_kind event;
    int32_t connected, expired;
    int64_t session_id;
};

static void on_state(void *owner, enum zk_state state, int64_t session_id)
{
    struct world *world = owner;
    world->connected += state == ZK_CONNECTED;
    world->expired += state == ZK_EXPIRED;
    world->session_id = session_id;
}
static void on_watch(void *owner, enum zk_event_kind kind, struct slice path)
{
    struct world *world = owner;
    snprintf(world->path, sizeof world->path, "%.*s", SLICE_ARG(path));
    world->event = kind;
    world->events++;
}
static void on_done(void *context, const struct zk_result *results, int32_t count)
{
    struct world *world = context;
    world->answers++;
    world->error = results[0].error;
    world->part_error = results[count - 1].error;
    world->stat = results[count - 1].stat;
    world->data_is_null = slice_is_null(results[0].data);
    snprintf(world->path, sizeof world->path, "%.*s", SLICE_ARG(results[0].path));
}

static enum err world_open(struct world *world, const char *auth)
{
    *world = (struct world){0};
    OWNED_MEM char *connect =
        mem_printf("%s/stoker-test-%d/deep", getenv("ZOOKEEPER"), (int)getpid());
    struct zk_session_settings settings = {.connect = connect,
                                           .session_timeout_ms = TIMEOUT_MS,
                                           .connection_timeout_ms = 10000,
                                           .max_in_flight = 1000,
                                           .auth_scheme = auth ? "digest" : NULL,
                                           .auth = auth};
    enum err e = zk_session_open(&settings, &world->session);
    if (e)
        return e;
    world->mailbox = mailbox_new();
    world->zk = zk_session_view(world->session, world->mailbox);
    world->zk->owner = world;
    world->zk->state_changed = on_state;
    world->zk->watch_fired = on_watch;
    return ERR_OK;
}
static void run_some(struct world *world, int timeout_ms)
{
    struct list_node messages;
    list_init(&messages);
    mailbox_wait(world->mailbox, timeout_ms);
    mailbox_receive(world->mailbox, &messages);
    zk_session_run(&messages);
}
static void world_close(struct world *world)
{
    zk_session_view_free(world->zk);
    run_some(world, 0);
    zk_session_close(world->session);
    mailbox_free(world->mailbox);
}
static void wait_for(struct world *world, const int32_t *count, int32_t wanted)
{
    int64_t deadline_ms = clock_mono_ms(&clock_system) + 30000;
    while (*count < wanted && clock_mono_ms(&clock_system) < deadline_ms)
        run_some(world, 100);
    assert_true(*count >= wanted);
}
static enum err do_op(struct world *world, enum zk_op_kind kind, const char *path,
                      struct slice data, int32_t flags, bool watch)
{
    struct zk_op op = {.kind = kind,
                       .path = slice_str(path),
                       .data = data,
                       .flags = flags,
                       .zk_version = ZK_ANY_VERSION,
                       .watch = watch};
    zk_session_wait(world->zk, &op, 1, on_done, world);
    return world->error;
}

static void test_null_data_stays_null_and_paths_are_under_the_chroot(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(world_open(&world, NULL), ERR_OK);
    assert_int_equal(do_op(&world, ZK_OP_CREATE, "/null", SLICE_NULL, 0, false), ERR_OK);
    assert_string_equal(world.path, "/null");
    assert_int_equal(do_op(&world, ZK_OP_GET, "/null", SLICE_NULL, 0, false), ERR_OK);
    assert_true(world.data_is_null);
    assert_int_equal(do_op(&world, ZK_OP_SET, "/null", SLICE_LITERAL(""), 0, false), ERR_OK);
    assert_int_equal(world.stat.zk_version, 1);
    assert_int_equal(do_op(&world, ZK_OP_GET, "/null", SLICE_NULL, 0, false), ERR_OK);
    assert_int_equal(world.stat.data_size, 0);
    assert_int_equal(do_op(&world, ZK_OP_GET, "bad", SLICE_NULL, 0, false), ERR_MALFORMED);
    assert_int_equal(do_op(&world, ZK_OP_CREATE, "/seq_", SLICE_NULL, ZK_CREATE_SEQUENTIAL, false),
                     ERR_OK);
    assert_string_equal(world.path, "/seq_0000000001");
    world_close(&world);
}

static void in_order(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    int32_t *next = context; /* the world's answers, encoded by the path's number */
    struct world *world = CONTAINER_OF(next, struct world, answers);
    char expected[32];
    snprintf(expected, sizeof expected, "/none-%d", *next);
    world->out_of_order += !slice_equal_str(results[0].path, expected);
    (*next)++;
}

static void test_ten_thousand_pipelined_operations_are_answered_in_order(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(world_open(&world, NULL), ERR_OK);
    for (int i = 0; i < PIPELINED; i++) {
        char path[32];
        snprintf(path, sizeof path, "/none-%d", i);
        struct zk_op op = {.kind = i % 3 ? ZK_OP_EXISTS : ZK_OP_GET, .path = slice_str(path)};
        zk_submit(world.zk, &op, in_order, &world.answers);
    }
    wait_for(&world, &world.answers, PIPELINED);
    assert_int_equal(world.out_of_order, 0);
    world_close(&world);
}

struct spread {
    struct world world; /* its answers are counted */
    int32_t stale, lanes_most;
};

/* Answers count what is older than the second write. */
static void is_newest(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct spread *spread = context;
    spread->world.answers++;
    spread->stale += results[0].error || !slice_equal_str(results[0].data, "new");
}

static int32_t lanes_now(struct zk_session *session)
{
    pthread_mutex_lock(&session->mutex);
    int32_t count = session->lanes_count;
    pthread_mutex_unlock(&session->mutex);
    return count;
}

static void read_all_anywhere(struct spread *spread, zk_done_fn *done)
{
    for (int i = 0; i < PIPELINED; i++) {
        char path[32];
        snprintf(path, sizeof path, "/spread-%d", i % SPREAD_NODES);
        struct zk_op op = {.kind = ZK_OP_GET, .path = slice_str(path), .anywhere = true};
        zk_submit(spread->world.zk, &op, done, spread);
    }
}

static void write_nodes(struct world *world, enum zk_op_kind kind, const char *data)
{
    for (int i = 0; i < SPREAD_NODES; i++) {
        char path[32];
        snprintf(path, sizeof path, "/spread-%d", i);
        assert_int_equal(do_op(world, kind, path, slice_str(data), 0, false), ERR_OK);
    }
}

static void wait_for_no_lanes(struct spread *spread)
{
    int64_t deadline_ms = clock_mono_ms(&clock_system) + 30000;
    while (lanes_now(spread->world.session) > 0 && clock_mono_ms(&clock_system) < deadline_ms)
        run_some(&spread->world, 10);
    assert_int_equal(lanes_now(spread->world.session), 0);
}

static void test_many_reads_share_connections_and_tell_what_was_written_before(void **state)
{
    (void)state;
    struct spread spread = {0};
    assert_int_equal(world_open(&spread.world, NULL), ERR_OK);
    write_nodes(&spread.world, ZK_OP_CREATE, "old");
    write_nodes(&spread.world, ZK_OP_SET, "new");
    spread.world.answers = 0;
    read_all_anywhere(&spread, is_newest);
    while (spread.world.answers < PIPELINED) {
        int32_t lanes = lanes_now(spread.world.session);
        spread.lanes_most = lanes > spread.lanes_most ? lanes : spread.lanes_most;
        int32_t more = spread.world.answers + 1;
        wait_for(&spread.world, &spread.world.answers, more);
    }
    assert_int_equal(spread.stale, 0);
    assert_true(spread.lanes_most > 0);
    wait_for_no_lanes(&spread);
    assert_int_equal(spread.world.answers, PIPELINED);
    world_close(&spread.world);
}

static void test_a_view_or_a_session_may_end_amid_many_reads(void **state)
{
    (void)state;
    struct spread spread = {0};
    assert_int_equal(world_open(&spread.world, NULL), ERR_OK);
    write_nodes(&spread.world, ZK_OP_SET, "new"); /* made by the test before */
    spread.world.answers = 0;
    read_all_anywhere(&spread, is_newest);
    wait_for(&spread.world, &spread.world.answers, 1);
    zk_session_view_free(spread.world.zk);
    int32_t answers = spread.world.answers;
    run_some(&spread.world, 100);
    assert_int_equal(spread.world.answers, answers); /* nobody is told any more */
    wait_for_no_lanes(&spread);
    spread.world.zk = zk_session_view(spread.world.session, spread.world.mailbox);
    spread.world.zk->owner = &spread.world;
    read_all_anywhere(&spread, is_newest);
    world_close(&spread.world);
}

static void test_a_session_may_end_amid_what_it_was_asked(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(world_open(&world, NULL), ERR_OK);
    struct zk_op op = {.kind = ZK_OP_GET, .path = SLICE_LITERAL("/nowhere")};
    for (int i = 0; i < PIPELINED; i++) {
        zk_submit(world.zk, &op, on_done, &world);
        zk_read(world.zk, &op, on_done, &world); /* asked again while no server is reached */
    }
    world_close(&world);
    assert_int_equal(world.answers, 0); /* and the leak sanitizer finds nothing */
}

static void test_watches_of_each_kind_fire_once_at_the_view_that_asked(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(world_open(&world, NULL), ERR_OK);
    do_op(&world, ZK_OP_EXISTS, "/w", SLICE_NULL, 0, true);
    assert_int_equal(world.error, ERR_NOT_FOUND);
    do_op(&world, ZK_OP_CREATE, "/w", SLICE_NULL, 0, false);
    wait_for(&world, &world.events, 1);
    assert_int_equal(world.event, ZK_EVENT_CREATED);
    do_op(&world, ZK_OP_GET, "/w", SLICE_NULL, 0, true);
    do_op(&world, ZK_OP_SET, "/w", SLICE_LITERAL("1"), 0, false);
    wait_for(&world, &world.events, 2);
    assert_int_equal(world.event, ZK_EVENT_DATA);
    do_op(&world, ZK_OP_CHILDREN, "/w", SLICE_NULL, 0, true);
    do_op(&world, ZK_OP_CREATE, "/w/c", SLICE_NULL, 0, false);
    wait_for(&world, &world.events, 3);
    assert_int_equal(world.event, ZK_EVENT_CHILDREN);
    assert_int_equal(do_op(&world, ZK_OP_DELETE, "/w", SLICE_NULL, 0, false), ERR_ZK_NOT_EMPTY);
    world_close(&world);
}

static void test_multis_are_atomic_and_name_the_culprit(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(world_open(&world, NULL), ERR_OK);
    do_op(&world, ZK_OP_CREATE, "/epoch", SLICE_LITERAL("0"), 0, false);
    struct zk_op ops[] = {
        {.kind = ZK_OP_CREATE, .path = SLICE_LITERAL("/m"), .flags = ZK_CREATE_EPHEMERAL},
        {.kind = ZK_OP_SET, .path = SLICE_LITERAL("/epoch"), .zk_version = 5},
    };
    zk_session_wait(world.zk, ops, 2, on_done, &world);
    assert_int_equal(world.error, ERR_CANCELLED);
    assert_int_equal(world.part_error, ERR_ZK_BAD_VERSION);
    assert_int_equal(do_op(&world, ZK_OP_EXISTS, "/m", SLICE_NULL, 0, false), ERR_NOT_FOUND);
    ops[1].zk_version = 0;
    zk_session_wait(world.zk, ops, 2, on_done, &world);
    assert_int_equal(world.error, ERR_OK);
    assert_int_equal(world.part_error, ERR_OK);
    assert_int_equal(world.stat.zk_version, 1);
    assert_string_equal(world.path, "/m");
    zk_session_wait(world.zk, ops, 2, on_done, &world);
    assert_int_equal(world.error, ERR_EXISTS);
    assert_int_equal(world.part_error, ERR_CANCELLED);
    world_close(&world);
}

static void steal(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh, (void)path;
    if (type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE)
        *(volatile bool *)context = true;
}

/* Take the session over, and end it. Its owner takes it back as soon as it can, so that this may
 * fail, and is done again. */
static void end_elsewhere(struct world *world, clientid_t *id)
{
    volatile bool stolen = false;
    zhandle_t *thief =
        zookeeper_init(getenv("ZOOKEEPER"), steal, TIMEOUT_MS, id, (void *)&stolen, 0);
    int64_t deadline_ms = clock_mono_ms(&clock_system) + 1000;
    while (!stolen && clock_mono_ms(&clock_system) < deadline_ms)
        run_some(world, 5);
    zookeeper_close(thief); /* ends the session for both */
    run_some(world, 100);
}

static void test_expiry_fails_what_is_outstanding_and_opens_a_new_session(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(world_open(&world, NULL), ERR_OK);
    assert_int_equal(do_op(&world, ZK_OP_CREATE, "/e", SLICE_NULL, ZK_CREATE_EPHEMERAL, false),
                     ERR_OK);
    int64_t old = zk_session_id(world.session);
    clientid_t id = *zoo_client_id(world.session->handle->zh); /* the connection is quiet */
    int64_t deadline_ms = clock_mono_ms(&clock_system) + 30000;
    while (!world.expired && clock_mono_ms(&clock_system) < deadline_ms)
        end_elsewhere(&world, &id);
    wait_for(&world, &world.expired, 1);
    wait_for(&world, &world.connected, 2);
    assert_int_not_equal(zk_session_id(world.session), old);
    assert_int_equal(do_op(&world, ZK_OP_EXISTS, "/e", SLICE_NULL, 0, false), ERR_NOT_FOUND);
    world_close(&world);
}

static void test_digest_authentication_and_start_up_steps(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(world_open(&world, "user:secret"), ERR_OK);
    OWNED(arena) struct arena *arena = arena_new();
    struct slice id, again, data;
    assert_int_equal(zk_bootstrap_paths(world.zk), ERR_OK);
    assert_int_equal(zk_bootstrap_paths(world.zk), ERR_OK);
    assert_int_equal(zk_bootstrap_cluster_id(world.zk, arena, &id), ERR_OK);
    assert_int_equal(zk_bootstrap_cluster_id(world.zk, arena, &again), ERR_OK);
    assert_true(slice_equal(id, again));
    int32_t broker_id = 0;
    assert_int_equal(zk_bootstrap_broker_id(world.zk, 1000, &broker_id), ERR_OK);
    assert_int_equal(broker_id, 1001);
    assert_int_equal(zk_bootstrap_read(world.zk, "/latest_producer_id_block", arena, &data, NULL),
                     ERR_OK);
    assert_true(slice_is_null(data));
    world_close(&world);
}

static void test_no_server_is_a_refusal_within_the_timeout(void **state)
{
    (void)state;
    struct zk_session_settings settings = {"127.0.0.1:1/x", 6000, 300, 10, NULL, NULL};
    struct zk_session *session = NULL;
    assert_int_equal(zk_session_open(&settings, &session), ERR_ZK_UNAVAILABLE);
    assert_null(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_data_stays_null_and_paths_are_under_the_chroot),
        cmocka_unit_test(test_ten_thousand_pipelined_operations_are_answered_in_order),
        cmocka_unit_test(test_many_reads_share_connections_and_tell_what_was_written_before),
        cmocka_unit_test(test_a_view_or_a_session_may_end_amid_many_reads),
        cmocka_unit_test(test_a_session_may_end_amid_what_it_was_asked),
        cmocka_unit_test(test_watches_of_each_kind_fire_once_at_the_view_that_asked),
        cmocka_unit_test(test_multis_are_atomic_and_name_the_culprit),
        cmocka_unit_test(test_digest_authentication_and_start_up_steps),
        cmocka_unit_test(test_no_server_is_a_refusal_within_the_timeout),
        cmocka_unit_test(test_expiry_fails_what_is_outstanding_and_opens_a_new_session),
    };
    if (!getenv("ZOOKEEPER"))
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
