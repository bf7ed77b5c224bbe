/* How many connections there are, in all, by listener and by address, and whether one more may be.
 * Threads: any. */
#pragma once

#include <netinet/in.h>

#include "broker/server/network.h"

struct limits;

/* The limits of the whole, none of a listener yet. */
struct limits *limits_new(const struct network_options *options);
void limits_free(struct limits *limits);

/* New limits of the whole; looks names of addresses up, which may take a while. From here on nobody
 * may be accepted, until those of the listeners are new as well and limits_end_change() says so. */
void limits_begin_change(struct limits *limits, const struct network_options *options);
void limits_end_change(struct limits *limits);
/* `listener` is its slot; it has these limits from now on, whether it is new or not. */
void limits_set_listener(struct limits *limits, size_t listener,
                         const struct listener_options *options);
/* Its connections are still counted until they are released. */
void limits_remove_listener(struct limits *limits, size_t listener);

/* Is it the brokers' own, beside others, so that its connections do not give way? */
bool limits_protects(struct limits *limits, size_t listener);
/* How many connections there are above max.connections. */
int32_t limits_excess(struct limits *limits);

enum limits_answer {
    LIMITS_OK,    /* counted */
    LIMITS_WAIT,  /* no slot on this listener now: leave the connection in the backlog */
    LIMITS_EVICT, /* counted, but above max.connections: an idle one of another listener has to go
                   */
    LIMITS_PER_IP /* this address has too many */
};

/* May the listener accept at all now? LIMITS_WAIT, or LIMITS_OK (nothing is counted). After
 * LIMITS_WAIT the next limits_release(), or the end of a change, writes to the descriptor. */
enum limits_answer limits_may_accept(struct limits *limits, size_t listener);
int limits_slot_fd(const struct limits *limits);

enum limits_answer limits_take(struct limits *limits, size_t listener, struct in6_addr address);
void limits_release(struct limits *limits, size_t listener, struct in6_addr address);

/* IPv4 as mapped IPv6, so that there is one kind of address. */
struct in6_addr limits_address(const struct sockaddr_storage *address);

/* One new connection: 0, or for how many ms the listener must accept no more
 * (max.connection.creation.rate). Thread: the acceptor. */
int64_t limits_rate(struct limits *limits, size_t listener, int64_t now_ms);
