/* The embedded ZooKeeper server without sockets, files or clocks: frames in, replies and watch
 * events out, time handed in. The shell (embedded.c) and the simulator drive it.
 *
 * Every write, session and end of a session takes a zxid and leaves an entry in the journal. A
 * driver that keeps its state writes the journal to disk before it sends what the connections'
 * `out` hold; core_replay() builds the same state from the same entries.
 * Thread: one owner at a time. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/err.h"
#include "coordinator/embedded/watches.h"

#define CORE_FRAME_MAX (0xfffff + 1024) /* bytes: jute.maxbuffer and its slack */

struct core;

/* One client connection; the driver embeds it. */
struct core_connection {
    struct buf out;     /* what to send; the driver takes it */
    int64_t session_id; /* 0: no session yet */
    bool closing;       /* send `out`, then close */
    int64_t received, sent;

    /* the core's */
    struct watcher watcher;
    struct core_auth *auths; /* who the client is, besides anyone */
    size_t auths_count;
};

/* A session id is `first_session_id` or above, and above all that a restored state knows. */
struct core *core_new(int32_t tick_ms, int32_t min_timeout_ms, int32_t max_timeout_ms,
                      int64_t first_session_id);
void core_free(struct core *core); /* connections must have been lost before */

/* address: of the client, for ACLs of the scheme "ip"; copied. */
void core_connection_init(struct core_connection *connection, const char *address);
/* The socket is gone: its watches go, the session lives on until it expires. */
void core_connection_lost(struct core *core, struct core_connection *connection);

/* One frame without its length. Afterwards `out` of this and of any other connection may have
 * grown, and any may be closing. */
void core_receive(struct core *core, struct core_connection *connection, struct slice frame,
                  int64_t now_ms, int64_t wall_ms);

/* End the sessions whose time is over. */
void core_tick(struct core *core, int64_t now_ms, int64_t wall_ms);

/* The entries since the journal was last emptied (size = 0). */
struct buf *core_journal(struct core *core);

/* Apply journal bytes. Entries that the state has already are skipped.
 * Errors: ERR_MALFORMED, with a sentence: the bytes are no journal, or not the next part of this
 * one; the core is then good for nothing but core_free(). */
MUST_USE enum err core_replay(struct core *core, struct slice journal);

void core_snapshot(const struct core *core, struct buf *out);
/* Errors: ERR_MALFORMED, as above. */
MUST_USE enum err core_restore(struct core *core, struct slice snapshot);

/* After replay: every session gets its whole timeout anew. */
void core_revive(struct core *core, int64_t now_ms);

/* End the session that owns an ephemeral znode. Returns its id; 0, and nothing was done, if the
 * znode is not there or is nobody's. */
int64_t core_end_owner(struct core *core, struct slice path, int64_t wall_ms);

struct core_numbers {
    int64_t zxid;
    size_t znodes, ephemerals, bytes, watches, sessions;
};
struct core_numbers core_numbers(const struct core *core);
