/* See segment.h. */
#include "broker/log/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/text_file.h"

static void index_init(struct index *index, enum segment_file file, uint8_t entry_size)
{
    index->file = file;
    index->entry_size = entry_size;
    index->disk_count = INDEX_COUNT_UNKNOWN;
}

/* Each segment draws its own jitter, so that partitions born together do not roll together. */
static int64_t draw_jitter(const struct log_config *config)
{
    int64_t bound = config->segment_jitter_ms < config->segment_ms ? config->segment_jitter_ms
                                                                   : config->segment_ms;
    if (bound <= 0)
        return 0;
    struct uuid random = uuid_random();
    return (int64_t)(get_be64(random.bytes + 8) % (uint64_t)bound);
}

struct segment *segment_new(struct log *log, int64_t base_offset)
{
    struct segment *seg = mem_new(struct segment);
    seg->log = log;
    seg->base_offset = base_offset;
    atomic_init(&seg->refs, 1);
    index_init(&seg->offsets, SEGMENT_INDEX, INDEX_ENTRY_SIZE);
    index_init(&seg->times, SEGMENT_TIMEINDEX, TIMEINDEX_ENTRY_SIZE);
    seg->max_timestamp = seg->first_timestamp = seg->last_time_entry = TIME_UNKNOWN;
    seg->max_timestamp_offset = base_offset;
    seg->created_ms = log_now_ms(log);
    seg->jitter_ms = draw_jitter(&log->config);
    return seg;
}

void segment_ref(struct segment *seg)
{
    atomic_fetch_add(&seg->refs, 1);
}

void segment_unref(struct segment *seg)
{
    if (!seg || atomic_fetch_sub(&seg->refs, 1) != 1)
        return;
    struct file_cache *files = seg->log->host->files;
    segment_forget_ahead(seg);
    file_cache_close(files, &seg->slot);
    file_cache_close(files, &seg->offsets.slot);
    file_cache_close(files, &seg->times.slot);
    free(seg->aborted);
    free(seg->offsets.tail);
    free(seg->times.tail);
    free(seg);
}

void segment_path(const struct segment *seg, enum segment_file file, char *ret_path, size_t size)
{
    char name[SEGMENT_FILE_NAME_SIZE];
    segment_file_name(seg->base_offset, file,
                      atomic_load(&seg->is_deleted) ? STATE_DELETED : STATE_PLAIN, name);
    log_path(seg->log, name, ret_path, size);
}

static enum err open_slot(struct segment *seg, enum segment_file file, bool create,
                          struct log_file **ret)
{
    struct file_slot *slot = file == SEGMENT_LOG     ? &seg->slot
                             : file == SEGMENT_INDEX ? &seg->offsets.slot
                                                     : &seg->times.slot;
    enum file_kind kind = file == SEGMENT_LOG ? FILE_SEGMENT : FILE_INDEX;
    struct log_file *open = file_cache_peek(seg->log->host->files, slot);
    if (open) {
        *ret = open;
        return ERR_OK;
    }
    char path[PATH_MAX];
    segment_path(seg, file, path, sizeof path);
    return file_cache_get(seg->log->host->files, slot, kind, path, create, ret);
}

enum err segment_file_open(struct segment *seg, struct log_file **ret_file)
{
    enum err e = open_slot(seg, SEGMENT_LOG, false, ret_file);
    if (e == ERR_NOT_FOUND) /* renamed away between the look at its name and the open */
        e = open_slot(seg, SEGMENT_LOG, false, ret_file);
    if (e == ERR_NOT_FOUND && !atomic_load(&seg->is_deleted))
        e = err_note(ERR_IO, "segment %020" PRId64 " of %s has no file", seg->base_offset,
                     atomic_load(&seg->log->path));
    return e == ERR_NOT_FOUND ? ERR_OFFSET_OUT_OF_RANGE : e;
}

static void remove_file(struct segment *seg)
{
    char path[PATH_MAX];
    file_cache_close(seg->log->host->files, &seg->slot);
    segment_path(seg, SEGMENT_LOG, path, sizeof path);
    file_ops->unlink(path);
}

/* A file left over from a roll that failed half way is emptied. Left over indexes need no such
 * care: nobody reads behind the entries that were counted, and they are cut at the segment's end.
 */
static enum err create_file(struct segment *seg)
{
    struct log_file *open;
    int64_t size = seg->log->config.preallocate ? seg->log->config.segment_bytes : 0;
    enum err e = open_slot(seg, SEGMENT_LOG, true, &open);
    if (e)
        return e;
    struct stat st;
    if (fstat(log_file_fd(open), &st) != 0 ||
        (st.st_size != 0 && file_ops->ftruncate(log_file_fd(open), 0) != 0) ||
        (size > 0 && file_ops->ftruncate(log_file_fd(open), size) != 0))
        e = err_note_errno("create segment %020" PRId64, seg->base_offset);
    log_file_unref(open);
    return e;
}

void segment_conceive(struct segment *seg)
{
    seg->offsets.disk_count = seg->times.disk_count = 0;
    seg->max_timestamp = seg->last_time_entry = seg->first_timestamp = NO_TIMESTAMP;
    atomic_store(&seg->is_unborn, true);
}

enum err segment_create(struct segment *seg)
{
    enum err e = create_file(seg);
    if (e) {
        remove_file(seg);
        return e;
    }
    segment_conceive(seg);
    atomic_store(&seg->is_unborn, false);
    seg->is_touched = true;
    atomic_store(&seg->log->names_unsynced, true);
    return ERR_OK;
}

enum err segment_head(struct segment *seg, struct log_file *file, int64_t position, int64_t size,
                      bool may_block, struct batch_info *ret)
{
    uint8_t head[BATCH_HEADER_SIZE];
    int64_t left = size - position;
    size_t want = left < BATCH_HEADER_SIZE ? (size_t)left : BATCH_HEADER_SIZE;
    ssize_t n = file_read(log_file_fd(file), head, want, position, may_block);
    if (n < 0 && errno == EAGAIN && !may_block)
        return ERR_AGAIN;
    if (n < 0)
        return err_note_errno("read segment %020" PRId64 " at %" PRId64, seg->base_offset,
                              position);
    enum err e = batch_peek(slice_of(head, (size_t)n), ret);
    if (e || ret->size_bytes > left)
        return err_note(ERR_CORRUPT_MESSAGE,
                        "%s: segment %020" PRId64 " holds no batch at byte %" PRId64,
                        atomic_load(&seg->log->path), seg->base_offset, position);
    return ERR_OK;
}

/* Where to begin the walk: the place of the index's entry for the offset, checked against the batch
 * there. An entry that lies is not followed: the walk begins at the front. */
static enum err seek_start(struct segment *seg, struct log_file *file, int64_t offset, int64_t size,
                           bool may_block, int64_t *ret_position)
{
    uint8_t entry[INDEX_ENTRY_SIZE];
    bool is_found;
    *ret_position = 0;
    int64_t relative = offset - seg->base_offset;
    enum err e = index_lookup(seg, &seg->offsets, relative, may_block, entry, &is_found);
    if (e || !is_found)
        return e;
    int64_t position = (int32_t)get_be32(entry + 4);
    int64_t entry_offset = seg->base_offset + (int32_t)get_be32(entry);
    if (position >= size)
        return ERR_OK;
    struct batch_info b;
    e = position < 0 ? ERR_CORRUPT_MESSAGE : segment_head(seg, file, position, size, may_block, &b);
    if (e && e != ERR_CORRUPT_MESSAGE)
        return e;
    if (e || b.base_offset > entry_offset || b.base_offset < seg->base_offset) {
        trace_warn("index entry is wrong and not used path=%s segment=%020" PRId64
                   " position=%" PRId64,
                   atomic_load(&seg->log->path), seg->base_offset, position);
        return ERR_OK;
    }
    *ret_position = position;
    return ERR_OK;
}

static enum err walk(struct segment *seg, struct log_file *file, int64_t offset, int64_t size,
                     bool may_block, int64_t position, struct batch_place *ret)
{
    ret->last_offset = seg->base_offset - 1;
    while (position < size) {
        struct batch_info b;
        enum err e = segment_head(seg, file, position, size, may_block, &b);
        ret->position = position;
        if (e)
            return e;
        if (b.last_offset >= offset) {
            *ret = (struct batch_place){.base_offset = b.base_offset,
                                        .last_offset = b.last_offset,
                                        .segment_base_offset = seg->base_offset,
                                        .position = position,
                                        .size_bytes = (int32_t)b.size_bytes,
                                        .magic = b.magic};
            return ERR_OK;
        }
        ret->last_offset = b.last_offset;
        position += b.size_bytes;
    }
    ret->position = size;
    return ERR_NOT_FOUND;
}

enum err segment_seek(struct segment *seg, int64_t offset, int64_t size, bool may_block,
                      struct batch_place *ret)
{
    ret->position = size;
    ret->last_offset = seg->base_offset - 1;
    if (size == 0)
        return ERR_NOT_FOUND;
    struct log_file *file;
    int64_t position;
    enum err e = segment_file_open(seg, &file);
    if (e)
        return e;
    e = seek_start(seg, file, offset, size, may_block, &position);
    if (!e)
        e = walk(seg, file, offset, size, may_block, position, ret);
    log_file_unref(file);
    return e;
}

/* --- timestamps --- */

enum err segment_first_timestamp(struct segment *seg, int64_t *ret)
{
    struct log_file *file;
    struct batch_info b;
    if (seg->first_timestamp == TIME_UNKNOWN && seg->size_bytes > 0) {
        enum err e = segment_file_open(seg, &file);
        if (e)
            return e;
        e = segment_head(seg, file, 0, seg->size_bytes, true, &b);
        log_file_unref(file);
        if (e)
            return e;
        seg->first_timestamp = b.max_timestamp;
    }
    *ret = seg->first_timestamp == TIME_UNKNOWN ? NO_TIMESTAMP : seg->first_timestamp;
    return ERR_OK;
}

/* The last time index entry, and for a segment that was not finished the batches behind it, hold
 * the answer. */
static enum err learn_max_timestamp(struct segment *seg)
{
    uint8_t entry[TIMEINDEX_ENTRY_SIZE];
    bool is_found;
    enum err e = index_last(seg, &seg->times, entry, &is_found);
    if (e)
        return e;
    lock_acquire(&seg->log->view);
    if (seg->last_time_entry == TIME_UNKNOWN) {
        int64_t timestamp = is_found ? (int64_t)get_be64(entry) : NO_TIMESTAMP;
        if (timestamp < 0) /* damage: nobody writes such an entry, TIME_UNKNOWN is among them */
            timestamp = NO_TIMESTAMP;
        seg->last_time_entry = timestamp;
        if (timestamp >= seg->max_timestamp) {
            seg->max_timestamp = timestamp;
            seg->max_timestamp_offset =
                seg->base_offset + (is_found ? (int32_t)get_be32(entry + 8) : 0);
        }
    }
    lock_release(&seg->log->view);
    return ERR_OK;
}

enum err segment_learn_times(struct segment *seg)
{
    return seg->last_time_entry == TIME_UNKNOWN ? learn_max_timestamp(seg) : ERR_OK;
}

enum err segment_max_timestamp(struct segment *seg, int64_t *ret_timestamp, int64_t *ret_offset)
{
    for (;;) {
        lock_acquire(&seg->log->view);
        int64_t timestamp = seg->max_timestamp;
        *ret_offset = seg->max_timestamp_offset;
        lock_release(&seg->log->view);
        if (timestamp != TIME_UNKNOWN) {
            *ret_timestamp = timestamp;
            return ERR_OK;
        }
        enum err e = learn_max_timestamp(seg);
        if (e)
            return e;
    }
}

int64_t segment_mtime_ms(struct segment *seg)
{
    char path[PATH_MAX];
    struct stat st;
    segment_path(seg, SEGMENT_LOG, path, sizeof path);
    if (stat(path, &st) != 0)
        return seg->created_ms;
    return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

/* --- indexes as the segment grows --- */

static int32_t max_entries(const struct segment *seg, const struct index *index)
{
    return seg->log->config.index_bytes / index->entry_size;
}

bool segment_indexes_full(const struct segment *seg)
{
    /* The last slot of the time index is kept for the entry at the segment's end. */
    return index_count(&seg->offsets) >= max_entries(seg, &seg->offsets) ||
           index_count(&seg->times) >= max_entries(seg, &seg->times) - 1;
}

static void put_time_entry(struct segment *seg, bool even_if_full)
{
    struct index *times = &seg->times;
    if (seg->max_timestamp < 0 || seg->max_timestamp <= seg->last_time_entry ||
        (!even_if_full && index_count(times) >= max_entries(seg, times) - 1))
        return;
    uint8_t entry[TIMEINDEX_ENTRY_SIZE];
    put_be64(entry, (uint64_t)seg->max_timestamp);
    put_be32(entry + 8, (uint32_t)(seg->max_timestamp_offset - seg->base_offset));
    index_append(times, entry);
    seg->last_time_entry = seg->max_timestamp;
}

static void put_offset_entry(struct segment *seg, int64_t last_offset, int64_t position)
{
    if (index_count(&seg->offsets) >= max_entries(seg, &seg->offsets))
        return;
    uint8_t entry[INDEX_ENTRY_SIZE];
    put_be32(entry, (uint32_t)(last_offset - seg->base_offset));
    put_be32(entry + 4, (uint32_t)position);
    index_append(&seg->offsets, entry);
}

void segment_note_batch(struct segment *seg, const struct batch_info *b, int64_t position)
{
    assert_held(&seg->log->view);
    seg->is_touched = true;
    if (position == 0)
        seg->first_timestamp = b->max_timestamp;
    if (b->max_timestamp > seg->max_timestamp) {
        seg->max_timestamp = b->max_timestamp;
        seg->max_timestamp_offset = b->last_offset;
    }
    if (seg->bytes_since_index > seg->log->config.index_interval_bytes) {
        put_offset_entry(seg, b->last_offset, position);
        put_time_entry(seg, false);
        seg->bytes_since_index = 0;
    }
    seg->bytes_since_index += b->size_bytes;
}

enum err segment_write_indexes(struct segment *seg)
{
    enum err e = index_write(seg, &seg->offsets);
    return e ? e : index_write(seg, &seg->times);
}

/* A preallocated file ends where its batches end; others hold no blocks behind them. */
static enum err trim_log(struct segment *seg)
{
    if (!seg->log->config.preallocate)
        return segment_give_back_ahead(seg);
    struct log_file *file;
    enum err e = segment_file_open(seg, &file);
    if (e)
        return e;
    if (file_ops->ftruncate(log_file_fd(file), seg->size_bytes) != 0)
        e = err_note_errno("cut segment %020" PRId64, seg->base_offset);
    log_file_unref(file);
    return e;
}

enum err segment_finish(struct segment *seg)
{
    if (atomic_load(&seg->is_unborn))
        return ERR_OK;
    if (seg->is_touched)
        atomic_store(&seg->is_end_unsynced, true);
    /* A segment that was never written in this run has its last entry already. */
    if (seg->max_timestamp != TIME_UNKNOWN && seg->last_time_entry != TIME_UNKNOWN) {
        lock_acquire(&seg->log->view);
        put_time_entry(seg, true);
        lock_release(&seg->log->view);
    }
    enum err e = index_trim(seg, &seg->offsets);
    if (!e)
        e = index_trim(seg, &seg->times);
    return e ? e : trim_log(seg);
}

enum err segment_truncate(struct segment *seg, int64_t position, int64_t offset)
{
    seg->is_touched = true;
    enum err e = index_truncate(seg, &seg->offsets, offset - seg->base_offset);
    if (!e)
        e = index_truncate(seg, &seg->times, offset - seg->base_offset);
    if (!e)
        e = txn_index_truncate(seg, offset);
    struct log_file *file = NULL;
    if (!e)
        e = segment_file_open(seg, &file);
    if (!e && file_ops->ftruncate(log_file_fd(file), position) != 0)
        e = err_note_errno("cut segment %020" PRId64 " at %" PRId64, seg->base_offset, position);
    log_file_unref(file);
    if (e)
        return e;
    segment_forget_ahead(seg);
    lock_acquire(&seg->log->view);
    seg->max_timestamp = seg->last_time_entry = TIME_UNKNOWN;
    seg->bytes_since_index = 0;
    if (position == 0)
        seg->first_timestamp = NO_TIMESTAMP;
    lock_release(&seg->log->view);
    return segment_max_timestamp(seg, &(int64_t){0}, &(int64_t){0});
}

enum err segment_sync(struct segment *seg, bool with_indexes)
{
    if (atomic_load(&seg->is_unborn))
        return ERR_OK;
    struct log_file *file;
    enum err e = segment_file_open(seg, &file);
    if (e)
        return e == ERR_OFFSET_OUT_OF_RANGE ? ERR_OK : e;
    if (file_ops->fdatasync(log_file_fd(file)) != 0)
        e = err_note(ERR_IO, "fsync segment %020" PRId64 " of %s: %s", seg->base_offset,
                     atomic_load(&seg->log->path), strerror(errno));
    log_file_unref(file);
    if (!with_indexes || atomic_load(&seg->is_deleted))
        return e;
    atomic_store(&seg->is_end_unsynced, false);
    if (!e)
        e = index_sync(seg, &seg->offsets);
    if (!e)
        e = index_sync(seg, &seg->times);
    if (!e && seg->has_txn_index) {
        char path[PATH_MAX];
        segment_path(seg, SEGMENT_TXNINDEX, path, sizeof path);
        e = path_sync(path);
    }
    /* Deleted meanwhile: nothing of it needs to be safe. */
    return e && atomic_load(&seg->is_deleted) ? ERR_OK : e;
}

enum err segment_mark_deleted(struct segment *seg)
{
    static const enum segment_file files[] = {SEGMENT_LOG, SEGMENT_INDEX, SEGMENT_TIMEINDEX,
                                              SEGMENT_TXNINDEX};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char from[PATH_MAX], name[SEGMENT_FILE_NAME_SIZE], to[PATH_MAX];
        atomic_store(&seg->is_deleted, false);
        segment_path(seg, files[i], from, sizeof from);
        segment_file_name(seg->base_offset, files[i], STATE_DELETED, name);
        log_path(seg->log, name, to, sizeof to);
        atomic_store(&seg->is_deleted, true);
        if (file_ops->rename(from, to) != 0 && errno != ENOENT)
            return err_note_errno("rename %s", from);
    }
    return ERR_OK;
}
