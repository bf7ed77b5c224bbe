/* Open addressing with linear probing. A removed entry keeps its key until the table is rebuilt,
 * which happens when three quarters are in use. */
#include "broker/base/map.h"

#define FIRST_CAPACITY 16

/* FNV-1a in 64-bit steps with a final mix: keys here are short, and are not chosen against us in
 * number. */
uint64_t hash_bytes(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t hash = 0xcbf29ce484222325u ^ size;
    while (size >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
        bytes += 8;
        size -= 8;
    }
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdu;
    return hash ^ hash >> 33;
}

void map_done(struct map *map)
{
    for (size_t i = 0; i < map->capacity; i++)
        free(map->entries[i].key);
    free(map->entries);
    *map = (struct map){0};
}

static bool matches(const struct map_entry *e, uint64_t hash, struct slice key)
{
    return e->hash == hash && e->key_size == key.size &&
           (key.size == 0 || memcmp(e->key, key.data, key.size) == 0);
}

/* The entry of the key, or the empty one where it would go. A map is never full. */
static struct map_entry *find(const struct map *map, uint64_t hash, struct slice key)
{
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_entry *e = &map->entries[i];
        if (!e->key || matches(e, hash, key))
            return e;
    }
}

static void rebuild(struct map *map)
{
    struct map old = *map;
    map->capacity = FIRST_CAPACITY;
    while (map->capacity < old.count * 2 + 2)
        map->capacity *= 2;
    map->entries = mem_new_array(struct map_entry, map->capacity);
    map->used = map->count;
    for (size_t i = 0; i < old.capacity; i++) {
        struct map_entry *e = &old.entries[i];
        if (e->value)
            *find(map, e->hash, map_entry_key(e)) = *e;
        else
            free(e->key);
    }
    free(old.entries);
}

void *map_get(const struct map *map, struct slice key)
{
    if (!map->count)
        return NULL;
    return find(map, hash_bytes(key.data, key.size), key)->value;
}

void *map_put(struct map *map, struct slice key, void *value)
{
    assert(value);
    if ((map->used + 1) * 4 > map->capacity * 3)
        rebuild(map);
    uint64_t hash = hash_bytes(key.data, key.size);
    struct map_entry *e = find(map, hash, key);
    void *before = e->value;
    if (!e->key) {
        e->key = mem_alloc(key.size ? key.size : 1);
        if (key.size)
            memcpy(e->key, key.data, key.size);
        e->key_size = key.size;
        e->hash = hash;
        map->used++;
    }
    if (!before)
        map->count++;
    e->value = value;
    return before;
}

void *map_remove(struct map *map, struct slice key)
{
    if (!map->count)
        return NULL;
    struct map_entry *e = find(map, hash_bytes(key.data, key.size), key);
    void *value = e->value;
    if (value)
        map->count--;
    e->value = NULL;
    return value;
}

struct map_entry *map_next(const struct map *map, size_t *position)
{
    while (*position < map->capacity) {
        struct map_entry *e = &map->entries[(*position)++];
        if (e->value)
            return e;
    }
    return NULL;
}
