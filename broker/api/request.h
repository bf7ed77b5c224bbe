/* A request on its way through the broker: made by broker/server when a whole frame has arrived,
 * handled by one function of broker/api, answered once.
 *
 * The request owns an arena and the bytes of its frame; what decoding makes, and what a handler
 * makes for the answer, lives there until the answer has been encoded (request_answer() encodes
 * before it returns).
 *
 * Thread: a handler begins on the thread that API_TABLE names. request_answer() may be called on
 * any thread; the bytes travel to the connection's network thread, which sends answers in the order
 * of the requests, unless they leave from where request_run_soon() has run the request. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/list.h"
#include "broker/base/slice.h"
#include "broker/base/uuid.h"

struct broker; /* broker/api/broker.h: what handlers reach */

struct request {
    int16_t api_key, api_version;
    int32_t correlation_id;
    struct slice client_id; /* null where the client gave none */
    const void *message;    /* the decoded struct <api>_request */
    struct slice
        frame; /* the whole frame without its size; writable: handle_produce stamps batches in it */
    struct arena *arena;
    const char *listener; /* name, e.g. "PLAINTEXT"; outlives the request */
    bool is_inter_broker; /* it came in by inter.broker.listener.name */
    char peer[64];        /* "127.0.0.1:53012" */
    int64_t received_mono_us;
    struct broker *broker;
    struct list_node node;                /* for whoever holds it: a mailbox, a waiting list */
    void (*run)(struct request *request); /* set by whoever posts it to another thread */
    void *waiting;                        /* the handler's own, while the request waits */
};

/* Run `run` with the request on its connection's network thread, soon. Threads: any. A request is
 * posted at most once until it runs. */
void request_post(struct request *request, void (*run)(struct request *request));

/* As request_post(), but from a network thread `run` may run on that one, when what runs there now
 * is done; no locks are held then. It may do what runs on the request's own thread may, but for
 * setting timers. */
void request_run_soon(struct request *request, void (*run)(struct request *request));

/* Run `fire` on the request's network thread after delay_ms unless cancelled or answered before.
 * Where request_run_soon() may run it meanwhile, `claim` says whether the request is still to be
 * had: it is asked at that time, never while the request runs, and must not use the request itself;
 * else it is NULL. One timer a request. Thread: the request's network thread; to cancel, also
 * where request_run_soon() runs it. */
void request_timer_set(struct request *request, int64_t delay_ms,
                       bool (*claim)(struct request *request),
                       void (*fire)(struct request *request));
void request_timer_cancel(struct request *request);

/* Run `run` on a log worker (blocking is allowed there). Threads: any. */
void request_to_worker(struct request *request, void (*run)(struct request *request));

/* Encode the answer (a struct <api>_response of the request's version) and send it; the request is
 * gone after. response NULL: no answer is sent (acks=0), the connection goes on. */
void request_answer(struct request *request, const void *response);

/* Close the connection instead of an answer, tracing `why` with the peer's address. The request is
 * gone after. */
void request_refuse(struct request *request, const char *why);
