/* State from bytes and back: the journal's entries applied anew, and snapshots. Both were
 * checksummed by who kept them; what is refused here is a journal that does not continue the state,
 * and what no server of ours can have written: a checksum is no proof of who did. */
#include <inttypes.h>

#include "coordinator/embedded/core_internal.h"

#define SNAPSHOT_FORMAT 1
/* Both are counted on from what a file says. Nobody counts up to half of what an int64 holds. */
#define ZXID_MAX       (INT64_MAX / 2)
#define SESSION_ID_MAX (INT64_MAX / 2)

/* ---- the journal ---- */

static void session_add(struct core *core, int64_t id, int32_t timeout_ms, const uint8_t *password)
{
    struct session *s = map_get(&core->sessions, MAP_KEY(id));
    if (!s) {
        s = mem_new(struct session);
        s->id = id;
        (void)map_put(&core->sessions, MAP_KEY(id), s);
    }
    s->timeout_ms = timeout_ms;
    memcpy(s->password, password, PASSWORD_SIZE);
    if (id >= core->next_session_id)
        core->next_session_id = id + 1;
}
static bool replay_session(struct core *core, struct jute_in *in)
{
    int64_t id = jute_long(in);
    int32_t timeout_ms = jute_int(in);
    const uint8_t *password = jute_take(in, PASSWORD_SIZE);
    if (!password || id <= 0 || id > SESSION_ID_MAX)
        return false;
    session_add(core, id, timeout_ms, password);
    return true;
}
static bool replay_session_end(struct core *core, struct jute_in *in, struct stamp stamp)
{
    int64_t id = jute_long(in);
    struct znode *z;
    while ((z = tree_first_ephemeral(&core->tree, id)))
        tree_delete(&core->tree, z, stamp);
    struct session *s = map_remove(&core->sessions, MAP_KEY(id));
    free(s);
    return s != NULL;
}
static bool replay_create(struct core *core, struct jute_in *in, struct stamp stamp)
{
    struct slice path = jute_bytes(in), data = jute_bytes(in), acl = jute_bytes(in);
    int64_t owner = jute_long(in);
    if (in->bad || !path_is_valid(path) || tree_get(&core->tree, path) || !acl_is_whole(acl))
        return false;
    const struct znode *parent = tree_get(&core->tree, path_parent(path));
    if (!parent || parent->n.owner) /* ephemerals have no children */
        return false;
    (void)tree_create(&core->tree, path, data, acl, owner, stamp);
    return true;
}
static bool replay_delete(struct core *core, struct jute_in *in, struct stamp stamp)
{
    struct znode *z = tree_get(&core->tree, jute_bytes(in));
    if (!z || !z->parent || z->children_count > 0)
        return false;
    tree_delete(&core->tree, z, stamp);
    return true;
}
static bool replay_set(struct core *core, int32_t op, struct jute_in *in, struct stamp stamp)
{
    struct slice path = jute_bytes(in), bytes = jute_bytes(in);
    struct znode *z = in->bad ? NULL : tree_get(&core->tree, path);
    if (!z || (op == OP_SET_ACL && !acl_is_whole(bytes)))
        return false;
    if (op == OP_SET_DATA)
        tree_set_data(&core->tree, z, bytes, stamp);
    else
        tree_set_acl(&core->tree, z, bytes);
    return true;
}
static bool replay_op(struct core *core, struct jute_in *in, struct stamp stamp)
{
    int32_t op = jute_int(in);
    switch (op) {
    case OP_ERROR:
        (void)jute_int(in);
        return true;
    case OP_CREATE_SESSION:
        return replay_session(core, in);
    case OP_CLOSE_SESSION:
        return replay_session_end(core, in, stamp);
    case OP_CREATE:
        return replay_create(core, in, stamp);
    case OP_DELETE:
        return replay_delete(core, in, stamp);
    case OP_SET_DATA:
    case OP_SET_ACL:
        return replay_set(core, op, in, stamp);
    default:
        return false;
    }
}
static enum err replay_entry(struct core *core, struct slice entry)
{
    struct jute_in in = jute_in_of(entry);
    struct stamp stamp = {.zxid = jute_long(&in)};
    stamp.wall_ms = jute_long(&in);
    int32_t count = jute_int(&in);
    if (!in.bad && stamp.zxid <= core->zxid)
        return ERR_OK; /* the snapshot has it already */
    if (stamp.zxid > ZXID_MAX)
        return err_note(ERR_MALFORMED, "zxid 0x%" PRIx64 " is more than was ever counted",
                        stamp.zxid);
    if (in.bad || stamp.zxid != core->zxid + 1)
        return err_note(ERR_MALFORMED,
                        "the journal goes on with zxid 0x%" PRIx64 " where 0x%" PRIx64
                        " is the next one",
                        stamp.zxid, core->zxid + 1);
    core->zxid = stamp.zxid;
    for (int32_t i = 0; i < count; i++)
        if (!replay_op(core, &in, stamp) || in.bad)
            return err_note(ERR_MALFORMED,
                            "operation %" PRId32 " of zxid 0x%" PRIx64
                            " does not fit the state before it",
                            i, stamp.zxid);
    tree_keep(&core->tree, NULL, NULL);
    return ERR_OK;
}
enum err core_replay(struct core *core, struct slice journal)
{
    struct jute_in in = jute_in_of(journal);
    while (in.at < in.end) {
        struct slice entry = jute_bytes(&in);
        if (in.bad || !entry.data)
            return err_note(ERR_MALFORMED, "an entry behind zxid 0x%" PRIx64 " is cut off",
                            core->zxid);
        enum err e = replay_entry(core, entry);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* ---- snapshots ---- */

static void put_znode(struct buf *out, const struct znode *z)
{
    jute_put_bytes(out, znode_path(z));
    jute_put_bytes(out, z->data);
    jute_put_bytes(out, z->acl);
    jute_put_long(out, z->n.czxid);
    jute_put_long(out, z->n.mzxid);
    jute_put_long(out, z->n.pzxid);
    jute_put_long(out, z->n.ctime_ms);
    jute_put_long(out, z->n.mtime_ms);
    jute_put_long(out, z->n.owner);
    jute_put_int(out, z->n.zk_version);
    jute_put_int(out, z->n.acl_version);
    jute_put_int(out, z->n.creates);
}
void core_snapshot(const struct core *core, struct buf *out)
{
    jute_put_int(out, SNAPSHOT_FORMAT);
    jute_put_long(out, core->zxid);
    jute_put_int(out, (int32_t)core->sessions.count);
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&core->sessions, &i));) {
        const struct session *s = e->value;
        jute_put_long(out, s->id);
        jute_put_int(out, s->timeout_ms);
        buf_put(out, s->password, PASSWORD_SIZE);
    }
    jute_put_int(out, (int32_t)core->tree.nodes.count);
    const struct znode *root = tree_get(&core->tree, SLICE_LITERAL("/"));
    for (const struct znode *z = root; z; z = tree_after(root, z))
        put_znode(out, z);
}
static bool restore_znode(struct core *core, struct jute_in *in)
{
    struct slice path = jute_bytes(in), data = jute_bytes(in), acl = jute_bytes(in);
    struct znode_numbers n = {.czxid = jute_long(in)};
    n.mzxid = jute_long(in);
    n.pzxid = jute_long(in);
    n.ctime_ms = jute_long(in);
    n.mtime_ms = jute_long(in);
    n.owner = jute_long(in);
    n.zk_version = jute_int(in);
    n.acl_version = jute_int(in);
    n.creates = jute_int(in);
    return !in->bad && path.data && acl_is_whole(acl) &&
           tree_restore(&core->tree, path, data, acl, &n);
}
enum err core_restore(struct core *core, struct slice snapshot)
{
    struct jute_in in = jute_in_of(snapshot);
    int32_t format = jute_int(&in);
    if (format != SNAPSHOT_FORMAT)
        return err_note(ERR_MALFORMED, "the snapshot has format %" PRId32 ", this server knows %d",
                        format, SNAPSHOT_FORMAT);
    tree_clear(&core->tree);
    core->zxid = jute_long(&in);
    if (core->zxid < 0 || core->zxid > ZXID_MAX)
        return err_note(ERR_MALFORMED, "zxid 0x%" PRIx64 " is more than was ever counted",
                        core->zxid);
    int32_t sessions = jute_int(&in);
    for (int32_t i = 0; i < sessions; i++)
        if (!replay_session(core, &in))
            return err_note(ERR_MALFORMED, "session %" PRId32 " of the snapshot cannot be read", i);
    int32_t znodes = jute_int(&in);
    for (int32_t i = 0; i < znodes; i++)
        if (!restore_znode(core, &in))
            return err_note(ERR_MALFORMED, "znode %" PRId32 " of the snapshot cannot be read", i);
    if (in.bad || in.at != in.end)
        return err_note(ERR_MALFORMED, "the snapshot does not end where it should");
    return ERR_OK;
}
