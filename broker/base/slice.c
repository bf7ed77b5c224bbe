/* Looking at bytes that someone else owns. */
#include "broker/base/slice.h"

#include "broker/base/mem.h"

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

bool slice_starts_with(struct slice s, const char *prefix)
{
    size_t length = strlen(prefix);
    return s.size >= length && (length == 0 || memcmp(s.data, prefix, length) == 0);
}

char *slice_dup(struct slice s)
{
    return s.data ? mem_strndup((const char *)s.data, s.size) : NULL;
}

/* Bytes of the well-formed sequence at the start, 0 if it is none. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) /* overlong, surrogate */
        return 0;
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) /* overlong, beyond */
        return 0;
    return length;
}

bool slice_is_utf8(struct slice s)
{
    for (size_t i = 0; i < s.size;) {
        size_t length = utf8_sequence(s.data + i, s.size - i);
        if (!length)
            return false;
        i += length;
    }
    return true;
}

bool slice_to_int64(struct slice s, int64_t *ret_value)
{
    size_t i = 0;
    bool negative = s.size && s.data[0] == '-';
    if (s.size && (s.data[0] == '-' || s.data[0] == '+'))
        i = 1;
    if (i == s.size)
        return false;
    int64_t value = 0;
    for (; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        int digit = s.data[i] - '0';
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_sub_overflow(value, (int64_t)digit, &value))
            return false; /* summed downwards, so that INT64_MIN fits */
    }
    if (!negative && value == INT64_MIN)
        return false;
    *ret_value = negative ? value : -value;
    return true;
}
