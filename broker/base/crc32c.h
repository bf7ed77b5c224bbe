/* CRC-32C (Castagnoli) as Kafka's record batches use it. By hardware where there is SSE 4.2 or the
 * ARMv8 CRC instructions (three streams side by side), else by table. Threads: any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The checksum of `size` bytes; `crc` is 0 or that of the bytes before, so that pieces may be
 * chained. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* The table version, for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);
