/* Many small producers without a client library: CONNECTIONS connections, each with one Produce
 * request of one batch in flight, acks=all, until REQUESTS are answered. Each next request goes to
 * the next partition in turn, so one run can visit ten thousand partitions, or let all producers
 * wait for one partition's flush.
 *
 *     bench_requests PORT TOPIC TOPICS PARTITIONS CONNECTIONS REQUESTS VALUE_BYTES
 *
 * Topics are TOPIC-0 … TOPIC-(TOPICS-1), of PARTITIONS each. Prints acknowledged, errors,
 * first_error, seconds and percentiles from request to answer. A broken connection is an error of
 * all that it had in flight, and ends the program. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/buf.h"
#include "broker/record/build.h"
#include "tests/bench/client.h"

#define PRODUCE_KEY        0
#define PRODUCE_VERSION    7
#define REQUEST_TIMEOUT_MS 60000
#define WAIT_MS            120000
#define EVENTS_COUNT       64
#define ANSWER_BYTES_MAX   1024

struct producer {
    int fd;
    int64_t sent_us;
    uint8_t answer[ANSWER_BYTES_MAX];
    size_t have;
};

struct load {
    uint16_t port;
    const char *topic;
    long topics, partitions, connections, requests;
    struct buf batch, request;
    int epoll;
    struct producer *producers;

    long sent, acknowledged, errors;
    int first_error;
    struct latencies latencies;
};

static void make_batch(struct load *load, size_t value_bytes)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    OWNED_MEM char *value = bench_payload(value_bytes);
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    struct batch_builder builder;
    batch_builder_init(&builder, &options, &load->batch);
    batch_builder_add(&builder, 0, now.tv_sec * 1000 + now.tv_nsec / 1000000, SLICE_NULL,
                      slice_of(value, value_bytes), SLICE_NULL);
    if (batch_builder_finish(&builder))
        bench_fail("the batch cannot be built");
    batch_builder_done(&builder);
}

static void put_text(struct buf *buf, const char *text)
{
    buf_put_be16(buf, (uint16_t)strlen(text));
    buf_put(buf, text, strlen(text));
}

/* A whole frame for the partition that is next in turn. */
static void make_request(struct load *load)
{
    long slot = load->sent % (load->topics * load->partitions);
    char topic[300];
    snprintf(topic, sizeof topic, "%s-%ld", load->topic, slot / load->partitions);
    struct buf *out = &load->request;
    out->size = 0;
    buf_put_be32(out, 0); /* the frame's size, below */
    buf_put_be16(out, PRODUCE_KEY);
    buf_put_be16(out, PRODUCE_VERSION);
    buf_put_be32(out, (uint32_t)load->sent);
    put_text(out, "bench");
    buf_put_be16(out, UINT16_MAX); /* no transaction */
    buf_put_be16(out, UINT16_MAX); /* acks=all */
    buf_put_be32(out, REQUEST_TIMEOUT_MS);
    buf_put_be32(out, 1);
    put_text(out, topic);
    buf_put_be32(out, 1);
    buf_put_be32(out, (uint32_t)(slot % load->partitions));
    buf_put_be32(out, (uint32_t)load->batch.size);
    buf_put_slice(out, buf_slice(&load->batch));
    put_be32(out->data, (uint32_t)(out->size - 4));
}

static void send_next(struct load *load, struct producer *producer)
{
    make_request(load);
    load->sent++;
    producer->sent_us = bench_now_us();
    if (send(producer->fd, load->request.data, load->request.size, MSG_NOSIGNAL) !=
        (ssize_t)load->request.size)
        bench_fail("send: %m");
}

/* The error code stands behind correlation id, one topic's name and one partition's index. */
static int error_in(const uint8_t *answer, size_t size)
{
    size_t at = 4 + 4 + 4;
    at += 2 + (size_t)get_be16(answer + at) + 4 + 4;
    if (at + 2 > size)
        bench_fail("an answer of %zu bytes", size);
    return (int16_t)get_be16(answer + at);
}

static void note_answer(struct load *load, struct producer *producer, size_t size)
{
    int error = error_in(producer->answer, size);
    if (error == 0) {
        load->acknowledged++;
    } else {
        if (load->errors++ == 0)
            load->first_error = error;
    }
    latencies_add(&load->latencies, bench_now_us() - producer->sent_us);
    producer->have = 0;
    if (load->sent < load->requests)
        send_next(load, producer);
}

static void on_readable(struct load *load, struct producer *producer)
{
    ssize_t got =
        recv(producer->fd, producer->answer + producer->have, ANSWER_BYTES_MAX - producer->have, 0);
    if (got <= 0)
        bench_fail("the broker closed a connection after %ld answers", load->acknowledged);
    producer->have += (size_t)got;
    if (producer->have < 4)
        return;
    size_t size = 4 + (size_t)get_be32(producer->answer);
    if (size > ANSWER_BYTES_MAX)
        bench_fail("an answer of %zu bytes", size);
    if (producer->have >= size)
        note_answer(load, producer, size);
}

static void open_producer(struct load *load, struct producer *producer)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(load->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    producer->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (producer->fd < 0 || connect(producer->fd, (struct sockaddr *)&to, sizeof to) ||
        setsockopt(producer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
        bench_fail("connect: %m");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = producer};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, producer->fd, &event))
        bench_fail("epoll: %m");
}

static void run(struct load *load)
{
    load->epoll = epoll_create1(0);
    load->producers = mem_new_array(struct producer, (size_t)load->connections);
    for (long i = 0; i < load->connections; i++)
        open_producer(load, &load->producers[i]);
    int64_t began_us = bench_now_us();
    for (long i = 0; i < load->connections && load->sent < load->requests; i++)
        send_next(load, &load->producers[i]);
    while (load->acknowledged + load->errors < load->requests) {
        struct epoll_event events[EVENTS_COUNT];
        int count = epoll_wait(load->epoll, events, EVENTS_COUNT, WAIT_MS);
        if (count <= 0)
            bench_fail("no answer for %d ms after %ld", WAIT_MS, load->acknowledged);
        for (int i = 0; i < count; i++)
            on_readable(load, events[i].data.ptr);
    }
    printf("acknowledged=%ld errors=%ld first_error=%d seconds=%.3f", load->acknowledged,
           load->errors, load->first_error, (double)(bench_now_us() - began_us) / 1e6);
    latencies_print(&load->latencies);
    printf("\n");
}

int main(int argc, char **argv)
{
    if (argc != 8)
        bench_fail("bench_requests PORT TOPIC TOPICS PARTITIONS CONNECTIONS REQUESTS VALUE_BYTES");
    struct load load = {.port = (uint16_t)bench_number(argv[1]),
                        .topic = argv[2],
                        .topics = bench_number(argv[3]),
                        .partitions = bench_number(argv[4]),
                        .connections = bench_number(argv[5]),
                        .requests = bench_number(argv[6])};
    if (load.topics == 0 || load.partitions == 0 || load.connections == 0)
        bench_fail("a topic, a partition and a connection are the least");
    make_batch(&load, (size_t)bench_number(argv[7]));
    run(&load);
    free(load.producers);
    free(load.latencies.us);
    buf_done(&load.batch);
    buf_done(&load.request);
    return load.errors != 0;
}
