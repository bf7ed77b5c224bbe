/* The settings as DescribeConfigs shows them: value, source, synonyms, type, as the JVM broker
 * does. */
#pragma once

#include "broker/base/arena.h"
#include "broker/config/config.h"
#include "broker/config/config_map.h"

enum config_source { /* numbers are the protocol's */
                     SOURCE_TOPIC = 1,
                     SOURCE_DYNAMIC_BROKER,
                     SOURCE_DYNAMIC_DEFAULT_BROKER,
                     SOURCE_STATIC_BROKER,
                     SOURCE_DEFAULT,
};

struct config_synonym {
    const char *name, *value; /* value NULL where it is sensitive */
    enum config_source source;
};

struct config_view {
    const char *name;
    const char *value;                     /* NULL: none, or sensitive */
    const char *doc;                       /* NULL where there is none */
    const struct config_synonym *synonyms; /* the first one is in force; may be none */
    int32_t synonyms_count;
    enum config_source source;
    int8_t type; /* enum config_type; 0: unknown */
    bool is_read_only, is_sensitive;
};

/* All in the arena, sorted by name. `names` NULL or empty: all of them; names that are unknown are
 * left out.
 *
 * describe_broker: this broker's own settings. describe_broker_default: the cluster's dynamic
 * defaults, the resource with the empty name. describe_topic: `overrides` is what
 * /config/topics/<t> holds. */
struct config_view *config_describe_broker(const struct config *config, const struct slice *names,
                                           int32_t names_count, struct arena *arena,
                                           int32_t *ret_count);
struct config_view *config_describe_broker_default(const struct config *config,
                                                   const struct slice *names, int32_t names_count,
                                                   struct arena *arena, int32_t *ret_count);
struct config_view *config_describe_topic(const struct config *config,
                                          const struct config_map *overrides,
                                          const struct slice *names, int32_t names_count,
                                          struct arena *arena, int32_t *ret_count);
