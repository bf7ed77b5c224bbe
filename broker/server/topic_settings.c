/* A map of maps; most topics override nothing and have no entry. */
#include "broker/server/topic_settings.h"

#include "broker/base/map.h"
#include "broker/base/thread.h"

struct topic_settings {
    const struct config_live *live;
    struct lock lock; /* RANK_LEAF; guards the map */
    struct map by_topic;
};

struct topic_settings *topic_settings_new(const struct config_live *live)
{
    struct topic_settings *settings = mem_new(struct topic_settings);
    settings->live = live;
    lock_init(&settings->lock, RANK_LEAF, "topic settings");
    return settings;
}

static void overrides_free(struct config_map *overrides)
{
    if (!overrides)
        return;
    config_map_done(overrides);
    free(overrides);
}

void topic_settings_free(struct topic_settings *settings)
{
    if (!settings)
        return;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&settings->by_topic, &i));)
        overrides_free(e->value);
    map_done(&settings->by_topic);
    lock_done(&settings->lock);
    free(settings);
}

void topic_settings_put(struct topic_settings *settings, const char *topic,
                        struct config_map *overrides)
{
    struct config_map *kept = NULL;
    if (overrides && overrides->count) {
        kept = mem_new(struct config_map);
        *kept = *overrides;
        *overrides = (struct config_map){0};
    }
    lock_acquire(&settings->lock);
    struct config_map *before = kept ? map_put(&settings->by_topic, slice_str(topic), kept)
                                     : map_remove(&settings->by_topic, slice_str(topic));
    lock_release(&settings->lock);
    overrides_free(before);
}

void topic_settings_get(struct topic_settings *settings, const char *topic,
                        struct topic_config *ret)
{
    LOCK_SCOPE(&settings->lock);
    topic_config_resolve(config_now(settings->live), map_get(&settings->by_topic, slice_str(topic)),
                         ret);
}

void topic_settings_log_config(struct topic_settings *settings, const char *topic,
                               struct log_config *ret)
{
    struct topic_config t;
    topic_settings_get(settings, topic, &t);
    *ret = (struct log_config){
        .segment_bytes = t.segment_bytes,
        .index_bytes = t.segment_index_bytes,
        .index_interval_bytes = t.index_interval_bytes,
        .max_message_bytes = t.max_message_bytes,
        .segment_ms = t.segment_ms,
        .segment_jitter_ms = t.segment_jitter_ms,
        .retention_bytes = t.retention_bytes,
        .retention_ms = t.retention_ms,
        .flush_messages = t.flush_messages,
        .flush_ms = t.flush_ms,
        .file_delete_delay_ms = t.file_delete_delay_ms,
        .timestamp_before_max_ms = t.message_timestamp_before_max_ms,
        .timestamp_after_max_ms = t.message_timestamp_after_max_ms,
        .delete_retention_ms = t.delete_retention_ms,
        .min_compaction_lag_ms = t.min_compaction_lag_ms,
        .max_compaction_lag_ms = t.max_compaction_lag_ms,
        .min_cleanable_dirty_ratio = t.min_cleanable_dirty_ratio,
        .cleanup_policy = t.cleanup_policy,
        .timestamp_type = t.message_timestamp_type == CONFIG_LOG_APPEND_TIME ? TIMESTAMP_LOG_APPEND
                                                                             : TIMESTAMP_CREATE,
        .compression = t.compression_type,
        .gzip_level = t.compression_gzip_level,
        .lz4_level = t.compression_lz4_level,
        .zstd_level = t.compression_zstd_level,
        .preallocate = t.preallocate,
    };
    static_assert((int)CLEANUP_DELETE == (int)CONFIG_CLEANUP_DELETE &&
                      (int)CLEANUP_COMPACT == (int)CONFIG_CLEANUP_COMPACT,
                  "the bits are the same");
    static_assert(COMPRESSION_PRODUCER == CONFIG_COMPRESSION_PRODUCER &&
                      (int)CODEC_ZSTD == (int)CONFIG_COMPRESSION_ZSTD,
                  "the codecs are the same");
}
