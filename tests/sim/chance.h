/* Random bytes in place of the system's, so that a seed replays to the byte. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void chance_begin(uint64_t seed);
void chance_fill(void *ret, size_t size);
