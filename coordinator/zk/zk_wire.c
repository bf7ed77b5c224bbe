/* The bytes of ZooKeeper's protocol, client side. */
#include "coordinator/zk/zk_wire.h"

#include "coordinator/zk/zk_watches.h"

#define WATCHES_FRAME_BYTES (64 << 10) /* well below the server's jute.maxbuffer */

enum opcode {
    OP_ERROR = -1,
    OP_CREATE = 1,
    OP_DELETE = 2,
    OP_EXISTS = 3,
    OP_GET_DATA = 4,
    OP_SET_DATA = 5,
    OP_PING = 11,
    OP_GET_CHILDREN2 = 12,
    OP_CHECK = 13,
    OP_MULTI = 14,
    OP_CREATE2 = 15,
    OP_MULTI_READ = 22,
    OP_AUTH = 100,
    OP_SET_WATCHES = 101,
    OP_CLOSE = -11
};

enum code {
    CODE_RUNTIME_INCONSISTENCY = -2,
    CODE_CONNECTION_LOSS = -4,
    CODE_MARSHALLING_ERROR = -5,
    CODE_BAD_ARGUMENTS = -8,
    CODE_API_ERROR = -100,
    CODE_NO_AUTH = -102,
    CODE_BAD_VERSION = -103,
    CODE_NO_CHILDREN_FOR_EPHEMERALS = -108,
    CODE_NODE_EXISTS = -110,
    CODE_NOT_EMPTY = -111,
    CODE_SESSION_EXPIRED = -112,
    CODE_INVALID_ACL = -114,
    CODE_AUTH_FAILED = -115,
    CODE_SESSION_MOVED = -118
};

#define EVENT_CREATED  1
#define EVENT_DELETED  2
#define EVENT_CHANGED  3
#define EVENT_CHILDREN 4

#define PERMISSIONS_ALL 31

/* ---- Frames to the server ---- */

static size_t frame_begin(struct buf *out)
{
    size_t at = out->size;
    jute_put_int(out, 0);
    return at;
}

static void frame_end(struct buf *out, size_t at)
{
    put_be32(out->data + at, (uint32_t)(out->size - at - 4));
}

static size_t request_begin(struct buf *out, int32_t xid, int32_t opcode)
{
    size_t at = frame_begin(out);
    jute_put_int(out, xid);
    jute_put_int(out, opcode);
    return at;
}

static void put_bool(struct buf *out, bool value)
{
    buf_put_u8(out, value);
}

void zk_wire_put_hello(struct buf *out, int64_t last_zxid, int32_t timeout_ms, int64_t session_id,
                       const uint8_t password[static ZK_PASSWORD_BYTES])
{
    size_t at = frame_begin(out);
    jute_put_int(out, 0); /* the protocol's version */
    jute_put_long(out, last_zxid);
    jute_put_int(out, timeout_ms);
    jute_put_long(out, session_id);
    jute_put_bytes(out, slice_of(password, ZK_PASSWORD_BYTES));
    put_bool(out, false); /* a server that may only read is of no use */
    frame_end(out, at);
}

void zk_wire_put_auth(struct buf *out, const char *scheme, const char *auth)
{
    size_t at = request_begin(out, ZK_XID_AUTH, OP_AUTH);
    jute_put_int(out, 0);
    jute_put_bytes(out, slice_str(scheme));
    jute_put_bytes(out, slice_str(auth));
    frame_end(out, at);
}

void zk_wire_put_ping(struct buf *out)
{
    frame_end(out, request_begin(out, ZK_XID_PING, OP_PING));
}

void zk_wire_put_close(struct buf *out, int32_t xid)
{
    frame_end(out, request_begin(out, xid, OP_CLOSE));
}

/* One list of SetWatches, of the paths of `entries` where one of `kinds` stands. */
static void put_watch_list(struct buf *out, struct map_entry *const *entries, size_t count,
                           int kind)
{
    size_t at = out->size;
    int32_t put = 0;
    jute_put_int(out, 0);
    for (size_t i = 0; i < count; i++) {
        if (!(zk_watches_kinds(entries[i]) & kind))
            continue;
        jute_put_bytes(out, map_entry_key(entries[i]));
        put++;
    }
    put_be32(out->data + at, (uint32_t)put);
}

static void put_watches_frame(struct buf *out, struct map_entry *const *entries, size_t count,
                              int64_t last_zxid)
{
    if (count == 0)
        return;
    size_t at = request_begin(out, ZK_XID_SET_WATCHES, OP_SET_WATCHES);
    jute_put_long(out, last_zxid);
    put_watch_list(out, entries, count, ZK_WATCH_DATA);
    put_watch_list(out, entries, count, ZK_WATCH_EXIST);
    put_watch_list(out, entries, count, ZK_WATCH_CHILDREN);
    frame_end(out, at);
}

void zk_wire_put_watches(struct buf *out, const struct map *watches, int64_t last_zxid)
{
    OWNED_MEM struct map_entry **entries = mem_new_array(struct map_entry *, watches->count + 1);
    struct map_entry *entry;
    size_t count = 0, bytes = 0;
    for (size_t at = 0; (entry = map_next(watches, &at));) {
        entries[count++] = entry;
        bytes += entry->key_size + 4;
        if (bytes < WATCHES_FRAME_BYTES)
            continue;
        put_watches_frame(out, entries, count, last_zxid);
        count = bytes = 0;
    }
    put_watches_frame(out, entries, count, last_zxid);
}

static void put_part_header(struct buf *out, int32_t opcode)
{
    jute_put_int(out, opcode);
    put_bool(out, false);
    jute_put_int(out, -1);
}

static void put_parts_end(struct buf *out)
{
    jute_put_int(out, -1);
    put_bool(out, true);
    jute_put_int(out, -1);
}

void zk_wire_put_probe(struct buf *out, int32_t xid)
{
    size_t at = request_begin(out, xid, OP_MULTI_READ);
    put_part_header(out, OP_GET_DATA);
    jute_put_bytes(out, SLICE_LITERAL("/"));
    put_bool(out, false);
    put_parts_end(out);
    frame_end(out, at);
}

static int32_t opcode_of(const struct zk_op *op, bool in_multi)
{
    switch (op->kind) {
    case ZK_OP_CREATE:
        return in_multi ? OP_CREATE : OP_CREATE2; /* whose answer has the znode's numbers, too */
    case ZK_OP_DELETE:
        return OP_DELETE;
    case ZK_OP_SET:
        return OP_SET_DATA;
    case ZK_OP_CHECK:
        return OP_CHECK;
    case ZK_OP_GET:
        return OP_GET_DATA;
    case ZK_OP_EXISTS:
        return OP_EXISTS;
    case ZK_OP_CHILDREN:
        return OP_GET_CHILDREN2;
    }
    return OP_ERROR;
}

/* Everybody may do everything. */
static void put_open_acl(struct buf *out)
{
    jute_put_int(out, 1);
    jute_put_int(out, PERMISSIONS_ALL);
    jute_put_bytes(out, SLICE_LITERAL("world"));
    jute_put_bytes(out, SLICE_LITERAL("anyone"));
}

static void put_op(struct buf *out, const struct zk_op *op)
{
    jute_put_bytes(out, op->path);
    switch (op->kind) {
    case ZK_OP_CREATE:
        jute_put_bytes(out, op->data);
        put_open_acl(out);
        jute_put_int(out, op->flags);
        break;
    case ZK_OP_SET:
        jute_put_bytes(out, op->data);
        jute_put_int(out, op->zk_version);
        break;
    case ZK_OP_DELETE:
    case ZK_OP_CHECK:
        jute_put_int(out, op->zk_version);
        break;
    case ZK_OP_GET:
    case ZK_OP_EXISTS:
    case ZK_OP_CHILDREN:
        put_bool(out, op->watch);
        break;
    }
}

/* A single CHECK has no request of its own in ZooKeeper's protocol. */
static bool travels_as_multi(const struct zk_request *request)
{
    return request->multi || request->ops[0].kind == ZK_OP_CHECK;
}

static void put_parts(struct buf *out, const struct zk_request *request)
{
    for (int32_t i = 0; i < request->count; i++) {
        put_part_header(out, opcode_of(&request->ops[i], true));
        put_op(out, &request->ops[i]);
    }
}

void zk_wire_put_request(struct buf *out, int32_t xid, const struct zk_request *request)
{
    bool is_multi = travels_as_multi(request);
    size_t at = request_begin(out, xid, is_multi ? OP_MULTI : opcode_of(&request->ops[0], false));
    if (is_multi) {
        put_parts(out, request);
        put_parts_end(out);
    } else {
        put_op(out, &request->ops[0]);
    }
    frame_end(out, at);
}

bool zk_wire_is_plain_read(const struct zk_request *request)
{
    return !request->multi && !request->ready && request->ops[0].kind == ZK_OP_GET &&
           !request->ops[0].watch;
}

void zk_wire_put_reads(struct buf *out, int32_t xid, struct list_node *first, int32_t count)
{
    size_t at = request_begin(out, xid, OP_MULTI_READ);
    struct list_node *node = first;
    for (int32_t i = 0; i < count; i++, node = node->next) {
        struct zk_request *request = list_entry(node, struct zk_request, node);
        request->xid = xid;
        put_parts(out, request);
    }
    put_parts_end(out);
    frame_end(out, at);
}

/* ---- Frames from the server ---- */

static enum err error_of(int32_t code)
{
    switch (code) {
    case 0:
        return ERR_OK;
    case ZK_CODE_NO_NODE:
        return ERR_NOT_FOUND;
    case CODE_NODE_EXISTS:
        return ERR_EXISTS;
    case CODE_BAD_VERSION:
        return ERR_ZK_BAD_VERSION;
    case CODE_NOT_EMPTY:
        return ERR_ZK_NOT_EMPTY;
    case CODE_SESSION_EXPIRED:
        return ERR_SESSION_EXPIRED;
    case CODE_RUNTIME_INCONSISTENCY:
        return ERR_CANCELLED;
    case CODE_BAD_ARGUMENTS:
    case CODE_MARSHALLING_ERROR:
    case CODE_NO_CHILDREN_FOR_EPHEMERALS:
    case CODE_INVALID_ACL:
        return ERR_MALFORMED;
    case CODE_NO_AUTH:
    case CODE_AUTH_FAILED:
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    case CODE_CONNECTION_LOSS:
    case CODE_SESSION_MOVED:
        return ERR_ZK_UNAVAILABLE;
    default:
        return ERR_UNKNOWN_SERVER_ERROR;
    }
}

bool zk_wire_get_greeting(struct slice frame, struct zk_greeting *ret)
{
    struct jute_in in = jute_in_of(frame);
    struct zk_greeting greeting = {0};
    (void)jute_int(&in);
    greeting.timeout_ms = jute_int(&in);
    greeting.session_id = jute_long(&in);
    struct slice password = jute_bytes(&in);
    if (in.bad || password.size > ZK_PASSWORD_BYTES)
        return false;
    if (password.size)
        memcpy(greeting.password, password.data, password.size);
    *ret = greeting;
    return true;
}

struct zk_answer zk_wire_get_header(struct jute_in *in)
{
    struct zk_answer answer;
    answer.xid = jute_int(in);
    answer.zxid = jute_long(in);
    answer.code = jute_int(in);
    return answer;
}

static struct slice copy(struct slice s)
{
    if (slice_is_null(s))
        return s;
    uint8_t *bytes = mem_alloc(s.size + 1);
    if (s.size)
        memcpy(bytes, s.data, s.size);
    return slice_of(bytes, s.size);
}

static struct zk_stat get_stat(struct jute_in *in)
{
    struct zk_stat stat;
    stat.czxid = jute_long(in);
    stat.mzxid = jute_long(in);
    stat.ctime_ms = jute_long(in);
    stat.mtime_ms = jute_long(in);
    stat.zk_version = jute_int(in);
    stat.children_version = jute_int(in);
    stat.acl_version = jute_int(in);
    stat.ephemeral_owner = jute_long(in);
    stat.data_size = jute_int(in);
    stat.children_count = jute_int(in);
    stat.pzxid = jute_long(in);
    return stat;
}

static void get_created_path(struct jute_in *in, struct zk_request *request,
                             struct zk_result *result)
{
    struct slice path = jute_bytes(in);
    if (in->bad || slice_is_null(path))
        return;
    free((void *)result->path.data);
    result->path = zk_relative_path(request->view->session, path);
}

static void get_children(struct jute_in *in, struct zk_result *result)
{
    int32_t count = jute_int(in);
    if (count < 0 || count > (in->end - in->at) / 4) { /* each name has a length of four bytes */
        in->bad = in->bad || count != -1;
        count = 0;
    }
    result->children = mem_new_array(struct slice, (size_t)count + 1);
    for (int32_t i = 0; i < count && !in->bad; i++)
        result->children[result->children_count++] = copy(jute_bytes(in));
}

/* The body of a success, by its operation. */
static void get_success(struct jute_in *in, int32_t opcode, struct zk_request *request,
                        struct zk_result *result)
{
    switch (opcode) {
    case OP_CREATE2:
        get_created_path(in, request, result);
        result->stat = get_stat(in);
        break;
    case OP_CREATE:
        get_created_path(in, request, result);
        break;
    case OP_SET_DATA:
    case OP_EXISTS:
        result->stat = get_stat(in);
        break;
    case OP_GET_DATA:
        result->data = copy(jute_bytes(in));
        result->stat = get_stat(in);
        break;
    case OP_GET_CHILDREN2:
        get_children(in, result);
        result->stat = get_stat(in);
        break;
    default: /* DELETE and CHECK have none */
        break;
    }
}

/* A part of a multi or of a multi-read. ret_code: what the server said of it. */
static void get_part(struct jute_in *in, struct zk_request *request, int32_t i, int32_t *ret_code)
{
    int32_t type = jute_int(in);
    bool is_end = jute_bool(in);
    (void)jute_int(in);
    int32_t opcode = opcode_of(&request->ops[i], true);
    struct zk_result *result = &request->message->results[i];
    *ret_code = 0;
    if (is_end || (type != OP_ERROR && type != opcode))
        in->bad = true;
    else if (type == OP_ERROR)
        *ret_code = jute_int(in);
    else
        get_success(in, opcode, request, result);
}

/* A refused transaction: those before the culprit carry 0, those behind it RUNTIMEINCONSISTENCY. */
static enum err multi_error(bool is_refused, int32_t code)
{
    return is_refused && code == 0 ? ERR_CANCELLED : error_of(code);
}

static void get_multi(struct jute_in *in, struct zk_request *request)
{
    OWNED_MEM int32_t *codes = mem_new_array(int32_t, request->count);
    bool is_refused = false;
    for (int32_t i = 0; i < request->count && !in->bad; i++) {
        get_part(in, request, i, &codes[i]);
        is_refused = is_refused || codes[i];
    }
    for (int32_t i = 0; i < request->count; i++)
        request->message->results[i].error = multi_error(is_refused, codes[i]);
}

void zk_wire_get_answer(struct jute_in *in, int32_t code, struct zk_request *request)
{
    if (!request->message)
        return;
    if (code) {
        zk_message_fail(request->message, error_of(code));
        return;
    }
    if (travels_as_multi(request))
        get_multi(in, request);
    else
        get_success(in, opcode_of(&request->ops[0], false), request, &request->message->results[0]);
}

/* Where nobody waits the part is read all the same: others follow it. */
void zk_wire_get_read(struct jute_in *in, struct zk_request *request)
{
    if (request->message) {
        int32_t code;
        get_part(in, request, 0, &code);
        request->message->results[0].error = error_of(code);
        return;
    }
    int32_t type = jute_int(in);
    bool is_end = jute_bool(in);
    (void)jute_int(in);
    if (is_end || (type != OP_ERROR && type != OP_GET_DATA)) {
        in->bad = true;
    } else if (type == OP_ERROR) {
        (void)jute_int(in);
    } else {
        (void)jute_bytes(in);
        (void)get_stat(in);
    }
}

bool zk_wire_get_event(struct jute_in *in, enum zk_event_kind *ret_kind, int *ret_kinds,
                       struct slice *ret_path)
{
    int32_t type = jute_int(in);
    (void)jute_int(in); /* the state, which is always "connected" */
    *ret_path = jute_bytes(in);
    *ret_kinds = ZK_WATCH_DATA | ZK_WATCH_EXIST;
    if (in->bad)
        return false;
    switch (type) {
    case EVENT_CREATED:
        *ret_kind = ZK_EVENT_CREATED;
        return true;
    case EVENT_CHANGED:
        *ret_kind = ZK_EVENT_DATA;
        return true;
    case EVENT_DELETED:
        *ret_kind = ZK_EVENT_DELETED;
        *ret_kinds |= ZK_WATCH_CHILDREN;
        return true;
    case EVENT_CHILDREN:
        *ret_kind = ZK_EVENT_CHILDREN;
        *ret_kinds = ZK_WATCH_CHILDREN;
        return true;
    default: /* of a kind that nobody here has asked for */
        *ret_kind = ZK_EVENT_DATA;
        *ret_kinds = 0;
        return true;
    }
}

int zk_wire_watch_of(const struct zk_op *op, int32_t code)
{
    if (!op->watch)
        return 0;
    if (op->kind == ZK_OP_EXISTS && code == ZK_CODE_NO_NODE)
        return ZK_WATCH_EXIST;
    if (code)
        return 0;
    return op->kind == ZK_OP_CHILDREN ? ZK_WATCH_CHILDREN : ZK_WATCH_DATA;
}
