/* The one way by which batches reach a segment, for leader and follower: all batches of a call are
 * written with one call, and only then does anything else learn of them. A write that fails is cut
 * off again, so that nothing but whole batches is ever below the published end.
 *
 *     prepare: roll, leader epochs     write: the file     note: indexes, producers, marks, end
 * offset */
#include "broker/log/log_write.h"

#include <errno.h>
#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"

/* Add the epochs of the batches before they are written, as readers of the epoch cache must never
 * find a record of an epoch it does not know. A batch of an old format has none, and ends what the
 * cache can promise. */
static void note_epochs(struct log *log, struct slice records)
{
    struct batch_info b;
    bool has_changed = false;
    lock_acquire(&log->view);
    for (size_t at = 0; at < records.size; at += (size_t)b.size_bytes) {
        if (batch_peek(slice_of(records.data + at, records.size - at), &b) != ERR_OK)
            break;
        if (b.magic >= 2 && b.leader_epoch >= 0)
            has_changed |= epoch_cache_assign(&log->epochs, b.leader_epoch, b.base_offset);
        else if (b.magic < 2 && log->epochs.count > 0) {
            epoch_cache_clear(&log->epochs);
            has_changed = true;
        }
    }
    lock_release(&log->view);
    if (has_changed)
        log_epochs_changed(log);
}

/* The common case: one batch of the epoch that is current. */
static bool epochs_are_known(struct log *log, struct slice records, const struct batch_info *first)
{
    return (size_t)first->size_bytes == records.size && first->magic >= 2 &&
           log_latest_epoch(log) == first->leader_epoch;
}

/* Cut what a failed write left. If even that fails the file's end is unknown: the directory has
 * failed. */
static enum err cut_torn(struct segment *seg, struct log_file *file, enum err e)
{
    if (file_ops->ftruncate(log_file_fd(file), seg->size_bytes) == 0) {
        segment_forget_ahead(seg);
        return e;
    }
    return err_note(ERR_IO, "segment %020" PRId64 ": a torn write could not be cut: %s",
                    seg->base_offset, strerror(errno));
}

static enum err write_bytes(struct segment *seg, struct log_file *file, struct slice records)
{
    segment_take_ahead(seg, file, seg->size_bytes + (int64_t)records.size);
    if (file_write(log_file_fd(file), records.data, records.size, seg->size_bytes) == 0)
        return ERR_OK;
    enum err e =
        err_note_errno("write %zu bytes to segment %020" PRId64, records.size, seg->base_offset);
    if (e == ERR_NO_SPACE)
        segment_refuse_ahead(seg);
    return cut_torn(seg, file, e);
}

static void mark_place(struct log *log, struct segment *seg, const struct batch_info *b,
                       int64_t position)
{
    if (!log->marks)
        log->marks = mem_new_array(struct batch_place, TAIL_MARKS);
    log->marks[log->marks_next] = (struct batch_place){.base_offset = b->base_offset,
                                                       .last_offset = b->last_offset,
                                                       .segment_base_offset = seg->base_offset,
                                                       .position = position,
                                                       .size_bytes = (int32_t)b->size_bytes,
                                                       .magic = b->magic};
    log->marks_next = (log->marks_next + 1) % TAIL_MARKS;
    if (log->marks_count < TAIL_MARKS)
        log->marks_count++;
}

static struct txn_index_entry index_entry_of(const struct txn_completed *txn)
{
    return (struct txn_index_entry){.producer_id = txn->producer_id,
                                    .first_offset = txn->first_offset,
                                    .last_offset = txn->last_offset,
                                    .last_stable_offset = txn->last_stable_offset};
}

/* Abort markers enter the transaction index before anything is published, while the write can still
 * be undone. */
static enum err write_aborts(struct log *log, struct segment *seg, struct slice records)
{
    struct batch_info b;
    for (size_t at = 0; at < records.size; at += (size_t)b.size_bytes) {
        struct slice rest = slice_of(records.data + at, records.size - at);
        struct txn_marker marker;
        struct txn_completed txn;
        if (batch_peek(rest, &b) != ERR_OK)
            break;
        if (!(b.attributes & BATCH_CONTROL) || b.magic < 2 || b.producer_id < 0 ||
            !txn_marker_parse(slice_of(rest.data, (size_t)b.size_bytes), &marker) ||
            !marker.is_abort)
            continue;
        struct producer_state scratch;
        bool is_known = log_state_before(log, records, at, &scratch);
        bool is_completed =
            producer_state_peek_txn(is_known ? &scratch : &log->producers, &b, &marker, &txn);
        if (is_known)
            producer_state_done(&scratch);
        if (!is_completed)
            continue;
        struct txn_index_entry entry = index_entry_of(&txn);
        enum err e = txn_index_append(seg, &entry);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* A marker that follows data of the same call (a follower's fetch) is judged by the state that the
 * data makes. The first marker of a call usually stands alone: then the log's own state is it, and
 * this says false. */
bool log_state_before(const struct log *log, struct slice records, size_t end,
                      struct producer_state *ret)
{
    if (end == 0)
        return false;
    struct buf bytes = {0};
    producer_snapshot_encode(&log->producers, &bytes);
    producer_state_init(ret);
    enum err e = producer_snapshot_decode(ret, buf_slice(&bytes), 0, INT64_MAX);
    assert(!e);
    buf_done(&bytes);
    struct batch_info b;
    for (size_t at = 0; at < end; at += (size_t)b.size_bytes) {
        if (batch_peek(slice_of(records.data + at, end - at), &b) != ERR_OK)
            break;
        log_feed_producers(ret, &b, slice_of(records.data + at, (size_t)b.size_bytes));
    }
    return true;
}

void log_feed_producers(struct producer_state *state, const struct batch_info *b,
                        struct slice batch)
{
    struct txn_marker marker;
    struct txn_completed completed;
    if (b->magic < 2 || b->producer_id < 0)
        return;
    if (!(b->attributes & BATCH_CONTROL))
        producer_state_append(state, b);
    else if (txn_marker_parse(batch, &marker))
        (void)!producer_state_end_txn(state, b, &marker, &completed);
}

/* Everything that follows from the bytes being in the file, at one moment for all readers. */
static void publish(struct log *log, struct segment *seg, struct slice records, int64_t next_offset)
{
    LOCK_SCOPE(&log->view);
    int64_t position = seg->size_bytes;
    struct batch_info b;
    bool has_producers = false;
    for (size_t at = 0; at < records.size; at += (size_t)b.size_bytes) {
        if (batch_peek(slice_of(records.data + at, records.size - at), &b) != ERR_OK)
            break;
        segment_note_batch(seg, &b, position + (int64_t)at);
        mark_place(log, seg, &b, position + (int64_t)at);
        log_feed_producers(&log->producers, &b, slice_of(records.data + at, (size_t)b.size_bytes));
        has_producers |= b.producer_id >= 0;
    }
    if (has_producers)
        log_update_txn_flag(log);
    seg->size_bytes += (int64_t)records.size;
    log->size_bytes += (int64_t)records.size;
    atomic_store_explicit(&log->end_offset, next_offset, memory_order_release);
}

/* Undo a write whose abort markers could not be indexed. */
static enum err undo_write(struct log *log, struct segment *seg, struct log_file *file, enum err e)
{
    enum err also = txn_index_truncate(seg, log_end_offset(log));
    if (also)
        return also;
    return cut_torn(seg, file, e);
}

enum err log_write_batches(struct log *log, struct slice records, const struct batch_info *first,
                           const struct write_bounds *bounds)
{
    assert_held(&log->lock);
    assert(bounds->first_offset >= log_end_offset(log));
    enum err e = log_write_topic_id(log);
    if (!e)
        e = log_roll_if_needed(log, (int64_t)records.size, bounds->first_offset,
                               bounds->last_offset, bounds->max_timestamp);
    if (e)
        return e;
    struct segment *seg = log_active(log);
    struct log_file *file = NULL;
    e = atomic_load(&seg->is_unborn) ? segment_create(seg) : segment_learn_times(seg);
    if (!e && !epochs_are_known(log, records, first))
        note_epochs(log, records);
    if (!e)
        e = segment_file_open(seg, &file);
    if (e)
        return e;
    e = write_bytes(seg, file, records);
    if (!e && bounds->has_control) {
        e = write_aborts(log, seg, records);
        if (e)
            e = undo_write(log, seg, file, e);
    }
    log_file_unref(file);
    if (e)
        return e;
    publish(log, seg, records, bounds->last_offset + 1);
    log->unflushed_messages += bounds->last_offset - bounds->first_offset + 1;
    if (seg->offsets.tail_count >= INDEX_TAIL_MAX) {
        e = segment_write_indexes(seg);
        if (e == ERR_NO_SPACE)
            e = ERR_OK; /* the tail waits in memory until there is room */
    }
    log_appended_bytes(log);
    return e;
}
