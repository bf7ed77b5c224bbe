/* Which logs there are: finding, creating and deleting them, and what is asked of all. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_manager_internal.h"
#include "broker/log/segment.h"
#include "broker/log/text_file.h"

struct log **log_manager_snapshot(struct log_manager *manager, size_t *ret_count)
{
    LOCK_SCOPE(&manager->table);
    struct log **logs = mem_new_array(struct log *, manager->logs.count + 1);
    *ret_count = 0;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&manager->logs, &i));)
        logs[(*ret_count)++] = e->value;
    return logs;
}

static struct log *find(struct log_manager *manager, const char *topic, int32_t partition)
{
    char name[PARTITION_DIR_NAME_SIZE];
    partition_dir_name(topic, partition, name);
    LOCK_SCOPE(&manager->table);
    return map_get(&manager->logs, slice_str(name));
}

struct log *log_manager_get(struct log_manager *manager, const char *topic, int32_t partition,
                            bool *ret_offline)
{
    struct log *log = find(manager, topic, partition);
    bool is_offline = log && atomic_load(&log->is_offline);
    if (ret_offline)
        *ret_offline = is_offline;
    return is_offline ? NULL : log;
}

void log_manager_for_each(struct log_manager *manager,
                          void (*visit)(void *context, struct log *log), void *context)
{
    size_t count;
    struct log **logs = log_manager_snapshot(manager, &count);
    for (size_t i = 0; i < count; i++)
        visit(context, logs[i]);
    free(logs);
}

static struct log_dir *emptiest_dir(struct log_manager *manager)
{
    struct log_dir *best = NULL;
    for (int i = 0; i < manager->dirs_count; i++) {
        struct log_dir *dir = &manager->dirs[i];
        if (atomic_load(&dir->is_online) &&
            (!best || atomic_load(&dir->logs_count) < atomic_load(&best->logs_count)))
            best = dir;
    }
    return best;
}

static enum err create_in(struct log_manager *manager, struct log_dir *dir, const char *topic,
                          int32_t partition, struct uuid topic_id, struct log **ret)
{
    char name[PARTITION_DIR_NAME_SIZE], path[PATH_MAX];
    struct log_config config = manager->options.default_config;
    partition_dir_name(topic, partition, name);
    snprintf(path, sizeof path, "%s/%s", dir->path, name);
    if (manager->options.topic_config)
        manager->options.topic_config(manager->options.context, topic, &config);
    struct log *log = log_new(topic, partition, path, dir, &manager->host, &config);
    log->checkpointed_high_watermark = -1;
    enum err e = log_create_files(log, topic_id);
    if (e) {
        e = log_failed(log, e);
        log_free(log);
        return e;
    }
    lock_acquire(&manager->table);
    map_put(&manager->logs, slice_str(name), log);
    lock_release(&manager->table);
    atomic_fetch_add(&dir->logs_count, 1);
    *ret = log;
    return ERR_OK;
}

enum err log_manager_create(struct log_manager *manager, const char *topic, int32_t partition,
                            struct uuid topic_id, struct log **ret)
{
    pthread_mutex_lock(&manager->create_mutex);
    struct log *log = find(manager, topic, partition);
    struct log_dir *dir = emptiest_dir(manager);
    enum err e = ERR_OK;
    if (log && atomic_load(&log->is_offline))
        e = err_note(ERR_IO, "log %s-%" PRId32 " exists and is offline", topic, partition);
    else if (log)
        e = log_set_topic_id(log, topic_id);
    else if (!dir)
        e = err_note(ERR_IO, "no log directory is online");
    else if (!(e = log_manager_settle_deletions(manager)))
        e = create_in(manager, dir, topic, partition, topic_id, &log);
    pthread_mutex_unlock(&manager->create_mutex);
    if (!e)
        *ret = log;
    return err_wrap(e, "create log %s-%" PRId32, topic, partition);
}

static void bury(struct log_manager *manager, struct log *log, const char *name)
{
    LOCK_SCOPE(&manager->table);
    map_remove(&manager->logs, slice_str(name));
    manager->deleted = mem_grow(manager->deleted, &manager->deleted_capacity,
                                manager->deleted_count + 1, sizeof *manager->deleted);
    manager->deleted[manager->deleted_count++] = log;
    log->deleted_at_ms = clock_mono_ms(manager->options.clock);
}

static enum err rename_deleted(struct log *log)
{
    char marked[DIR_NAME_MAX + 1], to[PATH_MAX];
    partition_dir_marked_name(log->topic, log->partition, DIR_DELETE, marked);
    snprintf(to, sizeof to, "%s/%s", log->dir->path, marked);
    enum err e = ERR_OK;
    pthread_mutex_lock(&log->small_files_mutex); /* else they might enter a successor's directory */
    lock_acquire(&log->lock);
    if (!atomic_load(&log->dir_unmade) && file_ops->rename(atomic_load(&log->path), to) != 0) {
        e = err_note_errno("rename %s", atomic_load(&log->path));
    } else {
        log_set_path(log, to);
        log->is_closed = true;
    }
    lock_release(&log->lock);
    pthread_mutex_unlock(&log->small_files_mutex);
    return e;
}

enum err log_manager_delete(struct log_manager *manager, const char *topic, int32_t partition)
{
    char name[PARTITION_DIR_NAME_SIZE];
    partition_dir_name(topic, partition, name);
    pthread_mutex_lock(&manager->create_mutex);
    struct log *log = find(manager, topic, partition);
    enum err e = log ? log_check_online(log) : err_note(ERR_NOT_FOUND, "there is no log %s", name);
    if (!e)
        e = log_failed(log, rename_deleted(log));
    if (!e) {
        bury(manager, log, name);
        atomic_store(&log->dir->has_unsettled_deletion, true);
        atomic_fetch_sub(&log->dir->logs_count, 1);
        log_manager_remove_later(manager, atomic_load(&log->path),
                                 log->config.file_delete_delay_ms);
        trace_info("log deleted topic=%s partition=%" PRId32, topic, partition);
    }
    pthread_mutex_unlock(&manager->create_mutex);
    return err_wrap(e, "delete log %s", name);
}

static int64_t known_high_watermark(void *context, struct log *log)
{
    (void)context;
    return log->checkpointed_high_watermark;
}

/* What the checkpoints say of the old log would be believed of the new one. Each that is written
 * syncs the names of the directory as well. */
static enum err settle_deletions_in(struct log_manager *manager, struct log_dir *dir)
{
    enum err e = log_manager_checkpoint_recovery_points(manager, dir);
    if (!e)
        e = log_manager_checkpoint_start_offsets(manager, dir);
    if (!e)
        e = log_manager_checkpoint(manager, dir, CHECKPOINT_HIGH_WATERMARK, known_high_watermark,
                                   NULL);
    if (e != ERR_NO_SPACE)
        return e;
    trace_warn("checkpoints still tell of deleted logs dir=%s error=\"%s\"", dir->path,
               err_sentence(e));
    atomic_store(&dir->has_unsettled_deletion, true); /* deleting is what makes room */
    return path_sync(dir->path);
}

enum err log_manager_settle_deletions(struct log_manager *manager)
{
    for (int i = 0; i < manager->dirs_count; i++) {
        struct log_dir *dir = &manager->dirs[i];
        if (!atomic_load(&dir->is_online) || !atomic_exchange(&dir->has_unsettled_deletion, false))
            continue;
        enum err e = settle_deletions_in(manager, dir);
        if (e) {
            log_manager_dir_failed(manager, dir, err_sentence(e));
            return err_wrap(ERR_IO, "make deletions last");
        }
    }
    return ERR_OK;
}

/* --- high watermarks --- */

int64_t log_manager_checkpointed_high_watermark(struct log_manager *manager, const char *topic,
                                                int32_t partition)
{
    struct log *log = find(manager, topic, partition);
    return log ? log->checkpointed_high_watermark : -1;
}

enum err log_manager_checkpoint_high_watermarks(struct log_manager *manager,
                                                int64_t (*high_watermark)(void *context,
                                                                          struct log *log),
                                                void *context)
{
    enum err first = ERR_OK;
    for (int i = 0; i < manager->dirs_count; i++) {
        struct log_dir *dir = &manager->dirs[i];
        if (!atomic_load(&dir->is_online))
            continue;
        enum err e = log_manager_checkpoint(manager, dir, CHECKPOINT_HIGH_WATERMARK, high_watermark,
                                            context);
        if (e == ERR_IO)
            log_manager_dir_failed(manager, dir, err_sentence(e));
        if (e && !first)
            first = e;
    }
    return first;
}
