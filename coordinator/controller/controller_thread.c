/* The thread around the core: an event loop, a mailbox, and a timer that follows the core's next
 * deadline. */
#include "coordinator/controller/controller_thread.h"

#include <event2/event.h>
#include <event2/thread.h>

#include "broker/base/mailbox.h"
#include "broker/base/thread.h"
#include "broker/base/trace.h"

struct post {
    struct list_node node;
    void (*run)(struct controller *controller, void *context);
    void *context;
};

struct controller_thread {
    struct event_base *loop;
    struct event *mail_event, *timer_event;
    struct mailbox *mailbox;
    struct controller *core; /* the thread's own */
    struct clock *clock;
    pthread_t thread;
    bool started;

    struct lock lock; /* RANK_LEAF; guards down to the end */
    bool stopped;     /* posts run where they are made, without a core */
};

struct controller_thread *controller_thread_new(void)
{
    struct controller_thread *thread = mem_new(struct controller_thread);
    evthread_use_pthreads();
    thread->loop = event_base_new();
    if (!thread->loop)
        mem_stop(0);
    thread->mailbox = mailbox_new();
    lock_init(&thread->lock, RANK_LEAF, "controller-thread");
    return thread;
}

struct event_base *controller_thread_loop(struct controller_thread *thread)
{
    return thread->loop;
}

static void set_timer(struct controller_thread *thread)
{
    int64_t next_ms = thread->core ? controller_next_timer_ms(thread->core) : INT64_MAX;
    if (next_ms == INT64_MAX) {
        event_del(thread->timer_event);
        return;
    }
    int64_t wait_ms = next_ms - clock_mono_ms(thread->clock);
    if (wait_ms < 0)
        wait_ms = 0;
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    event_add(thread->timer_event, &wait);
}

static void timer_due(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct controller_thread *thread = context;
    if (thread->core)
        controller_run_timers(thread->core);
    set_timer(thread);
}

static void take_posts(struct controller_thread *thread)
{
    struct list_node posts;
    list_init(&posts);
    mailbox_receive(thread->mailbox, &posts);
    struct list_node *node;
    while ((node = list_pop_front(&posts))) {
        OWNED_MEM struct post *post = list_entry(node, struct post, node);
        post->run(thread->core, post->context);
    }
}

static void mail_came(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    take_posts(context);
    set_timer(context);
}

/* zk and peers share the loop, so a timer may be due sooner after any of their callbacks; the loop
 * is run once a turn and the timer set between the turns. */
static void *run(void *context)
{
    struct controller_thread *thread = context;
    while (!event_base_got_break(thread->loop)) {
        set_timer(thread);
        if (event_base_loop(thread->loop, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) != 0)
            break;
    }
    return NULL;
}

void controller_thread_start(struct controller_thread *thread,
                             const struct controller_settings *settings, struct zk *zk,
                             struct controller_peers *peers, struct controller_configs *configs,
                             struct clock *clock)
{
    thread->clock = clock;
    thread->core = controller_new(settings, zk, peers, configs, clock);
    thread->timer_event = event_new(thread->loop, -1, 0, timer_due, thread);
    thread->mail_event = event_new(thread->loop, mailbox_fd(thread->mailbox), EV_READ | EV_PERSIST,
                                   mail_came, thread);
    if (!thread->timer_event || !thread->mail_event || event_add(thread->mail_event, NULL) != 0)
        mem_stop(0);
    thread->started = true;
    thread->thread = thread_start("controller", run, thread);
}

void controller_thread_post(struct controller_thread *thread,
                            void (*run_post)(struct controller *controller, void *context),
                            void *context)
{
    bool stopped;
    {
        LOCK_SCOPE(&thread->lock);
        stopped = thread->stopped;
        if (!stopped) {
            struct post *post = mem_new(struct post);
            post->run = run_post;
            post->context = context;
            mailbox_post(thread->mailbox, &post->node);
        }
    }
    if (stopped)
        run_post(NULL, context);
}

static void stop_loop(struct controller *controller, void *context)
{
    struct controller_thread *thread = context;
    (void)controller;
    controller_free(thread->core);
    thread->core = NULL;
    event_base_loopbreak(thread->loop);
}

void controller_thread_stop(struct controller_thread *thread)
{
    if (thread->started) {
        controller_thread_post(thread, stop_loop, thread);
        pthread_join(thread->thread, NULL);
        thread->started = false;
    }
    {
        LOCK_SCOPE(&thread->lock);
        thread->stopped = true;
    }
    take_posts(thread); /* without a core they answer and go */
}

void controller_thread_free(struct controller_thread *thread)
{
    if (!thread)
        return;
    controller_thread_stop(thread);
    if (thread->mail_event)
        event_free(thread->mail_event);
    if (thread->timer_event)
        event_free(thread->timer_event);
    mailbox_free(thread->mailbox);
    event_base_free(thread->loop);
    lock_done(&thread->lock);
    free(thread);
}
