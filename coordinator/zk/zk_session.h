/* The ZooKeeper session: `struct zk` over libzookeeper_mt.
 *
 *     owner's thread          library's threads              session thread
 *     submit ──> queue ──> wire ──> completion
 *     run    <── owner's mailbox <──┘ copies and posts       opens, closes, replaces the handle
 *
 * Several owners share one session (the broker's registration and the controller must): each has a
 * view, a `struct zk` of its own, whose results, watches and state changes come to its mailbox.
 * Results of a view come in the order of its operations.
 *
 * When things fail:
 * - The connection is lost: what was on the wire fails with ERR_ZK_UNAVAILABLE and may or may not
 *   have happened; what was still queued waits for the next connection. Reads may be sent again
 *   as they are (zk_read() does); a write may meet its own effect, and who repeats one must look.
 * - The session expires: everything submitted before the owner has seen ZK_EXPIRED fails with
 *   ERR_SESSION_EXPIRED, in order, and ZK_EXPIRED comes behind it. Watches are gone. The session
 * thread opens a new session; ZK_CONNECTED with another session id follows.
 * - Authentication fails: ZK_AUTH_FAILED, for good; operations fail with ERR_ZK_UNAVAILABLE. */
#pragma once

#include "broker/base/list.h"
#include "broker/base/mailbox.h"
#include "coordinator/zk/zk.h"

struct zk_session;

struct zk_session_settings {
    const char *connect; /* zookeeper.connect: host:port,host:port/chroot */
    int32_t session_timeout_ms;
    int32_t connection_timeout_ms; /* of zk_session_open() */
    int32_t max_in_flight;
    const char *auth_scheme, *auth; /* "digest", "user:password"; NULL: none */
};

/* Connect, wait for the session, and make the chroot. Blocks up to connection_timeout_ms.
 * Errors: ERR_ZK_UNAVAILABLE, no server answered in time, or it refused the authentication. */
MUST_USE enum err zk_session_open(const struct zk_session_settings *settings,
                                  struct zk_session **ret_session);

/* One more identity, for this session and those after it: operations submitted from now on have it.
 * A server that does not know the scheme ends the session with ZK_AUTH_FAILED. Threads: any. */
void zk_session_add_auth(struct zk_session *session, const char *scheme, const char *auth);

/* Close the session with the server, which deletes its ephemeral nodes at once. All views must be
 * freed before. Blocks: joins threads. Accepts NULL. */
void zk_session_close(struct zk_session *session);

/* A view whose messages are posted to `mailbox` (kept, and used for nothing else). If the session
 * is there already, its first message is ZK_CONNECTED. */
struct zk *zk_session_view(struct zk_session *session, struct mailbox *mailbox);

/* No callback runs after it, and nothing is posted. Thread: the owner. Accepts NULL. */
void zk_session_view_free(struct zk *view);

/* Run messages received from a view's mailbox: results, watches, state changes. Takes them all and
 * leaves the list empty. Thread: the owner. */
void zk_session_run(struct list_node *messages);

/* The id of the session that lives now; 0 if none does. Threads: any. */
int64_t zk_session_id(struct zk_session *session);
/* Of the last session, as its server granted it: that may be more than was asked for. Threads: any.
 */
int32_t zk_session_timeout_ms(struct zk_session *session);

/* ---- For start-up, where a thread may wait, and for tests ---- */

/* Submit and wait, running the mailbox meanwhile. `done` has run when this returns. */
void zk_session_wait(struct zk *view, const struct zk_op *ops, int32_t count, zk_done_fn *done,
                     void *context);

/* ---- For any `struct zk` ---- */

/* A read (GET, EXISTS, CHILDREN) that is sent again for as long as connections are lost. */
void zk_read(struct zk *zk, const struct zk_op *op, zk_done_fn *done, void *context);
