/* What the files of the session share: the messages to owners, and operations on their way.
 *
 *   zk_session.c    the session's state, its queue, the session thread
 *   zk_view.c       views, and what runs on their owners' threads
 *   zk_spread.c     many reads over several connections
 *   zk_library.c    libzookeeper_mt: sending an operation, and its completions */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <zookeeper/zookeeper.h>

#include "broker/base/list.h"
#include "broker/base/mailbox.h"
#include "broker/base/mem.h"
#include "coordinator/zk/zk_session.h"

#define ZK_PATH_MAX                                                                                \
    4096                   /* bytes with the chroot; ZooKeeper itself has no limit but the frame's \
                            */
#define ZK_REOPEN_MS 1000  /* between attempts to open a handle */
#define ZK_MULTI_MAX 10000 /* operations of one transaction */
#define ZK_DRAIN_MS  2000  /* a handle that is to close waits so long for the answers it is owed */

/* One life of the library's handle. The library's callbacks find it as the handle's context. */
struct zk_handle {
    struct zk_session *session; /* fixed */
    int64_t generation;         /* fixed */
    zhandle_t *zh; /* set once the authentication is on its way: nothing overtakes it */
    bool dead;     /* expired or refused: its late callbacks mean nothing */

    struct list_node node; /* of session->lanes; not linked: the session's own */
    bool is_lane;          /* fixed */
    bool is_connected;     /* of a lane */
    int32_t spread_count;  /* reads of zk_spread.c that it has not answered */

    struct list_node sent; /* struct zk_request, by sent_node: those the library has not answered */
    int32_t sent_count;    /* with syncs */
};

/* Who the session is, besides anyone. */
struct zk_auth {
    char *scheme, *text; /* "digest", "user:password" */
};

struct zk_session {
    /* fixed from birth */
    char *hosts;
    char *chroot; /* "" or "/a/b" */
    int32_t session_timeout_ms, max_in_flight;

    pthread_mutex_t mutex; /* a leaf but for mailboxes and the library; held for moments only */
    pthread_cond_t changed;
    struct zk_handle *handle; /* NULL: none at the moment */
    enum zk_state state;
    int64_t generation; /* of sessions: +1 at each expiry */
    int64_t session_id;
    int32_t agreed_timeout_ms;
    bool stopping;
    struct zk_auth *auths;
    size_t auths_count, auths_capacity;
    struct list_node views;
    struct list_node queued;              /* struct zk_request, not yet on the wire */
    struct list_node in_flight;           /* in the order they were sent */
    int32_t in_flight_count, ready_count; /* ready: of those in flight, but not posted yet */
    bool is_window_full;                  /* it has been, and is not half empty yet */

    struct list_node lanes; /* struct zk_handle: connections that only help with reads */
    int32_t lanes_count;
    bool is_lane_refused;            /* one could not be opened; none is tried while reads wait */
    struct list_node spread_queued;  /* struct zk_request, of zk_op.anywhere, not yet on the wire */
    struct list_node spread_flying;  /* on the wire, in no order */
    struct list_node spread_settled; /* answered, not posted yet */
    int32_t spread_queued_count, spread_flying_count, spread_settled_count;

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

/* An operation, or a multi, from its submission until the library has done with it. */
struct zk_request {
    struct list_node node;
    struct list_node sent_node; /* of handle->sent */
    struct zk_handle *handle;   /* once sent */
    struct zk_view *view;
    struct zk_message *message; /* NULL: answered already; only the library's callback is awaited */
    bool ready;                 /* message is complete and waits for those before it */
    bool anywhere;              /* it is, or was, in one of the session's spread lists */
    struct zk_op *ops;          /* paths with the chroot and NUL-terminated */
    int32_t count;
    bool multi;
    zoo_op_t *library_ops;
    zoo_op_result_t *library_results;
    struct Stat *stats; /* of a multi's sets */
    char **created;     /* path buffers of a multi's creates */
};

/* zk_view.c */
struct zk_message *zk_message_new(struct zk_view *view, enum zk_message_kind kind);
void zk_message_free(struct zk_message *message);
void zk_message_fail(struct zk_message *message, enum err error);
void zk_request_free(struct zk_request *request);
void zk_view_ref(struct zk_view *view);
void zk_view_unref(struct zk_view *view);

/* zk_session.c; all with the mutex held */
void zk_session_pump(struct zk_session *session);
void zk_session_settle(
    struct zk_session *session); /* post what is ready at the head of in_flight */
void zk_session_move(struct zk_session *session, enum zk_state state);
void zk_session_abandon(struct zk_session *session, enum err error);
/* Its answer is written, or nobody waits for one: hand it on. The caller's last use of it. */
void zk_request_answered(struct zk_request *request);

/* zk_spread.c; all with the mutex held */
void zk_spread_init(struct zk_session *session);
void zk_spread_add(struct zk_session *session, struct zk_request *request);
void zk_spread_pump(struct zk_session *session);
void zk_spread_answered(struct zk_request *request);
void zk_spread_settle(struct zk_session *session); /* post what is answered */
void zk_spread_abandon(struct zk_session *session, enum err error);
void zk_spread_forget(struct zk_session *session, const struct zk_view *view);
/* Opens or closes one lane if that is due, letting the mutex go meanwhile; false: nothing was.
 * Thread: the session's. */
bool zk_spread_tend(struct zk_session *session);
void zk_spread_close(struct zk_session *session);

/* zk_session.c, with the mutex held. The handle is open, and what waits may be sent. */
void zk_handle_opened(struct zk_handle *handle, zhandle_t *zh);
/* Closing lets it go, joins the library's threads and frees. */
struct zk_handle *zk_handle_new(struct zk_session *session);
void zk_handle_close(struct zk_session *session, struct zk_handle *handle);

/* Messages that follow each other to one mailbox are posted at once. */
struct zk_postbag {
    struct mailbox *to;
    struct list_node messages;
};
void zk_postbag_add(struct zk_postbag *bag, struct zk_message *message);
void zk_postbag_empty(struct zk_postbag *bag);

/* zk_library.c. False: the handle is unusable; nothing was sent. With the mutex held. */
bool zk_library_send(struct zk_request *request, enum err *ret_error);
/* What the handle reads from now on is at least as new as what anybody has been answered. */
bool zk_library_sync(struct zk_handle *handle);
zhandle_t *zk_library_open(struct zk_handle *handle);
/* With the mutex held; before anything else is sent by it. */
void zk_library_authenticate(zhandle_t *zh, const struct zk_auth *auth);
/* What the library says is traced again: it repeats itself while no server is reached. */
void zk_library_speak(void);
