/* A segment: one file of batches and its indexes. Internal to this folder. */
#pragma once

#include "broker/log/log_internal.h"

struct segment *segment_new(struct log *log, int64_t base_offset);
void segment_ref(struct segment *seg);
void segment_unref(struct segment *seg); /* the last one closes its files */

void segment_path(const struct segment *seg, enum segment_file file, char *ret_path, size_t size);
/* Make the empty file of a new segment; its indexes come with their first entries, at the latest at
 * its end. On error none is left. Log lock. */
MUST_USE enum err segment_create(struct segment *seg);
/* A new segment that has no file yet: segment_create() before the first record. */
void segment_conceive(struct segment *seg);
MUST_USE enum err segment_file_open(struct segment *seg, struct log_file **ret_file);

/* The head of the batch at `position`, which is below `size`.
 * Errors: ERR_AGAIN (may_block false), ERR_CORRUPT_MESSAGE, ERR_IO. */
MUST_USE enum err segment_head(struct segment *seg, struct log_file *file, int64_t position,
                               int64_t size, bool may_block, struct batch_info *ret);

/* The first batch whose last offset is at or above `offset`, within the first `size` bytes.
 * ERR_NOT_FOUND if there is none; position of ret is `size` then.
 * ERR_CORRUPT_MESSAGE: no batch begins at the position of ret.
 * With both, last_offset of ret is that of the batch before, or below the segment if there is none.
 */
MUST_USE enum err segment_seek(struct segment *seg, int64_t offset, int64_t size, bool may_block,
                               struct batch_place *ret);

/* Account for a batch at `position` that is (or will be) in the file: index entries, timestamps.
 * Both locks. */
void segment_note_batch(struct segment *seg, const struct batch_info *b, int64_t position);
/* Write the tails of both indexes. Log lock. */
MUST_USE enum err segment_write_indexes(struct segment *seg);
/* The segment takes no more: last time entry, exact sizes of all files. Log lock. */
MUST_USE enum err segment_finish(struct segment *seg);
/* Cut the file at `position`, where the batch that holds `offset` begins. Log lock. */
MUST_USE enum err segment_truncate(struct segment *seg, int64_t position, int64_t offset);
/* fsync. `with_indexes`: of what will not be rebuilt after a crash. */
MUST_USE enum err segment_sync(struct segment *seg, bool with_indexes);
/* Give all files the mark; a missing one is no error. */
MUST_USE enum err segment_mark_deleted(struct segment *seg);
/* The segment's greatest timestamp, NO_TIMESTAMP if none is known, and its offset. */
MUST_USE enum err segment_max_timestamp(struct segment *seg, int64_t *ret_timestamp,
                                        int64_t *ret_offset);
/* Before the first append to a segment that was found: where its time index stands. Log lock. */
MUST_USE enum err segment_learn_times(struct segment *seg);
MUST_USE enum err segment_first_timestamp(struct segment *seg, int64_t *ret);
int64_t segment_mtime_ms(struct segment *seg);
bool segment_indexes_full(const struct segment *seg);

/* --- segment_index.c --- */
/* The largest entry whose key is at most `key` (relative offset, or timestamp). False: none. */
MUST_USE enum err index_lookup(struct segment *seg, struct index *index, int64_t key,
                               bool may_block, uint8_t *ret_entry, bool *ret_found);
/* The first entry of the offset index whose batch begins at or behind `position`. */
struct index_mark {
    bool is_there;
    int64_t relative_offset;
};
MUST_USE enum err index_lookup_from(struct segment *seg, int64_t position, bool may_block,
                                    struct index_mark *ret);
MUST_USE enum err index_last(struct segment *seg, struct index *index, uint8_t *ret_entry,
                             bool *ret_found);
void index_append(struct index *index, const uint8_t *entry); /* both locks */
MUST_USE enum err index_write(struct segment *seg, struct index *index);
/* Keep the entries whose offset is below; both for the file and the tail. Log lock. */
MUST_USE enum err index_truncate(struct segment *seg, struct index *index, int64_t relative_offset);
MUST_USE enum err index_reset(struct segment *seg, struct index *index); /* empty, to be rebuilt */
MUST_USE enum err index_trim(struct segment *seg,
                             struct index *index); /* write, cut to the exact size */
MUST_USE enum err index_sync(struct segment *seg, struct index *index);
int32_t index_count(const struct index *index); /* 0 while unknown */

/* --- segment_ahead.c: disk space behind the end, for writes to come. Log lock. --- */
/* A write will make the segment end at `end`. What the disk refuses is gone without. */
void segment_take_ahead(struct segment *seg, struct log_file *file, int64_t end);
/* The disk was found full: nobody takes any for a while, and the manager has all given back. */
void segment_refuse_ahead(struct segment *seg);
MUST_USE enum err segment_give_back_ahead(struct segment *seg);
/* The file was cut at its end, which gave it back. */
void segment_forget_ahead(struct segment *seg);
/* What a run that was killed has left. */
MUST_USE enum err segment_give_back_found(struct segment *seg);

/* --- segment_tear.c --- */
/* At `position` begins what is longer than the segment of `size` bytes: a batch whose end is gone.
 */
bool segment_is_torn_at(struct segment *seg, int64_t position, int64_t size);
/* What a reader makes of `e`, which its walk met at `position`: ERR_NOT_FOUND where that is the
 * torn end of a segment that is not the newest, else `e`. No lock of the log held. */
MUST_USE enum err segment_step_over_tear(struct segment *seg, int64_t position, int64_t size,
                                         enum err e);

/* --- txn_index.c --- */
/* The log's lock for all; the view lock guards the entries. */
MUST_USE enum err txn_index_append(struct segment *seg, const struct txn_index_entry *entry);
/* At the opening of a segment. ERR_MALFORMED: the entries are to be made again. */
MUST_USE enum err txn_index_load(struct segment *seg);
MUST_USE enum err txn_index_truncate(struct segment *seg, int64_t offset);

/* --- segment_scan.c: whole batches one after the other, for recovery and search --- */
struct segment_scan {
    struct segment *seg;
    struct log_file *file;
    int64_t position, end; /* of the next batch; where to stop */
    int64_t window_at;     /* file position of the buffer */
    struct buf window;
    bool with_bytes; /* whole batches are read, else heads only */
};
MUST_USE enum err segment_scan_begin(struct segment_scan *scan, struct segment *seg,
                                     int64_t position, int64_t end, bool with_bytes);
/* The next batch; ret_batch (with_bytes) is borrowed until the next call. ERR_NOT_FOUND at the end
 * exactly; ERR_CORRUPT_MESSAGE, scan->position being where the bad bytes begin; ERR_IO. */
MUST_USE enum err segment_scan_next(struct segment_scan *scan, struct batch_info *ret,
                                    int64_t *ret_position, struct slice *ret_batch);
void segment_scan_end(struct segment_scan *scan);
