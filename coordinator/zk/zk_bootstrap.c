/* Start-up in ZooKeeper, one step after the other. Every step may be repeated, so a lost connection
 * is answered by doing it again. */
#include "coordinator/zk/zk_bootstrap.h"

#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/base/uuid.h"
#include "coordinator/zk/znode.h"

#define BOOTSTRAP_TRIES 10 /* lost connections in a row; each one waited for the next connection   \
                            */

/* ---- One operation, awaited ---- */

struct answer {
    enum err error;
    struct arena *arena; /* NULL: only the error and the stat are wanted */
    struct slice data;
    struct zk_stat stat;
    struct slice *children;
    int32_t children_count;
};

static void keep_answer(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct answer *answer = context;
    answer->error = results[0].error;
    answer->stat = results[0].stat;
    if (!answer->arena || answer->error)
        return;
    if (!slice_is_null(results[0].data))
        answer->data = arena_copy(answer->arena, results[0].data);
    answer->children_count = results[0].children_count;
    answer->children = arena_new_array(answer->arena, struct slice, results[0].children_count + 1);
    for (int32_t i = 0; i < results[0].children_count; i++)
        answer->children[i] = arena_copy(answer->arena, results[0].children[i]);
}

static enum err run(struct zk *view, const struct zk_op *op, struct answer *answer)
{
    for (int32_t i = 0; i < BOOTSTRAP_TRIES; i++) {
        zk_session_wait(view, op, 1, keep_answer, answer);
        if (answer->error != ERR_ZK_UNAVAILABLE && answer->error != ERR_SESSION_EXPIRED)
            break;
    }
    if (answer->error)
        return err_note(answer->error, "znode %.*s: %s", SLICE_ARG(op->path),
                        err_text(answer->error));
    return ERR_OK;
}

static enum err create(struct zk *view, const char *path, struct slice data)
{
    struct answer answer = {0};
    struct zk_op op = {.kind = ZK_OP_CREATE, .path = slice_str(path), .data = data};
    return run(view, &op, &answer);
}

/* The leaf first: mostly its parents are there. */
static enum err create_recursive(struct zk *view, const char *path, struct slice data)
{
    enum err e = create(view, path, data);
    if (e != ERR_NOT_FOUND)
        return e;
    OWNED_MEM char *parent = mem_strdup(path);
    char *slash = strrchr(parent, '/');
    if (slash == parent)
        return e;
    *slash = '\0';
    e = create_recursive(view, parent, SLICE_NULL);
    if (e && e != ERR_EXISTS)
        return e;
    return create(view, path, data);
}

enum err zk_bootstrap_read(struct zk *view, const char *path, struct arena *arena,
                           struct slice *ret_data, struct zk_stat *ret_stat)
{
    struct answer answer = {.arena = arena};
    struct zk_op op = {.kind = ZK_OP_GET, .path = slice_str(path)};
    enum err e = run(view, &op, &answer);
    if (e)
        return e;
    *ret_data = answer.data;
    if (ret_stat)
        *ret_stat = answer.stat;
    return ERR_OK;
}

/* ---- The steps ---- */

enum err zk_bootstrap_paths(struct zk *view)
{
    for (int znode = 0; znode < ZNODE_COUNT; znode++) {
        if (!znode_is_made_at_start(znode))
            continue;
        enum err e = create_recursive(view, znode_path(znode), SLICE_NULL);
        if (e && e != ERR_EXISTS)
            return err_wrap(e, "create the paths of Kafka");
    }
    return ERR_OK;
}

enum err zk_bootstrap_cluster_id(struct zk *view, struct arena *arena, struct slice *ret_cluster_id)
{
    const char *path = znode_path(ZNODE_CLUSTER_ID);
    struct slice data;
    enum err e = zk_bootstrap_read(view, path, arena, &data, NULL);
    if (e == ERR_NOT_FOUND) {
        char text[UUID_TEXT_SIZE];
        uuid_text(uuid_random(), text);
        e = create_recursive(view, path, znode_cluster_id_encode(arena, slice_str(text)));
        if (!e)
            trace_info("cluster created cluster_id=%s", text);
        if (!e || e == ERR_EXISTS) /* read what stands there: another may have been faster */
            e = zk_bootstrap_read(view, path, arena, &data, NULL);
    }
    if (e)
        return err_wrap(e, "find the cluster's id");
    return znode_cluster_id_decode(arena, data, ret_cluster_id);
}

enum err zk_bootstrap_broker_id(struct zk *view, int32_t reserved_broker_max_id,
                                int32_t *ret_broker_id)
{
    struct answer answer = {0};
    struct zk_op op = {.kind = ZK_OP_SET,
                       .path = slice_str(znode_path(ZNODE_BROKER_SEQID)),
                       .data = SLICE_LITERAL(""),
                       .zk_version = ZK_ANY_VERSION};
    enum err e = run(view, &op, &answer);
    if (e == ERR_NOT_FOUND) {
        e = create_recursive(view, znode_path(ZNODE_BROKER_SEQID), SLICE_NULL);
        if (!e || e == ERR_EXISTS)
            e = run(view, &op, &answer);
    }
    if (e)
        return err_wrap(e, "generate a broker id");
    if (answer.stat.zk_version > INT32_MAX - reserved_broker_max_id)
        return err_note(ERR_INVALID_CONFIG, "no broker ids are left above %" PRId32,
                        reserved_broker_max_id);
    *ret_broker_id = answer.stat.zk_version + reserved_broker_max_id;
    return ERR_OK;
}

static const struct znode_endpoint *shared_endpoint(const struct znode_broker *a,
                                                    const struct znode_broker *b)
{
    for (int32_t i = 0; i < a->endpoint_count; i++)
        for (int32_t k = 0; k < b->endpoint_count; k++)
            if (a->endpoints[i].port == b->endpoints[k].port &&
                slice_equal(a->endpoints[i].host, b->endpoints[k].host))
                return &a->endpoints[i];
    return NULL;
}

enum err zk_bootstrap_check_endpoints(struct zk *view, int32_t broker_id,
                                      const struct znode_broker *broker)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct answer answer = {.arena = arena};
    struct zk_op op = {.kind = ZK_OP_CHILDREN, .path = slice_str(znode_path(ZNODE_BROKER_IDS))};
    enum err e = run(view, &op, &answer);
    if (e)
        return e;
    for (int32_t i = 0; i < answer.children_count; i++) {
        int64_t id;
        if (!slice_to_int64(answer.children[i], &id) || id == broker_id)
            continue;
        struct slice data;
        struct znode_broker other;
        const char *path =
            znode_child_path(arena, znode_path(ZNODE_BROKER_IDS), answer.children[i]);
        e = zk_bootstrap_read(view, path, arena, &data, NULL);
        if (e == ERR_NOT_FOUND) /* it left meanwhile */
            continue;
        if (!e)
            e = znode_broker_decode(arena, data, &other);
        if (e)
            return e;
        const struct znode_endpoint *both = shared_endpoint(broker, &other);
        if (both)
            return err_note(ERR_DUPLICATE_BROKER_REGISTRATION,
                            "the advertised listener %.*s:%" PRId32
                            " is registered by broker %" PRId64 " already",
                            SLICE_ARG(both->host), both->port, id);
    }
    return ERR_OK;
}
