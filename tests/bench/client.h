/* What the load programs of this folder share: a librdkafka client configured from the command
 * line, an exit with a sentence, and latencies with their percentiles. Results go to standard
 * output as one line of key=value, which tests/bench/compare reads. */
#pragma once

#include <librdkafka/rdkafka.h>

#include "broker/base/attributes.h"
#include "broker/base/mem.h"

/* Say why on standard error, and exit with 1. */
NORETURN void bench_fail(const char *format, ...) PRINTF_LIKE(1, 2);

/* settings: `count` texts NAME=VALUE of librdkafka, after bootstrap.servers=address. Gives. */
rd_kafka_conf_t *bench_conf(const char *address, char **settings, int count);
void bench_set(rd_kafka_conf_t *conf, const char *name, const char *value);
/* Takes conf. */
rd_kafka_t *bench_client(rd_kafka_type_t type, rd_kafka_conf_t *conf);
/* The number of a topic's partitions, asked of the broker. */
int bench_partitions(rd_kafka_t *client, const char *topic);

int64_t bench_now_us(void); /* CLOCK_MONOTONIC, as Python's time.monotonic_ns() */
long bench_number(const char *text);

/* Text for values: letters that do not repeat soon, as Kafka's ProducerPerformance makes them. */
char *bench_payload(size_t size);

struct latencies {
    uint32_t *us;
    size_t count, capacity;
};

void latencies_add(struct latencies *latencies, int64_t us);
/* Appends " p50_ms=… p99_ms=… p999_ms=… max_ms=…" to standard output. */
void latencies_print(struct latencies *latencies);
