/* The joined table, and finding rows in it. The sorted index is built once, on first use. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/mem.h"
#include "broker/config/config_keys.h"

#define TABLE_ROWS_MAX 1024

#define AREA(heading, area)                                                                        \
    {                                                                                              \
        heading, keys_##area, &keys_##area##_count                                                 \
    }

const struct config_key_table config_key_tables[] = {
    AREA("The process and its connections", server),
    AREA("ZooKeeper", zookeeper),
    AREA("Logs", log),
    AREA("Replication and the controller", replication),
    AREA("Groups", groups),
    AREA("Transactions", transactions),
    AREA("Quotas and metrics", observe),
    AREA("Security", security),
    AREA("Tiered storage", remote),
    AREA("KRaft", kraft),
};
const int32_t config_key_tables_count = ARRAY_SIZE(config_key_tables);

static const struct config_key *sorted[TABLE_ROWS_MAX];
static int32_t sorted_count;
static char cores_text[24];
static pthread_once_t sorted_once = PTHREAD_ONCE_INIT;

static int compare_rows(const void *a, const void *b)
{
    return strcmp((*(const struct config_key *const *)a)->name,
                  (*(const struct config_key *const *)b)->name);
}

static void build_index(void)
{
    for (int32_t t = 0; t < config_key_tables_count; t++) {
        for (int32_t i = 0; i < *config_key_tables[t].count; i++) {
            assert(sorted_count < TABLE_ROWS_MAX);
            sorted[sorted_count++] = &config_key_tables[t].keys[i];
        }
    }
    qsort(sorted, (size_t)sorted_count, sizeof(sorted[0]), compare_rows);
    for (int32_t i = 1; i < sorted_count; i++)
        assert(strcmp(sorted[i - 1]->name, sorted[i]->name) != 0); /* a name has one row */

    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(cores_text, sizeof(cores_text), "%ld", cores < 1 ? 1 : cores);
}

const struct config_key *const *config_keys_sorted(int32_t *ret_count)
{
    pthread_once(&sorted_once, build_index);
    *ret_count = sorted_count;
    return sorted;
}

const struct config_key *config_key_find(const char *name)
{
    int32_t count;
    const struct config_key *const *keys = config_keys_sorted(&count);
    const struct config_key wanted = {.name = name}, *pointer = &wanted;
    const struct config_key *const *found =
        bsearch(&pointer, keys, (size_t)count, sizeof(keys[0]), compare_rows);
    return found ? *found : NULL;
}

const struct config_key *config_key_find_inner(const char *name)
{
    static const char prefix[] = "listener.name.";
    const char *dot = NULL;
    if (strncmp(name, prefix, strlen(prefix)) == 0)
        dot = strchr(name + strlen(prefix), '.');
    return config_key_find(dot ? dot + 1 : name);
}

const struct config_key *topic_key_find(const char *name)
{
    for (int32_t i = 0; i < topic_keys_count; i++) {
        if (strcmp(topic_keys[i].name, name) == 0)
            return &topic_keys[i];
    }
    return NULL;
}

const char *config_key_fallback(const struct config_key *key)
{
    int32_t count;
    if (!(key->flags & KEY_FALLBACK_CORES))
        return key->fallback;
    config_keys_sorted(&count);
    return cores_text;
}

const char *config_type_name(enum config_type type)
{
    static const char *const names[] = {
        [CONFIG_BOOL] = "boolean", [CONFIG_STRING] = "string", [CONFIG_INT32] = "int",
        [CONFIG_INT16] = "short",  [CONFIG_INT64] = "long",    [CONFIG_DOUBLE] = "double",
        [CONFIG_LIST] = "list",    [CONFIG_CLASS] = "class",   [CONFIG_PASSWORD] = "password",
    };
    return names[type];
}

/* Where one setting stands in for another, finest unit first (DynamicBrokerConfig's synonyms). */
static const char *const synonym_groups[][CONFIG_SYNONYMS_MAX] = {
    {"log.roll.ms", "log.roll.hours"},
    {"log.roll.jitter.ms", "log.roll.jitter.hours"},
    {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
};

void config_key_synonyms(const char *name, const char *ret_names[CONFIG_SYNONYMS_MAX])
{
    for (size_t g = 0; g < ARRAY_SIZE(synonym_groups); g++) {
        for (int i = 0; i < CONFIG_SYNONYMS_MAX && synonym_groups[g][i]; i++) {
            if (strcmp(synonym_groups[g][i], name) == 0) {
                memcpy(ret_names, synonym_groups[g], sizeof(synonym_groups[g]));
                return;
            }
        }
    }
    ret_names[0] = name;
    ret_names[1] = NULL;
    /* One way only: the scheduler's interval stands in for the flush interval, not the other way
     * round. */
    if (strcmp(name, "log.flush.interval.ms") == 0) {
        ret_names[1] = "log.flush.scheduler.interval.ms";
        ret_names[2] = NULL;
    }
}

#define NAME_LENGTH_MAX 96 /* longer names are not compared */

/* How many characters to put in, take out or change (Levenshtein), one row of the matrix at a time.
 */
static int edit_distance(const char *a, const char *b)
{
    int row[NAME_LENGTH_MAX + 1];
    int a_size = (int)strlen(a), b_size = (int)strlen(b);
    if (a_size > NAME_LENGTH_MAX || b_size > NAME_LENGTH_MAX)
        return NAME_LENGTH_MAX;
    for (int j = 0; j <= b_size; j++)
        row[j] = j;
    for (int i = 1; i <= a_size; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= b_size; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            int shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            diagonal = row[j];
            row[j] = change < shorter + 1 ? change : shorter + 1;
        }
    }
    return row[b_size];
}

const char *config_key_nearest(const char *name)
{
    int32_t count;
    const struct config_key *const *keys = config_keys_sorted(&count);
    const char *nearest = NULL;
    int least = (int)strlen(name) / 4 + 1; /* farther than that is another word */
    for (int32_t i = 0; i < count; i++) {
        int distance = edit_distance(name, keys[i]->name);
        if (distance <= least && (!nearest || distance < least)) {
            least = distance;
            nearest = keys[i]->name;
        }
    }
    return nearest;
}
