/* config_keys[]: the one place that says which settings there are. A row gives name, type, default,
 * range, how the setting may be changed and what it does; parsing, checks, DescribeConfigs and the
 * printed reference follow from it. A setting that the program acts on binds to a field of struct
 * config (or struct topic_config); the others are known, checked and shown as the JVM broker shows
 * them.
 *
 * Rows stand in files by area (keys_log.c, …). Names, types, defaults and ranges are those of
 * Kafka 3.9; tests/unit/config holds what a JVM broker listed and compares. */
#pragma once

#include <math.h>

#include "broker/config/config.h"

enum config_type { /* numbers are those of DescribeConfigs */
                   CONFIG_BOOL = 1,
                   CONFIG_STRING,
                   CONFIG_INT32,
                   CONFIG_INT16,
                   CONFIG_INT64,
                   CONFIG_DOUBLE,
                   CONFIG_LIST,
                   CONFIG_CLASS,
                   CONFIG_PASSWORD,
};

enum config_update { UPDATE_READ_ONLY, UPDATE_PER_BROKER, UPDATE_LIVE /* per broker or for all */ };

enum config_check_kind {
    CHECK_NOTHING,
    CHECK_RANGE,              /* min and max */
    CHECK_ONE_OF,             /* `choices`, each word of a list too */
    CHECK_ONE_OF_ANY_CASE,    /* likewise, any case */
    CHECK_NOT_EMPTY,          /* a string of at least one character */
    CHECK_GZIP_LEVEL,         /* 1…9 or -1 */
    CHECK_METADATA_VERSION,   /* a version of Kafka, "3.9-IV0" or "3.9" */
    CHECK_THROTTLED_REPLICAS, /* "*" or partition:broker,… */
};

enum config_flag {
    KEY_INTERNAL = 1, /* Kafka does not list it */
    KEY_OURS = 2,     /* Kafka does not know it */
    KEY_HAS_FIELD = 4,
    KEY_DYNAMIC_ONLY = 16, /* never in a file, listed only where it is set (DynamicConfig.Broker) */
    KEY_AT_START = 32,     /* Kafka changes it while running; this broker reads its file alone */
    KEY_STORED = 64,       /* a change while running is kept, and has no effect on this broker */
    KEY_IDLE = 128,        /* known, checked and shown; nothing on this broker follows from it */
    KEY_FALLBACK_CORES = 8, /* the default is the number of processors */
};

struct config_key {
    const char *name;
    const char *fallback;                      /* the default as text; NULL: none */
    const char *kafka_fallback, *kafka_reason; /* where ours differs: Kafka's default, and why */
    const char *broker_name;                   /* topic settings: the broker's setting behind it */
    const char *choices;                       /* "a, b, c" for CHECK_ONE_OF */
    const char *doc;
    double min, max;
    size_t field; /* offset, meaningful with KEY_HAS_FIELD */
    enum config_type type;
    enum config_update update;
    enum config_check_kind check;
    int flags;
};

/* For rows. */
#define FIELD(name)        .field = offsetof(struct config, name)
#define AT_LEAST(n)        .check = CHECK_RANGE, .min = (n), .max = INFINITY
#define BETWEEN(low, high) .check = CHECK_RANGE, .min = (low), .max = (high)
#define ONE_OF(text)       .check = CHECK_ONE_OF, .choices = (text)

struct config_key_table {
    const char *area; /* a heading of the reference */
    const struct config_key *keys;
    const int32_t *count;
};

extern const struct config_key_table config_key_tables[];
extern const int32_t config_key_tables_count;

/* The row of a broker's or a topic's setting, or NULL. Threads: any. */
const struct config_key *config_key_find(const char *name);
const struct config_key *topic_key_find(const char *name);

/* Can it be changed while this broker runs? */
static inline bool config_key_is_live(const struct config_key *key)
{
    return key->update != UPDATE_READ_ONLY && !(key->flags & KEY_AT_START);
}

/* Is its text, or the default that stands for it, another in these two snapshots? */
bool config_key_differs(const struct config_key *key, const struct config *a,
                        const struct config *b);

/* The row behind "listener.name.<listener>.<setting>" too; NULL if nobody knows the name. */
const struct config_key *config_key_find_inner(const char *name);

/* All rows sorted by name. */
const struct config_key *const *config_keys_sorted(int32_t *ret_count);

/* Topic settings, in Kafka's order. */
extern const struct config_key topic_keys[];
extern const int32_t topic_keys_count;

/* The default as text; NULL where there is none. */
const char *config_key_fallback(const struct config_key *key);

/* "int", "list", … as the reference prints them. */
const char *config_type_name(enum config_type type);

/* "[1,...,9]", as Kafka prints a range; gives back a borrowed or arena-free static buffer per
 * thread. */
const char *config_key_valid(const struct config_key *key);

/* The names that stand in for one another, finest unit first, NULL at the end; {name, NULL} for
 * most. `ret_names` has room for four. */
#define CONFIG_SYNONYMS_MAX 4
void config_key_synonyms(const char *name, const char *ret_names[CONFIG_SYNONYMS_MAX]);

/* The known name nearest to `name`, or NULL if none is near. */
const char *config_key_nearest(const char *name);
