/* Disk space ahead of the newest segment's end. Where blocks are there already, a write into the
 * page cache need not book them one by one, as a file system with delayed allocation does
 * otherwise: on ext4 about a tenth of what a loaded broker costs the processor beside the copying
 * itself. The file's size stays (no reader, no retention and no other broker sees a difference),
 * and what lies behind the end is given back when the segment ends, when the log rests, and at an
 * orderly stop; after a crash the recovery does it.
 *
 * A step is as long as the segment so far, within bounds, so that thousands of small logs take
 * nothing. It is a wish and never a need: all logs of a directory together hold no more than a
 * share of its free room, below a margin nobody takes any and all is given back
 * (log_dir_gives_back_ahead()), and a disk that refuses is not asked again for a while. */
#include <inttypes.h>
#include <sys/stat.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_dir.h"
#include "broker/log/segment.h"

#define STEP_MAX_BYTES   (16 << 20)
#define SHARE_OF_ROOM    16 /* what all logs hold ahead is no more than this part of it */
#define STAT_BLOCK_BYTES 512
#define OWN_BLOCKS_MAX   (64 << 10) /* beside its data: rounding, and what maps the blocks */
#define REFUSED_PAUSE_MS 60000

static void count(struct segment *seg, int64_t bytes)
{
    atomic_fetch_add(&seg->log->dir->ahead_bytes, bytes - seg->ahead_bytes);
    seg->ahead_bytes = bytes;
}

void segment_forget_ahead(struct segment *seg)
{
    count(seg, 0);
    seg->ahead_to = 0;
}

static int64_t next_step_end(const struct segment *seg, int64_t end)
{
    int64_t step = end < STEP_MAX_BYTES ? end : STEP_MAX_BYTES;
    int64_t limit = seg->log->config.segment_bytes;
    return end > limit - step ? limit : end + step;
}

static bool may_take(struct segment *seg, int fd, int64_t bytes)
{
    struct log_dir *dir = seg->log->dir;
    if (clock_mono_ms(seg->log->host->clock) < atomic_load(&dir->no_ahead_until_ms))
        return false;
    int64_t room = file_ops->room_ahead(fd) - AHEAD_MARGIN_BYTES;
    return room > 0 && (atomic_load(&dir->ahead_bytes) + bytes) <= room / SHARE_OF_ROOM;
}

void segment_refuse_ahead(struct segment *seg)
{
    atomic_store(&seg->log->dir->no_ahead_until_ms,
                 clock_mono_ms(seg->log->host->clock) + REFUSED_PAUSE_MS);
}

void segment_take_ahead(struct segment *seg, struct log_file *file, int64_t end)
{
    if (end <= seg->ahead_to || end < AHEAD_FROM_BYTES || seg->log->config.preallocate)
        return;
    int fd = log_file_fd(file);
    int64_t to = next_step_end(seg, end);
    if (to <= end)
        return;
    count(seg, 0);
    seg->ahead_to = to; /* taken or not: the next look is there */
    if (!may_take(seg, fd, to - end))
        return;
    count(seg, to - end); /* also where only a part of it is given */
    if (file_ops->allocate(fd, seg->size_bytes, to - seg->size_bytes) != 0)
        segment_refuse_ahead(seg);
}

enum err segment_give_back_ahead(struct segment *seg)
{
    if (seg->ahead_bytes == 0)
        return ERR_OK;
    struct log_file *file;
    enum err e = segment_file_open(seg, &file);
    if (e)
        return e;
    if (file_ops->ftruncate(log_file_fd(file), seg->size_bytes) != 0)
        e = err_note_errno("give back what segment %020" PRId64 " does not use", seg->base_offset);
    log_file_unref(file);
    if (!e)
        segment_forget_ahead(seg);
    return e;
}

enum err segment_give_back_found(struct segment *seg)
{
    struct log_file *file;
    struct stat st;
    enum err e = segment_file_open(seg, &file);
    if (e)
        return e;
    if (fstat(log_file_fd(file), &st) == 0 && st.st_size == seg->size_bytes &&
        st.st_blocks * STAT_BLOCK_BYTES > seg->size_bytes + OWN_BLOCKS_MAX &&
        file_ops->ftruncate(log_file_fd(file), seg->size_bytes) != 0)
        e = err_note_errno("give back what segment %020" PRId64 " did not use", seg->base_offset);
    log_file_unref(file);
    return e;
}

void log_give_back_ahead(struct log *log)
{
    LOCK_SCOPE(&log->lock);
    enum err e = log->is_closed ? ERR_OK : segment_give_back_ahead(log_active(log));
    if (e)
        trace_warn("disk space not given back topic=%s partition=%" PRId32 " error=\"%s\"",
                   log->topic, log->partition, err_sentence(e));
}

bool log_dir_gives_back_ahead(struct log_dir *dir, int64_t now_mono_ms)
{
    if (!atomic_load(&dir->is_online) || atomic_load(&dir->ahead_bytes) == 0)
        return false;
    if (file_ops->room_ahead(dir->lock_fd) < AHEAD_MARGIN_BYTES)
        atomic_store(&dir->no_ahead_until_ms, now_mono_ms + REFUSED_PAUSE_MS);
    return now_mono_ms < atomic_load(&dir->no_ahead_until_ms);
}
