/* See trouble.h. */
#include "broker/base/trouble.h"

bool trouble_again(struct trouble *trouble, struct clock *clock)
{
    int64_t now = clock_mono_ms(clock);
    bool was_well = trouble->well_since_ms >= 0 && now - trouble->well_since_ms >= TROUBLE_WELL_MS;
    if (trouble->times == 0 || was_well)
        *trouble = (struct trouble){.begun_ms = now, .tell_at_ms = now};
    trouble->times++;
    trouble->well_since_ms = -1;
    if (now < trouble->tell_at_ms)
        return false;
    trouble->pause_ms = trouble->pause_ms ? trouble->pause_ms * 2 : TROUBLE_PAUSE_FIRST_MS;
    if (trouble->pause_ms > TROUBLE_PAUSE_MAX_MS)
        trouble->pause_ms = TROUBLE_PAUSE_MAX_MS;
    trouble->tell_at_ms = now + trouble->pause_ms;
    trouble->since_ms = now - trouble->begun_ms;
    trouble->is_told = true;
    return true;
}

bool trouble_over(struct trouble *trouble, struct clock *clock)
{
    if (trouble->times == 0 || trouble->well_since_ms >= 0)
        return false;
    trouble->well_since_ms = clock_mono_ms(clock);
    trouble->since_ms = trouble->well_since_ms - trouble->begun_ms;
    bool was_told = trouble->is_told;
    trouble->is_told = false;
    return was_told;
}
