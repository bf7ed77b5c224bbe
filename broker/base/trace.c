/* One line a call, made in a buffer on the stack and written at once. */
#include "broker/base/trace.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/thread.h"

#define LINE_MAX_BYTES 2048

static const char *const level_names[] = {"error", "warn ", "info ", "debug"};
static _Atomic int current_level = -1; /* not read from the environment yet */

static void (*_Atomic sink_function)(enum trace_level level, const char *line, void *context);
static void *_Atomic sink_context;

static int level_from_environment(void)
{
    const char *name = getenv("STOKER_TRACE");
    for (int i = 0; name && i <= TRACE_DEBUG; i++)
        if (strncmp(name, level_names[i], strcspn(level_names[i], " ")) == 0)
            return i;
    return TRACE_INFO;
}

void trace_set_level(enum trace_level level)
{
    current_level = (int)level;
}

bool trace_is_on(enum trace_level level)
{
    int now = current_level;
    if (now < 0) {
        now = level_from_environment();
        current_level = now;
    }
    return (int)level <= now;
}

void trace_set_sink(void (*sink)(enum trace_level level, const char *line, void *context),
                    void *context)
{
    sink_context = context;
    sink_function = sink;
}

static int put_head(char *line, size_t room, enum trace_level level)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    struct tm parts;
    localtime_r(&now.tv_sec, &parts);
    size_t length = strftime(line, room, "%Y-%m-%d %H:%M:%S", &parts);
    return (int)length + snprintf(line + length, room - length, ".%03d %s [%s] ",
                                  (int)(now.tv_usec / 1000), level_names[level], thread_name());
}

void trace_write(enum trace_level level, const char *format, ...)
{
    if (!trace_is_on(level))
        return;
    char line[LINE_MAX_BYTES];
    int head = put_head(line, sizeof line, level);
    va_list arguments;
    va_start(arguments, format);
    int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, arguments);
    va_end(arguments);

    size_t length = (size_t)head + (size_t)(body < 0 ? 0 : body);
    if (length > sizeof line - 2)
        length = sizeof line - 2;
    for (size_t i = (size_t)head; i < length; i++)
        if ((unsigned char)line[i] < 0x20)
            line[i] = ' '; /* a name from outside must not forge a line */
    line[length] = 0;

    void (*sink)(enum trace_level, const char *, void *) = sink_function;
    if (sink) {
        sink(level, line, sink_context);
        return;
    }
    line[length++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written; /* nobody is left to be told */
}
