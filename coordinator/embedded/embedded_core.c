/* The embedded server's mind: znodes, sessions, watches and the requests on them, as ZooKeeper 3.8
 * answers them. A write makes `struct change`s first; a failed multi undoes them backwards, and
 * only a whole one fires its watches, before its own reply. */
#include "coordinator/embedded/embedded_core.h"

#include <stdio.h>

#include "broker/base/map.h"

enum {
    OP_CREATE = 1,
    OP_DELETE = 2,
    OP_EXISTS = 3,
    OP_GET = 4,
    OP_SET = 5,
    OP_GET_ACL = 6,
    OP_CHILDREN = 8,
    OP_SYNC = 9,
    OP_PING = 11,
    OP_CHILDREN2 = 12,
    OP_CHECK = 13,
    OP_MULTI = 14,
    OP_CREATE2 = 15,
    OP_SET_WATCHES = 101,
    OP_CLOSE = -11
};
enum {
    ZOK = 0,
    ZINCONSISTENT = -2,
    ZMARSHALLING = -5,
    ZUNIMPLEMENTED = -6,
    ZBADARGUMENTS = -8,
    ZNONODE = -101,
    ZBADVERSION = -103,
    ZNOEPHEMERALCHILDREN = -108,
    ZEXISTS = -110,
    ZNOTEMPTY = -111,
    ZINVALIDACL = -114,
    ZAUTHFAILED = -115
};
enum { EVENT_CREATED = 1, EVENT_DELETED = 2, EVENT_DATA = 3, EVENT_CHILD = 4 };
#define PASSWORD_SIZE 16
#define MULTI_OPS_MAX 100000 /* far above what a frame of CORE_FRAME_MAX can hold */

struct numbers {
    int64_t czxid, mzxid, pzxid, ctime_ms, mtime_ms, owner;
    int32_t zk_version, creates; /* creates: children ever created, the source of sequences */
};
struct znode {
    char *path;
    size_t path_size;
    struct znode *parent;
    struct list_node sibling, children;
    int32_t children_count;
    struct slice data; /* ours */
    struct numbers n;
};
struct session {
    int64_t id, deadline_ms;
    int32_t timeout_ms;
    uint8_t password[PASSWORD_SIZE];
    struct core_connection *connection; /* NULL: away */
};
struct spot { /* the watches on one path */
    char *path;
    struct list_node watches;
};
struct watch {
    struct list_node at_spot, at_connection;
    struct core_connection *connection;
    struct spot *spot;
    bool on_children;
};
struct change {
    int32_t op;
    struct znode *node;
    struct numbers node_before, parent_before;
    struct slice data_before;
};
struct core {
    struct map nodes, sessions, spots;
    int64_t zxid, next_session_id;
    int32_t tick_ms, min_timeout_ms, max_timeout_ms;
    int64_t now_ms, wall_ms;
    struct change *changes;
    size_t changes_count, changes_capacity;
};
struct in {
    const uint8_t *at, *end;
    bool bad;
};

static const uint8_t *in_take(struct in *in, size_t size)
{
    if (in->bad || (size_t)(in->end - in->at) < size) {
        in->bad = true;
        return NULL;
    }
    in->at += size;
    return in->at - size;
}
static int32_t in_int(struct in *in)
{
    const uint8_t *p = in_take(in, 4);
    return p ? (int32_t)get_be32(p) : 0;
}
static int64_t in_long(struct in *in)
{
    const uint8_t *p = in_take(in, 8);
    return p ? (int64_t)get_be64(p) : 0;
}
static bool in_bool(struct in *in)
{
    const uint8_t *p = in_take(in, 1);
    return p && *p;
}
static struct slice in_bytes(struct in *in)
{
    int32_t size = in_int(in);
    if (in->bad || size == -1)
        return SLICE_NULL;
    if (size < 0) {
        in->bad = true;
        return SLICE_NULL;
    }
    const uint8_t *p = in_take(in, (size_t)size);
    return p ? slice_of(p, (size_t)size) : SLICE_NULL;
}
static void put_bytes(struct buf *out, struct slice s)
{
    buf_put_be32(out, s.data ? (uint32_t)s.size : (uint32_t)-1);
    buf_put_slice(out, s);
}
static void put_stat(struct buf *out, const struct znode *z)
{
    buf_put_be64(out, (uint64_t)z->n.czxid);
    buf_put_be64(out, (uint64_t)z->n.mzxid);
    buf_put_be64(out, (uint64_t)z->n.ctime_ms);
    buf_put_be64(out, (uint64_t)z->n.mtime_ms);
    buf_put_be32(out, (uint32_t)z->n.zk_version);
    buf_put_be32(out, (uint32_t)z->n.creates * 2 - (uint32_t)z->children_count);
    buf_put_be32(out, 0); /* aversion */
    buf_put_be64(out, (uint64_t)z->n.owner);
    buf_put_be32(out, (uint32_t)z->data.size);
    buf_put_be32(out, (uint32_t)z->children_count);
    buf_put_be64(out, (uint64_t)z->n.pzxid);
}
static struct slice copy_of(struct slice s)
{
    if (!s.data)
        return s;
    uint8_t *p = mem_alloc(s.size + 1);
    if (s.size)
        memcpy(p, s.data, s.size);
    return slice_of(p, s.size);
}
static size_t frame_begin(struct buf *out, int32_t xid, int64_t zxid, int32_t error)
{
    size_t start = out->size;
    buf_put_be32(out, 0);
    buf_put_be32(out, (uint32_t)xid);
    buf_put_be64(out, (uint64_t)zxid);
    buf_put_be32(out, (uint32_t)error);
    return start;
}
static void frame_end(struct buf *out, size_t start)
{
    put_be32(out->data + start, (uint32_t)(out->size - start - 4));
}

/* ---- watches ---- */

static void watch_free(struct core *core, struct watch *w)
{
    struct spot *spot = w->spot;
    list_remove(&w->at_spot);
    list_remove(&w->at_connection);
    free(w);
    if (!list_is_empty(&spot->watches))
        return;
    (void)map_remove(&core->spots, slice_str(spot->path));
    free(spot->path);
    free(spot);
}
static void watch_add(struct core *core, struct core_connection *c, struct slice path,
                      bool on_children)
{
    struct spot *spot = map_get(&core->spots, path);
    if (!spot) {
        spot = mem_new(struct spot);
        spot->path = slice_dup(path);
        list_init(&spot->watches);
        (void)map_put(&core->spots, path, spot);
    }
    list_for_each (&spot->watches, node) {
        struct watch *w = list_entry(node, struct watch, at_spot);
        if (w->connection == c && w->on_children == on_children)
            return;
    }
    struct watch *w = mem_new(struct watch);
    *w = (struct watch){.connection = c, .spot = spot, .on_children = on_children};
    list_push_back(&spot->watches, &w->at_spot);
    list_push_back(&c->watches, &w->at_connection);
}
static void event_put(struct core_connection *c, int32_t type, struct slice path)
{
    size_t start = frame_begin(&c->out, -1, -1, 0);
    buf_put_be32(&c->out, (uint32_t)type);
    buf_put_be32(&c->out, 3); /* SyncConnected */
    put_bytes(&c->out, path);
    frame_end(&c->out, start);
}
/* A deletion fires both kinds, and tells a connection that has both only once. */
static void watches_fire(struct core *core, struct slice path, int32_t type)
{
    struct spot *spot = map_get(&core->spots, path);
    if (!spot)
        return;
    struct list_node due;
    list_init(&due);
    list_for_each (&spot->watches, node) {
        struct watch *w = list_entry(node, struct watch, at_spot);
        if (type != EVENT_DELETED && w->on_children != (type == EVENT_CHILD))
            continue;
        bool told = false;
        list_for_each (&due, other)
            told |= list_entry(other, struct watch, at_spot)->connection == w->connection;
        if (!told)
            event_put(w->connection, type, path);
        list_remove(&w->at_spot);
        list_push_back(&due, &w->at_spot);
    }
    struct list_node *node;
    while ((node = list_pop_front(&due))) {
        struct watch *w = list_entry(node, struct watch, at_spot);
        list_remove(&w->at_connection);
        free(w);
    }
    if (list_is_empty(&spot->watches)) {
        (void)map_remove(&core->spots, path);
        free(spot->path);
        free(spot);
    }
}

/* ---- the tree ---- */

static struct slice path_of(const struct znode *z)
{
    return slice_of(z->path, z->path_size);
}
static void znode_free(struct znode *z)
{
    free(z->path);
    free((void *)z->data.data);
    free(z);
}
static void znode_link(struct core *core, struct znode *z)
{
    (void)map_put(&core->nodes, path_of(z), z);
    list_push_back(&z->parent->children, &z->sibling);
    z->parent->children_count++;
}
static void znode_unlink(struct core *core, struct znode *z)
{
    (void)map_remove(&core->nodes, path_of(z));
    list_remove(&z->sibling);
    z->parent->children_count--;
}
static struct znode *znode_new(struct slice path, struct znode *parent)
{
    struct znode *z = mem_new(struct znode);
    z->path = slice_dup(path);
    z->path_size = path.size;
    z->parent = parent;
    list_init(&z->children);
    return z;
}
/* ZooKeeper's PathUtils: absolute, no empty, "." or ".." names, no NUL, no end in '/'. */
static bool path_is_valid(struct slice p)
{
    if (p.size == 0 || p.data[0] != '/' || !slice_is_utf8(p) || memchr(p.data, 0, p.size))
        return false;
    if (p.size == 1)
        return true;
    for (size_t i = 1, name = 1; i <= p.size; i++) {
        if (i < p.size && p.data[i] != '/')
            continue;
        size_t size = i - name;
        if (size == 0 || (size == 1 && p.data[name] == '.') ||
            (size == 2 && memcmp(p.data + name, "..", 2) == 0))
            return false;
        name = i + 1;
    }
    return true;
}
static struct slice parent_path(struct slice p)
{
    size_t size = p.size;
    while (size > 1 && p.data[size - 1] != '/')
        size--;
    return slice_of(p.data, size > 1 ? size - 1 : 1);
}
static struct change *change_new(struct core *core, int32_t op, struct znode *z)
{
    core->changes = mem_grow(core->changes, &core->changes_capacity, core->changes_count + 1,
                             sizeof *core->changes);
    struct change *c = &core->changes[core->changes_count++];
    *c = (struct change){.op = op, .node = z, .node_before = z->n};
    if (z->parent)
        c->parent_before = z->parent->n;
    return c;
}
static void changes_undo(struct core *core)
{
    while (core->changes_count > 0) {
        struct change *c = &core->changes[--core->changes_count];
        struct znode *z = c->node;
        if (c->op == OP_SET) {
            free((void *)z->data.data);
            z->data = c->data_before;
            z->n = c->node_before;
            continue;
        }
        struct znode *parent = z->parent;
        if (c->op == OP_DELETE) {
            znode_link(core, z);
        } else {
            znode_unlink(core, z);
            znode_free(z);
        }
        parent->n = c->parent_before;
    }
}
static void changes_commit(struct core *core)
{
    for (size_t i = 0; i < core->changes_count; i++) {
        struct change *c = &core->changes[i];
        if (c->op == OP_SET) {
            watches_fire(core, path_of(c->node), EVENT_DATA);
            free((void *)c->data_before.data);
            continue;
        }
        watches_fire(core, path_of(c->node), c->op == OP_DELETE ? EVENT_DELETED : EVENT_CREATED);
        watches_fire(core, parent_path(path_of(c->node)), EVENT_CHILD);
    }
    for (size_t i = 0; i < core->changes_count; i++)
        if (core->changes[i].op == OP_DELETE)
            znode_free(core->changes[i].node);
    core->changes_count = 0;
}
/* Only the open ACL is served (world:anyone:cdrwa): another would be a promise not kept. */
static int32_t acl_read(struct in *in)
{
    int32_t count = in_int(in);
    bool open = count == 1;
    for (int32_t i = 0; i < count && !in->bad; i++) {
        open &= in_int(in) == 31;
        open &= slice_equal_str(in_bytes(in), "world");
        open &= slice_equal_str(in_bytes(in), "anyone");
    }
    return open ? ZOK : ZINVALIDACL;
}
static int32_t do_create(struct core *core, struct in *in, int64_t owner, struct znode **ret)
{
    struct slice path = in_bytes(in), data = in_bytes(in);
    int32_t acl_error = acl_read(in);
    int32_t flags = in_int(in);
    if (in->bad)
        return ZMARSHALLING;
    if (flags < 0 || flags > 3)
        return flags >= 4 && flags <= 6 ? ZUNIMPLEMENTED : ZBADARGUMENTS;
    if (acl_error)
        return acl_error;
    if (path.size == 0 || path.data[0] != '/')
        return ZBADARGUMENTS;
    struct znode *parent = map_get(&core->nodes, parent_path(path));
    if (!parent && path.size > 1)
        return path_is_valid(parent_path(path)) ? ZNONODE : ZBADARGUMENTS;
    OWNED_MEM char *name =
        (flags & 2) ? mem_printf("%.*s%010d", SLICE_ARG(path), parent->n.creates) : slice_dup(path);
    path = (flags & 2) ? slice_str(name) : path;
    if (!path_is_valid(path))
        return ZBADARGUMENTS;
    if (map_get(&core->nodes, path))
        return ZEXISTS;
    if (parent->n.owner)
        return ZNOEPHEMERALCHILDREN;
    struct znode *z = znode_new(path, parent);
    (void)change_new(core, OP_CREATE, z);
    z->data = copy_of(data);
    z->n = (struct numbers){.czxid = core->zxid,
                            .mzxid = core->zxid,
                            .pzxid = core->zxid,
                            .ctime_ms = core->wall_ms,
                            .mtime_ms = core->wall_ms,
                            .owner = (flags & 1) ? owner : 0};
    znode_link(core, z);
    parent->n.creates = (int32_t)((uint32_t)parent->n.creates + 1);
    parent->n.pzxid = core->zxid;
    *ret = z;
    return ZOK;
}
static void znode_delete(struct core *core, struct znode *z)
{
    (void)change_new(core, OP_DELETE, z);
    znode_unlink(core, z);
    z->parent->n.pzxid = core->zxid;
}
static int32_t do_delete(struct core *core, struct in *in)
{
    struct slice path = in_bytes(in);
    int32_t zk_version = in_int(in);
    struct znode *z = map_get(&core->nodes, path);
    if (in->bad)
        return ZMARSHALLING;
    if (slice_equal_str(path, "/"))
        return ZBADARGUMENTS;
    if (!z)
        return ZNONODE;
    if (zk_version != -1 && zk_version != z->n.zk_version)
        return ZBADVERSION;
    if (z->children_count > 0)
        return ZNOTEMPTY;
    znode_delete(core, z);
    return ZOK;
}
static int32_t do_set(struct core *core, struct in *in, struct znode **ret)
{
    struct slice path = in_bytes(in), data = in_bytes(in);
    int32_t zk_version = in_int(in);
    if (in->bad)
        return ZMARSHALLING;
    struct znode *z = map_get(&core->nodes, path);
    if (!z)
        return ZNONODE;
    if (zk_version != -1 && zk_version != z->n.zk_version)
        return ZBADVERSION;
    change_new(core, OP_SET, z)->data_before = z->data;
    z->data = copy_of(data);
    z->n.zk_version = (int32_t)((uint32_t)z->n.zk_version + 1);
    z->n.mzxid = core->zxid;
    z->n.mtime_ms = core->wall_ms;
    *ret = z;
    return ZOK;
}
static int32_t do_check(struct core *core, struct in *in)
{
    struct slice path = in_bytes(in);
    int32_t zk_version = in_int(in);
    if (in->bad)
        return ZMARSHALLING;
    struct znode *z = map_get(&core->nodes, path);
    if (!z)
        return ZNONODE;
    return zk_version == -1 || zk_version == z->n.zk_version ? ZOK : ZBADVERSION;
}
/* One write, its result's body put behind `out`. */
static int32_t do_write(struct core *core, int32_t op, struct in *in, int64_t owner,
                        struct buf *out)
{
    struct znode *z = NULL;
    int32_t error = op == OP_DELETE                       ? do_delete(core, in)
                    : op == OP_SET                        ? do_set(core, in, &z)
                    : op == OP_CHECK                      ? do_check(core, in)
                    : op == OP_CREATE || op == OP_CREATE2 ? do_create(core, in, owner, &z)
                                                          : ZUNIMPLEMENTED;
    if (!error && (op == OP_CREATE || op == OP_CREATE2))
        put_bytes(out, path_of(z));
    if (!error && (op == OP_SET || op == OP_CREATE2))
        put_stat(out, z);
    return error;
}
static void multi_header(struct buf *out, int32_t type, bool done, int32_t error)
{
    buf_put_be32(out, (uint32_t)type);
    buf_put_u8(out, done);
    buf_put_be32(out, (uint32_t)error);
}
static int32_t do_multi(struct core *core, struct in *in, int64_t owner, struct buf *out)
{
    size_t start = out->size;
    int32_t count = 0, failed_at = -1, error = ZOK;
    for (;; count++) {
        int32_t op = in_int(in);
        bool done = in_bool(in);
        (void)in_int(in);
        if (in->bad || count >= MULTI_OPS_MAX) {
            changes_undo(core);
            return ZMARSHALLING;
        }
        if (done)
            break;
        if (error) { /* only to count: read past the operation */
            struct slice path = in_bytes(in);
            (void)path;
            if (op == OP_CREATE || op == OP_CREATE2 || op == OP_SET)
                (void)in_bytes(in);
            if (op == OP_CREATE || op == OP_CREATE2)
                (void)acl_read(in);
            (void)in_int(in);
            continue;
        }
        multi_header(out, op, false, 0);
        error = do_write(core, op, in, owner, out);
        if (error)
            failed_at = count;
    }
    if (error) {
        changes_undo(core);
        out->size = start;
        for (int32_t i = 0; i < count; i++) {
            int32_t code = i < failed_at ? ZOK : i == failed_at ? error : ZINCONSISTENT;
            multi_header(out, -1, false, code);
            buf_put_be32(out, (uint32_t)code);
        }
    }
    multi_header(out, -1, true, -1);
    return ZOK;
}

/* ---- sessions ---- */

static void session_end(struct core *core, struct session *s)
{
    core->zxid++;
    for (struct map_entry *e = NULL; !e;) { /* deleting moves nothing, firing touches spots only */
        size_t i = 0;
        while ((e = map_next(&core->nodes, &i))) {
            struct znode *z = e->value;
            if (z->n.owner == s->id)
                znode_delete(core, z);
        }
        break;
    }
    if (s->connection) {
        s->connection->closing = true;
        s->connection->session_id = 0;
    }
    changes_commit(core);
    (void)map_remove(&core->sessions, MAP_KEY(s->id));
    free(s);
}
static void session_touch(struct core *core, struct session *s)
{
    int64_t due = core->now_ms + s->timeout_ms;
    s->deadline_ms = (due / core->tick_ms + 1) * core->tick_ms; /* ZooKeeper's buckets */
}
static int32_t timeout_clamp(const struct core *core, int32_t ms)
{
    return ms < core->min_timeout_ms   ? core->min_timeout_ms
           : ms > core->max_timeout_ms ? core->max_timeout_ms
                                       : ms;
}
static void password_fill(uint8_t *password)
{
    FILE *f = fopen("/dev/urandom", "re");
    bool whole = f && fread(password, 1, PASSWORD_SIZE, f) == PASSWORD_SIZE;
    if (f)
        (void)fclose(f);
    assert(whole);
}
static struct session *session_open(struct core *core)
{
    struct session *s = mem_new(struct session);
    s->id = core->next_session_id++;
    password_fill(s->password);
    core->zxid++;
    (void)map_put(&core->sessions, MAP_KEY(s->id), s);
    return s;
}
static void do_connect(struct core *core, struct core_connection *c, struct in *in)
{
    (void)in_int(in);
    int64_t last_zxid = in_long(in);
    int32_t timeout_ms = in_int(in);
    int64_t id = in_long(in);
    struct slice password = in_bytes(in);
    bool knows_read_only = !in->bad && in->at < in->end;
    if (in->bad || last_zxid > core->zxid) { /* a client that saw a later state goes elsewhere */
        c->closing = true;
        return;
    }
    struct session *s = id ? map_get(&core->sessions, MAP_KEY(id)) : session_open(core);
    if (s && id && !slice_equal(password, slice_of(s->password, PASSWORD_SIZE)))
        s = NULL;
    if (s) {
        if (s->connection) { /* the session moved here */
            s->connection->closing = true;
            s->connection->session_id = 0;
        }
        s->connection = c;
        c->session_id = s->id;
        s->timeout_ms = timeout_clamp(core, timeout_ms);
        session_touch(core, s);
    } else {
        c->closing = true;
    }
    static const uint8_t nothing[PASSWORD_SIZE];
    size_t start = c->out.size;
    buf_put_be32(&c->out, 0);
    buf_put_be32(&c->out, 0);
    buf_put_be32(&c->out, s ? (uint32_t)s->timeout_ms : 0);
    buf_put_be64(&c->out, s ? (uint64_t)s->id : 0);
    put_bytes(&c->out, slice_of(s ? s->password : nothing, PASSWORD_SIZE));
    if (knows_read_only)
        buf_put_u8(&c->out, 0);
    frame_end(&c->out, start);
}

/* ---- reads ---- */

static int32_t do_read(struct core *core, struct core_connection *c, int32_t op, struct in *in,
                       struct buf *out)
{
    struct slice path = in_bytes(in);
    bool watch = (op == OP_GET_ACL || op == OP_SYNC) ? false : in_bool(in);
    if (in->bad)
        return ZMARSHALLING;
    if (op == OP_SYNC) {
        put_bytes(out, path);
        return ZOK;
    }
    struct znode *z = map_get(&core->nodes, path);
    if (watch && (z || op == OP_EXISTS) && path_is_valid(path))
        watch_add(core, c, path, op == OP_CHILDREN || op == OP_CHILDREN2);
    if (!z)
        return ZNONODE;
    if (op == OP_GET)
        put_bytes(out, z->data);
    if (op == OP_GET_ACL) {
        buf_put_be32(out, 1);
        buf_put_be32(out, 31);
        put_bytes(out, SLICE_LITERAL("world"));
        put_bytes(out, SLICE_LITERAL("anyone"));
    }
    if (op == OP_CHILDREN || op == OP_CHILDREN2) {
        buf_put_be32(out, (uint32_t)z->children_count);
        size_t skip = z->path_size == 1 ? 1 : z->path_size + 1;
        list_for_each (&z->children, node) {
            struct znode *child = list_entry(node, struct znode, sibling);
            put_bytes(out, slice_of(child->path + skip, child->path_size - skip));
        }
    }
    if (op != OP_CHILDREN)
        put_stat(out, z);
    return ZOK;
}
/* After a reconnect: what changed since `zxid` is told at once, the rest is watched again. */
static int32_t do_set_watches(struct core *core, struct core_connection *c, struct in *in)
{
    int64_t zxid = in_long(in);
    for (int kind = 0; kind < 3 && !in->bad; kind++) { /* data, exists, children */
        int32_t count = in_int(in);
        for (int32_t i = 0; i < count && !in->bad; i++) {
            struct slice path = in_bytes(in);
            if (in->bad || !path_is_valid(path))
                continue;
            struct znode *z = map_get(&core->nodes, path);
            if (kind == 1 ? z != NULL : z == NULL)
                event_put(c, kind == 1 ? EVENT_CREATED : EVENT_DELETED, path);
            else if (kind == 0 && z->n.mzxid > zxid)
                event_put(c, EVENT_DATA, path);
            else if (kind == 2 && z->n.pzxid > zxid)
                event_put(c, EVENT_CHILD, path);
            else
                watch_add(core, c, path, kind == 2);
        }
    }
    return in->bad ? ZMARSHALLING : ZOK;
}
static void do_request(struct core *core, struct core_connection *c, struct in *in)
{
    int32_t xid = in_int(in), op = in_int(in);
    struct session *s = map_get(&core->sessions, MAP_KEY(c->session_id));
    if (in->bad || !s) {
        c->closing = true;
        return;
    }
    session_touch(core, s);
    struct buf body = {0};
    int32_t error = ZOK;
    int64_t owner = s->id;
    switch (op) {
    case OP_PING:
        break;
    case OP_CLOSE:
        session_end(core, s);
        break;
    case OP_CREATE:
    case OP_CREATE2:
    case OP_DELETE:
    case OP_SET:
    case OP_CHECK:
    case OP_MULTI:
        core->zxid++;
        error = op == OP_MULTI ? do_multi(core, in, owner, &body)
                               : do_write(core, op, in, owner, &body);
        changes_commit(core);
        break;
    case OP_EXISTS:
    case OP_GET:
    case OP_GET_ACL:
    case OP_CHILDREN:
    case OP_CHILDREN2:
    case OP_SYNC:
        error = do_read(core, c, op, in, &body);
        break;
    case OP_SET_WATCHES:
        error = do_set_watches(core, c, in);
        break;
    case 100: /* auth: no scheme is served */
        error = ZAUTHFAILED;
        c->closing = true;
        break;
    default:
        error = ZUNIMPLEMENTED;
    }
    size_t start = frame_begin(&c->out, xid, core->zxid, error);
    if (!error)
        buf_put(&c->out, body.data, body.size);
    frame_end(&c->out, start);
    buf_done(&body);
}

/* ---- the contract ---- */

struct core *core_new(int32_t tick_ms, int32_t min_timeout_ms, int32_t max_timeout_ms,
                      int64_t first_session_id)
{
    struct core *core = mem_new(struct core);
    core->tick_ms = tick_ms;
    core->min_timeout_ms = min_timeout_ms;
    core->max_timeout_ms = max_timeout_ms;
    core->next_session_id = first_session_id;
    struct znode *root = znode_new(SLICE_LITERAL("/"), NULL);
    (void)map_put(&core->nodes, SLICE_LITERAL("/"), root);
    root->data = copy_of(SLICE_LITERAL(""));
    return core;
}
void core_free(struct core *core)
{
    if (!core)
        return;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&core->nodes, &i));)
        znode_free(e->value);
    for (size_t i = 0; (e = map_next(&core->sessions, &i));)
        free(e->value);
    map_done(&core->nodes);
    map_done(&core->sessions);
    map_done(&core->spots);
    free(core->changes);
    free(core);
}
void core_connection_init(struct core_connection *c)
{
    *c = (struct core_connection){0};
    list_init(&c->watches);
}
void core_connection_lost(struct core *core, struct core_connection *c)
{
    while (!list_is_empty(&c->watches))
        watch_free(core, list_entry(c->watches.next, struct watch, at_connection));
    struct session *s = map_get(&core->sessions, MAP_KEY(c->session_id));
    if (s && s->connection == c)
        s->connection = NULL;
    buf_done(&c->out);
}
void core_receive(struct core *core, struct core_connection *c, struct slice frame, int64_t now_ms,
                  int64_t wall_ms)
{
    if (c->closing)
        return;
    core->now_ms = now_ms;
    core->wall_ms = wall_ms;
    struct in in = {frame.data, frame.data + frame.size, false};
    if (c->session_id == 0)
        do_connect(core, c, &in);
    else
        do_request(core, c, &in);
    if (in.bad)
        c->closing = true;
}
void core_tick(struct core *core, int64_t now_ms, int64_t wall_ms)
{
    core->now_ms = now_ms;
    core->wall_ms = wall_ms;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&core->sessions, &i));) {
        struct session *s = e->value;
        if (s->deadline_ms <= now_ms)
            session_end(core, s);
    }
}
