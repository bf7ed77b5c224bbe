/* The floor under a broker that is produced to: a process that receives the same bytes over
 * loopback, one frame after the other, sums each (CRC-32C), writes it to the next of several files
 * and answers with a few bytes. The sender is another process, whose time does not count; it has
 * as many frames on their way as a producer has requests.
 *
 *     bench_write_floor FRAME_BYTES FRAMES_IN_FLIGHT TOTAL_BYTES FILE…
 *
 * The files are made, and removed at the end. Prints the receiver's bytes and cpu_seconds. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/crc32c.h"
#include "tests/bench/client.h"
#include "tests/bench/loopback.h"

#define ANSWER_BYTES 64

struct plan {
    long frame, in_flight, frames; /* bytes; frames */
    char **names;
    int *fds;
    off_t *ends;
    int count;
};

static void open_files(struct plan *plan)
{
    plan->fds = mem_new_array(int, (size_t)plan->count);
    plan->ends = mem_new_array(off_t, (size_t)plan->count);
    for (int i = 0; i < plan->count; i++)
        if ((plan->fds[i] = open(plan->names[i], O_RDWR | O_CREAT | O_TRUNC, 0644)) < 0)
            bench_fail("cannot make %s: %m", plan->names[i]);
}

static void remove_files(struct plan *plan)
{
    for (int i = 0; i < plan->count; i++)
        unlink(plan->names[i]);
    free(plan->fds);
    free(plan->ends);
}

/* Whole frames, each read with as few calls as the bytes come in. */
static void serve(void *context, int socket)
{
    struct plan *plan = context;
    static const char answer[ANSWER_BYTES];
    size_t size = (size_t)plan->frame;
    char *frame = mem_alloc(size);
    uint32_t sum = 0;
    for (long i = 0; recv(socket, frame, size, MSG_WAITALL) == (ssize_t)size; i++) {
        int file = (int)(i % plan->count);
        sum ^= crc32c(0, frame, size);
        if (pwrite(plan->fds[file], frame, size, plan->ends[file]) != (ssize_t)size)
            bench_fail("write: %m");
        plan->ends[file] += (off_t)size;
        if (send(socket, answer, sizeof answer, 0) != sizeof answer)
            bench_fail("send: %m");
    }
    if (sum == 1)
        puts(""); /* or the sums would be left out */
    free(frame);
}

static void drive(void *context, int socket)
{
    struct plan *plan = context;
    char answer[ANSWER_BYTES];
    char *frame = bench_payload((size_t)plan->frame);
    for (long sent = 0, answered = 0; answered < plan->frames;) {
        if (sent < plan->frames && sent - answered < plan->in_flight) {
            for (long done = 0; done < plan->frame;) {
                ssize_t n = send(socket, frame + done, (size_t)(plan->frame - done), 0);
                if (n <= 0)
                    bench_fail("send: %m");
                done += n;
            }
            sent++;
            continue;
        }
        if (recv(socket, answer, sizeof answer, MSG_WAITALL) != sizeof answer)
            bench_fail("the receiver went away");
        answered++;
    }
    free(frame);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        bench_fail("bench_write_floor FRAME_BYTES FRAMES_IN_FLIGHT TOTAL_BYTES FILE...");
    struct plan plan = {.frame = bench_number(argv[1]),
                        .in_flight = bench_number(argv[2]),
                        .names = argv + 4,
                        .count = argc - 4};
    if (plan.frame == 0 || plan.in_flight == 0)
        bench_fail("frames of no bytes, or none in flight");
    plan.frames = bench_number(argv[3]) / plan.frame;
    open_files(&plan);
    double seconds = loopback_run(serve, drive, &plan);
    remove_files(&plan);
    printf("bytes=%ld cpu_seconds=%.4f\n", plan.frames * plan.frame, seconds);
    return 0;
}
