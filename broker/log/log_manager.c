/* See log_manager.h. A manager's birth, what its logs ask of it, and its threads. Opening and
 * recovery are in log_manager_load.c, the logs it has in log_manager_table.c, periodic work in
 * log_manager_tasks.c, the end in log_manager_stop.c. */
#include <inttypes.h>
#include <sys/statvfs.h>

#include "broker/base/trace.h"
#include "broker/log/disk_watch.h"
#include "broker/log/log_manager_internal.h"

#define SYNC_ONE_BY_ONE_MAX 32
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
    manager->sync_one_by_one_max = SYNC_ONE_BY_ONE_MAX;
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

void log_manager_set_producer_id_expiration(struct log_manager *manager, int64_t expiration_ms)
{
    atomic_store(&manager->host.producer_id_expiration_ms, expiration_ms);
}

void log_manager_stop_workers(struct log_manager *manager)
{
    log_workers_stop(TAKE(manager->workers));
    log_workers_stop(atomic_exchange(&manager->syncers, NULL));
}

void log_manager_free(struct log_manager *manager)
{
    if (!manager)
        return;
    log_manager_stop_timer(manager);
    log_manager_stop_workers(manager);
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

/* --- start --- */

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

void log_manager_run(struct log_manager *manager, void (*work)(void *context), void *context)
{
    if (manager->workers)
        log_workers_run(manager->workers, work, context);
    else
        work(context);
}

void log_manager_run_request(struct log_manager *manager, void (*work)(void *context),
                             void *context)
{
    if (manager->workers)
        log_workers_run_request(manager->workers, work, context);
    else
        work(context);
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
