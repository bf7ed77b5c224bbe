/* The network: listeners, connections, frames, and answers in the order of their requests.
 *
 *     acceptor thread --new connection--> network thread i (for life)
 *                                           |  frame whole: header, decode
 *                                           v
 *                                    handler: on this loop, a worker or the controller
 *                                           |  request_answer(), any thread
 *                                           v
 *                                    bytes and file slices to the socket, then the next frame
 *
 * One request of a connection is worked on at a time, as in Kafka; what a client pipelines behind
 * it waits in the kernel. An idle connection holds no buffer. Requests that have not been answered
 * share one bound in bytes; beyond it reading pauses. */
#pragma once

#include "broker/base/clock.h"
#include "broker/server/api_entry.h"

/* Names of listeners that a process can have in its life: one that goes and returns keeps its
 * place. */
#define LISTENERS_MAX       64
#define NETWORK_THREADS_MAX 512

struct network;

struct listener_options {
    const char *name; /* "PLAINTEXT" */
    const char *host; /* NULL or "": every address */
    uint16_t port;    /* 0: the kernel picks one, network_port() says which */
    bool is_inter_broker;
    int32_t max_connections;   /* listener.name.<l>.max.connections; INT32_MAX: none */
    int32_t max_creation_rate; /* connections/s; INT32_MAX: none */
};

struct ip_limit {
    const char *host; /* a name or an address */
    int32_t max_connections;
};

struct network_options {
    const struct listener_options *listeners;
    size_t listeners_count;
    int threads_count;
    int32_t request_max_bytes;    /* socket.request.max.bytes */
    int64_t unfinished_max_bytes; /* of all connections' unfinished requests together */
    int32_t max_connections, max_connections_per_ip;
    int32_t max_creation_rate; /* of all listeners together; INT32_MAX: none */
    const struct ip_limit *ip_limits;
    size_t ip_limits_count;
    int64_t idle_max_ms;            /* connections.max.idle.ms; negative: for ever */
    int32_t send_buffer_bytes;      /* -1: the kernel's choice, 4 MiB on the loopback */
    int32_t receive_buffer_bytes;   /* -1: the kernel's choice */
    const char *congestion_control; /* NULL: the system's, reno on the loopback */
    int32_t backlog;
    struct clock *clock;
    struct broker *broker; /* put in each request */
    const struct api_entry *(*lookup)(int16_t api_key);
    /* Run request->run(request) elsewhere. Threads: any. to_controller may be NULL: the handler
     * posts by itself. */
    void (*to_worker)(void *context, struct request *request);
    void (*to_controller)(void *context, struct request *request);
    void *context;
};

/* Kafka's defaults; listeners, lookup and to_worker remain to be filled. */
void network_options_init(struct network_options *options);

/* Bind every listener and start the threads. Who connects waits in the backlog until
 * network_open(). Copies the options (the strings too).
 * Errors: ERR_IO where an address cannot be bound; the sentence says which and why. */
MUST_USE enum err network_start(const struct network_options *options,
                                struct network **ret_network);

/* Take connections from now on: the broker is ready to answer. Threads: any; again does nothing. */
void network_open(struct network *network);

/* Follow changed options: listeners that came and went (a name that stays keeps its socket,
 * whatever address it has now; the connections of one that goes are closed), every limit on
 * connections, and the number of threads (fewer: those too many get no new connections). The other
 * options are not looked at. Threads: one at a time; before, during or after network_stop().
 * Errors: ERR_IO where a new listener cannot be bound, ERR_INVALID_CONFIG where there were too many
 * names; the rest is done nevertheless. */
MUST_USE enum err network_update(struct network *network, const struct network_options *options);

/* The port of the listener that came as number `listener`; of the one of that name, 0 if none. */
uint16_t network_port(const struct network *network, size_t listener);
uint16_t network_port_of(const struct network *network, const char *name);

/* Close the listeners; connections go on. */
void network_stop_accepting(struct network *network);

/* Orderly stop: no new connections and no new requests; requests in work are answered and their
 * answers sent, for at most drain_ms; then every connection is closed and the threads end. Handlers
 * may still answer after that (into nothing) until network_free(). */
void network_stop(struct network *network, int64_t drain_ms);

/* After network_stop(), and once no other thread can touch a request. */
void network_free(struct network *network);

struct network_counters {
    int64_t connections;      /* now */
    int64_t unfinished_bytes; /* now */
    int64_t accepted, refused_per_ip, accept_errors, idle_closed, bad_frames, evicted;
    int64_t requests, answers;
    int64_t answers_away; /* of those: by a thread that is not the connection's */
    int64_t received_bytes, sent_bytes, sendfile_bytes, send_blocked, memory_pauses;
};
void network_counters(const struct network *network, struct network_counters *ret_counters);

/* Once the request's answer has left, read nothing more from its connection for so long (quotas).
 * The larger of several calls counts. Before the request is answered. */
void request_throttle(struct request *request, int64_t throttle_ms);
