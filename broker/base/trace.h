/* What the process says about itself, on standard error, a line each:
 *     2026-11-21 07:14:03.512 info  [controller] isr shrank topic=orders partition=3 out=2
 * lag_ms=30112 The event in few words, then key=value with units, the same keys everywhere. Never
 * user data. error: a person must act; warn: we recovered; info: a turning point in the cluster's
 * life; debug: the rest. Threads: any; a line is written with one call. */
#pragma once

#include "broker/base/attributes.h"
#include "broker/base/err.h"

enum trace_level { TRACE_ERROR, TRACE_WARN, TRACE_INFO, TRACE_DEBUG };

/* Nothing above this is written; TRACE_INFO at first, or what STOKER_TRACE in the environment
 * names. */
void trace_set_level(enum trace_level level);
bool trace_is_on(enum trace_level level);
/* Where lines go instead of standard error; NULL: back. For tests. */
void trace_set_sink(void (*sink)(enum trace_level level, const char *line, void *context),
                    void *context);

void trace_write(enum trace_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define trace_error(...) trace_write(TRACE_ERROR, __VA_ARGS__)
#define trace_warn(...)  trace_write(TRACE_WARN, __VA_ARGS__)
#define trace_info(...)  trace_write(TRACE_INFO, __VA_ARGS__)
#define trace_debug(...)                                                                           \
    do {                                                                                           \
        if (trace_is_on(TRACE_DEBUG))                                                              \
            trace_write(TRACE_DEBUG, __VA_ARGS__);                                                 \
    } while (0)
