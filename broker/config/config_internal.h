/* Inside a snapshot: the text it was made of, in layers, and what its pointers point into. */
#pragma once

#include <stdatomic.h>

#include "broker/base/arena.h"
#include "broker/config/config_map.h"
#include "broker/config/config_value.h"

/* In rising order of precedence; DescribeConfigs shows them in falling order. */
enum config_layer { LAYER_FILE, LAYER_DYNAMIC_DEFAULT, LAYER_DYNAMIC_BROKER, LAYERS_COUNT };

struct config_inside {
    _Atomic int32_t references;
    struct arena *arena;
    char *file_name;
    struct config_map layers[LAYERS_COUNT];
    struct config_map
        merged; /* all layers, synonyms of higher layers taken out; without defaults */
};

/* Where what is wrong goes: all of it is gathered, the first error is kept for config_load(). */
struct config_problems {
    struct buf text; /* lines "error: …\n", "warning: …\n" */
    char *first_error;
    int32_t errors, warnings;
    const char *file_name;
    const struct config_map *merged; /* for the line of a key */
    bool is_dynamic;                 /* of a running broker: places in files are not named */
};

/* `key` NULL, or one that is not in the file: no line is named. */
void config_problem_error(struct config_problems *problems, const char *key, const char *format,
                          ...) PRINTF_LIKE(3, 4);
void config_problem_warn(struct config_problems *problems, const char *key, const char *format, ...)
    PRINTF_LIKE(3, 4);
void config_problems_done(struct config_problems *problems);

/* Make a snapshot of three layers (copied; NULL is empty). Everything that is wrong is reported;
 * the snapshot is NULL when there was an error. */
struct config *config_build(const char *file_name,
                            const struct config_map *const layers[LAYERS_COUNT],
                            struct config_problems *problems);

/* The text of a listener's own setting, "listener.name.<l>.<setting>", NULL where none was given.
 */
const char *config_listener_text(const struct config *config, const char *listener,
                                 const char *setting);

/* The text of a setting: from the merged layers, else the default; NULL if neither. */
const char *config_text(const struct config *config, const struct config_key *key);

/* The steps of config_build(), each in a file of its own. They read config->inside and the fields.
 */
void config_bind_fields(struct config *config,
                        struct config_problems *problems); /* config_bind.c */
void config_resolve_units(struct config *config,
                          struct config_problems *problems); /* config_bind.c */
void config_read_listeners(struct config *config,
                           struct config_problems *problems); /* listeners.c */
void config_check_together(struct config *config,
                           struct config_problems *problems); /* config_together.c */
void config_refuse(const struct config *config,
                   struct config_problems *problems); /* config_refuse.c */
/* Is this name, which no row has, spoken of by config_refuse()? */
bool config_refuse_knows(const char *name);
void config_refuse_listeners(const struct config *config,
                             struct config_problems *problems); /* config_refuse.c */

/* compression.type, cleanup.policy and message.timestamp.type as numbers; checked words only. */
enum config_compression config_compression_of(const char *word);
int32_t config_cleanup_policy_of(const struct config_list *words);
enum config_timestamp_type config_timestamp_type_of(const char *word);
