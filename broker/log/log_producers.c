/* What a log tells of its producers. */
#include "broker/base/arena.h"
#include "broker/log/log_internal.h"

static struct producer_view view_of(const struct producer_entry *entry)
{
    return (struct producer_view){
        .producer_id = entry->producer_id,
        .last_timestamp_ms = entry->last_timestamp_ms,
        .txn_start_offset = entry->txn_first_offset,
        .producer_epoch = entry->producer_epoch,
        .last_sequence = entry->batches_count > 0
                             ? entry->batches[entry->batches_count - 1].last_sequence
                             : NO_SEQUENCE,
        .coordinator_epoch = entry->coordinator_epoch,
    };
}

void log_producers(struct log *log, struct arena *arena, struct producer_view **ret,
                   int32_t *ret_count)
{
    LOCK_SCOPE(&log->view);
    size_t count = log->producers.entries.count;
    *ret = arena_new_array(arena, struct producer_view, count);
    *ret_count = 0;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&log->producers.entries, &i));)
        (*ret)[(*ret_count)++] = view_of(e->value);
}

bool log_has_open_txn(struct log *log, int64_t producer_id)
{
    LOCK_SCOPE(&log->view);
    const struct producer_entry *entry = producer_state_find(&log->producers, producer_id);
    return entry && entry->txn_first_offset != NO_OFFSET;
}
