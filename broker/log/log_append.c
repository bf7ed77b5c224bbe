/* Appending as leader and as follower: what the batches must fulfil, and what the caller is told.
 */
#include <inttypes.h>

#include "broker/base/arena.h"
#include "broker/log/log_validate.h"
#include "broker/log/log_write.h"

static enum err wrap(const struct log *log, enum err e)
{
    return err_wrap(e, "append to %s-%" PRId32, log->topic, log->partition);
}

/* --- follower --- */

/* Of one whole batch that a leader sent. */
static enum err check_replica_batch(const uint8_t *batch, const struct batch_info *b,
                                    int64_t log_end)
{
    if (!batch_crc_is_right(batch))
        return err_note(ERR_CORRUPT_MESSAGE, "batch at offset %" PRId64 " fails its checksum",
                        b->base_offset);
    if (b->last_offset < b->base_offset || b->last_offset >= LOG_END_MAX)
        return err_note(ERR_CORRUPT_MESSAGE, "batch at offset %" PRId64 " ends at %" PRId64,
                        b->base_offset, b->last_offset);
    if (b->base_offset < log_end)
        return err_note(ERR_OFFSET_OUT_OF_RANGE,
                        "batch at offset %" PRId64 " comes at log end %" PRId64, b->base_offset,
                        log_end);
    return ERR_OK;
}

/* Walk the batches a leader sent: whole, right, ascending from the log end on. ret_size: without
 * half a batch. */
static enum err check_replica_batches(struct log *log, struct slice records, size_t *ret_size)
{
    int64_t next = log_end_offset(log);
    size_t at = 0;
    while (at < records.size) {
        struct batch_info b;
        enum err e = batch_peek(slice_of(records.data + at, records.size - at), &b);
        if (e == ERR_AGAIN || (!e && (size_t)b.size_bytes > records.size - at))
            break;
        if (!e)
            e = check_replica_batch(records.data + at, &b, next);
        if (e)
            return e;
        next = b.last_offset + 1;
        at += (size_t)b.size_bytes;
    }
    *ret_size = at;
    return ERR_OK;
}

/* The next batches that may share a segment: one at least, however large. The leader's segments
 * need not be as ours: settings are lowered, compaction leaves offsets far apart. */
static struct slice next_run(const struct log *log, struct slice records,
                             struct batch_info *ret_first, struct write_bounds *ret)
{
    struct batch_info b;
    *ret = (struct write_bounds){.max_timestamp = NO_TIMESTAMP};
    size_t at = 0;
    while (at < records.size &&
           batch_peek(slice_of(records.data + at, records.size - at), &b) == ERR_OK) {
        if (at > 0 && (at + (size_t)b.size_bytes > (size_t)log->config.segment_bytes ||
                       b.last_offset - ret->first_offset > INT32_MAX))
            break;
        if (at == 0) {
            *ret_first = b;
            ret->first_offset = b.base_offset;
        }
        ret->last_offset = b.last_offset;
        if (b.max_timestamp > ret->max_timestamp)
            ret->max_timestamp = b.max_timestamp;
        ret->has_control |= b.magic >= 2 && (b.attributes & BATCH_CONTROL);
        at += (size_t)b.size_bytes;
    }
    return slice_of(records.data, at);
}

static void fill_result(struct log *log, const struct write_bounds *bounds,
                        struct append_result *ret)
{
    ret->base_offset = bounds->first_offset;
    ret->last_offset = bounds->last_offset;
    ret->log_start_offset = log_start_offset(log);
    ret->needs_flush = log->unflushed_messages >= log->config.flush_messages;
}

enum err log_append_follower(struct log *log, const uint8_t *records, size_t size,
                             struct append_result *ret)
{
    struct append_result result = {
        .base_offset = NO_OFFSET, .last_offset = NO_OFFSET, .log_append_time_ms = NO_TIMESTAMP};
    enum err e = log_check_online(log);
    if (e)
        return e;
    LOCK_SCOPE(&log->lock);
    struct write_bounds all = {.first_offset = NO_OFFSET, .last_offset = NO_OFFSET};
    size_t whole = 0;
    e = check_replica_batches(log, slice_of(records, size), &whole);
    for (size_t at = 0; !e && at < whole;) {
        struct batch_info first;
        struct write_bounds bounds;
        struct slice run = next_run(log, slice_of(records + at, whole - at), &first, &bounds);
        e = log_write_batches(log, run, &first, &bounds);
        all.first_offset = at ? all.first_offset : bounds.first_offset;
        all.last_offset = bounds.last_offset;
        at += run.size;
    }
    if (e)
        return log_failed(log, wrap(log, e));
    fill_result(log, &all, &result);
    *ret = result;
    return ERR_OK;
}

/* --- leader --- */

static enum err check_client_batch(struct log *log, const struct batch_info *b,
                                   const struct producer_batch **ret_duplicate)
{
    enum err e = producer_state_check(&log->producers, b, ret_duplicate);
    if (e == ERR_OUT_OF_ORDER_SEQUENCE_NUMBER && log_look_back(log, b))
        e = producer_state_check(&log->producers, b, ret_duplicate);
    return e;
}

/* Duplicates, gaps and fences, judged with the offsets assigned. */
static enum err check_producers(struct log *log, struct slice records, enum append_origin origin,
                                const struct producer_batch **ret_duplicate)
{
    struct batch_info b;
    *ret_duplicate = NULL;
    for (size_t at = 0; at < records.size; at += (size_t)b.size_bytes) {
        struct txn_marker marker;
        struct slice rest = slice_of(records.data + at, records.size - at);
        enum err e = batch_peek(rest, &b);
        if (e)
            return e;
        if (b.magic < 2 || b.producer_id < 0)
            continue;
        if (!(b.attributes & BATCH_CONTROL))
            e = origin == APPEND_CLIENT ? check_client_batch(log, &b, ret_duplicate) : ERR_OK;
        else if (txn_marker_parse(slice_of(rest.data, (size_t)b.size_bytes), &marker))
            e = producer_state_check_marker(&log->producers, &b, &marker);
        if (e || *ret_duplicate)
            return e;
    }
    return ERR_OK;
}

static void answer_duplicate(struct log *log, const struct producer_batch *batch,
                             struct append_result *ret)
{
    ret->is_duplicate = true;
    ret->base_offset = batch->last_offset - batch->offset_delta;
    ret->last_offset = batch->last_offset;
    ret->log_start_offset = log_start_offset(log);
    /* The first copy may be on its way to the disk still. */
    ret->needs_flush =
        log->config.flush_messages <= 1 && batch->last_offset >= log_recovery_point(log);
    ret->log_append_time_ms = batch->timestamp_ms; /* with CreateTime too, as the JVM broker does */
}

static enum err bounds_of(struct slice records, struct batch_info *ret_first,
                          struct write_bounds *ret)
{
    struct batch_info b;
    for (size_t at = 0; at < records.size; at += (size_t)b.size_bytes) {
        enum err e = batch_peek(slice_of(records.data + at, records.size - at), &b);
        if (e)
            return e;
        if (at == 0) {
            *ret_first = b;
            *ret =
                (struct write_bounds){.first_offset = b.base_offset, .max_timestamp = NO_TIMESTAMP};
        }
        ret->last_offset = b.last_offset;
        if (b.max_timestamp > ret->max_timestamp)
            ret->max_timestamp = b.max_timestamp;
        ret->has_control |= b.magic >= 2 && (b.attributes & BATCH_CONTROL);
    }
    return ERR_OK;
}

static enum err append_validated(struct log *log, struct slice records, enum append_origin origin,
                                 struct append_result *ret)
{
    struct batch_info first;
    struct write_bounds bounds;
    const struct producer_batch *duplicate;
    if (records.size > (size_t)log->config.segment_bytes)
        return err_note(ERR_RECORD_LIST_TOO_LARGE,
                        "%zu bytes do not fit into a segment of %" PRId32, records.size,
                        log->config.segment_bytes);
    enum err e = check_producers(log, records, origin, &duplicate);
    if (e)
        return e;
    if (duplicate) {
        answer_duplicate(log, duplicate, ret);
        return ERR_OK;
    }
    e = bounds_of(records, &first, &bounds);
    if (!e)
        e = log_write_batches(log, records, &first, &bounds);
    if (!e)
        fill_result(log, &bounds, ret);
    return e;
}

enum err log_append_leader(struct log *log, uint8_t *records, size_t size, int32_t leader_epoch,
                           enum append_origin origin, int16_t api_version, struct arena *arena,
                           struct append_result *ret)
{
    struct append_result result = {
        .base_offset = NO_OFFSET, .last_offset = NO_OFFSET, .log_append_time_ms = NO_TIMESTAMP};
    enum err e = log_check_online(log);
    if (e)
        return e;
    struct slice ready = SLICE_NULL;
    LOCK_SCOPE(&log->lock);
    if (log_end_offset(log) > LOG_END_MAX)
        return wrap(log, err_note(ERR_UNKNOWN_SERVER_ERROR, "there are no offsets behind %" PRId64,
                                  log_end_offset(log)));
    e = log_validate(log, records, size, leader_epoch, origin, api_version, arena, &ready, &result);
    if (!e && ready.size > 0)
        e = append_validated(log, ready, origin, &result);
    if (e) {
        ret->record_errors = result.record_errors;
        ret->record_errors_count = result.record_errors_count;
        return log_failed(log, wrap(log, e));
    }
    *ret = result;
    return ERR_OK;
}
