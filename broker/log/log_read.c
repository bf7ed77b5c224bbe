/* Reading: from an offset to the place of a slice, without touching records. The newest batches'
 * places are remembered, so a reader at the tail needs no I/O; others cost an index lookup and a
 * few batch heads. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "broker/log/file_ops.h"
#include "broker/log/segment.h"

#define PROBE_STEP_BYTES                                                                           \
    (128 * 1024)                 /* the kernel's read-ahead: a resident page tells of so many */
#define HOT_TAIL_BYTES (8 << 20) /* written so recently that it is in memory */

/* What a reader sees at one moment. */
struct read_view {
    struct segment_list *list;
    int64_t start, end; /* log offsets */
    int64_t active_size;
    bool has_first, has_upper;
    struct batch_place first; /* the batch that holds the offset, if remembered */
    struct batch_place upper; /* the batch that holds or follows the upper bound */
};

/* The place of the first remembered batch that ends at or above the offset. The marks are
 * contiguous, so it is certain only if a mark begins at or below the offset. */
static bool find_mark(const struct log *log, int64_t offset, struct batch_place *ret)
{
    for (int i = 0; i < log->marks_count; i++) {
        const struct batch_place *mark = &log->marks[i];
        if (mark->base_offset <= offset && offset <= mark->last_offset) {
            *ret = *mark;
            return true;
        }
    }
    return false;
}

static void take_view(struct log *log, int64_t offset, int64_t upper_offset, struct read_view *ret)
{
    LOCK_SCOPE(&log->view);
    ret->list = log->list;
    atomic_fetch_add(&log->list->refs, 1);
    ret->start = log_start_offset(log);
    ret->end = log_end_offset(log);
    ret->active_size = log_active(log)->size_bytes;
    ret->has_first = find_mark(log, offset, &ret->first);
    ret->has_upper = find_mark(log, upper_offset, &ret->upper);
}

/* Where the bytes end that a reader of the segment may have. */
static enum err upper_position(const struct read_view *view, int slot, int64_t upper_offset,
                               bool may_block, int64_t *ret)
{
    struct segment *seg = view->list->items[slot];
    bool is_active = slot == view->list->count - 1;
    int64_t size = is_active ? view->active_size : seg->size_bytes;
    *ret = size;
    if (upper_offset >= view->end ||
        (!is_active && view->list->items[slot + 1]->base_offset <= upper_offset))
        return ERR_OK;
    if (view->has_upper && view->upper.segment_base_offset == seg->base_offset) {
        *ret = view->upper.position;
        return ERR_OK;
    }
    struct batch_place place;
    enum err e = segment_seek(seg, upper_offset, size, may_block, &place);
    if (e)
        e = segment_step_over_tear(seg, place.position, size, e);
    *ret = place.position;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* The first batch at or above the offset: in its segment, or, after a gap, in one of the next. */
static enum err find_first(const struct read_view *view, int64_t offset, bool may_block,
                           int *ret_slot, struct batch_place *ret)
{
    int slot = segment_list_floor(view->list, offset);
    if (view->has_first &&
        view->list->items[slot]->base_offset == view->first.segment_base_offset) {
        *ret_slot = slot;
        *ret = view->first;
        return ERR_OK;
    }
    for (; slot < view->list->count; slot++) {
        struct segment *seg = view->list->items[slot];
        int64_t size = slot == view->list->count - 1 ? view->active_size : seg->size_bytes;
        enum err e = segment_seek(seg, offset, size, may_block, ret);
        if (e)
            e = segment_step_over_tear(seg, ret->position, size, e);
        if (e != ERR_NOT_FOUND) {
            *ret_slot = slot;
            return e;
        }
    }
    return ERR_NOT_FOUND;
}

/* One byte of every read-ahead step: in memory? With may_block the bytes are brought in. */
static enum err warm(struct log_file *file, int64_t position, int64_t size, bool may_block)
{
    int fd = log_file_fd(file);
    uint8_t byte;
    if (may_block)
        (void)!posix_fadvise(fd, position, size, POSIX_FADV_WILLNEED);
    for (int64_t at = position; at < position + size; at += PROBE_STEP_BYTES) {
        ssize_t n = file_read(fd, &byte, 1, at, may_block);
        if (n < 0)
            return !may_block && errno == EAGAIN ? ERR_AGAIN
                                                 : err_note_errno("read at %" PRId64, at);
    }
    ssize_t n = file_read(fd, &byte, 1, position + size - 1, may_block);
    if (n < 0)
        return !may_block && errno == EAGAIN
                   ? ERR_AGAIN
                   : err_note_errno("read at %" PRId64, position + size - 1);
    return ERR_OK;
}

static int64_t slice_size(const struct batch_place *first, int64_t end, int32_t max_bytes,
                          bool at_least_one)
{
    int64_t size = end - first->position;
    if (size > max_bytes)
        size = max_bytes;
    if (size < first->size_bytes)
        size = at_least_one ? first->size_bytes : 0; /* a fragment helps nobody */
    return size;
}

static enum err make_slice(const struct read_view *view, int slot, const struct batch_place *first,
                           int64_t end, int32_t max_bytes, bool at_least_one, bool may_block,
                           struct log_slice *ret)
{
    struct segment *seg = view->list->items[slot];
    if (first->position >= end)
        return ERR_OK; /* the batch reaches beyond the bound */
    int64_t size = slice_size(first, end, max_bytes, at_least_one);
    ret->first_offset = first->base_offset;
    ret->segment_base_offset = seg->base_offset;
    ret->position = first->position;
    ret->first_magic = first->magic;
    if (size <= 0)
        return ERR_OK;
    struct log_file *file;
    enum err e = segment_file_open(seg, &file);
    if (e)
        return e;
    bool is_hot = slot == view->list->count - 1 && view->has_first &&
                  view->active_size - first->position <= HOT_TAIL_BYTES;
    if (!is_hot)
        e = warm(file, first->position, size, may_block);
    if (e) {
        log_file_unref(file);
        return e;
    }
    ret->file = file;
    ret->size_bytes = (int32_t)size;
    return ERR_OK;
}

static enum err read_view(const struct read_view *view, int64_t offset, int64_t upper_offset,
                          int32_t max_bytes, bool at_least_one, bool may_block,
                          struct log_slice *ret)
{
    int slot;
    struct batch_place first;
    int64_t end = 0;
    if (offset >= upper_offset || offset == view->end)
        return ERR_OK;
    enum err e = find_first(view, offset, may_block, &slot, &first);
    if (e == ERR_NOT_FOUND)
        return ERR_OK; /* a gap up to the log end */
    if (!e)
        e = upper_position(view, slot, upper_offset, may_block, &end);
    if (!e)
        e = make_slice(view, slot, &first, end, max_bytes, at_least_one, may_block, ret);
    return e;
}

enum err log_read(struct log *log, int64_t offset, int64_t upper_offset, int32_t max_bytes,
                  bool at_least_one, bool may_block, struct log_slice *ret)
{
    struct log_slice slice = {.first_offset = offset, .first_magic = 2};
    enum err e = log_check_online(log);
    if (e)
        return e;
    struct read_view view = {0};
    take_view(log, offset, upper_offset, &view);
    if (offset < view.start || offset > view.end)
        e = err_note(ERR_OFFSET_OUT_OF_RANGE,
                     "offset %" PRId64 " of %s-%" PRId32 " is not in [%" PRId64 ", %" PRId64 "]",
                     offset, log->topic, log->partition, view.start, view.end);
    else
        e = read_view(&view, offset, upper_offset, max_bytes, at_least_one, may_block, &slice);
    segment_list_unref(view.list);
    /* A file that was cut or taken away under the reader is no fault of the disk: look again. */
    if (e == ERR_CORRUPT_MESSAGE && log_end_offset(log) < view.end)
        e = ERR_AGAIN;
    if (e == ERR_AGAIN)
        return e;
    if (e)
        return log_failed(log, err_wrap(e, "read %s-%" PRId32 " at %" PRId64, log->topic,
                                        log->partition, offset));
    *ret = slice;
    return ERR_OK;
}
