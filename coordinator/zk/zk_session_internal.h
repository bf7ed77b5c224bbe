/* What the files of the session share: the messages to owners, and operations on their way.
 *
 *   zk_session.c     the session's state, its queue, the thread's life
 *   zk_connect.c     which server is tried next, and a socket to it
 *   zk_connection.c  one connection: handshake, requests out, answers in, pings
 *   zk_wire.c        operations and answers as ZooKeeper writes them
 *   zk_watches.c     who waits for a change of which znode
 *   zk_view.c        views, and what runs on their owners' threads */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "broker/base/buf.h"
#include "broker/base/list.h"
#include "broker/base/mailbox.h"
#include "broker/base/map.h"
#include "broker/base/mem.h"
#include "coordinator/zk/zk_session.h"

#define ZK_PATH_MAX                                                                                \
    4096                         /* bytes with the chroot; ZooKeeper itself has no limit but the   \
                                  * frame's */
#define ZK_MULTI_MAX       10000 /* operations of one transaction */
#define ZK_PASSWORD_BYTES  16
#define ZK_READS_PER_FRAME 100         /* that ask for no watch */
#define ZK_FRAME_MAX_BYTES (256 << 20) /* an answer to that many reads of the largest znodes */

/* Whether the server answers several reads in one frame (since ZooKeeper 3.6). */
enum zk_multi_read { MULTI_READ_UNKNOWN, MULTI_READ_YES, MULTI_READ_NO };

struct zk_server {
    char *host, *port;
};

struct zk_session {
    /* fixed from birth */
    char *hosts;
    char *chroot; /* "" or "/a/b" */
    char *auth_scheme, *auth;
    int32_t session_timeout_ms, max_in_flight;
    struct zk_server *servers;
    int32_t servers_count;
    int wake_fd; /* an eventfd: something was queued, or the end */

    pthread_mutex_t mutex; /* a leaf but for mailboxes; held for moments only */
    pthread_cond_t changed;
    enum zk_state state;
    int64_t generation; /* of sessions: +1 at each expiry */
    int64_t session_id;
    int32_t agreed_timeout_ms;
    bool stopping;
    bool is_woken; /* wake_fd was written and not yet read */
    struct list_node views;
    struct list_node queued;    /* struct zk_request, not yet on the wire */
    struct list_node in_flight; /* in the order they were sent */
    int32_t in_flight_count;
    struct map watches; /* zk_watches.c; by path with the chroot */

    /* the session's thread's own */
    uint8_t
        password[ZK_PASSWORD_BYTES]; /* with session_id it takes the session to another server */
    int64_t last_zxid;
    enum zk_multi_read multi_read;
    int32_t next_server;
    int64_t connected_count;          /* times that the session was connected */
    int64_t down_since_ms, traced_ms; /* of the attempts to connect */

    pthread_t thread;
};

struct zk_view {
    struct zk zk; /* first */
    struct zk_session *session;
    struct mailbox *mailbox;
    struct list_node node; /* of session->views */
    _Atomic int32_t ref_count;
    int64_t seen_generation; /* guarded by the session's mutex */
    bool closed;             /* owner's thread */
};

enum zk_message_kind { ZK_MESSAGE_RESULT, ZK_MESSAGE_WATCH, ZK_MESSAGE_STATE };

/* To an owner. Holds a reference to the view. */
struct zk_message {
    struct list_node node;
    struct zk_view *view;
    enum zk_message_kind kind;

    /* RESULT */
    zk_done_fn *done;
    void *context;
    struct zk_result *results;
    int32_t count;

    /* WATCH */
    enum zk_event_kind event;
    char *path;

    /* STATE */
    enum zk_state state;
    int64_t session_id, generation;
};

/* An operation, or a multi, from its submission until it is answered. */
struct zk_request {
    struct list_node node;
    int32_t xid; /* of its frame, once it is sent; reads that share a frame share it */
    struct zk_view *view;
    struct zk_message *message; /* NULL: nobody waits any more, but an answer will come */
    bool ready;                 /* message is complete and waits for those before it */
    struct zk_op *ops;          /* paths with the chroot */
    int32_t count;
    bool multi;
};

/* zk_view.c */
struct zk_message *zk_message_new(struct zk_view *view, enum zk_message_kind kind);
void zk_message_free(struct zk_message *message);
void zk_message_fail(struct zk_message *message, enum err error);
void zk_request_free(struct zk_request *request);
void zk_view_ref(struct zk_view *view);
void zk_view_unref(struct zk_view *view);
/* Owned by the caller; without the chroot. */
struct slice zk_relative_path(const struct zk_session *session, struct slice path);

/* zk_session.c; all with the mutex held */
void zk_session_wake(struct zk_session *session);
void zk_session_settle(
    struct zk_session *session); /* post what is ready at the head of in_flight */
void zk_session_move(struct zk_session *session, enum zk_state state);
void zk_session_fail_in_flight(struct zk_session *session, enum err error);
/* Without the mutex: clears wake_fd, and says whether the session is to end. */
bool zk_session_woke(struct zk_session *session);

/* zk_connect.c. The session's thread's. */
void zk_servers_parse(struct zk_session *session); /* hosts, in an order of its own */
/* A socket to the next server, or -1. ret_why: given to the caller, for a person to read. */
int zk_connect_next(struct zk_session *session, const struct zk_server **ret_server,
                    char **ret_why);
/* How long one server may take for a connection and its greeting. */
int32_t zk_connect_timeout_ms(const struct zk_session *session);

/* zk_connection.c. Serves the session on `fd`, which it takes, until the connection ends. Gives why
 * it ended, which is the caller's; NULL: nothing to tell. */
char *zk_connection_run(struct zk_session *session, int fd);
