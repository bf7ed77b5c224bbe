/* Variable-length integers as Kafka writes them: little-endian groups of seven bits; signed ones
 * zig-zag. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/base/attributes.h"

#define VARINT_MAX_BYTES  5
#define VARLONG_MAX_BYTES 10

/* Bytes used, or 0 if they end too soon or the number is too long. */
MUST_USE size_t uvarint_get(const uint8_t *data, size_t size, uint32_t *ret_value);
MUST_USE size_t varint_get(const uint8_t *data, size_t size, int32_t *ret_value);
MUST_USE size_t varlong_get(const uint8_t *data, size_t size, int64_t *ret_value);

/* Bytes written; there must be room for the maximum. */
size_t uvarint_put(uint8_t *data, uint32_t value);
size_t varint_put(uint8_t *data, int32_t value);
size_t varlong_put(uint8_t *data, int64_t value);

size_t varint_size(int32_t value);
size_t varlong_size(int64_t value);
