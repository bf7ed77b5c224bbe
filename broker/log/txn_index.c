/* The transaction index of a segment: the aborted transactions whose marker it holds, in order of
 * the markers.
 *
 *     version 2 = 0 | producerId 8 | firstOffset 8 | lastOffset 8 | lastStableOffset 8
 *
 * Rare and small: all entries are in memory from the moment the segment is opened, so that a reader
 * of committed records, who may be on an event loop, never waits for the disk. Written through. The
 * file is absent until the first abort. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>

#include "broker/log/file_ops.h"
#include "broker/log/segment.h"
#include "broker/log/text_file.h"

#define TXN_INDEX_VERSION 0

static void encode(const struct txn_index_entry *entry, uint8_t *ret)
{
    put_be16(ret, TXN_INDEX_VERSION);
    put_be64(ret + 2, (uint64_t)entry->producer_id);
    put_be64(ret + 10, (uint64_t)entry->first_offset);
    put_be64(ret + 18, (uint64_t)entry->last_offset);
    put_be64(ret + 26, (uint64_t)entry->last_stable_offset);
}

static struct txn_index_entry decode(const uint8_t *at)
{
    return (struct txn_index_entry){
        .producer_id = (int64_t)get_be64(at + 2),
        .first_offset = (int64_t)get_be64(at + 10),
        .last_offset = (int64_t)get_be64(at + 18),
        .last_stable_offset = (int64_t)get_be64(at + 26),
    };
}

static enum err open_txn_index(struct segment *seg, int flags, int *ret_fd)
{
    char path[PATH_MAX];
    segment_path(seg, SEGMENT_TXNINDEX, path, sizeof path);
    *ret_fd = file_ops->open(AT_FDCWD, path, O_RDWR | flags, 0644);
    if (*ret_fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    return *ret_fd < 0 ? err_note_errno("open %s", path) : ERR_OK;
}

static void remember(struct segment *seg, const struct txn_index_entry *entry)
{
    LOCK_SCOPE(&seg->log->view);
    seg->aborted = mem_grow(seg->aborted, &seg->aborted_capacity, seg->aborted_count + 1,
                            sizeof *seg->aborted);
    seg->aborted[seg->aborted_count++] = *entry;
}

/* Write behind the entries that are known. */
static enum err write_entry(struct segment *seg, int fd, const struct txn_index_entry *entry)
{
    uint8_t bytes[TXNINDEX_ENTRY_SIZE];
    off_t end = (off_t)(seg->aborted_count * TXNINDEX_ENTRY_SIZE);
    encode(entry, bytes);
    if (file_write(fd, bytes, sizeof bytes, end) == 0)
        return ERR_OK;
    enum err e = err_note_errno("write transaction index of segment %020" PRId64, seg->base_offset);
    if (file_ops->ftruncate(fd, end) != 0)
        e = err_note(ERR_IO, "cut transaction index of segment %020" PRId64, seg->base_offset);
    return e;
}

enum err txn_index_append(struct segment *seg, const struct txn_index_entry *entry)
{
    int fd;
    enum err e = open_txn_index(seg, O_CREAT, &fd);
    if (e)
        return e;
    e = write_entry(seg, fd, entry);
    file_ops->close(fd);
    if (!seg->has_txn_index)
        atomic_store(&seg->log->names_unsynced, true);
    seg->has_txn_index = true;
    if (!e)
        remember(seg, entry);
    return e;
}

/* Whole entries of a known version, none of a marker below the segment. */
static bool is_sane(const struct segment *seg, struct slice bytes)
{
    bool ret = bytes.size % TXNINDEX_ENTRY_SIZE == 0;
    for (size_t at = 0; ret && at < bytes.size; at += TXNINDEX_ENTRY_SIZE)
        ret = get_be16(bytes.data + at) == TXN_INDEX_VERSION &&
              decode(bytes.data + at).last_offset >= seg->base_offset;
    return ret;
}

enum err txn_index_load(struct segment *seg)
{
    char path[PATH_MAX];
    struct buf bytes = {0};
    if (!seg->has_txn_index)
        return ERR_OK;
    segment_path(seg, SEGMENT_TXNINDEX, path, sizeof path);
    enum err e = text_file_read(AT_FDCWD, path, &bytes);
    if (!e && !is_sane(seg, buf_slice(&bytes)))
        e = err_note(ERR_MALFORMED, "%s holds what is no transaction index", path);
    for (size_t at = 0; !e && at < bytes.size; at += TXNINDEX_ENTRY_SIZE) {
        struct txn_index_entry entry = decode(bytes.data + at);
        remember(seg, &entry);
    }
    buf_done(&bytes);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err txn_index_truncate(struct segment *seg, int64_t offset)
{
    if (!seg->has_txn_index)
        return ERR_OK;
    lock_acquire(&seg->log->view);
    size_t keep = 0;
    while (keep < seg->aborted_count && seg->aborted[keep].last_offset < offset)
        keep++;
    seg->aborted_count = keep;
    lock_release(&seg->log->view);
    int fd;
    enum err e = open_txn_index(seg, 0, &fd);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (file_ops->ftruncate(fd, (off_t)(keep * TXNINDEX_ENTRY_SIZE)) != 0)
        e = err_note_errno("cut transaction index of segment %020" PRId64, seg->base_offset);
    file_ops->close(fd);
    return e;
}
