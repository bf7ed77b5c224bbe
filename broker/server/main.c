/* stokerd: the broker as a process. In the foreground; it traces to standard error; SIGTERM and
 * SIGINT are an orderly stop. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/base/thread.h"
#include "broker/base/trace.h"
#include "broker/server/options.h"
#include "broker/server/server.h"

/* As many descriptors as the system lets us have: a broker with many partitions and clients needs
 * them. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        trace_warn("the limit of descriptors stays: %s", strerror(errno));
}

/* Signals are taken by signalfd; every thread inherits the mask. */
static int block_signals(void)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &stop, SFD_CLOEXEC);
}

/* ---- While it starts ----
 * The main thread may wait long, for ZooKeeper above all. Who asks the broker to stop meanwhile is
 * not kept waiting: what a start leaves undone, the next one does, as after kill -9. */
struct start_watch {
    int signals;
    int started; /* an eventfd */
    pthread_t thread;
};

static void *watch_start(void *context)
{
    const struct start_watch *watch = context;
    struct pollfd fds[] = {{.fd = watch->signals, .events = POLLIN},
                           {.fd = watch->started, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    if (!fds[1].revents) { /* else the signal is left to wait_for_end() */
        trace_info("stopped while it was starting");
        _exit(0);
    }
    return NULL;
}

static void start_watch_begin(struct start_watch *watch, int signals)
{
    *watch = (struct start_watch){.signals = signals, .started = eventfd(0, EFD_CLOEXEC)};
    if (watch->started < 0) {
        trace_error("no descriptor for the start: %s", strerror(errno));
        _exit(1);
    }
    watch->thread = thread_start("start-watch", watch_start, watch);
}

static void start_watch_end(struct start_watch *watch)
{
    eventfd_write(watch->started, 1);
    pthread_join(watch->thread, NULL);
    close(watch->started);
}

/* Until a signal (0) or a fault (1). */
static int wait_for_end(struct server *server, int signals)
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                           {.fd = server_fault_fd(server), .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    return fds[1].revents ? 1 : 0;
}

static void set_trace_level(const struct config *config)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int i = 0; config->stoker_trace_level && i <= TRACE_DEBUG; i++)
        if (strcmp(config->stoker_trace_level, names[i]) == 0)
            trace_set_level((enum trace_level)i);
}

static int serve(const struct options *options)
{
    struct config *config = NULL;
    enum err e = config_load(options->file, options->overrides, options->overrides_count, &config);
    if (e) {
        fprintf(stderr, "stokerd: %s\n", err_sentence(e));
        return 1;
    }
    if (!getenv("STOKER_TRACE"))
        set_trace_level(config);
    int signals = block_signals();
    raise_descriptor_limit();
    struct server_options server_options = {.config = config,
                                            .is_standalone = options->is_standalone};
    struct server *server = NULL;
    struct start_watch watch;
    start_watch_begin(&watch, signals);
    e = server_start(&server_options, &server);
    start_watch_end(&watch);
    config_unref(config);
    if (e) {
        trace_error("the broker does not start: %s", err_sentence(e));
        close(signals);
        return 1;
    }
    int fault = wait_for_end(server, signals);
    trace_info("stopping");
    server_stop(server);
    close(signals);
    trace_info("stopped");
    return fault;
}

int main(int argc, char **argv)
{
    struct options options;
    int status = options_parse(argc, argv, &options);
    if (status >= 0)
        return status;
    switch (options.action) {
    case ACTION_CHECK:
        status =
            config_check(options.file, options.overrides, options.overrides_count, stdout) ? 1 : 0;
        break;
    case ACTION_PRINT_REFERENCE:
        config_print_reference(stdout);
        status = 0;
        break;
    case ACTION_SERVE:
        status = serve(&options);
        break;
    }
    options_done(&options);
    return status;
}
