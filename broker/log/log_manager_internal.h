/* The manager's struct and what its files share. Internal to this folder. */
#pragma once

#include "broker/log/log_dir.h"
#include "broker/log/log_manager.h"
#include "broker/log/log_workers.h"

struct removal {
    char *path;
    int64_t due_ms; /* monotonic */
};

/* Periodic tasks, each with the time of its next run. */
enum log_task {
    TASK_RETENTION,
    TASK_FLUSH,
    TASK_RECOVERY_POINTS,
    TASK_START_OFFSETS,
    TASK_PRODUCER_EXPIRY,
    TASK_SMALL_FILES, /* not by interval: as soon as a log has said that it is due */
    TASK_GIVE_BACK,   /* likewise, where room is short */
    TASK_COUNT,
};

struct log_manager {
    struct log_manager_options
        options; /* fixed, to cluster_id; the arrays are the manager's copies */
    struct log_host host;
    struct file_cache *files;
    struct log_dir *dirs;
    int dirs_count;
    struct disk_watch *watch;
    int32_t broker_id;
    char *cluster_id;
    struct log_workers *workers; /* NULL before start and after stop */
    /* Threads that only wait for the disk, so that many logs are synced side by side: the file
     * system then writes their entries by one commit. Made with the first sync. */
    pthread_mutex_t syncers_mutex;
    struct log_workers *_Atomic syncers;

    size_t sync_one_by_one_max; /* at a stop, more logs than that are synced together */

    pthread_mutex_t create_mutex; /* one creation or deletion at a time, disk and all */

    struct lock table; /* RANK_LOG_DIR; guards down to the blank line */
    struct map logs;   /* directory name to struct log */
    struct log **deleted;
    size_t deleted_count, deleted_capacity;
    struct removal *removals;
    size_t removals_count, removals_capacity;

    pthread_mutex_t timer_mutex; /* guards the timer thread's state */
    pthread_cond_t timer_wakes;
    pthread_t timer;
    bool has_timer;
    _Atomic bool is_stopping;   /* looked at by long tasks, too */
    int64_t due_ms[TASK_COUNT]; /* monotonic */
    _Atomic bool is_running[TASK_COUNT];
    _Atomic bool small_files_due;

    log_start_raised_fn *_Atomic start_raised; /* NULL: nobody asks */
    void *start_raised_context;                /* written before it */
};

/* --- log_manager.c --- */
/* Both pools: whoever still queues work then runs it itself. */
void log_manager_stop_workers(struct log_manager *manager);

/* --- log_manager_load.c --- */
MUST_USE enum err log_manager_load(struct log_manager *manager);

/* --- log_manager_tasks.c --- */
void log_manager_start_timer(struct log_manager *manager);
void log_manager_stop_timer(struct log_manager *manager);
/* Run what is due, on this thread; gives when to come again. For tests, too. */
int64_t log_manager_tick(struct log_manager *manager);
/* Retention of every log, on this thread. */
void log_manager_retain(struct log_manager *manager);
void log_manager_remove_later(void *context, const char *path, int64_t delay_ms);
/* Remove what is due (all: even what is not). */
void log_manager_remove_due(struct log_manager *manager, bool all);
MUST_USE enum err log_manager_checkpoint(struct log_manager *manager, struct log_dir *dir,
                                         enum checkpoint_kind kind,
                                         int64_t (*offset)(void *context, struct log *log),
                                         void *context);
MUST_USE enum err log_manager_checkpoint_recovery_points(struct log_manager *manager,
                                                         struct log_dir *dir);
MUST_USE enum err log_manager_checkpoint_start_offsets(struct log_manager *manager,
                                                       struct log_dir *dir);
/* Where it cannot be written because the directory has failed, that is told. */
void log_manager_checkpoint_or_fail(struct log_manager *manager, struct log_dir *dir,
                                    enum err (*checkpoint)(struct log_manager *manager,
                                                           struct log_dir *dir));

/* All logs at this moment; the caller frees the array. They stay valid: a deleted log is kept for a
 * while. */
struct log **log_manager_snapshot(struct log_manager *manager, size_t *ret_count);
void log_manager_dir_failed(void *context, struct log_dir *dir, const char *sentence);
