/* A hash map from bytes to pointers: open addressing, keys copied and owned by the map, insertion
 * order not kept. Fixed-size keys (ids, structs without padding) are passed as slices too. Thread:
 * one owner, or the caller's lock. */
#pragma once

#include <stdint.h>

#include "broker/base/mem.h"
#include "broker/base/slice.h"

struct map {
    struct map_entry *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    size_t used; /* with tombstones */
};

struct map_entry {
    uint8_t *key; /* NULL: never used */
    size_t key_size;
    uint64_t hash;
    void *value; /* NULL: removed */
};

void map_done(struct map *map); /* frees keys and table, not the values */
void *map_get(const struct map *map, struct slice key);
/* Gives back the value that was there, or NULL. `value` must not be NULL. */
void *map_put(struct map *map, struct slice key, void *value);
void *map_remove(struct map *map, struct slice key);

#define MAP_KEY(variable) slice_of(&(variable), sizeof(variable))

/* Iterate: for (size_t i = 0; (e = map_next(map, &i));). The map may lose the current entry
 * meanwhile, but must not gain any. */
struct map_entry *map_next(const struct map *map, size_t *position);

static inline struct slice map_entry_key(const struct map_entry *e)
{
    return slice_of(e->key, e->key_size);
}

uint64_t hash_bytes(const void *data, size_t size);
