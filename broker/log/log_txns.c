/* Aborted transactions for readers of committed records: from memory alone, so on any thread. */
#include <inttypes.h>

#include "broker/base/arena.h"
#include "broker/log/segment.h"

struct aborted_list {
    struct aborted_txn *items;
    size_t count, capacity;
};

static int by_first_offset(const void *a, const void *b)
{
    const struct aborted_txn *left = a, *right = b;
    return (left->first_offset > right->first_offset) - (left->first_offset < right->first_offset);
}

/* Entries are in order of their markers; one whose last stable offset reaches the bound ends the
 * search. */
static bool collect(struct aborted_list *list, const struct txn_index_entry *entries, size_t count,
                    int64_t offset, int64_t upper_offset)
{
    for (size_t i = 0; i < count; i++) {
        const struct txn_index_entry *entry = &entries[i];
        if (entry->last_offset >= offset && entry->first_offset < upper_offset) {
            list->items =
                mem_grow(list->items, &list->capacity, list->count + 1, sizeof *list->items);
            list->items[list->count++] = (struct aborted_txn){.producer_id = entry->producer_id,
                                                              .first_offset = entry->first_offset};
        }
        if (entry->last_stable_offset >= upper_offset)
            return true;
    }
    return false;
}

enum err log_aborted_txns(struct log *log, int64_t offset, int64_t upper_offset,
                          struct arena *arena, struct aborted_txn **ret_txns, int32_t *ret_count)
{
    struct aborted_list found = {0};
    struct segment_list *list = log_pin(log);
    enum err e = log_check_online(log);
    bool is_done = false;
    for (int i = segment_list_floor(list, offset); !e && !is_done && i < list->count; i++) {
        struct segment *seg = list->items[i];
        LOCK_SCOPE(&log->view);
        is_done = collect(&found, seg->aborted, seg->aborted_count, offset, upper_offset);
    }
    segment_list_unref(list);
    if (!e) {
        if (found.count > 1)
            qsort(found.items, found.count, sizeof *found.items, by_first_offset);
        *ret_txns = arena_new_array(arena, struct aborted_txn, found.count);
        if (found.count > 0)
            memcpy(*ret_txns, found.items, found.count * sizeof *found.items);
        *ret_count = (int32_t)found.count;
    }
    free(found.items);
    return log_failed(
        log, err_wrap(e, "aborted transactions of %s-%" PRId32, log->topic, log->partition));
}

enum err log_slice_bound(struct log *log, const struct log_slice *slice, bool may_block,
                         int64_t *ret_offset)
{
    struct segment_list *list = log_pin(log);
    int i = segment_list_floor(list, slice->segment_base_offset);
    struct index_mark mark = {0};
    enum err e = ERR_OK;
    int64_t bound = log_end_offset(log);
    if (i >= 0 && i + 1 < list->count)
        bound = list->items[i + 1]->base_offset;
    if (i >= 0 && list->items[i]->base_offset == slice->segment_base_offset)
        e = index_lookup_from(list->items[i], slice->position + slice->size_bytes, may_block,
                              &mark);
    segment_list_unref(list);
    if (!e)
        *ret_offset = mark.is_there ? slice->segment_base_offset + mark.relative_offset : bound;
    return e;
}
