/* A map is an array that is searched from the front: a topic has a handful of overrides and a file
 * some dozens, fewer than pay for a hash table in each of 10,000 topics. */
#include <stdlib.h>

#include "broker/config/config_map.h"

void config_map_done(struct config_map *map)
{
    for (int32_t i = 0; i < map->count; i++) {
        free(map->entries[i].name);
        free(map->entries[i].value);
    }
    free(map->entries);
    *map = (struct config_map){0};
}

const struct config_entry *config_map_entry(const struct config_map *map, const char *name)
{
    for (int32_t i = 0; map && i < map->count; i++) {
        if (strcmp(map->entries[i].name, name) == 0)
            return &map->entries[i];
    }
    return NULL;
}

const char *config_map_get(const struct config_map *map, const char *name)
{
    const struct config_entry *entry = config_map_entry(map, name);
    return entry ? entry->value : NULL;
}

void config_map_set_line(struct config_map *map, const char *name, const char *value, int32_t line)
{
    struct config_entry *entry = (struct config_entry *)config_map_entry(map, name);
    if (entry) {
        char *copy = mem_strdup(value); /* first: value may be the old one */
        free(entry->value);
        entry->value = copy;
        entry->line = line;
        return;
    }
    map->entries =
        mem_grow(map->entries, &map->capacity, (size_t)map->count + 1, sizeof(struct config_entry));
    map->entries[map->count++] = (struct config_entry){mem_strdup(name), mem_strdup(value), line};
}

void config_map_set(struct config_map *map, const char *name, const char *value)
{
    config_map_set_line(map, name, value, 0);
}

void config_map_set_slices(struct config_map *map, struct slice name, struct slice value)
{
    OWNED_MEM char *name_text = mem_strndup((const char *)name.data, name.size);
    OWNED_MEM char *value_text = mem_strndup((const char *)value.data, value.size);
    config_map_set(map, name_text, value_text);
}

bool config_map_remove(struct config_map *map, const char *name)
{
    const struct config_entry *entry = config_map_entry(map, name);
    if (!entry)
        return false;
    free(entry->name);
    free(entry->value);
    int32_t index = (int32_t)(entry - map->entries);
    memmove(&map->entries[index], &map->entries[index + 1],
            (size_t)(map->count - index - 1) * sizeof(struct config_entry));
    map->count--;
    return true;
}

void config_map_copy(struct config_map *ret_map, const struct config_map *from)
{
    for (int32_t i = 0; from && i < from->count; i++) {
        const struct config_entry *entry = &from->entries[i];
        config_map_set_line(ret_map, entry->name, entry->value, entry->line);
    }
}

bool config_map_equal(const struct config_map *a, const struct config_map *b)
{
    if (a->count != b->count)
        return false;
    for (int32_t i = 0; i < a->count; i++) {
        const char *other = config_map_get(b, a->entries[i].name);
        if (!other || strcmp(other, a->entries[i].value) != 0)
            return false;
    }
    return true;
}
