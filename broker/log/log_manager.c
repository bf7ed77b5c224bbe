/* See log_manager.h. Opening and recovery are in log_manager_load.c, periodic work in
 * log_manager_tasks.c. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "broker/base/trace.h"
#include "broker/log/disk_watch.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_manager_internal.h"
#include "broker/log/segment.h"
#include "broker/log/text_file.h"

/* At a stop: more logs than that with something to sync are synced together. */
#define SYNC_ONE_BY_ONE_MAX 32
#define PROGRESS_EVERY_MS   5000
/* Of threads that sync for producers. From 8 to 32 the acknowledgements of 64 logs rise from 16,000
 * to 42,000 a second on one disk; more of them gain nothing. */
#define SYNCERS_MAX 32

/* --- what logs ask of their manager --- */

void log_manager_dir_failed(void *context, struct log_dir *dir, const char *sentence)
{
    struct log_manager *manager = context;
    if (!atomic_exchange(&dir->is_online, false))
        return; /* told already */
    trace_error("log directory failed dir=%s error=\"%s\"", dir->path, sentence);
    size_t count;
    struct log **logs = log_manager_snapshot(manager, &count);
    for (size_t i = 0; i < count; i++)
        if (logs[i]->dir == dir)
            atomic_store(&logs[i]->is_offline, true);
    free(logs);
    if (manager->options.dir_failed)
        manager->options.dir_failed(manager->options.context, dir);
}

struct log_work {
    void (*work)(struct log *log);
    struct log *log;
};

static void run_log_work(void *context)
{
    struct log_work *work = context;
    work->work(work->log);
    free(work);
}

static void run_on_worker(void *context, void (*work)(struct log *log), struct log *log)
{
    struct log_manager *manager = context;
    struct log_work *item = mem_new(struct log_work);
    *item = (struct log_work){.work = work, .log = log};
    log_manager_run(manager, run_log_work, item);
}

static struct log_workers *syncers(struct log_manager *manager)
{
    struct log_workers *found = atomic_load(&manager->syncers);
    if (found)
        return found;
    pthread_mutex_lock(&manager->syncers_mutex);
    if (!atomic_load(&manager->syncers))
        atomic_store(&manager->syncers, log_workers_start(SYNCERS_MAX));
    found = atomic_load(&manager->syncers);
    pthread_mutex_unlock(&manager->syncers_mutex);
    return found;
}

static void run_sync(void *context, void (*work)(struct log *log), struct log *log)
{
    struct log_manager *manager = context;
    struct log_work *item = mem_new(struct log_work);
    *item = (struct log_work){.work = work, .log = log};
    if (manager->workers)
        log_workers_run(syncers(manager), run_log_work, item);
    else
        run_log_work(item);
}

static enum err recovery_point_falls(void *context, struct log_dir *dir)
{
    return log_manager_checkpoint_recovery_points(context, dir);
}

static void small_files_due(void *context)
{
    struct log_manager *manager = context;
    atomic_store(&manager->small_files_due, true);
}

/* --- birth and death --- */

static void copy_options(struct log_manager *manager, const struct log_manager_options *options)
{
    manager->options = *options;
    manager->options.dirs = NULL; /* the directories have their paths */
    manager->host = (struct log_host){
        .files = manager->files,
        .clock = options->clock,
        .producer_id_expiration_ms = options->producer_id_expiration_ms,
        .writeback_bytes = options->writeback_bytes,
        .context = manager,
        .run = run_on_worker,
        .run_sync = run_sync,
        .remove_later = log_manager_remove_later,
        .failed = log_manager_dir_failed,
        .recovery_point_falls = recovery_point_falls,
        .small_files_due = small_files_due,
    };
}

/* A directory that cannot be used is offline; one that another broker holds, or that is not ours,
 * stops us. */
static enum err open_dirs(struct log_manager *manager, const struct log_manager_options *options)
{
    int online = 0;
    for (int i = 0; i < options->dirs_count; i++) {
        struct log_dir *dir = &manager->dirs[i];
        enum err e = log_dir_open(options->dirs[i], dir);
        manager->dirs_count++;
        if (e == ERR_IO || e == ERR_NO_SPACE)
            trace_error("log directory is offline dir=%s error=\"%s\"", dir->path, err_sentence(e));
        else if (e)
            return e;
        else
            online++;
    }
    return online > 0 ? ERR_OK
                      : err_note(ERR_IO, "none of the %d log directories can be used",
                                 options->dirs_count);
}

static enum err merge_identity(struct log_manager *manager)
{
    for (int i = 0; i < manager->dirs_count; i++) {
        const struct meta_properties *meta = &manager->dirs[i].meta;
        const char *path = manager->dirs[i].path;
        if (meta->broker_id >= 0 && manager->broker_id >= 0 &&
            meta->broker_id != manager->broker_id)
            return err_note(ERR_INVALID_CONFIG,
                            "log directory %s belongs to broker %" PRId32
                            ", another to broker %" PRId32,
                            path, meta->broker_id, manager->broker_id);
        if (meta->cluster_id && manager->cluster_id &&
            strcmp(meta->cluster_id, manager->cluster_id) != 0)
            return err_note(ERR_INCONSISTENT_CLUSTER_ID,
                            "log directory %s belongs to cluster %s, another to cluster %s", path,
                            meta->cluster_id, manager->cluster_id);
        if (meta->broker_id >= 0)
            manager->broker_id = meta->broker_id;
        if (meta->cluster_id && !manager->cluster_id)
            manager->cluster_id = mem_strdup(meta->cluster_id);
    }
    return ERR_OK;
}

enum err log_manager_open(const struct log_manager_options *options, struct log_manager **ret)
{
    struct log_manager *manager = mem_new(struct log_manager);
    manager->files = file_cache_new(options->max_open_files, options->max_mapped_indexes);
    manager->dirs = mem_new_array(struct log_dir, (size_t)options->dirs_count);
    manager->watch = disk_watch_new(options->dirs, (size_t)options->dirs_count);
    manager->broker_id = -1;
    copy_options(manager, options);
    lock_init(&manager->table, RANK_LOG_DIR, "log table");
    pthread_mutex_init(&manager->create_mutex, NULL);
    pthread_mutex_init(&manager->timer_mutex, NULL);
    pthread_mutex_init(&manager->syncers_mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&manager->timer_wakes, &monotonic);
    pthread_condattr_destroy(&monotonic);

    enum err e = open_dirs(manager, options);
    if (!e)
        e = merge_identity(manager);
    if (e) {
        log_manager_free(manager);
        return e;
    }
    *ret = manager;
    return ERR_OK;
}

/* Both pools: whoever still queues work then runs it itself. */
void log_manager_set_producer_id_expiration(struct log_manager *manager, int64_t expiration_ms)
{
    atomic_store(&manager->host.producer_id_expiration_ms, expiration_ms);
}

static void stop_workers(struct log_manager *manager)
{
    log_workers_stop(TAKE(manager->workers));
    log_workers_stop(atomic_exchange(&manager->syncers, NULL));
}

void log_manager_free(struct log_manager *manager)
{
    if (!manager)
        return;
    log_manager_stop_timer(manager);
    stop_workers(manager);
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&manager->logs, &i));)
        log_free(e->value);
    map_done(&manager->logs);
    for (size_t i = 0; i < manager->deleted_count; i++)
        log_free(manager->deleted[i]);
    free(manager->deleted);
    for (size_t i = 0; i < manager->removals_count; i++)
        free(manager->removals[i].path);
    free(manager->removals);
    for (int i = 0; i < manager->dirs_count; i++)
        log_dir_close(&manager->dirs[i]);
    free(manager->dirs);
    file_cache_free(manager->files);
    disk_watch_free(manager->watch);
    free(manager->cluster_id);
    lock_done(&manager->table);
    pthread_mutex_destroy(&manager->create_mutex);
    pthread_mutex_destroy(&manager->timer_mutex);
    pthread_mutex_destroy(&manager->syncers_mutex);
    pthread_cond_destroy(&manager->timer_wakes);
    free(manager);
}

/* --- identity --- */

int32_t log_manager_stored_broker_id(const struct log_manager *manager)
{
    return manager->broker_id;
}

const char *log_manager_stored_cluster_id(const struct log_manager *manager)
{
    return manager->cluster_id;
}

enum err log_manager_claim(struct log_manager *manager, int32_t broker_id, const char *cluster_id)
{
    if (manager->broker_id >= 0 && manager->broker_id != broker_id)
        return err_note(ERR_INVALID_CONFIG,
                        "broker.id is %" PRId32
                        ", but meta.properties in the log directories say %" PRId32,
                        broker_id, manager->broker_id);
    if (manager->cluster_id && strcmp(manager->cluster_id, cluster_id) != 0)
        return err_note(ERR_INCONSISTENT_CLUSTER_ID,
                        "the cluster id is %s, but meta.properties in the log directories say %s",
                        cluster_id, manager->cluster_id);
    for (int i = 0; i < manager->dirs_count; i++) {
        struct log_dir *dir = &manager->dirs[i];
        if (!atomic_load(&dir->is_online))
            continue;
        enum err e = meta_properties_claim(dir->path, &dir->meta, broker_id, cluster_id);
        if (e)
            return err_wrap(e, "claim log directory %s", dir->path);
    }
    manager->broker_id = broker_id;
    free(manager->cluster_id);
    manager->cluster_id = mem_strdup(cluster_id);
    return ERR_OK;
}

/* --- start and stop --- */

enum err log_manager_start(struct log_manager *manager)
{
    enum err e = log_manager_load(manager);
    if (e)
        return e;
    manager->workers =
        log_workers_start(manager->options.workers_count > 0 ? manager->options.workers_count : 1);
    log_manager_start_timer(manager);
    return ERR_OK;
}

struct closing {
    struct log_manager *manager;
    struct log **logs;
    enum err (*step)(struct log *log);
    size_t count;
    _Atomic size_t done;
    int64_t begun_ms;
    _Atomic int64_t next_progress_ms;
};

static void show_progress(struct closing *closing)
{
    size_t done = atomic_fetch_add(&closing->done, 1) + 1;
    int64_t now = clock_mono_ms(closing->manager->options.clock);
    int64_t next = atomic_load(&closing->next_progress_ms);
    if (now < next ||
        !atomic_compare_exchange_strong(&closing->next_progress_ms, &next, now + PROGRESS_EVERY_MS))
        return;
    trace_info("logs are being closed done=%zu of=%zu elapsed_ms=%" PRId64, done, closing->count,
               now - closing->begun_ms);
}

static void close_one(void *context, int index)
{
    struct closing *closing = context;
    struct log *log = closing->logs[index];
    show_progress(closing);
    if (atomic_load(&log->is_offline))
        return;
    enum err e = closing->step(log);
    if (!e)
        return;
    trace_error("log not closed cleanly topic=%s partition=%" PRId32 " error=\"%s\"", log->topic,
                log->partition, err_sentence(e));
    log->dir->is_loaded = false; /* no clean mark for this directory */
}

static void for_all(struct log_manager *manager, struct log **logs, size_t count,
                    enum err (*step)(struct log *log))
{
    int64_t now = clock_mono_ms(manager->options.clock);
    struct closing closing = {
        .manager = manager, .logs = logs, .step = step, .count = count, .begun_ms = now};
    atomic_init(&closing.next_progress_ms, now + PROGRESS_EVERY_MS);
    int threads = manager->dirs_count * manager->options.recovery_threads_per_dir;
    if (threads < manager->options.workers_count)
        threads = manager->options.workers_count;
    parallel_for(threads, (int)count, close_one, &closing);
}

/* Move the logs that still have something to sync to the front; gives how many. */
static size_t gather_unstable(struct log **logs, size_t count, const struct log_dir *dir)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        struct log *log = logs[i];
        if (log->dir != dir || atomic_load(&log->is_offline) || log_is_stable(log))
            continue;
        logs[i] = logs[found];
        logs[found++] = log;
    }
    return found;
}

/* Many logs are synced by one call for the whole file system: it writes in the disk's order and
 * waits once, where each log has four files and a directory to wait for. */
static void sync_dir(struct log_manager *manager, struct log_dir *dir, struct log **logs,
                     size_t count)
{
    size_t unstable = gather_unstable(logs, count, dir);
    if (unstable <= SYNC_ONE_BY_ONE_MAX) {
        for_all(manager, logs, unstable, log_close_sync);
        return;
    }
    int64_t begun_ms = clock_mono_ms(manager->options.clock);
    trace_info("log directory is being synced dir=%s logs=%zu", dir->path, unstable);
    if (file_ops->syncfs(dir->lock_fd) != 0) {
        trace_error("log directory not synced dir=%s error=\"%s\"", dir->path, strerror(errno));
        dir->is_loaded = false;
        return;
    }
    for (size_t i = 0; i < unstable; i++)
        log_close_synced(logs[i]);
    trace_info("log directory is synced dir=%s elapsed_ms=%" PRId64, dir->path,
               clock_mono_ms(manager->options.clock) - begun_ms);
}

static void leave_dir(struct log_manager *manager, struct log_dir *dir, int64_t broker_epoch)
{
    if (!atomic_load(&dir->is_online))
        return;
    enum err e = log_manager_checkpoint_recovery_points(manager, dir);
    if (!e)
        e = log_manager_checkpoint_start_offsets(manager, dir);
    if (!e && dir->is_loaded)
        e = log_dir_put_clean_mark(dir, broker_epoch);
    if (e)
        trace_error("log directory not left cleanly dir=%s error=\"%s\"", dir->path,
                    err_sentence(e));
}

void log_manager_stop(struct log_manager *manager, int64_t broker_epoch)
{
    log_manager_stop_timer(manager);
    stop_workers(manager);
    size_t count;
    struct log **logs = log_manager_snapshot(manager, &count);
    for_all(manager, logs, count, log_close);
    for (int i = 0; i < manager->dirs_count; i++)
        if (atomic_load(&manager->dirs[i].is_online))
            sync_dir(manager, &manager->dirs[i], logs, count);
    free(logs);
    for (int i = 0; i < manager->dirs_count; i++)
        leave_dir(manager, &manager->dirs[i], broker_epoch);
}

void log_manager_run(struct log_manager *manager, void (*work)(void *context), void *context)
{
    if (manager->workers)
        log_workers_run(manager->workers, work, context);
    else
        work(context);
}

/* --- the table --- */

struct log **log_manager_snapshot(struct log_manager *manager, size_t *ret_count)
{
    LOCK_SCOPE(&manager->table);
    struct log **logs = mem_new_array(struct log *, manager->logs.count + 1);
    *ret_count = 0;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&manager->logs, &i));)
        logs[(*ret_count)++] = e->value;
    return logs;
}

static struct log *find(struct log_manager *manager, const char *topic, int32_t partition)
{
    char name[PARTITION_DIR_NAME_SIZE];
    partition_dir_name(topic, partition, name);
    LOCK_SCOPE(&manager->table);
    return map_get(&manager->logs, slice_str(name));
}

struct log *log_manager_get(struct log_manager *manager, const char *topic, int32_t partition,
                            bool *ret_offline)
{
    struct log *log = find(manager, topic, partition);
    bool is_offline = log && atomic_load(&log->is_offline);
    if (ret_offline)
        *ret_offline = is_offline;
    return is_offline ? NULL : log;
}

void log_manager_for_each(struct log_manager *manager,
                          void (*visit)(void *context, struct log *log), void *context)
{
    size_t count;
    struct log **logs = log_manager_snapshot(manager, &count);
    for (size_t i = 0; i < count; i++)
        visit(context, logs[i]);
    free(logs);
}

static struct log_dir *emptiest_dir(struct log_manager *manager)
{
    struct log_dir *best = NULL;
    for (int i = 0; i < manager->dirs_count; i++) {
        struct log_dir *dir = &manager->dirs[i];
        if (atomic_load(&dir->is_online) &&
            (!best || atomic_load(&dir->logs_count) < atomic_load(&best->logs_count)))
            best = dir;
    }
    return best;
}

static enum err create_in(struct log_manager *manager, struct log_dir *dir, const char *topic,
                          int32_t partition, struct uuid topic_id, struct log **ret)
{
    char name[PARTITION_DIR_NAME_SIZE], path[PATH_MAX];
    struct log_config config = manager->options.default_config;
    partition_dir_name(topic, partition, name);
    snprintf(path, sizeof path, "%s/%s", dir->path, name);
    if (manager->options.topic_config)
        manager->options.topic_config(manager->options.context, topic, &config);
    struct log *log = log_new(topic, partition, path, dir, &manager->host, &config);
    log->checkpointed_high_watermark = -1;
    enum err e = log_create_files(log, topic_id);
    if (e) {
        e = log_failed(log, e);
        log_free(log);
        return e;
    }
    lock_acquire(&manager->table);
    map_put(&manager->logs, slice_str(name), log);
    lock_release(&manager->table);
    atomic_fetch_add(&dir->logs_count, 1);
    *ret = log;
    return ERR_OK;
}

enum err log_manager_create(struct log_manager *manager, const char *topic, int32_t partition,
                            struct uuid topic_id, struct log **ret)
{
    pthread_mutex_lock(&manager->create_mutex);
    struct log *log = find(manager, topic, partition);
    struct log_dir *dir = emptiest_dir(manager);
    enum err e = ERR_OK;
    if (log && atomic_load(&log->is_offline))
        e = err_note(ERR_IO, "log %s-%" PRId32 " exists and is offline", topic, partition);
    else if (log)
        e = log_set_topic_id(log, topic_id);
    else if (!dir)
        e = err_note(ERR_IO, "no log directory is online");
    else
        e = create_in(manager, dir, topic, partition, topic_id, &log);
    pthread_mutex_unlock(&manager->create_mutex);
    if (!e)
        *ret = log;
    return err_wrap(e, "create log %s-%" PRId32, topic, partition);
}

static void bury(struct log_manager *manager, struct log *log, const char *name)
{
    LOCK_SCOPE(&manager->table);
    map_remove(&manager->logs, slice_str(name));
    manager->deleted = mem_grow(manager->deleted, &manager->deleted_capacity,
                                manager->deleted_count + 1, sizeof *manager->deleted);
    manager->deleted[manager->deleted_count++] = log;
    log->deleted_at_ms = clock_mono_ms(manager->options.clock);
}

static enum err rename_deleted(struct log *log)
{
    char marked[DIR_NAME_MAX + 1], to[PATH_MAX];
    partition_dir_marked_name(log->topic, log->partition, DIR_DELETE, marked);
    snprintf(to, sizeof to, "%s/%s", log->dir->path, marked);
    enum err e = ERR_OK;
    pthread_mutex_lock(&log->small_files_mutex); /* else they might enter a successor's directory */
    lock_acquire(&log->lock);
    if (!atomic_load(&log->dir_unmade) && file_ops->rename(atomic_load(&log->path), to) != 0) {
        e = err_note_errno("rename %s", atomic_load(&log->path));
    } else {
        log_set_path(log, to);
        log->is_closed = true;
    }
    lock_release(&log->lock);
    pthread_mutex_unlock(&log->small_files_mutex);
    return e;
}

enum err log_manager_delete(struct log_manager *manager, const char *topic, int32_t partition)
{
    char name[PARTITION_DIR_NAME_SIZE];
    partition_dir_name(topic, partition, name);
    pthread_mutex_lock(&manager->create_mutex);
    struct log *log = find(manager, topic, partition);
    enum err e = log ? log_check_online(log) : err_note(ERR_NOT_FOUND, "there is no log %s", name);
    if (!e)
        e = log_failed(log, rename_deleted(log));
    if (!e) {
        bury(manager, log, name);
        atomic_fetch_sub(&log->dir->logs_count, 1);
        log_manager_remove_later(manager, atomic_load(&log->path),
                                 log->config.file_delete_delay_ms);
        trace_info("log deleted topic=%s partition=%" PRId32, topic, partition);
    }
    pthread_mutex_unlock(&manager->create_mutex);
    return err_wrap(e, "delete log %s", name);
}

/* --- high watermarks --- */

int64_t log_manager_checkpointed_high_watermark(struct log_manager *manager, const char *topic,
                                                int32_t partition)
{
    struct log *log = find(manager, topic, partition);
    return log ? log->checkpointed_high_watermark : -1;
}

enum err log_manager_checkpoint_high_watermarks(struct log_manager *manager,
                                                int64_t (*high_watermark)(void *context,
                                                                          struct log *log),
                                                void *context)
{
    enum err first = ERR_OK;
    for (int i = 0; i < manager->dirs_count; i++) {
        struct log_dir *dir = &manager->dirs[i];
        if (!atomic_load(&dir->is_online))
            continue;
        enum err e = log_manager_checkpoint(manager, dir, CHECKPOINT_HIGH_WATERMARK, high_watermark,
                                            context);
        if (e == ERR_IO)
            log_manager_dir_failed(manager, dir, err_sentence(e));
        if (e && !first)
            first = e;
    }
    return first;
}

/* --- views --- */

int log_manager_dirs_count(const struct log_manager *manager)
{
    return manager->dirs_count;
}

const struct disk_watch *log_manager_disk_watch(const struct log_manager *manager)
{
    return manager->watch;
}

void log_manager_dir_view(struct log_manager *manager, int index, struct log_dir_view *ret)
{
    const struct log_dir *dir = &manager->dirs[index];
    struct statvfs fs;
    *ret = (struct log_dir_view){.dir = dir,
                                 .path = dir->path,
                                 .directory_id = dir->meta.directory_id,
                                 .is_online = atomic_load(&dir->is_online),
                                 .total_bytes = -1,
                                 .usable_bytes = -1};
    if (ret->is_online && statvfs(dir->path, &fs) == 0) {
        ret->total_bytes = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
        ret->usable_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    }
}
