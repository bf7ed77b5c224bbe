/* Time comes from a clock handed in, so that tests run on virtual time.
 * deadline_ms and elapsed times use the monotonic clock; timestamp_ms (records, files) the wall
 * clock. */
#pragma once

#include <stdint.h>

struct clock {
    int64_t (*mono_us)(struct clock *clock); /* microseconds since some start, never back */
    int64_t (*wall_ms)(struct clock *clock); /* milliseconds since 1970, may jump */
};

/* The system's clock; threads: any. */
extern struct clock clock_system;

static inline int64_t clock_mono_us(struct clock *clock)
{
    return clock->mono_us(clock);
}
static inline int64_t clock_mono_ms(struct clock *clock)
{
    return clock->mono_us(clock) / 1000;
}
static inline int64_t clock_wall_ms(struct clock *clock)
{
    return clock->wall_ms(clock);
}

/* So long after a time; never where that is beyond what a number holds, since "never" is how people
 * use the largest value of a setting. delay_ms is not negative. */
static inline int64_t clock_later_ms(int64_t time_ms, int64_t delay_ms)
{
    return time_ms > 0 && delay_ms > INT64_MAX - time_ms ? INT64_MAX : time_ms + delay_ms;
}

/* A clock that a test moves by hand. */
struct clock_manual {
    struct clock clock;     /* first: pass &manual.clock */
    _Atomic int64_t now_us; /* threads of the tested part may read it meanwhile */
    int64_t wall_offset_ms;
};
void clock_manual_init(struct clock_manual *manual, int64_t wall_ms);
void clock_manual_advance_ms(struct clock_manual *manual, int64_t ms);
