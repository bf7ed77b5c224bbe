/* The settings of one topic: what it overrides in /config/topics/<t>, over what the broker says. */
#pragma once

#include "broker/base/arena.h"
#include "broker/config/config.h"
#include "broker/config/config_map.h"

/* Effective values, ready for the log (its struct log_config has the same names) and the replica
 * layer. Times in ms; -1 without limit where Kafka allows it. No pointers: may be copied. */
struct topic_config {
    int32_t segment_bytes, segment_index_bytes, index_interval_bytes, max_message_bytes;
    int64_t segment_ms, segment_jitter_ms;
    int64_t retention_bytes, retention_ms;
    int64_t flush_messages, flush_ms;
    int64_t file_delete_delay_ms;
    int64_t message_timestamp_before_max_ms, message_timestamp_after_max_ms;
    int64_t delete_retention_ms, min_compaction_lag_ms, max_compaction_lag_ms;
    double min_cleanable_dirty_ratio;
    int32_t cleanup_policy; /* bits of enum config_cleanup_policy */
    enum config_timestamp_type message_timestamp_type;
    enum config_compression compression_type;
    int32_t compression_gzip_level, compression_lz4_level, compression_zstd_level;
    int32_t min_insync_replicas;
    bool preallocate;
    bool unclean_leader_election_enable;
    bool message_downconversion_enable;
};

/* The effective settings of a topic. `overrides` may be NULL. An override that does not parse
 * (someone else wrote the znode) is left out, as the JVM broker's default would be kept: the caller
 * may ask topic_config_check() first and trace. Threads: any. */
void topic_config_resolve(const struct config *config, const struct config_map *overrides,
                          struct topic_config *ret_config);

/* May these overrides be stored? As the JVM broker judges them for CreateTopics, AlterConfigs and
 * IncrementalAlterConfigs.
 * Errors: ERR_INVALID_CONFIG with Kafka's sentence: "Unknown topic config name: x", "Invalid value
 * …", or one about settings that do not fit together. */
MUST_USE enum err topic_config_check(const struct config *config,
                                     const struct config_map *overrides);

/* How many of a topic's replicas are throttled: leader.replication.throttled.replicas and its twin.
 */
enum throttled_side { THROTTLED_LEADER, THROTTLED_FOLLOWER };
bool topic_config_is_throttled(const struct config_map *overrides, enum throttled_side side,
                               int32_t partition, int32_t broker_id);
