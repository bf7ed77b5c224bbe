/* Threads with names, and locks with ranks.
 *
 * Locks are taken in rising rank; test builds (Debug, Asan, Tsan: STOKER_CHECK_LOCKS) check this
 * and who holds what. Two locks of the same rank are never held together. */
#pragma once

#include <pthread.h>

#include "broker/base/attributes.h"

enum lock_rank {
    RANK_METADATA_CACHE = 10,
    RANK_REPLICA_MANAGER = 20, /* the table of partitions */
    RANK_PARTITION = 30,
    RANK_LOG = 40, /* segment list, producer state readers */
    RANK_LOG_DIR = 45,
    RANK_FILE_CACHE = 50,
    RANK_LEAF = 90, /* takes no other while held */
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
    const char *name;
    pthread_t holder; /* meaningful while held, checked builds only */
    bool held;
};

void lock_init(struct lock *lock, enum lock_rank rank, const char *name);
void lock_done(struct lock *lock);
void lock_acquire(struct lock *lock);
void lock_release(struct lock *lock);

#ifdef STOKER_CHECK_LOCKS
void lock_assert_held(const struct lock *lock);
#define assert_held(lock) lock_assert_held(lock)
#else
#define assert_held(lock) ((void)(lock))
#endif

static inline void lock_scope_release(struct lock **lock)
{
    if (*lock)
        lock_release(*lock);
}

/* Held to the end of the scope. */
#define LOCK_SCOPE(l)                                                                              \
    __attribute__((cleanup(lock_scope_release))) UNUSED struct lock *lock_scope_ =                 \
        (lock_acquire(l), (l))

/* Start a joinable thread; all signals but faults are blocked in it. Stops the process if there can
 * be none. name: at most 15 bytes, shown by ps and in trace lines. */
pthread_t thread_start(const char *name, void *(*run)(void *context), void *context);
const char *thread_name(void); /* of this thread */
