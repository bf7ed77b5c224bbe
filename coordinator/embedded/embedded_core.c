/* Connections, sessions, and which request goes where. */
#include <sys/random.h>

#include "coordinator/embedded/core_internal.h"

size_t frame_begin(struct buf *out, int32_t xid, int64_t zxid, int32_t result)
{
    size_t start = out->size;
    jute_put_int(out, 0);
    jute_put_int(out, xid);
    jute_put_long(out, zxid);
    jute_put_int(out, result);
    return start;
}
void frame_end(struct buf *out, size_t start)
{
    put_be32(out->data + start, (uint32_t)(out->size - start - 4));
}

/* ---- sessions ---- */

static void session_end(struct core *core, struct session *s)
{
    transaction_session_end(core, s->id);
    if (s->connection) {
        s->connection->closing = true;
        s->connection->session_id = 0;
    }
    (void)map_remove(&core->sessions, MAP_KEY(s->id));
    free(s);
}
/* ZooKeeper expires sessions by the tick, a whole one late at most. */
static void session_touch(struct core *core, struct session *s)
{
    int64_t due = core->now_ms + s->timeout_ms;
    s->deadline_ms = (due / core->tick_ms + 1) * core->tick_ms;
}
static int32_t timeout_within(const struct core *core, int32_t ms)
{
    return ms < core->min_timeout_ms   ? core->min_timeout_ms
           : ms > core->max_timeout_ms ? core->max_timeout_ms
                                       : ms;
}
static struct session *session_open(struct core *core, int32_t timeout_ms)
{
    struct session *s = mem_new(struct session);
    s->id = core->next_session_id++;
    s->timeout_ms = timeout_within(core, timeout_ms);
    ssize_t got = getrandom(s->password, PASSWORD_SIZE, 0);
    assert(got == PASSWORD_SIZE); /* so few bytes are given whole */
    (void)map_put(&core->sessions, MAP_KEY(s->id), s);
    transaction_session(core, s);
    return s;
}
static struct session *session_reopen(struct core *core, int64_t id, struct slice password,
                                      int32_t timeout_ms)
{
    struct session *s = map_get(&core->sessions, MAP_KEY(id));
    if (!s || !slice_equal(password, slice_of(s->password, PASSWORD_SIZE)))
        return NULL;
    if (s->connection) { /* the session moves here */
        s->connection->closing = true;
        s->connection->session_id = 0;
    }
    s->timeout_ms = timeout_within(core, timeout_ms);
    return s;
}
/* s: NULL says that the session has expired, or that the password is not its own. */
static void put_connect_reply(struct core_connection *c, const struct session *s, bool read_only)
{
    static const uint8_t nothing[PASSWORD_SIZE];
    size_t start = c->out.size;
    jute_put_int(&c->out, 0);
    jute_put_int(&c->out, 0); /* protocol version */
    jute_put_int(&c->out, s ? s->timeout_ms : 0);
    jute_put_long(&c->out, s ? s->id : 0);
    jute_put_bytes(&c->out, slice_of(s ? s->password : nothing, PASSWORD_SIZE));
    if (read_only)
        buf_put_u8(&c->out, 0);
    frame_end(&c->out, start);
    c->sent++;
}
static void do_connect(struct core *core, struct core_connection *c, struct jute_in *in)
{
    (void)jute_int(in); /* protocol version */
    int64_t last_zxid = jute_long(in);
    int32_t timeout_ms = jute_int(in);
    int64_t id = jute_long(in);
    struct slice password = jute_bytes(in);
    bool knows_read_only = !in->bad && in->at < in->end;
    if (in->bad || last_zxid > core->zxid) { /* a client that saw more must go elsewhere */
        c->closing = true;
        return;
    }
    struct session *s =
        id ? session_reopen(core, id, password, timeout_ms) : session_open(core, timeout_ms);
    if (s) {
        s->connection = c;
        c->session_id = s->id;
        session_touch(core, s);
    }
    c->closing = s == NULL;
    put_connect_reply(c, s, knows_read_only);
}

/* ---- requests ---- */

static int32_t do_auth(struct core_connection *c, struct jute_in *in)
{
    (void)jute_int(in); /* type, of no meaning */
    struct slice scheme = jute_bytes(in), credentials = jute_bytes(in);
    int32_t result = in->bad ? ZK_MARSHALLING_ERROR : auth_add(c, scheme, credentials);
    if (result)
        c->closing = true;
    return result;
}
static int32_t serve(struct core *core, struct core_connection *c, struct session *s, int32_t op,
                     struct jute_in *in, struct buf *body)
{
    switch (op) {
    case OP_PING:
        return ZK_OK;
    case OP_CLOSE_SESSION:
        session_end(core, s);
        return ZK_OK;
    case OP_AUTH:
        return do_auth(c, in);
    case OP_CREATE:
    case OP_CREATE2:
    case OP_DELETE:
    case OP_SET_DATA:
    case OP_SET_ACL:
    case OP_CHECK:
    case OP_MULTI:
        return core_write(core, c, op, in, body);
    case OP_MULTI_READ:
        return core_multi_read(core, c, in, body);
    case OP_SET_WATCHES:
    case OP_SET_WATCHES2:
    case OP_CHECK_WATCHES:
    case OP_REMOVE_WATCHES:
    case OP_ADD_WATCH:
        return core_watch(core, c, op, in, body);
    case OP_EXISTS:
    case OP_GET_DATA:
    case OP_GET_ACL:
    case OP_GET_CHILDREN:
    case OP_GET_CHILDREN2:
    case OP_SYNC:
    case OP_GET_EPHEMERALS:
    case OP_GET_ALL_CHILDREN_NUMBER:
    case OP_WHO_AM_I:
        return core_read(core, c, op, in, body);
    default: /* the real server ends the connection, too */
        c->closing = true;
        return ZK_UNIMPLEMENTED;
    }
}
static void do_request(struct core *core, struct core_connection *c, struct jute_in *in)
{
    int32_t xid = jute_int(in), op = jute_int(in);
    struct session *s = map_get(&core->sessions, MAP_KEY(c->session_id));
    if (in->bad || !s) {
        c->closing = true;
        return;
    }
    session_touch(core, s);
    struct buf body = {0};
    int32_t result = serve(core, c, s, op, in, &body);
    int64_t zxid = op == OP_AUTH ? 0 : core->zxid;
    if (c->closing && result == ZK_UNIMPLEMENTED)
        zxid = -1;
    size_t start = frame_begin(&c->out, xid, zxid, result);
    if (!result)
        buf_put(&c->out, body.data, body.size);
    frame_end(&c->out, start);
    c->sent++;
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
    tree_init(&core->tree);
    return core;
}
void core_free(struct core *core)
{
    if (!core)
        return;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&core->sessions, &i));)
        free(e->value);
    map_done(&core->sessions);
    tree_done(&core->tree);
    watches_done(&core->watches);
    buf_done(&core->entry);
    buf_done(&core->journal);
    free(core);
}
void core_connection_lost(struct core *core, struct core_connection *c)
{
    watcher_leave(&core->watches, &c->watcher);
    struct session *s = map_get(&core->sessions, MAP_KEY(c->session_id));
    if (s && s->connection == c)
        s->connection = NULL;
    auths_done(c);
    buf_done(&c->out);
}
void core_receive(struct core *core, struct core_connection *c, struct slice frame, int64_t now_ms,
                  int64_t wall_ms)
{
    if (c->closing)
        return;
    core->now_ms = now_ms;
    core->wall_ms = wall_ms;
    c->received++;
    struct jute_in in = jute_in_of(frame);
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
struct buf *core_journal(struct core *core)
{
    return &core->journal;
}
void core_revive(struct core *core, int64_t now_ms)
{
    core->now_ms = now_ms;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&core->sessions, &i));)
        session_touch(core, e->value);
}
int64_t core_end_owner(struct core *core, struct slice path, int64_t wall_ms)
{
    const struct znode *z = tree_get(&core->tree, path);
    struct session *s = z && z->n.owner ? map_get(&core->sessions, MAP_KEY(z->n.owner)) : NULL;
    if (!s)
        return 0;
    int64_t id = s->id;
    core->wall_ms = wall_ms;
    session_end(core, s);
    return id;
}
struct core_numbers core_numbers(const struct core *core)
{
    return (struct core_numbers){.zxid = core->zxid,
                                 .znodes = core->tree.nodes.count,
                                 .ephemerals = tree_ephemerals_count(&core->tree),
                                 .bytes = core->tree.bytes,
                                 .watches = core->watches.count,
                                 .sessions = core->sessions.count};
}
