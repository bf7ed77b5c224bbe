/* A binary heap of timers; each knows its slot, so that it can be moved or taken out. */
#include "broker/base/timers.h"

#include "broker/base/mem.h"

void timers_done(struct timers *timers)
{
    for (size_t i = 0; i < timers->count; i++)
        timers->heap[i]->slot = 0;
    free(timers->heap);
    *timers = (struct timers){0};
}

static void place(struct timers *timers, size_t i, struct timer *timer)
{
    timers->heap[i] = timer;
    timer->slot = i + 1;
}

static void sift_up(struct timers *timers, size_t i)
{
    struct timer *timer = timers->heap[i];
    while (i > 0 && timers->heap[(i - 1) / 2]->deadline_ms > timer->deadline_ms) {
        place(timers, i, timers->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(timers, i, timer);
}

static void sift_down(struct timers *timers, size_t i)
{
    struct timer *timer = timers->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= timers->count)
            break;
        if (child + 1 < timers->count &&
            timers->heap[child + 1]->deadline_ms < timers->heap[child]->deadline_ms)
            child++;
        if (timers->heap[child]->deadline_ms >= timer->deadline_ms)
            break;
        place(timers, i, timers->heap[child]);
        i = child;
    }
    place(timers, i, timer);
}

static void settle(struct timers *timers, size_t i)
{
    struct timer *timer = timers->heap[i];
    sift_up(timers, i);
    sift_down(timers, timer->slot - 1);
}

void timer_set(struct timers *timers, struct timer *timer, int64_t deadline_ms)
{
    timer->deadline_ms = deadline_ms;
    if (!timer->slot) {
        timers->heap =
            mem_grow(timers->heap, &timers->capacity, timers->count + 1, sizeof timers->heap[0]);
        place(timers, timers->count++, timer);
    }
    settle(timers, timer->slot - 1);
}

void timer_cancel(struct timers *timers, struct timer *timer)
{
    if (!timer->slot)
        return;
    size_t i = timer->slot - 1;
    assert(timers->heap[i] == timer);
    timer->slot = 0;
    struct timer *last = timers->heap[--timers->count];
    if (last == timer)
        return;
    place(timers, i, last);
    settle(timers, i);
}

int64_t timers_next_ms(const struct timers *timers)
{
    return timers->count ? timers->heap[0]->deadline_ms : INT64_MAX;
}

size_t timers_run(struct timers *timers, int64_t now_ms)
{
    size_t fired = 0;
    for (; timers->count && timers->heap[0]->deadline_ms <= now_ms; fired++) {
        struct timer *timer = timers->heap[0];
        timer_cancel(timers, timer);
        timer->fire(timer);
    }
    return fired;
}
