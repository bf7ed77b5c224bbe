/* The embedded ZooKeeper server without sockets or clocks: frames in, replies and watch events out,
 * time handed in. The shell (embedded.c) and the simulator drive it.
 * Thread: one owner at a time. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/list.h"

#define CORE_FRAME_MAX 0xfffff /* bytes: jute.maxbuffer */

struct core;

/* One client connection; the driver embeds it, zeroed and passed to core_connection_init(). */
struct core_connection {
    struct buf out;     /* what to send; the driver takes it */
    int64_t session_id; /* 0: no session yet */
    bool closing;       /* send `out`, then close */

    struct list_node watches; /* the core's */
};

struct core *core_new(int32_t tick_ms, int32_t min_timeout_ms, int32_t max_timeout_ms,
                      int64_t first_session_id);
void core_free(struct core *core); /* connections must have been lost before */

void core_connection_init(struct core_connection *connection);
/* The socket is gone: its watches go, the session lives on until it expires. */
void core_connection_lost(struct core *core, struct core_connection *connection);

/* One frame without its length. Afterwards `out` of this and of any other connection may have
 * grown, and any may be closing. */
void core_receive(struct core *core, struct core_connection *connection, struct slice frame,
                  int64_t now_ms, int64_t wall_ms);

/* End the sessions whose time is over. */
void core_tick(struct core *core, int64_t now_ms, int64_t wall_ms);
