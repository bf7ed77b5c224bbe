/* What a cleaner had begun when the process ended. `.cleaned` files are unfinished output: they go,
 * and with them the `.swap` files of the same work. A `.swap` file without that is finished: it
 * takes the place of the segments whose offsets it covers. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_load.h"

static enum err remove_state(struct log *log, const struct found_segment *item,
                             enum segment_file_state state)
{
    for (int file = 0; file < SEGMENT_FILE_COUNT; file++) {
        char name[SEGMENT_FILE_NAME_SIZE], path[PATH_MAX];
        if (!item->has[state][file])
            continue;
        segment_file_name(item->base_offset, (enum segment_file)file, state, name);
        log_path(log, name, path, sizeof path);
        if (file_ops->unlink(path) != 0)
            return err_note_errno("remove %s", path);
    }
    return ERR_OK;
}

static enum err promote(struct log *log, const struct found_segment *item)
{
    /* The log last: while its swap file stands, the next start does the same again. */
    for (int file = SEGMENT_TXNINDEX; file >= SEGMENT_LOG; file--) {
        char name[SEGMENT_FILE_NAME_SIZE], from[PATH_MAX], to[PATH_MAX];
        if (!item->has[STATE_SWAP][file])
            continue;
        segment_file_name(item->base_offset, (enum segment_file)file, STATE_SWAP, name);
        log_path(log, name, from, sizeof from);
        segment_file_name(item->base_offset, (enum segment_file)file, STATE_PLAIN, name);
        log_path(log, name, to, sizeof to);
        if (file_ops->rename(from, to) != 0)
            return err_note_errno("rename %s", from);
    }
    return ERR_OK;
}

/* The offset after the last batch of a swap file. */
static enum err swap_end(struct log *log, const struct found_segment *item, int64_t *ret_end)
{
    char name[SEGMENT_FILE_NAME_SIZE], path[PATH_MAX];
    segment_file_name(item->base_offset, SEGMENT_LOG, STATE_SWAP, name);
    log_path(log, name, path, sizeof path);
    struct segment *seg = segment_new(log, item->base_offset);
    struct log_file *file;
    enum err e = file_cache_get(log->host->files, &seg->slot, FILE_SEGMENT, path, false, &file);
    if (!e)
        log_file_unref(file);
    struct segment_scan scan;
    struct batch_info b;
    struct slice bytes;
    int64_t position;
    *ret_end = item->base_offset;
    if (!e)
        e = segment_scan_begin(&scan, seg, 0, INT64_MAX, false);
    if (e) {
        segment_unref(seg);
        return e;
    }
    while (!(e = segment_scan_next(&scan, &b, &position, &bytes)))
        *ret_end = b.last_offset + 1;
    segment_scan_end(&scan);
    segment_unref(seg);
    return e == ERR_NOT_FOUND || e == ERR_CORRUPT_MESSAGE ? ERR_OK : e;
}

static enum err swap_range(struct log *log, const struct found *found, int64_t *ret_low,
                           int64_t *ret_high)
{
    *ret_low = INT64_MAX;
    *ret_high = INT64_MIN;
    for (size_t i = 0; i < found->count; i++) {
        int64_t end;
        if (!found->items[i].has[STATE_SWAP][SEGMENT_LOG])
            continue;
        enum err e = swap_end(log, &found->items[i], &end);
        if (e)
            return e;
        if (found->items[i].base_offset < *ret_low)
            *ret_low = found->items[i].base_offset;
        if (end > *ret_high)
            *ret_high = end;
    }
    return ERR_OK;
}

/* Of any file: the log's is the first to be renamed, and its indexes follow one by one. */
static bool has_cleaned(const struct found_segment *item)
{
    for (int file = 0; file < SEGMENT_FILE_COUNT; file++)
        if (item->has[STATE_CLEANED][file])
            return true;
    return false;
}

static enum err drop_unfinished(struct log *log, struct found *found)
{
    int64_t lowest = INT64_MAX;
    for (size_t i = 0; i < found->count && lowest == INT64_MAX; i++)
        if (has_cleaned(&found->items[i]))
            lowest = found->items[i].base_offset;
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < found->count; i++) {
        struct found_segment *item = &found->items[i];
        if (item->base_offset >= lowest) {
            e = remove_state(log, item, STATE_SWAP);
            memset(item->has[STATE_SWAP], 0, sizeof item->has[STATE_SWAP]);
        }
        if (!e)
            e = remove_state(log, item, STATE_CLEANED);
    }
    return e;
}

enum err log_finish_swaps(struct log *log, struct found *found)
{
    int64_t low, high;
    enum err e = drop_unfinished(log, found);
    if (!e)
        e = swap_range(log, found, &low, &high);
    for (size_t i = 0; !e && i < found->count; i++) {
        struct found_segment *item = &found->items[i];
        if (item->base_offset >= low && item->base_offset < high &&
            item->has[STATE_PLAIN][SEGMENT_LOG] && !item->has[STATE_SWAP][SEGMENT_LOG])
            e = remove_state(log, item, STATE_PLAIN);
    }
    for (size_t i = 0; !e && i < found->count; i++)
        e = promote(log, &found->items[i]);
    if (e)
        return err_wrap(e, "finish what the cleaner began");
    trace_info("cleaner's unfinished work settled path=%s", atomic_load(&log->path));
    bool had_metadata = found->has_metadata, had_epochs = found->has_epochs;
    free(found->items);
    *found = (struct found){.has_metadata = had_metadata, .has_epochs = had_epochs};
    return log_list_dir(log, found);
}
