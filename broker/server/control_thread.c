/* A poll loop over the mailbox of work and the mailboxes that others asked to have watched. */
#include "broker/server/control_thread.h"

#include <poll.h>

#include "broker/base/clock.h"
#include "broker/base/mem.h"
#include "broker/base/thread.h"

#define MOST_WATCHED 4

struct watched {
    struct mailbox *mailbox;
    void (*take)(void *context, struct list_node *messages);
    void *context;
};

struct control_thread {
    struct clock *clock;
    pthread_t thread;
    bool is_started, is_stopping;
    struct mailbox *mailbox;
    struct timers timers;
    struct watched watched[MOST_WATCHED];
    int watched_count;
    struct control_work stop;
};

static void run_works(void *context, struct list_node *messages)
{
    (void)context;
    for (struct list_node *node; (node = list_pop_front(messages));) {
        struct control_work *work = list_entry(node, struct control_work, node);
        work->run(work);
    }
}

struct control_thread *control_thread_new(struct clock *clock)
{
    struct control_thread *thread = mem_new(struct control_thread);
    thread->clock = clock;
    thread->mailbox = mailbox_new();
    control_thread_watch(thread, thread->mailbox, run_works, NULL);
    return thread;
}

void control_thread_watch(struct control_thread *thread, struct mailbox *mailbox,
                          void (*take)(void *context, struct list_node *messages), void *context)
{
    assert(!thread->is_started);
    assert(thread->watched_count < MOST_WATCHED);
    thread->watched[thread->watched_count++] = (struct watched){mailbox, take, context};
}

/* Milliseconds to the next timer, at most a minute, never less than none. */
static int timeout_of(struct control_thread *thread)
{
    int64_t left_ms = timers_next_ms(&thread->timers) - clock_mono_ms(thread->clock);
    return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
}

static void take_all(struct control_thread *thread, const struct pollfd *fds)
{
    for (int i = 0; i < thread->watched_count; i++) {
        if (!fds[i].revents)
            continue;
        struct list_node messages;
        list_init(&messages);
        mailbox_receive(thread->watched[i].mailbox, &messages);
        thread->watched[i].take(thread->watched[i].context, &messages);
    }
}

static void *loop(void *context)
{
    struct control_thread *thread = context;
    struct pollfd fds[MOST_WATCHED];
    for (int i = 0; i < thread->watched_count; i++)
        fds[i] = (struct pollfd){.fd = mailbox_fd(thread->watched[i].mailbox), .events = POLLIN};
    while (!thread->is_stopping) {
        int ready = poll(fds, (nfds_t)thread->watched_count, timeout_of(thread));
        if (ready > 0)
            take_all(thread, fds);
        timers_run(&thread->timers, clock_mono_ms(thread->clock));
    }
    return NULL;
}

void control_thread_start(struct control_thread *thread)
{
    thread->is_started = true;
    thread->thread = thread_start("control", loop, thread);
}

void control_thread_post(struct control_thread *thread, struct control_work *work)
{
    mailbox_post(thread->mailbox, &work->node);
}

struct timers *control_thread_timers(struct control_thread *thread)
{
    return &thread->timers;
}

static void end(struct control_work *work)
{
    CONTAINER_OF(work, struct control_thread, stop)->is_stopping = true;
}

void control_thread_stop(struct control_thread *thread)
{
    if (!thread || !thread->is_started)
        return;
    thread->stop.run = end;
    control_thread_post(thread, &thread->stop);
    pthread_join(thread->thread, NULL);
    thread->is_started = false;
}

void control_thread_free(struct control_thread *thread)
{
    if (!thread)
        return;
    assert(!thread->is_started);
    timers_done(&thread->timers);
    mailbox_free(thread->mailbox);
    free(thread);
}
