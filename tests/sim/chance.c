/* See chance.h. A linear sequence, well mixed (splitmix64). */
#include "tests/sim/chance.h"

static uint64_t state;

void chance_begin(uint64_t seed)
{
    state = seed;
}

static uint64_t next(void)
{
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void chance_fill(void *ret, size_t size)
{
    uint8_t *bytes = ret;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(next() >> 24);
}
