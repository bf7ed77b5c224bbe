/* See loopback.h. */
#include "tests/bench/loopback.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/client.h"

void loopback_pair(int ret_pair[2])
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ret_pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&place, size) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&place, &size) ||
        connect(ret_pair[0], (struct sockaddr *)&place, size))
        bench_fail("loopback: %m");
    ret_pair[1] = accept(listener, NULL, NULL);
    close(listener);
}

static double seconds_of(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

double loopback_run(void (*serve)(void *context, int socket),
                    void (*drive)(void *context, int socket), void *context)
{
    int pair[2], status;
    struct rusage usage;
    loopback_pair(pair);
    pid_t server = fork();
    if (server == 0) {
        close(pair[0]);
        serve(context, pair[1]);
        _exit(0);
    }
    close(pair[1]);
    drive(context, pair[0]);
    close(pair[0]);
    if (wait4(server, &status, 0, &usage) != server || status)
        bench_fail("the serving process failed");
    return seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
}
