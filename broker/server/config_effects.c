/* A table, and one walk over it. */
#include "broker/server/config_effects.h"

#include "broker/base/trace.h"
#include "broker/config/config_key.h"
#include "broker/server/broker_zk.h"
#include "broker/server/controller_join.h"
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
    {"leader.replication.throttled.rate", EFFECT_STORED},
    {"follower.replication.throttled.rate", EFFECT_STORED},
    {"replica.alter.log.dirs.io.max.bytes.per.second", EFFECT_STORED},
};
const int config_effect_rows_count = ARRAY_SIZE(config_effect_rows);

int config_effects_between(const struct config *old_config, const struct config *new_config)
{
    int effects = 0;
    for (int i = 0; i < config_effect_rows_count; i++) {
        const struct config_effect_row *row = &config_effect_rows[i];
        if (config_key_differs(config_key_find(row->name), old_config, new_config))
            effects |= row->effects;
    }
    return effects;
}

/* An operator who set a rate must not believe that it holds. */
static void say_stored(const struct config *old_config, const struct config *new_config)
{
    for (int i = 0; i < config_effect_rows_count; i++) {
        const struct config_effect_row *row = &config_effect_rows[i];
        if ((row->effects & EFFECT_STORED) &&
            config_key_differs(config_key_find(row->name), old_config, new_config))
            trace_warn("a dynamic setting is stored and has no effect on this broker name=%s",
                       row->name);
    }
}

void config_effects_apply(struct server *server, const struct config *old_config,
                          const struct config *new_config)
{
    int effects = config_effects_between(old_config, new_config);
    if (effects & EFFECT_LOGS)
        broker_zk_apply_to_logs(server, NULL);
    if (effects & EFFECT_CONTROLLER)
        controller_join_update(server);
    if (effects & EFFECT_STORED)
        say_stored(old_config, new_config);
}
