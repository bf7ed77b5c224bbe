/* What the files of this folder share about a log: its struct, its segments and indexes, and the
 * steps that one file offers another. Nobody outside includes this, except the unit tests of the
 * folder.
 *
 * Two locks. `lock` (RANK_LOG) is the writer's: held over a whole append, roll, truncation or
 * decision of retention, never over an fsync. `view` (RANK_LEAF) guards what readers look at and is
 * held for moments only: a writer changes the view with both held, a reader takes `view` alone,
 * pins the list, and goes on without. */
#pragma once

#include <stdatomic.h>

#include "broker/base/list.h"
#include "broker/base/thread.h"
#include "broker/log/epoch_cache.h"
#include "broker/log/file_cache.h"
#include "broker/log/log.h"
#include "broker/log/partition_dir.h"
#include "broker/log/producer_state.h"

#define INDEX_ENTRY_SIZE     8
#define TIMEINDEX_ENTRY_SIZE 12
#define TXNINDEX_ENTRY_SIZE  34
#define INDEX_COUNT_UNKNOWN  (-1)
#define TIME_UNKNOWN         (-2)      /* not looked up yet; NO_TIMESTAMP is an answer */
#define TAIL_MARKS           16        /* newest batches whose place is remembered */
#define SEGMENT_SIZE_MAX     INT32_MAX /* positions in the index are int32 */

/* An offset or time index. Entries that are not in the file yet are the tail: a crash rebuilds
 * indexes anyway, so they are written in pages, at rolls, flushes and closes. */
struct index {
    struct file_slot slot;
    uint8_t *tail;
    int32_t disk_count; /* entries in the file, or INDEX_COUNT_UNKNOWN until it is opened */
    int32_t tail_count, tail_capacity;
    uint8_t entry_size;
    enum segment_file file;
};

/* An aborted transaction, in the segment of its marker. */
struct txn_index_entry {
    int64_t producer_id, first_offset, last_offset, last_stable_offset;
};

struct segment {
    struct log *log; /* fixed */
    int64_t base_offset;

    _Atomic int refs;
    _Atomic bool is_deleted; /* its files carry .deleted */
    struct file_slot slot;   /* guarded by the file cache */

    int64_t size_bytes; /* view: whole batches; all below is view too */
    struct index offsets, times;
    int64_t max_timestamp, max_timestamp_offset; /* TIME_UNKNOWN until looked up */
    int64_t first_timestamp;                     /* of the first batch */
    int64_t last_time_entry;                     /* timestamp of the newest time index entry */
    int64_t created_ms, jitter_ms;
    int64_t bytes_since_index;
    struct txn_index_entry *aborted; /* in order of the markers */
    size_t aborted_count, aborted_capacity;
    bool has_txn_index;
    /* The first segment of a new log has no file until its first record. Changed with both locks.
     */
    _Atomic bool is_unborn;
    bool is_touched; /* written, cut or recovered in this run */
    /* Log lock, segment_ahead.c: up to where blocks were asked for, and how many bytes of them
     * count as held. */
    int64_t ahead_to, ahead_bytes;
    _Atomic bool is_tear_told;
    _Atomic bool
        is_end_unsynced; /* finished, and its last entries and exact sizes not yet synced */
};

/* Immutable and counted: a reader's pin. Ascending by base offset, never empty. */
struct segment_list {
    _Atomic int refs;
    int count;
    struct segment *items[];
};

/* Where a batch stands. */
struct batch_place {
    int64_t base_offset, last_offset;
    int64_t segment_base_offset;
    int64_t position;
    int32_t size_bytes;
    int8_t magic;
};

/* What the log asks of the manager that owns it. */
struct log_host {
    struct file_cache *files;
    struct clock *clock;
    _Atomic int64_t producer_id_expiration_ms; /* may change while running */
    int32_t writeback_bytes; /* log.writeback.bytes: where dirty pages are many, write-back begins
                                at each */
    void *context;
    /* Run `work` on a log worker; NULL (tests): at once, or never where it is optional. */
    void (*run)(void *context, void (*work)(struct log *log), struct log *log);
    /* Run `work`, which waits for the disk, where many may wait at a time. NULL (tests): at once.
     */
    void (*run_sync)(void *context, void (*work)(struct log *log), struct log *log);
    /* Unlink by and by: a file or directory renamed out of the way. Takes nothing; NULL: at once.
     */
    void (*remove_later)(void *context, const char *path, int64_t delay_ms);
    /* A log's recovery point is about to fall: the checkpoint must say so first. Called with the
     * log's lock. */
    enum err (*recovery_point_falls)(void *context, struct log_dir *dir);
    /* A log has small files to write: log_write_small_files() soon. NULL: at the next flush. */
    void (*small_files_due)(void *context);
    /* The directory has failed; the sentence says why. */
    void (*failed)(void *context, struct log_dir *dir, const char *sentence);
};

struct log {
    char *topic; /* fixed from birth to `lock` */
    int32_t partition;
    struct log_dir *dir;
    const struct log_host *host;
    const char
        *_Atomic path; /* of the partition's directory; changes when the directory is renamed */
    char *old_path;    /* the one before, kept for readers on their way */

    struct lock lock; /* RANK_LOG; guards down to `view`, besides what readers see */
    struct log_config config;
    int64_t unflushed_messages;
    int64_t cut_to;        /* the lowest end since the last sync began */
    int64_t last_flush_ms; /* wall clock: when the oldest unflushed record may have come */
    int64_t last_snapshot_offset;
    int64_t *snapshots; /* offsets of the snapshot files, ascending */
    size_t snapshots_count, snapshots_capacity;
    int64_t writeback_from; /* position in the active segment up to which write-back has begun */
    bool is_closed;
    bool topic_id_unwritten, epochs_unwritten; /* log_small_files.c */

    struct lock view; /* RANK_LEAF; guards down to the atomics */
    struct segment_list *list;
    struct epoch_cache epochs;
    struct producer_state producers;
    struct batch_place *marks; /* TAIL_MARKS, a ring; NULL while idle */
    int marks_count, marks_next;
    struct uuid topic_id;
    int64_t size_bytes;

    pthread_mutex_t flush_mutex; /* group commit; guards down to flush_waiters */
    pthread_cond_t flush_done;
    bool is_flushing;
    struct log_flush_waiter *flush_waiters; /* not covered yet; the newest first */
    pthread_mutex_t
        small_files_mutex; /* who writes them, or renames the directory; before `lock` */

    _Atomic int64_t start_offset, end_offset, high_watermark;
    _Atomic int64_t recovery_point;
    /* A truncation into a batch took all of it: no record is in [gap_from, gap_to). */
    _Atomic int64_t gap_from, gap_to;
    _Atomic bool has_txns;   /* open or not yet replicated: else the log end is stable */
    _Atomic bool is_offline; /* failed or damaged: nothing but errors */
    _Atomic bool is_writeback_queued, is_flush_queued, is_sync_queued;
    _Atomic bool small_files_unwritten; /* one of them, perhaps */
    _Atomic bool epochs_prepared;       /* written beside their file; small_files_mutex */
    _Atomic bool names_unsynced;    /* directory entries or small files not on stable storage yet */
    _Atomic bool dir_unsynced;      /* the directory's own entry, likewise */
    _Atomic bool dir_unmade;        /* there was no room for it: see log_make_dir() */
    _Atomic bool snapshot_unsynced; /* the newest one */

    _Atomic int64_t checkpointed_high_watermark; /* the manager's: -1 if none */
    int64_t rest_end_offset; /* the retention pass's: log end when it last came by */
    int64_t deleted_at_ms;   /* the manager's, monotonic */
};

/* --- log.c --- */
struct log *log_new(const char *topic, int32_t partition, const char *path, struct log_dir *dir,
                    const struct log_host *host, const struct log_config *config);
void log_free(struct log *log); /* no thread uses it any more; writes nothing */
/* ERR_IO takes the directory down; whatever came is given back. */
enum err log_failed(struct log *log, enum err e);
MUST_USE enum err log_check_online(const struct log *log);
void log_path(const struct log *log, const char *name, char *ret_path, size_t size);
int64_t log_now_ms(const struct log *log);
struct segment *log_active(const struct log *log); /* lock or view held */
struct segment_list *log_pin(struct log *log);
void segment_list_unref(struct segment_list *list);
struct segment_list *segment_list_new(struct segment *const *items,
                                      int count); /* takes a reference of each */
/* The slot of the segment that may hold `offset`: the last with base <= offset, or 0. */
int segment_list_floor(const struct segment_list *list, int64_t offset);
/* Replace the list; sizes follow. Takes `list`. Both locks held. */
void log_set_list(struct log *log, struct segment_list *list);
void log_update_txn_flag(struct log *log); /* both held */

/* --- log_small_files.c --- */
/* The epoch cache has changed: its file follows. Lock held. */
void log_epochs_changed(struct log *log);
/* partition.metadata, if it is still to be written. Lock held. */
MUST_USE enum err log_write_topic_id(struct log *log);
/* Both files, as far as they are behind; may wait for the disk. No lock held. */
MUST_USE enum err log_write_small_files(struct log *log);
/* The same for many logs, without waiting: prepare, sync the file system, place, and sync it again.
 * What was written in between by the other way is left as it is. */
MUST_USE enum err log_prepare_small_files(struct log *log);
MUST_USE enum err log_place_small_files(struct log *log);

/* --- log_roll.c (lock held) --- */
MUST_USE enum err log_roll_if_needed(struct log *log, int64_t bytes, int64_t first_offset,
                                     int64_t last_offset, int64_t max_timestamp);
MUST_USE enum err log_roll(struct log *log, int64_t base_offset);

/* --- log_snapshot.c (lock held) --- */
MUST_USE enum err log_take_snapshot(struct log *log);
/* Producer state as of `offset`: the newest good snapshot at or below it, and the batches from
 * there. */
MUST_USE enum err log_load_producers(struct log *log, int64_t offset);
void log_remember_snapshot(struct log *log, int64_t offset);
/* Remove the files of snapshots below / at or above. */
void log_remove_snapshots(struct log *log, int64_t from, int64_t to);
/* Remove those above `offset` that do not stand where a segment begins. */
void log_remove_stray_snapshots(struct log *log, int64_t offset);

/* --- log_truncate.c --- */
/* Move segments [first, first + count) of the list out: renamed, removed after the delay. Lock
 * held; the list is changed here. */
MUST_USE enum err log_drop_segments(struct log *log, int first, int count, int64_t delay_ms);
/* A first segment and nothing else; at offset 0 without files until the first record. Lock held. */
MUST_USE enum err log_begin_at(struct log *log, int64_t offset);

/* --- log_flush.c --- */
void log_writeback(struct log *log);      /* on a worker */
void log_appended_bytes(struct log *log); /* may queue write-back; lock held */
/* Exact files and a snapshot at the end, small files prepared: the log is closed for appends then.
 * Not synced: that is log_close_sync() for one log; or for many a sync of the whole file system,
 * log_place_small_files(), another sync, and log_close_synced(). */
MUST_USE enum err log_close(struct log *log);
bool log_is_stable(struct log *log); /* closed, and nothing is left to sync */
MUST_USE enum err log_close_sync(struct log *log);
void log_close_synced(struct log *log);

/* --- log_retention.c: on a worker --- */
MUST_USE enum err log_retain(struct log *log);
bool log_flush_is_due(struct log *log);
/* Let go of memory and files that an idle log does not need. */
void log_rest(struct log *log);

/* --- segment_ahead.c: on a worker --- */
void log_give_back_ahead(struct log *log);

/* --- log_load.c --- */
struct log_load_params {
    bool is_clean;
    int64_t recovery_point; /* of the checkpoint, 0 if none */
    int64_t start_offset;   /* of the checkpoint, 0 if none */
    int64_t high_watermark; /* -1 if none */
};
/* Errors: ERR_IO, the directory fails, as it does with an unreadable leader-epoch-checkpoint or
 * partition.metadata; ERR_CORRUPT_MESSAGE and others, only this replica stays offline. */
MUST_USE enum err log_load(struct log *log, const struct log_load_params *params);
/* A log that has no directory yet. */
MUST_USE enum err log_create_files(struct log *log, struct uuid topic_id);
/* Make the directory of a log that was created while the disk was full; the log's lock is held. */
MUST_USE enum err log_make_dir(struct log *log);

/* After a directory was renamed. */
void log_set_path(struct log *log, const char *path);
