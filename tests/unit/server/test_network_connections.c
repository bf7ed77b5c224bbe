/* Connections: how many, by which listener, from when on, and how long; what changes while the
 * broker runs. */
#include "tests/unit/server/network_world.h"

#include <netinet/tcp.h>
#include <stdlib.h>

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

static _Atomic int halves_told, closed_told;

static void hear(enum trace_level level, const char *line, void *context)
{
    (void)level, (void)context;
    closed_told += strstr(line, "connection ") != NULL;
    halves_told += strstr(line, " reason=the client left half a request") != NULL;
}

static void leave_by_reset(int fd)
{
    struct linger linger = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(fd);
}

static void
test_a_client_that_leaves_half_a_request_is_told_and_others_that_leave_are_not(void **state)
{
    (void)state;
    start_default();
    trace_set_level(TRACE_INFO);
    trace_set_sink(hear, NULL);
    int silent = dial(), resting = dial(), half = dial(), size = dial(), reset = dial();
    send_request(resting, KEY_ECHO, 0, 1, SLICE_LITERAL("a"));
    expect_answer(resting, 1, SLICE_LITERAL("a"));
    int64_t received = counters_now().received_bytes;
    send_all(size, "\0\0\1", 3);
    send_all(half, "\0\0\1\0half", 8);
    send_all(reset, "\0\0\1\0half", 8);
    wait_until(counters_now().received_bytes == received + 19);
    close(silent);
    close(resting);
    close(size);
    close(half);
    leave_by_reset(reset);
    wait_until(counters_now().accepted == 5 && counters_now().connections == 0);
    stop();
    trace_set_sink(NULL, NULL);
    trace_set_level(TRACE_ERROR);
    assert_int_equal(halves_told, 3);
    assert_int_equal(closed_told, 3);
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

/* Where it stands is the same for both families. */
static in_port_t port_in(const struct sockaddr_storage *address)
{
    return ((const struct sockaddr_in *)address)->sin_port;
}

/* The broker's end of the connection: it is of this process, too. */
static int other_end(int client)
{
    struct sockaddr_storage own, peer;
    socklen_t size = sizeof own;
    assert_int_equal(getsockname(client, (struct sockaddr *)&own, &size), 0);
    for (int fd = 0; fd < 1024; fd++) {
        size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
            (peer.ss_family == AF_INET || peer.ss_family == AF_INET6) &&
            port_in(&peer) == port_in(&own))
            return fd;
    }
    fail_msg("nobody has accepted it");
    return -1;
}

/* A broker with one listener at this address, and a client that it has taken. */
static int dial_alone(const char *listens, struct network_options *options)
{
    struct listener_options one = {"PLAIN", listens, 0, false, INT32_MAX, INT32_MAX};
    options->listeners = &one;
    options->listeners_count = 1;
    start(options);
    int client = dial();
    wait_until(counters_now().connections == 1);
    return client;
}

static void expect_congestion_control(const char *listens, const char *asked, const char *expected)
{
    struct network_options options;
    char name[32] = "";
    socklen_t size = sizeof name;
    network_options_init(&options);
    options.congestion_control = asked;
    int client = dial_alone(listens, &options);
    assert_int_equal(getsockopt(other_end(client), IPPROTO_TCP, TCP_CONGESTION, name, &size), 0);
    assert_string_equal(name, expected);
    close(client);
    stop();
}

/* What the system has by default, and the last of those that everybody may choose. */
static void read_word(const char *file, char *ret_word, size_t size)
{
    char path[128], *last;
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(ret_word, (int)size, f));
    fclose(f);
    ret_word[strcspn(ret_word, "\n")] = '\0';
    if ((last = strrchr(ret_word, ' ')))
        memmove(ret_word, last + 1, strlen(last));
}

static void test_congestion_control_is_the_systems_unless_named_or_nothing_can_be_lost(void **state)
{
    (void)state;
    char systems[64], other[64];
    read_word("tcp_congestion_control", systems, sizeof systems);
    read_word("tcp_allowed_congestion_control", other, sizeof other);
    expect_congestion_control("127.0.0.1", NULL, "reno");
    expect_congestion_control("", NULL, systems);
    expect_congestion_control("", "reno", "reno");
    expect_congestion_control("127.0.0.1", other, other);
}

static int send_buffer_of(const char *listens, int32_t asked)
{
    struct network_options options;
    int bytes = 0;
    socklen_t size = sizeof bytes;
    network_options_init(&options);
    options.send_buffer_bytes = asked;
    int client = dial_alone(listens, &options);
    assert_int_equal(getsockopt(other_end(client), SOL_SOCKET, SO_SNDBUF, &bytes, &size), 0);
    close(client);
    stop();
    return bytes;
}

/* The kernel doubles what it is given, for its own needs. */
static void test_a_send_buffer_is_as_large_as_asked_and_large_on_the_loopback(void **state)
{
    (void)state;
    char allowed[64];
    read_word("../core/wmem_max", allowed, sizeof allowed);
    assert_int_equal(send_buffer_of("", 102400), 204800);
    assert_int_equal(send_buffer_of("127.0.0.1", 102400), 204800);
    int large = send_buffer_of("127.0.0.1", -1);
    if (atoi(allowed) >= 4 << 20)
        assert_int_equal(large, 8 << 20);
    else
        assert_true(large > 2 * atoi(allowed)); /* grown by TCP, not cut down */
}

static void test_a_congestion_control_that_is_not_to_be_had_is_an_error_with_its_name(void **state)
{
    (void)state;
    struct listener_options one = {"PLAIN", "127.0.0.1", 0, false, INT32_MAX, INT32_MAX};
    struct network_options options;
    struct network *network = NULL;
    network_options_init(&options);
    options.threads_count = 1;
    options.lookup = lookup;
    options.listeners = &one;
    options.listeners_count = 1;
    options.congestion_control = "faster";
    assert_int_equal(network_start(&options, &network), ERR_IO);
    assert_non_null(strstr(err_sentence(ERR_IO), "stoker.socket.congestion.control=faster"));
    assert_null(network);
}

int main(void)
{
    alarm(120);
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(
            test_a_client_that_leaves_half_a_request_is_told_and_others_that_leave_are_not),
        cmocka_unit_test(test_a_port_that_is_taken_is_an_error_with_its_name),
        cmocka_unit_test(
            test_congestion_control_is_the_systems_unless_named_or_nothing_can_be_lost),
        cmocka_unit_test(test_a_send_buffer_is_as_large_as_asked_and_large_on_the_loopback),
        cmocka_unit_test(test_a_congestion_control_that_is_not_to_be_had_is_an_error_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
