/* Topic names that metrics would confuse. */
#include "coordinator/controller/admin.h"

static uint8_t merged(uint8_t c)
{
    return c == '.' ? '_' : c;
}

bool topic_names_collide(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (merged(a.data[i]) != merged(b.data[i]))
            return false;
    }
    return true;
}
