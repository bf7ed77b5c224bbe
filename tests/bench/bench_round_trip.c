/* Single records end to end, one at a time, as Kafka's EndToEndLatency measures them: produce a
 * record with acks=all, wait for its report, then until an assigned consumer has it; only then the
 * next.
 *
 *     bench_round_trip ADDRESS TOPIC RECORDS SIZE [WARM-UP]
 *
 * Partition 0 is used. WARM-UP records (default 200) come first and are not counted. Prints the
 * percentiles of the whole trip. A record that does not come, or another than the one sent, ends
 * the program with an error. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/client.h"

#define WAIT_MS         30000
#define WARM_UP_DEFAULT 200
#define STAMP_DIGITS    12

struct trip {
    rd_kafka_t *producer, *consumer;
    rd_kafka_topic_t *topic;
    char *payload;
    size_t size;
    bool is_reported;
};

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    struct trip *trip = opaque;
    if (message->err)
        bench_fail("produce: %s", rd_kafka_err2str(message->err));
    trip->is_reported = true;
}

static void send_one(struct trip *trip)
{
    trip->is_reported = false;
    if (rd_kafka_produce(trip->topic, 0, 0, trip->payload, trip->size, NULL, 0, NULL))
        bench_fail("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
    while (!trip->is_reported)
        rd_kafka_poll(trip->producer, WAIT_MS);
}

static void await_one(const struct trip *trip)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(trip->consumer, WAIT_MS);
    if (!message || message->err)
        bench_fail("consume: %s", message ? rd_kafka_message_errstr(message) : "nothing came");
    if (message->len != trip->size || memcmp(message->payload, trip->payload, trip->size) != 0)
        bench_fail("offset %lld is not the record that was sent", (long long)message->offset);
    rd_kafka_message_destroy(message);
}

static void run(struct trip *trip, long records, long warm_up)
{
    struct latencies latencies = {0};
    for (long i = -warm_up; i < records; i++) {
        char stamp[STAMP_DIGITS + 1];
        snprintf(stamp, sizeof stamp, "%0*ld", STAMP_DIGITS, i + warm_up);
        memcpy(trip->payload, stamp, STAMP_DIGITS);
        int64_t began_us = bench_now_us();
        send_one(trip);
        await_one(trip);
        if (i >= 0)
            latencies_add(&latencies, bench_now_us() - began_us);
    }
    printf("trips=%ld", records + warm_up);
    latencies_print(&latencies);
    printf("\n");
    free(latencies.us);
}

static void open_producer(struct trip *trip, const char *address, const char *topic)
{
    rd_kafka_conf_t *conf = bench_conf(address, NULL, 0);
    bench_set(conf, "acks", "all");
    bench_set(conf, "linger.ms", "0");
    bench_set(conf, "socket.nagle.disable", "true");
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_opaque(conf, trip);
    trip->producer = bench_client(RD_KAFKA_PRODUCER, conf);
    trip->topic = rd_kafka_topic_new(trip->producer, topic, NULL);
    bench_partitions(trip->producer, topic);
}

static void open_consumer(struct trip *trip, const char *address, const char *topic)
{
    rd_kafka_conf_t *conf = bench_conf(address, NULL, 0);
    bench_set(conf, "group.id", "bench");
    bench_set(conf, "enable.auto.commit", "false");
    bench_set(conf, "auto.offset.reset", "error");
    bench_set(conf, "socket.nagle.disable", "true");
    trip->consumer = bench_client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(trip->consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 0;
    rd_kafka_resp_err_t e = rd_kafka_assign(trip->consumer, list);
    if (e)
        bench_fail("assign %s: %s", topic, rd_kafka_err2str(e));
    rd_kafka_topic_partition_list_destroy(list);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        bench_fail("bench_round_trip ADDRESS TOPIC RECORDS SIZE [WARM-UP]");
    struct trip trip = {.size = (size_t)bench_number(argv[4])};
    if (trip.size < STAMP_DIGITS)
        bench_fail("records of %d bytes at least", STAMP_DIGITS);
    trip.payload = bench_payload(trip.size);
    open_producer(&trip, argv[1], argv[2]);
    open_consumer(&trip, argv[1], argv[2]);
    run(&trip, bench_number(argv[3]), argc > 5 ? bench_number(argv[5]) : WARM_UP_DEFAULT);
    rd_kafka_topic_destroy(trip.topic);
    rd_kafka_destroy_flags(trip.consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    rd_kafka_destroy(trip.producer);
    free(trip.payload);
    return 0;
}
