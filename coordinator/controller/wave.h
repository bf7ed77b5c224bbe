/* A wave: many ZooKeeper operations that leave together and are awaited together. The controller's
 * fiber adds what it wants to know or write, runs the wave, and reads the results. Lost connections
 * are ridden out: what got no answer is sent again (so a write may meet its own effect; those who
 * write expect that).
 *
 * Guarded writes travel as a transaction with a check of /controller_epoch's data version: once
 * another controller has been elected none of them can succeed. */
#pragma once

#include "coordinator/controller/controller.h"

struct wave;

struct wave_result {
    enum err error; /* of zk.h, the guard's failure excepted: that is the wave's */
    struct slice data;
    struct zk_stat stat;
    struct slice *children;
    int32_t children_count;
};

/* The bytes of results, and those given, live until the wave is freed. */
struct wave *wave_new(struct controller *controller);
void wave_free(struct wave *wave);
DEFINE_OWNED(wave)
struct arena *wave_arena(struct wave *wave);

/* Each gives the operation's index in the wave. */
size_t wave_get(struct wave *wave, const char *path, bool watch);
size_t wave_get_anywhere(struct wave *wave, const char *path); /* one of many: zk_op.anywhere */
size_t wave_exists(struct wave *wave, const char *path, bool watch);
size_t wave_children(struct wave *wave, const char *path, bool watch);
size_t wave_create(struct wave *wave, const char *path, struct slice data);
size_t wave_set(struct wave *wave, const char *path, struct slice data, int32_t zk_version);
size_t wave_multi(struct wave *wave, const struct zk_op *ops, int32_t count);
size_t wave_guarded_create(struct wave *wave, const char *path, struct slice data);
size_t wave_guarded_set(struct wave *wave, const char *path, struct slice data, int32_t zk_version);
size_t wave_guarded_delete(struct wave *wave, const char *path);

/* Send what was added since the last run and wait for all of it. Fiber only.
 * Errors: ERR_CONTROLLER_FENCED, a guard failed (others of the wave may have succeeded);
 *         ERR_SESSION_EXPIRED, also at once if the session is known to be gone;
 *         ERR_CANCELLED, the controller is being freed. After any error the event must end. */
MUST_USE enum err wave_run(struct wave *wave);

/* Of a multi: of the first operation that failed by itself, or of operation `part`. */
const struct wave_result *wave_result(const struct wave *wave, size_t index);
const struct wave_result *wave_result_part(const struct wave *wave, size_t index, int32_t part);
