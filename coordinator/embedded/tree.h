/* The znodes. Every change is remembered until it is kept or undone, so that a multi that fails
 * half-way leaves nothing behind. Checks belong to the caller. Thread: one owner. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/list.h"
#include "broker/base/map.h"
#include "coordinator/embedded/protocol.h"

struct znode_numbers {
    int64_t czxid, mzxid, pzxid, ctime_ms, mtime_ms;
    int64_t owner; /* the session of an ephemeral znode, else 0 */
    int32_t zk_version, acl_version;
    int32_t creates; /* children ever created: the source of sequence numbers and of cversion */
};

struct znode {
    char *path;
    size_t path_size;
    struct znode *parent; /* NULL: the root */
    struct list_node sibling, children, at_owner;
    int32_t children_count;
    struct slice data, acl; /* owned; data may be null; acl is jute's vector of ACL */
    struct znode_numbers n;
};

/* The zxid and wall time of the transaction that changes something. */
struct stamp {
    int64_t zxid, wall_ms;
};

struct tree {
    struct map nodes;  /* path -> znode */
    struct map owners; /* session id -> struct owner */
    struct tree_change *changes;
    size_t changes_count, changes_capacity;
    size_t bytes; /* paths and data */
};

extern const struct slice acl_open; /* world:anyone:cdrwa */

void tree_init(struct tree *tree); /* with "/" and what ZooKeeper keeps under /zookeeper */
void tree_done(struct tree *tree);

static inline struct znode *tree_get(const struct tree *tree, struct slice path)
{
    return path.data ? map_get(&tree->nodes, path) : NULL;
}
static inline struct slice znode_path(const struct znode *z)
{
    return slice_of(z->path, z->path_size);
}
struct slice znode_name(const struct znode *z);
struct slice path_parent(struct slice path); /* of "/": "/" */
bool path_is_valid(struct slice path);

/* The parent must exist, the path must not. Copies data and acl. */
struct znode *tree_create(struct tree *tree, struct slice path, struct slice data, struct slice acl,
                          int64_t owner, struct stamp stamp);
void tree_delete(struct tree *tree, struct znode *z, struct stamp stamp); /* has no children */
void tree_set_data(struct tree *tree, struct znode *z, struct slice data, struct stamp stamp);
void tree_set_acl(struct tree *tree, struct znode *z, struct slice acl);

void tree_undo(struct tree *tree); /* all changes since the last keep */
/* Keep them, and name each event they cause in order. fire may be NULL. */
void tree_keep(struct tree *tree, void (*fire)(void *context, struct slice path, enum zk_event),
               void *context);

/* The znode after `z` in a walk over `top` and all below it, parents first; NULL at the end. */
const struct znode *tree_after(const struct znode *top, const struct znode *z);

struct znode *tree_first_ephemeral(const struct tree *tree, int64_t owner);
struct list_node *tree_ephemerals(const struct tree *tree, int64_t owner); /* or NULL */
size_t tree_ephemerals_count(const struct tree *tree);

/* Put a znode as a snapshot tells it; NULL if its parent is not there or an ephemeral, if it is
 * there already, or if it is the root and somebody's. */
struct znode *tree_restore(struct tree *tree, struct slice path, struct slice data,
                           struct slice acl, const struct znode_numbers *numbers);
void tree_clear(struct tree *tree); /* only the root is left, for a snapshot to fill */

void znode_put_stat(struct buf *out, const struct znode *z);
