/* From produce to the consumer: RECORDS records of SIZE bytes at RATE a second with acks=all, each
 * with the moment it was due at its head, and a consumer of all partitions beside, on a thread of
 * its own, that notes how long each took. A record that was due but not yet sent ages, too.
 *
 *     bench_end_to_end ADDRESSES TOPIC RECORDS SIZE RATE [NAME=VALUE...]
 *
 * Prints records and the percentiles. Settings are the producer's. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/bench/client.h"

#define WAIT_MS        60000
#define FLUSH_MS       60000
#define LEAST_BYTES    8
#define PARTITIONS_MAX 1000
#define WARM_UP        0 /* instead of the moment: a record that opens connections */

struct consumer {
    rd_kafka_t *client;
    long wanted, seen;
    struct latencies latencies;
};

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err)
        bench_fail("produce: %s", rd_kafka_err2str(message->err));
}

static void *consume(void *context)
{
    struct consumer *consumer = context;
    while (consumer->seen < consumer->wanted) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client, WAIT_MS);
        if (!message)
            bench_fail("%ld of %ld records came", consumer->seen, consumer->wanted);
        if (!message->err && message->len >= LEAST_BYTES) {
            int64_t due_us;
            memcpy(&due_us, message->payload, sizeof due_us);
            if (due_us != WARM_UP)
                latencies_add(&consumer->latencies, bench_now_us() - due_us);
            consumer->seen += due_us != WARM_UP;
        }
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static void assign_all(rd_kafka_t *client, const char *topic)
{
    int partitions = bench_partitions(client, topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions && i < PARTITIONS_MAX; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t e = rd_kafka_assign(client, list);
    if (e)
        bench_fail("assign: %s", rd_kafka_err2str(e));
    rd_kafka_topic_partition_list_destroy(list);
}

static void send_one(rd_kafka_topic_t *topic, int32_t partition, char *payload, size_t size,
                     int64_t due_us)
{
    memcpy(payload, &due_us, sizeof due_us);
    if (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, payload, size, NULL, 0, NULL))
        bench_fail("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
}

static void flush(rd_kafka_t *client)
{
    if (rd_kafka_flush(client, FLUSH_MS))
        bench_fail("%d records were not acknowledged in time", rd_kafka_outq_len(client));
}

static void send_paced(rd_kafka_t *client, const char *name, long records, size_t size, long rate)
{
    OWNED_MEM char *payload = bench_payload(size);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    int partitions = bench_partitions(client, name);
    for (int i = 0; i < partitions; i++)
        send_one(topic, i, payload, size, WARM_UP);
    flush(client);
    int64_t began_us = bench_now_us();
    for (long i = 0; i < records; i++) {
        int64_t due_us = began_us + (int64_t)i * 1000000 / rate;
        for (int64_t left = due_us - bench_now_us(); left > 0; left = due_us - bench_now_us()) {
            struct timespec pause = {0, left < 1000 ? left * 1000 : 1000000};
            nanosleep(&pause, NULL);
            rd_kafka_poll(client, 0);
        }
        send_one(topic, (int32_t)(i % partitions), payload, size, due_us);
    }
    flush(client);
    rd_kafka_topic_destroy(topic);
}

int main(int argc, char **argv)
{
    if (argc < 6)
        bench_fail("bench_end_to_end ADDRESSES TOPIC RECORDS SIZE RATE [NAME=VALUE...]");
    struct consumer consumer = {.wanted = bench_number(argv[3])};
    size_t size = (size_t)bench_number(argv[4]);
    if (size < LEAST_BYTES)
        bench_fail("a record of %d bytes is the least", LEAST_BYTES);
    rd_kafka_conf_t *conf = bench_conf(argv[1], NULL, 0);
    bench_set(conf, "group.id", "bench");
    bench_set(conf, "enable.auto.commit", "false");
    bench_set(conf, "socket.nagle.disable", "true");
    consumer.client = bench_client(RD_KAFKA_CONSUMER, conf);
    assign_all(consumer.client, argv[2]);
    pthread_t thread;
    if (pthread_create(&thread, NULL, consume, &consumer))
        bench_fail("no thread");

    conf = bench_conf(argv[1], argv + 6, argc - 6);
    bench_set(conf, "acks", "all");
    bench_set(conf, "linger.ms", "0");
    bench_set(conf, "socket.nagle.disable", "true");
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_t *producer = bench_client(RD_KAFKA_PRODUCER, conf);
    send_paced(producer, argv[2], consumer.wanted, size, bench_number(argv[5]));
    pthread_join(thread, NULL);
    printf("records=%ld", consumer.seen);
    latencies_print(&consumer.latencies);
    printf("\n");
    rd_kafka_destroy(producer);
    rd_kafka_destroy(consumer.client);
    free(consumer.latencies.us);
    return 0;
}
