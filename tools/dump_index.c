/* The indexes beside a .log: their entries, and what of them does not fit the log. */
#include <inttypes.h>

#include "tools/dump_log.h"

#define OFFSET_ENTRY_SIZE 8  /* relative offset 4, position 4 */
#define TIME_ENTRY_SIZE   12 /* timestamp 8, relative offset 4 */

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
        if (!dump->options.verify_only && dump->options.json)
            dump_row(dump, json_pack("{s:I,s:I}", "offset", (json_int_t)offset, "position",
                                     (json_int_t)position));
        else if (!dump->options.verify_only)
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
        dump_says(dump, path, "is empty");
    } else if (!e && dump->options.sanity_only) {
        e = check_offsets(path, index.bytes, base_offset);
        if (!e)
            dump_says(dump, path, "passed sanity check");
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
        if (!dump->options.verify_only && dump->options.json)
            dump_row(dump, json_pack("{s:I,s:I}", "timestamp", (json_int_t)timestamp, "offset",
                                     (json_int_t)offset));
        else if (!dump->options.verify_only)
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
            dump_says(dump, path, "passed sanity check");
    } else if (!e) {
        walk_time_index(dump, path, base_offset, times.bytes, index.bytes, log.bytes);
    }
    mapped_close(&times);
    mapped_close(&index);
    mapped_close(&log);
    return e;
}
