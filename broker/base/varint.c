/* Seven bits a byte, the lowest first, the top bit saying that more follow. */
#include "broker/base/varint.h"

/* Bits beyond the type's width in the last byte are dropped, as the JVM's shifts drop them. */
static size_t get(const uint8_t *data, size_t size, size_t most, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size && i < most; i++) {
        value |= (uint64_t)(data[i] & 0x7f) << (7 * i);
        if (!(data[i] & 0x80)) {
            *ret_value = value;
            return i + 1;
        }
    }
    return 0;
}

size_t uvarint_get(const uint8_t *data, size_t size, uint32_t *ret_value)
{
    uint64_t value;
    size_t used = get(data, size, VARINT_MAX_BYTES, &value);
    if (used)
        *ret_value = (uint32_t)value;
    return used;
}

size_t varint_get(const uint8_t *data, size_t size, int32_t *ret_value)
{
    uint32_t value;
    size_t used = uvarint_get(data, size, &value);
    if (used)
        *ret_value = (int32_t)(value >> 1) ^ -(int32_t)(value & 1);
    return used;
}

size_t varlong_get(const uint8_t *data, size_t size, int64_t *ret_value)
{
    uint64_t value;
    size_t used = get(data, size, VARLONG_MAX_BYTES, &value);
    if (used)
        *ret_value = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
    return used;
}

static size_t put(uint8_t *data, uint64_t value)
{
    size_t used = 0;
    for (; value >= 0x80; value >>= 7)
        data[used++] = (uint8_t)(value | 0x80);
    data[used++] = (uint8_t)value;
    return used;
}

static uint32_t zigzag32(int32_t value)
{
    return ((uint32_t)value << 1) ^ (uint32_t)(value >> 31);
}

static uint64_t zigzag64(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

size_t uvarint_put(uint8_t *data, uint32_t value)
{
    return put(data, value);
}

size_t varint_put(uint8_t *data, int32_t value)
{
    return put(data, zigzag32(value));
}

size_t varlong_put(uint8_t *data, int64_t value)
{
    return put(data, zigzag64(value));
}

static size_t size_of(uint64_t value)
{
    size_t bits = 64 - (size_t)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

size_t varint_size(int32_t value)
{
    return size_of(zigzag32(value));
}

size_t varlong_size(int64_t value)
{
    return size_of(zigzag64(value));
}
