/* What the files of the core share. */
#pragma once

#include "coordinator/embedded/embedded_core.h"
#include "coordinator/embedded/jute.h"
#include "coordinator/embedded/tree.h"

#define PASSWORD_SIZE 16

struct session {
    int64_t id, deadline_ms;
    int32_t timeout_ms;
    uint8_t password[PASSWORD_SIZE];
    struct core_connection *connection; /* NULL: away */
};

struct core {
    struct tree tree;
    struct watches watches;
    struct map sessions;
    int64_t zxid, next_session_id;
    int32_t tick_ms, min_timeout_ms, max_timeout_ms;
    int64_t now_ms, wall_ms;
    struct buf entry; /* the operations of the transaction under way */
    int32_t entry_ops;
    struct buf journal;
};

struct core_auth {
    char *scheme, *id;
};

/* core_write.c: transactions. Begin takes the zxid; keep fires the watches and writes the journal's
 * entry; fail undoes, and keeps only that the zxid was taken. */
void transaction_begin(struct core *core);
void transaction_keep(struct core *core);
void transaction_fail(struct core *core, int32_t result);
void transaction_session(struct core *core, const struct session *s);
void transaction_session_end(struct core *core, int64_t id);
static inline struct stamp core_stamp(const struct core *core)
{
    return (struct stamp){core->zxid, core->wall_ms};
}

/* The whole of a write request: its result, and the body of its reply. */
int32_t core_write(struct core *core, struct core_connection *c, int32_t op, struct jute_in *in,
                   struct buf *body);

/* core_read.c */
int32_t core_read(struct core *core, struct core_connection *c, int32_t op, struct jute_in *in,
                  struct buf *body);
int32_t core_multi_read(struct core *core, struct core_connection *c, struct jute_in *in,
                        struct buf *body);
void multi_header(struct buf *out, int32_t type, bool is_last, int32_t result);

/* core_watch.c: the requests on watches. */
int32_t core_watch(struct core *core, struct core_connection *c, int32_t op, struct jute_in *in,
                   struct buf *body);
void core_notify(struct watcher *watcher, enum zk_event event, struct slice path);

/* acl.c. The fixed ACL has no scheme "auth" and no doubles. The request's whole vector is read. */
int32_t acl_fix(const struct core_connection *c, struct jute_in *in, struct buf *out);
/* As acl_fix() writes it: nothing cut off, nothing behind it. What a tree holds is. */
bool acl_is_whole(struct slice acl);
bool acl_allows(struct slice acl, const struct core_connection *c, int permission);
void acl_put_masked(struct buf *out, struct slice acl, const struct core_connection *c);
int32_t auth_add(struct core_connection *c, struct slice scheme, struct slice credentials);
void auths_done(struct core_connection *c);

/* core.c */
size_t frame_begin(struct buf *out, int32_t xid, int64_t zxid, int32_t result);
void frame_end(struct buf *out, size_t start);
