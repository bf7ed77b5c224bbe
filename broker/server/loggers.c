/* The JVM broker's loggers are set by DescribeConfigs and its siblings; ours is the trace. Levels
 * that the trace does not have become the nearest that it has. */
#include "broker/base/trace.h"
#include "broker/server/handle_configs.h"

static const struct {
    const char *name;
    enum trace_level level;
} levels[] = {
    {"ERROR", TRACE_ERROR}, {"WARN", TRACE_WARN},   {"INFO", TRACE_INFO}, {"DEBUG", TRACE_DEBUG},
    {"TRACE", TRACE_DEBUG}, {"FATAL", TRACE_ERROR}, {"OFF", TRACE_ERROR},
};
#define LEVELS_OF_TRACE 4 /* the first ones, in order */
#define LEVELS_COUNT    (int)(sizeof levels / sizeof levels[0])

const char *root_logger_level(void)
{
    int highest = 0;
    for (int i = 0; i < LEVELS_OF_TRACE; i++) {
        if (trace_is_on(levels[i].level))
            highest = i;
    }
    return levels[highest].name;
}

static int level_index(struct slice name)
{
    int i = 0;
    while (i < LEVELS_COUNT && !slice_equal_str(name, levels[i].name))
        i++;
    return i;
}

static enum err check_level(const struct config_op *op)
{
    if (level_index(op->value) < LEVELS_COUNT)
        return ERR_OK;
    return err_note(ERR_INVALID_CONFIG,
                    "Cannot set the log level of %.*s to %.*s as it is not a supported log level. "
                    "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
                    SLICE_ARG(op->name), SLICE_ARG(op->value));
}

static enum err check_op(const struct config_op *op)
{
    bool is_set = op->kind == CONFIG_OP_SET, is_delete = op->kind == CONFIG_OP_DELETE;
    if (op->kind == CONFIG_OP_APPEND || op->kind == CONFIG_OP_SUBTRACT)
        return err_note(ERR_INVALID_REQUEST,
                        "%s operation is not allowed for the BROKER_LOGGER resource",
                        op->kind == CONFIG_OP_APPEND ? "APPEND" : "SUBTRACT");
    if (!is_set && !is_delete)
        return err_note(ERR_INVALID_REQUEST,
                        "Unknown operation type %d is not allowed for the BROKER_LOGGER resource",
                        op->kind);
    if (!slice_equal_str(op->name, ROOT_LOGGER))
        return err_note(ERR_INVALID_CONFIG, "Logger %.*s does not exist!", SLICE_ARG(op->name));
    if (is_delete)
        return err_note(ERR_INVALID_REQUEST,
                        "Removing the log level of the " ROOT_LOGGER " logger is not allowed");
    return check_level(op);
}

enum err logger_ops_check(const struct config_op *ops, int32_t ops_count)
{
    enum err e = ERR_OK;
    for (int32_t i = 0; !e && i < ops_count; i++)
        e = check_op(&ops[i]);
    return e;
}

void logger_ops_apply(const struct config_op *ops, int32_t ops_count)
{
    for (int32_t i = 0; i < ops_count; i++)
        trace_set_level(levels[level_index(ops[i].value)].level);
}
