/* A trouble that may last: what fails now, and a moment later again, and tomorrow still. Its first
 * word is worth a line of trace at once, and later ones at growing intervals, with how often it
 * was; that it is over is worth one too, where the trouble was told. One that comes and goes in
 * quick turns is one trouble: it is over for good only when all was well for a while.
 *
 *     if (trouble_again(&it, clock))
 *         trace_info("… lost … times=%" PRIu64 " since_ms=%" PRId64, it.times, it.since_ms);
 *
 * Zero is one that has never been. Thread: one owner. */
#pragma once

#include <stdbool.h>

#include "broker/base/clock.h"

#define TROUBLE_PAUSE_FIRST_MS 10000  /* between the first line and the second; then it doubles */
#define TROUBLE_PAUSE_MAX_MS   600000 /* up to this */
#define TROUBLE_WELL_MS        10000  /* so long without it, and the next one is another */

struct trouble {
    uint64_t times; /* that it was, in all, since it began; 0: none */
    int64_t
        since_ms; /* how long ago it began, as of the last question that was answered with yes */

    int64_t begun_ms, tell_at_ms, pause_ms; /* monotonic */
    int64_t well_since_ms;                  /* -1: not well */
    bool is_told;                           /* and that it was over was not, since */
};

/* It has happened. True: say it. times is 1 for the first. */
bool trouble_again(struct trouble *trouble, struct clock *clock);
/* All is well; costs nothing where it was well before. True: say that it is over. */
bool trouble_over(struct trouble *trouble, struct clock *clock);
