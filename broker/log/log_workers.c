/* See log_workers.h. */
#include "broker/log/log_workers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "broker/base/list.h"
#include "broker/base/mem.h"
#include "broker/base/thread.h"

#define PARALLEL_THREADS_MAX 64
/* So many threads take no requests: however many readers wait for a disk, what the logs do for
 * their producers (flushes after rolls, write-back) begins at once. */
#define REQUESTS_KEEP_FREE 2

struct work {
    struct list_node node;
    void (*run)(void *context);
    void *context;
};

struct log_workers {
    pthread_mutex_t mutex; /* guards all below; raw, as a condition goes with it */
    pthread_cond_t has_work;
    struct list_node queue, requests;
    int requests_running, requests_max;
    bool is_stopping;
    int count;
    pthread_t threads[];
};

/* The logs' own work first; of the requests no more than may run at a time, until the end. */
static struct list_node *next_node(struct log_workers *workers, bool *ret_is_request)
{
    *ret_is_request = false;
    if (!list_is_empty(&workers->queue))
        return list_pop_front(&workers->queue);
    if (list_is_empty(&workers->requests) ||
        (workers->requests_running >= workers->requests_max && !workers->is_stopping))
        return NULL;
    *ret_is_request = true;
    return list_pop_front(&workers->requests);
}

static struct work *take(struct log_workers *workers, bool *ret_is_request)
{
    struct list_node *node;
    pthread_mutex_lock(&workers->mutex);
    while (!(node = next_node(workers, ret_is_request)) && !workers->is_stopping)
        pthread_cond_wait(&workers->has_work, &workers->mutex);
    workers->requests_running += *ret_is_request;
    pthread_mutex_unlock(&workers->mutex);
    return node ? list_entry(node, struct work, node) : NULL;
}

/* This thread takes the next by itself: nobody needs to be woken for it. */
static void request_has_ended(struct log_workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    workers->requests_running--;
    pthread_mutex_unlock(&workers->mutex);
}

static void *run_worker(void *context)
{
    struct work *work;
    bool is_request;
    while ((work = take(context, &is_request))) {
        work->run(work->context);
        free(work);
        if (is_request)
            request_has_ended(context);
    }
    return NULL;
}

struct log_workers *log_workers_start(int count)
{
    struct log_workers *workers =
        mem_alloc(sizeof *workers + (size_t)count * sizeof workers->threads[0]);
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->has_work, NULL);
    list_init(&workers->queue);
    list_init(&workers->requests);
    workers->requests_max = count > REQUESTS_KEEP_FREE ? count - REQUESTS_KEEP_FREE : 1;
    workers->count = count;
    for (int i = 0; i < count; i++)
        workers->threads[i] = thread_start("log-worker", run_worker, workers);
    return workers;
}

void log_workers_stop(struct log_workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->mutex);
    workers->is_stopping = true;
    pthread_cond_broadcast(&workers->has_work);
    pthread_mutex_unlock(&workers->mutex);
    for (int i = 0; i < workers->count; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_mutex_destroy(&workers->mutex);
    pthread_cond_destroy(&workers->has_work);
    free(workers);
}

static void put(struct log_workers *workers, struct list_node *queue, void (*run)(void *context),
                void *context)
{
    struct work *work = mem_new(struct work);
    work->run = run;
    work->context = context;
    pthread_mutex_lock(&workers->mutex);
    bool is_stopping = workers->is_stopping;
    if (!is_stopping) {
        list_push_back(queue, &work->node);
        pthread_cond_signal(&workers->has_work);
    }
    pthread_mutex_unlock(&workers->mutex);
    if (is_stopping) {
        run(context);
        free(work);
    }
}

void log_workers_run(struct log_workers *workers, void (*run)(void *context), void *context)
{
    put(workers, &workers->queue, run, context);
}

void log_workers_run_request(struct log_workers *workers, void (*run)(void *context), void *context)
{
    put(workers, &workers->requests, run, context);
}

struct parallel {
    _Atomic int next;
    int count;
    void (*visit)(void *context, int index);
    void *context;
};

static void *run_share(void *context)
{
    struct parallel *parallel = context;
    int index;
    while ((index = atomic_fetch_add(&parallel->next, 1)) < parallel->count)
        parallel->visit(parallel->context, index);
    return NULL;
}

void parallel_for(int threads, int count, void (*visit)(void *context, int index), void *context)
{
    struct parallel parallel = {.count = count, .visit = visit, .context = context};
    pthread_t ids[PARALLEL_THREADS_MAX];
    if (threads > PARALLEL_THREADS_MAX)
        threads = PARALLEL_THREADS_MAX;
    if (threads > count)
        threads = count;
    for (int i = 1; i < threads; i++)
        ids[i] = thread_start("log-loader", run_share, &parallel);
    run_share(&parallel);
    for (int i = 1; i < threads; i++)
        pthread_join(ids[i], NULL);
}
