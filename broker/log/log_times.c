/* Offsets by timestamp, for ListOffsets. The time index leads to the neighbourhood; the records
 * tell. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/log/log_times.h"

/* Read on from the place that the indexes give until a batch has a record that is late enough. */
static enum err search_segment(struct segment *seg, int64_t size, int64_t from_offset,
                               int64_t start_offset, int64_t timestamp_ms,
                               struct timestamp_offset *ret, bool *ret_found)
{
    struct batch_place place;
    enum err e = segment_seek(seg, from_offset, size, true, &place);
    *ret_found = false;
    if (e)
        e = segment_step_over_tear(seg, place.position, size, e);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    struct segment_scan scan;
    struct batch_info b;
    struct slice bytes;
    int64_t position;
    e = segment_scan_begin(&scan, seg, place.position, size, true);
    while (!e && !*ret_found && !(e = segment_scan_next(&scan, &b, &position, &bytes))) {
        if (b.max_timestamp < timestamp_ms || b.last_offset < start_offset)
            continue;
        e = log_record_at_time(bytes, timestamp_ms, start_offset, ret, ret_found);
    }
    if (e)
        e = segment_step_over_tear(seg, scan.position, size, e);
    segment_scan_end(&scan);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static int64_t size_of(struct log *log, struct segment *seg)
{
    LOCK_SCOPE(&log->view);
    return seg->size_bytes;
}

/* The largest time entry below the target: no record in front of its batch is late enough, so
 * reading begins there. Its offset is the last of the batch, so that batch is read again. */
static enum err search_start(struct segment *seg, int64_t timestamp_ms, int64_t *ret_offset)
{
    uint8_t entry[TIMEINDEX_ENTRY_SIZE];
    bool is_found;
    int64_t below = timestamp_ms > INT64_MIN ? timestamp_ms - 1 : INT64_MIN;
    enum err e = index_lookup(seg, &seg->times, below, true, entry, &is_found);
    *ret_offset = seg->base_offset + (!e && is_found ? (int32_t)get_be32(entry + 8) : 0);
    return e;
}

static enum err find_timestamp(struct log *log, const struct segment_list *list,
                               int64_t timestamp_ms, struct timestamp_offset *ret)
{
    bool is_found = false;
    int64_t start = log_start_offset(log);
    for (int i = segment_list_floor(list, start); !is_found && i < list->count; i++) {
        struct segment *seg = list->items[i];
        int64_t max, max_offset, from;
        enum err e = segment_max_timestamp(seg, &max, &max_offset);
        if (!e && max < timestamp_ms)
            continue;
        if (!e)
            e = search_start(seg, timestamp_ms, &from);
        if (!e)
            e = search_segment(seg, size_of(log, seg), from, start, timestamp_ms, ret, &is_found);
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err finish(struct log *log, enum err e, struct timestamp_offset found,
                       struct timestamp_offset *ret)
{
    if (e)
        return log_failed(log,
                          err_wrap(e, "search %s-%" PRId32 " by time", log->topic, log->partition));
    if (found.offset >= 0)
        found.leader_epoch = log_epoch_for_offset(log, found.offset);
    *ret = found;
    return ERR_OK;
}

static const struct timestamp_offset nothing = {
    .timestamp_ms = NO_TIMESTAMP, .offset = NO_OFFSET, .leader_epoch = NO_LEADER_EPOCH};

enum err log_offset_for_timestamp(struct log *log, int64_t timestamp_ms,
                                  struct timestamp_offset *ret)
{
    struct timestamp_offset found = nothing;
    struct segment_list *list = log_pin(log);
    enum err e = log_check_online(log);
    if (!e)
        e = find_timestamp(log, list, timestamp_ms, &found);
    segment_list_unref(list);
    return finish(log, e, found, ret);
}

/* The first of the segments with the greatest timestamp, and the first record in it that has it. */
static enum err find_max(struct log *log, const struct segment_list *list,
                         struct timestamp_offset *ret)
{
    int64_t greatest = NO_TIMESTAMP;
    struct segment *winner = NULL;
    for (int i = 0; i < list->count; i++) {
        int64_t max, max_offset;
        enum err e = segment_max_timestamp(list->items[i], &max, &max_offset);
        if (e)
            return e;
        if (max > greatest) {
            greatest = max;
            winner = list->items[i];
        }
    }
    if (!winner)
        return ERR_OK;
    int64_t from;
    bool is_found;
    enum err e = search_start(winner, greatest, &from);
    if (!e)
        e = search_segment(winner, size_of(log, winner), from, log_start_offset(log), greatest, ret,
                           &is_found);
    return e;
}

enum err log_offset_of_max_timestamp(struct log *log, struct timestamp_offset *ret)
{
    struct timestamp_offset found = nothing;
    struct segment_list *list = log_pin(log);
    enum err e = log_check_online(log);
    if (!e)
        e = find_max(log, list, &found);
    segment_list_unref(list);
    return finish(log, e, found, ret);
}

enum err log_legacy_offsets_before(struct log *log, int64_t timestamp_ms, int32_t max_count,
                                   int64_t *ret_offsets, int32_t *ret_count)
{
    struct segment_list *list = log_pin(log);
    int32_t count = 0;
    /* The log end stands for an empty segment behind the last, as old as now. */
    if (size_of(log, list->items[list->count - 1]) > 0 && count < max_count &&
        timestamp_ms >= log_now_ms(log))
        ret_offsets[count++] = log_end_offset(log);
    for (int i = list->count - 1; i >= 0 && count < max_count; i--) {
        if (segment_mtime_ms(list->items[i]) > timestamp_ms)
            continue;
        int64_t base = list->items[i]->base_offset, start = log_start_offset(log);
        ret_offsets[count++] = base < start ? start : base;
    }
    segment_list_unref(list);
    *ret_count = count;
    return ERR_OK;
}
