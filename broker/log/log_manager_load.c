/* Start-up: read each directory's checkpoints, then open all its logs side by side. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"

#define PROGRESS_EVERY_MS 5000

struct job {
    struct log_dir *dir;
    char name[DIR_NAME_MAX + 1];
    struct partition_dir parsed;
    struct log_load_params params;
};

struct loading {
    struct log_manager *manager;
    struct job *jobs;
    size_t count, capacity;
    _Atomic int done;
    _Atomic int64_t next_progress_ms;
    _Atomic bool has_twin; /* a partition in two directories */
    int64_t begun_ms;
    bool has_unclean;
};

static void add_job(struct loading *loading, struct log_dir *dir, const char *name,
                    const struct partition_dir *parsed, const struct map *checkpoints)
{
    loading->jobs =
        mem_grow(loading->jobs, &loading->capacity, loading->count + 1, sizeof *loading->jobs);
    struct job *job = &loading->jobs[loading->count++];
    *job = (struct job){.dir = dir,
                        .parsed = *parsed,
                        .params = {.is_clean = dir->was_clean, .high_watermark = -1}};
    snprintf(job->name, sizeof job->name, "%s", name);
    const struct checkpointed *known = map_get(checkpoints, slice_str(name));
    if (!known)
        return;
    job->params.recovery_point = known->recovery_point > 0 ? known->recovery_point : 0;
    job->params.start_offset = known->start_offset > 0 ? known->start_offset : 0;
    job->params.high_watermark = known->high_watermark;
}

static enum err take_name(struct loading *loading, struct log_dir *dir, const char *name,
                          const struct map *checkpoints)
{
    static const char *const tolerated[] = {"lost+found", "remote-log-index-cache",
                                            "__cluster_metadata-0"};
    struct partition_dir parsed;
    for (size_t i = 0; i < ARRAY_SIZE(tolerated); i++)
        if (strcmp(name, tolerated[i]) == 0)
            return ERR_OK;
    if (!partition_dir_parse(name, &parsed))
        return err_note(ERR_IO,
                        "%s/%s: the name is no partition's; a log directory holds nothing else",
                        dir->path, name);
    char path[PATH_MAX];
    switch (parsed.kind) {
    case DIR_LOG:
        add_job(loading, dir, name, &parsed, checkpoints);
        break;
    case DIR_DELETE: /* the delay was over with the process that waited */
        snprintf(path, sizeof path, "%s/%s", dir->path, name);
        log_manager_remove_later(loading->manager, path, 0);
        break;
    case DIR_FUTURE: /* a move between directories goes on when asked for again */
    case DIR_STRAY:
        trace_info("directory left alone dir=%s name=%s", dir->path, name);
        break;
    }
    return ERR_OK;
}

static bool is_directory(const struct log_dir *dir, const struct dirent *entry)
{
    struct stat st;
    char path[PATH_MAX];
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
        return entry->d_type == DT_DIR;
    snprintf(path, sizeof path, "%s/%s", dir->path, entry->d_name);
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum err list_dir(struct loading *loading, struct log_dir *dir,
                         const struct map *checkpoints)
{
    DIR *stream = opendir(dir->path);
    if (!stream)
        return err_note_errno("open directory %s", dir->path);
    enum err e = ERR_OK;
    struct dirent *entry;
    while (!e && (errno = 0, entry = readdir(stream)))
        if (entry->d_name[0] != '.' && is_directory(dir, entry))
            e = take_name(loading, dir, entry->d_name, checkpoints);
    if (!e && errno)
        e = err_note_errno("read directory %s", dir->path);
    closedir(stream);
    return e;
}

static void prepare_dir(struct loading *loading, struct log_dir *dir)
{
    struct map checkpoints = {0};
    size_t jobs_before = loading->count;
    enum err e = log_dir_read_checkpoints(dir, &checkpoints); /* the mark outlives their damage */
    if (!e)
        e = log_dir_take_clean_mark(dir, &dir->was_clean);
    if (!e)
        e = list_dir(loading, dir, &checkpoints);
    log_dir_free_checkpoints(&checkpoints);
    dir->is_loaded = e == ERR_OK;
    if (e) {
        loading->count = jobs_before;
        log_manager_dir_failed(loading->manager, dir, err_sentence(e));
        return;
    }
    /* A directory without logs has nothing that a stop could have left unfinished. */
    size_t logs = loading->count - jobs_before;
    loading->has_unclean |= !dir->was_clean && logs > 0;
    trace_info("log directory opens dir=%s logs=%zu last_stop=%s", dir->path, logs,
               dir->was_clean ? "clean"
               : logs > 0     ? "unclean"
                              : "none");
}

static void show_progress(struct loading *loading)
{
    int done = atomic_fetch_add(&loading->done, 1) + 1;
    int64_t now = clock_mono_ms(loading->manager->options.clock);
    int64_t next = atomic_load(&loading->next_progress_ms);
    if (now < next ||
        !atomic_compare_exchange_strong(&loading->next_progress_ms, &next, now + PROGRESS_EVERY_MS))
        return;
    int64_t elapsed = now - loading->begun_ms;
    int64_t left = elapsed * ((int64_t)loading->count - done) / done;
    trace_info("logs are being opened done=%d of=%zu elapsed_ms=%" PRId64 " left_ms=%" PRId64, done,
               loading->count, elapsed, left);
}

static bool put_in_table(struct log_manager *manager, const char *name, struct log *log)
{
    LOCK_SCOPE(&manager->table);
    struct log *twin = map_get(&manager->logs, slice_str(name));
    if (twin) {
        trace_error("partition is in two log directories name=%s first=%s second=%s", name,
                    twin->dir->path, log->dir->path);
        return false;
    }
    map_put(&manager->logs, slice_str(name), log);
    return true;
}

static void load_one(void *context, int index)
{
    struct loading *loading = context;
    struct log_manager *manager = loading->manager;
    const struct job *job = &loading->jobs[index];
    char path[PATH_MAX];
    struct log_config config = manager->options.default_config;
    snprintf(path, sizeof path, "%s/%s", job->dir->path, job->name);
    if (manager->options.topic_config)
        manager->options.topic_config(manager->options.context, job->parsed.topic, &config);
    struct log *log =
        log_new(job->parsed.topic, job->parsed.partition, path, job->dir, &manager->host, &config);
    log->checkpointed_high_watermark = job->params.high_watermark;
    atomic_fetch_add(&job->dir->logs_count, 1);
    if (!put_in_table(manager, job->name, log)) {
        atomic_store(&loading->has_twin, true);
        log_free(log);
        return;
    }
    enum err e = atomic_load(&job->dir->is_online) ? log_load(log, &job->params) : ERR_OK;
    if (log_recovery_point(log) < job->params.recovery_point)
        atomic_store(&job->dir->promises_too_much, true);
    /* Failed by another of its logs, perhaps before this one was in the table. */
    if (!atomic_load(&job->dir->is_online))
        atomic_store(&log->is_offline, true);
    if (e) {
        trace_error("replica is offline topic=%s partition=%" PRId32 " error=\"%s\"", log->topic,
                    log->partition, err_sentence(e));
        atomic_store(&log->is_offline, true);
        job->dir->is_loaded = false; /* its files must be looked at again next time */
        if (e == ERR_IO)
            log_manager_dir_failed(manager, job->dir, err_sentence(e));
    }
    show_progress(loading);
}

/* A log that ends below its recovery point takes records there again. Should those be torn by the
 * next crash, the old promise would have them damaged: it goes before they come. */
static void take_back_promises(struct log_manager *manager)
{
    for (int i = 0; i < manager->dirs_count; i++)
        if (atomic_exchange(&manager->dirs[i].promises_too_much, false))
            log_manager_checkpoint_or_fail(manager, &manager->dirs[i],
                                           log_manager_checkpoint_recovery_points);
}

enum err log_manager_load(struct log_manager *manager)
{
    struct loading loading = {.manager = manager,
                              .begun_ms = clock_mono_ms(manager->options.clock)};
    atomic_init(&loading.next_progress_ms, loading.begun_ms + PROGRESS_EVERY_MS);
    int online = 0;
    for (int i = 0; i < manager->dirs_count; i++)
        if (atomic_load(&manager->dirs[i].is_online))
            prepare_dir(&loading, &manager->dirs[i]);
    int threads = manager->options.recovery_threads_per_dir * manager->dirs_count;
    if (threads < manager->options.workers_count)
        threads = manager->options.workers_count;
    parallel_for(threads, (int)loading.count, load_one, &loading);
    take_back_promises(manager);
    trace_info("logs opened count=%zu elapsed_ms=%" PRId64 " recovery=%s", loading.count,
               clock_mono_ms(manager->options.clock) - loading.begun_ms,
               loading.has_unclean ? "yes" : "no");
    free(loading.jobs);
    for (int i = 0; i < manager->dirs_count; i++)
        online += atomic_load(&manager->dirs[i].is_online);
    if (atomic_load(&loading.has_twin))
        return err_note(ERR_INVALID_CONFIG,
                        "the same partition is in two of log.dirs: one of the two must be removed");
    if (online == 0)
        return err_note(ERR_IO, "all log directories have failed");
    return ERR_OK;
}

/* A directory that is offline, or was put in a failed one's place, holds less than the broker had.
 */
int64_t log_manager_stopped_in_epoch(const struct log_manager *manager)
{
    int64_t epoch = -1;
    for (int i = 0; i < manager->dirs_count; i++) {
        const struct log_dir *dir = &manager->dirs[i];
        if (!atomic_load(&dir->is_online) || !dir->is_loaded || !dir->was_clean ||
            (i > 0 && dir->stopped_in_epoch != epoch))
            return -1;
        epoch = dir->stopped_in_epoch;
    }
    return epoch;
}
