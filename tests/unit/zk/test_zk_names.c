/* How often the session asks for the addresses of its servers, counted where libzookeeper asks. */
#include <dlfcn.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/base/clock.h"
#include "broker/base/mem.h"
#include "coordinator/embedded/embedded.h"
#include "coordinator/zk/zk_session.h"

#define READS_COUNT  200
#define WAIT_MS      30000
#define LOOKUPS_MOST 10 /* a connection needs a few; a read needs none */

static atomic_int lookups;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    atomic_fetch_add(&lookups, 1);
    return real(node, service, hints, result);
}

static void on_done(void *context, const struct zk_result *results, int32_t count)
{
    int *answers = context;
    assert_int_equal(count, 1);
    assert_int_equal(results[0].error, ERR_OK);
    ++*answers;
}

static void run_some(struct mailbox *mailbox, int timeout_ms)
{
    struct list_node messages;
    list_init(&messages);
    mailbox_wait(mailbox, timeout_ms);
    mailbox_receive(mailbox, &messages);
    zk_session_run(&messages);
}

static void read_root(struct zk *zk, struct mailbox *mailbox, int *answers)
{
    struct zk_op op = {.kind = ZK_OP_GET, .path = SLICE_LITERAL("/"), .zk_version = ZK_ANY_VERSION};
    int before = *answers;
    int64_t deadline_ms = clock_mono_ms(&clock_system) + WAIT_MS;
    zk_submit(zk, &op, on_done, answers);
    while (*answers == before && clock_mono_ms(&clock_system) < deadline_ms)
        run_some(mailbox, 100);
    assert_int_equal(*answers, before + 1);
}

static void test_names_are_looked_up_by_connections_and_not_by_requests(void **state)
{
    (void)state;
    struct embedded *server;
    struct embedded_options options = {0};
    assert_int_equal(embedded_start(&options, &server), ERR_OK);
    OWNED_MEM char *connect = mem_printf("127.0.0.1:%u", embedded_port(server));
    struct zk_session_settings settings = {.connect = connect,
                                           .session_timeout_ms = 6000,
                                           .connection_timeout_ms = 10000,
                                           .max_in_flight = 10};
    struct zk_session *session;
    assert_int_equal(zk_session_open(&settings, &session), ERR_OK);
    struct mailbox *mailbox = mailbox_new();
    struct zk *zk = zk_session_view(session, mailbox);

    int answers = 0;
    for (int i = 0; i < READS_COUNT; i++)
        read_root(zk, mailbox, &answers);
    assert_in_range(atomic_load(&lookups), 1, LOOKUPS_MOST);

    zk_session_view_free(zk);
    run_some(mailbox, 0);
    zk_session_close(session);
    mailbox_free(mailbox);
    embedded_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_looked_up_by_connections_and_not_by_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
