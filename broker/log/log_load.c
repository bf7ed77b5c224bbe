/* Opening a log's directory: which segments there are, what a crash left half done, where the log
 * ends.
 *
 * After a clean stop every file is as it should be, and only the end of the newest segment is
 * looked at. After any other stop the segments from the recovery point on are read and checked
 * (log_recover.c). */
#include "broker/log/log_load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/text_file.h"

/* A segment no longer than this is scanned without its indexes: two files less to open. */
#define SCAN_WHOLE_BYTES 4096

static struct found_segment *find_or_add(struct found *found, int64_t base_offset)
{
    for (size_t i = found->count; i-- > 0;)
        if (found->items[i].base_offset == base_offset)
            return &found->items[i];
    found->items = mem_grow(found->items, &found->capacity, found->count + 1, sizeof *found->items);
    struct found_segment *item = &found->items[found->count++];
    *item = (struct found_segment){.base_offset = base_offset};
    return item;
}

static int by_base_offset(const void *a, const void *b)
{
    const struct found_segment *left = a, *right = b;
    return (left->base_offset > right->base_offset) - (left->base_offset < right->base_offset);
}

static void unlink_in(struct log *log, const char *name)
{
    char path[PATH_MAX];
    log_path(log, name, path, sizeof path);
    file_ops->unlink(path);
}

static void note_name(struct log *log, struct found *found, const char *name)
{
    int64_t base_offset;
    enum segment_file file;
    enum segment_file_state state;
    if (!segment_file_parse(name, &base_offset, &file, &state)) {
        found->has_metadata |= strcmp(name, "partition.metadata") == 0;
        found->has_epochs |= strcmp(name, "leader-epoch-checkpoint") == 0;
        return;
    }
    if (state == STATE_DELETED) {
        unlink_in(log, name);
        return;
    }
    if (file == SEGMENT_SNAPSHOT) {
        if (state == STATE_PLAIN)
            log_remember_snapshot(log, base_offset);
        return;
    }
    find_or_add(found, base_offset)->has[state][file] = true;
    found->has_unfinished |= state != STATE_PLAIN;
}

enum err log_list_dir(struct log *log, struct found *ret)
{
    DIR *dir = opendir(atomic_load(&log->path));
    if (!dir)
        return err_note_errno("open directory %s", atomic_load(&log->path));
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            note_name(log, ret, entry->d_name);
    enum err e = errno ? err_note_errno("read directory %s", atomic_load(&log->path)) : ERR_OK;
    closedir(dir);
    if (ret->count > 1)
        qsort(ret->items, ret->count, sizeof *ret->items, by_base_offset);
    return e;
}

static enum err add_segment(struct log *log, const struct found_segment *item, struct segment **ret)
{
    struct segment *seg = segment_new(log, item->base_offset);
    char path[PATH_MAX];
    struct stat st;
    segment_path(seg, SEGMENT_LOG, path, sizeof path);
    if (stat(path, &st) != 0) {
        segment_unref(seg);
        return err_note_errno("stat %s", path);
    }
    seg->size_bytes = st.st_size;
    seg->created_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    seg->has_txn_index = item->has[STATE_PLAIN][SEGMENT_TXNINDEX];
    if (st.st_size > SEGMENT_SIZE_MAX) {
        segment_unref(seg);
        return err_note(ERR_CORRUPT_MESSAGE, "%s has %lld bytes", path, (long long)st.st_size);
    }
    *ret = seg;
    return ERR_OK;
}

/* Index files without a log are of no use. */
static void remove_orphans(struct log *log, const struct found_segment *item)
{
    for (int file = SEGMENT_INDEX; file <= SEGMENT_TXNINDEX; file++) {
        char name[SEGMENT_FILE_NAME_SIZE];
        segment_file_name(item->base_offset, (enum segment_file)file, STATE_PLAIN, name);
        if (item->has[STATE_PLAIN][file])
            unlink_in(log, name);
    }
}

static enum err load_segments(struct log *log, const struct found *found)
{
    struct segment **segments = mem_new_array(struct segment *, found->count + 1);
    int count = 0;
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < found->count; i++) {
        if (!found->items[i].has[STATE_PLAIN][SEGMENT_LOG])
            remove_orphans(log, &found->items[i]);
        else if (!(e = add_segment(log, &found->items[i], &segments[count])))
            count++;
    }
    if (!e && count > 0) {
        lock_acquire(&log->view);
        log_set_list(log, segment_list_new(segments, count));
        lock_release(&log->view);
    }
    for (int i = 0; i < count; i++)
        segment_unref(segments[i]);
    free(segments);
    return e;
}

/* --- after a clean stop --- */

/* The place of the batch that the last index entry names, and the greatest timestamp up to there.
 */
static enum err find_last_entry(struct segment *seg, int64_t *ret_position)
{
    uint8_t entry[INDEX_ENTRY_SIZE];
    bool is_found;
    int64_t max, max_offset;
    enum err e = index_last(seg, &seg->offsets, entry, &is_found);
    if (!e)
        e = segment_max_timestamp(seg, &max, &max_offset);
    if (e || !is_found)
        return e;
    struct batch_place place;
    e = segment_seek(seg, seg->base_offset + (int32_t)get_be32(entry), seg->size_bytes, true,
                     &place);
    if (e == ERR_NOT_FOUND)
        return err_note(ERR_CORRUPT_MESSAGE,
                        "index of segment %020" PRId64 " points behind its end", seg->base_offset);
    *ret_position = place.position;
    return e;
}

/* Where the newest segment ends: from the last index entry on, by batch heads. The greatest
 * timestamp is learned on the way. */
static enum err find_end(struct log *log, int64_t *ret_end)
{
    struct segment *seg = log_active(log);
    *ret_end = seg->base_offset;
    if (seg->size_bytes == 0) {
        seg->offsets.disk_count = seg->times.disk_count = INDEX_COUNT_UNKNOWN;
        seg->max_timestamp = seg->last_time_entry = NO_TIMESTAMP;
        return ERR_OK;
    }
    int64_t position = 0;
    enum err e = ERR_OK;
    if (seg->size_bytes > SCAN_WHOLE_BYTES)
        e = find_last_entry(seg, &position);
    else
        seg->max_timestamp =
            NO_TIMESTAMP; /* learned below; the time index is asked at the first append */
    struct segment_scan scan;
    struct batch_info b;
    struct slice bytes;
    int64_t at;
    if (!e)
        e = segment_scan_begin(&scan, seg, position, seg->size_bytes, false);
    if (e)
        return e;
    while (!(e = segment_scan_next(&scan, &b, &at, &bytes))) {
        /* The checksum of a batch does not cover its offset. */
        if (b.last_offset < seg->base_offset || b.last_offset - seg->base_offset > INT32_MAX) {
            e = err_note(ERR_CORRUPT_MESSAGE, "segment %020" PRId64 " holds offset %" PRId64,
                         seg->base_offset, b.last_offset);
            break;
        }
        *ret_end = b.last_offset + 1;
        if (b.max_timestamp > seg->max_timestamp) {
            seg->max_timestamp = b.max_timestamp;
            seg->max_timestamp_offset = b.last_offset;
        }
    }
    segment_scan_end(&scan);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* A clean stop promised whole files. Where the newest one ends inside a batch all the same, the
 * piece is cut off as after any other stop, for what is appended next must follow a whole batch. */
static enum err cut_torn_end(struct log *log)
{
    struct segment *seg = log_active(log);
    struct segment_scan scan;
    struct batch_info b;
    struct slice bytes;
    int64_t at;
    enum err e = segment_scan_begin(&scan, seg, 0, seg->size_bytes, false);
    if (e)
        return e;
    while (!(e = segment_scan_next(&scan, &b, &at, &bytes)))
        ;
    segment_scan_end(&scan);
    if (e != ERR_CORRUPT_MESSAGE)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    return segment_is_torn_at(seg, scan.position, seg->size_bytes)
               ? log_cut_tail(log, seg, scan.position)
               : ERR_OK; /* the indexes' making finds it again and says no */
}

/* What speaks of records that went with the torn end. */
static enum err forget_from(struct log *log, int64_t end)
{
    LOCK_SCOPE(&log->lock);
    log_remove_snapshots(log, end + 1, INT64_MAX);
    return txn_index_truncate(log_active(log), end);
}

/* An index that lies about the newest segment is made again, from all of its batches. */
static enum err find_end_or_rebuild(struct log *log, int64_t *ret_end)
{
    enum err e = find_end(log, ret_end);
    if (e != ERR_CORRUPT_MESSAGE)
        return e;
    trace_warn("newest segment is read again topic=%s partition=%" PRId32 " reason=\"%s\"",
               log->topic, log->partition, err_sentence(e));
    e = cut_torn_end(log);
    if (!e)
        e = log_rebuild_indexes(log, log_active(log));
    if (!e)
        e = find_end(log, ret_end);
    return e ? e : forget_from(log, *ret_end);
}

static enum err load_clean(struct log *log)
{
    int64_t end;
    /* The newest segment, if it is short, is read without its indexes; and a broker with 100,000
     * logs opens no file that it need not. */
    bool with_last = log_active(log)->size_bytes > SCAN_WHOLE_BYTES;
    enum err e = log_check_indexes(log, 0, log->list->count - !with_last);
    if (!e) {
        LOCK_SCOPE(&log->lock);
        e = log_load_txn_indexes(log, log->list->count);
    }
    if (!e)
        e = find_end_or_rebuild(log, &end);
    if (e)
        return e;
    atomic_store(&log->end_offset, end);
    atomic_store(&log->recovery_point, end);
    return log_load_producers_clean(log, end);
}

/* --- small files --- */

/* As with the JVM broker, which counts a small file that it cannot make sense of as a failed disk:
 * the directory goes offline, and a broker without another one ends. Who leads by guessed epochs,
 * or serves one topic's records as another's, loses what the other replicas have. */
static enum err unreadable(enum err e)
{
    char why[ERR_SENTENCE_MAX];
    if (e != ERR_MALFORMED)
        return e;
    snprintf(why, sizeof why, "%s", err_sentence(e));
    return err_note(ERR_IO, "%s", why);
}

static enum err read_epochs(struct log *log)
{
    char path[PATH_MAX];
    struct buf text = {0};
    log_path(log, "leader-epoch-checkpoint", path, sizeof path);
    enum err e = text_file_read(AT_FDCWD, path, &text);
    if (!e)
        e = epoch_cache_decode(&log->epochs, buf_slice(&text));
    buf_done(&text);
    return e == ERR_NOT_FOUND ? ERR_OK : err_wrap(unreadable(e), "%s", path);
}

static bool metadata_value(struct slice text, const char *key, struct slice *ret)
{
    const uint8_t *at = text.data, *end = text.data + text.size;
    size_t key_size = strlen(key);
    while (at < end) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *line_end = newline ? newline : end;
        if ((size_t)(line_end - at) > key_size && memcmp(at, key, key_size) == 0) {
            const uint8_t *value = at + key_size;
            while (value < line_end && *value == ' ')
                value++;
            while (line_end > value && (line_end[-1] == '\r' || line_end[-1] == ' '))
                line_end--;
            *ret = slice_of(value, (size_t)(line_end - value));
            return true;
        }
        at = line_end + 1;
    }
    return false;
}

/* Shorter than any whole file: a power cut came while it was on its way to the disk, and so before
 * the first flush, which would have made it whole. */
static bool is_torn_metadata(struct slice text)
{
    return text.size < strlen("version: 0\ntopic_id: ") + UUID_TEXT_SIZE - 1;
}

static enum err read_topic_id(struct log *log, bool is_clean)
{
    char path[PATH_MAX];
    struct buf text = {0};
    struct slice version, id;
    log_path(log, "partition.metadata", path, sizeof path);
    enum err e = text_file_read(AT_FDCWD, path, &text);
    if (!e && !is_clean && is_torn_metadata(buf_slice(&text))) {
        trace_warn("file is torn and counts as missing path=%s bytes=%zu", path, text.size);
        buf_done(&text);
        /* Nobody may come to write it anew before the next start, and that one may be clean. */
        return file_ops->unlink(path) == 0 ? ERR_OK : err_note_errno("remove %s", path);
    }
    if (!e &&
        (!metadata_value(buf_slice(&text), "version:", &version) ||
         !slice_equal_str(version, "0") || !metadata_value(buf_slice(&text), "topic_id:", &id) ||
         !uuid_parse(id, &log->topic_id)))
        e = err_note(ERR_MALFORMED, "%s names no topic id", path);
    buf_done(&text);
    return e == ERR_NOT_FOUND ? ERR_OK : err_wrap(unreadable(e), "read topic id");
}

/* --- the whole --- */

static enum err begin_empty(struct log *log, int64_t offset)
{
    enum err e = log_begin_at(log, offset);
    atomic_store(&log->end_offset, offset);
    if (atomic_load(&log->recovery_point) > offset)
        atomic_store(&log->recovery_point, offset);
    return e;
}

/* A crash after DeleteRecords may have lost everything up to the start that was promised. */
static enum err settle_start(struct log *log, int64_t checkpointed)
{
    int64_t first = log->list->items[0]->base_offset;
    int64_t start = checkpointed > first ? checkpointed : first;
    if (log_end_offset(log) < start) {
        trace_warn("log ends below its start and begins anew topic=%s partition=%" PRId32
                   " end=%" PRId64 " start=%" PRId64,
                   log->topic, log->partition, log_end_offset(log), start);
        atomic_store(&log->start_offset, start);
        return log_truncate_fully(log, start);
    }
    atomic_store(&log->start_offset, start);
    return ERR_OK;
}

static void settle_high_watermark(struct log *log, int64_t checkpointed)
{
    int64_t start = log_start_offset(log), end = log_end_offset(log);
    int64_t high_watermark = checkpointed < start ? start : checkpointed > end ? end : checkpointed;
    log_set_high_watermark(log, high_watermark);
}

static void settle_epochs(struct log *log)
{
    LOCK_SCOPE(&log->lock);
    lock_acquire(&log->view);
    bool has_changed = epoch_cache_truncate_start(&log->epochs, log_start_offset(log));
    has_changed |= epoch_cache_truncate_end(&log->epochs, log_end_offset(log) + 1);
    lock_release(&log->view);
    if (has_changed)
        log_epochs_changed(log);
}

static void say_if_shorter(const struct log *log, const struct log_load_params *params)
{
    if (log_end_offset(log) < params->recovery_point)
        trace_warn("log ends below its recovery point: records that were on stable storage are "
                   "gone topic=%s partition=%" PRId32 " end=%" PRId64 " recovery_point=%" PRId64
                   " last_stop=%s",
                   log->topic, log->partition, log_end_offset(log), params->recovery_point,
                   params->is_clean ? "clean" : "unclean");
}

static enum err load_all(struct log *log, const struct log_load_params *params, struct found *found)
{
    atomic_store(&log->start_offset, params->start_offset);
    atomic_store(&log->recovery_point, params->recovery_point);
    enum err e = log_list_dir(log, found);
    if (!e && found->has_unfinished)
        e = log_finish_swaps(log, found);
    if (!e && found->has_metadata)
        e = read_topic_id(log, params->is_clean);
    if (!e && found->has_epochs)
        e = read_epochs(log);
    if (!e)
        e = load_segments(log, found);
    if (e)
        return e;
    if (log->list)
        atomic_store(&log->start_offset, params->start_offset > log->list->items[0]->base_offset
                                             ? params->start_offset
                                             : log->list->items[0]->base_offset);
    if (!log->list)
        e = begin_empty(log, params->start_offset);
    else
        e = params->is_clean ? load_clean(log) : log_recover(log, params->recovery_point);
    if (!e)
        say_if_shorter(log, params);
    if (!e)
        e = settle_start(log, params->start_offset);
    if (!e)
        settle_epochs(log);
    return e;
}

enum err log_load(struct log *log, const struct log_load_params *params)
{
    struct found found = {0};
    enum err e = load_all(log, params, &found);
    free(found.items);
    if (e)
        return err_wrap(e, "open log %s-%" PRId32, log->topic, log->partition);
    int64_t end = log_end_offset(log);
    if (log_recovery_point(log) > end)
        atomic_store(&log->recovery_point, end);
    settle_high_watermark(log, params->high_watermark);
    log->writeback_from = log_active(log)->size_bytes;
    /* Whoever wrote these names did not live to sync them. */
    atomic_store(&log->names_unsynced, !params->is_clean);
    atomic_store(&log->dir_unsynced, !params->is_clean);
    for (int i = 0; i < log->list->count; i++)
        atomic_store(&log->list->items[i]->is_end_unsynced, !params->is_clean);
    return ERR_OK;
}

enum err log_make_dir(struct log *log)
{
    if (!atomic_load(&log->dir_unmade))
        return ERR_OK;
    if (file_ops->mkdir(atomic_load(&log->path), 0755) != 0 && errno != EEXIST)
        return err_note_errno("create directory %s", atomic_load(&log->path));
    atomic_store(&log->dir_unmade, false);
    atomic_store(&log->dir_unsynced, true);
    atomic_store(&log->names_unsynced, true);
    return ERR_OK;
}

/* On a full disk the log is there without a directory, which follows with its first record: who
 * leads it is settled once, by the controller, and nobody would ask again when there is room. */
enum err log_create_files(struct log *log, struct uuid topic_id)
{
    atomic_store(&log->dir_unmade, true);
    enum err e = log_make_dir(log);
    if (e == ERR_NO_SPACE) {
        trace_warn("created without a directory, which follows topic=%s partition=%" PRId32
                   " error=\"%s\"",
                   log->topic, log->partition, err_sentence(e));
        e = ERR_OK;
    }
    if (!e)
        e = log_set_topic_id(log, topic_id);
    return e ? e : begin_empty(log, 0);
}
