/* A log directory: its lock, its identity, its checkpoints, its clean-shutdown mark. Internal to
 * this folder. */
#pragma once

#include "broker/log/log_internal.h"
#include "broker/log/meta_properties.h"

struct log_dir {
    char *path; /* fixed, to lock_fd */
    int lock_fd;
    struct meta_properties meta; /* changed by claim() only, before the start */
    _Atomic bool is_online;
    bool was_clean;                 /* as found at this start */
    int64_t stopped_in_epoch;       /* the broker epoch that the mark named; -1: none */
    bool is_loaded;                 /* every log was opened: the mark may be written at the stop */
    _Atomic bool promises_too_much; /* its recovery points, of a log that was opened */
    _Atomic int logs_count;
    _Atomic bool has_unsettled_deletion; /* a power cut may still take one back */
    _Atomic int64_t ahead_bytes;         /* disk space that logs hold ahead: segment_ahead.c */
    _Atomic int64_t no_ahead_until_ms;   /* monotonic: until then nobody takes any */
    pthread_mutex_t checkpoint_mutex; /* one writer of checkpoints at a time, gathering included */
};

/* Disk space ahead: a segment begins to take it at this size, and only where the file system has
 * more room than this margin. */
#define AHEAD_FROM_BYTES   (1 << 20)
#define AHEAD_MARGIN_BYTES ((int64_t)1 << 30)
/* Room is short, or the disk was found full: what logs hold ahead is to be given back. */
bool log_dir_gives_back_ahead(struct log_dir *dir, int64_t now_mono_ms);

/* What the checkpoints of a directory say of a partition. */
struct checkpointed {
    int64_t recovery_point, start_offset, high_watermark; /* -1: nothing */
};

/* Make the directory if missing, lock it, read meta.properties.
 * Errors: ERR_IO, the directory is offline; ERR_EXISTS, another process holds it; ERR_MALFORMED. */
MUST_USE enum err log_dir_open(const char *path, struct log_dir *ret);
void log_dir_close(struct log_dir *dir);

/* Is the mark there? It goes, so that a crash during the start counts. */
MUST_USE enum err log_dir_take_clean_mark(struct log_dir *dir, bool *ret_was_clean);
MUST_USE enum err log_dir_put_clean_mark(struct log_dir *dir, int64_t broker_epoch);

/* Name of the partition's directory to struct checkpointed; free with log_dir_free_checkpoints().
 */
MUST_USE enum err log_dir_read_checkpoints(struct log_dir *dir, struct map *ret);
void log_dir_free_checkpoints(struct map *map);

enum checkpoint_kind {
    CHECKPOINT_RECOVERY_POINT,
    CHECKPOINT_START_OFFSET,
    CHECKPOINT_HIGH_WATERMARK
};
struct checkpoint_line {
    const char *topic;
    int32_t partition;
    int64_t offset;
};
/* checkpoint_mutex held. */
MUST_USE enum err log_dir_write_checkpoint(struct log_dir *dir, enum checkpoint_kind kind,
                                           const struct checkpoint_line *lines, size_t count);
