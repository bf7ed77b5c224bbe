/* Load on a broker: RECORDS records of SIZE bytes with acks=all, as fast as it takes them or at
 * RATE records a second (0: no limit). SIGTERM ends the load early and in order. Values are not
 * copied and reports are asked for failures only, unless paced, so that the client takes little of
 * the machine that the broker runs on.
 *
 *     bench_produce ADDRESS TOPIC RECORDS SIZE RATE [NAME=VALUE…]
 *
 * Prints acknowledged, errors, seconds, and when paced the percentiles of produce to report. */
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "tests/bench/client.h"

#define POLL_MS    5
#define FLUSH_MS   300000
#define POLL_EVERY 1000

static volatile sig_atomic_t is_told_to_end;

static void on_term(int number)
{
    (void)number;
    is_told_to_end = 1;
}

struct load {
    rd_kafka_t *client;
    const char *topic;
    char *payload;
    size_t size;
    long records, rate, sent;
    long errors;
    struct latencies latencies;
};

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    struct load *load = opaque;
    if (message->err) {
        if (load->errors++ == 0)
            fprintf(stderr, "%s\n", rd_kafka_err2str(message->err));
        return;
    }
    if (load->rate)
        latencies_add(&load->latencies, rd_kafka_message_latency(message));
}

static void send_one(struct load *load, rd_kafka_topic_t *topic)
{
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, load->payload, load->size, NULL, 0,
                            NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            bench_fail("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(load->client, POLL_MS);
    }
}

/* Wait until record `index` is due. */
static void pace(const struct load *load, int64_t began_us, long index)
{
    int64_t due_us = began_us + (int64_t)index * 1000000 / load->rate;
    for (int64_t left = due_us - bench_now_us(); left > 0; left = due_us - bench_now_us()) {
        struct timespec pause = {0, left < 1000 ? left * 1000 : 1000000};
        nanosleep(&pause, NULL);
        rd_kafka_poll(load->client, 0);
    }
}

static void run(struct load *load)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(load->client, load->topic, NULL);
    bench_partitions(load->client, load->topic); /* connected, and the topic known */
    int64_t began_us = bench_now_us();
    for (; load->sent < load->records && !is_told_to_end; load->sent++) {
        if (load->rate)
            pace(load, began_us, load->sent);
        send_one(load, topic);
        if (load->sent % POLL_EVERY == 0)
            rd_kafka_poll(load->client, 0);
    }
    if (rd_kafka_flush(load->client, FLUSH_MS))
        bench_fail("%d records were not acknowledged in time", rd_kafka_outq_len(load->client));
    printf("acknowledged=%ld errors=%ld seconds=%.3f", load->sent - load->errors, load->errors,
           (double)(bench_now_us() - began_us) / 1e6);
    if (load->rate)
        latencies_print(&load->latencies);
    printf("\n");
    rd_kafka_topic_destroy(topic);
}

int main(int argc, char **argv)
{
    if (argc < 6)
        bench_fail("bench_produce ADDRESS TOPIC RECORDS SIZE RATE [NAME=VALUE...]");
    struct load load = {.topic = argv[2],
                        .records = bench_number(argv[3]),
                        .size = (size_t)bench_number(argv[4]),
                        .rate = bench_number(argv[5])};
    load.payload = bench_payload(load.size);
    signal(SIGTERM, on_term);
    rd_kafka_conf_t *conf = bench_conf(argv[1], argv + 6, argc - 6);
    bench_set(conf, "acks", "all");
    bench_set(conf, "delivery.report.only.error", load.rate ? "false" : "true");
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_opaque(conf, &load);
    load.client = bench_client(RD_KAFKA_PRODUCER, conf);
    run(&load);
    rd_kafka_destroy(load.client);
    free(load.payload);
    free(load.latencies.us);
    return load.errors != 0;
}
