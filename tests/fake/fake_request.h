/* The request layer for tests of handlers: what broker/api/request.h promises, on one thread and a
 * clock that the test moves.
 *
 * A test fills the struct of a request; it is encoded and decoded in its version, so the handler
 * sees what the wire would bring it. Work for the network thread and for log workers queues up and
 * runs in fake_settle(); timers fire in fake_advance(). The answer is encoded, the slices of files
 * in it are read, and it is decoded again: what a test sees is what a client would see. As with the
 * real thing the request's memory is gone once it is answered.
 *
 *      struct fake_call *call = fake_call(loop, handle_fetch, API_FETCH, 12, &message);
 *      assert_false(fake_is_over(call));                       it waits
 *      fake_advance(loop, 500);
 *      const struct fetch_response *answer = fake_answer(call);
 *
 * Thread: everything on the test's own. */
#pragma once

#include "broker/api/broker.h"

struct fake_loop;
struct fake_call;

struct fake_loop *fake_loop_new(struct broker *broker, struct clock_manual *clock);
/* With every call that was begun on it; one that still waits is a fault of the test or the handler.
 */
void fake_loop_free(struct fake_loop *loop);

/* Of requests that begin from now on. Names are borrowed. */
void fake_loop_set_listener(struct fake_loop *loop, const char *listener);
void fake_loop_set_client_id(struct fake_loop *loop, const char *client_id);

/* Encode the message, decode it, run the handler, then fake_settle(). The call lives as long as the
 * loop. */
struct fake_call *fake_call(struct fake_loop *loop, void (*handle)(struct request *request),
                            int16_t api_key, int16_t api_version, const void *message);

/* Run what was posted and what is for log workers until nothing is left. */
void fake_settle(struct fake_loop *loop);
/* Let workers' work wait (or run it again at the next fake_settle). */
void fake_hold_workers(struct fake_loop *loop, bool is_held);
/* Move the clock, firing each timer at its time. */
void fake_advance(struct fake_loop *loop, int64_t ms);

bool fake_is_over(const struct fake_call *call); /* answered or refused */
/* The decoded struct <api>_response; lives as long as the loop. Fails the test if the request
 * waits, was refused, or was answered with nothing. */
const void *fake_answer(const struct fake_call *call);
bool fake_is_silent(const struct fake_call *call);      /* over, and nothing was sent (acks=0) */
const char *fake_refusal(const struct fake_call *call); /* why it was refused, or NULL */
int32_t fake_worker_runs(const struct fake_call *call); /* how often it went to a log worker */
