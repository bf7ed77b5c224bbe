/* The floor under a record's trip: a process with one thread that receives a record on one
 * connection, writes it to a file, sends it on to whoever waits for it on another, and answers; as
 * few system calls as a broker can do with, and nothing else. Its clients are threads of another
 * process, as those of a producer and a consumer are, whose time does not count.
 *
 *     bench_trip_floor RECORDS SIZE FILE
 *
 * The file is made, and removed at the end. Prints the server's cpu_ms a record, and the
 * percentiles of the whole trip as bench_round_trip counts it. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/client.h"
#include "tests/bench/loopback.h"

#define ANSWER_BYTES 53 /* Produce of one record */
#define ASK_BYTES    91 /* Fetch of one partition, in a session */

struct plan {
    long records;
    size_t size;
    const char *name;
    int producing[2], consuming[2]; /* client's end, server's end */
    int passed_on[2];               /* a pipe: the consumer has it */
    struct latencies latencies;
};

/* ---- The server ---- */

static bool take(int socket, char *bytes, size_t size)
{
    return recv(socket, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

static void give(int socket, const char *bytes, size_t size)
{
    if (send(socket, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
        bench_fail("send: %m");
}

static void watch(int poll, int socket)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = socket};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event) != 0)
        bench_fail("epoll_ctl: %m");
}

/* Until a client goes. The consumer asks again before the next record is sent. */
static void serve(const struct plan *plan)
{
    int producer = plan->producing[1], consumer = plan->consuming[1], poll = epoll_create1(0);
    int file = open(plan->name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0)
        bench_fail("cannot make %s: %m", plan->name);
    char *record = mem_alloc(plan->size), ask[ASK_BYTES];
    static const char answer[ANSWER_BYTES];
    watch(poll, producer);
    watch(poll, consumer);
    struct epoll_event event;
    for (off_t end = 0; epoll_wait(poll, &event, 1, -1) == 1;) {
        if (event.data.fd == consumer) {
            if (!take(consumer, ask, sizeof ask))
                break;
            continue;
        }
        if (!take(producer, record, plan->size))
            break;
        if (pwrite(file, record, plan->size, end) != (ssize_t)plan->size)
            bench_fail("write: %m");
        end += (off_t)plan->size;
        give(producer, answer, sizeof answer);
        give(consumer, record, plan->size);
    }
    free(record);
}

/* ---- Its clients ---- */

static void *consume(void *context)
{
    const struct plan *plan = context;
    static const char ask[ASK_BYTES];
    char *record = mem_alloc(plan->size);
    give(plan->consuming[0], ask, sizeof ask);
    for (long i = 0; i < plan->records && take(plan->consuming[0], record, plan->size); i++) {
        give(plan->consuming[0], ask, sizeof ask);
        if (write(plan->passed_on[1], "", 1) != 1)
            bench_fail("write: %m");
    }
    free(record);
    return NULL;
}

static void drive(struct plan *plan)
{
    pthread_t consumer;
    char *record = bench_payload(plan->size), answer[ANSWER_BYTES], byte;
    if (pipe(plan->passed_on) != 0 || pthread_create(&consumer, NULL, consume, plan) != 0)
        bench_fail("no consumer: %m");
    for (long i = 0; i < plan->records; i++) {
        int64_t since_us = bench_now_us();
        give(plan->producing[0], record, plan->size);
        if (!take(plan->producing[0], answer, sizeof answer) ||
            read(plan->passed_on[0], &byte, 1) != 1)
            bench_fail("the server went away");
        latencies_add(&plan->latencies, bench_now_us() - since_us);
    }
    pthread_join(consumer, NULL);
    free(record);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        bench_fail("bench_trip_floor RECORDS SIZE FILE");
    struct plan plan = {
        .records = bench_number(argv[1]), .size = (size_t)bench_number(argv[2]), .name = argv[3]};
    loopback_pair(plan.producing);
    loopback_pair(plan.consuming);
    pid_t server = fork();
    if (server < 0)
        bench_fail("fork: %m");
    int other = server == 0 ? 0 : 1;
    close(plan.producing[other]);
    close(plan.consuming[other]);
    if (server == 0) {
        serve(&plan);
        _exit(0);
    }
    drive(&plan);
    close(plan.producing[0]);
    close(plan.consuming[0]);
    int status;
    struct rusage used;
    if (wait4(server, &status, 0, &used) != server || status != 0)
        bench_fail("the server failed");
    unlink(plan.name);
    int64_t cpu_us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL +
                     used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    printf("cpu_ms=%.5f", (double)cpu_us / 1000 / (double)plan.records);
    latencies_print(&plan.latencies);
    puts("");
    return 0;
}
