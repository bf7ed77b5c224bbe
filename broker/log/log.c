/* A log's birth and death, what is read anywhere, and the small steps that its other files share:
 * pins, the segment list, the directory's failure. Appending is in log_append.c, reading in
 * log_read.c, and so on. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "broker/base/trace.h"
#include "broker/log/segment.h"

struct log *log_new(const char *topic, int32_t partition, const char *path, struct log_dir *dir,
                    const struct log_host *host, const struct log_config *config)
{
    struct log *log = mem_new(struct log);
    log->topic = mem_strdup(topic);
    log->partition = partition;
    log->dir = dir;
    log->host = host;
    atomic_init(&log->path, mem_strdup(path));
    log->config = *config;
    log->last_snapshot_offset = NO_OFFSET;
    lock_init(&log->lock, RANK_LOG, "log");
    lock_init(&log->view, RANK_LEAF, "log view");
    pthread_mutex_init(&log->flush_mutex, NULL);
    pthread_cond_init(&log->flush_done, NULL);
    pthread_mutex_init(&log->small_files_mutex, NULL);
    producer_state_init(&log->producers);
    log->last_flush_ms = log_now_ms(log);
    return log;
}

void log_free(struct log *log)
{
    if (!log)
        return;
    segment_list_unref(log->list);
    epoch_cache_done(&log->epochs);
    producer_state_done(&log->producers);
    lock_done(&log->lock);
    lock_done(&log->view);
    pthread_mutex_destroy(&log->flush_mutex);
    pthread_cond_destroy(&log->flush_done);
    pthread_mutex_destroy(&log->small_files_mutex);
    free(log->marks);
    free(log->snapshots);
    free((char *)atomic_load(&log->path));
    free(log->old_path);
    free(log->topic);
    free(log);
}

/* --- read anywhere --- */

const char *log_topic(const struct log *log)
{
    return log->topic;
}

int32_t log_partition(const struct log *log)
{
    return log->partition;
}

const struct log_dir *log_dir_of(const struct log *log)
{
    return log->dir;
}

int64_t log_start_offset(const struct log *log)
{
    return atomic_load_explicit(&log->start_offset, memory_order_acquire);
}

int64_t log_end_offset(const struct log *log)
{
    return atomic_load_explicit(&log->end_offset, memory_order_acquire);
}

int64_t log_size_bytes(const struct log *log)
{
    struct log *mutable = (struct log *)log;
    LOCK_SCOPE(&mutable->view);
    return log->size_bytes;
}

int64_t log_last_stable_offset(struct log *log, int64_t high_watermark)
{
    if (!atomic_load_explicit(&log->has_txns, memory_order_acquire))
        return high_watermark;
    LOCK_SCOPE(&log->view);
    int64_t first = producer_state_first_unstable(&log->producers, high_watermark);
    if (first == NO_OFFSET)
        return high_watermark;
    int64_t start = log_start_offset(log);
    if (first < start)
        first = start;
    return first < high_watermark ? first : high_watermark;
}

int32_t log_latest_epoch(struct log *log)
{
    LOCK_SCOPE(&log->view);
    return epoch_cache_latest(&log->epochs);
}

int32_t log_epoch_for_offset(struct log *log, int64_t offset)
{
    LOCK_SCOPE(&log->view);
    return epoch_cache_for_offset(&log->epochs, offset);
}

void log_epoch_end(struct log *log, int32_t leader_epoch, int32_t *ret_epoch,
                   int64_t *ret_end_offset)
{
    LOCK_SCOPE(&log->view);
    epoch_cache_end(&log->epochs, leader_epoch, log_end_offset(log), ret_epoch, ret_end_offset);
}

struct uuid log_topic_id(struct log *log)
{
    LOCK_SCOPE(&log->view);
    return log->topic_id;
}

/* --- shared by the files of the folder --- */

int64_t log_now_ms(const struct log *log)
{
    return clock_wall_ms(log->host->clock);
}

void log_path(const struct log *log, const char *name, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/%s", atomic_load(&log->path), name);
}

void log_set_path(struct log *log, const char *path)
{
    assert(!log->old_path); /* a directory is renamed once in a log's life */
    log->old_path = (char *)atomic_exchange(&log->path, mem_strdup(path));
}

enum err log_failed(struct log *log, enum err e)
{
    if (e != ERR_IO)
        return e;
    atomic_store(&log->is_offline, true);
    if (log->host->failed) {
        char sentence[ERR_SENTENCE_MAX];
        snprintf(sentence, sizeof sentence, "%s", err_sentence(e));
        log->host->failed(log->host->context, log->dir, sentence);
        return err_note(e, "%s", sentence);
    }
    return e;
}

enum err log_check_online(const struct log *log)
{
    if (atomic_load_explicit(&log->is_offline, memory_order_relaxed))
        return err_note(ERR_IO, "log %s-%" PRId32 " is offline", log->topic, log->partition);
    return ERR_OK;
}

struct segment *log_active(const struct log *log)
{
    return log->list->items[log->list->count - 1];
}

struct segment_list *log_pin(struct log *log)
{
    LOCK_SCOPE(&log->view);
    atomic_fetch_add(&log->list->refs, 1);
    return log->list;
}

struct segment_list *segment_list_new(struct segment *const *items, int count)
{
    struct segment_list *list = mem_alloc(sizeof *list + (size_t)count * sizeof list->items[0]);
    atomic_init(&list->refs, 1);
    list->count = count;
    for (int i = 0; i < count; i++) {
        list->items[i] = items[i];
        segment_ref(items[i]);
    }
    return list;
}

void segment_list_unref(struct segment_list *list)
{
    if (!list || atomic_fetch_sub(&list->refs, 1) != 1)
        return;
    for (int i = 0; i < list->count; i++)
        segment_unref(list->items[i]);
    free(list);
}

int segment_list_floor(const struct segment_list *list, int64_t offset)
{
    int low = 0, high = list->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (list->items[middle]->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

void log_set_list(struct log *log, struct segment_list *list)
{
    log->list = list;
    log->size_bytes = 0;
    for (int i = 0; i < list->count; i++)
        log->size_bytes += list->items[i]->size_bytes;
}

void log_update_txn_flag(struct log *log)
{
    atomic_store_explicit(&log->has_txns,
                          log->producers.open.count + log->producers.unreplicated.count > 0,
                          memory_order_release);
}

/* --- settings --- */

void log_set_config(struct log *log, const struct log_config *config)
{
    LOCK_SCOPE(&log->lock);
    bool was_preallocated = log->config.preallocate;
    log->config = *config;
    /* A file that was preallocated is still to be trimmed: keep that duty until the segment ends.
     */
    log->config.preallocate |= was_preallocated;
}

void log_set_high_watermark(struct log *log, int64_t high_watermark)
{
    atomic_store_explicit(&log->high_watermark, high_watermark, memory_order_release);
    if (!atomic_load_explicit(&log->has_txns, memory_order_acquire))
        return;
    LOCK_SCOPE(&log->view);
    producer_state_set_replicated(&log->producers, high_watermark);
    log_update_txn_flag(log);
}

int64_t log_recovery_point(const struct log *log)
{
    return atomic_load_explicit(&log->recovery_point, memory_order_acquire);
}
