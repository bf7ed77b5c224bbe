/* Waves of ZooKeeper operations: submission, results, retries and the guard. */
#include "coordinator/controller/wave.h"

#include "coordinator/controller/controller_internal.h"

#define PARTS_MAX       2
#define GROUP_MAX       64          /* sets that share a transaction and its check */
#define GROUP_BYTES_MAX (128 << 10) /* of their data: a server takes requests of 1 MiB */

struct wave_op {
    struct wave *wave;
    struct zk_op ops[PARTS_MAX];
    int32_t count; /* 1: an ordinary operation unless is_multi */
    bool is_multi, is_guarded, is_lost;
    struct wave_result results[PARTS_MAX];
};

struct wave {
    struct controller *controller;
    struct arena *arena;
    struct wave_op *ops;
    size_t count, capacity;
    size_t sent, outstanding, lost;
};

struct wave *wave_new(struct controller *controller)
{
    struct wave *wave = mem_new(struct wave);
    wave->controller = controller;
    wave->arena = arena_new();
    return wave;
}

void wave_free(struct wave *wave)
{
    if (!wave)
        return;
    assert(wave->outstanding == 0);
    arena_free(wave->arena);
    free(wave->ops);
    free(wave);
}

struct arena *wave_arena(struct wave *wave)
{
    return wave->arena;
}

static struct slice keep(struct wave *wave, struct slice s)
{
    return slice_is_null(s) ? s : arena_copy(wave->arena, s);
}

static struct wave_op *add(struct wave *wave)
{
    assert(wave->outstanding == 0);
    wave->ops = mem_grow(wave->ops, &wave->capacity, wave->count + 1, sizeof *wave->ops);
    struct wave_op *op = &wave->ops[wave->count++];
    *op = (struct wave_op){.wave = wave};
    return op;
}

static size_t add_one(struct wave *wave, enum zk_op_kind kind, const char *path, struct slice data,
                      int32_t zk_version, bool watch)
{
    struct wave_op *op = add(wave);
    op->count = 1;
    op->ops[0] = (struct zk_op){.kind = kind,
                                .path = keep(wave, slice_str(path)),
                                .data = keep(wave, data),
                                .zk_version = zk_version,
                                .watch = watch};
    return wave->count - 1;
}

size_t wave_get(struct wave *wave, const char *path, bool watch)
{
    return add_one(wave, ZK_OP_GET, path, SLICE_NULL, 0, watch);
}

size_t wave_get_anywhere(struct wave *wave, const char *path)
{
    size_t index = wave_get(wave, path, false);
    wave->ops[index].ops[0].anywhere = true;
    return index;
}

size_t wave_exists(struct wave *wave, const char *path, bool watch)
{
    return add_one(wave, ZK_OP_EXISTS, path, SLICE_NULL, 0, watch);
}

size_t wave_children(struct wave *wave, const char *path, bool watch)
{
    return add_one(wave, ZK_OP_CHILDREN, path, SLICE_NULL, 0, watch);
}

size_t wave_create(struct wave *wave, const char *path, struct slice data)
{
    return add_one(wave, ZK_OP_CREATE, path, data, 0, false);
}

size_t wave_set(struct wave *wave, const char *path, struct slice data, int32_t zk_version)
{
    return add_one(wave, ZK_OP_SET, path, data, zk_version, false);
}

size_t wave_multi(struct wave *wave, const struct zk_op *ops, int32_t count)
{
    assert(count <= PARTS_MAX);
    struct wave_op *op = add(wave);
    op->is_multi = true;
    op->count = count;
    for (int32_t i = 0; i < count; i++) {
        op->ops[i] = ops[i];
        op->ops[i].path = keep(wave, ops[i].path);
        op->ops[i].data = keep(wave, ops[i].data);
    }
    return wave->count - 1;
}

static size_t guarded(struct wave *wave, struct zk_op second)
{
    struct zk_op ops[] = {
        {.kind = ZK_OP_CHECK,
         .path = SLICE_LITERAL("/controller_epoch"),
         .zk_version = wave->controller->epoch_zk_version},
        second,
    };
    size_t index = wave_multi(wave, ops, 2);
    wave->ops[index].is_guarded = true;
    return index;
}

size_t wave_guarded_create(struct wave *wave, const char *path, struct slice data)
{
    return guarded(wave,
                   (struct zk_op){.kind = ZK_OP_CREATE, .path = slice_str(path), .data = data});
}

size_t wave_guarded_set(struct wave *wave, const char *path, struct slice data, int32_t zk_version)
{
    return guarded(wave, (struct zk_op){.kind = ZK_OP_SET,
                                        .path = slice_str(path),
                                        .data = data,
                                        .zk_version = zk_version});
}

size_t wave_guarded_delete(struct wave *wave, const char *path)
{
    return guarded(wave, (struct zk_op){.kind = ZK_OP_DELETE,
                                        .path = slice_str(path),
                                        .zk_version = ZK_ANY_VERSION});
}

/* ---- Running ---- */

static void keep_result(struct wave *wave, struct wave_result *to, const struct zk_result *from)
{
    to->error = from->error;
    to->stat = from->stat;
    to->data = keep(wave, from->data);
    to->children_count = from->children_count;
    to->children = NULL;
    if (from->children_count <= 0)
        return;
    to->children = arena_new_array(wave->arena, struct slice, from->children_count);
    for (int32_t i = 0; i < from->children_count; i++)
        to->children[i] = keep(wave, from->children[i]);
}

static void operation_done(void *context, const struct zk_result *results, int32_t count)
{
    struct wave_op *op = context;
    struct wave *wave = op->wave;
    for (int32_t i = 0; i < op->count && i < count; i++) {
        keep_result(wave, &op->results[i], &results[i]);
        if (results[i].error == ERR_ZK_UNAVAILABLE)
            op->is_lost = true;
    }
    if (op->is_lost)
        wave->lost++;
    if (--wave->outstanding == 0)
        controller_wake(wave->controller, wave);
}

static void submit(struct wave *wave, struct wave_op *op)
{
    op->is_lost = false;
    if (op->is_multi)
        zk_multi(wave->controller->zk, op->ops, op->count, operation_done, op);
    else
        zk_submit(wave->controller->zk, &op->ops[0], operation_done, op);
}

/* ---- Sets that travel together ----
 *
 * What one request costs a server and this process is mostly the same whatever it carries, and an
 * election writes thousands of small states. So guarded sets that follow each other share one
 * transaction and its check. Where the transaction is refused for one of them, each is sent by
 * itself and gets its own answer. */

struct group {
    struct wave *wave;
    size_t first;
    int32_t count;
};

static bool may_share(const struct wave_op *op)
{
    return op->is_guarded && op->ops[1].kind == ZK_OP_SET && op->ops[1].data.size < GROUP_BYTES_MAX;
}

static bool is_refused_for_one(const struct zk_result *results, int32_t count)
{
    if (results[0].error && results[0].error != ERR_CANCELLED)
        return false; /* the guard failed, or nothing was answered: that is of all */
    for (int32_t i = 0; i < count; i++)
        if (results[i].error)
            return true;
    return false;
}

static void group_done(void *context, const struct zk_result *results, int32_t count)
{
    struct group group = *(struct group *)context; /* it goes with the wave at its last answer */
    struct wave_op *ops = &group.wave->ops[group.first];
    bool is_refused = is_refused_for_one(results, count);
    for (int32_t i = 0; i < group.count; i++) {
        const struct zk_result own[] = {results[0], results[1 + i]};
        if (is_refused)
            submit(group.wave, &ops[i]);
        else
            operation_done(&ops[i], own, 2);
    }
}

/* Sends the operation `first`, and those behind it that may go with it. Gives the next to send. */
static size_t submit_with_next(struct wave *wave, size_t first)
{
    struct zk_op parts[GROUP_MAX + 1];
    size_t bytes = 0, end = first;
    while (end < wave->count && end - first < GROUP_MAX && may_share(&wave->ops[end]) &&
           (bytes += wave->ops[end].ops[1].data.size) < GROUP_BYTES_MAX) {
        parts[0] = wave->ops[end].ops[0];
        parts[1 + end - first] = wave->ops[end].ops[1];
        end++;
    }
    if (end - first < 2) {
        submit(wave, &wave->ops[first]);
        return first + 1;
    }
    struct group *group = arena_new_array(wave->arena, struct group, 1);
    *group = (struct group){wave, first, (int32_t)(end - first)};
    zk_multi(wave->controller->zk, parts, group->count + 1, group_done, group);
    return end;
}

static void submit_again(struct wave *wave)
{
    wave->outstanding = wave->lost;
    size_t again = wave->lost;
    wave->lost = 0;
    for (size_t i = 0; i < wave->count && again > 0; i++) {
        if (wave->ops[i].is_lost) {
            again--;
            submit(wave, &wave->ops[i]);
        }
    }
}

/* What the results together mean for the event. */
static enum err judge(const struct wave *wave, size_t from)
{
    for (size_t i = from; i < wave->count; i++) {
        const struct wave_op *op = &wave->ops[i];
        for (int32_t part = 0; part < op->count; part++) {
            if (op->results[part].error == ERR_SESSION_EXPIRED)
                return err_note(ERR_SESSION_EXPIRED, "the ZooKeeper session has expired");
        }
        if (op->is_guarded &&
            (op->results[0].error == ERR_ZK_BAD_VERSION || op->results[0].error == ERR_NOT_FOUND))
            return err_note(ERR_CONTROLLER_FENCED,
                            "/controller_epoch is no longer at version %d: write of %.*s refused",
                            wave->controller->epoch_zk_version, SLICE_ARG(op->ops[1].path));
    }
    return ERR_OK;
}

static enum err may_go_on(const struct controller *controller)
{
    if (controller->closing)
        return ERR_CANCELLED;
    if (controller->session_lost)
        return err_note(ERR_SESSION_EXPIRED, "the ZooKeeper session has expired");
    return ERR_OK;
}

enum err wave_run(struct wave *wave)
{
    struct controller *controller = wave->controller;
    size_t from = wave->sent;
    wave->sent = wave->count;
    enum err e = may_go_on(controller);
    if (e)
        return e;
    if (from == wave->count)
        return ERR_OK;
    wave->outstanding = wave->count - from;
    for (size_t i = from; i < wave->count;)
        i = submit_with_next(wave, i);
    for (;;) {
        while (wave->outstanding > 0 && !controller->closing)
            controller_wait(controller, wave);
        if (controller->closing) { /* the view is silent by contract: no result comes any more */
            wave->outstanding = 0;
            return ERR_CANCELLED;
        }
        if (wave->lost == 0)
            return judge(wave, from);
        e = may_go_on(controller);
        if (e)
            return e;
        if (controller->zk_state == ZK_CONNECTING)
            controller_wait_connected(controller, wave);
        if (!controller->closing && !controller->session_lost)
            submit_again(wave);
    }
}

const struct wave_result *wave_result_part(const struct wave *wave, size_t index, int32_t part)
{
    assert(index < wave->sent);
    assert(part < wave->ops[index].count);
    return &wave->ops[index].results[part];
}

const struct wave_result *wave_result(const struct wave *wave, size_t index)
{
    assert(index < wave->sent);
    const struct wave_op *op = &wave->ops[index];
    if (op->is_guarded)
        return &op->results[1];
    for (int32_t part = 0; part < op->count; part++) {
        if (op->results[part].error && op->results[part].error != ERR_CANCELLED)
            return &op->results[part];
    }
    return &op->results[0];
}
