/* Settings that are fine one by one and wrong together: the requirements of
 * KafkaConfig.validateValues, each with its sentence. */
#include <inttypes.h>

#include "broker/config/config_internal.h"
#include "broker/config/metadata_version.h"

static const char *given(const struct config *config, const char *name)
{
    return config_map_get(&config->inside->merged, name);
}

static void check_identity(const struct config *config, struct config_problems *problems)
{
    int32_t id = config->broker_id, reserved = config->reserved_broker_max_id;
    if (config->broker_id_generation_enable && (id < -1 || id > reserved))
        config_problem_error(problems, "broker.id",
                             "broker.id must be greater than or equal to -1 and not greater than "
                             "reserved.broker.max.id (%" PRId32 "): it is %" PRId32,
                             reserved, id);
    if (!config->broker_id_generation_enable && id < 0)
        config_problem_error(problems, "broker.id",
                             "broker.id must be greater than or equal to 0: it is %" PRId32, id);
    const char *node_id = given(config, "node.id"), *broker_id = given(config, "broker.id");
    if (node_id && broker_id && strcmp(node_id, broker_id) != 0)
        config_problem_error(problems, "node.id",
                             "You must set `node.id` to the same value as `broker.id`: they are %s "
                             "and %s",
                             node_id, broker_id);
    if (!config->zookeeper_connect || !config->zookeeper_connect[0])
        config_problem_error(problems, "zookeeper.connect",
                             "Missing required configuration `zookeeper.connect` which has no "
                             "default value.");
}

static void check_times(const struct config *config, struct config_problems *problems)
{
    if (config->log_roll_ms < 1)
        config_problem_error(problems, "log.roll.ms",
                             "log.roll.ms must be greater than or equal to 1");
    if (config->log_roll_jitter_ms < 0)
        config_problem_error(problems, "log.roll.jitter.ms",
                             "log.roll.jitter.ms must be greater than or equal to 0");
    if (config->log_retention_ms != -1 && config->log_retention_ms < 1)
        config_problem_error(
            problems, "log.retention.ms",
            "log.retention.ms must be unlimited (-1) or, greater than or equal to 1");
    if (config->log_cleaner_min_compaction_lag_ms > config->log_cleaner_max_compaction_lag_ms)
        config_problem_error(problems, "log.cleaner.min.compaction.lag.ms",
                             "log.cleaner.min.compaction.lag.ms (%" PRId64
                             ") is above log.cleaner.max.compaction.lag.ms (%" PRId64 ")",
                             config->log_cleaner_min_compaction_lag_ms,
                             config->log_cleaner_max_compaction_lag_ms);
    if (config->zookeeper_session_timeout_ms < 1)
        config_problem_error(problems, "zookeeper.session.timeout.ms",
                             "zookeeper.session.timeout.ms must be greater than 0");
}

#define CLEANER_THREAD_LEAST_BYTES (1 << 20)

static void check_cleaner(const struct config *config, struct config_problems *problems)
{
    if (config->log_cleaner_threads > 0 &&
        config->log_cleaner_dedupe_buffer_size / config->log_cleaner_threads <
            CLEANER_THREAD_LEAST_BYTES)
        config_problem_error(problems, "log.cleaner.dedupe.buffer.size",
                             "requirement failed: log.cleaner.dedupe.buffer.size must be at least "
                             "1MB per cleaner thread.");
}

static void check_replication(const struct config *config, struct config_problems *problems)
{
    if (config->replica_fetch_wait_max_ms > config->replica_socket_timeout_ms)
        config_problem_error(problems, "replica.socket.timeout.ms",
                             "replica.socket.timeout.ms should always be at least "
                             "replica.fetch.wait.max.ms to prevent unnecessary socket timeouts");
    if (config->replica_fetch_wait_max_ms > config->replica_lag_time_max_ms)
        config_problem_error(problems, "replica.fetch.wait.max.ms",
                             "replica.fetch.wait.max.ms should always be less than or equal to "
                             "replica.lag.time.max.ms to prevent frequent changes in ISR");
    if (config->offsets_commit_required_acks < -1 ||
        config->offsets_commit_required_acks > config->offsets_topic_replication_factor)
        config_problem_error(problems, "offsets.commit.required.acks",
                             "offsets.commit.required.acks must be greater or equal -1 and less or "
                             "equal to offsets.topic.replication.factor");
    if (config->default_replication_factor < 1)
        config_problem_error(problems, "default.replication.factor",
                             "default.replication.factor must be at least 1: it is %" PRId32,
                             config->default_replication_factor);
    if (config->num_replica_fetchers < 1)
        config_problem_error(problems, "num.replica.fetchers",
                             "num.replica.fetchers must be at least 1: it is %" PRId32,
                             config->num_replica_fetchers);
}

#define PROTOCOL_LEAST "3.5-IV0" /* of clusters in which this broker has been proven */

static void check_protocol_version(const struct config *config, struct config_problems *problems)
{
    const char *key = "inter.broker.protocol.version";
    const char *version = config->inter_broker_protocol_version;
    if (version && metadata_version_compare(version, metadata_version_find(PROTOCOL_LEAST)) < 0)
        config_problem_warn(problems, key,
                            "%s=%s: this broker is proven in clusters of 3.5 to 3.9, and writes "
                            "message format 2 alone",
                            key, given(config, key));
}

static void check_connections(const struct config *config, struct config_problems *problems)
{
    if (config->max_connections_per_ip == 0 && config->max_connections_per_ip_overrides_count == 0)
        config_problem_error(
            problems, "max.connections.per.ip",
            "requirement failed: max.connections.per.ip can be set to zero only if "
            "max.connections.per.ip.overrides property is set.");
    if (config->queued_max_request_bytes > 0 &&
        config->queued_max_request_bytes < config->socket_request_max_bytes)
        config_problem_error(problems, "queued.max.request.bytes",
                             "queued.max.request.bytes must be larger or equal to "
                             "socket.request.max.bytes");
    if (config->log_dirs.count == 0)
        config_problem_error(problems, "log.dirs",
                             "At least one log directory must be defined via log.dirs or log.dir.");
    for (int32_t i = 0; i < config->log_dirs.count; i++) {
        for (int32_t j = 0; j < i; j++) {
            if (strcmp(config->log_dirs.items[i], config->log_dirs.items[j]) == 0)
                config_problem_error(problems, "log.dirs", "Duplicate log directory found: %s",
                                     config->log_dirs.items[i]);
        }
    }
}

/* ZooKeeper addresses: host:port,…/chroot. The library would fail on them much later and say less.
 */
static void check_zookeeper(const struct config *config, struct config_problems *problems)
{
    const char *text = config->zookeeper_connect;
    if (!text || !text[0])
        return;
    const char *chroot = strchr(text, '/');
    if (chroot && (strstr(chroot, "//") || strchr(chroot, ',')))
        config_problem_error(
            problems, "zookeeper.connect",
            "zookeeper.connect=%s: the path stands once, after the last server, and "
            "has no empty part",
            text);
    struct arena *arena = config->inside->arena;
    size_t size = chroot ? (size_t)(chroot - text) : strlen(text);
    struct config_list servers =
        config_list_split(arena_strdup(arena, slice_of(text, size)), arena);
    for (int32_t i = 0; i < servers.count; i++) {
        const char *colon = strrchr(servers.items[i], ':');
        int64_t port = 2181;
        bool has_port = colon && strchr(servers.items[i], ']') < colon;
        if (servers.items[i][0] == 0 ||
            (has_port &&
             (!slice_to_int64(slice_str(colon + 1), &port) || port < 1 || port > 65535)))
            config_problem_error(problems, "zookeeper.connect",
                                 "zookeeper.connect=%s: '%s' is not host:port", text,
                                 servers.items[i]);
    }
    if (servers.count == 0)
        config_problem_error(problems, "zookeeper.connect", "zookeeper.connect=%s names no server",
                             text);
    const char *auth = config->stoker_zookeeper_auth;
    if (auth && auth[0] && (strncmp(auth, "digest:", 7) != 0 || !strchr(auth + 7, ':')))
        config_problem_error(problems, "stoker.zookeeper.auth",
                             "stoker.zookeeper.auth must be digest:USER:PASSWORD");
}

void config_check_together(struct config *config, struct config_problems *problems)
{
    check_identity(config, problems);
    check_times(config, problems);
    check_cleaner(config, problems);
    check_replication(config, problems);
    check_connections(config, problems);
    check_protocol_version(config, problems);
    check_zookeeper(config, problems);
}
