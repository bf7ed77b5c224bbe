/* A peer against a scripted broker on a thread of its own, which echoes the body of each request.
 */
/* clang-format off: cmocka.h needs these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <arpa/inet.h>
#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/peer/peer.h"
#include "broker/base/trace.h"

#define HEADER_BYTES (8 + 2 + 2) /* of a request by the client "us" */

/* One connection after the other: answers so many requests, then closes, or falls silent until the
 * client closes. */
struct script {
    int answers_count;
    bool then_silent;
    bool wrong_correlation;
};

struct broker_thread {
    int fd;
    uint16_t port;
    pthread_t thread;
    const struct script *scripts;
    int scripts_count;
};

static bool names_are_turned; /* the addresses of a name change places */

/* Of two names that are looked up here, each has two addresses and a broker at the second; others
 * are addresses. Stands before the system's own. */
static int fill_address(struct addrinfo **ret, const char *text, const char *service,
                        struct addrinfo *next)
{
    struct addrinfo *a = mem_new(struct addrinfo);
    struct sockaddr_storage *at = mem_new(struct sockaddr_storage);
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)at;
    struct sockaddr_in *in = (struct sockaddr_in *)at;
    bool is_ipv6 = inet_pton(AF_INET6, text, &in6->sin6_addr) == 1;
    at->ss_family = is_ipv6 ? AF_INET6 : AF_INET;
    in->sin_port = htons((uint16_t)atoi(service));
    if (!is_ipv6)
        assert_int_equal(inet_pton(AF_INET, text, &in->sin_addr), 1);
    *a = (struct addrinfo){.ai_family = at->ss_family,
                           .ai_addr = (struct sockaddr *)at,
                           .ai_addrlen = is_ipv6 ? sizeof *in6 : sizeof *in,
                           .ai_next = next};
    *ret = a;
    return 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    (void)hints;
    static const struct {
        const char *name, *first;
    } names[] = {{"both.families", "::1"}, {"two.machines", "127.0.0.2"}};
    const char *first = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        first = strcmp(name, names[i].name) == 0 ? names[i].first : first;
    if (!first)
        return fill_address(ret, name, service, NULL);
    const char *second = "127.0.0.1";
    fill_address(ret, names_are_turned ? first : second, service, NULL);
    return fill_address(ret, names_are_turned ? second : first, service, *ret);
}

void freeaddrinfo(struct addrinfo *found)
{
    while (found) {
        struct addrinfo *next = found->ai_next;
        free(found->ai_addr);
        free(found);
        found = next;
    }
}

static bool read_whole(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static bool echo_one(int fd, bool wrong_correlation)
{
    uint8_t head[4];
    if (!read_whole(fd, head, 4))
        return false;
    size_t size = get_be32(head);
    OWNED_MEM uint8_t *frame = mem_alloc(size);
    if (!read_whole(fd, frame, size))
        return false;
    put_be32(head, (uint32_t)(4 + size - HEADER_BYTES));
    if (wrong_correlation)
        frame[7] ^= 1;
    send(fd, head, 4, MSG_NOSIGNAL | MSG_MORE);
    send(fd, frame + 4, 4, MSG_NOSIGNAL | MSG_MORE);
    return send(fd, frame + HEADER_BYTES, size - HEADER_BYTES, MSG_NOSIGNAL) >= 0;
}

static void *run_broker(void *context)
{
    struct broker_thread *broker = context;
    for (int i = 0; i < broker->scripts_count; i++) {
        const struct script *script = &broker->scripts[i];
        int fd = accept(broker->fd, NULL, NULL);
        for (int n = 0; n < script->answers_count && echo_one(fd, script->wrong_correlation); n++)
            ;
        char byte;
        while (script->then_silent && recv(fd, &byte, 1, 0) > 0)
            ;
        close(fd);
    }
    return NULL;
}

static void broker_start(struct broker_thread *broker, const struct script *scripts, int count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    broker->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(broker->fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(broker->fd, 8), 0);
    getsockname(broker->fd, (struct sockaddr *)&at, &size);
    broker->port = ntohs(at.sin_port);
    broker->scripts = scripts;
    broker->scripts_count = count;
    pthread_create(&broker->thread, NULL, run_broker, broker);
}

static void broker_stop(struct broker_thread *broker)
{
    pthread_join(broker->thread, NULL);
    close(broker->fd);
}

static enum err encode(const struct peer_api *api, struct buf *out, int16_t version,
                       const void *request)
{
    (void)api, (void)version;
    buf_put_slice(out, *(const struct slice *)request);
    return ERR_OK;
}

static enum err decode(const struct peer_api *api, struct slice body, int16_t version,
                       struct arena *arena, void **ret)
{
    (void)api, (void)version;
    struct slice *s = arena_alloc(arena, sizeof *s);
    *s = body;
    *ret = s;
    return ERR_OK;
}

static const struct peer_api api = {1, "Echo", INT16_MAX, encode, decode};

struct result {
    struct event_base *base;
    int calls, oks, wanted;
    enum err last_error;
    uint32_t next; /* bodies count up */
    size_t last_size;
};

static void on_done(void *context, enum err e, const void *response)
{
    struct result *result = context;
    result->calls++;
    if (e) {
        result->last_error = e;
        assert_null(response);
    } else {
        const struct slice *body = response;
        result->oks++;
        result->last_size = body->size;
        assert_int_equal(get_be32(body->data), result->next);
        result->next++;
    }
    if (result->calls == result->wanted)
        event_base_loopbreak(result->base);
}

static struct peer *new_peer_at(struct event_base *base, const char *host, uint16_t port)
{
    struct peer_options options;
    peer_options_init(&options);
    options.base = base;
    options.host = host;
    options.port = port;
    options.client_id = "us";
    options.backoff_ms = 5;
    options.backoff_max_ms = 20;
    return peer_new(&options);
}

static struct peer *new_peer(struct event_base *base, uint16_t port)
{
    return new_peer_at(base, "127.0.0.1", port);
}

static void send_number(struct peer *peer, struct result *result, uint32_t number, size_t size,
                        int64_t timeout_ms)
{
    OWNED_MEM uint8_t *bytes = mem_alloc(size);
    put_be32(bytes, number);
    struct slice body = slice_of(bytes, size);
    int before = result->calls;
    assert_int_equal(peer_send(peer, &api, 0, &body, timeout_ms, on_done, result), ERR_OK);
    assert_int_equal(result->calls, before);
}

static void run(struct result *result, int wanted)
{
    result->wanted = wanted;
    if (result->calls < wanted)
        event_base_loop(result->base, EVLOOP_NO_EXIT_ON_EMPTY);
    assert_int_equal(result->calls, wanted);
}

static void test_pipelined_requests_come_back_in_order(void **state)
{
    (void)state;
    struct broker_thread broker;
    static const struct script script = {.answers_count = 1001, .then_silent = true};
    broker_start(&broker, &script, 1);
    struct result result = {.base = event_base_new()};
    struct peer *peer = new_peer(result.base, broker.port);
    for (uint32_t i = 0; i < 1000; i++)
        send_number(peer, &result, i, 4 + i * 7 % 500, 20000);
    run(&result, 1000);
    assert_int_equal(result.oks, 1000);
    send_number(peer, &result, 1000, 3 << 20, 20000);
    run(&result, 1001);
    assert_int_equal(result.last_size, 3 << 20);
    assert_true(peer_is_connected(peer));
    assert_int_equal(peer_pending_count(peer), 0);
    peer_free(peer);
    broker_stop(&broker);
    event_base_free(result.base);
}

static void
test_a_lost_connection_fails_what_is_pending_and_the_next_request_connects_anew(void **state)
{
    (void)state;
    struct broker_thread broker;
    static const struct script scripts[] = {{.answers_count = 2},
                                            {.answers_count = 1, .then_silent = true}};
    broker_start(&broker, scripts, 2);
    struct result result = {.base = event_base_new()};
    struct peer *peer = new_peer(result.base, broker.port);
    for (uint32_t i = 0; i < 5; i++)
        send_number(peer, &result, i, 100, 20000);
    run(&result, 5);
    assert_int_equal(result.oks, 2);
    assert_int_equal(result.last_error, ERR_NETWORK_EXCEPTION);
    send_number(peer, &result, 2, 100, 20000);
    run(&result, 6);
    assert_int_equal(result.oks, 3);
    peer_free(peer);
    broker_stop(&broker);
    event_base_free(result.base);
}

static void
test_a_request_without_an_answer_times_out_and_takes_the_connection_with_it(void **state)
{
    (void)state;
    struct broker_thread broker;
    static const struct script script = {.answers_count = 0, .then_silent = true};
    broker_start(&broker, &script, 1);
    struct result result = {.base = event_base_new()};
    struct peer *peer = new_peer(result.base, broker.port);
    send_number(peer, &result, 0, 4, 50);
    run(&result, 1);
    assert_int_equal(result.last_error, ERR_REQUEST_TIMED_OUT);
    while (peer_is_connected(peer))
        event_base_loop(result.base, EVLOOP_ONCE);
    broker_stop(&broker); /* ends only if the connection is closed before peer_free() */
    assert_false(peer_is_connected(peer));
    peer_free(peer);
    event_base_free(result.base);
}

static void test_a_refused_connection_fails_soon(void **state)
{
    (void)state;
    struct broker_thread broker;
    broker_start(&broker, NULL, 0);
    broker_stop(&broker); /* its port is free now */
    struct result result = {.base = event_base_new()};
    struct peer *peer = new_peer(result.base, broker.port);
    send_number(peer, &result, 0, 4, 20000);
    run(&result, 1);
    assert_int_equal(result.last_error, ERR_NETWORK_EXCEPTION);
    peer_free(peer);
    event_base_free(result.base);
}

static void test_of_both_families_ipv4_comes_first_as_on_the_jvm(void **state)
{
    (void)state;
    struct broker_thread broker;
    static const struct script script = {.answers_count = 1, .then_silent = true};
    broker_start(&broker, &script, 1);
    struct result result = {.base = event_base_new()};
    struct peer *peer = new_peer_at(result.base, "both.families", broker.port);
    send_number(peer, &result, 0, 4, 20000);
    run(&result, 1);
    assert_int_equal(result.oks, 1);
    peer_free(peer);
    broker_stop(&broker);
    event_base_free(result.base);
}

static void test_after_an_address_that_refuses_the_next_one_is_tried(void **state)
{
    (void)state;
    struct broker_thread broker;
    static const struct script script = {.answers_count = 1, .then_silent = true};
    broker_start(&broker, &script, 1);
    struct result result = {.base = event_base_new()};
    struct peer *peer = new_peer_at(result.base, "two.machines", broker.port);
    send_number(peer, &result, 0, 4, 20000);
    run(&result, 1);
    if (!result
             .oks) { /* else the kernel refused within connect(), and the next was tried at once */
        send_number(peer, &result, 0, 4, 20000);
        run(&result, 2);
    }
    assert_int_equal(result.oks, 1);
    peer_free(peer);
    broker_stop(&broker);
    event_base_free(result.base);
}

static void test_an_answer_of_another_request_is_malformed(void **state)
{
    (void)state;
    struct broker_thread broker;
    static const struct script script = {
        .answers_count = 1, .wrong_correlation = true, .then_silent = true};
    broker_start(&broker, &script, 1);
    struct result result = {.base = event_base_new()};
    struct peer *peer = new_peer(result.base, broker.port);
    send_number(peer, &result, 0, 4, 20000);
    run(&result, 1);
    assert_int_equal(result.last_error, ERR_MALFORMED);
    peer_free(peer);
    broker_stop(&broker);
    event_base_free(result.base);
}

static void test_freeing_cancels_what_is_pending(void **state)
{
    (void)state;
    struct broker_thread broker;
    broker_start(&broker, NULL, 0);
    struct result result = {.base = event_base_new()};
    struct peer *peer = new_peer(result.base, broker.port);
    send_number(peer, &result, 0, 4, 20000);
    peer_free(peer);
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.last_error, ERR_CANCELLED);
    broker_stop(&broker);
    event_base_free(result.base);
}

/* ---- Who looks after it when the connection is lost ---- */

struct watcher {
    struct event_base *base;
    int refusals;
};

static void on_refused(void *context)
{
    struct watcher *watcher = context;
    watcher->refusals++;
    event_base_loopbreak(watcher->base);
}

static struct peer *new_watched_at(struct watcher *watcher, const char *host, uint16_t port)
{
    struct peer_options options;
    peer_options_init(&options);
    options.base = watcher->base;
    options.host = host;
    options.port = port;
    options.client_id = "us";
    options.backoff_ms = 5;
    options.backoff_max_ms = 20;
    options.refused = on_refused;
    options.refused_context = watcher;
    return peer_new(&options);
}

static struct peer *new_watched(struct watcher *watcher, uint16_t port)
{
    return new_watched_at(watcher, "127.0.0.1", port);
}

static void test_an_ended_process_is_noticed_though_nothing_is_to_be_sent(void **state)
{
    (void)state;
    struct broker_thread broker;
    static const struct script script = {.answers_count = 1};
    struct result result = {.base = event_base_new()};
    struct watcher watcher = {.base = result.base};
    broker_start(&broker, &script, 1);
    struct peer *peer = new_watched(&watcher, broker.port);
    send_number(peer, &result, 0, 4, 20000);
    run(&result, 1);
    assert_int_equal(result.oks, 1);
    broker_stop(&broker); /* nobody listens there any more */
    while (!watcher.refusals)
        event_base_loop(result.base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
    send_number(peer, &result, 1, 4, 20000); /* refused too, and known already */
    run(&result, 2);
    assert_int_equal(result.last_error, ERR_NETWORK_EXCEPTION);
    assert_int_equal(watcher.refusals, 1);
    peer_free(peer);
    event_base_free(result.base);
}

static void test_a_process_that_has_never_answered_is_not_looked_after(void **state)
{
    (void)state;
    struct broker_thread broker;
    struct result result = {.base = event_base_new()};
    struct watcher watcher = {.base = result.base};
    broker_start(&broker, NULL, 0);
    broker_stop(&broker);
    struct peer *peer = new_watched(&watcher, broker.port);
    for (uint32_t i = 0; i < 3; i++) {
        send_number(peer, &result, i, 4, 20000);
        run(&result, (int)i + 1);
    }
    assert_int_equal(result.last_error, ERR_NETWORK_EXCEPTION);
    assert_int_equal(watcher.refusals, 0);
    peer_free(peer);
    event_base_free(result.base);
}

/* It closes the connection after an answer, and serves the next one. */
static void expect_found_well(const char *host, bool turns_names)
{
    struct broker_thread broker;
    static const struct script scripts[] = {{.answers_count = 1},
                                            {.answers_count = 1, .then_silent = true}};
    struct result result = {.base = event_base_new()};
    struct watcher watcher = {.base = result.base};
    broker_start(&broker, scripts, 2);
    struct peer *peer = new_watched_at(&watcher, host, broker.port);
    while (!result.oks) { /* the first address may fail a request */
        send_number(peer, &result, 0, 4, 20000);
        run(&result, result.calls + 1);
    }
    names_are_turned = turns_names;
    while (peer_is_connected(peer))
        event_base_loop(result.base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
    while (!peer_is_connected(peer) && !watcher.refusals) /* by itself */
        event_base_loop(result.base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
    names_are_turned = false;
    assert_int_equal(watcher.refusals, 0);
    send_number(peer, &result, 1, 4, 20000);
    run(&result, result.calls + 1);
    assert_int_equal(result.oks, 2);
    peer_free(peer);
    broker_stop(&broker);
    event_base_free(result.base);
}

static void test_one_that_only_closed_the_connection_is_found_well(void **state)
{
    (void)state;
    expect_found_well("127.0.0.1", false);
}

/* As of a name server that gives them in turn; at the other one nobody ever listened. */
static void test_of_several_addresses_the_one_that_answered_is_looked_after(void **state)
{
    (void)state;
    expect_found_well("two.machines", true);
}

/* ---- What is said of it ---- */

static int told_lost, told_back;

static void hear(enum trace_level level, const char *line, void *context)
{
    (void)level, (void)context;
    told_lost += strstr(line, "connection to broker ") != NULL;
    told_back += strstr(line, "broker answers again ") != NULL;
    if (strstr(line, "broker answers again "))
        assert_non_null(strstr(line, " times=20 "));
}

static void test_a_broker_that_cannot_be_reached_is_told_once_and_that_it_is_back(void **state)
{
    (void)state;
    struct broker_thread broker;
    static const struct script script = {.answers_count = 2, .then_silent = true};
    struct result result = {.base = event_base_new()};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    broker = (struct broker_thread){.scripts = &script, .scripts_count = 1};
    broker.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(broker.fd, (struct sockaddr *)&at, size), 0); /* and does not listen */
    getsockname(broker.fd, (struct sockaddr *)&at, &size);
    struct peer *peer = new_peer(result.base, ntohs(at.sin_port));
    trace_set_level(TRACE_INFO);
    trace_set_sink(hear, NULL);
    for (int i = 1; i <= 20; i++) {
        send_number(peer, &result, 0, 4, 20000);
        run(&result, i);
        assert_int_equal(result.last_error, ERR_NETWORK_EXCEPTION);
    }
    assert_int_equal(told_lost, 1);
    assert_int_equal(told_back, 0);
    assert_int_equal(listen(broker.fd, 8), 0);
    pthread_create(&broker.thread, NULL, run_broker, &broker);
    for (uint32_t i = 0; i < 2; i++) {
        send_number(peer, &result, i, 4, 20000);
        run(&result, 21 + (int)i);
    }
    assert_int_equal(result.oks, 2);
    assert_int_equal(told_lost, 1);
    assert_int_equal(told_back, 1);
    trace_set_sink(NULL, NULL);
    trace_set_level(TRACE_ERROR);
    peer_free(peer);
    broker_stop(&broker);
    event_base_free(result.base);
}

int main(void)
{
    alarm(60);
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelined_requests_come_back_in_order),
        cmocka_unit_test(
            test_a_lost_connection_fails_what_is_pending_and_the_next_request_connects_anew),
        cmocka_unit_test(
            test_a_request_without_an_answer_times_out_and_takes_the_connection_with_it),
        cmocka_unit_test(test_a_refused_connection_fails_soon),
        cmocka_unit_test(test_of_both_families_ipv4_comes_first_as_on_the_jvm),
        cmocka_unit_test(test_after_an_address_that_refuses_the_next_one_is_tried),
        cmocka_unit_test(test_an_answer_of_another_request_is_malformed),
        cmocka_unit_test(test_freeing_cancels_what_is_pending),
        cmocka_unit_test(test_an_ended_process_is_noticed_though_nothing_is_to_be_sent),
        cmocka_unit_test(test_a_process_that_has_never_answered_is_not_looked_after),
        cmocka_unit_test(test_one_that_only_closed_the_connection_is_found_well),
        cmocka_unit_test(test_of_several_addresses_the_one_that_answered_is_looked_after),
        cmocka_unit_test(test_a_broker_that_cannot_be_reached_is_told_once_and_that_it_is_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
