/* DescribeConfigs, after Kafka's ConfigHelper. The synonyms of a setting are looked up by name in
 * each layer, most specific first:
 *
 *     topic override, dynamic of this broker, dynamic default, file, default
 *
 * and those before the first of the setting's own name are dropped; so a topic whose retention.ms
 * comes from log.retention.hours has no synonym and is said to be a default, as the JVM broker says
 * it. */
#include <stdlib.h>

#include "broker/base/map.h"
#include "broker/config/config_describe.h"
#include "broker/config/config_internal.h"
#include "broker/config/topic_config.h"

#define SYNONYMS_MAX (1 + (LAYERS_COUNT + 1) * CONFIG_SYNONYMS_MAX)

static const struct {
    enum config_layer layer;
    enum config_source source;
} layer_order[] = {
    {LAYER_DYNAMIC_BROKER, SOURCE_DYNAMIC_BROKER},
    {LAYER_DYNAMIC_DEFAULT, SOURCE_DYNAMIC_DEFAULT_BROKER},
    {LAYER_FILE, SOURCE_STATIC_BROKER},
};

/* The names that are asked for; none at all means every one. */
struct asked {
    struct map names;
};

static struct asked asked_of(const struct slice *names, int32_t names_count)
{
    struct asked asked = {0};
    for (int32_t i = 0; i < names_count; i++)
        map_put(&asked.names, names[i], (void *)&names[i]);
    return asked;
}

static bool is_asked(const struct asked *asked, const char *name)
{
    return !asked->names.count || map_get(&asked->names, slice_str(name));
}

static void add_synonym(struct config_synonym *synonyms, int32_t *count, const char *name,
                        const char *value, enum config_source source, bool is_sensitive)
{
    if (value)
        synonyms[(*count)++] = (struct config_synonym){name, is_sensitive ? NULL : value, source};
}

/* Append the broker's synonyms of `name` to those that are there. */
static void add_broker_synonyms(const struct config *config, const char *name, bool is_sensitive,
                                struct config_synonym *synonyms, int32_t *count)
{
    const char *names[CONFIG_SYNONYMS_MAX];
    struct config_synonym found[SYNONYMS_MAX];
    int32_t found_count = 0, first = 0;
    config_key_synonyms(name, names);
    for (size_t l = 0; l < ARRAY_SIZE(layer_order); l++) {
        const struct config_map *layer = &config->inside->layers[layer_order[l].layer];
        for (int n = 0; n < CONFIG_SYNONYMS_MAX && names[n]; n++)
            add_synonym(found, &found_count, names[n], config_map_get(layer, names[n]),
                        layer_order[l].source, is_sensitive);
    }
    for (int n = 0; n < CONFIG_SYNONYMS_MAX && names[n]; n++) {
        const struct config_key *key = config_key_find(names[n]);
        bool has_default = key && !(key->flags & KEY_DYNAMIC_ONLY);
        add_synonym(found, &found_count, names[n], has_default ? config_key_fallback(key) : NULL,
                    SOURCE_DEFAULT, is_sensitive);
    }
    while (first < found_count && strcmp(found[first].name, name) != 0)
        first++;
    for (int32_t i = first; i < found_count; i++)
        synonyms[(*count)++] = found[i];
}

static void set_synonyms(struct config_view *view, const struct config_synonym *synonyms,
                         int32_t count, struct arena *arena)
{
    struct config_synonym *copy = arena_new_array(arena, struct config_synonym, count + 1);
    memcpy(copy, synonyms, (size_t)count * sizeof(synonyms[0]));
    view->synonyms = copy;
    view->synonyms_count = count;
    view->source = count ? copy[0].source : SOURCE_DEFAULT;
}

static struct config_view view_of(const char *name, const struct config_key *key, const char *text,
                                  struct arena *arena)
{
    bool is_sensitive = !key || key->type == CONFIG_PASSWORD;
    return (struct config_view){
        .name = arena_strdup(arena, slice_str(name)),
        .value = is_sensitive ? NULL : config_value_canonical(key, text, arena),
        .doc = key ? key->doc : NULL,
        .type = key ? (int8_t)key->type : 0,
        .is_read_only = !key || !config_key_is_live(key) || (key->flags & KEY_DYNAMIC_ONLY) != 0,
        .is_sensitive = is_sensitive,
    };
}

static int compare_views(const void *a, const void *b)
{
    return strcmp(((const struct config_view *)a)->name, ((const struct config_view *)b)->name);
}

static struct config_view *sorted(struct config_view *views, int32_t count, int32_t *ret_count)
{
    qsort(views, (size_t)count, sizeof(views[0]), compare_views);
    *ret_count = count;
    return views;
}

static void broker_view(const struct config *config, const char *name, const char *text,
                        struct arena *arena, struct config_view *ret_view)
{
    struct config_synonym synonyms[SYNONYMS_MAX];
    int32_t count = 0;
    const struct config_key *key = config_key_find_inner(name);
    *ret_view = view_of(name, key, text, arena);
    if (!config_key_find(name))
        ret_view->is_read_only = true;
    add_broker_synonyms(config, ret_view->name, ret_view->is_sensitive, synonyms, &count);
    set_synonyms(ret_view, synonyms, count, arena);
}

struct config_view *config_describe_broker(const struct config *config, const struct slice *names,
                                           int32_t names_count, struct arena *arena,
                                           int32_t *ret_count)
{
    int32_t keys_count, count = 0;
    struct asked asked = asked_of(names, names_count);
    const struct config_key *const *keys = config_keys_sorted(&keys_count);
    const struct config_map *merged = &config->inside->merged;
    struct config_view *views =
        arena_new_array(arena, struct config_view, keys_count + merged->count);
    for (int32_t i = 0; i < keys_count; i++) {
        bool is_hidden = (keys[i]->flags & (KEY_INTERNAL | KEY_DYNAMIC_ONLY)) &&
                         !config_map_get(merged, keys[i]->name);
        if (!is_hidden && is_asked(&asked, keys[i]->name))
            broker_view(config, keys[i]->name, config_text(config, keys[i]), arena,
                        &views[count++]);
    }
    for (int32_t i = 0; i < merged->count; i++) {
        const struct config_entry *entry = &merged->entries[i];
        if (!config_key_find(entry->name) && is_asked(&asked, entry->name))
            broker_view(config, entry->name, entry->value, arena, &views[count++]);
    }
    map_done(&asked.names);
    return sorted(views, count, ret_count);
}

struct config_view *config_describe_broker_default(const struct config *config,
                                                   const struct slice *names, int32_t names_count,
                                                   struct arena *arena, int32_t *ret_count)
{
    const struct config_map *layer = &config->inside->layers[LAYER_DYNAMIC_DEFAULT];
    struct config_view *views = arena_new_array(arena, struct config_view, layer->count + 1);
    struct asked asked = asked_of(names, names_count);
    int32_t count = 0;
    for (int32_t i = 0; i < layer->count; i++) {
        const struct config_entry *entry = &layer->entries[i];
        struct config_view *view = &views[count];
        if (!is_asked(&asked, entry->name))
            continue;
        *view = view_of(entry->name, config_key_find_inner(entry->name), entry->value, arena);
        if (!view->is_sensitive)
            view->value = arena_strdup(arena, slice_str(entry->value)); /* as it was given */
        struct config_synonym synonym = {view->name, view->value, SOURCE_DYNAMIC_DEFAULT_BROKER};
        set_synonyms(view, &synonym, 1, arena);
        count++;
    }
    map_done(&asked.names);
    return sorted(views, count, ret_count);
}

/* The effective value of a topic's setting as text: the override, else the broker's, which for
 * those that are resolved from several settings is the number in the field. */
static const char *topic_text(const struct config *config, const struct config_key *key,
                              const struct config_map *overrides, struct arena *arena)
{
    const char *text = config_map_get(overrides, key->name);
    struct config_value value;
    if (text && !config_value_parse(key, text, arena, &value))
        return config_value_canonical(key, text, arena);
    if (strcmp(key->name, "retention.ms") == 0)
        return arena_printf(arena, "%lld", (long long)config->log_retention_ms);
    if (strcmp(key->name, "segment.ms") == 0)
        return arena_printf(arena, "%lld", (long long)config->log_roll_ms);
    if (strcmp(key->name, "segment.jitter.ms") == 0)
        return arena_printf(arena, "%lld", (long long)config->log_roll_jitter_ms);
    if (strcmp(key->name, "flush.ms") == 0)
        return arena_printf(arena, "%lld", (long long)config->log_flush_interval_ms);
    const struct config_key *behind = key->broker_name ? config_key_find(key->broker_name) : NULL;
    return config_value_canonical(key, behind ? config_text(config, behind) : key->fallback, arena);
}

struct config_view *config_describe_topic(const struct config *config,
                                          const struct config_map *overrides,
                                          const struct slice *names, int32_t names_count,
                                          struct arena *arena, int32_t *ret_count)
{
    static const struct config_map none;
    struct config_view *views = arena_new_array(arena, struct config_view, topic_keys_count);
    struct asked asked = asked_of(names, names_count);
    int32_t count = 0;
    if (!overrides)
        overrides = &none;
    for (int32_t i = 0; i < topic_keys_count; i++) {
        const struct config_key *key = &topic_keys[i];
        struct config_synonym synonyms[SYNONYMS_MAX];
        int32_t synonyms_count = 0;
        if (!is_asked(&asked, key->name))
            continue;
        struct config_view *view = &views[count++];
        *view = view_of(key->name, key, NULL, arena);
        view->value = topic_text(config, key, overrides, arena);
        view->is_read_only = false;
        const char *override = config_map_get(overrides, key->name);
        add_synonym(synonyms, &synonyms_count, key->name,
                    override ? config_value_canonical(key, override, arena) : NULL, SOURCE_TOPIC,
                    false);
        if (key->broker_name)
            add_broker_synonyms(config, key->broker_name, false, synonyms, &synonyms_count);
        set_synonyms(view, synonyms, synonyms_count, arena);
    }
    map_done(&asked.names);
    return sorted(views, count, ret_count);
}
