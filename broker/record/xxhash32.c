/* Four lanes over 16-byte stripes, then the rest, then an avalanche. */
#include "broker/record/xxhash32.h"

#include <endian.h>
#include <string.h>

#define PRIME_1 0x9e3779b1u
#define PRIME_2 0x85ebca77u
#define PRIME_3 0xc2b2ae3du
#define PRIME_4 0x27d4eb2fu
#define PRIME_5 0x165667b1u

static uint32_t rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

static uint32_t load(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, 4);
    return le32toh(word);
}

static uint32_t stir(uint32_t lane, const uint8_t *p)
{
    return rotate(lane + load(p) * PRIME_2, 13) * PRIME_1;
}

uint32_t xxhash32(const void *data, size_t size)
{
    const uint8_t *p = data, *end = p + size;
    uint32_t hash = PRIME_5;
    if (size >= 16) {
        uint32_t a = PRIME_1 + PRIME_2, b = PRIME_2, c = 0, d = 0u - PRIME_1;
        for (; end - p >= 16; p += 16) {
            a = stir(a, p);
            b = stir(b, p + 4);
            c = stir(c, p + 8);
            d = stir(d, p + 12);
        }
        hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    }
    hash += (uint32_t)size;
    for (; end - p >= 4; p += 4)
        hash = rotate(hash + load(p) * PRIME_3, 17) * PRIME_4;
    for (; p < end; p++)
        hash = rotate(hash + *p * PRIME_5, 11) * PRIME_1;
    hash = (hash ^ hash >> 15) * PRIME_2;
    hash = (hash ^ hash >> 13) * PRIME_3;
    return hash ^ hash >> 16;
}
