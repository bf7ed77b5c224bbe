/* How long until a broker's Metadata answer names a live leader for every one of PARTITIONS
 * partitions, and for no other number: connects as soon as it may, asks for all topics, and asks
 * again. It pauses as long as an answer took, so that waiting takes no more than half of the
 * broker's time.
 *
 *     bench_await PORT PARTITIONS SINCE_NS SECONDS [REPLICAS]
 *
 * REPLICAS: so many must be in sync, too. SINCE_NS is the moment of CLOCK_MONOTONIC from which
 * `seconds` is counted. Fails after SECONDS.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/buf.h"
#include "tests/bench/client.h"

#define PAUSE_LEAST_US   1000
#define ANSWER_BYTES_MAX (64 << 20)

/* A Metadata answer of version 1, read front to back. */
struct reader {
    const uint8_t *at, *end;
};

static long in_sync_least;

struct count {
    long partitions, led;
};

static int32_t take_int(struct reader *r, size_t size)
{
    if ((size_t)(r->end - r->at) < size)
        bench_fail("the Metadata answer ends too soon");
    r->at += size;
    return size == 1   ? r->at[-1]
           : size == 2 ? (int16_t)get_be16(r->at - 2)
                       : (int32_t)get_be32(r->at - 4);
}

static void skip_text(struct reader *r)
{
    int32_t size = take_int(r, 2);
    if (size > 0 && r->end - r->at < size)
        bench_fail("the Metadata answer ends too soon");
    r->at += size > 0 ? size : 0;
}

static int32_t skip_ids(struct reader *r)
{
    int32_t count = take_int(r, 4);
    for (int32_t left = count; left > 0; left--)
        take_int(r, 4);
    return count;
}

static int32_t read_brokers(struct reader *r)
{
    int32_t count = take_int(r, 4);
    for (int32_t i = 0; i < count; i++) {
        take_int(r, 4);
        skip_text(r);
        take_int(r, 4);
        skip_text(r);
    }
    take_int(r, 4); /* controller */
    return count;
}

static void read_topic(struct reader *r, struct count *count)
{
    take_int(r, 2);
    skip_text(r);
    take_int(r, 1);
    for (int32_t left = take_int(r, 4); left > 0; left--) {
        bool is_sound = take_int(r, 2) == 0;
        take_int(r, 4);
        count->partitions++;
        bool is_led = take_int(r, 4) >= 0;
        skip_ids(r);
        count->led += is_led & is_sound & (skip_ids(r) >= in_sync_least);
    }
}

static struct count read_answer(const uint8_t *answer, size_t size)
{
    struct reader r = {answer + 4, answer + size};
    struct count count = {0};
    if (read_brokers(&r) == 0)
        return (struct count){-1, 0}; /* it knows of nobody yet */
    for (int32_t left = take_int(&r, 4); left > 0; left--)
        read_topic(&r, &count);
    return count;
}

static int open_connection(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

/* False when the connection broke. */
static bool ask(int fd, struct count *ret_count)
{
    static const uint8_t request[] = {0, 0, 0,   19,  0,   3,   0,   1,    0,    0,    0,   1,
                                      0, 5, 'b', 'e', 'n', 'c', 'h', 0xff, 0xff, 0xff, 0xff};
    uint8_t head[4];
    if (send(fd, request, sizeof request, MSG_NOSIGNAL) != sizeof request ||
        recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head)
        return false;
    size_t size = get_be32(head);
    if (size > ANSWER_BYTES_MAX)
        bench_fail("an answer of %zu bytes", size);
    OWNED_MEM uint8_t *answer = mem_alloc(size);
    if (recv(fd, answer, size, MSG_WAITALL) != (ssize_t)size)
        return false;
    *ret_count = read_answer(answer, size);
    return true;
}

static void pause_us(int64_t us)
{
    struct timespec pause = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6)
        bench_fail("bench_await PORT PARTITIONS SINCE_NS SECONDS [REPLICAS]");
    in_sync_least = argc == 6 ? bench_number(argv[5]) : 0;
    uint16_t port = (uint16_t)bench_number(argv[1]);
    long wanted = bench_number(argv[2]);
    int64_t since_us = bench_number(argv[3]) / 1000,
            end_us = bench_now_us() + 1000000 * bench_number(argv[4]);
    struct count count = {-1, 0};
    int fd = -1, answers = 0;
    while (bench_now_us() < end_us) {
        int64_t asked_us = bench_now_us();
        if (fd < 0)
            fd = open_connection(port);
        if (fd >= 0 && ask(fd, &count)) {
            answers++;
            if (count.partitions == wanted && count.led == wanted) {
                printf("seconds=%.4f answers=%d\n", (double)(bench_now_us() - since_us) / 1e6,
                       answers);
                return 0;
            }
        } else if (fd >= 0) {
            close(fd);
            fd = -1;
        }
        int64_t took_us = bench_now_us() - asked_us;
        pause_us(took_us > PAUSE_LEAST_US ? took_us : PAUSE_LEAST_US);
    }
    bench_fail("%ld of %ld partitions had a leader and enough replicas, %ld were wanted", count.led,
               count.partitions, wanted);
}
