/* Producer snapshots of a log: written at rolls, closes and after recovery, used to rebuild the
 * producers' state without reading the whole log. A snapshot that is missing or damaged costs time,
 * never correctness: the next older one is taken, and the batches behind it are read again. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_progress.h"
#include "broker/log/log_write.h"
#include "broker/log/text_file.h"

static void snapshot_path(const struct log *log, int64_t offset, char *ret_path, size_t size)
{
    char name[SEGMENT_FILE_NAME_SIZE];
    segment_file_name(offset, SEGMENT_SNAPSHOT, STATE_PLAIN, name);
    log_path(log, name, ret_path, size);
}

void log_remember_snapshot(struct log *log, int64_t offset)
{
    size_t at = log->snapshots_count;
    while (at > 0 && log->snapshots[at - 1] > offset)
        at--;
    if (at > 0 && log->snapshots[at - 1] == offset)
        return;
    log->snapshots = mem_grow(log->snapshots, &log->snapshots_capacity, log->snapshots_count + 1,
                              sizeof *log->snapshots);
    memmove(log->snapshots + at + 1, log->snapshots + at,
            (log->snapshots_count - at) * sizeof *log->snapshots);
    log->snapshots[at] = offset;
    log->snapshots_count++;
    log->last_snapshot_offset = log->snapshots[log->snapshots_count - 1];
}

static void forget_snapshot(struct log *log, size_t at)
{
    log->snapshots_count--;
    memmove(log->snapshots + at, log->snapshots + at + 1,
            (log->snapshots_count - at) * sizeof *log->snapshots);
    log->last_snapshot_offset =
        log->snapshots_count > 0 ? log->snapshots[log->snapshots_count - 1] : NO_OFFSET;
}

void log_remove_snapshots(struct log *log, int64_t from, int64_t to)
{
    for (size_t i = log->snapshots_count; i-- > 0;) {
        if (log->snapshots[i] < from || log->snapshots[i] >= to)
            continue;
        char path[PATH_MAX];
        snapshot_path(log, log->snapshots[i], path, sizeof path);
        file_ops->unlink(path); /* one that stays is found, and removed, at the next start */
        forget_snapshot(log, i);
    }
}

void log_remove_stray_snapshots(struct log *log, int64_t offset)
{
    for (size_t i = log->snapshots_count; i-- > 0 && log->snapshots[i] > offset;) {
        int64_t at = log->snapshots[i];
        if (log->list->items[segment_list_floor(log->list, at)]->base_offset != at)
            log_remove_snapshots(log, at, at + 1);
    }
}

/* As the JVM broker: none at the log's very beginning, none twice at the same offset. */
enum err log_take_snapshot(struct log *log)
{
    int64_t offset = log_end_offset(log);
    if (offset <= log->last_snapshot_offset || offset == 0)
        return ERR_OK;
    struct buf bytes = {0};
    producer_snapshot_encode(&log->producers, &bytes);
    char name[SEGMENT_FILE_NAME_SIZE];
    segment_file_name(offset, SEGMENT_SNAPSHOT, STATE_PLAIN, name);
    enum err e = text_file_replace(atomic_load(&log->path), name, buf_slice(&bytes), false);
    buf_done(&bytes);
    if (e)
        return e;
    log_remember_snapshot(log, offset);
    atomic_store(&log->names_unsynced, true);
    atomic_store(&log->snapshot_unsynced, true);
    return ERR_OK;
}

static enum err read_snapshot(struct log *log, int64_t offset)
{
    char path[PATH_MAX];
    struct buf bytes = {0};
    snapshot_path(log, offset, path, sizeof path);
    enum err e = text_file_read(AT_FDCWD, path, &bytes);
    if (!e) {
        lock_acquire(&log->view);
        e = producer_snapshot_decode(&log->producers, buf_slice(&bytes), log_now_ms(log),
                                     log->host->producer_id_expiration_ms);
        lock_release(&log->view);
    }
    buf_done(&bytes);
    return e;
}

/* Load the newest good snapshot at or below the offset; damaged ones are removed on the way. */
static enum err load_newest(struct log *log, int64_t offset, int64_t *ret_from)
{
    for (size_t i = log->snapshots_count; i-- > 0;) {
        int64_t at = log->snapshots[i];
        if (at > offset)
            continue;
        enum err e = read_snapshot(log, at);
        if (!e) {
            *ret_from = at;
            return ERR_OK;
        }
        if (e != ERR_MALFORMED && e != ERR_NOT_FOUND)
            return e;
        trace_warn("producer snapshot is not usable topic=%s partition=%" PRId32 " offset=%" PRId64
                   " error=%s",
                   log->topic, log->partition, at, err_sentence(e));
        log_remove_snapshots(log, at, at + 1);
    }
    lock_acquire(&log->view);
    producer_state_clear(&log->producers);
    lock_release(&log->view);
    *ret_from = log_start_offset(log);
    return ERR_OK;
}

/* Feed the batches of [from, to) that lie in the segment. */
static enum err replay_segment(struct log *log, struct segment *seg, int64_t from, int64_t to,
                               struct log_progress *progress)
{
    struct batch_place place;
    enum err e = segment_seek(seg, from, seg->size_bytes, true, &place);
    if (e)
        e = segment_step_over_tear(seg, place.position, seg->size_bytes, e);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    struct segment_scan scan;
    struct batch_info b;
    struct slice bytes;
    int64_t position;
    log_progress_skip(progress, place.position);
    e = segment_scan_begin(&scan, seg, place.position, seg->size_bytes, true);
    while (!e && !(e = segment_scan_next(&scan, &b, &position, &bytes)) && b.base_offset < to) {
        lock_acquire(&log->view);
        log_feed_producers(&log->producers, &b, bytes);
        lock_release(&log->view);
        log_progress_bytes(progress, b.size_bytes);
    }
    if (e)
        e = segment_step_over_tear(seg, scan.position, seg->size_bytes, e);
    segment_scan_end(&scan);
    log_progress_segment(progress);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err log_load_producers(struct log *log, int64_t offset)
{
    int64_t from = 0;
    enum err e = load_newest(log, offset, &from);
    int first = segment_list_floor(log->list, from), end = first;
    while (end < log->list->count && log->list->items[end]->base_offset < offset && from < offset)
        end++;
    struct log_progress progress;
    log_progress_begin(&progress, log, READ_FOR_PRODUCERS, first, end - first);
    for (int i = first; !e && i < end; i++)
        e = replay_segment(log, log->list->items[i], from, offset, &progress);
    log_progress_end(&progress, e);
    lock_acquire(&log->view);
    /* What happened below the high watermark is replicated. */
    producer_state_set_replicated(&log->producers, atomic_load(&log->high_watermark));
    log_update_txn_flag(log);
    lock_release(&log->view);
    return e;
}
