/* From text to fields: every row of the table that has one is parsed, checked and stored, and the
 * settings that stand in for one another are resolved to the one with the finest unit. */
#include <stdlib.h>
#include <unistd.h>

#include "broker/config/config_internal.h"
#include "broker/config/metadata_version.h"

/* What Apache Kafka takes for both zookeeper.connection.timeout.ms and zookeeper.session.timeout.ms
 * where neither is given. A start must bear an ensemble that elects its leader, which may take
 * longer than a session of ours; and who had our id before may have been a broker of Apache Kafka.
 */
#define KAFKA_SESSION_TIMEOUT_MS 18000

const char *config_text(const struct config *config, const struct config_key *key)
{
    const char *text = config_map_get(&config->inside->merged, key->name);
    return text ? text : config_key_fallback(key);
}

bool config_key_differs(const struct config_key *key, const struct config *a,
                        const struct config *b)
{
    const char *x = config_text(a, key), *y = config_text(b, key);
    return x && y ? strcmp(x, y) != 0 : x != y;
}

static void store(void *field, enum config_type type, const struct config_value *value)
{
    switch (type) {
    case CONFIG_BOOL:
        *(bool *)field = value->boolean;
        break;
    case CONFIG_INT16:
        *(int16_t *)field = (int16_t)value->number;
        break;
    case CONFIG_INT32:
        *(int32_t *)field = (int32_t)value->number;
        break;
    case CONFIG_INT64:
        *(int64_t *)field = value->number;
        break;
    case CONFIG_DOUBLE:
        *(double *)field = value->real;
        break;
    case CONFIG_LIST:
        *(struct config_list *)field = value->list;
        break;
    case CONFIG_STRING:
    case CONFIG_CLASS:
    case CONFIG_PASSWORD:
        *(const char **)field = value->text;
        break;
    }
}

void config_bind_fields(struct config *config, struct config_problems *problems)
{
    int32_t count;
    const struct config_key *const *keys = config_keys_sorted(&count);
    for (int32_t i = 0; i < count; i++) {
        const struct config_key *key = keys[i];
        struct config_value value = {0};
        if (config_value_parse(key, config_text(config, key), config->inside->arena, &value))
            config_problem_error(problems, key->name, "%s", err_sentence(ERR_INVALID_CONFIG));
        else if (key->flags & KEY_HAS_FIELD)
            store((char *)config + key->field, key->type, &value);
    }
}

/* The text of a setting that was given, at any layer; NULL when only its default holds. */
static const char *given(const struct config *config, const char *name)
{
    return config_map_get(&config->inside->merged, name);
}

static bool number_of(const struct config *config, const char *name, int64_t *ret_number)
{
    const struct config_key *key = config_key_find(name);
    struct config_value value;
    const char *text = config_text(config, key);
    if (!text || config_value_parse(key, text, config->inside->arena, &value))
        return false; /* reported when fields were bound */
    *ret_number = value.number;
    return true;
}

#define HOUR_MS   (60 * 60 * 1000LL)
#define MINUTE_MS (60 * 1000LL)

/* log.retention.ms before .minutes before .hours; any negative time is "for ever", as in
 * KafkaConfig. */
static int64_t retention_ms(const struct config *config)
{
    int64_t time = 0;
    if (given(config, "log.retention.ms"))
        return number_of(config, "log.retention.ms", &time) && time >= 0 ? time : -1;
    if (given(config, "log.retention.minutes"))
        return number_of(config, "log.retention.minutes", &time) && time >= 0 ? time * MINUTE_MS
                                                                              : -1;
    return number_of(config, "log.retention.hours", &time) && time >= 0 ? time * HOUR_MS : -1;
}

static int64_t ms_or_hours(const struct config *config, const char *ms, const char *hours)
{
    int64_t time = 0;
    if (given(config, ms))
        return number_of(config, ms, &time) ? time : 0;
    return number_of(config, hours, &time) ? time * HOUR_MS : 0;
}

enum config_compression config_compression_of(const char *word)
{
    static const struct {
        const char *word;
        enum config_compression compression;
    } words[] = {
        {"producer", CONFIG_COMPRESSION_PRODUCER}, {"uncompressed", CONFIG_COMPRESSION_NONE},
        {"gzip", CONFIG_COMPRESSION_GZIP},         {"snappy", CONFIG_COMPRESSION_SNAPPY},
        {"lz4", CONFIG_COMPRESSION_LZ4},           {"zstd", CONFIG_COMPRESSION_ZSTD},
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(words[i].word, word) == 0)
            return words[i].compression;
    }
    return CONFIG_COMPRESSION_PRODUCER;
}

int32_t config_cleanup_policy_of(const struct config_list *words)
{
    int32_t policy = 0;
    for (int32_t i = 0; i < words->count; i++)
        policy |= strcmp(words->items[i], "compact") == 0 ? CONFIG_CLEANUP_COMPACT
                                                          : CONFIG_CLEANUP_DELETE;
    return policy;
}

enum config_timestamp_type config_timestamp_type_of(const char *word)
{
    return strcmp(word, "LogAppendTime") == 0 ? CONFIG_LOG_APPEND_TIME : CONFIG_CREATE_TIME;
}

static struct config_value value_of(const struct config *config, const char *name)
{
    const struct config_key *key = config_key_find(name);
    struct config_value value = {0};
    if (config_value_parse(key, config_text(config, key), config->inside->arena, &value) &&
        config_value_parse(key, config_key_fallback(key), config->inside->arena, &value))
        assert(!"a default does not parse");
    return value;
}

/* "::1:5" is the address ::1 with 5: the count stands behind the last colon. */
static bool parse_connection_limit(struct arena *arena, const char *item,
                                   struct connection_limit *ret_limit)
{
    const char *colon = strrchr(item, ':');
    int64_t count;
    /* Below 0 as well, which lets nobody in: a JVM broker takes it. */
    if (!colon || colon == item || !slice_to_int64(slice_str(colon + 1), &count) ||
        count < INT32_MIN || count > INT32_MAX)
        return false;
    ret_limit->host = arena_strdup(arena, slice_of(item, (size_t)(colon - item)));
    ret_limit->max_connections = (int32_t)count;
    return true;
}

static void read_connection_limits(struct config *config, struct config_problems *problems)
{
    const char *name = "max.connections.per.ip.overrides";
    struct arena *arena = config->inside->arena;
    struct config_list items = config_list_split(value_of(config, name).text, arena);
    struct connection_limit *limits =
        arena_new_array(arena, struct connection_limit, items.count + 1);
    for (int32_t i = 0; i < items.count; i++) {
        if (!parse_connection_limit(arena, items.items[i], &limits[i]))
            config_problem_error(problems, name,
                                 "Invalid value '%s' for configuration %s: it must be host:count,…",
                                 items.items[i], name);
    }
    config->max_connections_per_ip_overrides = limits;
    config->max_connections_per_ip_overrides_count = items.count;
}

/* log.dirs, else log.dir, made absolute so that a change of directory cannot move the logs. */
static void read_log_dirs(struct config *config)
{
    struct arena *arena = config->inside->arena;
    const char *text = value_of(config, "log.dirs").text;
    struct config_list given_dirs =
        config_list_split(text ? text : value_of(config, "log.dir").text, arena);
    const char **dirs = arena_new_array(arena, const char *, given_dirs.count + 1);
    int32_t count = 0;
    for (int32_t i = 0; i < given_dirs.count; i++) {
        const char *dir = given_dirs.items[i];
        if (dir[0] == 0)
            continue; /* "a,,b": Kafka drops the empty one */
        if (dir[0] != '/') {
            char *here = get_current_dir_name();
            dir = arena_printf(arena, "%s/%s", here ? here : "", dir);
            free(here);
        }
        dirs[count++] = dir;
    }
    config->log_dirs = (struct config_list){dirs, count};
}

void config_resolve_units(struct config *config, struct config_problems *problems)
{
    config->log_retention_ms = retention_ms(config);
    config->log_roll_ms = ms_or_hours(config, "log.roll.ms", "log.roll.hours");
    config->log_roll_jitter_ms = ms_or_hours(config, "log.roll.jitter.ms", "log.roll.jitter.hours");
    if (!given(config, "log.flush.interval.ms"))
        config->log_flush_interval_ms = config->log_flush_scheduler_interval_ms;
    config->zookeeper_former_session_ms = given(config, "zookeeper.session.timeout.ms")
                                              ? config->zookeeper_session_timeout_ms
                                              : KAFKA_SESSION_TIMEOUT_MS;
    if (!given(config, "zookeeper.connection.timeout.ms"))
        config->zookeeper_connection_timeout_ms = config->zookeeper_former_session_ms;
    config->compression_type = config_compression_of(value_of(config, "compression.type").text);
    struct config_list policy = value_of(config, "log.cleanup.policy").list;
    config->log_cleanup_policy = config_cleanup_policy_of(&policy);
    config->log_message_timestamp_type =
        config_timestamp_type_of(value_of(config, "log.message.timestamp.type").text);
    config->inter_broker_protocol_version =
        metadata_version_find(value_of(config, "inter.broker.protocol.version").text);
    read_connection_limits(config, problems);
    read_log_dirs(config);
    if (!given(config, "num.replica.alter.log.dirs.threads"))
        config->num_replica_alter_log_dirs_threads = config->log_dirs.count;
    /* One id under two names: broker.id, else node.id. */
    if (!given(config, "broker.id")) {
        int64_t id = -1;
        if (number_of(config, "node.id", &id))
            config->broker_id = (int32_t)id;
    }
}
