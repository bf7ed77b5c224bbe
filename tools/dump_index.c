/* The small files beside a .log, and the common things of a dump. */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/crc32c.h"
#include "broker/log/checkpoint_file.h"
#include "tools/dump_log.h"

#define OFFSET_ENTRY_SIZE   8  /* relative offset 4, position 4 */
#define TIME_ENTRY_SIZE     12 /* timestamp 8, relative offset 4 */
#define TXN_ENTRY_SIZE      34
#define SNAPSHOT_HEAD_SIZE  10
#define SNAPSHOT_ENTRY_SIZE 46

enum err mapped_open(const char *path, struct mapped *ret)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        enum err e = err_note_errno("%s", path);
        if (fd >= 0)
            close(fd);
        return e;
    }
    *ret = (struct mapped){.bytes = slice_of("", 0)};
    enum err e = ERR_OK;
    if (st.st_size > 0) {
        void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (at == MAP_FAILED)
            e = err_note_errno("map %s", path);
        else
            ret->bytes = slice_of(at, (size_t)st.st_size);
    }
    close(fd);
    return e;
}

void mapped_close(struct mapped *mapped)
{
    if (mapped->bytes.size > 0)
        munmap((void *)mapped->bytes.data, mapped->bytes.size);
    mapped->bytes = SLICE_NULL;
}

static size_t stem_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return (size_t)(name - path) + strcspn(name, ".");
}

char *dump_sibling(const char *path, const char *suffix)
{
    return mem_printf("%.*s%s", (int)stem_size(path), path, suffix);
}

enum err dump_base_offset(const char *path, int64_t *ret_offset)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (!slice_to_int64(slice_of(name, strcspn(name, ".")), ret_offset))
        return err_note(ERR_MALFORMED, "%s: the name does not begin with an offset", path);
    return ERR_OK;
}

/* The position of the last entry at or below the offset. */
static uint32_t lookup(struct slice index, int64_t base_offset, int64_t offset)
{
    uint32_t position = 0;
    for (size_t at = 0; at + OFFSET_ENTRY_SIZE <= index.size; at += OFFSET_ENTRY_SIZE) {
        int64_t found = base_offset + (int32_t)get_be32(index.data + at);
        if (found > offset || (found == base_offset && at > 0))
            break;
        position = get_be32(index.data + at + 4);
    }
    return position;
}

static struct slice from(struct slice s, uint32_t position)
{
    return position >= s.size ? slice_of(s.data, 0)
                              : slice_of(s.data + position, s.size - position);
}

/* What the broker asks of an index when it starts: whole entries, the last not below the first. */
static enum err check_size(const char *path, struct slice index, size_t entry_size)
{
    if (index.size % entry_size == 0)
        return ERR_OK;
    return err_note(ERR_MALFORMED,
                    "Index file %s is corrupt, found %zu bytes which is neither positive nor a "
                    "multiple of %zu",
                    path, index.size, entry_size);
}

static enum err check_offsets(const char *path, struct slice index, int64_t base_offset)
{
    const uint8_t *last = index.data + (index.size / OFFSET_ENTRY_SIZE - 1) * OFFSET_ENTRY_SIZE;
    int64_t offset = base_offset + (int32_t)get_be32(last);
    if (offset < base_offset)
        return err_note(
            ERR_MALFORMED,
            "Corrupt index found, index file (%s) has non-zero size but the last offset "
            "is %" PRId64 " which is less than the base offset %" PRId64,
            path, offset, base_offset);
    return check_size(path, index, OFFSET_ENTRY_SIZE);
}

static enum err check_times(const char *path, struct slice times, int64_t base_offset)
{
    size_t count = times.size / TIME_ENTRY_SIZE;
    const uint8_t *last = times.data + (count - (count > 0)) * TIME_ENTRY_SIZE;
    int64_t first_timestamp = count ? (int64_t)get_be64(times.data) : 0;
    int64_t last_timestamp = count ? (int64_t)get_be64(last) : 0;
    int64_t last_offset = base_offset + (count ? (int32_t)get_be32(last + 8) : 0);
    if (last_timestamp < first_timestamp)
        return err_note(ERR_MALFORMED,
                        "Corrupt time index found, time index file (%s) has non-zero size but the "
                        "last timestamp is %" PRId64
                        " which is less than the first timestamp %" PRId64,
                        path, last_timestamp, first_timestamp);
    if (last_offset < base_offset)
        return err_note(ERR_MALFORMED,
                        "Corrupt time index found, time index file (%s) has non-zero size but the "
                        "last offset is %" PRId64 " which is less than the first offset %" PRId64,
                        path, last_offset, base_offset);
    return check_size(path, times, TIME_ENTRY_SIZE);
}

static enum err walk_offset_index(struct dump *dump, const char *path, int64_t base_offset,
                                  struct slice index, struct slice log)
{
    bool is_first_mismatch = true;
    for (size_t at = 0; at + OFFSET_ENTRY_SIZE <= index.size; at += OFFSET_ENTRY_SIZE) {
        struct batch_info info;
        int64_t offset = base_offset + (int32_t)get_be32(index.data + at);
        uint32_t position = get_be32(index.data + at + 4);
        if (offset == base_offset && at > 0)
            return ERR_OK; /* the rest was set aside and not used yet */
        enum err e = dump_next_batch(from(log, position), &info);
        if (e)
            return err_note(ERR_MALFORMED, "%s: no batch begins at position %" PRIu32, path,
                            position);
        if (info.last_offset != offset) {
            if (is_first_mismatch)
                buf_printf(&dump->index_mismatches, "Mismatches in :%s\n", path);
            is_first_mismatch = false;
            buf_printf(&dump->index_mismatches,
                       "  Index offset: %" PRId64 ", log offset: %" PRId64 "\n", offset,
                       info.last_offset);
        }
        if (!dump->options.verify_only)
            fprintf(dump->out, "offset: %" PRId64 " position: %" PRIu32 "\n", offset, position);
    }
    return ERR_OK;
}

enum err dump_offset_index(struct dump *dump, const char *path)
{
    struct mapped index = {0}, log = {0};
    int64_t base_offset;
    OWNED_MEM char *log_path = dump_sibling(path, ".log");
    enum err e = dump_base_offset(path, &base_offset);
    if (!e)
        e = mapped_open(path, &index);
    if (!e)
        e = mapped_open(log_path, &log);
    if (!e && index.bytes.size < OFFSET_ENTRY_SIZE) {
        fprintf(dump->out, "%s is empty.\n", path);
    } else if (!e && dump->options.sanity_only) {
        e = check_offsets(path, index.bytes, base_offset);
        if (!e)
            fprintf(dump->out, "%s passed sanity check.\n", path);
    } else if (!e) {
        e = walk_offset_index(dump, path, base_offset, index.bytes, log.bytes);
    }
    mapped_close(&index);
    mapped_close(&log);
    return e;
}

struct time_faults {
    struct buf mismatches, disorder, absent;
};

static void check_time_entry(struct time_faults *faults, struct slice log, int64_t timestamp,
                             int64_t offset, int64_t previous)
{
    struct batch_info info = {.last_offset = -1};
    int64_t latest = NO_TIMESTAMP;
    enum err e;
    while (!(e = dump_next_batch(log, &info)) && info.last_offset < offset)
        log = slice_of(log.data + info.size_bytes, log.size - (size_t)info.size_bytes);
    if (e || info.last_offset != offset) {
        buf_printf(&faults->absent, "Indexed offset: %" PRId64 ", found log offset: %" PRId64 "\n",
                   offset, e ? -1 : info.last_offset);
        return;
    }
    if (dump_max_timestamp(log.data, &latest) || latest != timestamp)
        buf_printf(&faults->mismatches,
                   "  Index timestamp: %" PRId64 ", log timestamp: %" PRId64 "\n", timestamp,
                   latest);
    if (previous >= timestamp)
        buf_printf(&faults->disorder,
                   "  Index timestamp: %" PRId64 ", Previously indexed timestamp: %" PRId64 "\n",
                   timestamp, previous);
}

static void note_faults(struct dump *dump, const char *path, struct time_faults *faults)
{
    if (faults->mismatches.size > 0)
        buf_printf(&dump->time_mismatches, "Found timestamp mismatch in :%s\n%.*s", path,
                   SLICE_ARG(buf_slice(&faults->mismatches)));
    if (faults->disorder.size > 0)
        buf_printf(&dump->time_mismatches, "Found out of order timestamp in :%s\n%.*s", path,
                   SLICE_ARG(buf_slice(&faults->disorder)));
    if (faults->absent.size > 0)
        buf_printf(&dump->time_mismatches,
                   "The following indexed offsets are not found in the log.\n%.*s",
                   SLICE_ARG(buf_slice(&faults->absent)));
    buf_done(&faults->mismatches);
    buf_done(&faults->disorder);
    buf_done(&faults->absent);
}

static void walk_time_index(struct dump *dump, const char *path, int64_t base_offset,
                            struct slice times, struct slice index, struct slice log)
{
    struct time_faults faults = {0};
    int64_t previous = NO_TIMESTAMP;
    for (size_t at = 0; at + TIME_ENTRY_SIZE <= times.size; at += TIME_ENTRY_SIZE) {
        int64_t timestamp = (int64_t)get_be64(times.data + at);
        int64_t offset = base_offset + (int32_t)get_be32(times.data + at + 8);
        if (offset == base_offset && at > 0)
            break; /* the rest was set aside and not used yet */
        check_time_entry(&faults, from(log, lookup(index, base_offset, offset)), timestamp, offset,
                         previous);
        if (!dump->options.verify_only)
            fprintf(dump->out, "timestamp: %" PRId64 " offset: %" PRId64 "\n", timestamp, offset);
        previous = timestamp;
    }
    note_faults(dump, path, &faults);
}

enum err dump_time_index(struct dump *dump, const char *path)
{
    struct mapped times = {0}, index = {0}, log = {0};
    int64_t base_offset;
    OWNED_MEM char *log_path = dump_sibling(path, ".log");
    OWNED_MEM char *index_path = dump_sibling(path, ".index");
    enum err e = dump_base_offset(path, &base_offset);
    if (!e)
        e = mapped_open(path, &times);
    if (!e)
        e = mapped_open(index_path, &index);
    if (!e)
        e = mapped_open(log_path, &log);
    if (!e && dump->options.sanity_only) {
        e = check_times(path, times.bytes, base_offset);
        if (!e)
            fprintf(dump->out, "%s passed sanity check.\n", path);
    } else if (!e) {
        walk_time_index(dump, path, base_offset, times.bytes, index.bytes, log.bytes);
    }
    mapped_close(&times);
    mapped_close(&index);
    mapped_close(&log);
    return e;
}

enum err dump_txn_index(struct dump *dump, const char *path)
{
    struct mapped file;
    enum err e = mapped_open(path, &file);
    if (e)
        return e;
    size_t at = 0;
    for (; !e && at + TXN_ENTRY_SIZE <= file.bytes.size; at += TXN_ENTRY_SIZE) {
        const uint8_t *b = file.bytes.data + at;
        if (get_be16(b) != 0) {
            e = err_note(ERR_MALFORMED, "%s: an entry of the unknown version %d", path,
                         (int16_t)get_be16(b));
            break;
        }
        fprintf(dump->out,
                "version: 0 producerId: %" PRId64 " firstOffset: %" PRId64 " lastOffset: %" PRId64
                " lastStableOffset: %" PRId64 "\n",
                (int64_t)get_be64(b + 2), (int64_t)get_be64(b + 10), (int64_t)get_be64(b + 18),
                (int64_t)get_be64(b + 26));
    }
    if (!e && at < file.bytes.size)
        e = err_note(ERR_MALFORMED, "%s ends within an entry", path);
    mapped_close(&file);
    return e;
}

static enum err check_snapshot(const char *path, struct slice s)
{
    if (s.size < SNAPSHOT_HEAD_SIZE)
        return err_note(ERR_MALFORMED, "Snapshot file '%s' is corrupt: it is too short", path);
    if (get_be16(s.data) != 1)
        return err_note(ERR_MALFORMED, "Snapshot contained an unknown file version %d",
                        (int16_t)get_be16(s.data));
    uint32_t crc = crc32c(0, s.data + 6, s.size - 6);
    if (get_be32(s.data + 2) != crc)
        return err_note(ERR_MALFORMED,
                        "Snapshot is corrupt (CRC is no longer valid). Stored crc: %" PRIu32
                        ". Computed crc: %" PRIu32,
                        get_be32(s.data + 2), crc);
    uint32_t count = get_be32(s.data + 6);
    if ((s.size - SNAPSHOT_HEAD_SIZE) / SNAPSHOT_ENTRY_SIZE < count)
        return err_note(ERR_MALFORMED, "%s ends before its %" PRIu32 " entries", path, count);
    return ERR_OK;
}

/* Sequence numbers wrap below 0 to INT32_MAX. */
static int32_t first_sequence(int32_t last_sequence, int32_t delta)
{
    int64_t first = (int64_t)last_sequence - delta;
    return (int32_t)(first < 0 && delta > 0 ? first + INT32_MAX + 1 : first);
}

enum err dump_snapshot(struct dump *dump, const char *path)
{
    struct mapped file;
    enum err e = mapped_open(path, &file);
    if (e)
        return e;
    e = check_snapshot(path, file.bytes);
    uint32_t count = e ? 0 : get_be32(file.bytes.data + 6);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *b = file.bytes.data + SNAPSHOT_HEAD_SIZE + i * SNAPSHOT_ENTRY_SIZE;
        int32_t last_sequence = (int32_t)get_be32(b + 10);
        int32_t delta = (int32_t)get_be32(b + 22);
        int64_t last_offset = (int64_t)get_be64(b + 14), txn = (int64_t)get_be64(b + 38);
        int64_t timestamp = (int64_t)get_be64(b + 26);
        fprintf(dump->out,
                "producerId: %" PRId64 " producerEpoch: %d coordinatorEpoch: %" PRId32
                " currentTxnFirstOffset: ",
                (int64_t)get_be64(b), (int16_t)get_be16(b + 8), (int32_t)get_be32(b + 34));
        if (txn >= 0)
            fprintf(dump->out, "OptionalLong[%" PRId64 "]", txn);
        else
            fprintf(dump->out, "OptionalLong.empty");
        fprintf(dump->out, " lastTimestamp: %" PRId64 " ", timestamp);
        if (last_offset >= 0)
            fprintf(dump->out,
                    "firstSequence: %" PRId32 " lastSequence: %" PRId32 " lastOffset: %" PRId64
                    " offsetDelta: %" PRId32 " timestamp: %" PRId64,
                    first_sequence(last_sequence, delta), last_sequence, last_offset, delta,
                    timestamp);
        fputc('\n', dump->out);
    }
    mapped_close(&file);
    return e;
}

static enum err print_epoch(void *context, int32_t epoch, int64_t start_offset)
{
    struct dump *dump = context;
    fprintf(dump->out, "leaderEpoch: %" PRId32 " startOffset: %" PRId64 "\n", epoch, start_offset);
    return ERR_OK;
}

enum err dump_epochs(struct dump *dump, const char *path)
{
    struct mapped file;
    enum err e = mapped_open(path, &file);
    if (e)
        return e;
    e = checkpoint_read_epochs(file.bytes, print_epoch, dump);
    mapped_close(&file);
    return err_wrap(e, "%s", path);
}

void dump_done(struct dump *dump)
{
    buf_done(&dump->index_mismatches);
    buf_done(&dump->time_mismatches);
    buf_done(&dump->gaps);
}

enum err dump_file(struct dump *dump, const char *path)
{
    static const struct {
        const char *end;
        enum err (*print)(struct dump *dump, const char *path);
    } kinds[] = {
        {".log", dump_log},
        {".index", dump_offset_index},
        {".timeindex", dump_time_index},
        {".txnindex", dump_txn_index},
        {".snapshot", dump_snapshot},
        {"leader-epoch-checkpoint", dump_epochs},
    };
    size_t size = strlen(path);
    fprintf(dump->out, "Dumping %s\n", path);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t end_size = strlen(kinds[i].end);
        if (size >= end_size && strcmp(path + size - end_size, kinds[i].end) == 0)
            return kinds[i].print(dump, path);
    }
    fflush(dump->out);
    fprintf(stderr, "Ignoring unknown file %s\n", path);
    return ERR_OK;
}

void dump_summary(const struct dump *dump, FILE *out)
{
    fflush(dump->out);
    fprintf(out, "%.*s%.*s%.*s", SLICE_ARG(buf_slice(&dump->index_mismatches)),
            SLICE_ARG(buf_slice(&dump->time_mismatches)), SLICE_ARG(buf_slice(&dump->gaps)));
}
