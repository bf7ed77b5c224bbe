/* A topic's settings: an override if there is one, else the broker's value. The broker's values are
 * already resolved fields (log_retention_ms from hours, …), so only the overrides are parsed here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "broker/config/config_internal.h"
#include "broker/config/topic_config.h"

static void from_broker(const struct config *config, struct topic_config *ret)
{
    *ret = (struct topic_config){
        .segment_bytes = config->log_segment_bytes,
        .segment_index_bytes = config->log_index_size_max_bytes,
        .index_interval_bytes = config->log_index_interval_bytes,
        .max_message_bytes = config->message_max_bytes,
        .segment_ms = config->log_roll_ms,
        .segment_jitter_ms = config->log_roll_jitter_ms,
        .retention_bytes = config->log_retention_bytes,
        .retention_ms = config->log_retention_ms,
        .flush_messages = config->log_flush_interval_messages,
        .flush_ms = config->log_flush_interval_ms,
        .file_delete_delay_ms = config->log_segment_delete_delay_ms,
        .message_timestamp_before_max_ms = config->log_message_timestamp_before_max_ms,
        .message_timestamp_after_max_ms = config->log_message_timestamp_after_max_ms,
        .delete_retention_ms = config->log_cleaner_delete_retention_ms,
        .min_compaction_lag_ms = config->log_cleaner_min_compaction_lag_ms,
        .max_compaction_lag_ms = config->log_cleaner_max_compaction_lag_ms,
        .min_cleanable_dirty_ratio = config->log_cleaner_min_cleanable_ratio,
        .cleanup_policy = config->log_cleanup_policy,
        .message_timestamp_type = config->log_message_timestamp_type,
        .compression_type = config->compression_type,
        .compression_gzip_level = config->compression_gzip_level,
        .compression_lz4_level = config->compression_lz4_level,
        .compression_zstd_level = config->compression_zstd_level,
        .min_insync_replicas = config->min_insync_replicas,
        .preallocate = config->log_preallocate,
        .unclean_leader_election_enable = config->unclean_leader_election_enable,
        .message_downconversion_enable = config->log_message_downconversion_enable,
    };
}

static void store(struct topic_config *ret, const struct config_key *key,
                  const struct config_value *value)
{
    void *field = (char *)ret + key->field;
    if (strcmp(key->name, "cleanup.policy") == 0)
        ret->cleanup_policy = config_cleanup_policy_of(&value->list);
    else if (strcmp(key->name, "compression.type") == 0)
        ret->compression_type = config_compression_of(value->text);
    else if (strcmp(key->name, "message.timestamp.type") == 0)
        ret->message_timestamp_type = config_timestamp_type_of(value->text);
    else if (!(key->flags & KEY_HAS_FIELD))
        return;
    else if (key->type == CONFIG_INT32)
        *(int32_t *)field = (int32_t)value->number;
    else if (key->type == CONFIG_INT64)
        *(int64_t *)field = value->number;
    else if (key->type == CONFIG_DOUBLE)
        *(double *)field = value->real;
    else if (key->type == CONFIG_BOOL)
        *(bool *)field = value->boolean;
}

/* message.timestamp.difference.max.ms is the old name of both limits, and holds where a new one was
 * not given. */
static void apply_difference(struct topic_config *ret, int64_t difference_ms)
{
    if (ret->message_timestamp_before_max_ms == INT64_MAX)
        ret->message_timestamp_before_max_ms = difference_ms;
    if (ret->message_timestamp_after_max_ms == INT64_MAX)
        ret->message_timestamp_after_max_ms = difference_ms;
}

void topic_config_resolve(const struct config *config, const struct config_map *overrides,
                          struct topic_config *ret_config)
{
    int64_t difference_ms = config->log_message_timestamp_difference_max_ms;
    from_broker(config, ret_config);
    struct arena *arena = overrides && overrides->count ? arena_new() : NULL;
    for (int32_t i = 0; overrides && i < overrides->count; i++) {
        const struct config_key *key = topic_key_find(overrides->entries[i].name);
        struct config_value value;
        if (!key || config_value_parse(key, overrides->entries[i].value, arena, &value))
            continue;
        if (strcmp(key->name, "message.timestamp.difference.max.ms") == 0)
            difference_ms = value.number;
        store(ret_config, key, &value);
    }
    apply_difference(ret_config, difference_ms);
    arena_free(arena);
}

/* LogConfig.validateValues and what belongs to it. */
static enum err check_together(const struct config *config, const struct config_map *overrides)
{
    struct topic_config topic;
    topic_config_resolve(config, overrides, &topic);
    if (topic.min_compaction_lag_ms > topic.max_compaction_lag_ms)
        return err_note(ERR_INVALID_CONFIG,
                        "conflict topic config setting min.compaction.lag.ms (%" PRId64
                        ") > max.compaction.lag.ms (%" PRId64 ")",
                        topic.min_compaction_lag_ms, topic.max_compaction_lag_ms);
    const char *remote = config_map_get(overrides, "remote.storage.enable");
    if (remote && strcasecmp(remote, "true") == 0)
        return err_note(ERR_INVALID_CONFIG,
                        "Tiered Storage functionality is disabled in the broker. Topic cannot be "
                        "configured with remote log storage.");
    return ERR_OK;
}

enum err topic_config_check(const struct config *config, const struct config_map *overrides)
{
    OWNED(arena) struct arena *arena = arena_new();
    for (int32_t i = 0; i < overrides->count; i++) {
        if (!topic_key_find(overrides->entries[i].name))
            return err_note(ERR_INVALID_CONFIG, "Unknown topic config name: %s",
                            overrides->entries[i].name);
    }
    /* In the order of Kafka's table, which decides what is said first. */
    for (int32_t i = 0; i < topic_keys_count; i++) {
        struct config_value value;
        const char *text = config_map_get(overrides, topic_keys[i].name);
        enum err e = config_value_parse(&topic_keys[i], text, arena, &value);
        if (e)
            return e;
    }
    return check_together(config, overrides);
}

bool topic_config_is_throttled(const struct config_map *overrides, enum throttled_side side,
                               int32_t partition, int32_t broker_id)
{
    const char *text = config_map_get(overrides, side == THROTTLED_LEADER
                                                     ? "leader.replication.throttled.replicas"
                                                     : "follower.replication.throttled.replicas");
    while (text && *text) {
        int32_t found_partition, found_broker;
        text += strspn(text, " ,");
        if (*text == '*')
            return true;
        if (sscanf(text, "%" SCNd32 ":%" SCNd32, &found_partition, &found_broker) == 2 &&
            found_partition == partition && found_broker == broker_id)
            return true;
        text += strcspn(text, ",");
    }
    return false;
}
