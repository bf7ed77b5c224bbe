/* See file_cache.h. One lock, one list per kind in order of use, newest first. */
#include "broker/log/file_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "broker/base/mem.h"
#include "broker/base/thread.h"
#include "broker/log/file_ops.h"
#include "broker/log/log.h"

/* How many held files at the cold end are passed over in search of one to close. */
#define EVICTION_LOOK_MAX 64
/* One descriptor of so many that the process may have is for the files of logs. The others are for
 * connections, and for the files that starting, stopping and recovery open beside the cache. */
#define DESCRIPTORS_SHARE 2

struct log_file {
    struct list_node node; /* in the cache's list while a slot holds it */
    struct file_slot *slot;
    enum file_kind kind;
    int fd;
    _Atomic int refs;
};

struct file_cache {
    struct lock lock; /* RANK_FILE_CACHE; guards all below */
    struct list_node used[FILE_KIND_COUNT];
    int count[FILE_KIND_COUNT];
    int max[FILE_KIND_COUNT];
};

/* Settings that together want more than their share of descriptors get it in the same proportion:
 * a disk would seem broken when it is only a limit that was reached. */
static void fit_into_limit(struct file_cache *cache)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return;
    int64_t wanted = 0, share = (int64_t)(limit.rlim_cur / DESCRIPTORS_SHARE);
    for (int i = 0; i < FILE_KIND_COUNT; i++)
        wanted += cache->max[i];
    if (wanted <= share)
        return;
    for (int i = 0; i < FILE_KIND_COUNT; i++) {
        int64_t max = cache->max[i] * share / wanted;
        cache->max[i] = max > 0 ? (int)max : 1;
    }
}

struct file_cache *file_cache_new(int max_segments, int max_indexes)
{
    struct file_cache *cache = mem_new(struct file_cache);
    lock_init(&cache->lock, RANK_FILE_CACHE, "file cache");
    cache->max[FILE_SEGMENT] = max_segments;
    cache->max[FILE_INDEX] = max_indexes;
    for (int i = 0; i < FILE_KIND_COUNT; i++)
        list_init(&cache->used[i]);
    fit_into_limit(cache);
    return cache;
}

void file_cache_free(struct file_cache *cache)
{
    if (!cache)
        return;
    for (int i = 0; i < FILE_KIND_COUNT; i++)
        assert(list_is_empty(&cache->used[i]));
    lock_done(&cache->lock);
    free(cache);
}

int log_file_fd(const struct log_file *file)
{
    return file->fd;
}

void log_file_ref(struct log_file *file)
{
    atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
}

void log_file_unref(struct log_file *file)
{
    if (!file || atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) != 1)
        return;
    file_ops->close(file->fd);
    free(file);
}

/* Take the file out of list and slot; gives the slot's reference to the caller. */
static struct log_file *detach(struct file_cache *cache, struct log_file *file)
{
    list_remove(&file->node);
    cache->count[file->kind]--;
    file->slot->file = NULL;
    file->slot = NULL;
    return file;
}

/* Make room for one more; gives what must be closed once the lock is free, or NULL. */
static struct log_file *evict_one(struct file_cache *cache, enum file_kind kind)
{
    if (cache->count[kind] < cache->max[kind])
        return NULL;
    int looked = 0;
    for (struct list_node *node = cache->used[kind].prev;
         node != &cache->used[kind] && looked < EVICTION_LOOK_MAX; node = node->prev, looked++) {
        struct log_file *file = list_entry(node, struct log_file, node);
        if (atomic_load(&file->refs) == 1)
            return detach(cache, file);
    }
    return NULL;
}

struct log_file *file_cache_peek(struct file_cache *cache, struct file_slot *slot)
{
    LOCK_SCOPE(&cache->lock);
    struct log_file *file = slot->file;
    if (!file)
        return NULL;
    if (cache->used[file->kind].next != &file->node) {
        list_remove(&file->node);
        list_push_front(&cache->used[file->kind], &file->node);
    }
    log_file_ref(file);
    return file;
}

/* Put a fresh file in the slot, unless another thread was first: then that one is used and ours
 * closed. */
static struct log_file *attach(struct file_cache *cache, struct file_slot *slot,
                               enum file_kind kind, struct log_file *fresh,
                               struct log_file **ret_surplus, struct log_file **ret_evicted)
{
    LOCK_SCOPE(&cache->lock);
    if (slot->file) {
        *ret_surplus = fresh;
        log_file_ref(slot->file);
        return slot->file;
    }
    *ret_evicted = evict_one(cache, kind);
    slot->file = fresh;
    fresh->slot = slot;
    list_push_front(&cache->used[kind], &fresh->node);
    cache->count[kind]++;
    log_file_ref(fresh);
    return fresh;
}

enum err file_cache_get(struct file_cache *cache, struct file_slot *slot, enum file_kind kind,
                        const char *path, bool create, struct log_file **ret_file)
{
    struct log_file *file = file_cache_peek(cache, slot);
    if (file) {
        *ret_file = file;
        return ERR_OK;
    }
    int fd = file_ops->open(AT_FDCWD, path, O_RDWR | (create ? O_CREAT : 0), 0644);
    if (fd < 0 && errno == ENOENT && !create)
        return err_note(ERR_NOT_FOUND, "open %s: no such file", path);
    if (fd < 0)
        return err_note_errno("open %s", path);

    struct log_file *fresh = mem_new(struct log_file);
    fresh->fd = fd;
    fresh->kind = kind;
    atomic_init(&fresh->refs, 1);
    struct log_file *surplus = NULL, *evicted = NULL;
    *ret_file = attach(cache, slot, kind, fresh, &surplus, &evicted);
    log_file_unref(surplus);
    log_file_unref(evicted);
    return ERR_OK;
}

void file_cache_close(struct file_cache *cache, struct file_slot *slot)
{
    struct log_file *file = NULL;
    lock_acquire(&cache->lock);
    if (slot->file)
        file = detach(cache, slot->file);
    lock_release(&cache->lock);
    log_file_unref(file);
}

int file_cache_open_count(struct file_cache *cache, enum file_kind kind)
{
    LOCK_SCOPE(&cache->lock);
    return cache->count[kind];
}
