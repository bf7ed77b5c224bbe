/* Writes: each is checked against the tree as it is, applied to it, and told to the journal; a
 * multi is several of them that stand or fall together. */
#include "coordinator/embedded/core_internal.h"

#define MULTI_OPS_MAX 100000 /* above what fits into a frame of CORE_FRAME_MAX */

/* ---- transactions ---- */

void transaction_begin(struct core *core)
{
    assert(core->tree.changes_count == 0);
    core->zxid++;
    core->entry.size = 0;
    core->entry_ops = 0;
}
static struct buf *entry_op(struct core *core, int32_t op)
{
    core->entry_ops++;
    jute_put_int(&core->entry, op);
    return &core->entry;
}
static void fire(void *context, struct slice path, enum zk_event event)
{
    watches_fire(&((struct core *)context)->watches, path, event);
}
void transaction_keep(struct core *core)
{
    jute_put_int(&core->journal, (int32_t)(core->entry.size + 20));
    jute_put_long(&core->journal, core->zxid);
    jute_put_long(&core->journal, core->wall_ms);
    jute_put_int(&core->journal, core->entry_ops);
    buf_put(&core->journal, core->entry.data, core->entry.size);
    tree_keep(&core->tree, fire, core);
}
void transaction_fail(struct core *core, int32_t result)
{
    tree_undo(&core->tree);
    core->entry.size = 0;
    core->entry_ops = 0;
    jute_put_int(entry_op(core, OP_ERROR), result);
    transaction_keep(core);
}
void transaction_session(struct core *core, const struct session *s)
{
    transaction_begin(core);
    struct buf *entry = entry_op(core, OP_CREATE_SESSION);
    jute_put_long(entry, s->id);
    jute_put_int(entry, s->timeout_ms);
    buf_put(entry, s->password, PASSWORD_SIZE);
    transaction_keep(core);
}
void transaction_session_end(struct core *core, int64_t id)
{
    transaction_begin(core);
    jute_put_long(entry_op(core, OP_CLOSE_SESSION), id);
    struct znode *z;
    while ((z = tree_first_ephemeral(&core->tree, id)))
        tree_delete(&core->tree, z, core_stamp(core));
    transaction_keep(core);
}

/* ---- single writes ---- */

struct create_request {
    struct slice path, data;
    struct buf acl; /* fixed */
    int32_t acl_result, flags;
};
static void create_request_read(const struct core_connection *c, struct jute_in *in,
                                struct create_request *ret)
{
    ret->path = jute_bytes(in);
    ret->data = jute_bytes(in);
    ret->acl_result = acl_fix(c, in, &ret->acl);
    ret->flags = jute_int(in);
}
/* In the order in which ZooKeeper finds fault. */
static int32_t create_check(struct core *core, const struct core_connection *c,
                            const struct create_request *r, struct znode **ret_parent)
{
    if (r->flags >= 4 && r->flags <= 6)
        return ZK_UNIMPLEMENTED;
    if (r->flags < 0 || r->flags > 3)
        return ZK_BAD_ARGUMENTS;
    if (r->path.size == 0 || r->path.data[0] != '/' || memchr(r->path.data, 0, r->path.size))
        return ZK_BAD_ARGUMENTS;
    if (r->acl_result)
        return r->acl_result;
    struct znode *parent = tree_get(&core->tree, path_parent(r->path));
    if (!parent)
        return ZK_NO_NODE;
    if (!acl_allows(parent->acl, c, PERM_CREATE))
        return ZK_NO_AUTH;
    *ret_parent = parent;
    return ZK_OK;
}
static int32_t create(struct core *core, const struct core_connection *c,
                      const struct create_request *r, struct znode **ret)
{
    struct znode *parent = NULL;
    int32_t result = create_check(core, c, r, &parent);
    if (result)
        return result;
    OWNED_MEM char *name = mem_printf(r->flags & CREATE_SEQUENCE ? "%.*s%010d" : "%.*s",
                                      SLICE_ARG(r->path), parent->n.creates);
    struct slice path = slice_str(name);
    if (!path_is_valid(path))
        return ZK_BAD_ARGUMENTS;
    if (tree_get(&core->tree, path))
        return ZK_NODE_EXISTS;
    if (parent->n.owner)
        return ZK_NO_CHILDREN_FOR_EPHEMERALS;
    int64_t owner = r->flags & CREATE_EPHEMERAL ? c->session_id : 0;
    *ret = tree_create(&core->tree, path, r->data, buf_slice(&r->acl), owner, core_stamp(core));
    struct buf *entry = entry_op(core, OP_CREATE);
    jute_put_bytes(entry, path);
    jute_put_bytes(entry, r->data);
    jute_put_bytes(entry, buf_slice(&r->acl));
    jute_put_long(entry, owner);
    return ZK_OK;
}
static int32_t do_create(struct core *core, struct core_connection *c, struct jute_in *in,
                         struct znode **ret)
{
    struct create_request r = {0};
    create_request_read(c, in, &r);
    int32_t result = in->bad || !r.path.data ? ZK_MARSHALLING_ERROR : create(core, c, &r, ret);
    buf_done(&r.acl);
    return result;
}
static bool version_fits(int32_t asked, int32_t have)
{
    return asked == -1 || asked == have;
}
/* What ZooKeeper itself needs stays. */
static bool is_special(struct slice path)
{
    static const char *const special[] = {"/", "/zookeeper", "/zookeeper/config",
                                          "/zookeeper/quota"};
    for (size_t i = 0; i < ARRAY_SIZE(special); i++)
        if (slice_equal_str(path, special[i]))
            return true;
    return false;
}
static int32_t do_delete(struct core *core, struct core_connection *c, struct jute_in *in)
{
    struct slice path = jute_bytes(in);
    int32_t zk_version = jute_int(in);
    if (in->bad)
        return ZK_MARSHALLING_ERROR;
    if (!path_is_valid(path) || is_special(path))
        return ZK_BAD_ARGUMENTS;
    struct znode *z = tree_get(&core->tree, path);
    if (!z)
        return ZK_NO_NODE;
    if (!acl_allows(z->parent->acl, c, PERM_DELETE))
        return ZK_NO_AUTH;
    if (!version_fits(zk_version, z->n.zk_version))
        return ZK_BAD_VERSION;
    if (z->children_count > 0)
        return ZK_NODE_NOT_EMPTY;
    jute_put_bytes(entry_op(core, OP_DELETE), path);
    tree_delete(&core->tree, z, core_stamp(core));
    return ZK_OK;
}
/* The znode of a write or check that needs a permission on it. */
static int32_t find(struct core *core, const struct core_connection *c, struct slice path,
                    int permission, struct znode **ret)
{
    if (!path_is_valid(path))
        return ZK_BAD_ARGUMENTS;
    struct znode *z = tree_get(&core->tree, path);
    if (!z)
        return ZK_NO_NODE;
    if (!acl_allows(z->acl, c, permission))
        return ZK_NO_AUTH;
    *ret = z;
    return ZK_OK;
}
static int32_t do_set_data(struct core *core, struct core_connection *c, struct jute_in *in,
                           struct znode **ret)
{
    struct slice path = jute_bytes(in), data = jute_bytes(in);
    int32_t zk_version = jute_int(in);
    if (in->bad)
        return ZK_MARSHALLING_ERROR;
    int32_t result = find(core, c, path, PERM_WRITE, ret);
    if (result)
        return result;
    if (!version_fits(zk_version, (*ret)->n.zk_version))
        return ZK_BAD_VERSION;
    tree_set_data(&core->tree, *ret, data, core_stamp(core));
    struct buf *entry = entry_op(core, OP_SET_DATA);
    jute_put_bytes(entry, path);
    jute_put_bytes(entry, data);
    return ZK_OK;
}
static int32_t set_acl(struct core *core, struct core_connection *c, struct slice path,
                       struct slice acl, int32_t acl_version, struct znode **ret)
{
    int32_t result = find(core, c, path, PERM_ADMIN, ret);
    if (result)
        return result;
    if (!version_fits(acl_version, (*ret)->n.acl_version))
        return ZK_BAD_VERSION;
    tree_set_acl(&core->tree, *ret, acl);
    struct buf *entry = entry_op(core, OP_SET_ACL);
    jute_put_bytes(entry, path);
    jute_put_bytes(entry, acl);
    return ZK_OK;
}
static int32_t do_set_acl(struct core *core, struct core_connection *c, struct jute_in *in,
                          struct znode **ret)
{
    struct buf acl = {0};
    struct slice path = jute_bytes(in);
    int32_t result = acl_fix(c, in, &acl);
    int32_t acl_version = jute_int(in);
    if (in->bad)
        result = ZK_MARSHALLING_ERROR;
    else if (!path_is_valid(path))
        result = ZK_BAD_ARGUMENTS;
    if (!result)
        result = set_acl(core, c, path, buf_slice(&acl), acl_version, ret);
    buf_done(&acl);
    return result;
}
static int32_t do_check(struct core *core, struct core_connection *c, struct jute_in *in)
{
    struct slice path = jute_bytes(in);
    int32_t zk_version = jute_int(in);
    struct znode *z = NULL;
    int32_t result = in->bad ? ZK_MARSHALLING_ERROR : find(core, c, path, PERM_READ, &z);
    if (result)
        return result;
    return version_fits(zk_version, z->n.zk_version) ? ZK_OK : ZK_BAD_VERSION;
}
static int32_t write_one(struct core *core, struct core_connection *c, int32_t op,
                         struct jute_in *in, struct buf *body)
{
    struct znode *z = NULL;
    int32_t result = ZK_UNIMPLEMENTED;
    switch (op) {
    case OP_CREATE:
    case OP_CREATE2:
        result = do_create(core, c, in, &z);
        if (!result)
            jute_put_bytes(body, znode_path(z));
        break;
    case OP_DELETE:
        return do_delete(core, c, in);
    case OP_CHECK:
        return do_check(core, c, in);
    case OP_SET_DATA:
        result = do_set_data(core, c, in, &z);
        break;
    case OP_SET_ACL:
        result = do_set_acl(core, c, in, &z);
        break;
    }
    if (!result && op != OP_CREATE)
        znode_put_stat(body, z);
    return result;
}

/* ---- multi ---- */

void multi_header(struct buf *out, int32_t type, bool is_last, int32_t result)
{
    jute_put_int(out, type);
    buf_put_u8(out, is_last);
    jute_put_int(out, result);
}
/* Read past an operation that is not to be done any more. */
static void skip_one(const struct core_connection *c, int32_t op, struct jute_in *in)
{
    struct buf ignored = {0};
    (void)jute_bytes(in);
    if (op == OP_CREATE || op == OP_CREATE2 || op == OP_SET_DATA)
        (void)jute_bytes(in);
    if (op == OP_CREATE || op == OP_CREATE2)
        (void)acl_fix(c, in, &ignored);
    (void)jute_int(in);
    buf_done(&ignored);
}
static bool may_be_in_multi(int32_t op)
{
    return op == OP_CREATE || op == OP_CREATE2 || op == OP_DELETE || op == OP_SET_DATA ||
           op == OP_CHECK;
}
/* As the real server: the operations before the one that failed say 0, those behind it say
 * RUNTIME_INCONSISTENCY, and the reply as a whole succeeds. */
static void multi_put_failure(struct buf *body, int32_t count, int32_t failed_at, int32_t result)
{
    for (int32_t i = 0; i < count; i++) {
        int32_t code = i < failed_at ? ZK_OK : i == failed_at ? result : ZK_RUNTIME_INCONSISTENCY;
        multi_header(body, OP_ERROR, false, code);
        jute_put_int(body, code);
    }
}
static int32_t do_multi(struct core *core, struct core_connection *c, struct jute_in *in,
                        struct buf *body)
{
    int32_t count = 0, failed_at = -1, result = ZK_OK;
    for (;; count++) {
        int32_t op = jute_int(in);
        bool is_last = jute_bool(in);
        (void)jute_int(in);
        if (!in->bad && is_last)
            break;
        if (in->bad || count >= MULTI_OPS_MAX || !may_be_in_multi(op)) {
            transaction_fail(core, ZK_MARSHALLING_ERROR);
            return ZK_MARSHALLING_ERROR;
        }
        if (failed_at >= 0) {
            skip_one(c, op, in);
            continue;
        }
        multi_header(body, op, false, 0);
        result = write_one(core, c, op, in, body);
        if (result)
            failed_at = count;
    }
    if (failed_at >= 0) {
        transaction_fail(core, result);
        body->size = 0;
        multi_put_failure(body, count, failed_at, result);
    } else {
        transaction_keep(core);
    }
    multi_header(body, -1, true, -1);
    return ZK_OK;
}
int32_t core_write(struct core *core, struct core_connection *c, int32_t op, struct jute_in *in,
                   struct buf *body)
{
    transaction_begin(core);
    if (op == OP_MULTI)
        return do_multi(core, c, in, body);
    int32_t result = write_one(core, c, op, in, body);
    if (result)
        transaction_fail(core, result);
    else
        transaction_keep(core);
    return result;
}
