/* Threads with names; locks that know their rank and, in checked builds, who holds them. */
#include "broker/base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/mem.h"

#define MOST_LOCKS_HELD 8

static _Thread_local char own_name[16] = "main";

#ifdef STOKER_CHECK_LOCKS
static _Thread_local const struct lock *held_locks[MOST_LOCKS_HELD];
static _Thread_local int held_count;

static void note_acquire(struct lock *lock)
{
    if (held_count && held_locks[held_count - 1]->rank >= lock->rank) {
        fprintf(stderr, "lock %s taken under %s: ranks must rise\n", lock->name,
                held_locks[held_count - 1]->name);
        abort();
    }
    assert(held_count < MOST_LOCKS_HELD);
    held_locks[held_count++] = lock;
    lock->holder = pthread_self();
    lock->held = true;
}

static void note_release(struct lock *lock)
{
    lock_assert_held(lock);
    lock->held = false;
    for (int i = 0; i < held_count; i++)
        if (held_locks[i] == lock) {
            memmove(held_locks + i, held_locks + i + 1,
                    (size_t)(held_count - i - 1) * sizeof held_locks[0]);
            held_count--;
            return;
        }
    assert(!"released a lock that this thread does not hold");
}

void lock_assert_held(const struct lock *lock)
{
    assert(lock->held);
    assert(pthread_equal(lock->holder, pthread_self()));
}
#else
static void note_acquire(struct lock *lock)
{
    (void)lock;
}

static void note_release(struct lock *lock)
{
    (void)lock;
}
#endif

void lock_init(struct lock *lock, enum lock_rank rank, const char *name)
{
    *lock = (struct lock){.rank = rank, .name = name};
    pthread_mutex_init(&lock->mutex, NULL);
}

void lock_done(struct lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void lock_acquire(struct lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    note_acquire(lock);
}

void lock_release(struct lock *lock)
{
    note_release(lock);
    pthread_mutex_unlock(&lock->mutex);
}

struct start {
    char name[16];
    void *(*run)(void *context);
    void *context;
};

static void *run_named(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    memcpy(own_name, start.name, sizeof own_name);
    pthread_setname_np(pthread_self(), start.name);
    return start.run(start.context);
}

pthread_t thread_start(const char *name, void *(*run)(void *context), void *context)
{
    struct start *start = mem_new(struct start);
    snprintf(start->name, sizeof start->name, "%s", name);
    start->run = run;
    start->context = context;

    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, run_named, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        fprintf(stderr, "cannot start thread %s: %s\n", name, strerror(failed));
        abort();
    }
    return thread;
}

const char *thread_name(void)
{
    return own_name;
}
