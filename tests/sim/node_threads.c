/* Threads without threads: what broker/log, broker/server and the controller post to others goes to
 * the queues of the node that posts. The linker takes these functions instead of those of
 * log_workers.c, control_thread.c, controller_thread.c and broker_channels.c; thread_start and
 * pthread_join are wrapped (sim.cmake), for the one thread that is begun elsewhere: the timer of
 * the log manager, whose ticks node_run_timers() gives. */
#include <assert.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/types.h>

#include "broker/log/log_workers.h"
#include "broker/server/config_watch.h"
#include "tests/sim/chance.h"
#include "tests/sim/node.h"

/* ---- The log's workers ---- */

struct log_workers {
    struct node *node;
};

struct log_workers *log_workers_start(int count)
{
    (void)count;
    struct log_workers *workers = mem_new(struct log_workers);
    workers->node = node_current();
    assert(workers->node);
    return workers;
}

void log_workers_stop(struct log_workers *workers)
{
    while (workers && node_run(workers->node, QUEUE_WORKERS))
        continue;
    free(workers);
}

void log_workers_run(struct log_workers *workers, void (*work)(void *context), void *context)
{
    node_post(workers->node, QUEUE_WORKERS, work, context);
}

void log_workers_run_request(struct log_workers *workers, void (*work)(void *context),
                             void *context)
{
    log_workers_run(workers, work, context);
}

void parallel_for(int threads, int count, void (*visit)(void *context, int index), void *context)
{
    (void)threads;
    for (int i = 0; i < count; i++)
        visit(context, i);
}

/* ---- Threads that nobody needs ---- */

pthread_t __wrap_thread_start(const char *name, void *(*run)(void *context), void *context);
pthread_t __wrap_thread_start(const char *name, void *(*run)(void *context), void *context)
{
    (void)run, (void)context;
    assert(strcmp(name, "log-timer") == 0);
    (void)name;
    return (pthread_t)0;
}

int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_join(pthread_t thread, void **ret)
{
    (void)thread, (void)ret;
    return 0;
}

/* ---- The control thread ---- */

static void run_control_work(void *context)
{
    struct control_work *work = context;
    work->run(work);
}

void control_thread_post(struct control_thread *thread, struct control_work *work)
{
    node_post(thread->node, QUEUE_CONTROL, run_control_work, work);
}

struct timers *control_thread_timers(struct control_thread *thread)
{
    return &thread->timers;
}

/* Settings of topics are those of the cluster here (cluster_min_isr()): there is nothing to read.
 */
void config_watch_read_topics(struct config_watch *watch, const struct slice *topics, int32_t count,
                              void (*done)(void *context), void *context)
{
    (void)watch, (void)topics, (void)count;
    done(context);
}

/* ---- The controller's thread ---- */

struct controller_work {
    struct node *node;
    void (*run)(struct controller *controller, void *context);
    void *context;
};

static void run_controller_work(void *context)
{
    OWNED_MEM struct controller_work *work = context;
    work->run(work->node->process->controller, work->context);
}

void controller_thread_post(struct controller_thread *thread,
                            void (*run)(struct controller *controller, void *context),
                            void *context)
{
    struct controller_work *work = mem_new(struct controller_work);
    *work = (struct controller_work){thread->node, run, context};
    node_post(thread->node, QUEUE_CONTROLLER, run_controller_work, work);
}

struct controller_peers *broker_channels_peers(struct broker_channels *channels)
{
    return &channels->peers;
}

/* ---- The system's chance: ids of topics and sessions, part of the seed here ---- */

ssize_t getrandom(void *ret, size_t size, unsigned flags)
{
    (void)flags;
    chance_fill(ret, size);
    return (ssize_t)size;
}
