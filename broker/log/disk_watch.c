/* See disk_watch.h. A slot holds one number, so that it is read whole: the time, and in the lowest
 * byte, which the clock's coarseness makes worthless, the directory. */
#include "broker/log/disk_watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "broker/base/mem.h"

#define DIR_MASK  INT64_C(0xff)
#define FDS_MAX   (1 << 20) /* what Linux lets a process have; files beyond are not watched */
#define SLOT_SIZE 64        /* of a cache line: no two threads write the same */

struct slot {
    _Alignas(SLOT_SIZE) _Atomic int64_t under_way; /* 0: nothing */
    _Atomic bool is_taken;                         /* by a thread that lives */
    struct slot *next;                             /* fixed */
};

struct disk_watch {
    size_t count;
    uint8_t dirs[];
};

/* --- the slots: never freed, taken over when their thread has ended --- */

static struct slot *_Atomic slots;
static _Thread_local struct slot *own;
static pthread_key_t own_key;
static pthread_once_t own_once = PTHREAD_ONCE_INIT;

static void give_back(void *slot)
{
    atomic_store(&((struct slot *)slot)->is_taken, false);
}

static void make_key(void)
{
    pthread_key_create(&own_key, give_back);
}

static struct slot *take_slot(void)
{
    struct slot *slot = atomic_load(&slots);
    while (slot && atomic_exchange(&slot->is_taken, true))
        slot = slot->next;
    if (!slot) {
        slot = aligned_alloc(SLOT_SIZE, sizeof *slot);
        if (!slot)
            abort();
        *slot = (struct slot){.is_taken = true};
        slot->next = atomic_load(&slots);
        while (!atomic_compare_exchange_weak(&slots, &slot->next, slot))
            ;
    }
    pthread_once(&own_once, make_key);
    pthread_setspecific(own_key, slot);
    return slot;
}

void disk_watch_begin(uint8_t dir)
{
    struct timespec now;
    if (dir == 0)
        return;
    if (!own)
        own = take_slot();
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    atomic_store_explicit(&own->under_way, (ns & ~DIR_MASK) | dir, memory_order_release);
}

void disk_watch_end(void)
{
    if (own)
        atomic_store_explicit(&own->under_way, 0, memory_order_release);
}

int64_t disk_watch_oldest(const struct disk_watch *watch, size_t dir)
{
    assert(dir < watch->count);
    int64_t oldest = 0;
    if (watch->dirs[dir] == 0)
        return 0;
    for (struct slot *slot = atomic_load(&slots); slot; slot = slot->next) {
        int64_t noted = atomic_load_explicit(&slot->under_way, memory_order_acquire);
        if ((noted & DIR_MASK) == watch->dirs[dir] && (oldest == 0 || noted < oldest))
            oldest = noted;
    }
    return oldest & ~DIR_MASK;
}

/* --- the directories: number n is paths[n - 1] --- */

static pthread_rwlock_t paths_lock = PTHREAD_RWLOCK_INITIALIZER; /* held for moments */
static char *paths[DISK_WATCH_DIRS_MAX];

static uint8_t add_path(const char *path)
{
    for (int i = 0; i < DISK_WATCH_DIRS_MAX; i++) {
        if (paths[i])
            continue;
        paths[i] = mem_strdup(path);
        return (uint8_t)(i + 1);
    }
    return 0;
}

struct disk_watch *disk_watch_new(const char *const *dirs, size_t count)
{
    struct disk_watch *watch = mem_alloc(sizeof *watch + count);
    watch->count = count;
    pthread_rwlock_wrlock(&paths_lock);
    for (size_t i = 0; i < count; i++)
        watch->dirs[i] = add_path(dirs[i]);
    pthread_rwlock_unlock(&paths_lock);
    return watch;
}

void disk_watch_free(struct disk_watch *watch)
{
    if (!watch)
        return;
    pthread_rwlock_wrlock(&paths_lock);
    for (size_t i = 0; i < watch->count; i++)
        if (watch->dirs[i] > 0)
            free(TAKE(paths[watch->dirs[i] - 1]));
    pthread_rwlock_unlock(&paths_lock);
    free(watch);
}

static bool lies_below(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    while (size > 1 && dir[size - 1] == '/')
        size--;
    return strncmp(path, dir, size) == 0 && (path[size] == '/' || path[size] == 0);
}

/* Of directories in one another, the innermost. */
uint8_t disk_watch_of_path(const char *path)
{
    uint8_t found = 0;
    size_t found_size = 0;
    pthread_rwlock_rdlock(&paths_lock);
    for (int i = 0; i < DISK_WATCH_DIRS_MAX; i++) {
        if (!paths[i] || !lies_below(path, paths[i]) || strlen(paths[i]) < found_size)
            continue;
        found = (uint8_t)(i + 1);
        found_size = strlen(paths[i]);
    }
    pthread_rwlock_unlock(&paths_lock);
    return found;
}

/* --- the open files --- */

static _Atomic uint8_t dir_of_fd[FDS_MAX];

uint8_t disk_watch_of_fd(int fd)
{
    return fd >= 0 && fd < FDS_MAX ? atomic_load_explicit(&dir_of_fd[fd], memory_order_relaxed) : 0;
}

void disk_watch_note_fd(int fd, uint8_t dir)
{
    if (fd >= 0 && fd < FDS_MAX)
        atomic_store_explicit(&dir_of_fd[fd], dir, memory_order_relaxed);
}
