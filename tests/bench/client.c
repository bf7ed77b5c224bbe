/* The shared part of the load programs. */
#include "tests/bench/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define METADATA_TIMEOUT_MS 30000
#define LETTERS             26

void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void bench_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[512];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        bench_fail("%s", why);
}

rd_kafka_conf_t *bench_conf(const char *address, char **settings, int count)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bench_set(conf, "bootstrap.servers", address);
    for (int i = 0; i < count; i++) {
        char *equals = strchr(settings[i], '=');
        if (!equals)
            bench_fail("'%s' is not NAME=VALUE", settings[i]);
        OWNED_MEM char *name = mem_strndup(settings[i], (size_t)(equals - settings[i]));
        bench_set(conf, name, equals + 1);
    }
    return conf;
}

rd_kafka_t *bench_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    if (!client)
        bench_fail("%s", why);
    return client;
}

int bench_partitions(rd_kafka_t *client, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    rd_kafka_resp_err_t e = rd_kafka_metadata(client, 0, handle, &metadata, METADATA_TIMEOUT_MS);
    if (e || metadata->topic_cnt != 1 || metadata->topics[0].err)
        bench_fail("metadata of %s: %s", topic, rd_kafka_err2str(e ? e : metadata->topics[0].err));
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return count;
}

int64_t bench_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

long bench_number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 0)
        bench_fail("'%s' is not a number", text);
    return value;
}

char *bench_payload(size_t size)
{
    char *payload = mem_alloc(size + 1);
    uint32_t seed = 1;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        payload[i] = (char)('A' + (seed >> 16) % LETTERS);
    }
    return payload;
}

void latencies_add(struct latencies *latencies, int64_t us)
{
    latencies->us =
        mem_grow(latencies->us, &latencies->capacity, latencies->count + 1, sizeof(uint32_t));
    latencies->us[latencies->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare_us(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static double share_ms(const struct latencies *latencies, double share)
{
    if (latencies->count == 0)
        return 0;
    size_t index = (size_t)(share * (double)latencies->count);
    return latencies->us[index < latencies->count ? index : latencies->count - 1] / 1000.0;
}

void latencies_print(struct latencies *latencies)
{
    qsort(latencies->us, latencies->count, sizeof(uint32_t), compare_us);
    printf(" p50_ms=%.3f p99_ms=%.3f p999_ms=%.3f max_ms=%.3f", share_ms(latencies, 0.5),
           share_ms(latencies, 0.99), share_ms(latencies, 0.999), share_ms(latencies, 1));
}
