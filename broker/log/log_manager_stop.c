/* The orderly stop: every log closed and on stable storage, then the checkpoints, and last the mark
 * that says so. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_manager_internal.h"

#define PROGRESS_EVERY_MS 5000

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

static enum err sync_file_system(struct log_dir *dir)
{
    return file_ops->syncfs(dir->lock_fd) == 0 ? ERR_OK : err_note_errno("sync %s", dir->path);
}

/* Many logs are synced by one call for the whole file system: it writes in the disk's order and
 * waits once, where each log has four files and a directory to wait for. A second one, which finds
 * little to write, makes the names stable that the new epochs take between the two. */
static enum err sync_together(struct log_manager *manager, struct log_dir *dir, struct log **logs,
                              size_t count)
{
    enum err e = sync_file_system(dir);
    if (e)
        return e;
    for_all(manager, logs, count, log_place_small_files);
    return sync_file_system(dir);
}

static void sync_dir(struct log_manager *manager, struct log_dir *dir, struct log **logs,
                     size_t count)
{
    size_t unstable = gather_unstable(logs, count, dir);
    if (unstable <= manager->sync_one_by_one_max) {
        for_all(manager, logs, unstable, log_close_sync);
        return;
    }
    int64_t begun_ms = clock_mono_ms(manager->options.clock);
    trace_info("log directory is being synced dir=%s logs=%zu", dir->path, unstable);
    enum err e = sync_together(manager, dir, logs, unstable);
    if (e) {
        trace_error("log directory not synced dir=%s error=\"%s\"", dir->path, err_sentence(e));
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
    log_manager_stop_workers(manager);
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
