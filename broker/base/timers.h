/* A set of timers, a binary heap by deadline. Intrusive; the caller asks for the next deadline and
 * runs those that are due, so it works under an event loop and under virtual time alike. Thread:
 * one owner. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t deadline_ms; /* monotonic */
    size_t slot;         /* in the heap + 1; 0: not set */
    void (*fire)(struct timer *timer);
};

struct timers {
    struct timer **heap;
    size_t count, capacity;
};

void timers_done(struct timers *timers); /* forgets all; they are not fired */
/* Set, or move if set already. */
void timer_set(struct timers *timers, struct timer *timer, int64_t deadline_ms);
void timer_cancel(struct timers *timers, struct timer *timer); /* nothing if not set */
static inline bool timer_is_set(const struct timer *timer)
{
    return timer->slot != 0;
}

/* The earliest deadline, or INT64_MAX. */
int64_t timers_next_ms(const struct timers *timers);
/* Fire those whose deadline is at or before now, each unset before it fires. Gives how many. */
size_t timers_run(struct timers *timers, int64_t now_ms);
