/* The requests on watches, and the events they lead to. */
#include "coordinator/embedded/core_internal.h"

void core_notify(struct watcher *watcher, enum zk_event event, struct slice path)
{
    struct core_connection *c = CONTAINER_OF(watcher, struct core_connection, watcher);
    if (c->closing)
        return;
    size_t start = frame_begin(&c->out, XID_EVENT, -1, ZK_OK);
    jute_put_int(&c->out, (int32_t)event);
    jute_put_int(&c->out, 3); /* SyncConnected */
    jute_put_bytes(&c->out, path);
    frame_end(&c->out, start);
    c->sent++;
}

enum set_kind { SET_DATA_WATCHES, SET_EXISTS, SET_CHILDREN, SET_PERSISTENT, SET_RECURSIVE };

/* What happened to the path since the client last heard is told now; else it is watched again. */
static void set_watch(struct core *core, struct core_connection *c, enum set_kind kind,
                      struct slice path, int64_t zxid)
{
    static const unsigned kinds[] = {WATCH_DATA, WATCH_DATA, WATCH_CHILDREN, WATCH_PERSISTENT,
                                     WATCH_RECURSIVE};
    struct znode *z = tree_get(&core->tree, path);
    bool lasts = kind == SET_PERSISTENT || kind == SET_RECURSIVE;
    if (!lasts && kind == SET_EXISTS && z)
        core_notify(&c->watcher, EVENT_CREATED, path);
    else if (!lasts && kind != SET_EXISTS && !z)
        core_notify(&c->watcher, EVENT_DELETED, path);
    else if (kind == SET_DATA_WATCHES && z->n.mzxid > zxid)
        core_notify(&c->watcher, EVENT_DATA_CHANGED, path);
    else if (kind == SET_CHILDREN && z->n.pzxid > zxid)
        core_notify(&c->watcher, EVENT_CHILD, path);
    else
        watches_add(&core->watches, &c->watcher, path, kinds[kind]);
}
static int32_t set_watches(struct core *core, struct core_connection *c, struct jute_in *in,
                           int lists)
{
    int64_t zxid = jute_long(in);
    for (int kind = 0; kind < lists && !in->bad; kind++) {
        int32_t count = jute_int(in);
        for (int32_t i = 0; i < count && !in->bad; i++) {
            struct slice path = jute_bytes(in);
            if (path.data)
                set_watch(core, c, (enum set_kind)kind, path, zxid);
        }
    }
    return in->bad ? ZK_MARSHALLING_ERROR : ZK_OK;
}
static unsigned kinds_of_type(int32_t type)
{
    switch (type) {
    case 1:
        return WATCH_CHILDREN | WATCH_PERSISTENT | WATCH_RECURSIVE;
    case 2:
        return WATCH_DATA | WATCH_PERSISTENT | WATCH_RECURSIVE;
    case 3:
        return WATCH_DATA | WATCH_CHILDREN | WATCH_PERSISTENT | WATCH_RECURSIVE;
    case 4:
        return WATCH_PERSISTENT;
    case 5:
        return WATCH_RECURSIVE;
    default:
        return 0;
    }
}
static int32_t check_or_remove(struct core *core, struct core_connection *c, bool remove,
                               struct jute_in *in)
{
    struct slice path = jute_bytes(in);
    unsigned kinds = kinds_of_type(jute_int(in));
    if (in->bad || !kinds)
        return ZK_MARSHALLING_ERROR;
    if (!watches_get(&core->watches, &c->watcher, path, kinds))
        return ZK_NO_WATCHER;
    if (remove)
        watches_remove(&core->watches, &c->watcher, path, kinds);
    return ZK_OK;
}
static int32_t add_watch(struct core *core, struct core_connection *c, struct jute_in *in,
                         struct buf *body)
{
    struct slice path = jute_bytes(in);
    int32_t mode = jute_int(in);
    if (in->bad || (mode != 0 && mode != 1))
        return ZK_MARSHALLING_ERROR;
    /* the later mode takes the place of the earlier */
    watches_remove(&core->watches, &c->watcher, path, WATCH_PERSISTENT | WATCH_RECURSIVE);
    jute_put_int(body, ZK_OK); /* the reply is an ErrorResponse */
    watches_add(&core->watches, &c->watcher, path, mode ? WATCH_RECURSIVE : WATCH_PERSISTENT);
    return ZK_OK;
}
int32_t core_watch(struct core *core, struct core_connection *c, int32_t op, struct jute_in *in,
                   struct buf *body)
{
    switch (op) {
    case OP_SET_WATCHES:
        return set_watches(core, c, in, SET_CHILDREN + 1);
    case OP_SET_WATCHES2:
        return set_watches(core, c, in, SET_RECURSIVE + 1);
    case OP_ADD_WATCH:
        return add_watch(core, c, in, body);
    default:
        return check_or_remove(core, c, op == OP_REMOVE_WATCHES, in);
    }
}
