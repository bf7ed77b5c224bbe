/* Requests to simulated brokers, from other brokers and from clients, each on a connection of its
 * own: on its way, served by a handler of broker/api (which may let it wait), and the answer on its
 * way back. Any of them may advance next, so they overtake one another; a connection may break,
 * and then the request may have been served all the same.
 *
 * This is also the request layer of broker/api/request.h for the simulator. */
#pragma once

#include "broker/api/broker.h"
#include "broker/replica/fetcher.h"

struct cluster;
struct node;

#define CALLER_CLIENT (-1)

/* Encodes at once. `answered` comes later, once, unless the caller dies before. Errors: CLOSED, too
 * many are under way. */
MUST_USE enum err call_send(struct cluster *cluster, int32_t from, int32_t to, int16_t api_key,
                            int16_t api_version, const void *request, fetcher_answered_fn *answered,
                            void *context);

/* Some request or answer arrives, if one can; is_lossy: its connection breaks instead. */
bool calls_step(struct cluster *cluster, bool is_lossy);
/* Timers of waiting requests that are due, and requests that nobody has answered in time. */
void calls_run_timers(struct cluster *cluster);
int64_t calls_next_timer_ms(const struct cluster *cluster);

/* What this node asked of a controller, unless it is this one, is answered with the error. */
void calls_give_up(struct node *node, int32_t except_id, enum err e);

/* The process of a node is gone: whom it asked is not told, and who asked it hears that the
 * connection is closed. Between the two, calls_let_go() lets its handlers end. */
void calls_caller_died(struct node *node);
bool calls_let_go(struct node *node);
void calls_server_died(struct node *node);
void calls_free(struct cluster *cluster);

/* Serve a request of a controller at once, and give its answer in `arena`; NULL: undecodable. */
const void *call_serve_now(struct node *node, int16_t api_key, int16_t api_version,
                           struct slice bytes, struct arena *arena);
