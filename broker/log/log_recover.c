/* After a stop that was not clean: read every batch from the segment of the recovery point on,
 * check it, and make indexes, transaction index, producers' state and epochs anew. The first bad
 * batch ends the log: the file is cut there and later segments go, as they were written after it.
 * But what lies below the recovery point had been on stable storage: if that is bad, the disk lied
 * or somebody touched it, and the replica stays offline until a person has looked. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_load.h"
#include "broker/log/log_progress.h"
#include "broker/log/log_write.h"

/* Where recovery stands. */
struct recovery_place {
    int64_t next;  /* the offset after the last good batch */
    int32_t epoch; /* of that batch, NO_LEADER_EPOCH if it has none */
};

static enum err check_batch(const struct segment *seg, const struct batch_info *b,
                            struct slice bytes, const struct recovery_place *place)
{
    int64_t next = place->next;
    if (b->base_offset < next || b->last_offset < b->base_offset ||
        b->last_offset - seg->base_offset > INT32_MAX)
        return err_note(ERR_CORRUPT_MESSAGE, "offset %" PRId64 " where %" PRId64 " or more is due",
                        b->base_offset, next);
    if (!batch_crc_is_right(bytes.data))
        return err_note(ERR_CORRUPT_MESSAGE, "batch at offset %" PRId64 " fails its checksum",
                        b->base_offset);
    /* Left over from before a truncation that did not reach the disk, behind what was written after
     * it. */
    if (b->magic >= 2 && b->leader_epoch >= 0 && b->leader_epoch < place->epoch)
        return err_note(ERR_CORRUPT_MESSAGE,
                        "batch at offset %" PRId64 " is of epoch %" PRId32
                        " and follows one of %" PRId32,
                        b->base_offset, b->leader_epoch, place->epoch);
    return ERR_OK;
}

static enum err note_abort(struct log *log, struct segment *seg, const struct batch_info *b,
                           struct slice bytes)
{
    struct txn_marker marker;
    struct txn_completed txn;
    if (b->magic < 2 || !(b->attributes & BATCH_CONTROL) || b->producer_id < 0 ||
        !txn_marker_parse(bytes, &marker) || !marker.is_abort ||
        !producer_state_peek_txn(&log->producers, b, &marker, &txn))
        return ERR_OK;
    struct txn_index_entry entry = {.producer_id = txn.producer_id,
                                    .first_offset = txn.first_offset,
                                    .last_offset = txn.last_offset,
                                    .last_stable_offset = txn.last_stable_offset};
    return txn_index_append(seg, &entry);
}

/* The batch says its epoch itself, and is right. The file may be behind; or ahead, when a
 * truncation was lost with the power and what it had cut is back. */
static void note_epoch(struct log *log, const struct batch_info *b)
{
    if (b->magic < 2 || b->leader_epoch < 0 ||
        epoch_cache_for_offset(&log->epochs, b->base_offset) == b->leader_epoch)
        return;
    epoch_cache_forget_newer(&log->epochs, b->leader_epoch);
    epoch_cache_assign(&log->epochs, b->leader_epoch, b->base_offset);
    log_epochs_changed(log);
}

static void note_batch(struct log *log, struct segment *seg, const struct batch_info *b,
                       int64_t position, struct slice bytes, bool with_state)
{
    LOCK_SCOPE(&log->view);
    segment_note_batch(seg, b, position);
    if (!with_state)
        return;
    log_feed_producers(&log->producers, b, bytes);
    note_epoch(log, b);
}

static enum err reset_indexes(struct segment *seg, bool with_txns)
{
    enum err e = index_reset(seg, &seg->offsets);
    if (!e)
        e = index_reset(seg, &seg->times);
    if (!e && with_txns)
        e = txn_index_truncate(seg, seg->base_offset);
    seg->max_timestamp = seg->last_time_entry = seg->first_timestamp = NO_TIMESTAMP;
    seg->max_timestamp_offset = seg->base_offset;
    seg->bytes_since_index = 0;
    return e;
}

/* On a full disk the entries wait in memory, and are written before the recovery point passes. */
static enum err unless_full(enum err e)
{
    return e == ERR_NO_SPACE ? ERR_OK : e;
}

/* Walk the segment. ret_valid: the bytes that are whole and right; *place moves along.
 * progress: NULL, or told of every batch. ERR_OK also where bad bytes ended the walk; the sentence
 * of why is the thread's. */
static enum err walk_segment(struct log *log, struct segment *seg, bool with_state,
                             int64_t *ret_valid, struct recovery_place *place,
                             struct log_progress *progress)
{
    struct segment_scan scan;
    struct batch_info b;
    struct slice bytes;
    int64_t position;
    enum err e = reset_indexes(seg, with_state);
    if (!e)
        e = segment_scan_begin(&scan, seg, 0, seg->size_bytes, true);
    if (e)
        return e;
    *ret_valid = 0;
    while (!(e = segment_scan_next(&scan, &b, &position, &bytes))) {
        e = check_batch(seg, &b, bytes, place);
        if (!e && with_state)
            e = note_abort(log, seg, &b, bytes);
        if (e)
            break;
        note_batch(log, seg, &b, position, bytes, with_state);
        if (seg->offsets.tail_count >= INDEX_TAIL_MAX &&
            (e = unless_full(segment_write_indexes(seg))))
            break;
        *ret_valid = position + b.size_bytes;
        if (progress)
            log_progress_bytes(progress, b.size_bytes);
        place->next = b.last_offset + 1;
        place->epoch = b.magic >= 2 ? b.leader_epoch : NO_LEADER_EPOCH;
    }
    segment_scan_end(&scan);
    return e == ERR_NOT_FOUND || e == ERR_CORRUPT_MESSAGE ? ERR_OK : e;
}

enum err log_rebuild_indexes(struct log *log, struct segment *seg)
{
    int64_t valid;
    struct recovery_place place = {.next = seg->base_offset, .epoch = NO_LEADER_EPOCH};
    enum err e = walk_segment(log, seg, false, &valid, &place, NULL);
    if (!e && valid < seg->size_bytes &&
        segment_step_over_tear(seg, valid, seg->size_bytes, ERR_CORRUPT_MESSAGE) != ERR_NOT_FOUND)
        return err_wrap(ERR_CORRUPT_MESSAGE, "segment %020" PRId64 " is damaged", seg->base_offset);
    return e ? e : unless_full(segment_finish(seg));
}

enum err log_rebuild_txn_index(struct log *log, struct segment *seg)
{
    int64_t valid = 0;
    struct recovery_place place = {.next = seg->base_offset, .epoch = NO_LEADER_EPOCH};
    enum err e = log_load_producers(log, seg->base_offset);
    if (!e)
        e = walk_segment(log, seg, true, &valid, &place, NULL);
    lock_acquire(&log->view);
    producer_state_clear(&log->producers);
    lock_release(&log->view);
    if (!e && valid < seg->size_bytes)
        return err_wrap(ERR_CORRUPT_MESSAGE, "segment %020" PRId64 " is damaged", seg->base_offset);
    return e ? e : segment_finish(seg);
}

enum err log_cut_tail(struct log *log, struct segment *seg, int64_t valid)
{
    trace_warn("torn tail cut topic=%s partition=%" PRId32 " segment=%020" PRId64
               " from_bytes=%" PRId64 " to_bytes=%" PRId64 " reason=\"%s\"",
               log->topic, log->partition, seg->base_offset, seg->size_bytes, valid,
               err_sentence(ERR_CORRUPT_MESSAGE));
    struct log_file *file;
    enum err e = segment_file_open(seg, &file);
    if (e)
        return e;
    if (file_ops->ftruncate(log_file_fd(file), valid) != 0)
        e = err_note_errno("cut segment %020" PRId64, seg->base_offset);
    log_file_unref(file);
    if (e)
        return e;
    lock_acquire(&log->view);
    log->size_bytes -= seg->size_bytes - valid;
    seg->size_bytes = valid;
    seg->is_touched = true;
    lock_release(&log->view);
    return ERR_OK;
}

/* Recover one segment; ret_is_cut: bad bytes were found, nothing behind them counts. */
static enum err recover_segment(struct log *log, int slot, int64_t recovery_point,
                                struct recovery_place *place, struct log_progress *progress,
                                bool *ret_is_cut)
{
    struct segment *seg = log->list->items[slot];
    int64_t valid;
    *ret_is_cut = false;
    if (place->next < seg->base_offset)
        place->next = seg->base_offset;
    enum err e = walk_segment(log, seg, true, &valid, place, progress);
    if (e)
        return e;
    if (valid < seg->size_bytes) {
        if (place->next < recovery_point)
            return err_wrap(ERR_CORRUPT_MESSAGE,
                            "damage below the recovery point %" PRId64 " at offset %" PRId64,
                            recovery_point, place->next);
        *ret_is_cut = true;
        e = log_cut_tail(log, seg, valid);
    }
    bool is_last = slot == log->list->count - 1 || *ret_is_cut;
    if (!e)
        e = segment_give_back_found(seg);
    if (!e)
        e = unless_full(is_last ? segment_write_indexes(seg) : segment_finish(seg));
    log_progress_segment(progress);
    return e;
}

static enum err recover_from(struct log *log, int first, int64_t recovery_point)
{
    struct recovery_place place = {.next = log->list->items[first]->base_offset,
                                   .epoch = NO_LEADER_EPOCH};
    bool is_cut = false;
    enum err e = ERR_OK;
    int slot = first;
    struct log_progress progress;
    log_progress_begin(&progress, log, READ_TO_RECOVER, first, log->list->count - first);
    for (; !e && !is_cut && slot < log->list->count; slot++)
        e = recover_segment(log, slot, recovery_point, &place, &progress, &is_cut);
    log_progress_end(&progress, e);
    if (e)
        return e;
    int64_t next = place.next;
    atomic_store(&log->end_offset, next);
    if (is_cut && slot < log->list->count) {
        trace_warn("segments behind a torn tail dropped topic=%s partition=%" PRId32 " count=%d",
                   log->topic, log->partition, log->list->count - slot);
        e = log_drop_segments(log, slot, log->list->count - slot, 0);
    }
    log_remove_snapshots(log, next + 1, INT64_MAX);
    return e;
}

/* The recovery point stands where segment `slot` begins: the records before it were on stable
 * storage, but how the segment before ends may not have been, as it was finished after its last
 * sync. A cut may be missing (of preallocated bytes, or of what a truncation took): what lies
 * behind the last promised record goes. */
static enum err settle_end_before(struct log *log, int slot)
{
    struct segment *seg = log->list->items[slot - 1];
    int64_t next = log->list->items[slot]->base_offset;
    struct batch_place last;
    enum err e = segment_seek(seg, next - 1, seg->size_bytes, true, &last);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    int64_t end = last.last_offset < next ? last.position + last.size_bytes : last.position;
    if (end == seg->size_bytes)
        return ERR_OK;
    (void)err_note(ERR_CORRUPT_MESSAGE, "the next segment begins at offset %" PRId64, next);
    return log_cut_tail(log, seg, end);
}

enum err log_recover(struct log *log, int64_t recovery_point)
{
    LOCK_SCOPE(&log->lock);
    int first = segment_list_floor(log->list, recovery_point);
    /* Snapshots behind the segment are not believed: they may speak of what was lost. Those of an
     * earlier stop would be later, by a truncation: they go. */
    int64_t base = log->list->items[first]->base_offset;
    log_remove_stray_snapshots(log, base);
    enum err e = ERR_OK;
    if (first > 0 && base == recovery_point)
        e = settle_end_before(log, first);
    if (!e && first > 0)
        e = segment_give_back_found(log->list->items[first - 1]);
    if (!e)
        e = log_check_indexes(log, 0, first);
    if (!e)
        e = log_load_txn_indexes(log, first);
    if (!e)
        e = log_load_producers(log, base);
    if (!e)
        e = recover_from(log, first, recovery_point);
    if (e)
        return err_wrap(e, "recover");
    lock_acquire(&log->view);
    log_update_txn_flag(log);
    lock_release(&log->view);
    if (log_recovery_point(log) > log_end_offset(log))
        atomic_store(&log->recovery_point, log_end_offset(log));
    log_remove_snapshots(log, log_end_offset(log), INT64_MAX);
    return unless_full(log_take_snapshot(log)); /* it only saves the next start some reading */
}

enum err log_load_producers_clean(struct log *log, int64_t end)
{
    return log->snapshots_count > 0 ? log_load_producers(log, end) : ERR_OK;
}
