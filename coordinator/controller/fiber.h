/* A fiber: a function with a stack of its own that can stop in the middle and go on later.
 *
 * The controller takes one event at a time, and an event asks ZooKeeper several times, each time
 * needing the answers before it can decide on. Written with callbacks, the order of the steps
 * (which is what Kafka's brokers rely on, and what a reader must check) would be cut into dozens of
 * pieces; on a fiber it stands on the page in one function, while the thread goes on serving other
 * things whenever a step waits. */
#pragma once

#include "broker/base/attributes.h"

struct fiber;

/* Runs on the first resume. */
struct fiber *fiber_new(void (*run)(void *context), void *context);
/* Run it until it pauses or ends. Not from within a fiber. */
void fiber_resume(struct fiber *fiber);
/* Back to whoever resumed. Only from within this fiber. */
void fiber_pause(struct fiber *fiber);
bool fiber_has_ended(const struct fiber *fiber);
/* It must have ended or never begun. */
void fiber_free(struct fiber *fiber);
