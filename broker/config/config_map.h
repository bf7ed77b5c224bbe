/* Names and values as text: a properties file, the overrides of a topic, what /config/brokers/<id>
 * holds. Entries keep the order in which they came; a name occurs once. A zeroed struct is an empty
 * map. Putting and looking up cost the same however many entries there are; removing one walks the
 * map, so who removes many uses config_map_keep(). Thread: one owner at a time; reading a map that
 * nobody changes is free. */
#pragma once

#include "broker/base/mem.h"
#include "broker/base/slice.h"

struct config_entry {
    char *name;
    char *value;
    int32_t line; /* in the file it came from, 0: elsewhere */
};

struct config_map {
    struct config_entry *entries;
    int32_t count;
    size_t capacity;
    struct map *places; /* name to entry; NULL while there are few */
};

void config_map_done(
    struct config_map *map); /* frees the entries; the struct is an empty map again */

/* NULL where there is none. Borrowed until the map changes. */
const char *config_map_get(const struct config_map *map, const char *name);
const struct config_entry *config_map_entry(const struct config_map *map, const char *name);

/* Put, or replace in place. Copies. */
void config_map_set(struct config_map *map, const char *name, const char *value);
void config_map_set_slices(struct config_map *map, struct slice name, struct slice value);
void config_map_set_line(struct config_map *map, const char *name, const char *value, int32_t line);
bool config_map_remove(struct config_map *map, const char *name);

/* Remove all entries that `is_kept` does not want, in one walk. */
void config_map_keep(struct config_map *map, bool (*is_kept)(void *context, const char *name),
                     void *context);

/* Remove the entries behind the first `count`. */
void config_map_cut(struct config_map *map, int32_t count);

/* A copy into an empty map. */
void config_map_copy(struct config_map *ret_map, const struct config_map *from);

/* Same names with the same values, in whatever order. */
bool config_map_equal(const struct config_map *a, const struct config_map *b);
