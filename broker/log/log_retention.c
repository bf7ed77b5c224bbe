/* Retention by time, size and log start, and letting go of what an idle log does not need.
 * Compaction is another matter: a log that is only compacted loses no more than what lies below its
 * start. One that is compacted and deleted goes by age and size like others; the JVM broker leaves
 * that to its cleaner, and with a cleaner that has ended it keeps everything. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/log/segment.h"

struct retention {
    struct log *log;
    int64_t now_ms, high_watermark;
    int64_t surplus_bytes; /* what may go by size */
    const char *reason;
};

static int64_t upper_bound(const struct log *log, int slot)
{
    return slot + 1 < log->list->count ? log->list->items[slot + 1]->base_offset
                                       : log_end_offset(log);
}

static bool is_below_start(const struct retention *r, int slot)
{
    return slot + 1 < r->log->list->count &&
           r->log->list->items[slot + 1]->base_offset <= log_start_offset(r->log);
}

static enum err is_too_old(const struct retention *r, struct segment *seg, bool *ret)
{
    int64_t timestamp, offset;
    enum err e = segment_max_timestamp(seg, &timestamp, &offset);
    if (e)
        return e;
    if (timestamp < 0)
        timestamp = segment_mtime_ms(seg);
    *ret = r->now_ms - timestamp > r->log->config.retention_ms;
    return ERR_OK;
}

static enum err may_go(struct retention *r, int slot, bool *ret)
{
    const struct log_config *config = &r->log->config;
    struct segment *seg = r->log->list->items[slot];
    bool is_last = slot == r->log->list->count - 1;
    *ret = false;
    if (upper_bound(r->log, slot) > r->high_watermark || (is_last && seg->size_bytes == 0))
        return ERR_OK;
    if (is_below_start(r, slot)) {
        r->reason = "below the log start";
        *ret = true;
        return ERR_OK;
    }
    if (!(config->cleanup_policy & CLEANUP_DELETE))
        return ERR_OK;
    if (config->retention_ms >= 0) {
        enum err e = is_too_old(r, seg, ret);
        r->reason = "older than retention.ms";
        if (e || *ret)
            return e;
    }
    if (config->retention_bytes >= 0 && r->surplus_bytes >= seg->size_bytes) {
        r->reason = "above retention.bytes";
        *ret = true;
    }
    return ERR_OK;
}

/* How many of the oldest segments go. */
static enum err count_deletable(struct retention *r, int *ret_count)
{
    enum err e = ERR_OK;
    *ret_count = 0;
    for (int slot = 0; slot < r->log->list->count; slot++) {
        bool goes;
        e = may_go(r, slot, &goes);
        if (e || !goes)
            break;
        r->surplus_bytes -= r->log->list->items[slot]->size_bytes;
        ++*ret_count;
    }
    return e;
}

static enum err delete_oldest(struct log *log, int count, const char *reason)
{
    enum err e = ERR_OK;
    if (count == log->list->count) /* a log always has an active segment */
        e = log_roll(log, log_end_offset(log));
    if (e)
        return e;
    int64_t start = log->list->items[count]->base_offset;
    trace_info("segments deleted topic=%s partition=%" PRId32 " count=%d start=%" PRId64
               " reason=\"%s\"",
               log->topic, log->partition, count, start, reason);
    bool has_changed = false;
    lock_acquire(&log->view);
    if (start > log_start_offset(log)) {
        atomic_store_explicit(&log->start_offset, start, memory_order_release);
        has_changed = epoch_cache_truncate_start(&log->epochs, start);
        producer_state_truncate_start(&log->producers, start);
        log_update_txn_flag(log);
    }
    lock_release(&log->view);
    e = log_drop_segments(log, 0, count, log->config.file_delete_delay_ms);
    log_remove_snapshots(log, 0, start);
    if (has_changed)
        log_epochs_changed(log);
    return e;
}

enum err log_retain(struct log *log)
{
    enum err e = log_check_online(log);
    if (e)
        return e;
    LOCK_SCOPE(&log->lock);
    if (log->is_closed)
        return ERR_OK;
    struct retention r = {
        .log = log,
        .now_ms = log_now_ms(log),
        .high_watermark = atomic_load(&log->high_watermark),
        .surplus_bytes = log->size_bytes - log->config.retention_bytes,
    };
    int count;
    e = count_deletable(&r, &count);
    if (!e && count > 0)
        e = delete_oldest(log, count, r.reason);
    return log_failed(log, err_wrap(e, "retention of %s-%" PRId32, log->topic, log->partition));
}

bool log_flush_is_due(struct log *log)
{
    LOCK_SCOPE(&log->lock);
    return log_recovery_point(log) < log_end_offset(log) &&
           log_now_ms(log) - log->last_flush_ms >= log->config.flush_ms;
}

/* The places of the newest batches serve readers at the tail; without appends for a while nobody
 * needs them. */
void log_rest(struct log *log)
{
    LOCK_SCOPE(&log->lock);
    struct segment *seg = log_active(log);
    if (segment_write_indexes(seg) != ERR_OK || segment_give_back_ahead(seg) != ERR_OK)
        return; /* it is tried again, and said, by the next append or close */
    lock_acquire(&log->view);
    free(TAKE(log->marks));
    log->marks_count = log->marks_next = 0;
    lock_release(&log->view);
    file_cache_close(log->host->files, &seg->slot);
    file_cache_close(log->host->files, &seg->offsets.slot);
    file_cache_close(log->host->files, &seg->times.slot);
}
