/* Random values for any message, filled by the codec's own tables, so that a new field is tried the
 * day it appears in a schema. The same seed gives the same value. */
#pragma once

#include "broker/wire/wire.h"

struct wire_random {
    uint64_t state; /* any number but 0 */
    struct arena *arena;
    int depth;
};

uint32_t wire_random_below(struct wire_random *random, uint32_t limit);

/* Fill `ret` (message->body->size_bytes long) with what this version can carry: fields that it
 * lacks keep their defaults. Sometimes a nullable field is null, sometimes there are tags nobody
 * knows. */
void wire_random_fill(struct wire_random *random, const struct wire_message *message,
                      int16_t version, void *ret);
