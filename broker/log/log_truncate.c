/* Cutting a log: its end after a change of leader, its start by DeleteRecords, all of it when it
 * begins anew. The new bounds are published before a file is touched. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/segment.h"

static void remove_renamed(struct log *log, struct segment *seg, int64_t delay_ms)
{
    static const enum segment_file files[] = {SEGMENT_LOG, SEGMENT_INDEX, SEGMENT_TIMEINDEX,
                                              SEGMENT_TXNINDEX};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char path[PATH_MAX];
        segment_path(seg, files[i], path, sizeof path);
        if (log->host->remove_later)
            log->host->remove_later(log->host->context, path, delay_ms);
        else
            file_ops->unlink(path);
    }
}

static struct segment_list *list_without(const struct segment_list *list, int first, int count)
{
    struct segment **left = mem_new_array(struct segment *, (size_t)list->count);
    int left_count = 0;
    for (int i = 0; i < list->count; i++)
        if (i < first || i >= first + count)
            left[left_count++] = list->items[i];
    struct segment_list *ret = segment_list_new(left, left_count);
    free(left);
    return ret;
}

enum err log_drop_segments(struct log *log, int first, int count, int64_t delay_ms)
{
    assert_held(&log->lock);
    if (count == 0)
        return ERR_OK;
    lock_acquire(&log->view);
    struct segment_list *before = log->list;
    log_set_list(log, list_without(before, first, count));
    log->marks_count = log->marks_next = 0;
    lock_release(&log->view);

    enum err e = ERR_OK;
    for (int i = first; !e && i < first + count; i++) {
        struct segment *seg = before->items[i];
        e = segment_mark_deleted(seg);
        if (!e)
            remove_renamed(log, seg, delay_ms);
    }
    segment_list_unref(before);
    return e;
}

enum err log_begin_at(struct log *log, int64_t offset)
{
    struct segment *seg = segment_new(log, offset);
    enum err e = ERR_OK;
    if (offset == 0)
        segment_conceive(seg);
    else
        e = segment_create(seg); /* its name is all that remembers where the log stands */
    if (!e) {
        lock_acquire(&log->view);
        struct segment_list *before = log->list;
        log_set_list(log, segment_list_new(&seg, 1));
        log->marks_count = log->marks_next = 0;
        lock_release(&log->view);
        segment_list_unref(before);
        log->writeback_from = 0;
    }
    segment_unref(seg);
    return e;
}

/* The checkpoint must not promise what the cut takes away. */
static enum err lower_recovery_point(struct log *log, int64_t offset)
{
    if (log_recovery_point(log) <= offset)
        return ERR_OK;
    atomic_store(&log->recovery_point, offset);
    return log->host->recovery_point_falls
               ? log->host->recovery_point_falls(log->host->context, log->dir)
               : ERR_OK;
}

static void note_cut(struct log *log, int64_t offset)
{
    if (log->cut_to > offset)
        log->cut_to = offset;
}

static void lower(_Atomic int64_t *value, int64_t bound)
{
    if (atomic_load(value) > bound)
        atomic_store(value, bound);
}

/* All but the segment at the offset's place go; it is cut where the batch begins that holds the
 * offset. */
static enum err cut_end(struct log *log, int slot, int64_t position, int64_t offset)
{
    struct segment *seg = log->list->items[slot];
    lock_acquire(&log->view);
    atomic_store_explicit(&log->end_offset, offset, memory_order_release);
    log->size_bytes -= seg->size_bytes - position;
    seg->size_bytes = position;
    log->marks_count = log->marks_next = 0;
    epoch_cache_truncate_end(&log->epochs, offset);
    lock_release(&log->view);
    enum err e = log_drop_segments(log, slot + 1, log->list->count - slot - 1,
                                   log->config.file_delete_delay_ms);
    if (!e)
        e = segment_truncate(seg, position, offset);
    if (log->writeback_from > position)
        log->writeback_from = position;
    return e;
}

/* Where the records end before `position` of the segment, at or below `offset`: there may be holes
 * where no record is, in front of a batch that was appended after an earlier cut. */
static enum err records_end(struct log *log, int slot, int64_t position, int64_t offset,
                            int64_t *ret)
{
    while (position == 0 && slot > 0) {
        offset = log->list->items[slot]->base_offset;
        position = log->list->items[--slot]->size_bytes;
    }
    struct batch_place last;
    enum err e = segment_seek(log->list->items[slot], offset - 1, position, true, &last);
    if (e && e != ERR_NOT_FOUND && e != ERR_CORRUPT_MESSAGE)
        return e;
    *ret = last.last_offset + 1;
    return ERR_OK;
}

/* One gap is remembered, that in which the recovery point may stand: a recovery point in the one
 * that is forgotten now falls to its front, as it would promise records that never were
 * (recovery_point_of() in log_manager_tasks.c). */
static enum err note_gap(struct log *log, int64_t from, int64_t to)
{
    int64_t point = log_recovery_point(log), old_from = atomic_load(&log->gap_from);
    bool is_in_old = point > old_from && point <= atomic_load(&log->gap_to);
    enum err e = lower_recovery_point(log, is_in_old && old_from < from ? old_from : from);
    atomic_store(&log->gap_to, from); /* empty while it changes */
    atomic_store(&log->gap_from, from);
    atomic_store(&log->gap_to, to);
    return e;
}

static enum err truncate_to(struct log *log, int64_t offset)
{
    int slot = segment_list_floor(log->list, offset);
    struct segment *seg = log->list->items[slot];
    struct batch_place place;
    int64_t end = offset;
    enum err e = segment_seek(seg, offset, seg->size_bytes, true, &place);
    if (e) /* what a tear took is cut with its remains */
        e = segment_step_over_tear(seg, place.position, seg->size_bytes, e);
    if (!e || e == ERR_NOT_FOUND)
        e = records_end(log, slot, place.position, e ? offset : place.base_offset, &end);
    if (!e)
        e = note_gap(log, end, offset);
    if (e)
        return e;
    note_cut(log, end);
    lower(&log->high_watermark, offset);
    e = cut_end(log, slot, place.position, offset);
    if (e)
        return e;
    lower(&log->start_offset, offset);
    log_remove_snapshots(log, offset + 1, INT64_MAX);
    log_epochs_changed(log);
    return log_load_producers(log, offset);
}

static enum err begin_anew(struct log *log, int64_t offset)
{
    /* All of it: the old records go, and until the next flush nothing says that the log begins
     * there. */
    enum err e = lower_recovery_point(log, 0);
    if (e)
        return e;
    note_cut(log, 0);
    lock_acquire(&log->view);
    atomic_store(&log->start_offset, offset);
    atomic_store(&log->end_offset, offset);
    epoch_cache_clear(&log->epochs);
    producer_state_clear(&log->producers);
    log_update_txn_flag(log);
    lock_release(&log->view);
    atomic_store(&log->high_watermark, offset);
    log_remove_snapshots(log, 0, INT64_MAX);

    struct segment_list *before = log->list;
    atomic_fetch_add(&before->refs, 1);
    for (int i = 0; !e && i < before->count; i++) {
        e = segment_mark_deleted(before->items[i]);
        if (!e)
            remove_renamed(log, before->items[i], log->config.file_delete_delay_ms);
    }
    segment_list_unref(before);
    if (!e)
        e = log_begin_at(log, offset);
    log_epochs_changed(log);
    return e;
}

/* An epoch in which this broker led but appended nothing begins at the log end: the leader that
 * follows does not know it, and would find us diverging for ever. */
static void forget_empty_epochs(struct log *log)
{
    lock_acquire(&log->view);
    bool has_changed = epoch_cache_truncate_end(&log->epochs, log_end_offset(log));
    lock_release(&log->view);
    if (has_changed)
        log_epochs_changed(log);
}

enum err log_truncate(struct log *log, int64_t offset)
{
    enum err e = log_check_online(log);
    if (e)
        return e;
    LOCK_SCOPE(&log->lock);
    if (offset >= log_end_offset(log)) {
        forget_empty_epochs(log);
        return ERR_OK;
    }
    trace_info("log truncated topic=%s partition=%" PRId32 " from=%" PRId64 " to=%" PRId64,
               log->topic, log->partition, log_end_offset(log), offset);
    e = log->list->items[0]->base_offset > offset ? begin_anew(log, offset)
                                                  : truncate_to(log, offset);
    return log_failed(log, err_wrap(e, "truncate %s-%" PRId32 " to %" PRId64, log->topic,
                                    log->partition, offset));
}

enum err log_truncate_fully(struct log *log, int64_t offset)
{
    enum err e = log_check_online(log);
    if (e)
        return e;
    LOCK_SCOPE(&log->lock);
    trace_info("log begins anew topic=%s partition=%" PRId32 " offset=%" PRId64, log->topic,
               log->partition, offset);
    e = begin_anew(log, offset);
    return log_failed(log, err_wrap(e, "begin %s-%" PRId32 " anew at %" PRId64, log->topic,
                                    log->partition, offset));
}

enum err log_raise_start(struct log *log, int64_t offset, int64_t high_watermark)
{
    enum err e = log_check_online(log);
    if (e)
        return e;
    LOCK_SCOPE(&log->lock);
    if (offset > high_watermark)
        return err_note(ERR_OFFSET_OUT_OF_RANGE,
                        "log start %" PRId64 " would be above the high watermark %" PRId64, offset,
                        high_watermark);
    if (offset <= log_start_offset(log))
        return ERR_OK;
    lock_acquire(&log->view);
    atomic_store_explicit(&log->start_offset, offset, memory_order_release);
    bool has_changed = epoch_cache_truncate_start(&log->epochs, offset);
    producer_state_truncate_start(&log->producers, offset);
    log_update_txn_flag(log);
    lock_release(&log->view);
    if (has_changed)
        log_epochs_changed(log);
    return ERR_OK;
}
