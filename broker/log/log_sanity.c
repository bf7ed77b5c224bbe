/* What the JVM broker looks at in each segment that it does not read: are the indexes there, and
 * can they be what they say? A segment that fails is read whole and its indexes are made again. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_load.h"

struct index_kind {
    enum segment_file file;
    int entry_size, offset_at; /* where an entry holds its relative offset, 4 bytes */
};

static const struct index_kind kinds[] = {
    {SEGMENT_INDEX, INDEX_ENTRY_SIZE, 0},
    {SEGMENT_TIMEINDEX, TIMEINDEX_ENTRY_SIZE, 8},
};

/* The segment's records may be of the year 1970, and its only time entry so; an offset entry never
 * names the segment's first byte. */
static bool may_be_zero(struct segment *seg, const struct index_kind *kind, int64_t count)
{
    int64_t timestamp;
    return kind->file == SEGMENT_TIMEINDEX && count == 1 &&
           segment_first_timestamp(seg, &timestamp) == ERR_OK && timestamp == 0;
}

/* Whole entries, and the last one neither below the segment's base nor from before 1970. Entries
 * that an index file was grown by and never used are zeros. */
static bool entries_are_sane(struct segment *seg, int fd, const struct index_kind *kind)
{
    uint8_t last[TIMEINDEX_ENTRY_SIZE];
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size % kind->entry_size != 0)
        return false;
    int64_t count = st.st_size / kind->entry_size;
    if (count == 0)
        return true;
    if (file_read(fd, last, (size_t)kind->entry_size, (count - 1) * kind->entry_size, true) !=
        kind->entry_size)
        return false;
    bool is_zero = true;
    for (int i = 0; i < kind->entry_size; i++)
        is_zero &= last[i] == 0;
    bool is_below_zero = kind->file == SEGMENT_TIMEINDEX && (int64_t)get_be64(last) < 0;
    return (int32_t)get_be32(last + kind->offset_at) >= 0 && !is_below_zero &&
           (!is_zero || may_be_zero(seg, kind, count));
}

/* ret: NULL, or what is wrong. The JVM broker takes a missing time index for an empty one and then
 * searches whole segments; made again it answers the same, and at once. */
static enum err look_at_index(struct segment *seg, const struct index_kind *kind, const char **ret)
{
    char path[PATH_MAX];
    segment_path(seg, kind->file, path, sizeof path);
    int fd = file_ops->open(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0 && errno != ENOENT)
        return err_note_errno("open %s", path);
    if (fd < 0) {
        *ret = "missing";
        return ERR_OK;
    }
    if (!entries_are_sane(seg, fd, kind))
        *ret = "damaged";
    file_ops->close(fd);
    return ERR_OK;
}

enum err log_check_indexes(struct log *log, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        struct segment *seg = log->list->items[i];
        const char *fault = NULL;
        enum err e = ERR_OK;
        for (size_t k = 0; !e && !fault && seg->size_bytes > 0 && k < ARRAY_SIZE(kinds); k++)
            e = look_at_index(seg, &kinds[k], &fault);
        if (!e && fault) {
            trace_warn("index is %s and made again topic=%s partition=%" PRId32
                       " segment=%020" PRId64,
                       fault, log->topic, log->partition, seg->base_offset);
            e = log_rebuild_indexes(log, seg);
        }
        if (e)
            return e;
    }
    return ERR_OK;
}

enum err log_load_txn_indexes(struct log *log, int count)
{
    assert_held(&log->lock);
    for (int i = 0; i < count; i++) {
        enum err e = txn_index_load(log->list->items[i]);
        if (e == ERR_MALFORMED) {
            trace_warn("transaction index is damaged and made again topic=%s partition=%" PRId32
                       " segment=%020" PRId64,
                       log->topic, log->partition, log->list->items[i]->base_offset);
            e = log_rebuild_txn_index(log, log->list->items[i]);
        }
        if (e)
            return e;
    }
    return ERR_OK;
}
