/* A segment that ends in the middle of a batch. That is no damage which hides something else: the
 * bytes behind the last whole batch never were a record that anybody can have. The newest segment
 * is cut there when it is opened (log_load.c). In an older one, which nobody appends to, the piece
 * stays, and readers step over it to the next segment, as the JVM broker's do.
 *
 * A batch that says an impossible length is damage and no tear: what follows it may be records. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/segment.h"

#define BATCH_LENGTH_MIN 14 /* of a message of format 0 */

bool segment_is_torn_at(struct segment *seg, int64_t position, int64_t size)
{
    uint8_t head[BATCH_MAGIC_AT + 1];
    int64_t left = size - position;
    int64_t want = left < (int64_t)sizeof head ? left : (int64_t)sizeof head;
    struct log_file *file;
    if (left <= 0 || segment_file_open(seg, &file) != ERR_OK)
        return false;
    ssize_t n = file_read(log_file_fd(file), head, (size_t)want, position, true);
    log_file_unref(file);
    if (n < want)
        return false; /* cut under the reader */
    return want < (int64_t)sizeof head ||
           (batch_length(head) >= BATCH_LENGTH_MIN && batch_size(head) > left);
}

static bool is_active(struct segment *seg)
{
    LOCK_SCOPE(&seg->log->view);
    return log_active(seg->log) == seg;
}

enum err segment_step_over_tear(struct segment *seg, int64_t position, int64_t size, enum err e)
{
    if (e != ERR_CORRUPT_MESSAGE || is_active(seg) || !segment_is_torn_at(seg, position, size))
        return e;
    if (!atomic_exchange(&seg->is_tear_told, true))
        trace_warn("segment ends inside a batch, readers go on with the next one topic=%s "
                   "partition=%" PRId32 " segment=%020" PRId64 " whole_bytes=%" PRId64
                   " bytes=%" PRId64,
                   seg->log->topic, seg->log->partition, seg->base_offset, position, size);
    return ERR_NOT_FOUND;
}
