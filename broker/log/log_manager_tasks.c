/* The manager's periodic work: retention, flushing by age, checkpoints, expiry of producers,
 * removal of files that were renamed out of the way. One thread keeps the times; the work itself
 * runs on the log workers. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_manager_internal.h"

#define TIMER_REST_MAX_MS   1000  /* removals and flushes by age are looked at as often */
#define DELETED_LOG_KEPT_MS 60000 /* a deleted log's struct outlives its last callers by far */

/* --- checkpoints --- */

enum err log_manager_checkpoint(struct log_manager *manager, struct log_dir *dir,
                                enum checkpoint_kind kind,
                                int64_t (*offset)(void *context, struct log *log), void *context)
{
    pthread_mutex_lock(&dir->checkpoint_mutex);
    size_t count, lines_count = 0;
    struct log **logs = log_manager_snapshot(manager, &count);
    struct checkpoint_line *lines = mem_new_array(struct checkpoint_line, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (logs[i]->dir != dir)
            continue;
        int64_t value = offset(context, logs[i]);
        if (kind == CHECKPOINT_HIGH_WATERMARK && value < 0)
            value = logs[i]->checkpointed_high_watermark; /* nobody leads or follows it here: what
                                                             is known stays */
        if (value < 0)
            continue;
        if (kind == CHECKPOINT_HIGH_WATERMARK)
            logs[i]->checkpointed_high_watermark = value;
        lines[lines_count++] = (struct checkpoint_line){logs[i]->topic, logs[i]->partition, value};
    }
    enum err e = log_dir_write_checkpoint(dir, kind, lines, lines_count);
    pthread_mutex_unlock(&dir->checkpoint_mutex);
    free(lines);
    free(logs);
    return err_wrap(e, "checkpoint in %s", dir->path);
}

static int64_t recovery_point_of(void *context, struct log *log)
{
    (void)context;
    int64_t point = log_recovery_point(log), gap_from = atomic_load(&log->gap_from);
    /* In a gap it would promise records that never were. */
    return point > gap_from && point <= atomic_load(&log->gap_to) ? gap_from : point;
}

enum err log_manager_checkpoint_recovery_points(struct log_manager *manager, struct log_dir *dir)
{
    return log_manager_checkpoint(manager, dir, CHECKPOINT_RECOVERY_POINT, recovery_point_of, NULL);
}

/* Only where the start lies above the first segment: else the files say it. */
static int64_t start_offset_of(void *context, struct log *log)
{
    (void)context;
    if (atomic_load(&log->is_offline))
        return log_start_offset(log) > 0 ? log_start_offset(log) : -1;
    struct segment_list *list = log_pin(log);
    int64_t first = list->items[0]->base_offset, start = log_start_offset(log);
    segment_list_unref(list);
    return start > first ? start : -1;
}

enum err log_manager_checkpoint_start_offsets(struct log_manager *manager, struct log_dir *dir)
{
    return log_manager_checkpoint(manager, dir, CHECKPOINT_START_OFFSET, start_offset_of, NULL);
}

void log_manager_checkpoint_or_fail(struct log_manager *manager, struct log_dir *dir,
                                    enum err (*checkpoint)(struct log_manager *manager,
                                                           struct log_dir *dir))
{
    if (!atomic_load(&dir->is_online))
        return;
    enum err e = checkpoint(manager, dir);
    if (e == ERR_IO)
        log_manager_dir_failed(manager, dir, err_sentence(e));
    else if (e)
        trace_warn("checkpoint not written, tried again later error=\"%s\"", err_sentence(e));
}

static void checkpoint_all(struct log_manager *manager,
                           enum err (*checkpoint)(struct log_manager *manager, struct log_dir *dir))
{
    for (int i = 0; i < manager->dirs_count; i++)
        log_manager_checkpoint_or_fail(manager, &manager->dirs[i], checkpoint);
}

/* --- removal --- */

void log_manager_remove_later(void *context, const char *path, int64_t delay_ms)
{
    struct log_manager *manager = context;
    LOCK_SCOPE(&manager->table);
    manager->removals = mem_grow(manager->removals, &manager->removals_capacity,
                                 manager->removals_count + 1, sizeof *manager->removals);
    manager->removals[manager->removals_count++] = (struct removal){
        .path = mem_strdup(path), .due_ms = clock_mono_ms(manager->options.clock) + delay_ms};
}

static void remove_path(const char *path)
{
    if (file_ops->unlink(path) == 0 || errno == ENOENT)
        return;
    DIR *dir = opendir(path);
    if (!dir)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        char inner[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        file_ops->unlink(inner);
    }
    closedir(dir);
    if (file_ops->rmdir(path) != 0 && errno != ENOENT)
        trace_warn("not removed, it will be at the next start path=%s", path);
}

static char *take_removal(struct log_manager *manager, bool all)
{
    int64_t now = clock_mono_ms(manager->options.clock);
    LOCK_SCOPE(&manager->table);
    for (size_t i = 0; i < manager->removals_count; i++) {
        if (!all && manager->removals[i].due_ms > now)
            continue;
        char *path = manager->removals[i].path;
        manager->removals[i] = manager->removals[--manager->removals_count];
        return path;
    }
    return NULL;
}

static struct log *take_forgotten(struct log_manager *manager)
{
    int64_t now = clock_mono_ms(manager->options.clock);
    LOCK_SCOPE(&manager->table);
    for (size_t i = 0; i < manager->deleted_count; i++) {
        struct log *log = manager->deleted[i];
        if (now - log->deleted_at_ms < DELETED_LOG_KEPT_MS || atomic_load(&log->is_flush_queued) ||
            atomic_load(&log->is_writeback_queued) || atomic_load(&log->is_sync_queued))
            continue;
        manager->deleted[i] = manager->deleted[--manager->deleted_count];
        return log;
    }
    return NULL;
}

void log_manager_remove_due(struct log_manager *manager, bool all)
{
    char *path;
    while ((path = take_removal(manager, all))) {
        remove_path(path);
        free(path);
    }
    struct log *log;
    while ((log = take_forgotten(manager)))
        log_free(log);
}

/* --- tasks --- */

static void say(const struct log *log, enum err e, const char *what)
{
    if (e)
        trace_warn("%s failed topic=%s partition=%" PRId32 " error=\"%s\"", what, log->topic,
                   log->partition, err_sentence(e));
}

void log_manager_on_start_raised(struct log_manager *manager, log_start_raised_fn *raised,
                                 void *context)
{
    manager->start_raised_context = context;
    atomic_store(&manager->start_raised, raised); /* last: it publishes the context */
}

static void retain_one(void *context, struct log *log)
{
    struct log_manager *manager = context;
    if (atomic_load(&log->is_offline))
        return;
    int64_t start = log_start_offset(log);
    say(log, log_retain(log), "retention");
    log_start_raised_fn *raised = atomic_load(&manager->start_raised);
    if (raised && start != log_start_offset(log))
        raised(manager->start_raised_context, log);
    int64_t end = log_end_offset(log);
    if (end == log->rest_end_offset)
        log_rest(log);
    log->rest_end_offset = end;
}

void log_manager_retain(struct log_manager *manager)
{
    log_manager_for_each(manager, retain_one, manager);
}

static void flush_one(void *context, struct log *log)
{
    (void)context;
    if (!atomic_load(&log->is_offline) && log_flush_is_due(log))
        say(log, log_flush(log), "flush");
}

static void expire_one(void *context, struct log *log)
{
    struct log_manager *manager = context;
    lock_acquire(&log->lock);
    lock_acquire(&log->view);
    producer_state_expire(&log->producers, clock_wall_ms(manager->options.clock),
                          manager->host.producer_id_expiration_ms);
    lock_release(&log->view);
    lock_release(&log->lock);
}

/* Each file waits for the disk, and files that are synced side by side share its commits. */
#define SMALL_FILES_THREADS 8

struct small_files_pass {
    struct log_manager *manager;
    struct log **logs;
    _Atomic int failed;
    char sentence[ERR_SENTENCE_MAX]; /* of the first */
};

static void write_small_files_of(void *context, int index)
{
    struct small_files_pass *pass = context;
    struct log *log = pass->logs[index];
    if (atomic_load(&log->is_offline) || atomic_load(&pass->manager->is_stopping))
        return; /* the stop writes what is left */
    enum err e = log_failed(log, log_write_small_files(log));
    if (e && atomic_fetch_add(&pass->failed, 1) == 0)
        snprintf(pass->sentence, sizeof pass->sentence, "%s", err_sentence(e));
}

static size_t gather_due(struct log **logs, size_t count)
{
    size_t due = 0;
    for (size_t i = 0; i < count; i++)
        if (atomic_load(&logs[i]->small_files_unwritten))
            logs[due++] = logs[i];
    return due;
}

static void write_small_files(struct log_manager *manager)
{
    size_t count;
    atomic_store(&manager->small_files_due, false);
    struct small_files_pass pass = {.manager = manager,
                                    .logs = log_manager_snapshot(manager, &count)};
    count = gather_due(pass.logs, count);
    parallel_for(SMALL_FILES_THREADS, (int)count, write_small_files_of, &pass);
    free(pass.logs);
    if (pass.failed > 0) {
        trace_warn("small files not written, tried again soon logs=%d error=\"%s\"", pass.failed,
                   pass.sentence);
        atomic_store(&manager->small_files_due, true);
    }
}

/* --- disk space ahead --- */

static void give_back_one(void *context, struct log *log)
{
    const struct log_manager *manager = context;
    if (!atomic_load(&log->is_offline) &&
        clock_mono_ms(manager->options.clock) < atomic_load(&log->dir->no_ahead_until_ms))
        log_give_back_ahead(log);
}

static bool room_is_short(struct log_manager *manager, int64_t now_ms)
{
    bool is_short = false;
    for (int i = 0; i < manager->dirs_count; i++)
        is_short |= log_dir_gives_back_ahead(&manager->dirs[i], now_ms);
    return is_short;
}

/* --- what runs when --- */

static void run_task(struct log_manager *manager, enum log_task task)
{
    switch (task) {
    case TASK_RETENTION:
        log_manager_retain(manager);
        break;
    case TASK_FLUSH:
        log_manager_for_each(manager, flush_one, manager);
        break;
    case TASK_RECOVERY_POINTS:
        checkpoint_all(manager, log_manager_checkpoint_recovery_points);
        break;
    case TASK_START_OFFSETS:
        checkpoint_all(manager, log_manager_checkpoint_start_offsets);
        break;
    case TASK_PRODUCER_EXPIRY:
        log_manager_for_each(manager, expire_one, manager);
        break;
    case TASK_SMALL_FILES:
        write_small_files(manager);
        break;
    case TASK_GIVE_BACK:
        log_manager_for_each(manager, give_back_one, manager);
        break;
    case TASK_COUNT:
        break;
    }
}

struct task_run {
    struct log_manager *manager;
    enum log_task task;
};

static void run_task_work(void *context)
{
    struct task_run *run = context;
    run_task(run->manager, run->task);
    atomic_store(&run->manager->is_running[run->task], false);
    free(run);
}

static int64_t interval_ms(const struct log_manager *manager, enum log_task task)
{
    const struct log_manager_options *options = &manager->options;
    switch (task) {
    case TASK_RETENTION:
        return options->retention_check_interval_ms;
    case TASK_FLUSH:
        return options->flush_check_interval_ms;
    case TASK_RECOVERY_POINTS:
        return options->recovery_point_checkpoint_interval_ms;
    case TASK_START_OFFSETS:
        return options->start_offset_checkpoint_interval_ms;
    case TASK_PRODUCER_EXPIRY:
        return options->producer_id_expiration_check_interval_ms;
    case TASK_SMALL_FILES:
    case TASK_GIVE_BACK:
    case TASK_COUNT:
        break;
    }
    return INT64_MAX;
}

/* Intervals may be "never", which is the largest number. */
static int64_t add_ms(int64_t now, int64_t interval)
{
    return interval > INT64_MAX - now ? INT64_MAX : now + interval;
}

/* A run that has not ended when the next is due is not run twice. */
static void begin_task(struct log_manager *manager, enum log_task task)
{
    if (atomic_exchange(&manager->is_running[task], true))
        return;
    struct task_run *run = mem_new(struct task_run);
    *run = (struct task_run){.manager = manager, .task = task};
    log_manager_run(manager, run_task_work, run);
}

int64_t log_manager_tick(struct log_manager *manager)
{
    int64_t now = clock_mono_ms(manager->options.clock), next = now + TIMER_REST_MAX_MS;
    for (int task = 0; task < TASK_COUNT; task++) {
        if (manager->due_ms[task] <= now) {
            begin_task(manager, (enum log_task)task);
            manager->due_ms[task] = add_ms(now, interval_ms(manager, (enum log_task)task));
        }
        if (manager->due_ms[task] < next)
            next = manager->due_ms[task];
    }
    if (atomic_load(&manager->small_files_due))
        begin_task(manager, TASK_SMALL_FILES);
    if (room_is_short(manager, now))
        begin_task(manager, TASK_GIVE_BACK);
    log_manager_remove_due(manager, false);
    return next;
}

static void *run_timer(void *context)
{
    struct log_manager *manager = context;
    pthread_mutex_lock(&manager->timer_mutex);
    while (!manager->is_stopping) {
        pthread_mutex_unlock(&manager->timer_mutex);
        int64_t next = log_manager_tick(manager);
        int64_t rest = next - clock_mono_ms(manager->options.clock);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        rest = rest < 1 ? 1 : rest > TIMER_REST_MAX_MS ? TIMER_REST_MAX_MS : rest;
        until.tv_sec += (rest + until.tv_nsec / 1000000) / 1000;
        until.tv_nsec = (until.tv_nsec + rest % 1000 * 1000000) % 1000000000;
        pthread_mutex_lock(&manager->timer_mutex);
        if (!manager->is_stopping)
            pthread_cond_timedwait(&manager->timer_wakes, &manager->timer_mutex, &until);
    }
    pthread_mutex_unlock(&manager->timer_mutex);
    return NULL;
}

void log_manager_start_timer(struct log_manager *manager)
{
    int64_t now = clock_mono_ms(manager->options.clock);
    for (int task = 0; task < TASK_COUNT; task++)
        manager->due_ms[task] = add_ms(now, manager->options.initial_task_delay_ms);
    manager->due_ms[TASK_PRODUCER_EXPIRY] = add_ms(now, interval_ms(manager, TASK_PRODUCER_EXPIRY));
    manager->due_ms[TASK_SMALL_FILES] = manager->due_ms[TASK_GIVE_BACK] = INT64_MAX;
    manager->timer = thread_start("log-timer", run_timer, manager);
    manager->has_timer = true;
}

void log_manager_stop_timer(struct log_manager *manager)
{
    if (!manager->has_timer)
        return;
    pthread_mutex_lock(&manager->timer_mutex);
    manager->is_stopping = true;
    pthread_cond_signal(&manager->timer_wakes);
    pthread_mutex_unlock(&manager->timer_mutex);
    pthread_join(manager->timer, NULL);
    manager->has_timer = false;
}
