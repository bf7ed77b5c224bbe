/* The network with raw sockets against a table of small APIs of our own: an echo that is answered
 * on the loop, on another thread at random times, never, or from a file. */
/* clang-format off: cmocka.h needs these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/mailbox.h"
#include "broker/base/thread.h"
#include "broker/base/trace.h"
#include "broker/server/network.h"

enum {
    KEY_ECHO = 0,
    KEY_FILE = 1,
    KEY_LATER = 2,
    KEY_SILENT = 3,
    KEY_NEVER = 4,
    KEY_THROTTLED = 5,
    KEY_SPREADING = 6,
    KEY_SPREADING_NEVER = 7
};

#define SPREAD 60 /* bytes decoded for each of the body */

#define BIG_FILE_BYTES (8 << 20)

struct world {
    struct network *network;
    struct mailbox *worker_mail;
    pthread_t worker;
    struct list_node stop;
    FILE *file;
    struct request *held;
    _Atomic int held_count;
    bool stays_closed; /* start() does not open it */
};

static struct world world;
static _Atomic int files_released;

/* --- the APIs --- */
static enum err decode_bytes(const struct api_entry *entry, struct slice body, int16_t version,
                             struct arena *arena, void **ret)
{
    (void)entry, (void)version;
    if (body.size == 1 && body.data[0] == 0xee)
        return err_note(ERR_MALFORMED, "the body is 0xee");
    struct slice *s = arena_alloc(arena, sizeof *s);
    *s = body;
    *ret = s;
    return ERR_OK;
}

static enum err encode_bytes(const struct api_entry *entry, struct answer *answer, int16_t version,
                             const void *response)
{
    (void)entry, (void)version;
    buf_put_slice(&answer->bytes, *(const struct slice *)response);
    return ERR_OK;
}

static void on_file_released(void *file)
{
    (void)file;
    atomic_fetch_add(&files_released, 1);
}

/* Much memory for a short body, all of which is written to. */
static enum err decode_spreading(const struct api_entry *entry, struct slice body, int16_t version,
                                 struct arena *arena, void **ret)
{
    if (!arena_try(arena, body.size * SPREAD))
        return err_note(ERR_NO_MEMORY, "too much");
    return decode_bytes(entry, body, version, arena, ret);
}

/* The body names two sizes; "<", the first slice, "|", the second, ">". */
static enum err encode_file(const struct api_entry *entry, struct answer *answer, int16_t version,
                            const void *response)
{
    (void)entry, (void)version;
    const uint8_t *sizes = response;
    struct answer_splice splice = {.fd = fileno(world.file), .release = on_file_released};
    buf_put(&answer->bytes, "<", 1);
    for (int i = 0; i < 2; i++) {
        splice.at = answer->bytes.size;
        splice.position = i * 1000;
        splice.size_bytes = get_be32(sizes + 4 * i);
        answer_splice_file(answer, &splice);
        buf_put(&answer->bytes, i == 0 ? "|" : ">", 1);
    }
    return ERR_OK;
}

static void handle_echo(struct request *request)
{
    request_answer(request, request->message);
}

static void handle_file(struct request *request)
{
    request_answer(request, ((const struct slice *)request->message)->data);
}

static void handle_silent(struct request *request)
{
    request_answer(request, NULL);
}

static void handle_never(struct request *request)
{
    world.held = request;
    atomic_fetch_add(&world.held_count, 1);
}

static void handle_throttled(struct request *request)
{
    request_throttle(request, 300);
    request_answer(request, request->message);
}

static const struct api_entry entries[] = {
    {KEY_ECHO, 0, 9, 5, "Echo", ON_LOOP, handle_echo, decode_bytes, encode_bytes},
    {KEY_FILE, 0, 0, INT16_MAX, "File", ON_LOOP, handle_file, decode_bytes, encode_file},
    {KEY_LATER, 0, 0, INT16_MAX, "Later", ON_WORKER, handle_echo, decode_bytes, encode_bytes},
    {KEY_SILENT, 0, 0, INT16_MAX, "Silent", ON_LOOP, handle_silent, decode_bytes, encode_bytes},
    {KEY_NEVER, 0, 0, INT16_MAX, "Never", ON_LOOP, handle_never, decode_bytes, encode_bytes},
    {KEY_THROTTLED, 0, 0, INT16_MAX, "Throttled", ON_LOOP, handle_throttled, decode_bytes,
     encode_bytes},
    {KEY_SPREADING, 0, 0, INT16_MAX, "Spreading", ON_LOOP, handle_echo, decode_spreading,
     encode_bytes},
    {KEY_SPREADING_NEVER, 0, 0, INT16_MAX, "SpreadingNever", ON_LOOP, handle_never,
     decode_spreading, encode_bytes},
    {API_KEY_API_VERSIONS, 0, 4, 3, "ApiVersions", ON_LOOP, handle_echo, decode_bytes,
     encode_bytes},
};

static const struct api_entry *lookup(int16_t key)
{
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        if (entries[i].api_key == key)
            return &entries[i];
    return NULL;
}

/* --- a worker --- */
static void to_worker(void *context, struct request *request)
{
    struct world *w = context;
    mailbox_post(w->worker_mail, &request->node);
}

static void *work(void *context)
{
    struct world *w = context;
    for (;;) {
        struct list_node messages;
        list_init(&messages);
        mailbox_wait(w->worker_mail, -1);
        mailbox_receive(w->worker_mail, &messages);
        for (struct list_node *node; (node = list_pop_front(&messages));) {
            if (node == &w->stop)
                return NULL;
            struct request *request = list_entry(node, struct request, node);
            if (random() % 3 == 0)
                sched_yield();
            request->run(request);
        }
    }
}

static void start(const struct network_options *changes)
{
    struct network_options options = *changes;
    static const struct listener_options one = {"PLAIN", "127.0.0.1", 0,
                                                false,   INT32_MAX,   INT32_MAX};
    if (!options.listeners) {
        options.listeners = &one;
        options.listeners_count = 1;
    }
    options.threads_count = 2;
    options.lookup = lookup;
    options.to_worker = to_worker;
    options.context = &world;
    world.worker_mail = mailbox_new();
    list_init(&world.stop);
    atomic_store(&world.held_count, 0);
    world.worker = thread_start("worker", work, &world);
    assert_int_equal(network_start(&options, &world.network), ERR_OK);
    if (!world.stays_closed)
        network_open(world.network);
}

static void stop(void)
{
    network_stop(world.network, 2000);
    mailbox_post(world.worker_mail, &world.stop);
    pthread_join(world.worker, NULL);
    network_free(world.network);
    mailbox_free(world.worker_mail);
}

static void start_default(void)
{
    struct network_options options;
    network_options_init(&options);
    start(&options);
}

/* --- a client --- */
static int dial_listener(size_t listener)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(network_port(world.network, listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static int dial(void)
{
    return dial_listener(0);
}

static void put_request(struct buf *to, int16_t key, int16_t version, int32_t id, struct slice body)
{
    bool is_flexible = lookup(key) && version >= lookup(key)->flexible_version;
    buf_put_be32(to, (uint32_t)(8 + 3 + is_flexible + body.size));
    buf_put_be16(to, (uint16_t)key);
    buf_put_be16(to, (uint16_t)version);
    buf_put_be32(to, (uint32_t)id);
    buf_put_be16(to, 1);
    buf_put(to, "c", 1);
    if (is_flexible)
        buf_put_u8(to, 0);
    buf_put_slice(to, body);
}

static void send_all(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = send(fd, (const uint8_t *)data + done, size - done, MSG_NOSIGNAL);
        assert_true(n > 0);
        done += (size_t)n;
    }
}

static void send_request(int fd, int16_t key, int16_t version, int32_t id, struct slice body)
{
    struct buf bytes = {0};
    put_request(&bytes, key, version, id, body);
    send_all(fd, bytes.data, bytes.size);
    buf_done(&bytes);
}

static void receive_all(int fd, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = recv(fd, (uint8_t *)data + done, size - done, 0);
        assert_true(n > 0);
        done += (size_t)n;
    }
}

/* Gives the answer without its size; the caller frees it. */
static uint8_t *receive_answer(int fd, size_t *ret_size)
{
    uint8_t head[4];
    receive_all(fd, head, 4);
    *ret_size = get_be32(head);
    uint8_t *answer = mem_alloc(*ret_size + 1);
    receive_all(fd, answer, *ret_size);
    return answer;
}

static void expect_answer(int fd, int32_t id, struct slice body)
{
    size_t size;
    OWNED_MEM uint8_t *answer = receive_answer(fd, &size);
    assert_int_equal(size, 4 + body.size);
    assert_int_equal(get_be32(answer), id);
    assert_memory_equal(answer + 4, body.data, body.size);
}

static void expect_closed(int fd)
{
    uint8_t byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
    close(fd);
}

static struct network_counters counters_now(void)
{
    struct network_counters c;
    network_counters(world.network, &c);
    return c;
}

/* Bounded by the test's own time-out. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        for (int i_ = 0; !(condition); i_++) {                                                     \
            assert_true(i_ < 20000);                                                               \
            poll(NULL, 0, 1);                                                                      \
        }                                                                                          \
    } while (0)

static struct slice body_of(size_t size, uint8_t seed)
{
    uint8_t *bytes = mem_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((seed + i * 7) & 0x7f);
    return slice_of(bytes, size);
}

/* --- the tests --- */
static void test_a_request_sent_byte_by_byte_is_answered(void **state)
{
    (void)state;
    start_default();
    int fd = dial();
    struct buf bytes = {0};
    put_request(&bytes, KEY_ECHO, 0, 7, SLICE_LITERAL("hello"));
    for (size_t i = 0; i < bytes.size; i++)
        send_all(fd, bytes.data + i, 1);
    expect_answer(fd, 7, SLICE_LITERAL("hello"));
    buf_done(&bytes);
    close(fd);
    stop();
}

static void test_frames_of_every_size_come_back_whole(void **state)
{
    (void)state;
    start_default();
    int fd = dial();
    const size_t sizes[] = {0,     1,     500,   513,   4096,    16368,
                            16369, 16384, 16385, 70000, 1 << 20, 5 << 20};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct slice body = body_of(sizes[i], (uint8_t)i);
        struct buf bytes = {0};
        put_request(&bytes, KEY_ECHO, 0, (int32_t)i, body);
        send_all(fd, bytes.data, bytes.size);
        expect_answer(fd, (int32_t)i, body);
        buf_done(&bytes);
        free((void *)body.data);
    }
    wait_until(counters_now().unfinished_bytes == 0);
    close(fd);
    stop();
}

static void test_pipelined_requests_are_answered_in_their_order_from_any_thread(void **state)
{
    (void)state;
    start_default();
    int fd = dial();
    struct buf bytes = {0};
    for (int32_t id = 0; id < 2000; id++) {
        int16_t key = random() % 2 ? KEY_LATER : KEY_ECHO;
        put_request(&bytes, key, 0, id, slice_of(&id, sizeof id));
        if (random() % 5 == 0)
            put_request(&bytes, KEY_SILENT, 0, -1, SLICE_LITERAL("x"));
    }
    send_all(fd, bytes.data, bytes.size);
    for (int32_t id = 0; id < 2000; id++)
        expect_answer(fd, id, slice_of(&id, sizeof id));
    buf_done(&bytes);
    close(fd);
    stop();
}

struct sending {
    int fd;
    struct slice bytes;
};

static void *send_beside(void *context)
{
    const struct sending *sending = context;
    send_all(sending->fd, sending->bytes.data, sending->bytes.size);
    return NULL;
}

/* Small ones are copied, large ones worked where they were read, unless they have to wait. */
static void test_requests_of_all_sizes_that_came_together_are_each_answered_whole(void **state)
{
    enum { COUNT = 300, MOST_BYTES = 150000 };
    (void)state;
    start_default();
    int fd = dial();
    struct buf bytes = {0};
    struct slice bodies[COUNT];
    for (int32_t id = 0; id < COUNT; id++) {
        int16_t key = random() % 4 ? KEY_ECHO : KEY_LATER;
        bodies[id] = body_of((size_t)(random() % MOST_BYTES) >> random() % 8, (uint8_t)id);
        put_request(&bytes, key, 0, id, bodies[id]);
    }
    struct sending sending = {fd, buf_slice(&bytes)};
    pthread_t sender;
    assert_int_equal(pthread_create(&sender, NULL, send_beside, &sending), 0);
    for (int32_t id = 0; id < COUNT; id++) {
        expect_answer(fd, id, bodies[id]);
        free((void *)bodies[id].data);
    }
    wait_until(counters_now().unfinished_bytes == 0);
    pthread_join(sender, NULL);
    buf_done(&bytes);
    close(fd);
    stop();
}

/* Two requests that come together, the second of which never ends. Gives how long the first one's
 * answer took. */
static int64_t answer_before_a_wait_ms(void)
{
    int fd = dial();
    struct buf bytes = {0};
    atomic_store(&world.held_count, 0);
    put_request(&bytes, KEY_ECHO, 0, 1, SLICE_LITERAL("a"));
    put_request(&bytes, KEY_NEVER, 0, 2, SLICE_LITERAL("b"));
    int64_t began_ms = clock_mono_ms(&clock_system);
    send_all(fd, bytes.data, bytes.size);
    expect_answer(fd, 1, SLICE_LITERAL("a"));
    int64_t took_ms = clock_mono_ms(&clock_system) - began_ms;
    wait_until(atomic_load(&world.held_count) == 1);
    request_answer(world.held, world.held->message);
    expect_answer(fd, 2, SLICE_LITERAL("b"));
    buf_done(&bytes);
    close(fd);
    return took_ms;
}

/* The kernel lets go of what it was told to keep back after 200 ms. */
static void test_an_answer_is_not_kept_back_for_one_that_waits(void **state)
{
    enum { TRIES = 20, KEPT_BACK_MS = 150 };
    (void)state;
    start_default();
    bool was_sent = false;
    for (int i = 0; i < TRIES && !was_sent; i++)
        was_sent = answer_before_a_wait_ms() < KEPT_BACK_MS;
    assert_true(was_sent);
    stop();
}

static void test_flexible_versions_have_a_tag_byte_in_the_answers_header(void **state)
{
    (void)state;
    start_default();
    int fd = dial();
    send_request(fd, KEY_ECHO, 5, 9, SLICE_LITERAL("abc"));
    expect_answer(fd, 9, SLICE_LITERAL("\0abc"));
    send_request(fd, API_KEY_API_VERSIONS, 3, 10, SLICE_LITERAL("abc"));
    expect_answer(fd, 10, SLICE_LITERAL("abc"));
    close(fd);
    stop();
}

static void test_api_versions_of_an_unknown_version_gets_version_0_and_error_35(void **state)
{
    (void)state;
    start_default();
    int fd = dial();
    send_request(fd, API_KEY_API_VERSIONS, 127, 3, SLICE_LITERAL(""));
    expect_answer(fd, 3, SLICE_LITERAL("\0\x23\0\0\0\x01\0\x12\0\0\0\x04"));
    send_request(fd, API_KEY_API_VERSIONS, -1, 4, SLICE_LITERAL("junk"));
    expect_answer(fd, 4, SLICE_LITERAL("\0\x23\0\0\0\x01\0\x12\0\0\0\x04"));
    send_request(fd, KEY_ECHO, 0, 5, SLICE_LITERAL("goes on"));
    expect_answer(fd, 5, SLICE_LITERAL("goes on"));
    close(fd);
    stop();
}

static void expect_closed_after(struct slice bytes)
{
    int fd = dial();
    send_all(fd, bytes.data, bytes.size);
    expect_closed(fd);
}

static void test_bad_frames_close_the_connection(void **state)
{
    (void)state;
    start_default();
    expect_closed_after(SLICE_LITERAL("\xff\xff\xff\xff"));
    expect_closed_after(SLICE_LITERAL("\x7f\xff\xff\xff"));
    expect_closed_after(SLICE_LITERAL("\0\0\0\0"));
    expect_closed_after(SLICE_LITERAL("\0\0\0\x04\0\0\0\0"));
    expect_closed_after(SLICE_LITERAL("\0\0\0\x0a\0\x63\0\0\0\0\0\x01\xff\xff")); /* key 99 */
    expect_closed_after(SLICE_LITERAL("\0\0\0\x0a\0\0\0\x0a\0\0\0\x01\xff\xff")); /* version 10 */
    expect_closed_after(SLICE_LITERAL("\0\0\0\x0a\0\0\0\0\0\0\0\x01\0\x05")); /* short client id */
    expect_closed_after(SLICE_LITERAL("\0\0\0\x0b\0\0\0\0\0\0\0\x01\xff\xff\xee")); /* body */
    wait_until(counters_now().connections == 0);
    assert_int_equal(counters_now().bad_frames, 8);
    assert_int_equal(counters_now().unfinished_bytes, 0);
    stop();
}

static void test_a_huge_announced_size_costs_only_what_arrived(void **state)
{
    (void)state;
    start_default();
    int fds[50];
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = dial();
        send_all(fds[i], "\x06\0\0\0 ten bytes", 14); /* 100 MB */
    }
    wait_until(counters_now().received_bytes == 14 * 50);
    wait_until(counters_now().unfinished_bytes > 0);
    assert_true(counters_now().unfinished_bytes <= 50 * 1024);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    wait_until(counters_now().connections == 0);
    assert_int_equal(counters_now().unfinished_bytes, 0);
    stop();
}

static void test_a_client_that_does_not_read_is_not_read_from(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    start(&options);
    int fd = dial();
    struct slice body = body_of(1 << 20, 1);
    struct buf bytes = {0};
    for (int32_t i = 0; i < 30; i++)
        put_request(&bytes, KEY_ECHO, 0, i, body);
    size_t sent = 0;
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    while (sent < bytes.size && poll(&poll_fd, 1, 500) == 1) {
        ssize_t n = send(fd, bytes.data + sent, bytes.size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
    }
    assert_true(sent < bytes.size); /* it does not take them all */
    assert_true(counters_now().unfinished_bytes <= 4 << 20);
    assert_true(counters_now().send_blocked > 0);
    for (int32_t i = 0; i < 30; i++) { /* then it reads, and all come in order */
        while (sent < bytes.size) {
            ssize_t n = send(fd, bytes.data + sent, bytes.size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n <= 0)
                break;
            sent += (size_t)n;
        }
        expect_answer(fd, i, body);
    }
    free((void *)body.data);
    buf_done(&bytes);
    close(fd);
    stop();
}

static uint8_t file_byte(size_t position)
{
    return (uint8_t)(position * 31 >> 3);
}

static void expect_file_answer(int fd, uint32_t first, uint32_t second)
{
    uint8_t sizes[8];
    put_be32(sizes, first);
    put_be32(sizes + 4, second);
    send_request(fd, KEY_FILE, 0, 1, slice_of(sizes, sizeof sizes));
    size_t size;
    OWNED_MEM uint8_t *answer = receive_answer(fd, &size);
    assert_int_equal(size, 4 + 3 + first + second);
    assert_int_equal(answer[4], '<');
    assert_int_equal(answer[5 + first], '|');
    assert_int_equal(answer[size - 1], '>');
    for (size_t i = 0; i < first; i++)
        if (answer[5 + i] != file_byte(i))
            fail_msg("byte %zu of the first slice", i);
    for (size_t i = 0; i < second; i++)
        if (answer[6 + first + i] != file_byte(1000 + i))
            fail_msg("byte %zu of the second slice", i);
}

static void test_slices_of_files_arrive_whole_and_are_released(void **state)
{
    (void)state;
    world.file = tmpfile();
    OWNED_MEM uint8_t *content = mem_alloc(BIG_FILE_BYTES);
    for (size_t i = 0; i < BIG_FILE_BYTES; i++)
        content[i] = file_byte(i);
    assert_int_equal(fwrite(content, 1, BIG_FILE_BYTES, world.file), BIG_FILE_BYTES);
    fflush(world.file);
    start_default();
    atomic_store(&files_released, 0);
    int fd = dial();
    const uint32_t sizes[][2] = {{10, 20},           {16384, 16385},   {16385, 16384},
                                 {100000, 1},        {1, 100000},      {200000, 300000},
                                 {6 << 20, 5 << 20}, {7 << 20, 16000}, {0, 0}};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        expect_file_answer(fd, sizes[i][0], sizes[i][1]);
    wait_until(atomic_load(&files_released) == 2 * (int)ARRAY_SIZE(sizes));
    assert_true(counters_now().sendfile_bytes > 10 << 20);

    uint8_t beyond[8]; /* more than the file has: nothing but the connection can be given up */
    put_be32(beyond, 9 << 20);
    put_be32(beyond + 4, 5);
    send_request(fd, KEY_FILE, 0, 1, slice_of(beyond, sizeof beyond));
    char drain[65536];
    ssize_t n;
    while ((n = recv(fd, drain, sizeof drain, 0)) > 0)
        ;
    close(fd);
    wait_until(atomic_load(&files_released) == 2 * (int)ARRAY_SIZE(sizes) + 2);
    stop();
    fclose(world.file);
}

static void test_limits_per_address_close_the_surplus(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    options.max_connections_per_ip = 2;
    start(&options);
    int first = dial(), second = dial();
    send_request(first, KEY_ECHO, 0, 1, SLICE_LITERAL("a"));
    expect_answer(first, 1, SLICE_LITERAL("a"));
    wait_until(counters_now().connections == 2);
    expect_closed(dial());
    assert_int_equal(counters_now().refused_per_ip, 1);
    close(second);
    wait_until(counters_now().connections == 1);
    second = dial();
    send_request(second, KEY_ECHO, 0, 2, SLICE_LITERAL("b"));
    expect_answer(second, 2, SLICE_LITERAL("b"));
    close(first);
    close(second);
    stop();
}

static void test_max_connections_leaves_the_surplus_in_the_backlog(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    options.max_connections = 1;
    start(&options);
    int first = dial();
    wait_until(counters_now().connections == 1);
    int second = dial();
    send_request(second, KEY_ECHO, 0, 2, SLICE_LITERAL("b"));
    struct pollfd poll_fd = {.fd = second, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, 100), 0);
    close(first);
    expect_answer(second, 2, SLICE_LITERAL("b"));
    close(second);
    stop();
}

static void test_an_inter_broker_connection_evicts_one_of_another_listener(void **state)
{
    (void)state;
    static const struct listener_options two[] = {
        {"CLIENT", "127.0.0.1", 0, false, INT32_MAX, INT32_MAX},
        {"BROKER", "127.0.0.1", 0, true, INT32_MAX, INT32_MAX}};
    struct network_options options;
    network_options_init(&options);
    options.max_connections = 2;
    options.listeners = two;
    options.listeners_count = 2;
    start(&options);
    int a = dial(), b = dial();
    wait_until(counters_now().connections == 2);
    int broker = dial_listener(1);
    send_request(broker, KEY_ECHO, 0, 2, SLICE_LITERAL("b"));
    expect_answer(broker, 2, SLICE_LITERAL("b"));
    wait_until(counters_now().evicted == 1);
    close(a);
    close(b);
    close(broker);
    stop();
}

/* Connections go to the threads in turn; only one of three holds a client's. */
static void test_the_connection_to_be_evicted_is_found_on_any_thread(void **state)
{
    (void)state;
    static const struct listener_options two[] = {
        {"CLIENT", "127.0.0.1", 0, false, INT32_MAX, INT32_MAX},
        {"BROKER", "127.0.0.1", 0, true, INT32_MAX, INT32_MAX}};
    struct network_options options;
    network_options_init(&options);
    options.threads_count = 3;
    options.max_connections = 3;
    options.listeners = two;
    options.listeners_count = 2;
    for (int place = 0; place < 3; place++) {
        start(&options);
        int first[3];
        for (int i = 0; i < 3; i++) {
            first[i] = i == place ? dial() : dial_listener(1);
            wait_until(counters_now().connections == i + 1);
        }
        int broker = dial_listener(1);
        wait_until(counters_now().evicted == 1);
        char byte;
        assert_int_equal(recv(first[place], &byte, 1, 0), 0); /* closed */
        for (int i = 0; i < 3; i++)
            close(first[i]);
        close(broker);
        stop();
    }
}

static struct listener_options named(const char *name, bool is_inter_broker)
{
    return (struct listener_options){name, "127.0.0.1", 0, is_inter_broker, INT32_MAX, INT32_MAX};
}

static void update(struct network_options *options, const struct listener_options *listeners,
                   size_t count, enum err expected)
{
    options->listeners = listeners;
    options->listeners_count = count;
    assert_int_equal(network_update(world.network, options), expected);
}

static int dial_named(const char *name)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(network_port_of(world.network, name)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void expect_service(int fd)
{
    send_request(fd, KEY_ECHO, 0, 2, SLICE_LITERAL("b"));
    expect_answer(fd, 2, SLICE_LITERAL("b"));
}

static void test_listeners_come_and_go_while_it_runs(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    struct listener_options listeners[] = {named("BROKER", true), named("A", false),
                                           named("B", false)};
    options.listeners = listeners;
    options.listeners_count = 1;
    start(&options);
    options.threads_count = 2;
    int broker = dial_named("BROKER");
    uint16_t broker_port = network_port_of(world.network, "BROKER");
    assert_int_equal(network_port_of(world.network, "A"), 0);
    for (int turn = 0; turn < 3; turn++) {
        listeners[0].port = (uint16_t)(turn + 1); /* a name that stays keeps its socket */
        update(&options, listeners, 2, ERR_OK);
        int a = dial_named("A");
        expect_service(a);
        uint16_t port = network_port_of(world.network, "A");

        listeners[2].port = port; /* the same place under another name */
        update(&options, (struct listener_options[]){listeners[0], listeners[2]}, 2, ERR_OK);
        expect_closed(a);
        assert_int_equal(network_port_of(world.network, "A"), 0);
        assert_int_equal(network_port_of(world.network, "B"), port);
        int b = dial_named("B");
        expect_service(b);
        update(&options, listeners, 1, ERR_OK);
        expect_closed(b);
    }
    assert_int_equal(network_port_of(world.network, "BROKER"), broker_port);
    expect_service(broker);
    close(broker);
    stop();
}

static void test_a_listener_that_cannot_be_bound_stops_no_other(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    struct listener_options listeners[] = {named("BROKER", true), named("TAKEN", false),
                                           named("A", false)};
    options.listeners = listeners;
    options.listeners_count = 1;
    start(&options);
    options.threads_count = 2;
    listeners[1].port = network_port_of(world.network, "BROKER");
    update(&options, listeners, 3, ERR_IO);
    assert_non_null(strstr(err_sentence(ERR_IO), "listener TAKEN: bind 127.0.0.1:"));
    int a = dial_named("A");
    expect_service(a);
    close(a);
    listeners[1].port = 0;
    update(&options, listeners, 3, ERR_OK);
    int taken = dial_named("TAKEN");
    expect_service(taken);
    close(taken);
    stop();
}

/* Each name has a place for life, so there is a bound; those that had one may come back. */
static void test_there_is_a_bound_of_names_of_listeners(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    struct listener_options listeners[] = {named("BROKER", true), named("", false)};
    options.listeners = listeners;
    options.listeners_count = 1;
    start(&options);
    options.threads_count = 2;
    char name[16];
    listeners[1].name = name;
    for (int i = 1; i < LISTENERS_MAX; i++) {
        snprintf(name, sizeof name, "L%d", i);
        update(&options, listeners, 2, ERR_OK);
    }
    snprintf(name, sizeof name, "ONE-MORE");
    update(&options, listeners, 2, ERR_INVALID_CONFIG);
    snprintf(name, sizeof name, "L1");
    update(&options, listeners, 2, ERR_OK);
    int fd = dial_named("L1");
    expect_service(fd);
    close(fd);
    stop();
}

static void test_limits_change_while_it_runs(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    struct listener_options listeners[] = {named("BROKER", true), named("A", false)};
    options.listeners = listeners;
    options.listeners_count = 2;
    start(&options);
    options.threads_count = 2;
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = dial_named(i ? "A" : "BROKER");
        expect_service(fds[i]);
    }
    options.max_connections = 2; /* those idle longest give way, but the brokers' own */
    update(&options, listeners, 2, ERR_OK);
    wait_until(counters_now().connections == 2);
    assert_int_equal(counters_now().evicted, 2);
    expect_service(fds[0]);

    int waiting = dial_named("A");
    send_request(waiting, KEY_ECHO, 0, 2, SLICE_LITERAL("b"));
    struct pollfd poll_fd = {.fd = waiting, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, 100), 0);
    options.max_connections = INT32_MAX;
    listeners[1].max_connections = 1;
    update(&options, listeners, 2, ERR_OK);
    assert_int_equal(poll(&poll_fd, 1, 100), 0); /* now the listener's own holds it */
    listeners[1].max_connections = 2;
    update(&options, listeners, 2, ERR_OK);
    expect_answer(waiting, 2, SLICE_LITERAL("b"));

    options.max_connections_per_ip = 3;
    update(&options, listeners, 2, ERR_OK);
    expect_closed(dial_named("BROKER"));
    struct ip_limit exception = {"127.0.0.1", 4};
    options.ip_limits = &exception;
    options.ip_limits_count = 1;
    update(&options, listeners, 2, ERR_OK);
    int fourth = dial_named("BROKER");
    expect_service(fourth);
    close(fourth);
    close(waiting);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    stop();
}

static void test_threads_are_added_while_it_runs(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    struct listener_options listeners[] = {named("BROKER", true)};
    options.listeners = listeners;
    options.listeners_count = 1;
    start(&options);
    for (int threads = 1; threads < 8; threads++) {
        options.threads_count = threads == 7 ? 1 : threads;
        update(&options, listeners, 1, ERR_OK);
        for (int i = 0; i < 2 * threads; i++) {
            int fd = dial_named("BROKER");
            expect_service(fd);
            close(fd);
        }
    }
    stop();
}

static void test_a_connection_waits_until_the_broker_opens(void **state)
{
    (void)state;
    world.stays_closed = true;
    start_default();
    world.stays_closed = false;
    int fd = dial();
    send_request(fd, KEY_ECHO, 0, 2, SLICE_LITERAL("b"));
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, 100), 0);
    assert_int_equal(counters_now().accepted, 0);
    network_open(world.network);
    network_open(world.network);
    expect_answer(fd, 2, SLICE_LITERAL("b"));
    close(fd);
    stop();
}

static void test_idle_connections_are_closed_and_active_ones_are_not(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    options.idle_max_ms = 300;
    start(&options);
    int silent = dial(), half = dial(), active = dial();
    send_all(half, "\0\0\1", 3);
    for (int32_t i = 0; counters_now().idle_closed < 2; i++) {
        send_request(active, KEY_ECHO, 0, i, SLICE_LITERAL("a"));
        expect_answer(active, i, SLICE_LITERAL("a"));
        poll(NULL, 0, 10);
    }
    expect_closed(silent);
    expect_closed(half);
    send_request(active, KEY_ECHO, 0, 1, SLICE_LITERAL("a"));
    expect_answer(active, 1, SLICE_LITERAL("a"));
    close(active);
    stop();
}

static void test_unfinished_requests_share_a_bound_and_the_rest_waits(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    options.unfinished_max_bytes = 1 << 20;
    start(&options);
    struct slice body = body_of(700000, 3);
    struct buf bytes = {0};
    put_request(&bytes, KEY_ECHO, 0, 1, body);
    int a = dial(), b = dial();
    send_all(a, bytes.data, bytes.size - 1); /* holds most of the bound */
    wait_until(counters_now().received_bytes >= (int64_t)bytes.size - 1);
    size_t sent = 0;
    while (counters_now().memory_pauses == 0) {
        ssize_t n = send(b, bytes.data + sent, bytes.size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        poll(NULL, 0, 1);
    }
    assert_true(counters_now().unfinished_bytes <= 1 << 20);
    send_all(a, bytes.data + bytes.size - 1, 1);
    expect_answer(a, 1, body);
    send_all(b, bytes.data + sent, bytes.size - sent);
    expect_answer(b, 1, body);
    close(a);
    close(b);
    free((void *)body.data);
    buf_done(&bytes);
    stop();
}

static void test_what_is_decoded_counts_in_the_bound(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    options.unfinished_max_bytes = 1 << 20;
    start(&options);
    struct slice large = body_of(100000, 3), fitting = body_of(11000, 3);
    int hostile = dial(), holder = dial(), waiting = dial(), small = dial();
    send_request(hostile, KEY_SPREADING, 0, 1, large); /* 6 MB of 100 kB: refused at once */
    expect_closed(hostile);
    wait_until(counters_now().unfinished_bytes == 0);

    send_request(holder, KEY_SPREADING_NEVER, 0, 1, fitting);
    wait_until(atomic_load(&world.held_count) == 1);
    assert_true(counters_now().unfinished_bytes > 11000 * (SPREAD - 2));
    send_request(waiting, KEY_SPREADING, 0, 1, fitting); /* there is no room for two */
    wait_until(counters_now().memory_pauses > 3);
    send_request(small, KEY_SPREADING, 0, 1, SLICE_LITERAL("a"));
    expect_answer(small, 1, SLICE_LITERAL("a"));
    request_answer(world.held, &fitting);
    expect_answer(holder, 1, fitting);
    expect_answer(waiting, 1, fitting);
    wait_until(counters_now().unfinished_bytes == 0);

    atomic_store(&world.held_count, 0);
    send_request(holder, KEY_SPREADING_NEVER, 0, 2, fitting);
    wait_until(atomic_load(&world.held_count) == 1);
    send_request(waiting, KEY_SPREADING, 0, 2, fitting);
    int64_t pauses = counters_now().memory_pauses;
    wait_until(counters_now().memory_pauses > pauses);
    close(waiting); /* gone while it waits */
    request_answer(world.held, &fitting);
    expect_answer(holder, 2, fitting);
    wait_until(counters_now().unfinished_bytes == 0);
    close(holder);
    close(small);
    free((void *)large.data);
    free((void *)fitting.data);
    stop();
}

static void test_a_throttled_connection_gets_its_answer_and_then_waits(void **state)
{
    (void)state;
    start_default();
    int fd = dial();
    send_request(fd, KEY_THROTTLED, 0, 1, SLICE_LITERAL("a"));
    send_request(fd, KEY_ECHO, 0, 2, SLICE_LITERAL("b"));
    expect_answer(fd, 1, SLICE_LITERAL("a"));
    int64_t from_ms = clock_mono_ms(&clock_system);
    expect_answer(fd, 2, SLICE_LITERAL("b"));
    assert_true(clock_mono_ms(&clock_system) - from_ms >= 200);
    close(fd);
    stop();
}

static void test_a_request_may_be_answered_after_its_client_has_gone(void **state)
{
    (void)state;
    struct network_options options;
    network_options_init(&options);
    options.idle_max_ms = 100;
    start(&options);
    int fd = dial();
    send_request(fd, KEY_NEVER, 0, 1, SLICE_LITERAL("a"));
    expect_closed(fd); /* idle, though its request is in work */
    assert_int_equal(atomic_load(&world.held_count), 1);
    request_answer(world.held, world.held->message);
    wait_until(counters_now().unfinished_bytes == 0);
    stop();
}

static void test_stopping_under_load_answers_what_began_and_leaks_nothing(void **state)
{
    (void)state;
    start_default();
    int fds[20];
    struct buf bytes = {0};
    for (int32_t id = 0; id < 100; id++)
        put_request(&bytes, id % 2 ? KEY_LATER : KEY_ECHO, 0, id, slice_of(&id, sizeof id));
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = dial();
        send_all(fds[i], bytes.data, bytes.size);
    }
    int never = dial();
    send_request(never, KEY_NEVER, 0, 1, SLICE_LITERAL("a"));
    wait_until(atomic_load(&world.held_count) == 1);
    network_stop(world.network, 200);
    request_answer(world.held, world.held->message); /* into nothing */
    mailbox_post(world.worker_mail, &world.stop);
    pthread_join(world.worker, NULL);
    network_free(world.network);
    mailbox_free(world.worker_mail);
    expect_closed(never);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    buf_done(&bytes);
}

static void test_a_port_that_is_taken_is_an_error_with_its_name(void **state)
{
    (void)state;
    start_default();
    struct listener_options taken = {"TAKEN", "127.0.0.1", network_port(world.network, 0),
                                     false,   INT32_MAX,   INT32_MAX};
    struct network_options options;
    network_options_init(&options);
    options.listeners = &taken;
    options.listeners_count = 1;
    options.lookup = lookup;
    struct network *network = NULL;
    enum err e = network_start(&options, &network);
    assert_int_equal(e, ERR_IO);
    assert_non_null(strstr(err_sentence(e), "TAKEN"));
    assert_non_null(strstr(err_sentence(e), "in use"));
    stop();
}

int main(void)
{
    alarm(120);
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_sent_byte_by_byte_is_answered),
        cmocka_unit_test(test_frames_of_every_size_come_back_whole),
        cmocka_unit_test(test_pipelined_requests_are_answered_in_their_order_from_any_thread),
        cmocka_unit_test(test_requests_of_all_sizes_that_came_together_are_each_answered_whole),
        cmocka_unit_test(test_an_answer_is_not_kept_back_for_one_that_waits),
        cmocka_unit_test(test_flexible_versions_have_a_tag_byte_in_the_answers_header),
        cmocka_unit_test(test_api_versions_of_an_unknown_version_gets_version_0_and_error_35),
        cmocka_unit_test(test_bad_frames_close_the_connection),
        cmocka_unit_test(test_a_huge_announced_size_costs_only_what_arrived),
        cmocka_unit_test(test_a_client_that_does_not_read_is_not_read_from),
        cmocka_unit_test(test_slices_of_files_arrive_whole_and_are_released),
        cmocka_unit_test(test_limits_per_address_close_the_surplus),
        cmocka_unit_test(test_max_connections_leaves_the_surplus_in_the_backlog),
        cmocka_unit_test(test_an_inter_broker_connection_evicts_one_of_another_listener),
        cmocka_unit_test(test_the_connection_to_be_evicted_is_found_on_any_thread),
        cmocka_unit_test(test_listeners_come_and_go_while_it_runs),
        cmocka_unit_test(test_a_listener_that_cannot_be_bound_stops_no_other),
        cmocka_unit_test(test_there_is_a_bound_of_names_of_listeners),
        cmocka_unit_test(test_limits_change_while_it_runs),
        cmocka_unit_test(test_threads_are_added_while_it_runs),
        cmocka_unit_test(test_a_connection_waits_until_the_broker_opens),
        cmocka_unit_test(test_idle_connections_are_closed_and_active_ones_are_not),
        cmocka_unit_test(test_unfinished_requests_share_a_bound_and_the_rest_waits),
        cmocka_unit_test(test_what_is_decoded_counts_in_the_bound),
        cmocka_unit_test(test_a_throttled_connection_gets_its_answer_and_then_waits),
        cmocka_unit_test(test_a_request_may_be_answered_after_its_client_has_gone),
        cmocka_unit_test(test_stopping_under_load_answers_what_began_and_leaks_nothing),
        cmocka_unit_test(test_a_port_that_is_taken_is_an_error_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
