/* Load on a broker: all partitions of a topic assigned and read from their beginnings, RECORDS
 * records in all, without groups.
 *
 *     bench_consume ADDRESS TOPIC RECORDS [NAME=VALUE…]
 *
 * Prints records, value bytes, seconds, and from librdkafka's statistics the Fetch answers and the
 * bytes of all answers, so that a bare sendfile program can send as much in as many pieces. */
#include <jansson.h>
#include <stdio.h>

#include "tests/bench/client.h"

#define BATCH_RECORDS    10000
#define WAIT_MS          100
#define STATISTICS_MS    "50"
#define STILL_SECONDS    60
#define MICROS_IN_SECOND 1000000

struct traffic {
    double fetches, bytes;
};

/* The sums over all brokers since the start. */
static int on_statistics(rd_kafka_t *client, char *text, size_t size, void *opaque)
{
    (void)client;
    struct traffic *traffic = opaque, now = {0};
    json_t *root = json_loadb(text, size, 0, NULL), *broker;
    const char *name;
    json_object_foreach(json_object_get(root, "brokers"), name, broker)
    {
        now.bytes += json_number_value(json_object_get(broker, "rxbytes"));
        now.fetches += json_number_value(json_object_get(json_object_get(broker, "req"), "Fetch"));
    }
    json_decref(root);
    *traffic = now;
    return 0;
}

static void assign_all(rd_kafka_t *client, const char *topic)
{
    int count = bench_partitions(client, topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t e = rd_kafka_assign(client, list);
    if (e)
        bench_fail("assign %s: %s", topic, rd_kafka_err2str(e));
    rd_kafka_topic_partition_list_destroy(list);
}

/* Returns the value bytes of what came. */
static int64_t take(rd_kafka_message_t **messages, ssize_t count, long *records)
{
    int64_t bytes = 0;
    for (ssize_t i = 0; i < count; i++) {
        if (!messages[i]->err) {
            bytes += (int64_t)messages[i]->len;
            ++*records;
        } else if (messages[i]->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            bench_fail("%s", rd_kafka_message_errstr(messages[i]));
        }
        rd_kafka_message_destroy(messages[i]);
    }
    return bytes;
}

static void run(rd_kafka_t *client, long wanted, const struct traffic *traffic)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
    rd_kafka_message_t **messages = mem_new_array(rd_kafka_message_t *, BATCH_RECORDS);
    int64_t began_us = bench_now_us(), moved_us = began_us, bytes = 0;
    long records = 0;
    while (records < wanted) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, WAIT_MS, messages, BATCH_RECORDS);
        bytes += take(messages, count, &records);
        rd_kafka_poll(client, 0);
        if (count > 0)
            moved_us = bench_now_us();
        else if (bench_now_us() - moved_us > (int64_t)STILL_SECONDS * MICROS_IN_SECOND)
            bench_fail("only %ld of %ld records came", records, wanted);
    }
    double seconds = (double)(bench_now_us() - began_us) / MICROS_IN_SECOND;
    rd_kafka_consume_batch_queue(queue, 2 * WAIT_MS, messages, 1); /* one more statistics report */
    rd_kafka_poll(client, 2 * WAIT_MS);
    printf("records=%ld bytes=%lld seconds=%.3f fetches=%.0f fetched_bytes=%.0f\n", records,
           (long long)bytes, seconds, traffic->fetches, traffic->bytes);
    free(messages);
    rd_kafka_queue_destroy(queue);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        bench_fail("bench_consume ADDRESS TOPIC RECORDS [NAME=VALUE...]");
    struct traffic traffic = {0};
    rd_kafka_conf_t *conf = bench_conf(argv[1], argv + 4, argc - 4);
    bench_set(conf, "group.id", "bench");
    bench_set(conf, "enable.auto.commit", "false");
    bench_set(conf, "auto.offset.reset", "error");
    bench_set(conf, "statistics.interval.ms", STATISTICS_MS);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    rd_kafka_conf_set_opaque(conf, &traffic);
    rd_kafka_t *client = bench_client(RD_KAFKA_CONSUMER, conf);
    assign_all(client, argv[2]);
    run(client, bench_number(argv[3]), &traffic);
    rd_kafka_assign(client, NULL);
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return 0;
}
