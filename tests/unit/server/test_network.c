/* Requests and answers over the network: framing, order, headers, and what bad frames cost. */
#include "tests/unit/server/network_world.h"

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

/* As a produce request with acks=0 to the wrong broker: what was asked before it is answered,
 * however long that takes, and what comes behind it is not. */
static void test_a_refused_request_closes_after_the_answers_before_it(void **state)
{
    (void)state;
    start_default();
    int fd = dial();
    struct buf bytes = {0};
    put_request(&bytes, KEY_ECHO, 0, 1, SLICE_LITERAL("a"));
    put_request(&bytes, KEY_NEVER, 0, 2, SLICE_LITERAL("b"));
    put_request(&bytes, KEY_REFUSED, 0, 3, SLICE_LITERAL("c"));
    put_request(&bytes, KEY_ECHO, 0, 4, SLICE_LITERAL("d"));
    send_all(fd, bytes.data, bytes.size);
    buf_done(&bytes);
    expect_answer(fd, 1, SLICE_LITERAL("a"));
    wait_until(atomic_load(&world.held_count) == 1);
    assert_int_equal(counters_now().connections, 1);
    request_answer(world.held, world.held->message);
    expect_answer(fd, 2, SLICE_LITERAL("b"));
    expect_closed(fd);
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
        cmocka_unit_test(test_a_refused_request_closes_after_the_answers_before_it),
        cmocka_unit_test(test_a_huge_announced_size_costs_only_what_arrived),
        cmocka_unit_test(test_a_client_that_does_not_read_is_not_read_from),
        cmocka_unit_test(test_slices_of_files_arrive_whole_and_are_released),
        cmocka_unit_test(test_unfinished_requests_share_a_bound_and_the_rest_waits),
        cmocka_unit_test(test_what_is_decoded_counts_in_the_bound),
        cmocka_unit_test(test_a_throttled_connection_gets_its_answer_and_then_waits),
        cmocka_unit_test(test_a_request_may_be_answered_after_its_client_has_gone),
        cmocka_unit_test(test_stopping_under_load_answers_what_began_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
