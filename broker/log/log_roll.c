/* Beginning a new segment: when, and how. */
#include <inttypes.h>
#include <limits.h>

#include "broker/base/trace.h"
#include "broker/log/segment.h"

static bool is_too_old(struct log *log, struct segment *seg, int64_t max_timestamp,
                       bool *ret_is_too_old)
{
    int64_t first;
    *ret_is_too_old = false;
    if (seg->size_bytes == 0)
        return true;
    if (segment_first_timestamp(seg, &first) != ERR_OK)
        return false;
    /* Record time where the records have one, so a backfill rolls as it would have long ago. */
    int64_t elapsed = first >= 0 && max_timestamp >= 0 ? max_timestamp - first
                      : first >= 0                     ? 0
                                                       : log_now_ms(log) - seg->created_ms;
    *ret_is_too_old = elapsed > log->config.segment_ms - seg->jitter_ms;
    return true;
}

enum err log_roll_if_needed(struct log *log, int64_t bytes, int64_t first_offset,
                            int64_t last_offset, int64_t max_timestamp)
{
    struct segment *seg = log_active(log);
    bool must_roll;
    if (!is_too_old(log, seg, max_timestamp, &must_roll))
        return err_wrap(ERR_IO, "look at the age of segment %020" PRId64, seg->base_offset);
    must_roll |= seg->size_bytes > log->config.segment_bytes - bytes;
    must_roll |= segment_indexes_full(seg);
    must_roll |= last_offset - seg->base_offset > INT32_MAX;
    return must_roll ? log_roll(log, first_offset) : ERR_OK;
}

static void flush_rolled(struct log *log)
{
    atomic_store(&log->is_flush_queued, false);
    enum err e = log_flush(log);
    if (e)
        trace_warn("flush after a roll failed topic=%s partition=%" PRId32 " error=%s", log->topic,
                   log->partition, err_sentence(e));
}

static void queue_flush(struct log *log)
{
    if (log->host->run && !atomic_exchange(&log->is_flush_queued, true))
        log->host->run(log->host->context, flush_rolled, log);
}

/* An empty active segment that already begins there is used as it is. */
static bool is_there_already(struct log *log, int64_t base_offset)
{
    struct segment *seg = log_active(log);
    return seg->base_offset == base_offset && seg->size_bytes == 0;
}

enum err log_roll(struct log *log, int64_t base_offset)
{
    if (is_there_already(log, base_offset))
        return ERR_OK;
    struct segment *old = log_active(log);
    assert(base_offset > old->base_offset);
    /* What other segments stand behind must have a file: a truncation may come back to it. */
    enum err e = atomic_load(&old->is_unborn) ? segment_create(old) : ERR_OK;
    if (!e)
        e = segment_finish(old);
    if (!e)
        e = log_take_snapshot(log);
    struct segment *seg = segment_new(log, base_offset);
    if (!e)
        e = segment_create(seg);
    if (e) {
        segment_unref(seg);
        return err_wrap(e, "roll to segment %020" PRId64, base_offset);
    }
    lock_acquire(&log->view);
    struct segment_list *before = log->list;
    struct segment_list *list =
        mem_alloc(sizeof *list + (size_t)(before->count + 1) * sizeof list->items[0]);
    atomic_init(&list->refs, 1);
    for (int i = 0; i < before->count; i++) {
        list->items[i] = before->items[i];
        segment_ref(before->items[i]);
    }
    list->items[before->count] = seg;
    list->count = before->count + 1;
    log_set_list(log, list);
    lock_release(&log->view);
    segment_list_unref(before);
    log->writeback_from = 0;
    queue_flush(log);
    return ERR_OK;
}
