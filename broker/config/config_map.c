/* A map is an array that is searched from the front: a topic has a handful of overrides and a file
 * some dozens, fewer than pay for a hash table in each of 10,000 topics. A client may name 100,000
 * settings in one request, though; beyond FEW entries a table of places is kept beside the array.
 */
#include <stdlib.h>

#include "broker/base/map.h"
#include "broker/config/config_map.h"

#define FEW 64

static void forget_places(struct config_map *map)
{
    if (map->places)
        map_done(map->places);
    free(map->places);
    map->places = NULL;
}

/* Places are counted from 1, since a value of struct map is never NULL. */
static void note_place(struct config_map *map, int32_t index)
{
    map_put(map->places, slice_str(map->entries[index].name), (void *)(intptr_t)(index + 1));
}

static void note_places(struct config_map *map)
{
    forget_places(map);
    if (map->count <= FEW)
        return;
    map->places = mem_new(struct map);
    for (int32_t i = 0; i < map->count; i++)
        note_place(map, i);
}

void config_map_done(struct config_map *map)
{
    for (int32_t i = 0; i < map->count; i++) {
        free(map->entries[i].name);
        free(map->entries[i].value);
    }
    free(map->entries);
    forget_places(map);
    *map = (struct config_map){0};
}

const struct config_entry *config_map_entry(const struct config_map *map, const char *name)
{
    if (map && map->places) {
        intptr_t place = (intptr_t)map_get(map->places, slice_str(name));
        return place ? &map->entries[place - 1] : NULL;
    }
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
    if (map->places)
        note_place(map, map->count - 1);
    else
        note_places(map);
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

void config_map_keep(struct config_map *map, bool (*is_kept)(void *context, const char *name),
                     void *context)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < map->count; i++) {
        struct config_entry *entry = &map->entries[i];
        if (is_kept(context, entry->name)) {
            map->entries[kept++] = *entry;
        } else {
            free(entry->name);
            free(entry->value);
        }
    }
    if (kept == map->count)
        return;
    map->count = kept;
    note_places(map);
}

void config_map_cut(struct config_map *map, int32_t count)
{
    assert(count >= 0);
    while (map->count > count) {
        const struct config_entry *last = &map->entries[--map->count];
        if (map->places)
            map_remove(map->places, slice_str(last->name));
        free(last->name);
        free(last->value);
    }
}

static bool has_other_name(void *context, const char *name)
{
    return strcmp(name, context) != 0;
}

bool config_map_remove(struct config_map *map, const char *name)
{
    if (!config_map_entry(map, name))
        return false;
    OWNED_MEM char *copy = mem_strdup(name); /* it may be the entry's own, which goes */
    config_map_keep(map, has_other_name, copy);
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
