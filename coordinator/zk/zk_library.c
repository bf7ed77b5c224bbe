/* The only file that calls libzookeeper_mt for operations. Its callbacks run on the library's
 * threads: they copy what they are given, post it to the owner, and return. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/base/clock.h"
#include "broker/base/trace.h"
#include "coordinator/zk/zk_session_internal.h"

#define SPEAKS_EVERY_MS 10000 /* warnings of the library, while it repeats itself */

#define CREATED_PATH_SIZE (ZK_PATH_MAX + 16) /* with the sequence number and NUL */

/* ---- Answers ---- */

static enum err error_of(int rc)
{
    switch (rc) {
    case ZOK:
        return ERR_OK;
    case ZNONODE:
        return ERR_NOT_FOUND;
    case ZNODEEXISTS:
        return ERR_EXISTS;
    case ZBADVERSION:
        return ERR_ZK_BAD_VERSION;
    case ZNOTEMPTY:
        return ERR_ZK_NOT_EMPTY;
    case ZSESSIONEXPIRED:
        return ERR_SESSION_EXPIRED;
    case ZRUNTIMEINCONSISTENCY:
        return ERR_CANCELLED;
    case ZBADARGUMENTS:
    case ZMARSHALLINGERROR:
    case ZNOCHILDRENFOREPHEMERALS:
    case ZINVALIDACL:
        return ERR_MALFORMED;
    case ZNOAUTH:
    case ZAUTHFAILED:
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZCLOSING:
        return ERR_ZK_UNAVAILABLE;
    default:
        return ERR_UNKNOWN_SERVER_ERROR;
    }
}

static struct zk_stat stat_of(const struct Stat *stat)
{
    return (struct zk_stat){
        .czxid = stat->czxid,
        .mzxid = stat->mzxid,
        .pzxid = stat->pzxid,
        .ctime_ms = stat->ctime,
        .mtime_ms = stat->mtime,
        .zk_version = stat->version,
        .children_version = stat->cversion,
        .acl_version = stat->aversion,
        .ephemeral_owner = stat->ephemeralOwner,
        .data_size = stat->dataLength,
        .children_count = stat->numChildren,
    };
}

static struct slice copy(const void *data, size_t size)
{
    uint8_t *bytes = mem_alloc(size + 1);
    if (size)
        memcpy(bytes, data, size);
    return slice_of(bytes, size);
}

static struct slice relative_path(const struct zk_session *session, const char *path)
{
    size_t head = strlen(session->chroot);
    if (head && strncmp(path, session->chroot, head) == 0)
        path = path[head] ? path + head : "/";
    return copy(path, strlen(path));
}

/* Begin an answer: the request, locked, and its first result, or NULL if nobody waits for it. */
static struct zk_result *answer_begin(struct zk_request *request, int rc)
{
    pthread_mutex_lock(&request->view->session->mutex);
    if (!request->message)
        return NULL;
    struct zk_result *result = &request->message->results[0];
    result->error = error_of(rc);
    return result;
}

static void heard(struct zk_handle *handle)
{
    if (--handle->sent_count == 0 && handle->dead)
        pthread_cond_broadcast(&handle->session->changed); /* it waits to be closed */
}

static void answer_end(struct zk_request *request)
{
    struct zk_session *session = request->view->session;
    list_remove(&request->sent_node);
    heard(request->handle);
    zk_request_answered(request);
    pthread_mutex_unlock(&session->mutex);
}

static void void_done(int rc, const void *context)
{
    struct zk_request *request = (void *)context;
    answer_begin(request, rc);
    answer_end(request);
}

static void stat_done(int rc, const struct Stat *stat, const void *context)
{
    struct zk_request *request = (void *)context;
    struct zk_result *result = answer_begin(request, rc);
    if (result && rc == ZOK && stat)
        result->stat = stat_of(stat);
    answer_end(request);
}

static void data_done(int rc, const char *value, int size, const struct Stat *stat,
                      const void *context)
{
    struct zk_request *request = (void *)context;
    struct slice data = SLICE_NULL;
    if (rc == ZOK && value && size >= 0) /* before the lock, which those who submit want */
        data = copy(value, (size_t)size);
    struct zk_result *result = answer_begin(request, rc);
    if (result && rc == ZOK) {
        result->data = data;
        result->stat = stat_of(stat);
    } else {
        free((void *)data.data);
    }
    answer_end(request);
}

static void created_done(int rc, const char *path, const struct Stat *stat, const void *context)
{
    struct zk_request *request = (void *)context;
    struct zk_result *result = answer_begin(request, rc);
    if (result && rc == ZOK) {
        free((void *)result->path.data);
        result->path = relative_path(request->view->session, path);
        result->stat = stat_of(stat);
    }
    answer_end(request);
}

static void children_done(int rc, const struct String_vector *names, const struct Stat *stat,
                          const void *context)
{
    struct zk_request *request = (void *)context;
    struct zk_result *result = answer_begin(request, rc);
    if (result && rc == ZOK) {
        result->children = mem_new_array(struct slice, (size_t)names->count + 1);
        result->children_count = names->count;
        for (int32_t i = 0; i < names->count; i++)
            result->children[i] = copy(names->data[i], strlen(names->data[i]));
        result->stat = stat_of(stat);
    }
    answer_end(request);
}

/* A refused transaction: those before the culprit carry OK, those behind it RUNTIMEINCONSISTENCY.
 */
static enum err multi_error(int rc, int part)
{
    if (rc == ZOK)
        return ERR_OK;
    return part == ZOK ? ERR_CANCELLED : error_of(part);
}

static void multi_done(int rc, const void *context)
{
    struct zk_request *request = (void *)context;
    if (!answer_begin(request, rc)) {
        answer_end(request);
        return;
    }
    bool judged = false; /* by the server, operation by operation */
    for (int32_t i = 0; i < request->count; i++)
        judged = judged || request->library_results[i].err < ZAPIERROR;
    struct zk_session *session = request->view->session;
    for (int32_t i = 0; i < request->count; i++) {
        struct zk_result *result = &request->message->results[i];
        result->error =
            rc == ZOK || judged ? multi_error(rc, request->library_results[i].err) : error_of(rc);
        if (rc != ZOK)
            continue;
        if (request->ops[i].kind == ZK_OP_CREATE) {
            free((void *)result->path.data);
            result->path = relative_path(session, request->created[i]);
        } else if (request->ops[i].kind == ZK_OP_SET) {
            result->stat = stat_of(&request->stats[i]);
        }
    }
    answer_end(request);
}

/* ---- Events ---- */

static void watch_fired(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)state;
    struct zk_view *view = context;
    struct zk_handle *handle = (void *)zoo_get_context(zh);
    enum zk_event_kind event;
    if (type == ZOO_CREATED_EVENT)
        event = ZK_EVENT_CREATED;
    else if (type == ZOO_DELETED_EVENT)
        event = ZK_EVENT_DELETED;
    else if (type == ZOO_CHANGED_EVENT)
        event = ZK_EVENT_DATA;
    else if (type == ZOO_CHILD_EVENT)
        event = ZK_EVENT_CHILDREN;
    else
        return;
    pthread_mutex_lock(&handle->session->mutex);
    if (!handle->dead && list_is_linked(&view->node)) {
        zk_session_settle(view->session); /* answers that came before it are heard before it */
        struct zk_message *message = zk_message_new(view, ZK_MESSAGE_WATCH);
        message->event = event;
        message->path = (char *)relative_path(view->session, path).data;
        mailbox_post(view->mailbox, &message->node);
    }
    pthread_mutex_unlock(&handle->session->mutex);
}

static void lane_event(struct zk_handle *lane, int state)
{
    lane->is_connected = state == ZOO_CONNECTED_STATE;
    lane->dead |= state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE;
    trace_debug("zookeeper lane state=%d", state);
    pthread_cond_broadcast(&lane->session->changed);
    zk_session_pump(lane->session);
}

static void session_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)path;
    struct zk_handle *handle = context;
    struct zk_session *session = handle->session;
    if (type != ZOO_SESSION_EVENT)
        return;
    pthread_mutex_lock(&session->mutex);
    if (handle->dead) {
        pthread_mutex_unlock(&session->mutex);
        return;
    }
    if (handle->is_lane) {
        lane_event(handle, state);
    } else if (state == ZOO_CONNECTED_STATE) {
        session->session_id = zoo_client_id(zh)->client_id;
        session->agreed_timeout_ms = zoo_recv_timeout(zh);
        zk_session_move(session, ZK_CONNECTED);
    } else if (state == ZOO_EXPIRED_SESSION_STATE) {
        handle->dead = true;
        zk_session_move(session, ZK_EXPIRED);
    } else if (state == ZOO_AUTH_FAILED_STATE) {
        handle->dead = true;
        zk_session_move(session, ZK_AUTH_FAILED);
    } else if (session->state == ZK_CONNECTED) {
        zk_session_move(session, ZK_CONNECTING);
    }
    pthread_mutex_unlock(&session->mutex);
}

/* The library tries again six times a second while no server is reached, and says so each time. */
static _Atomic int64_t quiet_until_ms;
static _Atomic int32_t unsaid_count;

void zk_library_speak(void)
{
    atomic_store(&quiet_until_ms, 0);
}

static bool may_speak(void)
{
    int64_t now_ms = clock_mono_ms(&clock_system);
    if (now_ms < atomic_load(&quiet_until_ms)) {
        atomic_fetch_add(&unsaid_count, 1);
        return false;
    }
    atomic_store(&quiet_until_ms, now_ms + SPEAKS_EVERY_MS);
    return true;
}

/* "date:pid(0x…):ZOO_WARN@function@line: text" */
static void library_log(const char *line)
{
    const char *level = strstr(line, "ZOO_");
    const char *text = level ? strstr(level, ": ") : NULL;
    text = text ? text + 2 : line;
    bool is_warning =
        level && (strncmp(level, "ZOO_ERROR", 9) == 0 || strncmp(level, "ZOO_WARN", 8) == 0);
    if (is_warning && may_speak())
        trace_warn("libzookeeper: %s unsaid=%" PRId32, text, atomic_exchange(&unsaid_count, 0));
    else
        trace_debug("libzookeeper: %s", text);
}

zhandle_t *zk_library_open(struct zk_handle *handle)
{
    struct zk_session *session = handle->session;
    zoo_set_debug_level(trace_is_on(TRACE_DEBUG) ? ZOO_LOG_LEVEL_INFO : ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init2(session->hosts, session_event, session->session_timeout_ms,
                                    NULL, handle, ZOO_NO_LOG_CLIENTENV, library_log);
    /* Names are looked up when a connection is made. By default the library asks the resolver again
     * each time it waits for its socket, which took most of the time of reading 10,000 znodes. */
    if (zh)
        zoo_set_servers_resolution_delay(zh, -1);
    return zh;
}

void zk_library_authenticate(zhandle_t *zh, const struct zk_auth *auth)
{
    zoo_add_auth(zh, auth->scheme, auth->text, (int)strlen(auth->text), NULL, NULL);
}

/* ---- Sending ---- */

static const char *text(struct slice s)
{
    return (const char *)s.data;
}

static int size_or_null(struct slice data)
{
    return slice_is_null(data) ? -1 : (int)data.size;
}

static int create_mode(int32_t flags)
{
    bool ephemeral = flags & ZK_CREATE_EPHEMERAL, sequential = flags & ZK_CREATE_SEQUENTIAL;
    if (ephemeral)
        return sequential ? ZOO_EPHEMERAL_SEQUENTIAL : ZOO_EPHEMERAL;
    return sequential ? ZOO_PERSISTENT_SEQUENTIAL : ZOO_PERSISTENT;
}

static int send_one(zhandle_t *zh, struct zk_request *request)
{
    struct zk_op *op = &request->ops[0];
    watcher_fn watcher = op->watch ? watch_fired : NULL;
    switch (op->kind) {
    case ZK_OP_CREATE:
        return zoo_acreate2(zh, text(op->path), text(op->data), size_or_null(op->data),
                            &ZOO_OPEN_ACL_UNSAFE, create_mode(op->flags), created_done, request);
    case ZK_OP_DELETE:
        return zoo_adelete(zh, text(op->path), op->zk_version, void_done, request);
    case ZK_OP_SET:
        return zoo_aset(zh, text(op->path), text(op->data), size_or_null(op->data), op->zk_version,
                        stat_done, request);
    case ZK_OP_GET:
        return zoo_awget(zh, text(op->path), watcher, request->view, data_done, request);
    case ZK_OP_EXISTS:
        return zoo_awexists(zh, text(op->path), watcher, request->view, stat_done, request);
    case ZK_OP_CHILDREN:
        return zoo_awget_children2(zh, text(op->path), watcher, request->view, children_done,
                                   request);
    case ZK_OP_CHECK:
        break;
    }
    return ZBADARGUMENTS;
}

static bool prepare_part(struct zk_request *request, int32_t i)
{
    struct zk_op *op = &request->ops[i];
    zoo_op_t *part = &request->library_ops[i];
    switch (op->kind) {
    case ZK_OP_CREATE:
        request->created[i] = mem_alloc(CREATED_PATH_SIZE);
        zoo_create_op_init(part, text(op->path), text(op->data), size_or_null(op->data),
                           &ZOO_OPEN_ACL_UNSAFE, create_mode(op->flags), request->created[i],
                           CREATED_PATH_SIZE);
        return true;
    case ZK_OP_DELETE:
        zoo_delete_op_init(part, text(op->path), op->zk_version);
        return true;
    case ZK_OP_SET:
        zoo_set_op_init(part, text(op->path), text(op->data), size_or_null(op->data),
                        op->zk_version, &request->stats[i]);
        return true;
    case ZK_OP_CHECK:
        zoo_check_op_init(part, text(op->path), op->zk_version);
        return true;
    default:
        return false;
    }
}

static int send_multi(zhandle_t *zh, struct zk_request *request)
{
    if (!request->library_ops) { /* else it was prepared for a handle that could not send it */
        size_t count = (size_t)request->count;
        request->library_ops = mem_new_array(zoo_op_t, count);
        request->library_results = mem_new_array(zoo_op_result_t, count);
        request->created = mem_new_array(char *, count);
        request->stats = mem_new_array(struct Stat, count);
        for (int32_t i = 0; i < request->count; i++)
            if (!prepare_part(request, i))
                return ZBADARGUMENTS;
    }
    return zoo_amulti(zh, request->count, request->library_ops, request->library_results,
                      multi_done, request);
}

static void synced(int rc, const char *path, const void *context)
{
    (void)rc; /* lost: so are the reads behind it */
    (void)path;
    struct zk_handle *handle = (void *)context;
    pthread_mutex_lock(&handle->session->mutex);
    heard(handle);
    pthread_mutex_unlock(&handle->session->mutex);
}

bool zk_library_sync(struct zk_handle *handle)
{
    if (zoo_async(handle->zh, "/", synced, handle) != ZOK)
        return false;
    handle->sent_count++;
    return true;
}

bool zk_library_send(struct zk_request *request, enum err *ret_error)
{
    /* A single CHECK has no request of its own in ZooKeeper's protocol. */
    bool multi = request->multi || request->ops[0].kind == ZK_OP_CHECK;
    zhandle_t *zh = request->handle->zh;
    int rc = multi ? send_multi(zh, request) : send_one(zh, request);
    if (rc == ZINVALIDSTATE || rc == ZCONNECTIONLOSS)
        return false;
    *ret_error = error_of(rc);
    if (rc == ZOK) {
        list_push_back(&request->handle->sent, &request->sent_node);
        request->handle->sent_count++;
    }
    return true;
}
