/* The floor under a broker that serves from files: a process that sends the same bytes of the same
 * files over loopback with sendfile(), in answers of as many bytes, one for each small request. The
 * reader is another process, whose time does not count.
 *
 *     bench_sendfile ANSWER_BYTES PIECE_BYTES TOTAL_BYTES FILE…
 *
 * An answer is made of pieces of at most PIECE_BYTES, each from the next file in turn, from their
 * beginnings on, and begins anew when all are spent. Prints the sender's bytes and cpu_seconds. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/client.h"
#include "tests/bench/loopback.h"

#define REQUEST_BYTES 100
#define HEADER_BYTES  100

struct source {
    int fd;
    off_t at, size;
};

struct plan {
    long answer, piece, total, got; /* bytes */
    struct source *sources;
    int count, next;
};

static void open_sources(struct plan *plan, char **names)
{
    plan->sources = mem_new_array(struct source, (size_t)plan->count);
    off_t all = 0;
    for (int i = 0; i < plan->count; i++) {
        struct stat stat;
        struct source *source = &plan->sources[i];
        source->fd = open(names[i], O_RDONLY);
        if (source->fd < 0 || fstat(source->fd, &stat))
            bench_fail("cannot open %s", names[i]);
        source->size = stat.st_size;
        all += stat.st_size;
    }
    if (all == 0)
        bench_fail("the files are empty");
}

/* The next source that has bytes left; all begin anew when none has. */
static struct source *next_source(struct plan *plan)
{
    for (int tries = 0; tries < plan->count; tries++) {
        struct source *source = &plan->sources[plan->next++ % plan->count];
        if (source->at < source->size)
            return source;
    }
    for (int i = 0; i < plan->count; i++)
        plan->sources[i].at = 0;
    return next_source(plan);
}

static void send_piece(int socket, struct source *source, long size)
{
    while (size > 0) {
        ssize_t sent = sendfile(socket, source->fd, &source->at, (size_t)size);
        if (sent <= 0)
            bench_fail("sendfile: %m");
        size -= sent;
    }
}

static void send_answer(struct plan *plan, int socket)
{
    static const char header[HEADER_BYTES];
    if (send(socket, header, sizeof header, MSG_MORE) != sizeof header)
        bench_fail("send: %m");
    for (long left = plan->answer; left > 0;) {
        struct source *source = next_source(plan);
        long size = left < plan->piece ? left : plan->piece;
        if (size > source->size - source->at)
            size = source->size - source->at;
        send_piece(socket, source, size);
        left -= size;
    }
}

static void serve(void *context, int socket)
{
    struct plan *plan = context;
    char request[REQUEST_BYTES];
    while (recv(socket, request, sizeof request, MSG_WAITALL) == sizeof request)
        send_answer(plan, socket);
}

static void fetch(void *context, int socket)
{
    static const char request[REQUEST_BYTES];
    struct plan *plan = context;
    size_t size = (size_t)plan->answer + HEADER_BYTES;
    char *room = mem_alloc(size);
    for (; plan->got < plan->total; plan->got += plan->answer)
        if (send(socket, request, sizeof request, 0) != sizeof request ||
            recv(socket, room, size, MSG_WAITALL) != (ssize_t)size)
            bench_fail("the sender went away");
    free(room);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        bench_fail("bench_sendfile ANSWER_BYTES PIECE_BYTES TOTAL_BYTES FILE...");
    struct plan plan = {.answer = bench_number(argv[1]),
                        .piece = bench_number(argv[2]),
                        .total = bench_number(argv[3]),
                        .count = argc - 4};
    open_sources(&plan, argv + 4);
    double seconds = loopback_run(serve, fetch, &plan);
    printf("bytes=%ld cpu_seconds=%.4f\n", plan.got, seconds);
    free(plan.sources);
    return 0;
}
