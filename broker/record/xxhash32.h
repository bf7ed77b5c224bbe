/* XXH32, which LZ4 frames use for their header and blocks (xxHash specification, 32-bit variant,
 * seed 0). */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t xxhash32(const void *data, size_t size);
