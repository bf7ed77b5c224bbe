/* The znodes, in a map by path and as a tree by pointers. */
#include "coordinator/embedded/tree.h"

struct owner {
    struct list_node znodes;
};

enum change_kind { CHANGE_CREATE, CHANGE_DELETE, CHANGE_DATA, CHANGE_ACL };

struct tree_change {
    enum change_kind kind;
    struct znode *node;
    struct znode_numbers node_before, parent_before;
    struct slice before; /* the data or the ACL that was there; owned */
};

const struct slice acl_open = SLICE_LITERAL("\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone");
static const struct slice acl_read_only =
    SLICE_LITERAL("\0\0\0\1\0\0\0\1\0\0\0\5world\0\0\0\6anyone");

static struct slice copy_of(struct slice s)
{
    if (!s.data)
        return s;
    uint8_t *p = mem_alloc(s.size + 1);
    if (s.size > 0)
        memcpy(p, s.data, s.size);
    return slice_of(p, s.size);
}
static void slice_drop(struct slice s)
{
    free((void *)s.data);
}

/* ---- paths ---- */

struct slice path_parent(struct slice path)
{
    size_t size = path.size;
    while (size > 1 && path.data[size - 1] != '/')
        size--;
    return slice_of(path.data, size > 1 ? size - 1 : 1);
}
struct slice znode_name(const struct znode *z)
{
    size_t skip = !z->parent ? z->path_size : z->parent->parent ? z->parent->path_size + 1 : 1;
    return slice_of(z->path + skip, z->path_size - skip);
}
static bool name_is_valid(const uint8_t *name, size_t size)
{
    return size > 0 && !(size == 1 && name[0] == '.') &&
           !(size == 2 && name[0] == '.' && name[1] == '.');
}
/* The characters that ZooKeeper's PathUtils forbids, which are UTF-16 units there: control
 * characters, surrogates (so all beyond the first plane), private use and specials. */
static bool characters_are_allowed(struct slice p)
{
    for (size_t i = 0; i < p.size; i++) {
        uint8_t c = p.data[i];
        uint32_t unit = c;
        if (c >= 0xf0)
            return false;
        if (c >= 0xe0)
            unit = (uint32_t)(c & 15) << 12 | (uint32_t)(p.data[i + 1] & 63) << 6 |
                   (p.data[i + 2] & 63);
        else if (c >= 0xc0)
            unit = (uint32_t)(c & 31) << 6 | (p.data[i + 1] & 63);
        else if (c >= 0x80)
            continue; /* the rest of a character seen already */
        if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f) || (unit >= 0xd800 && unit <= 0xf8ff) ||
            unit >= 0xfff0)
            return false;
    }
    return true;
}
bool path_is_valid(struct slice p)
{
    if (p.size == 0 || p.data[0] != '/' || !slice_is_utf8(p) || !characters_are_allowed(p))
        return false;
    if (p.size == 1)
        return true;
    for (size_t i = 1, name = 1; i <= p.size; i++) {
        if (i < p.size && p.data[i] != '/')
            continue;
        if (!name_is_valid(p.data + name, i - name))
            return false;
        name = i + 1;
    }
    return true;
}

/* ---- znodes ---- */

static void znode_free(struct znode *z)
{
    free(z->path);
    slice_drop(z->data);
    slice_drop(z->acl);
    free(z);
}
static struct znode *znode_new(struct slice path, struct znode *parent, struct slice data,
                               struct slice acl)
{
    struct znode *z = mem_new(struct znode);
    z->path = slice_dup(path);
    z->path_size = path.size;
    z->parent = parent;
    z->data = copy_of(data);
    z->acl = copy_of(acl);
    list_init(&z->children);
    return z;
}
static void znode_link(struct tree *tree, struct znode *z)
{
    (void)map_put(&tree->nodes, znode_path(z), z);
    tree->bytes += z->path_size + z->data.size;
    if (z->parent) {
        list_push_back(&z->parent->children, &z->sibling);
        z->parent->children_count++;
    }
    if (!z->n.owner)
        return;
    struct owner *owner = map_get(&tree->owners, MAP_KEY(z->n.owner));
    if (!owner) {
        owner = mem_new(struct owner);
        list_init(&owner->znodes);
        (void)map_put(&tree->owners, MAP_KEY(z->n.owner), owner);
    }
    list_push_back(&owner->znodes, &z->at_owner);
}
static void znode_unlink(struct tree *tree, struct znode *z)
{
    (void)map_remove(&tree->nodes, znode_path(z));
    tree->bytes -= z->path_size + z->data.size;
    list_remove(&z->sibling);
    z->parent->children_count--;
    if (!z->n.owner)
        return;
    list_remove(&z->at_owner);
    struct owner *owner = map_get(&tree->owners, MAP_KEY(z->n.owner));
    if (list_is_empty(&owner->znodes)) {
        (void)map_remove(&tree->owners, MAP_KEY(z->n.owner));
        free(owner);
    }
}
void znode_put_stat(struct buf *out, const struct znode *z)
{
    buf_put_be64(out, (uint64_t)z->n.czxid);
    buf_put_be64(out, (uint64_t)z->n.mzxid);
    buf_put_be64(out, (uint64_t)z->n.ctime_ms);
    buf_put_be64(out, (uint64_t)z->n.mtime_ms);
    buf_put_be32(out, (uint32_t)z->n.zk_version);
    /* every child was created, and all but those that are left were deleted */
    buf_put_be32(out, (uint32_t)z->n.creates * 2 - (uint32_t)z->children_count);
    buf_put_be32(out, (uint32_t)z->n.acl_version);
    buf_put_be64(out, (uint64_t)z->n.owner);
    buf_put_be32(out, (uint32_t)z->data.size);
    buf_put_be32(out, (uint32_t)z->children_count);
    buf_put_be64(out, (uint64_t)z->n.pzxid);
}

/* ---- the tree ---- */

static void plant(struct tree *tree, struct slice path, struct slice acl)
{
    struct znode *parent = path.size > 1 ? tree_get(tree, path_parent(path)) : NULL;
    znode_link(tree, znode_new(path, parent, SLICE_LITERAL(""), acl));
}
void tree_init(struct tree *tree)
{
    *tree = (struct tree){0};
    plant(tree, SLICE_LITERAL("/"), acl_open);
    plant(tree, SLICE_LITERAL("/zookeeper"), acl_open);
    plant(tree, SLICE_LITERAL("/zookeeper/config"), acl_read_only);
    plant(tree, SLICE_LITERAL("/zookeeper/quota"), acl_open);
    tree_get(tree, SLICE_LITERAL("/zookeeper/config"))->n.acl_version = -1; /* as in ZooKeeper */
}
void tree_done(struct tree *tree)
{
    tree_undo(tree);
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&tree->nodes, &i));)
        znode_free(e->value);
    for (size_t i = 0; (e = map_next(&tree->owners, &i));)
        free(e->value);
    map_done(&tree->nodes);
    map_done(&tree->owners);
    free(tree->changes);
    *tree = (struct tree){0};
}
void tree_clear(struct tree *tree)
{
    tree_done(tree);
    plant(tree, SLICE_LITERAL("/"), acl_open);
}
static struct tree_change *change_new(struct tree *tree, enum change_kind kind, struct znode *z)
{
    tree->changes = mem_grow(tree->changes, &tree->changes_capacity, tree->changes_count + 1,
                             sizeof *tree->changes);
    struct tree_change *c = &tree->changes[tree->changes_count++];
    *c = (struct tree_change){.kind = kind, .node = z, .node_before = z->n};
    if (z->parent)
        c->parent_before = z->parent->n;
    return c;
}
struct znode *tree_create(struct tree *tree, struct slice path, struct slice data, struct slice acl,
                          int64_t owner, struct stamp stamp)
{
    struct znode *parent = tree_get(tree, path_parent(path));
    struct znode *z = znode_new(path, parent, data, acl);
    z->n = (struct znode_numbers){.czxid = stamp.zxid,
                                  .mzxid = stamp.zxid,
                                  .pzxid = stamp.zxid,
                                  .ctime_ms = stamp.wall_ms,
                                  .mtime_ms = stamp.wall_ms,
                                  .owner = owner};
    (void)change_new(tree, CHANGE_CREATE, z);
    znode_link(tree, z);
    parent->n.creates = (int32_t)((uint32_t)parent->n.creates + 1);
    parent->n.pzxid = stamp.zxid;
    return z;
}
void tree_delete(struct tree *tree, struct znode *z, struct stamp stamp)
{
    assert(z->parent && z->children_count == 0);
    (void)change_new(tree, CHANGE_DELETE, z);
    znode_unlink(tree, z);
    z->parent->n.pzxid = stamp.zxid;
}
void tree_set_data(struct tree *tree, struct znode *z, struct slice data, struct stamp stamp)
{
    change_new(tree, CHANGE_DATA, z)->before = z->data;
    tree->bytes += data.size - z->data.size;
    z->data = copy_of(data);
    z->n.zk_version = (int32_t)((uint32_t)z->n.zk_version + 1);
    z->n.mzxid = stamp.zxid;
    z->n.mtime_ms = stamp.wall_ms;
}
void tree_set_acl(struct tree *tree, struct znode *z, struct slice acl)
{
    change_new(tree, CHANGE_ACL, z)->before = z->acl;
    z->acl = copy_of(acl);
    z->n.acl_version = (int32_t)((uint32_t)z->n.acl_version + 1);
}
static void change_undo(struct tree *tree, struct tree_change *c)
{
    struct znode *z = c->node, *parent = z->parent;
    switch (c->kind) {
    case CHANGE_CREATE:
        znode_unlink(tree, z);
        znode_free(z);
        parent->n = c->parent_before;
        break;
    case CHANGE_DELETE:
        znode_link(tree, z);
        parent->n = c->parent_before;
        break;
    case CHANGE_DATA:
        tree->bytes += c->before.size - z->data.size;
        slice_drop(z->data);
        z->data = c->before;
        z->n = c->node_before;
        break;
    case CHANGE_ACL:
        slice_drop(z->acl);
        z->acl = c->before;
        z->n = c->node_before;
        break;
    }
}
void tree_undo(struct tree *tree)
{
    while (tree->changes_count > 0)
        change_undo(tree, &tree->changes[--tree->changes_count]);
}
static void change_fire(const struct tree_change *c,
                        void (*fire)(void *context, struct slice path, enum zk_event),
                        void *context)
{
    struct slice path = znode_path(c->node);
    if (c->kind == CHANGE_DATA)
        fire(context, path, EVENT_DATA_CHANGED);
    if (c->kind == CHANGE_CREATE || c->kind == CHANGE_DELETE) {
        fire(context, path, c->kind == CHANGE_CREATE ? EVENT_CREATED : EVENT_DELETED);
        fire(context, path_parent(path), EVENT_CHILD);
    }
}
void tree_keep(struct tree *tree, void (*fire)(void *context, struct slice path, enum zk_event),
               void *context)
{
    for (size_t i = 0; fire && i < tree->changes_count; i++)
        change_fire(&tree->changes[i], fire, context);
    for (size_t i = 0; i < tree->changes_count; i++) {
        struct tree_change *c = &tree->changes[i];
        slice_drop(c->before);
        if (c->kind == CHANGE_DELETE)
            znode_free(c->node);
    }
    tree->changes_count = 0;
}
const struct znode *tree_after(const struct znode *top, const struct znode *z)
{
    if (!list_is_empty(&z->children))
        return list_entry(z->children.next, struct znode, sibling);
    while (z != top && z->sibling.next == &z->parent->children)
        z = z->parent;
    return z == top ? NULL : list_entry(z->sibling.next, struct znode, sibling);
}
struct list_node *tree_ephemerals(const struct tree *tree, int64_t owner_id)
{
    struct owner *owner = map_get(&tree->owners, MAP_KEY(owner_id));
    return owner ? &owner->znodes : NULL;
}
struct znode *tree_first_ephemeral(const struct tree *tree, int64_t owner_id)
{
    struct list_node *list = tree_ephemerals(tree, owner_id);
    return list ? list_entry(list->next, struct znode, at_owner) : NULL;
}
size_t tree_ephemerals_count(const struct tree *tree)
{
    size_t count = 0;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&tree->owners, &i));)
        list_for_each (&((struct owner *)e->value)->znodes, node)
            count++;
    return count;
}
static void root_restore(struct tree *tree, struct znode *root, struct slice data, struct slice acl)
{
    tree->bytes += data.size - root->data.size;
    slice_drop(root->data);
    slice_drop(root->acl);
    root->data = copy_of(data);
    root->acl = copy_of(acl);
}
struct znode *tree_restore(struct tree *tree, struct slice path, struct slice data,
                           struct slice acl, const struct znode_numbers *numbers)
{
    struct znode *z;
    if (slice_equal_str(path, "/")) {
        if (numbers->owner)
            return NULL;
        z = tree_get(tree, path);
        root_restore(tree, z, data, acl);
        z->n = *numbers;
        return z;
    }
    struct znode *parent = path_is_valid(path) ? tree_get(tree, path_parent(path)) : NULL;
    if (!parent || parent->n.owner || tree_get(tree, path)) /* ephemerals have no children */
        return NULL;
    z = znode_new(path, parent, data, acl);
    z->n = *numbers;
    znode_link(tree, z);
    return z;
}
