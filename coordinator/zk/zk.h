/* ZooKeeper as the rest of the program sees it: asynchronous operations through a table of
 * functions, so that a test, or the simulator, can be the world. The real one is zk_session.c
 * (libzookeeper_mt); others are the model in tests/sim and the fakes in tests/fake.
 *
 * Every operation is pipelined: it is queued, and its result comes later as a call of `done` on the
 * thread that owns the client (the callback is posted to the owner's mailbox, never run on the
 * library's threads). Results come in the order the operations were submitted. A client accepts any
 * number of operations and keeps at most `max_in_flight` on the wire.
 *
 * Paths are relative to the chroot. Data given to an operation is copied at once. Data in a result
 * is borrowed for the call of `done`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/err.h"
#include "broker/base/list.h"
#include "broker/base/slice.h"

struct zk_stat {
    int64_t czxid, mzxid, pzxid;
    int64_t ctime_ms, mtime_ms;
    int32_t zk_version, children_version, acl_version;
    int64_t ephemeral_owner; /* session id, or 0 */
    int32_t data_size, children_count;
};

enum zk_op_kind {
    ZK_OP_CREATE,
    ZK_OP_DELETE,
    ZK_OP_SET,
    ZK_OP_CHECK,
    ZK_OP_GET,
    ZK_OP_EXISTS,
    ZK_OP_CHILDREN
};
enum zk_create_flag { ZK_CREATE_EPHEMERAL = 1, ZK_CREATE_SEQUENTIAL = 2 };
#define ZK_ANY_VERSION (-1)

struct zk_op {
    enum zk_op_kind kind;
    struct slice path;
    struct slice data;  /* CREATE, SET; null is stored as null */
    int32_t zk_version; /* SET, DELETE, CHECK */
    int32_t flags;      /* CREATE: enum zk_create_flag */
    bool watch;         /* GET, EXISTS, CHILDREN: call watch_fired once at the next change */
    bool anywhere;      /* GET without a watch: one of many, which several connections may share. It
                         * tells at least what the client knew when this was submitted, but may
                         * overtake other operations, and its result those of others */
};

struct zk_result {
    enum err
        error;           /* ERR_OK; ERR_NOT_FOUND, ERR_EXISTS, ERR_ZK_BAD_VERSION, ERR_ZK_NOT_EMPTY;
                          * ERR_SESSION_EXPIRED: the session ended before an answer came, the operation
                          * may or      may not have happened; ERR_ZK_UNAVAILABLE: connection lost,
                          * likewise      (the session may      live on); ERR_MALFORMED: bad path or data; for
                          * a multi,      ERR_CANCELLED: another      operation of it failed. */
    struct slice path;   /* of the operation; CREATE: the created path with its sequence number */
    struct slice data;   /* GET */
    struct zk_stat stat; /* GET, EXISTS, SET, CREATE (inside a multi, where the server sends none:
                          * czxid is left 0), CHILDREN */
    struct slice *children; /* CHILDREN */
    int32_t children_count;
};

enum zk_event_kind { ZK_EVENT_CREATED, ZK_EVENT_DELETED, ZK_EVENT_DATA, ZK_EVENT_CHILDREN };

enum zk_state {
    ZK_CONNECTING,  /* no server for now; operations wait */
    ZK_CONNECTED,   /* with a live session */
    ZK_EXPIRED,     /* the session is gone: ephemerals and watches too. A new one is being opened by
                       itself */
    ZK_AUTH_FAILED, /* for good */
};

/* results: one for an ordinary operation, `count` for a multi, in the order of its operations. */
typedef void zk_done_fn(void *context, const struct zk_result *results, int32_t count);

struct zk;

struct zk_functions {
    /* Queue one operation. `done` may be NULL. */
    void (*submit)(struct zk *zk, const struct zk_op *op, zk_done_fn *done, void *context);
    /* Queue all operations (CREATE, DELETE, SET, CHECK) as one transaction. */
    void (*multi)(struct zk *zk, const struct zk_op *ops, int32_t count, zk_done_fn *done,
                  void *context);
};

/* What implementations embed first; owners call through the inline functions below. */
struct zk {
    const struct zk_functions *functions;

    /* Set by the owner before the client starts, called on the owner's thread. */
    void (*state_changed)(void *owner, enum zk_state state, int64_t session_id);
    void (*watch_fired)(void *owner, enum zk_event_kind kind, struct slice path);
    void *owner;

    struct list_node reads; /* of zk_read(), which alone uses it */
};

static inline void zk_submit(struct zk *zk, const struct zk_op *op, zk_done_fn *done, void *context)
{
    zk->functions->submit(zk, op, done, context);
}

static inline void zk_multi(struct zk *zk, const struct zk_op *ops, int32_t count, zk_done_fn *done,
                            void *context)
{
    zk->functions->multi(zk, ops, count, done, context);
}
