/* Operations and answers in ZooKeeper's protocol: frames behind a 32-bit length, each a header and
 * a body in jute. Pure functions between `struct zk_request` and bytes.
 *
 * Reads that ask for no watch may share a frame (multi-read, ZooKeeper 3.6): the server answers it
 * as one request, in a tenth of the time that as many single ones take. */
#pragma once

#include "coordinator/embedded/jute.h"
#include "coordinator/zk/zk_session_internal.h"

/* Numbers that are not those of an operation. */
enum zk_xid { ZK_XID_EVENT = -1, ZK_XID_PING = -2, ZK_XID_AUTH = -4, ZK_XID_SET_WATCHES = -8 };

struct zk_greeting {
    int32_t timeout_ms; /* 0 or less: the session has expired */
    int64_t session_id;
    uint8_t password[ZK_PASSWORD_BYTES];
};

struct zk_answer {
    int32_t xid;
    int64_t zxid;
    int32_t code; /* ZooKeeper's; 0 is success */
};

/* ---- Frames to the server ---- */

void zk_wire_put_hello(struct buf *out, int64_t last_zxid, int32_t timeout_ms, int64_t session_id,
                       const uint8_t password[static ZK_PASSWORD_BYTES]);
void zk_wire_put_auth(struct buf *out, const char *scheme, const char *auth);
void zk_wire_put_ping(struct buf *out);
void zk_wire_put_close(struct buf *out, int32_t xid);
/* All watches, in as many frames as their length asks for. */
void zk_wire_put_watches(struct buf *out, const struct map *watches, int64_t last_zxid);
/* A multi-read of nothing of interest: its answer says whether the server knows them. */
void zk_wire_put_probe(struct buf *out, int32_t xid);
void zk_wire_put_request(struct buf *out, int32_t xid, const struct zk_request *request);
/* Whether it may share a frame with others. */
bool zk_wire_is_plain_read(const struct zk_request *request);
/* `count` plain reads from `first` on along their list. Sets their xids. */
void zk_wire_put_reads(struct buf *out, int32_t xid, struct list_node *first, int32_t count);

/* ---- Frames from the server, without their length. False: cannot be read. ---- */

bool zk_wire_get_greeting(struct slice frame, struct zk_greeting *ret);
struct zk_answer zk_wire_get_header(struct jute_in *in);
/* The body behind a header of an operation: fills the results of `request`, unless nobody waits. */
void zk_wire_get_answer(struct jute_in *in, int32_t code, struct zk_request *request);
/* The next part of an answer to reads that share a frame. */
void zk_wire_get_read(struct jute_in *in, struct zk_request *request);
/* kinds: the watches (enum zk_watch_kind) that it fires. Borrowed path. */
bool zk_wire_get_event(struct jute_in *in, enum zk_event_kind *ret_kind, int *ret_kinds,
                       struct slice *ret_path);
/* The watch that the answer to `op` has set, or 0. */
int zk_wire_watch_of(const struct zk_op *op, int32_t code);

#define ZK_CODE_UNIMPLEMENTED (-6)
#define ZK_CODE_NO_NODE       (-101)
