/* Walking over the batches of a segment, with a window that is read ahead: large where whole
 * batches are wanted (recovery, search by time), small where only heads are. */
#include <errno.h>
#include <inttypes.h>

#include "broker/log/file_ops.h"
#include "broker/log/segment.h"

#define WINDOW_BYTES       (256 * 1024)
#define HEADS_WINDOW_BYTES 4096
#define BATCH_SIZE_MIN     (BATCH_PREFIX_SIZE + 14) /* the smallest message of format 0 */

enum err segment_scan_begin(struct segment_scan *scan, struct segment *seg, int64_t position,
                            int64_t end, bool with_bytes)
{
    *scan = (struct segment_scan){.seg = seg,
                                  .position = position,
                                  .end = end,
                                  .with_bytes = with_bytes,
                                  .window_at = position};
    return segment_file_open(seg, &scan->file);
}

void segment_scan_end(struct segment_scan *scan)
{
    log_file_unref(scan->file);
    buf_done(&scan->window);
}

static bool window_holds(const struct segment_scan *scan, int64_t position, int64_t size)
{
    return position >= scan->window_at &&
           position + size <= scan->window_at + (int64_t)scan->window.size;
}

/* Bring `size` bytes at `position` into the window, and more behind them. False at the end of the
 * file. */
static enum err fill(struct segment_scan *scan, int64_t position, int64_t size, bool *ret_is_there)
{
    *ret_is_there = true;
    if (window_holds(scan, position, size))
        return ERR_OK;
    int64_t ahead = scan->with_bytes ? WINDOW_BYTES : HEADS_WINDOW_BYTES;
    int64_t want = size > ahead ? size : ahead;
    if (want > scan->end - position)
        want = scan->end - position;
    if (want < size) {
        *ret_is_there = false;
        return ERR_OK;
    }
    if ((int64_t)scan->window.capacity < want) {
        scan->window.size = 0;
        uint8_t *memory = mem_try((size_t)want);
        if (!memory)
            return err_note(ERR_NO_MEMORY, "a batch of %" PRId64 " bytes", want);
        free(scan->window.data);
        scan->window.data = memory;
        scan->window.capacity = (size_t)want;
    }
    ssize_t n = file_read(log_file_fd(scan->file), scan->window.data, (size_t)want, position, true);
    if (n < 0)
        return err_note_errno("read segment %020" PRId64 " at %" PRId64, scan->seg->base_offset,
                              position);
    scan->window_at = position;
    scan->window.size = (size_t)n;
    *ret_is_there = n >= size;
    return ERR_OK;
}

static enum err corrupt(const struct segment_scan *scan, const char *what)
{
    return err_note(ERR_CORRUPT_MESSAGE, "segment %020" PRId64 " at byte %" PRId64 ": %s",
                    scan->seg->base_offset, scan->position, what);
}

enum err segment_scan_next(struct segment_scan *scan, struct batch_info *ret, int64_t *ret_position,
                           struct slice *ret_batch)
{
    if (scan->position == scan->end)
        return ERR_NOT_FOUND;
    bool is_there;
    int64_t left = scan->end - scan->position;
    int64_t head = left < BATCH_HEADER_SIZE ? left : BATCH_HEADER_SIZE;
    if (head < BATCH_SIZE_MIN)
        return corrupt(scan, "too few bytes for a batch");
    enum err e = fill(scan, scan->position, head, &is_there);
    if (e)
        return e;
    if (!is_there)
        return corrupt(scan, "the file ends early");
    const uint8_t *at = scan->window.data + (scan->position - scan->window_at);
    if (batch_peek(slice_of(at, (size_t)head), ret) != ERR_OK)
        return corrupt(scan, "no batch begins here");
    if (ret->size_bytes > left)
        return corrupt(scan, "the batch is longer than the file");
    if (scan->with_bytes) {
        e = fill(scan, scan->position, ret->size_bytes, &is_there);
        if (e)
            return e;
        if (!is_there)
            return corrupt(scan, "the file ends early");
        *ret_batch = slice_of(scan->window.data + (scan->position - scan->window_at),
                              (size_t)ret->size_bytes);
    }
    *ret_position = scan->position;
    scan->position += ret->size_bytes;
    return ERR_OK;
}
