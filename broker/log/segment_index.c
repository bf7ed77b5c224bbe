/* Offset and time indexes: sorted arrays of entries in a file, and a tail in memory that is written
 * in pages.
 *
 *     .index      relative offset 4 (last offset of a batch) | position 4 (where that batch begins)
 *     .timeindex  timestamp 8 | relative offset 4
 *
 * A lookup narrows the file down to one page by reading single entries, then searches the page. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/segment.h"

#define PAGE_ENTRIES       512
#define TAIL_WRITE_ENTRIES 512 /* so many wait in memory at most */

static int64_t entry_key(const struct index *index, const uint8_t *entry)
{
    return index->entry_size == INDEX_ENTRY_SIZE ? (int32_t)get_be32(entry)
                                                 : (int64_t)get_be64(entry);
}

/* The relative offset that an entry of either kind carries. */
static int64_t entry_offset(const struct index *index, const uint8_t *entry)
{
    return (int32_t)get_be32(index->entry_size == INDEX_ENTRY_SIZE ? entry : entry + 8);
}

static enum err open_index(struct segment *seg, struct index *index, struct log_file **ret_file)
{
    char path[PATH_MAX];
    segment_path(seg, index->file, path, sizeof path);
    enum err e =
        file_cache_get(seg->log->host->files, &index->slot, FILE_INDEX, path, false, ret_file);
    if (e == ERR_NOT_FOUND && !atomic_load(&seg->is_deleted))
        e = file_cache_get(seg->log->host->files, &index->slot, FILE_INDEX, path, true, ret_file);
    return e;
}

/* Learn how many entries the file holds. A size that is no multiple, or a last entry that cannot
 * be, makes the index worthless: it counts as empty, lookups scan from the segment's beginning. */
static enum err learn_count(struct segment *seg, struct index *index, struct log_file *file)
{
    struct stat st;
    if (fstat(log_file_fd(file), &st) != 0)
        return err_note_errno("stat index of segment %020" PRId64, seg->base_offset);
    int64_t count = st.st_size / index->entry_size;
    uint8_t last[TIMEINDEX_ENTRY_SIZE];
    bool is_sane = st.st_size % index->entry_size == 0 && count <= INT32_MAX;
    if (is_sane && count > 0) {
        if (file_read(log_file_fd(file), last, index->entry_size, (count - 1) * index->entry_size,
                      true) != index->entry_size)
            return err_note_errno("read index of segment %020" PRId64, seg->base_offset);
        is_sane = entry_offset(index, last) >= 0 && entry_key(index, last) >= (count == 1 ? 0 : 1);
    }
    if (!is_sane)
        trace_warn("index is damaged and not used path=%s segment=%020" PRId64 " bytes=%lld",
                   atomic_load(&seg->log->path), seg->base_offset, (long long)st.st_size);
    lock_acquire(&seg->log->view);
    if (index->disk_count == INDEX_COUNT_UNKNOWN)
        index->disk_count = is_sane ? (int32_t)count : 0;
    lock_release(&seg->log->view);
    return ERR_OK;
}

static enum err open_counted(struct segment *seg, struct index *index, struct log_file **ret_file)
{
    struct log_file *file;
    enum err e = open_index(seg, index, &file);
    if (e)
        return e;
    lock_acquire(&seg->log->view);
    bool is_known = index->disk_count != INDEX_COUNT_UNKNOWN;
    lock_release(&seg->log->view);
    if (!is_known)
        e = learn_count(seg, index, file);
    if (e) {
        log_file_unref(file);
        return e;
    }
    *ret_file = file;
    return ERR_OK;
}

/* The slot of the largest key at most `key` in a sorted array, or -1. */
static int32_t floor_slot(const struct index *index, const uint8_t *entries, int32_t count,
                          int64_t key)
{
    int32_t low = 0, high = count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (entry_key(index, entries + (size_t)middle * index->entry_size) <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

static enum err read_entries(struct segment *seg, struct index *index, struct log_file *file,
                             int32_t from, int32_t count, bool may_block, uint8_t *ret)
{
    size_t size = (size_t)count * index->entry_size;
    ssize_t n =
        file_read(log_file_fd(file), ret, size, (int64_t)from * index->entry_size, may_block);
    if (n < 0 && errno == EAGAIN && !may_block)
        return ERR_AGAIN;
    if (n < 0)
        return err_note_errno("read index of segment %020" PRId64, seg->base_offset);
    if ((size_t)n < size)
        return err_note(ERR_AGAIN, "the index was cut meanwhile");
    return ERR_OK;
}

/* Search the entries [0, count) of the file. */
static enum err search_file(struct segment *seg, struct index *index, struct log_file *file,
                            int32_t count, int64_t key, bool may_block, uint8_t *ret_entry,
                            bool *ret_found)
{
    uint8_t page[PAGE_ENTRIES * TIMEINDEX_ENTRY_SIZE];
    int32_t low = 0, high = count;
    while (high - low > PAGE_ENTRIES) {
        int32_t middle = low + (high - low) / 2;
        enum err e = read_entries(seg, index, file, middle, 1, may_block, page);
        if (e)
            return e;
        if (entry_key(index, page) <= key)
            low = middle;
        else
            high = middle;
    }
    enum err e = read_entries(seg, index, file, low, high - low, may_block, page);
    if (e)
        return e;
    int32_t slot = floor_slot(index, page, high - low, key);
    *ret_found = slot >= 0;
    if (slot >= 0)
        memcpy(ret_entry, page + (size_t)slot * index->entry_size, index->entry_size);
    return ERR_OK;
}

/* Look in the tail; gives whether the answer was found there, else how many entries the file has.
 */
static bool search_tail(struct segment *seg, struct index *index, int64_t key, uint8_t *ret_entry,
                        int32_t *ret_disk_count)
{
    LOCK_SCOPE(&seg->log->view);
    *ret_disk_count = index->disk_count;
    int32_t slot = floor_slot(index, index->tail, index->tail_count, key);
    if (slot < 0)
        return false;
    memcpy(ret_entry, index->tail + (size_t)slot * index->entry_size, index->entry_size);
    return true;
}

enum err index_lookup(struct segment *seg, struct index *index, int64_t key, bool may_block,
                      uint8_t *ret_entry, bool *ret_found)
{
    int32_t disk_count;
    *ret_found = search_tail(seg, index, key, ret_entry, &disk_count);
    if (*ret_found || disk_count == 0)
        return ERR_OK;
    struct log_file *file;
    enum err e = open_counted(seg, index, &file);
    if (e)
        return e;
    lock_acquire(&seg->log->view);
    disk_count = index->disk_count;
    lock_release(&seg->log->view);
    if (disk_count > 0)
        e = search_file(seg, index, file, disk_count, key, may_block, ret_entry, ret_found);
    log_file_unref(file);
    return e;
}

static int64_t entry_position(const uint8_t *entry)
{
    return get_be32(entry + 4);
}

/* The first of the tail's entries at or behind `position`. True: nothing in the file is nearer. */
static bool tail_from(struct segment *seg, struct index *index, int64_t position,
                      struct index_mark *ret)
{
    LOCK_SCOPE(&seg->log->view);
    int32_t slot = 0;
    while (slot < index->tail_count &&
           entry_position(index->tail + (size_t)slot * INDEX_ENTRY_SIZE) < position)
        slot++;
    ret->is_there = slot < index->tail_count;
    if (ret->is_there)
        ret->relative_offset = entry_offset(index, index->tail + (size_t)slot * INDEX_ENTRY_SIZE);
    return slot > 0 || index->disk_count == 0;
}

/* The first of the file's entries at or behind `position`, by reading one entry after the other. */
static enum err file_from(struct segment *seg, struct index *index, struct log_file *file,
                          int64_t position, bool may_block, struct index_mark *ret)
{
    uint8_t entry[TIMEINDEX_ENTRY_SIZE]; /* room for either kind, as entry_offset() takes both */
    lock_acquire(&seg->log->view);
    int32_t low = 0, count = index->disk_count, high = count;
    lock_release(&seg->log->view);
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        enum err e = read_entries(seg, index, file, middle, 1, may_block, entry);
        if (e)
            return e;
        if (entry_position(entry) < position)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count) /* the tail's, if that has one */
        return ERR_OK;
    enum err e = read_entries(seg, index, file, low, 1, may_block, entry);
    if (!e)
        *ret = (struct index_mark){true, entry_offset(index, entry)};
    return e;
}

enum err index_lookup_from(struct segment *seg, int64_t position, bool may_block,
                           struct index_mark *ret)
{
    struct index *index = &seg->offsets;
    struct index_mark mark = {0};
    struct log_file *file;
    if (tail_from(seg, index, position, &mark)) {
        *ret = mark;
        return ERR_OK;
    }
    enum err e = open_counted(seg, index, &file);
    if (e)
        return e;
    e = file_from(seg, index, file, position, may_block, &mark);
    log_file_unref(file);
    if (!e)
        *ret = mark;
    return e;
}

enum err index_last(struct segment *seg, struct index *index, uint8_t *ret_entry, bool *ret_found)
{
    return index_lookup(seg, index, INT64_MAX, true, ret_entry, ret_found);
}

int32_t index_count(const struct index *index)
{
    return (index->disk_count > 0 ? index->disk_count : 0) + index->tail_count;
}

void index_append(struct index *index, const uint8_t *entry)
{
    if (index->tail_count == index->tail_capacity) {
        index->tail_capacity = index->tail_capacity ? 2 * index->tail_capacity : 8;
        index->tail = mem_resize(index->tail, (size_t)index->tail_capacity * index->entry_size);
    }
    memcpy(index->tail + (size_t)index->tail_count * index->entry_size, entry, index->entry_size);
    index->tail_count++;
}

/* Only the holder of the log's lock changes an index, so the tail may be read without the view lock
 * here. */
enum err index_write(struct segment *seg, struct index *index)
{
    if (index->tail_count == 0)
        return ERR_OK;
    struct log_file *file;
    enum err e = open_counted(seg, index, &file);
    if (e)
        return e;
    size_t size = (size_t)index->tail_count * index->entry_size;
    if (file_write(log_file_fd(file), index->tail, size,
                   (int64_t)index->disk_count * index->entry_size) != 0)
        e = err_note_errno("write index of segment %020" PRId64, seg->base_offset);
    log_file_unref(file);
    if (e)
        return e;
    lock_acquire(&seg->log->view);
    index->disk_count += index->tail_count;
    index->tail_count = 0;
    index->tail_capacity = 0;
    free(TAKE(index->tail));
    lock_release(&seg->log->view);
    return ERR_OK;
}

static enum err cut_file(struct segment *seg, struct index *index, int32_t count)
{
    struct log_file *file;
    enum err e = open_counted(seg, index, &file);
    if (e == ERR_NO_SPACE && count == 0)
        return ERR_OK; /* there is no file and no room for one: nothing to cut */
    if (e)
        return e;
    struct stat st;
    int64_t size = (int64_t)count * index->entry_size;
    if (fstat(log_file_fd(file), &st) != 0 ||
        (st.st_size != size && file_ops->ftruncate(log_file_fd(file), size) != 0))
        e = err_note_errno("cut index of segment %020" PRId64, seg->base_offset);
    log_file_unref(file);
    return e;
}

enum err index_trim(struct segment *seg, struct index *index)
{
    enum err e = index_write(seg, index);
    if (!e && index->disk_count != INDEX_COUNT_UNKNOWN)
        e = cut_file(seg, index, index->disk_count);
    return e;
}

enum err index_reset(struct segment *seg, struct index *index)
{
    lock_acquire(&seg->log->view);
    index->disk_count = 0;
    index->tail_count = 0;
    lock_release(&seg->log->view);
    return cut_file(seg, index, 0);
}

/* How many entries of a sorted run have an offset below. Offsets never fall, so this may search. */
enum err index_truncate(struct segment *seg, struct index *index, int64_t relative_offset)
{
    enum err e = index_write(seg, index);
    if (e)
        return e;
    struct log_file *file;
    e = open_counted(seg, index, &file);
    if (e)
        return e;
    int32_t low = 0, high = index->disk_count;
    while (!e && low < high) {
        uint8_t entry[TIMEINDEX_ENTRY_SIZE];
        int32_t middle = low + (high - low) / 2;
        e = read_entries(seg, index, file, middle, 1, true, entry);
        if (!e && entry_offset(index, entry) < relative_offset)
            low = middle + 1;
        else
            high = middle;
    }
    log_file_unref(file);
    if (e)
        return e;
    lock_acquire(&seg->log->view);
    index->disk_count = low;
    lock_release(&seg->log->view);
    return cut_file(seg, index, low);
}

enum err index_sync(struct segment *seg, struct index *index)
{
    struct log_file *file;
    enum err e = open_index(seg, index, &file);
    if (e)
        return e;
    if (file_ops->fsync(log_file_fd(file)) != 0)
        e = err_note(ERR_IO, "fsync index of segment %020" PRId64 " failed", seg->base_offset);
    log_file_unref(file);
    return e;
}
