/* The transaction index of a segment: the aborted transactions whose marker it holds, in order of
 * the markers.
 *
 *     version 2 = 0 | producerId 8 | firstOffset 8 | lastOffset 8 | lastStableOffset 8
 *
 * Rare and small, so it is read and written without a cache. Absent until the first abort. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

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

enum err txn_index_append(struct segment *seg, const struct txn_index_entry *entry)
{
    int fd;
    enum err e = open_txn_index(seg, O_CREAT, &fd);
    if (e)
        return e;
    uint8_t bytes[TXNINDEX_ENTRY_SIZE];
    encode(entry, bytes);
    struct stat st;
    if (fstat(fd, &st) != 0) {
        e = err_note_errno("stat transaction index of segment %020" PRId64, seg->base_offset);
    } else {
        int64_t end = st.st_size - st.st_size % TXNINDEX_ENTRY_SIZE;
        if (file_write(fd, bytes, sizeof bytes, end) != 0) {
            e = err_note_errno("write transaction index of segment %020" PRId64, seg->base_offset);
            if (file_ops->ftruncate(fd, end) != 0)
                e = err_note(ERR_IO, "cut transaction index of segment %020" PRId64,
                             seg->base_offset);
        }
    }
    file_ops->close(fd);
    seg->has_txn_index = true;
    return e;
}

enum err txn_index_read(struct segment *seg, struct txn_index_entry **ret, size_t *ret_count)
{
    *ret = NULL;
    *ret_count = 0;
    if (!seg->has_txn_index)
        return ERR_OK;
    char path[PATH_MAX];
    segment_path(seg, SEGMENT_TXNINDEX, path, sizeof path);
    struct buf bytes = {0};
    enum err e = text_file_read(AT_FDCWD, path, &bytes);
    if (e == ERR_NOT_FOUND)
        e = ERR_OK;
    size_t count = bytes.size / TXNINDEX_ENTRY_SIZE;
    if (!e && count > 0) {
        *ret = mem_new_array(struct txn_index_entry, count);
        *ret_count = count;
        for (size_t i = 0; i < count; i++)
            (*ret)[i] = decode(bytes.data + i * TXNINDEX_ENTRY_SIZE);
    }
    buf_done(&bytes);
    return e;
}

enum err txn_index_truncate(struct segment *seg, int64_t offset)
{
    struct txn_index_entry *entries;
    size_t count;
    enum err e = txn_index_read(seg, &entries, &count);
    if (e || !seg->has_txn_index)
        return e;
    size_t keep = 0;
    while (keep < count && entries[keep].last_offset < offset)
        keep++;
    free(entries);
    int fd;
    e = open_txn_index(seg, 0, &fd);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    if (file_ops->ftruncate(fd, (off_t)(keep * TXNINDEX_ENTRY_SIZE)) != 0)
        e = err_note_errno("cut transaction index of segment %020" PRId64, seg->base_offset);
    file_ops->close(fd);
    return e;
}
