/* The system's clock, and one that a test moves. */
#include "broker/base/clock.h"

#include <time.h>

static int64_t read_us(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_mono_us(struct clock *clock)
{
    (void)clock;
    return read_us(CLOCK_MONOTONIC);
}

static int64_t system_wall_ms(struct clock *clock)
{
    (void)clock;
    return read_us(CLOCK_REALTIME) / 1000;
}

struct clock clock_system = {.mono_us = system_mono_us, .wall_ms = system_wall_ms};

static int64_t manual_mono_us(struct clock *clock)
{
    return ((struct clock_manual *)clock)->now_us;
}

static int64_t manual_wall_ms(struct clock *clock)
{
    struct clock_manual *manual = (struct clock_manual *)clock;
    return manual->now_us / 1000 + manual->wall_offset_ms;
}

void clock_manual_init(struct clock_manual *manual, int64_t wall_ms)
{
    *manual = (struct clock_manual){
        .clock = {.mono_us = manual_mono_us, .wall_ms = manual_wall_ms},
        .now_us = 1000000,
        .wall_offset_ms = wall_ms - 1000,
    };
}

void clock_manual_advance_ms(struct clock_manual *manual, int64_t ms)
{
    manual->now_us += ms * 1000;
}
