/* The settings of a broker: what server.properties, --override and the cluster's dynamic settings
 * say, parsed, checked and laid out one field a setting.
 *
 * `struct config` is an immutable, counted snapshot: whoever holds a reference reads any field on
 * any thread without a lock. A change of a dynamic setting makes a new snapshot (config_live.h says
 * which is current). The table behind it all is config_keys[] (config_key.h): one row a setting,
 * from which parsing, checks, DescribeConfigs and the printed reference follow.
 *
 * Fields are named as the settings, dots as underscores, and hold the value that counts: where
 * Kafka lets one setting stand in for another (log.retention.hours for log.retention.ms, …) only
 * the one with the finest unit has a field, already resolved. Strings are NULL where nothing was
 * set. All pointers live as long as the snapshot. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "broker/base/err.h"
#include "broker/base/slice.h"

struct config_list {
    const char *const *items;
    int32_t count;
};

enum security_protocol {
    PROTOCOL_PLAINTEXT,
    PROTOCOL_SSL,
    PROTOCOL_SASL_PLAINTEXT,
    PROTOCOL_SASL_SSL
};

/* "PLAINTEXT", as in /brokers/ids/<id> and in UpdateMetadata, whose number it has. */
const char *security_protocol_name(enum security_protocol protocol);

struct listener_config {
    const char *name; /* upper case, as the JVM broker registers it */
    enum security_protocol protocol;
    const char *host; /* "" binds to every address */
    int32_t port;     /* 0: one that the system picks */
    bool is_advertised;
    const char *advertised_host; /* never ""; the canonical host name where none is given */
    int32_t advertised_port;     /* 0: that of the socket, known once it is bound */
    int32_t max_connections;     /* listener.name.<l>.max.connections, else max.connections */
    int32_t max_connection_creation_rate; /* likewise */
};

struct connection_limit { /* max.connections.per.ip.overrides */
    const char *host;     /* an address or a name */
    int32_t max_connections;
};

enum config_timestamp_type { CONFIG_CREATE_TIME, CONFIG_LOG_APPEND_TIME };
enum config_cleanup_policy { CONFIG_CLEANUP_DELETE = 1, CONFIG_CLEANUP_COMPACT = 2 }; /* bits */
enum config_compression { /* as in the attributes of a batch; -1: keep what the producer chose */
                          CONFIG_COMPRESSION_PRODUCER = -1,
                          CONFIG_COMPRESSION_NONE,
                          CONFIG_COMPRESSION_GZIP,
                          CONFIG_COMPRESSION_SNAPPY,
                          CONFIG_COMPRESSION_LZ4,
                          CONFIG_COMPRESSION_ZSTD,
};

struct config {
    /* ZooKeeper */
    const char *zookeeper_connect;
    int32_t zookeeper_session_timeout_ms;
    int32_t zookeeper_connection_timeout_ms;
    int32_t zookeeper_former_session_ms; /* how long that of who had our id before may last */
    int32_t zookeeper_max_in_flight_requests;

    /* the process, its threads and connections */
    bool broker_id_generation_enable;
    int32_t reserved_broker_max_id;
    int32_t broker_id;
    int32_t num_io_threads;
    int32_t background_threads;
    int32_t request_timeout_ms;
    int64_t socket_connection_setup_timeout_ms;
    int64_t socket_connection_setup_timeout_max_ms;
    const char *broker_rack;
    int32_t socket_send_buffer_bytes;
    int32_t socket_receive_buffer_bytes;
    int32_t socket_request_max_bytes;
    int32_t socket_listen_backlog_size;
    const char *stoker_socket_congestion_control; /* NULL: none was named */
    int32_t max_connections_per_ip;
    int32_t max_connections;
    int32_t max_connection_creation_rate;
    int64_t connections_max_idle_ms;
    int32_t queued_max_requests;
    int64_t queued_max_request_bytes;
    int32_t num_network_threads;

    /* logs on disk; for one topic ask topic_config_resolve() */
    int32_t message_max_bytes;
    bool delete_topic_enable;
    int32_t compression_gzip_level;
    int32_t compression_lz4_level;
    int32_t compression_zstd_level;
    int32_t max_request_partition_size_limit;
    int32_t log_cleaner_threads;
    double log_cleaner_io_max_bytes_per_second;
    int64_t log_cleaner_dedupe_buffer_size;
    int32_t log_cleaner_io_buffer_size;
    double log_cleaner_io_buffer_load_factor;
    int64_t log_cleaner_backoff_ms;
    double log_cleaner_min_cleanable_ratio;
    bool log_cleaner_enable;
    int64_t log_cleaner_delete_retention_ms;
    int64_t log_cleaner_min_compaction_lag_ms;
    int64_t log_cleaner_max_compaction_lag_ms;
    int32_t num_partitions;
    int32_t log_segment_bytes;
    int64_t log_roll_ms;
    int64_t log_roll_jitter_ms;
    int64_t log_retention_ms;
    int64_t log_retention_bytes;
    int64_t log_retention_check_interval_ms;
    int32_t log_index_size_max_bytes;
    int32_t log_index_interval_bytes;
    int64_t log_flush_interval_messages;
    int64_t log_segment_delete_delay_ms;
    int64_t log_flush_scheduler_interval_ms;
    int64_t log_flush_interval_ms;
    int32_t log_flush_offset_checkpoint_interval_ms;
    int32_t log_flush_start_offset_checkpoint_interval_ms;
    bool log_preallocate;
    int32_t num_recovery_threads_per_data_dir;
    bool auto_create_topics_enable;
    int32_t min_insync_replicas;
    int64_t log_message_timestamp_difference_max_ms;
    int64_t log_message_timestamp_before_max_ms;
    int64_t log_message_timestamp_after_max_ms;
    bool log_message_downconversion_enable;
    int64_t log_initial_task_delay_ms;
    int32_t producer_id_expiration_ms;
    int32_t producer_id_expiration_check_interval_ms;

    /* replication and the controller */
    int32_t num_replica_alter_log_dirs_threads;
    int32_t controlled_shutdown_max_retries;
    int64_t controlled_shutdown_retry_backoff_ms;
    bool controlled_shutdown_enable;
    int32_t max_incremental_fetch_session_cache_slots;
    int32_t fetch_max_bytes;
    int32_t controller_socket_timeout_ms;
    int32_t default_replication_factor;
    int64_t replica_lag_time_max_ms;
    int32_t replica_socket_timeout_ms;
    int32_t replica_socket_receive_buffer_bytes;
    int32_t replica_fetch_max_bytes;
    int32_t replica_fetch_wait_max_ms;
    int32_t replica_fetch_backoff_ms;
    int32_t replica_fetch_min_bytes;
    int32_t replica_fetch_response_max_bytes;
    int32_t num_replica_fetchers;
    int64_t replica_high_watermark_checkpoint_interval_ms;
    int32_t fetch_purgatory_purge_interval_requests;
    int32_t producer_purgatory_purge_interval_requests;
    int32_t delete_records_purgatory_purge_interval_requests;
    bool auto_leader_rebalance_enable;
    int32_t leader_imbalance_per_broker_percentage;
    int64_t leader_imbalance_check_interval_seconds;
    bool unclean_leader_election_enable;
    const char *replica_selector_class;
    int64_t leader_replication_throttled_rate;   /* bytes a second; dynamic only */
    int64_t follower_replication_throttled_rate; /* bytes a second; dynamic only */
    int64_t replica_alter_log_dirs_io_max_bytes_per_second;

    /* groups */
    int32_t group_min_session_timeout_ms;
    int32_t group_max_session_timeout_ms;
    int32_t group_initial_rebalance_delay_ms;
    int32_t group_max_size;
    int32_t group_coordinator_threads;
    int32_t group_coordinator_append_linger_ms;
    int32_t offset_metadata_max_bytes;
    int32_t offsets_load_buffer_size;
    int16_t offsets_topic_replication_factor;
    int32_t offsets_topic_num_partitions;
    int32_t offsets_topic_segment_bytes;
    int32_t offsets_topic_compression_codec;
    int32_t offsets_retention_minutes;
    int64_t offsets_retention_check_interval_ms;
    int32_t offsets_commit_timeout_ms;
    int16_t offsets_commit_required_acks;

    /* transactions */
    int32_t transaction_state_log_min_isr;
    int32_t transaction_state_log_load_buffer_size;
    int16_t transaction_state_log_replication_factor;
    int32_t transaction_state_log_num_partitions;
    int32_t transaction_state_log_segment_bytes;
    bool transaction_partition_verification_enable;
    int32_t transactional_id_expiration_ms;
    int32_t transaction_max_timeout_ms;
    int32_t transaction_abort_timed_out_transaction_cleanup_interval_ms;
    int32_t transaction_remove_expired_transaction_cleanup_interval_ms;

    /* quotas and metrics */
    int32_t metrics_num_samples;
    int64_t metrics_sample_window_ms;
    int32_t quota_window_num;
    int32_t replication_quota_window_num;
    int32_t alter_log_dirs_replication_quota_window_num;
    int32_t controller_quota_window_num;
    int32_t quota_window_size_seconds;
    int32_t replication_quota_window_size_seconds;
    int32_t alter_log_dirs_replication_quota_window_size_seconds;
    int32_t controller_quota_window_size_seconds;

    /* read from more than one setting, or into more than a number */
    const struct listener_config *listeners; /* in the order of the file; at least one */
    int32_t listeners_count;
    const struct listener_config *inter_broker_listener;  /* one of them */
    const struct listener_config *control_plane_listener; /* one of them, or NULL */
    const struct connection_limit *max_connections_per_ip_overrides;
    int32_t max_connections_per_ip_overrides_count;
    struct config_list log_dirs; /* absolute paths; log.dirs, else log.dir */
    int32_t log_cleanup_policy;  /* bits of enum config_cleanup_policy */
    enum config_timestamp_type log_message_timestamp_type;
    enum config_compression compression_type;
    const char *inter_broker_protocol_version; /* "3.9-IV0" */

    /* ours */
    int32_t max_open_files;
    int32_t max_mapped_indexes;
    int32_t log_writeback_bytes;
    int64_t stoker_unfinished_requests_max_bytes;
    int64_t stoker_disk_stall_timeout_ms;
    bool stoker_crash_detection_enable;
    const char *stoker_zookeeper_auth;
    const char *stoker_embedded_listener;
    const char *stoker_embedded_data_dir;
    const char *stoker_trace_level;

    struct config_inside *inside; /* reference count, layers of text, arena: config_internal.h */
};

/* One name and value, as `--override KEY=VALUE` gives it. */
struct config_pair {
    const char *name, *value;
};

/* Read a server.properties and put the overrides over it. `path` NULL: overrides and defaults
 * alone. Unknown names are traced as warnings (with the nearest known one) and kept, as Kafka keeps
 * them.
 *
 * Errors: ERR_INVALID_CONFIG, the first thing that is wrong, with key, value and file:line;
 *         ERR_NOT_FOUND or ERR_IO when the file cannot be read. */
MUST_USE enum err config_load(const char *path, const struct config_pair *overrides,
                              int32_t overrides_count, struct config **ret_config);

/* The same from text in memory; `name` stands for the file in sentences. */
MUST_USE enum err config_parse(const char *name, struct slice text,
                               const struct config_pair *overrides, int32_t overrides_count,
                               struct config **ret_config);

/* `stokerd --check FILE`: write everything that is wrong, one line each, "error: …" or "warning:
 * …", and how many there are. Gives back ERR_OK when there is no error, else ERR_INVALID_CONFIG. */
MUST_USE enum err config_check(const char *path, const struct config_pair *overrides,
                               int32_t overrides_count, FILE *out);

/* Counted; any thread. unref accepts NULL. */
const struct config *config_ref(const struct config *config);
void config_unref(const struct config *config);

/* The listener of that name (any case), or NULL. */
const struct listener_config *config_listener(const struct config *config, const char *name);

/* `stokerd --help-config`: every setting with type, default, range, how it may be changed, and what
 * it does, from the table. */
void config_print_reference(FILE *out);
