/* Reads. They see every write before them, since there is one server and one thread. */
#include "coordinator/embedded/core_internal.h"

static int32_t find(const struct core *core, const struct core_connection *c, struct slice path,
                    int permissions, struct znode **ret)
{
    *ret = tree_get(&core->tree, path);
    if (!*ret)
        return ZK_NO_NODE;
    return !permissions || acl_allows((*ret)->acl, c, permissions) ? ZK_OK : ZK_NO_AUTH;
}
static void put_children(struct buf *body, const struct znode *z)
{
    jute_put_int(body, z->children_count);
    list_for_each (&z->children, node)
        jute_put_bytes(body, znode_name(list_entry(node, struct znode, sibling)));
}
static int32_t read_exists(struct core *core, struct core_connection *c, struct slice path,
                           bool watch, struct buf *body)
{
    struct znode *z;
    int32_t result = find(core, c, path, PERM_READ, &z);
    if (watch && result != ZK_NO_AUTH)
        watches_add(&core->watches, &c->watcher, path, WATCH_DATA);
    if (!result)
        znode_put_stat(body, z);
    return result;
}
static int32_t read_data(struct core *core, struct core_connection *c, struct slice path,
                         bool watch, struct buf *body)
{
    struct znode *z;
    int32_t result = find(core, c, path, PERM_READ, &z);
    if (result)
        return result;
    if (watch)
        watches_add(&core->watches, &c->watcher, path, WATCH_DATA);
    jute_put_bytes(body, z->data);
    znode_put_stat(body, z);
    return ZK_OK;
}
static int32_t read_children(struct core *core, struct core_connection *c, struct slice path,
                             bool watch, bool with_stat, struct buf *body)
{
    struct znode *z;
    int32_t result = find(core, c, path, PERM_READ, &z);
    if (result)
        return result;
    if (watch)
        watches_add(&core->watches, &c->watcher, path, WATCH_CHILDREN);
    put_children(body, z);
    if (with_stat)
        znode_put_stat(body, z);
    return ZK_OK;
}
static int32_t read_acl(struct core *core, struct core_connection *c, struct slice path,
                        struct buf *body)
{
    struct znode *z;
    int32_t result = find(core, c, path, PERM_READ | PERM_ADMIN, &z);
    if (result)
        return result;
    acl_put_masked(body, z->acl, c);
    znode_put_stat(body, z);
    return ZK_OK;
}
/* Without recursion: how deep the tree is, is the clients' choice. */
static int32_t descendants_count(const struct znode *top)
{
    int32_t count = 0;
    for (const struct znode *z = top; z; count++)
        z = tree_after(top, z);
    return count - 1;
}
static int32_t read_all_children_number(struct core *core, struct core_connection *c,
                                        struct slice path, struct buf *body)
{
    struct znode *z;
    int32_t result = find(core, c, path, PERM_READ, &z);
    if (!result)
        jute_put_int(body, descendants_count(z));
    return result;
}
static void read_ephemerals(struct core *core, struct core_connection *c, struct slice prefix,
                            struct buf *body)
{
    size_t at = body->size;
    uint32_t count = 0;
    jute_put_int(body, 0);
    struct list_node *list = tree_ephemerals(&core->tree, c->session_id);
    if (list)
        list_for_each (list, node) {
            struct slice path = znode_path(list_entry(node, struct znode, at_owner));
            if (path.size < prefix.size || memcmp(path.data, prefix.data, prefix.size) != 0)
                continue;
            jute_put_bytes(body, path);
            count++;
        }
    put_be32(body->data + at, count);
}
/* The id without what proves it. */
static void read_who_am_i(const struct core_connection *c, struct buf *body)
{
    jute_put_int(body, (int32_t)c->auths_count);
    for (size_t i = 0; i < c->auths_count; i++) {
        const char *id = c->auths[i].id;
        bool hide = strcmp(c->auths[i].scheme, "digest") == 0;
        jute_put_bytes(body, slice_str(c->auths[i].scheme));
        jute_put_bytes(body, slice_of(id, hide ? strcspn(id, ":") : strlen(id)));
    }
}
int32_t core_read(struct core *core, struct core_connection *c, int32_t op, struct jute_in *in,
                  struct buf *body)
{
    if (op == OP_WHO_AM_I) {
        read_who_am_i(c, body);
        return ZK_OK;
    }
    struct slice path = jute_bytes(in);
    bool may_watch =
        op == OP_EXISTS || op == OP_GET_DATA || op == OP_GET_CHILDREN || op == OP_GET_CHILDREN2;
    bool watch = may_watch && jute_bool(in);
    if (in->bad)
        return ZK_MARSHALLING_ERROR;
    switch (op) {
    case OP_EXISTS:
        return read_exists(core, c, path, watch, body);
    case OP_GET_DATA:
        return read_data(core, c, path, watch, body);
    case OP_GET_CHILDREN:
    case OP_GET_CHILDREN2:
        return read_children(core, c, path, watch, op == OP_GET_CHILDREN2, body);
    case OP_GET_ACL:
        return read_acl(core, c, path, body);
    case OP_GET_ALL_CHILDREN_NUMBER:
        return read_all_children_number(core, c, path, body);
    case OP_GET_EPHEMERALS:
        read_ephemerals(core, c, path, body);
        return ZK_OK;
    case OP_SYNC:
        jute_put_bytes(body, path);
        return ZK_OK;
    default:
        return ZK_UNIMPLEMENTED;
    }
}
/* Each stands for itself: one that fails says so in its place. */
int32_t core_multi_read(struct core *core, struct core_connection *c, struct jute_in *in,
                        struct buf *body)
{
    for (;;) {
        int32_t op = jute_int(in);
        bool is_last = jute_bool(in);
        (void)jute_int(in);
        if (!in->bad && is_last)
            break;
        if (in->bad || (op != OP_GET_DATA && op != OP_GET_CHILDREN))
            return ZK_MARSHALLING_ERROR;
        size_t start = body->size;
        multi_header(body, op, false, 0);
        int32_t result = core_read(core, c, op, in, body);
        if (in->bad)
            return ZK_MARSHALLING_ERROR;
        if (result) {
            body->size = start;
            multi_header(body, OP_ERROR, false, result);
            jute_put_int(body, result);
        }
    }
    multi_header(body, -1, true, -1);
    return ZK_OK;
}
