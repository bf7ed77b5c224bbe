/* To stable storage: by group commit when someone must know, by early write-back all the time.
 *
 * Group commit: whoever comes first syncs up to the log end of that moment, those who come while it
 * runs wait and are either covered by it or by the next one, which is run for all of them. A log
 * has one sync at a time, many logs have as many as the manager has threads for it; who waits
 * without a thread is told by the one that synced.
 *
 * The active segment's indexes are not synced: after a crash recovery rebuilds those of the segment
 * that holds the recovery point and of all later ones. Those of finished segments are. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/dirty_pages.h"
#include "broker/log/segment.h"
#include "broker/log/text_file.h"

static enum err sync_names(struct log *log)
{
    if (!atomic_exchange(&log->names_unsynced, false))
        return ERR_OK;
    char path[PATH_MAX];
    log_path(log, "partition.metadata", path, sizeof path);
    enum err e = path_sync(path);
    if (!e)
        e = path_sync(atomic_load(&log->path));
    if (!e && atomic_exchange(&log->dir_unsynced, false)) {
        log_path(log, "..", path, sizeof path);
        e = path_sync(path);
    }
    return e ? err_wrap(ERR_IO, "sync names of %s", atomic_load(&log->path)) : ERR_OK;
}

static enum err sync_snapshot(struct log *log)
{
    char name[SEGMENT_FILE_NAME_SIZE], path[PATH_MAX];
    if (!atomic_exchange(&log->snapshot_unsynced, false))
        return ERR_OK;
    lock_acquire(&log->lock);
    segment_file_name(log->last_snapshot_offset, SEGMENT_SNAPSHOT, STATE_PLAIN, name);
    log_path(log, name, path, sizeof path);
    lock_release(&log->lock);
    return path_sync(path);
}

/* The first segment with something to sync: the one that holds the recovery point; and the one
 * before, if it was rolled just there and its end came after its last sync. */
static int first_unsynced(const struct segment_list *list, int64_t recovery_point)
{
    int slot = segment_list_floor(list, recovery_point);
    return slot > 0 && atomic_load(&list->items[slot - 1]->is_end_unsynced) ? slot - 1 : slot;
}

/* Finished segments whose indexes found no room when they were recovered. Nobody makes them anew
 * once the recovery point has passed. */
static enum err write_late_indexes(const struct segment_list *list, int first)
{
    enum err e = ERR_OK;
    for (int i = first; !e && i < list->count - 1; i++)
        if (list->items[i]->offsets.tail_count > 0 || list->items[i]->times.tail_count > 0)
            e = segment_finish(list->items[i]);
    return e;
}

/* One sync of all that is new; gives the offset it covered. A closed log is synced with all that a
 * clean start trusts: the active segment's indexes, the snapshot. */
static enum err sync_once(struct log *log)
{
    lock_acquire(&log->lock);
    int64_t covered = log_end_offset(log), from = atomic_load(&log->recovery_point);
    struct segment_list *list = log_pin(log);
    log->unflushed_messages = 0;
    log->cut_to = covered;
    log->last_flush_ms = log_now_ms(log);
    bool is_closed = log->is_closed;
    enum err e = write_late_indexes(list, first_unsynced(list, from));
    lock_release(&log->lock);

    /* Before the recovery point passes: the epochs; and the names, without which the data is
     * nowhere. */
    if (!e)
        e = log_write_small_files(log);
    if (!e)
        e = sync_names(log);
    for (int i = first_unsynced(list, from); !e && i < list->count; i++)
        e = segment_sync(list->items[i], is_closed || i < list->count - 1);
    if (!e && is_closed)
        e = sync_snapshot(log);
    segment_list_unref(list);
    if (e)
        return e;
    lock_acquire(&log->lock);
    if (covered > log->cut_to) /* what came since may stand where other records were synced */
        covered = log->cut_to;
    if (covered > atomic_load(&log->recovery_point))
        atomic_store_explicit(&log->recovery_point, covered, memory_order_release);
    lock_release(&log->lock);
    return ERR_OK;
}

/* Is there nothing that a sync could do? What was truncated meanwhile is no business of the disk.
 */
static bool is_settled(const struct log *log, int64_t offset)
{
    return log_recovery_point(log) >= offset || offset > log_end_offset(log);
}

/* Those whom the sync that ended with `e` has settled: all, where it failed. flush_mutex held. */
static struct log_flush_waiter *take_settled(struct log *log, enum err e)
{
    struct log_flush_waiter *settled = NULL, **at = &log->flush_waiters;
    while (*at) {
        struct log_flush_waiter *waiter = *at;
        if (!e && !is_settled(log, waiter->offset)) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->next = settled;
        settled = waiter;
    }
    return settled;
}

static void tell(struct log_flush_waiter *waiters, enum err e)
{
    while (waiters) {
        struct log_flush_waiter *waiter = waiters;
        waiters = waiter->next; /* it is its owner's again once it is told */
        waiter->done(waiter, e);
    }
}

static void sync_for_waiters(struct log *log);

/* flush_mutex held. True: the caller lets go of it and calls queue_sync(). */
static bool must_queue_sync(struct log *log)
{
    return log->flush_waiters && !log->is_flushing && !atomic_exchange(&log->is_sync_queued, true);
}

static void queue_sync(struct log *log)
{
    if (log->host->run_sync)
        log->host->run_sync(log->host->context, sync_for_waiters, log);
    else
        sync_for_waiters(log);
}

/* One sync for everyone; flush_mutex held, and let go of meanwhile. Those who came while it ran get
 * the next one, which begins before the others are told. */
static enum err sync_for_all(struct log *log)
{
    log->is_flushing = true;
    pthread_mutex_unlock(&log->flush_mutex);
    enum err e =
        log_failed(log, err_wrap(sync_once(log), "flush %s-%" PRId32, log->topic, log->partition));
    pthread_mutex_lock(&log->flush_mutex);
    log->is_flushing = false;
    pthread_cond_broadcast(&log->flush_done);
    struct log_flush_waiter *settled = take_settled(log, e);
    bool must_queue = must_queue_sync(log);
    pthread_mutex_unlock(&log->flush_mutex);
    if (must_queue)
        queue_sync(log);
    tell(settled, e);
    pthread_mutex_lock(&log->flush_mutex);
    return e;
}

static void sync_for_waiters(struct log *log)
{
    pthread_mutex_lock(&log->flush_mutex);
    atomic_store(&log->is_sync_queued, false);
    if (log->flush_waiters && !log->is_flushing) { /* else who is at it queues the next */
        enum err e = sync_for_all(log);
        (void)e; /* the waiters know */
    }
    pthread_mutex_unlock(&log->flush_mutex);
}

void log_flush_begin(struct log *log, struct log_flush_waiter *waiter)
{
    enum err e = log_check_online(log);
    pthread_mutex_lock(&log->flush_mutex);
    bool must_wait = !e && !is_settled(log, waiter->offset);
    if (must_wait) {
        waiter->next = log->flush_waiters;
        log->flush_waiters = waiter;
    }
    bool must_queue = must_wait && must_queue_sync(log);
    pthread_mutex_unlock(&log->flush_mutex);
    if (!must_wait)
        waiter->done(waiter, e);
    else if (must_queue)
        queue_sync(log);
}

enum err log_flush_to(struct log *log, int64_t offset)
{
    enum err e = ERR_OK;
    pthread_mutex_lock(&log->flush_mutex);
    while (!e && !is_settled(log, offset)) {
        if (!log->is_flushing) {
            e = sync_for_all(log);
            continue;
        }
        pthread_cond_wait(&log->flush_done, &log->flush_mutex);
        e = log_check_online(log);
    }
    pthread_mutex_unlock(&log->flush_mutex);
    return e;
}

enum err log_flush(struct log *log)
{
    enum err e = log_check_online(log);
    return e ? e : log_flush_to(log, log_end_offset(log));
}

/* --- write-back --- */

void log_appended_bytes(struct log *log)
{
    struct segment *seg = log_active(log);
    if (!log->host->run || !log->host->writeback_bytes ||
        seg->size_bytes - log->writeback_from < log->host->writeback_bytes ||
        !dirty_pages_are_many(clock_mono_ms(log->host->clock)))
        return;
    if (!atomic_exchange(&log->is_writeback_queued, true))
        log->host->run(log->host->context, log_writeback, log);
}

/* A hint: errors show at the next sync. */
void log_writeback(struct log *log)
{
    lock_acquire(&log->lock);
    struct segment *seg = log_active(log);
    segment_ref(seg);
    int64_t from = log->writeback_from, to = seg->size_bytes;
    log->writeback_from = to;
    lock_release(&log->lock);
    atomic_store(&log->is_writeback_queued, false);
    struct log_file *file;
    if (to > from && segment_file_open(seg, &file) == ERR_OK) {
        file_ops->sync_range(log_file_fd(file), from, to - from);
        log_file_unref(file);
    }
    segment_unref(seg);
}

/* A log of one segment that never saw a producer, and has no snapshot, needs none: without any, a
 * clean start reads nothing, and after a crash there is nothing before the segment. Two file
 * operations fewer for each of thousands of logs. */
static bool needs_snapshot(struct log *log)
{
    return log->producers.entries.count > 0 || log->snapshots_count > 0 || log->list->count > 1;
}

enum err log_close(struct log *log)
{
    enum err e = log_check_online(log);
    if (e)
        return e;
    lock_acquire(&log->lock);
    e = segment_finish(log_active(log));
    if (!e && needs_snapshot(log))
        e = log_take_snapshot(log);
    log->is_closed = true;
    lock_release(&log->lock);
    if (!e)
        e = log_prepare_small_files(log);
    return log_failed(log, err_wrap(e, "close %s-%" PRId32, log->topic, log->partition));
}

bool log_is_stable(struct log *log)
{
    LOCK_SCOPE(&log->lock);
    return log_recovery_point(log) >= log_end_offset(log) && !atomic_load(&log->names_unsynced) &&
           !atomic_load(&log->small_files_unwritten) && !atomic_load(&log->epochs_prepared) &&
           !atomic_load(&log->snapshot_unsynced) && !atomic_load(&log_active(log)->is_end_unsynced);
}

enum err log_close_sync(struct log *log)
{
    enum err e = sync_once(log);
    return log_failed(log, err_wrap(e, "close %s-%" PRId32, log->topic, log->partition));
}

void log_close_synced(struct log *log)
{
    LOCK_SCOPE(&log->lock);
    if (atomic_load(&log->small_files_unwritten))
        return; /* the recovery point does not pass without them */
    atomic_store(&log->names_unsynced, false);
    atomic_store(&log->dir_unsynced, false);
    atomic_store(&log->snapshot_unsynced, false);
    atomic_store(&log_active(log)->is_end_unsynced, false);
    atomic_store(&log->recovery_point, log_end_offset(log));
}
