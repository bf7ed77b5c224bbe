/* The tree of the model, and what operations do to it: a multi is done whole or taken back whole,
 * and each change fires the watches that wait for it. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/fake/zk_memory_internal.h"

struct node *zkm_find(const struct zk_memory *memory, struct slice path)
{
    return map_get(&memory->nodes, path);
}

struct slice zkm_parent_path(struct slice path)
{
    size_t size = path.size;
    while (size > 0 && path.data[size - 1] != '/')
        size--;
    return slice_of(path.data, size > 1 ? size - 1 : 1);
}

uint8_t *zkm_data_copy(struct slice data)
{
    if (slice_is_null(data))
        return NULL;
    uint8_t *bytes = mem_alloc(data.size + 1);
    if (data.size)
        memcpy(bytes, data.data, data.size);
    return bytes;
}

void zkm_link_node(struct zk_memory *memory, struct node *node)
{
    map_put(&memory->nodes, slice_str(node->path), node);
    struct node *parent = zkm_find(memory, zkm_parent_path(slice_str(node->path)));
    if (!parent || parent == node)
        return;
    parent->children = mem_grow(parent->children, &parent->child_capacity,
                                (size_t)parent->stat.children_count + 1, sizeof(struct node *));
    node->child_slot = (size_t)parent->stat.children_count++;
    parent->children[node->child_slot] = node;
}

static void unlink_node(struct zk_memory *memory, struct node *node)
{
    map_remove(&memory->nodes, slice_str(node->path));
    struct node *parent = zkm_find(memory, zkm_parent_path(slice_str(node->path)));
    struct node *last = parent->children[--parent->stat.children_count];
    parent->children[node->child_slot] = last;
    last->child_slot = node->child_slot;
}

void zkm_node_free(struct node *node)
{
    free(node->path);
    free(node->data);
    free(node->children);
    free(node);
}

struct node *zkm_node_new(struct slice path, struct slice data, int64_t zxid, int64_t owner)
{
    struct node *node = mem_new(struct node);
    node->path = slice_dup(path);
    node->data = zkm_data_copy(data);
    node->stat.czxid = node->stat.mzxid = node->stat.pzxid = zxid;
    node->stat.ctime_ms = node->stat.mtime_ms = zxid; /* time enters nowhere else */
    node->stat.ephemeral_owner = owner;
    node->stat.data_size = (int32_t)data.size;
    return node;
}

/* --- what operations do --- */

/* What one write changed: enough to take it back, and the events it causes. */
struct change {
    struct node *created, *deleted, *set;
    uint8_t *old_data;
    struct zk_stat old_stat, old_parent;
    struct node *parent;
};

static void touch_parent(struct change *change, int64_t zxid)
{
    change->parent->stat.children_version++;
    change->parent->stat.pzxid = zxid;
}

static enum err do_create(struct zk_memory *memory, int64_t session_id, const struct zk_op *op,
                          int64_t zxid, struct change *change, struct zk_result *result)
{
    struct slice path = op->path;
    struct node *parent = zkm_find(memory, zkm_parent_path(path));
    if (!parent)
        return ERR_NOT_FOUND;
    if (parent->stat.ephemeral_owner)
        return ERR_MALFORMED;
    char *name = op->flags & ZK_CREATE_SEQUENTIAL
                     ? mem_printf("%.*s%010" PRId32, SLICE_ARG(path), parent->stat.children_version)
                     : slice_dup(path);
    if (zkm_find(memory, slice_str(name))) {
        free(name);
        return ERR_EXISTS;
    }
    int64_t owner = op->flags & ZK_CREATE_EPHEMERAL ? session_id : 0;
    change->parent = parent;
    change->old_parent = parent->stat;
    change->created = zkm_node_new(slice_str(name), op->data, zxid, owner);
    zkm_link_node(memory, change->created);
    touch_parent(change, zxid);
    free((void *)result->path.data);
    result->path = slice_str(name);
    result->stat = change->created->stat;
    return ERR_OK;
}

static enum err do_write(struct zk_memory *memory, int64_t session_id, const struct zk_op *op,
                         int64_t zxid, struct change *change, struct zk_result *result)
{
    if (op->kind == ZK_OP_CREATE)
        return do_create(memory, session_id, op, zxid, change, result);
    struct node *node = zkm_find(memory, op->path);
    if (!node)
        return ERR_NOT_FOUND;
    if (op->zk_version != ZK_ANY_VERSION && op->zk_version != node->stat.zk_version)
        return ERR_ZK_BAD_VERSION;
    if (op->kind == ZK_OP_SET) {
        change->set = node;
        change->old_data = node->data;
        change->old_stat = node->stat;
        node->data = zkm_data_copy(op->data);
        node->stat.data_size = (int32_t)op->data.size;
        node->stat.zk_version++;
        node->stat.mzxid = node->stat.mtime_ms = zxid;
        result->stat = node->stat;
    } else if (op->kind == ZK_OP_DELETE) {
        if (node->stat.children_count)
            return ERR_ZK_NOT_EMPTY;
        change->parent = zkm_find(memory, zkm_parent_path(op->path));
        change->old_parent = change->parent->stat;
        change->deleted = node;
        unlink_node(memory, node);
        touch_parent(change, zxid);
    }
    return ERR_OK;
}

static void take_back(struct zk_memory *memory, struct change *change)
{
    if (change->created) {
        unlink_node(memory, change->created);
        zkm_node_free(change->created);
    }
    if (change->deleted)
        zkm_link_node(memory, change->deleted);
    if (change->set) {
        free(change->set->data);
        change->set->data = change->old_data;
        change->set->stat = change->old_stat;
    }
    if (change->parent)
        change->parent->stat = change->old_parent;
}

static void fire_parent(struct zk_memory *memory, const char *path)
{
    zkm_fire(memory, zkm_parent_path(slice_str(path)), ZK_EVENT_CHILDREN);
}

static void settle(struct zk_memory *memory, struct change *change)
{
    if (change->created) {
        zkm_fire(memory, slice_str(change->created->path), ZK_EVENT_CREATED);
        fire_parent(memory, change->created->path);
    }
    if (change->set) {
        free(change->old_data);
        zkm_fire(memory, slice_str(change->set->path), ZK_EVENT_DATA);
    }
    if (change->deleted) {
        zkm_fire(memory, slice_str(change->deleted->path), ZK_EVENT_DELETED);
        fire_parent(memory, change->deleted->path);
        zkm_node_free(change->deleted);
    }
}

void zkm_do_writes(struct zk_memory *memory, int64_t session_id, const struct zk_op *ops,
                   int32_t count, struct zk_result *results)
{
    struct change *changes = mem_new_array(struct change, (size_t)count);
    enum err e = ERR_OK;
    int32_t done = 0;
    while (done < count && !e) {
        e = do_write(memory, session_id, &ops[done], memory->zxid + 1, &changes[done],
                     &results[done]);
        done++;
    }
    if (e) {
        for (int32_t i = 0; i < count; i++)
            results[i].error = i == done - 1 ? e : ERR_CANCELLED;
        for (int32_t i = done - 1; i >= 0; i--)
            take_back(memory, &changes[i]);
    } else {
        memory->zxid++;
        /* a node made and deleted in one transaction is freed by the delete: fire by path first */
        for (int32_t i = 0; i < count; i++)
            settle(memory, &changes[i]);
    }
    free(changes);
}

static void read_children(const struct node *node, struct zk_result *result)
{
    result->children = mem_new_array(struct slice, (size_t)node->stat.children_count + 1);
    result->children_count = node->stat.children_count;
    for (int32_t i = 0; i < node->stat.children_count; i++) {
        const char *name = strrchr(node->children[i]->path, '/') + 1;
        result->children[i] = slice_of(zkm_data_copy(slice_str(name)), strlen(name));
    }
}

void zkm_do_read(struct zk_memory *memory, struct view *view, const struct zk_op *op,
                 struct zk_result *result)
{
    struct node *node = zkm_find(memory, op->path);
    result->error = node ? ERR_OK : ERR_NOT_FOUND;
    if (op->watch && (node || op->kind == ZK_OP_EXISTS))
        zkm_arm(view, op->path,
                op->kind == ZK_OP_CHILDREN ? WATCH_CHILD
                : op->kind == ZK_OP_EXISTS ? WATCH_EXIST
                                           : WATCH_DATA);
    if (!node)
        return;
    result->stat = node->stat;
    if (op->kind == ZK_OP_GET && node->data)
        result->data = slice_of(zkm_data_copy(slice_of(node->data, (size_t)node->stat.data_size)),
                                (size_t)node->stat.data_size);
    if (op->kind == ZK_OP_CHILDREN)
        read_children(node, result);
}
