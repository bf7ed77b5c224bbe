/* What AlterConfigs and IncrementalAlterConfigs ask, judged and carried out on maps; storing the
 * result in /config/… is the caller's. Sentences are the JVM broker's. */
#pragma once

#include "broker/config/config.h"
#include "broker/config/config_map.h"

enum config_op_kind { CONFIG_OP_SET, CONFIG_OP_DELETE, CONFIG_OP_APPEND, CONFIG_OP_SUBTRACT };

struct config_op {
    int8_t kind; /* enum config_op_kind, as on the wire */
    struct slice name;
    struct slice value; /* null where there is none */
};

enum config_target { TARGET_TOPIC, TARGET_BROKER, TARGET_BROKER_DEFAULT };

/* What is refused before anything else is looked at.
 * Errors: ERR_INVALID_REQUEST: a name twice; null values, with all their names. */
MUST_USE enum err config_ops_check_names(const struct config_op *ops, int32_t ops_count);

/* Would these change a setting that Kafka changes while it runs and this broker does not
 * (KEY_AT_START)? What already stands in `before`, the znode, or is in force passes: a JVM broker
 * of the same cluster may have put it there. Errors: ERR_INVALID_REQUEST, as a JVM broker says it
 * of what it cannot change. */
MUST_USE enum err config_ops_check_live(const struct config *config, const struct config_op *ops,
                                        int32_t ops_count, const struct config_map *before);

/* Carry the operations out on `properties`, what the znode holds now.
 * Errors (properties may then be half changed): ERR_INVALID_REQUEST: a name twice, a null value, an
 * unknown operation; ERR_INVALID_CONFIG: append or subtract where the type is no list, or of an
 * unknown name. */
MUST_USE enum err config_ops_apply(enum config_target target, const struct config_op *ops,
                                   int32_t ops_count, struct config_map *properties);

/* AlterConfigs: all that the entity is to hold. Fills an empty map.
 * Errors: ERR_INVALID_REQUEST: a name twice, a null value. */
MUST_USE enum err config_ops_replace(const struct config_op *ops, int32_t ops_count,
                                     struct config_map *ret_properties);

/* May these be the dynamic settings of a broker (or of all)? `config` is the snapshot in force.
 * Errors: ERR_INVALID_REQUEST with the JVM broker's sentence. */
MUST_USE enum err broker_config_check(const struct config *config, enum config_target target,
                                      const struct config_map *properties);
