/* What describing and altering settings have in common: the kinds of resource, and the loggers,
 * of which this broker has one, "root", the level of its trace. */
#pragma once

#include "broker/base/err.h"
#include "broker/base/slice.h"
#include "broker/config/config_alter.h"

enum resource_type { /* numbers are the protocol's */
                     RESOURCE_TOPIC = 2,
                     RESOURCE_BROKER = 4,
                     RESOURCE_BROKER_LOGGER = 8,
                     RESOURCE_CLIENT_METRICS = 16,
};

#define ROOT_LOGGER "root"

/* The level of the trace under its name in log4j. */
const char *root_logger_level(void);
/* ERR_INVALID_CONFIG: no such logger or level; ERR_INVALID_REQUEST. Nothing is changed by these. */
MUST_USE enum err logger_ops_check(const struct config_op *ops, int32_t ops_count);
/* Carry out what was checked. */
void logger_ops_apply(const struct config_op *ops, int32_t ops_count);
