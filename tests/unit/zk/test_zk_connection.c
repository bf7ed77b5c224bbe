/* The session's own connection: beside the embedded server, and beside a server that is a script.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/base/clock.h"
#include "broker/base/thread.h"
#include "coordinator/embedded/embedded.h"
#include "coordinator/zk/zk_wire.h"

#define WAIT_MS 30000
#define READS   1000

struct world {
    struct zk_session *session;
    struct mailbox *mailbox;
    struct zk *zk;
    int32_t answers, out_of_order, found, missing, lost, connected;
    int32_t events;
    char event_path[64];
    enum zk_event_kind event;
};

static void on_state(void *owner, enum zk_state state, int64_t session_id)
{
    (void)session_id;
    ((struct world *)owner)->connected += state == ZK_CONNECTED;
}

static void on_watch(void *owner, enum zk_event_kind kind, struct slice path)
{
    struct world *world = owner;
    snprintf(world->event_path, sizeof world->event_path, "%.*s", SLICE_ARG(path));
    world->event = kind;
    world->events++;
}

static void world_open(struct world *world, uint16_t port)
{
    *world = (struct world){0};
    OWNED_MEM char *connect = mem_printf("127.0.0.1:%u", port);
    struct zk_session_settings settings = {.connect = connect,
                                           .session_timeout_ms = 6000,
                                           .connection_timeout_ms = 10000,
                                           .max_in_flight = 1000};
    assert_int_equal(zk_session_open(&settings, &world->session), ERR_OK);
    world->mailbox = mailbox_new();
    world->zk = zk_session_view(world->session, world->mailbox);
    world->zk->owner = world;
    world->zk->state_changed = on_state;
    world->zk->watch_fired = on_watch;
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
    int64_t deadline_ms = clock_mono_ms(&clock_system) + WAIT_MS;
    while (*count < wanted && clock_mono_ms(&clock_system) < deadline_ms)
        run_some(world, 100);
    assert_true(*count >= wanted);
}

static void on_done(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    *(enum err *)context = results[0].error;
}

static enum err do_op(struct world *world, enum zk_op_kind kind, const char *path, bool watch)
{
    struct zk_op op = {
        .kind = kind, .path = slice_str(path), .zk_version = ZK_ANY_VERSION, .watch = watch};
    enum err e = ERR_OK;
    zk_session_wait(world->zk, &op, 1, on_done, &e);
    return e;
}

/* ---- Beside the embedded server ---- */

static struct embedded *server_start(uint16_t port)
{
    struct embedded *server;
    struct embedded_options options = {.port = port};
    assert_int_equal(embedded_start(&options, &server), ERR_OK);
    return server;
}

static void counted(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct world *world = context;
    char expected[32], data[32];
    int32_t i = world->answers++;
    snprintf(expected, sizeof expected, "/n%d", i);
    snprintf(data, sizeof data, "data-%d", i);
    world->out_of_order += !slice_equal_str(results[0].path, expected);
    if (results[0].error == ERR_NOT_FOUND)
        world->missing++;
    else if (results[0].error == ERR_ZK_UNAVAILABLE)
        world->lost++;
    else if (!results[0].error && slice_equal_str(results[0].data, data))
        world->found++;
}

static void read_all(struct world *world, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        char path[32];
        snprintf(path, sizeof path, "/n%d", i);
        struct zk_op op = {.kind = ZK_OP_GET, .path = slice_str(path)};
        zk_submit(world->zk, &op, counted, world);
    }
}

static void test_reads_that_share_frames_are_answered_each_for_itself_and_in_order(void **state)
{
    (void)state;
    struct embedded *server = server_start(0);
    struct world world;
    world_open(&world, embedded_port(server));
    assert_int_equal(world.session->multi_read, MULTI_READ_YES);
    for (int32_t i = 0; i < READS; i += 2) { /* every other one exists */
        char path[32], data[32];
        snprintf(path, sizeof path, "/n%d", i);
        snprintf(data, sizeof data, "data-%d", i);
        struct zk_op op = {.kind = ZK_OP_CREATE, .path = slice_str(path), .data = slice_str(data)};
        zk_submit(world.zk, &op, NULL, NULL);
    }
    read_all(&world, READS);
    wait_for(&world, &world.answers, READS);
    assert_int_equal(world.out_of_order, 0);
    assert_int_equal(world.found, READS / 2);
    assert_int_equal(world.missing, READS / 2);
    world_close(&world);
    embedded_stop(server);
}

static void test_a_view_that_goes_leaves_the_reads_of_others_in_the_frame(void **state)
{
    (void)state;
    struct embedded *server = server_start(0);
    struct world world;
    world_open(&world, embedded_port(server));
    struct mailbox *mailbox = mailbox_new();
    for (int round = 0; round < 20; round++) {
        struct zk *other = zk_session_view(world.session, mailbox);
        world.answers = 0;
        for (int32_t i = 0; i < 50; i++) {
            struct zk_op op = {.kind = ZK_OP_GET, .path = SLICE_LITERAL("/")};
            zk_submit(other, &op, NULL, NULL);
            char path[32];
            snprintf(path, sizeof path, "/n%d", i);
            op.path = slice_str(path);
            zk_submit(world.zk, &op, counted, &world);
        }
        zk_session_view_free(other);
        wait_for(&world, &world.answers, 50);
        assert_int_equal(world.out_of_order, 0);
        struct list_node rest;
        list_init(&rest);
        mailbox_receive(mailbox, &rest);
        zk_session_run(&rest);
    }
    mailbox_free(mailbox);
    world_close(&world);
    embedded_stop(server);
}

/* ---- Beside a script: a server that says what a test wants said ---- */

struct script {
    int listener;
    uint16_t port;
    pthread_t thread;
    bool knows_multi_read; /* else it answers "unimplemented" and hangs up, as ZooKeeper 3.5 does */
    int32_t hang_up_after; /* requests of a connection, but for the probe; 0: never */
    int32_t garbage_after; /* requests, then an answer that is cut short */
    int32_t expires_at;    /* the connection, from 1, at which the session is no more */
    _Atomic int32_t connections, multi_reads, reads, watch_frames;
    _Atomic bool is_over;
};

static bool receive_all(struct script *script, int fd, void *to, size_t size)
{
    for (size_t got = 0; got < size;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        if (poll(&poll_fd, 1, 20) == 0) {
            if (script->is_over)
                return false;
            continue;
        }
        ssize_t part = recv(fd, (char *)to + got, size - got, 0);
        if (part <= 0)
            return false;
        got += (size_t)part;
    }
    return true;
}

static bool receive_frame(struct script *script, int fd, struct buf *frame)
{
    uint8_t size[4];
    if (!receive_all(script, fd, size, 4))
        return false;
    frame->size = 0;
    return receive_all(script, fd, buf_extend(frame, get_be32(size)), get_be32(size));
}

static void send_frame(int fd, const struct buf *body)
{
    uint8_t size[4];
    put_be32(size, (uint32_t)body->size);
    (void)!send(fd, size, 4, MSG_NOSIGNAL | MSG_MORE);
    (void)!send(fd, body->data, body->size, MSG_NOSIGNAL);
}

static void greet(int fd, int32_t timeout_ms)
{
    struct buf out = {0};
    uint8_t password[ZK_PASSWORD_BYTES] = {1};
    jute_put_int(&out, 0);
    jute_put_int(&out, timeout_ms);
    jute_put_long(&out, 7);
    jute_put_bytes(&out, slice_of(password, sizeof password));
    buf_put_u8(&out, 0);
    send_frame(fd, &out);
    buf_done(&out);
}

static void answer(int fd, int32_t xid, int32_t code, bool is_garbage)
{
    struct buf out = {0};
    jute_put_int(&out, xid);
    jute_put_long(&out, 1);
    jute_put_int(&out, code);
    if (!code && !is_garbage) { /* to the probe: an empty list */
        jute_put_int(&out, -1);
        buf_put_u8(&out, 1);
        jute_put_int(&out, -1);
    }
    send_frame(fd, &out);
    buf_done(&out);
}

#define OP_GET_DATA    4
#define OP_MULTI_READ  22
#define OP_SET_WATCHES 101
#define OP_CLOSE       (-11)

static void serve(struct script *script, int fd)
{
    struct buf frame = {0};
    int32_t requests = 0;
    bool is_open = receive_frame(script, fd, &frame);
    if (is_open)
        greet(fd, script->connections == script->expires_at ? 0 : 6000);
    while (is_open && receive_frame(script, fd, &frame)) {
        struct jute_in in = jute_in_of(buf_slice(&frame));
        int32_t xid = jute_int(&in), op = jute_int(&in);
        script->multi_reads += op == OP_MULTI_READ;
        script->reads += op == OP_GET_DATA;
        script->watch_frames += op == OP_SET_WATCHES;
        if (op == OP_MULTI_READ && !script->knows_multi_read) {
            answer(fd, xid, ZK_CODE_UNIMPLEMENTED, false);
            break;
        }
        if (op == OP_MULTI_READ && requests == 0 && xid == 1)
            answer(fd, xid, 0, false);
        else if (op == OP_CLOSE)
            answer(fd, xid, 0, true);
        else if (xid > 0 && script->garbage_after && ++requests > script->garbage_after)
            answer(fd, xid, 0, true);
        else if (xid > 0 && script->hang_up_after && ++requests > script->hang_up_after)
            break;
        else if (xid > 0)
            answer(fd, xid, ZK_CODE_NO_NODE, false);
        else if (xid == ZK_XID_PING)
            answer(fd, xid, 0, true);
    }
    if (is_open) { /* what was sent is to arrive: bytes that nobody has read would undo it */
        shutdown(fd, SHUT_WR);
        char rest[4096];
        while (receive_all(script, fd, rest, 1))
            continue;
    }
    buf_done(&frame);
}

static void *script_run(void *context)
{
    struct script *script = context;
    while (!script->is_over) {
        struct pollfd poll_fd = {.fd = script->listener, .events = POLLIN};
        if (poll(&poll_fd, 1, 20) <= 0)
            continue;
        int fd = accept(script->listener, NULL, NULL);
        script->connections++;
        serve(script, fd);
        close(fd);
    }
    return NULL;
}

static void script_start(struct script *script)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    script->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(script->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(script->listener, 8), 0);
    assert_int_equal(getsockname(script->listener, (struct sockaddr *)&address, &size), 0);
    script->port = ntohs(address.sin_port);
    script->thread = thread_start("script", script_run, script);
}

static void script_stop(struct script *script)
{
    script->is_over = true;
    pthread_join(script->thread, NULL);
    close(script->listener);
}

static void test_a_server_that_knows_no_multi_reads_is_asked_one_by_one(void **state)
{
    (void)state;
    struct script script = {.knows_multi_read = false};
    script_start(&script);
    struct world world;
    world_open(&world, script.port);
    read_all(&world, 200);
    wait_for(&world, &world.answers, 200);
    assert_int_equal(world.missing, 200);
    assert_int_equal(world.out_of_order, 0);
    assert_int_equal(script.multi_reads, 1);
    assert_int_equal(script.reads, 200);
    assert_int_equal(script.connections, 2);
    world_close(&world);
    script_stop(&script);
}

static void
test_what_was_on_the_wire_fails_and_what_was_queued_goes_to_the_next_server(void **state)
{
    (void)state;
    struct script script = {.hang_up_after = 30};
    script_start(&script);
    struct world world;
    world_open(&world, script.port);
    read_all(&world, 2000); /* 1,000 of them are on the wire at once */
    wait_for(&world, &world.answers, 2000);
    assert_int_equal(world.out_of_order, 0);
    assert_int_equal(world.missing + world.lost, 2000);
    assert_true(world.missing >= 30);
    assert_true(world.lost >= 100);
    assert_true(script.connections >= 3);
    world_close(&world);
    script_stop(&script);
}

static void test_an_answer_that_cannot_be_read_ends_the_connection_and_nothing_else(void **state)
{
    (void)state;
    struct script script = {.garbage_after = 5};
    script_start(&script);
    struct world world;
    world_open(&world, script.port);
    read_all(&world, 100);
    wait_for(&world, &world.answers, 100);
    assert_int_equal(world.out_of_order, 0);
    assert_int_equal(world.found, 0);
    assert_int_equal(world.missing + world.lost, 100);
    assert_true(world.lost > 0);
    world_close(&world);
    script_stop(&script);
}

static void test_watches_are_told_to_the_next_server(void **state)
{
    (void)state;
    struct script script = {.hang_up_after = 2};
    script_start(&script);
    struct world world;
    world_open(&world, script.port);
    assert_int_equal(do_op(&world, ZK_OP_EXISTS, "/w", true), ERR_NOT_FOUND);
    assert_int_equal(script.watch_frames, 0);
    assert_int_equal(do_op(&world, ZK_OP_EXISTS, "/x", false), ERR_NOT_FOUND);
    assert_int_equal(do_op(&world, ZK_OP_EXISTS, "/x", false), ERR_ZK_UNAVAILABLE);
    assert_int_equal(do_op(&world, ZK_OP_EXISTS, "/x", false), ERR_NOT_FOUND);
    assert_int_equal(script.watch_frames, 1);
    world_close(&world);
    script_stop(&script);
}

static void test_watches_end_with_the_session_that_set_them(void **state)
{
    (void)state;
    struct script script = {.knows_multi_read = true, .hang_up_after = 1, .expires_at = 2};
    script_start(&script);
    struct world world;
    world_open(&world, script.port);
    assert_int_equal(do_op(&world, ZK_OP_EXISTS, "/w", true), ERR_NOT_FOUND);
    assert_int_equal(world.session->watches.count, 1);
    assert_int_equal(do_op(&world, ZK_OP_EXISTS, "/x", false), ERR_ZK_UNAVAILABLE);
    wait_for(&world, &world.connected, 2);
    assert_int_equal(script.connections, 3);
    assert_int_equal(script.watch_frames, 0);
    assert_int_equal(world.session->watches.count, 0);
    world_close(&world);
    script_stop(&script);
}

/* Our session, taken over by its id and password; then the znode is changed from there. */
static void change_from_elsewhere(struct world *world, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port =
                                      htons((uint16_t)atoi(world->session->servers[0].port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    struct buf out = {0};
    struct zk_op op = {.kind = ZK_OP_SET, .path = slice_str(path), .zk_version = ZK_ANY_VERSION};
    struct zk_request request = {.ops = &op, .count = 1};
    zk_wire_put_hello(&out, 0, 6000, zk_session_id(world->session), world->session->password);
    zk_wire_put_request(&out, 1, &request);
    assert_int_equal(send(fd, out.data, out.size, MSG_NOSIGNAL), (ssize_t)out.size);
    char answers[4096]; /* until we have taken the session back */
    while (recv(fd, answers, sizeof answers, 0) > 0)
        continue;
    close(fd);
    buf_done(&out);
}

static void test_a_change_while_we_were_on_no_server_fires_the_watch_once(void **state)
{
    (void)state;
    struct embedded *server = server_start(0);
    struct world world;
    world_open(&world, embedded_port(server));
    assert_int_equal(do_op(&world, ZK_OP_CREATE, "/kept", false), ERR_OK);
    assert_int_equal(do_op(&world, ZK_OP_GET, "/kept", true), ERR_OK);
    assert_int_equal(do_op(&world, ZK_OP_CHILDREN, "/kept", true), ERR_OK);
    change_from_elsewhere(&world, "/kept");
    wait_for(&world, &world.events, 1);
    assert_int_equal(world.event, ZK_EVENT_DATA);
    assert_string_equal(world.event_path, "/kept");
    assert_int_equal(do_op(&world, ZK_OP_SET, "/kept", false), ERR_OK); /* not watched any more */
    assert_int_equal(do_op(&world, ZK_OP_CREATE, "/kept/child", false), ERR_OK);
    wait_for(&world, &world.events, 2);
    assert_int_equal(world.event, ZK_EVENT_CHILDREN);
    assert_int_equal(world.session->watches.count, 0);
    assert_int_equal(world.events, 2);
    world_close(&world);
    embedded_stop(server);
}

/* ---- Bytes ---- */

/* Each answer is cut at every byte: it is refused or read, and nothing outside of it is touched. */
static void test_answers_cut_at_any_byte_are_refused(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_new();
    struct zk_session session = {.chroot = (char *)"/root"};
    struct zk_view view = {.session = &session, .mailbox = mailbox, .ref_count = 1};
    struct zk_op op = {.kind = ZK_OP_CHILDREN, .path = SLICE_LITERAL("/root")};
    struct buf whole = {0};
    jute_put_int(&whole, 2);
    jute_put_bytes(&whole, SLICE_LITERAL("first"));
    jute_put_bytes(&whole, SLICE_LITERAL("second"));
    for (int i = 0; i < 68; i++)
        buf_put_u8(&whole, 0);
    for (size_t size = 0; size <= whole.size; size++) {
        uint8_t *part = mem_alloc(size + 1); /* so that a checker sees a step too far */
        part = mem_resize(part, size ? size : 1);
        memcpy(part, whole.data, size);
        struct zk_request request = {.view = &view, .ops = &op, .count = 1};
        request.message = zk_message_new(&view, ZK_MESSAGE_RESULT);
        request.message->results = mem_new_array(struct zk_result, 1);
        request.message->count = 1;
        struct jute_in in = jute_in_of(slice_of(part, size));
        zk_wire_get_answer(&in, 0, &request);
        assert_int_equal(in.bad, size < whole.size);
        zk_message_free(request.message);
        free(part);
    }
    buf_done(&whole);
    mailbox_free(mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_that_share_frames_are_answered_each_for_itself_and_in_order),
        cmocka_unit_test(test_a_view_that_goes_leaves_the_reads_of_others_in_the_frame),
        cmocka_unit_test(test_a_server_that_knows_no_multi_reads_is_asked_one_by_one),
        cmocka_unit_test(
            test_what_was_on_the_wire_fails_and_what_was_queued_goes_to_the_next_server),
        cmocka_unit_test(test_an_answer_that_cannot_be_read_ends_the_connection_and_nothing_else),
        cmocka_unit_test(test_watches_are_told_to_the_next_server),
        cmocka_unit_test(test_watches_end_with_the_session_that_set_them),
        cmocka_unit_test(test_a_change_while_we_were_on_no_server_fires_the_watch_once),
        cmocka_unit_test(test_answers_cut_at_any_byte_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
