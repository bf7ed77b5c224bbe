/* The control thread: what must happen one thing after the other at this broker. The controller's
 * requests (LeaderAndIsr, UpdateMetadata, StopReplica), failed log directories, changed settings,
 * and the broker's own dealings with ZooKeeper, whose view it owns. Disk work of a new or deleted
 * log is done here; clients do not wait for this thread.
 *
 * Others post; nothing else runs on it. */
#pragma once

#include "broker/base/clock.h"
#include "broker/base/list.h"
#include "broker/base/mailbox.h"
#include "broker/base/timers.h"

struct control_thread;

/* A piece of work; embedded or allocated by the poster, handed over until it runs. */
struct control_work {
    struct list_node node;
    void (*run)(struct control_work *work);
};

struct control_thread *control_thread_new(struct clock *clock);

/* Messages of `mailbox` (say, of a ZooKeeper view) are taken on this thread and given to `take`.
 * Before the start. */
void control_thread_watch(struct control_thread *thread, struct mailbox *mailbox,
                          void (*take)(void *context, struct list_node *messages), void *context);
void control_thread_start(struct control_thread *thread);

/* Threads: any. */
void control_thread_post(struct control_thread *thread, struct control_work *work);

/* Timers of this thread. Thread: control. */
struct timers *control_thread_timers(struct control_thread *thread);

/* Run what has been posted, then end. */
void control_thread_stop(struct control_thread *thread);
void control_thread_free(struct control_thread *thread);
