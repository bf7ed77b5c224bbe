/* A connection to another broker: requests go out pipelined, answers come back in their order, each
 * to the function that was given with its request. It connects when there is something to send, and
 * again, with a growing pause, after a failure.
 *
 *     IDLE --send--> CONNECTING --> CONNECTED --error or time-out--> WAITING --pause over--> IDLE
 *
 * What is sent while CONNECTING or WAITING is kept up to the time-out of each request. A failure of
 * the connection fails everything that is pending: the caller knows whether a request may be sent
 * again.
 *
 * Thread: all functions and all callbacks on the thread of the event base. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/buf.h"
#include "broker/base/clock.h"
#include "broker/base/err.h"

struct event_base;
struct peer;

/* How an API's bytes are made and read; outlives the peer. peer_wire_api() has those of Kafka's
 * protocol. */
struct peer_api {
    int16_t api_key;
    const char *name;
    int16_t flexible_version; /* the first with tagged fields; INT16_MAX: none */
    enum err (*encode)(const struct peer_api *api, struct buf *out, int16_t api_version,
                       const void *request);
    enum err (*decode)(const struct peer_api *api, struct slice body, int16_t api_version,
                       struct arena *arena, void **ret_response);
};

/* The API of broker/wire; NULL for a key that it does not know. Threads: any. */
const struct peer_api *peer_wire_api(int16_t api_key);

struct peer_options {
    struct event_base *base;
    struct clock *clock;
    const char *host; /* a name or an address; resolved at each connect, so keep names cheap */
    uint16_t port;
    const char *client_id;
    int32_t broker_id;                  /* for traces */
    int64_t connect_timeout_ms;         /* socket.connection.setup.timeout.ms */
    int64_t backoff_ms, backoff_max_ms; /* between connects; doubles, with jitter */
    size_t pending_max_bytes; /* requests not yet answered; beyond it peer_send says ERR_AGAIN */
    int32_t response_max_bytes;
    int32_t send_buffer_bytes, receive_buffer_bytes; /* -1: the kernel's choice */
    /* The broker has answered at this address, the connection is lost, and now the address refuses:
     * its process has ended, though its machine lives. Where this is set a lost connection is
     * looked after at once, whether or not something is to be sent. Called from the loop. NULL:
     * nobody wants to know. */
    void (*refused)(void *context);
    void *refused_context;
};

void peer_options_init(struct peer_options *options); /* all but base, host and port */

struct peer *peer_new(const struct peer_options *options);
/* Fails all that is pending with ERR_CANCELLED, at once. Not from within a callback. */
void peer_free(struct peer *peer);

/* The answer of one request: ERR_OK with the decoded response, which borrows from the receive
 * buffer and from an arena until `done` returns (records are readable in place); or
 * NETWORK_EXCEPTION, REQUEST_TIMED_OUT, MALFORMED (all close the connection), CANCELLED, with a
 * NULL response. Called exactly once, never from within peer_send(). */
typedef void peer_done(void *context, enum err e, const void *response);

/* Encode and send; `request` is borrowed for the call. timeout_ms runs from now, connecting
 * included; a request that times out closes the connection, as its answer would stand in the way of
 * the others. Errors: AGAIN (pending_max_bytes), or what encoding says; `done` is not called then.
 */
MUST_USE enum err peer_send(struct peer *peer, const struct peer_api *api, int16_t api_version,
                            const void *request, int64_t timeout_ms, peer_done *done,
                            void *context);

/* Another address from the next connect on; a connection to the old one is closed. */
void peer_set_address(struct peer *peer, const char *host, uint16_t port);

bool peer_is_connected(const struct peer *peer);
size_t peer_pending_count(const struct peer *peer);
