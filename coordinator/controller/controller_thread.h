/* The controller's thread: joins the core of controller.h to the rest of the broker. It owns the
 * core, an event loop, a mailbox and the timers. Others only post. */
#pragma once

#include "coordinator/controller/controller.h"

struct controller_thread;
struct event_base; /* libevent */

/* The loop exists from here on, so that the zk view and the peers can be made on it before the
 * thread runs. */
struct controller_thread *controller_thread_new(void);
struct event_base *controller_thread_loop(struct controller_thread *thread);

/* Start the thread with its core; what is given is kept until controller_thread_stop() has
 * returned. */
void controller_thread_start(struct controller_thread *thread,
                             const struct controller_settings *settings, struct zk *zk,
                             struct controller_peers *peers, struct controller_configs *configs,
                             struct clock *clock);

/* Run `run` with the core on the controller's thread, in the order of the posts. Threads: any, from
 * controller_thread_new() on. After the stop the core given is NULL: answer NOT_CONTROLLER and go.
 */
void controller_thread_post(struct controller_thread *thread,
                            void (*run)(struct controller *controller, void *context),
                            void *context);

/* Stop and join. Waiting requests are answered (not controller). */
void controller_thread_stop(struct controller_thread *thread);
void controller_thread_free(struct controller_thread *thread);
