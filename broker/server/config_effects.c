/* A table, and one walk over it. */
#include "broker/server/config_effects.h"

#include "broker/base/trace.h"
#include "broker/config/config_key.h"
#include "broker/server/broker_zk.h"
#include "broker/server/controller_join.h"
#include "broker/server/fetcher_threads.h"
#include "broker/server/server_internal.h"

const struct config_effect_row config_effect_rows[] = {
    {"compression.gzip.level", EFFECT_LOGS},
    {"compression.lz4.level", EFFECT_LOGS},
    {"compression.type", EFFECT_LOGS},
    {"compression.zstd.level", EFFECT_LOGS},
    {"log.cleaner.delete.retention.ms", EFFECT_LOGS},
    {"log.cleaner.max.compaction.lag.ms", EFFECT_LOGS},
    {"log.cleaner.min.cleanable.ratio", EFFECT_LOGS},
    {"log.cleaner.min.compaction.lag.ms", EFFECT_LOGS},
    {"log.cleanup.policy", EFFECT_LOGS},
    {"log.flush.interval.messages", EFFECT_LOGS},
    {"log.flush.interval.ms", EFFECT_LOGS},
    {"log.index.interval.bytes", EFFECT_LOGS},
    {"log.index.size.max.bytes", EFFECT_LOGS},
    {"log.message.downconversion.enable", EFFECT_LOGS},
    {"log.message.timestamp.after.max.ms", EFFECT_LOGS},
    {"log.message.timestamp.before.max.ms", EFFECT_LOGS},
    {"log.message.timestamp.difference.max.ms", EFFECT_LOGS},
    {"log.message.timestamp.type", EFFECT_LOGS},
    {"log.preallocate", EFFECT_LOGS},
    {"log.retention.bytes", EFFECT_LOGS},
    {"log.retention.ms", EFFECT_LOGS},
    {"log.roll.jitter.ms", EFFECT_LOGS},
    {"log.roll.ms", EFFECT_LOGS},
    {"log.segment.bytes", EFFECT_LOGS},
    {"log.segment.delete.delay.ms", EFFECT_LOGS},
    {"message.max.bytes", EFFECT_LOGS},
    {"min.insync.replicas", EFFECT_LOGS},
    {"unclean.leader.election.enable", EFFECT_LOGS | EFFECT_CONTROLLER},
    {"listeners", EFFECT_NETWORK | EFFECT_ADDRESSES},
    {"advertised.listeners", EFFECT_ADDRESSES},
    {"listener.security.protocol.map", EFFECT_NETWORK | EFFECT_ADDRESSES},
    {"max.connections", EFFECT_NETWORK},
    {"max.connections.per.ip", EFFECT_NETWORK},
    {"max.connections.per.ip.overrides", EFFECT_NETWORK},
    {"max.connection.creation.rate", EFFECT_NETWORK},
    {"num.network.threads", EFFECT_NETWORK},
    {"producer.id.expiration.ms", EFFECT_PRODUCERS},
    {"num.replica.fetchers", EFFECT_FETCHERS},
    {"background.threads", EFFECT_STORED},
    {"num.io.threads", EFFECT_STORED},
    {"num.recovery.threads.per.data.dir", EFFECT_STORED},
    {"log.cleaner.backoff.ms", EFFECT_STORED},
    {"log.cleaner.dedupe.buffer.size", EFFECT_STORED},
    {"log.cleaner.io.buffer.load.factor", EFFECT_STORED},
    {"log.cleaner.io.buffer.size", EFFECT_STORED},
    {"log.cleaner.io.max.bytes.per.second", EFFECT_STORED},
    {"log.cleaner.threads", EFFECT_STORED},
    {"log.local.retention.bytes", EFFECT_STORED},
    {"log.local.retention.ms", EFFECT_STORED},
    {"remote.fetch.max.wait.ms", EFFECT_STORED},
    {"remote.log.index.file.cache.total.size.bytes", EFFECT_STORED},
    {"remote.log.manager.copy.max.bytes.per.second", EFFECT_STORED},
    {"remote.log.manager.fetch.max.bytes.per.second", EFFECT_STORED},
    {"metric.reporters", EFFECT_STORED}, /* only the empty list is taken */
    {"transaction.partition.verification.enable", EFFECT_REQUESTS},
    {"leader.replication.throttled.rate", EFFECT_STORED},
    {"follower.replication.throttled.rate", EFFECT_STORED},
    {"replica.alter.log.dirs.io.max.bytes.per.second", EFFECT_STORED},
};
const int config_effect_rows_count = ARRAY_SIZE(config_effect_rows);

static bool has_listener_as(const struct config *config, const struct listener_config *wanted)
{
    const struct listener_config *found = config_listener(config, wanted->name);
    return found && found->max_connections == wanted->max_connections &&
           found->max_connection_creation_rate == wanted->max_connection_creation_rate;
}

/* "listener.name.<l>.max.connections" and the like, which have no row. */
static int effects_of_listeners(const struct config *old_config, const struct config *new_config)
{
    for (int32_t i = 0; i < new_config->listeners_count; i++) {
        if (!has_listener_as(old_config, &new_config->listeners[i]))
            return EFFECT_NETWORK;
    }
    return 0;
}

int config_effects_between(const struct config *old_config, const struct config *new_config)
{
    int effects = 0;
    for (int i = 0; i < config_effect_rows_count; i++) {
        const struct config_effect_row *row = &config_effect_rows[i];
        if (config_key_differs(config_key_find(row->name), old_config, new_config))
            effects |= row->effects;
    }
    return effects | effects_of_listeners(old_config, new_config);
}

/* An operator who set a rate must not believe that it holds. */
static void say_where_nothing_follows(const struct config *old_config,
                                      const struct config *new_config)
{
    for (int i = 0; i < config_effect_rows_count; i++) {
        const struct config_effect_row *row = &config_effect_rows[i];
        if ((row->effects & EFFECT_STORED) &&
            config_key_differs(config_key_find(row->name), old_config, new_config))
            trace_warn("a dynamic setting is stored and has no effect on this broker name=%s",
                       row->name);
    }
}

/* A listener that cannot be opened leaves the others as they are, as with a JVM broker. */
static void change_network(struct server *server, const struct config *config)
{
    enum err e = server_update_network(server, config);
    if (e)
        trace_error("a listener is not open: %s", err_sentence(e));
}

void config_effects_apply(struct server *server, const struct config *old_config,
                          const struct config *new_config)
{
    int effects = config_effects_between(old_config, new_config);
    if (effects & EFFECT_LOGS)
        broker_zk_apply_to_logs(server, NULL);
    if (effects & EFFECT_CONTROLLER)
        controller_join_update(server);
    if (effects & EFFECT_PRODUCERS)
        log_manager_set_producer_id_expiration(server->broker.log_manager,
                                               new_config->producer_id_expiration_ms);
    if (effects & EFFECT_FETCHERS)
        fetcher_threads_change(server->fetchers, new_config->num_replica_fetchers);
    if (effects & EFFECT_NETWORK)
        change_network(server, new_config);
    if (effects & EFFECT_ADDRESSES)
        broker_zk_addresses_changed(server); /* once the ports of new listeners are known */
    say_where_nothing_follows(old_config, new_config);
}
