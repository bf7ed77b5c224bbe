/* What the files of the session share: the messages to owners, and operations on their way.
 *
 *   zk_session.c    the session's state, its queue, the session thread
 *   zk_view.c       views, and what runs on their owners' threads
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

/* One life of the library's handle. The library's callbacks find it as the handle's context. */
struct zk_handle {
    struct zk_session *session; /* fixed */
    int64_t generation;         /* fixed */
    zhandle_t *zh; /* set once the authentication is on its way: nothing overtakes it */
    bool dead;     /* expired or refused: its late callbacks mean nothing */
};

struct zk_session {
    /* fixed from birth */
    char *hosts;
    char *chroot; /* "" or "/a/b" */
    char *auth_scheme, *auth;
    int32_t session_timeout_ms, max_in_flight;

    pthread_mutex_t mutex; /* a leaf but for mailboxes and the library; held for moments only */
    pthread_cond_t changed;
    struct zk_handle *handle; /* NULL: none at the moment */
    enum zk_state state;
    int64_t generation; /* of sessions: +1 at each expiry */
    int64_t session_id;
    int32_t agreed_timeout_ms;
    bool stopping;
    struct list_node views;
    struct list_node queued;              /* struct zk_request, not yet on the wire */
    struct list_node in_flight;           /* in the order they were sent */
    int32_t in_flight_count, ready_count; /* ready: of those in flight, but not posted yet */
    bool is_window_full;                  /* it has been, and is not half empty yet */

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
    struct zk_handle *handle; /* once sent */
    struct zk_view *view;
    struct zk_message *message; /* NULL: answered already; only the library's callback is awaited */
    bool ready;                 /* message is complete and waits for those before it */
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

/* zk_library.c. False: the handle is unusable; nothing was sent. With the mutex held. */
bool zk_library_send(struct zk_request *request, enum err *ret_error);
zhandle_t *zk_library_open(struct zk_handle *handle);
/* What the library says is traced again: it repeats itself while no server is reached. */
void zk_library_speak(void);
