/* Lines of standard input become records, as kafka-console-producer.sh makes them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/clock.h"
#include "broker/base/mem.h"
#include "tools/commands.h"
#include "tools/produce_lines.h"
#include "tools/rdkafka.h"

#define FLUSH_MS     60000
#define FULL_WAIT_MS 100

struct produce_options {
    const char *bootstrap, *broker_list, *topic, *config, *codec, *acks, *line_reader,
        *reader_config;
    const char *batch_size, *memory, *partition_memory, *linger, *retries, *metadata_age;
    const char *request_timeout, *backoff, *socket_buffer;
    int64_t max_block_ms;
    bool sync, json;
    struct texts properties, settings;
    struct line_format format;
};

static int64_t failed_count;

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context)
{
    (void)producer;
    (void)context;
    if (!message->err)
        return;
    if (failed_count++ == 0)
        fprintf(stderr, "stoker produce: a record was not taken: %s\n",
                rdkafka_load()->rd_kafka_err2str(message->err));
}

/* NULL: the record has none. The library takes them with the record. */
static rd_kafka_headers_t *make_headers(const struct line_parts *parts)
{
    const struct rdkafka *library = rdkafka_load();
    if (parts->headers_count == 0)
        return NULL;
    rd_kafka_headers_t *headers = library->rd_kafka_headers_new((size_t)parts->headers_count);
    for (int32_t i = 0; i < parts->headers_count; i++) {
        struct slice key = parts->headers[i].key, value = parts->headers[i].value;
        rd_kafka_resp_err_t error = library->rd_kafka_header_add(
            headers, (const char *)key.data, (ssize_t)key.size, value.data, (ssize_t)value.size);
        if (error)
            cli_fail("header: %s", library->rd_kafka_err2str(error));
    }
    return headers;
}

static void send_record(rd_kafka_t *producer, const struct produce_options *o,
                        const struct line_parts *parts)
{
    const struct rdkafka *library = rdkafka_load();
    rd_kafka_headers_t *headers = make_headers(parts);
    int64_t begun_ms = clock_mono_ms(&clock_system);
    for (;;) {
        rd_kafka_vu_t fields[] = {
            {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = o->topic},
            {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)parts->key.data, parts->key.size}},
            {.vtype = RD_KAFKA_VTYPE_VALUE,
             .u.mem = {(void *)parts->value.data, parts->value.size}},
            {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
            {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        };
        rd_kafka_error_t *error = library->rd_kafka_produceva(producer, fields, headers ? 5 : 4);
        if (!error)
            break;
        if (library->rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            cli_fail("%s", library->rd_kafka_error_string(error));
        library->rd_kafka_error_destroy(error);
        if (clock_mono_ms(&clock_system) - begun_ms >= o->max_block_ms)
            cli_fail("the brokers took nothing for %" PRId64 " ms, and the buffer is full",
                     o->max_block_ms);
        library->rd_kafka_poll(producer, FULL_WAIT_MS);
    }
    library->rd_kafka_poll(producer, 0);
}

static void flush(rd_kafka_t *producer)
{
    rd_kafka_resp_err_t left = rdkafka_load()->rd_kafka_flush(producer, FLUSH_MS);
    if (left)
        cli_fail("not all records were taken: %s", rdkafka_load()->rd_kafka_err2str(left));
}

/* Every line until the end; gives back how many were sent. */
static int64_t send_lines(rd_kafka_t *producer, const struct produce_options *o)
{
    OWNED_MEM char *line = NULL;
    struct line_parts parts = {0};
    size_t capacity = 0;
    bool is_terminal = isatty(0);
    int64_t number = 0;
    for (;;) {
        if (is_terminal)
            fputs(">", stdout), fflush(stdout);
        ssize_t size = getline(&line, &capacity, stdin);
        if (size < 0)
            break;
        if (size > 0 && line[size - 1] == '\n')
            size--;
        number++;
        enum err e = line_parse(&o->format, slice_of(line, (size_t)size), number, &parts);
        if (e)
            flush(producer); /* the lines before it are good */
        cli_check(e);
        send_record(producer, o, &parts);
        if (o->sync)
            flush(producer);
    }
    line_parts_done(&parts);
    return number;
}

static void set_if(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    if (value)
        rdkafka_set(conf, name, value);
}

/* kafka-console-producer.sh counts its memory in bytes. */
static const char *in_kib(const char *bytes)
{
    int64_t count;
    if (!bytes)
        return NULL;
    if (!slice_to_int64(slice_str(bytes), &count) || count < 1)
        cli_fail("--max-memory-bytes takes a number, not '%s'", bytes);
    return cli_kept("%" PRId64, count < 1024 ? 1 : count / 1024);
}

static rd_kafka_t *new_producer(const struct produce_options *o)
{
    rd_kafka_conf_t *conf = rdkafka_configure(o->bootstrap, o->config, &o->settings);
    char why[512];
    rdkafka_set(conf, "partitioner", "murmur2_random"); /* keys go where Java clients put them */
    set_if(conf, "compression.codec", o->codec && !o->codec[0] ? "gzip" : o->codec);
    set_if(conf, "acks", o->acks);
    set_if(conf, "batch.size", o->batch_size);
    set_if(conf, "batch.size", o->partition_memory);
    set_if(conf, "queue.buffering.max.kbytes", in_kib(o->memory));
    set_if(conf, "linger.ms", o->sync ? "0" : o->linger);
    set_if(conf, "retries", o->retries);
    set_if(conf, "topic.metadata.refresh.interval.ms", o->metadata_age);
    set_if(conf, "request.timeout.ms", o->request_timeout);
    set_if(conf, "retry.backoff.ms", o->backoff);
    set_if(conf, "socket.send.buffer.bytes", o->socket_buffer);
    rdkafka_load()->rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *producer = rdkafka_load()->rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!producer)
        cli_fail("%s", why);
    return producer;
}

int cmd_produce(int argc, char **argv)
{
    struct produce_options o = {.max_block_ms = 60000, .format = LINE_FORMAT_DEFAULT};
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &o.bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--broker-list", OPTION_TEXT, &o.broker_list, "HOST:PORT,...",
         "the same, by its old name"},
        {"--topic", OPTION_TEXT, &o.topic, "TOPIC", "where the records go"},
        {"--property", OPTION_MANY, &o.properties, "NAME=VALUE",
         "parse.key, parse.headers, key.separator, headers.delimiter, headers.separator, "
         "headers.key.separator, null.marker, ignore.error"},
        {"--reader-config", OPTION_TEXT, &o.reader_config, "FILE", "a file of these properties"},
        {"--line-reader", OPTION_TEXT, &o.line_reader, "CLASS", "only Kafka's LineMessageReader"},
        {"--producer-property", OPTION_MANY, &o.settings, "NAME=VALUE",
         "a setting of the producer"},
        {"--producer.config", OPTION_TEXT, &o.config, "FILE", "settings of the producer"},
        {"--compression-codec", OPTION_TEXT_OR_NOTHING, &o.codec, "CODEC",
         "none, gzip (the one if none is named), snappy, lz4, zstd"},
        {"--request-required-acks", OPTION_TEXT, &o.acks, "ACKS", "-1 or all (the default), 0, 1"},
        {"--sync", OPTION_FLAG, &o.sync, NULL, "wait for each record before the next"},
        {"--timeout", OPTION_TEXT, &o.linger, "MS", "how long a batch waits for more records"},
        {"--batch-size", OPTION_TEXT, &o.batch_size, "BYTES", "of a batch, at most"},
        {"--max-partition-memory-bytes", OPTION_TEXT, &o.partition_memory, "BYTES", "the same"},
        {"--max-memory-bytes", OPTION_TEXT, &o.memory, "BYTES", "what may wait to be sent"},
        {"--max-block-ms", OPTION_INT, &o.max_block_ms, "MS", "how long to wait for room in it"},
        {"--message-send-max-retries", OPTION_TEXT, &o.retries, "COUNT", "attempts to send again"},
        {"--retry-backoff-ms", OPTION_TEXT, &o.backoff, "MS", "pause before each"},
        {"--request-timeout-ms", OPTION_TEXT, &o.request_timeout, "MS", "for an answer"},
        {"--metadata-expiry-ms", OPTION_TEXT, &o.metadata_age, "MS", "when to read it anew"},
        {"--socket-buffer-size", OPTION_TEXT, &o.socket_buffer, "BYTES", "of the TCP connection"},
        {"--json", OPTION_FLAG, &o.json, NULL, "print how many were sent, as JSON, at the end"},
    };
    cli_parse("produce", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!o.bootstrap)
        o.bootstrap = o.broker_list;
    if (!o.bootstrap)
        cli_fail("Missing required argument \"[bootstrap-server]\"");
    if (!o.topic)
        cli_fail("Missing required argument \"[topic]\"");
    const char *reader = o.line_reader;
    if (reader && !strstr(reader, "LineMessageReader"))
        cli_fail("the reader %s is a Java class, which cannot be loaded here", reader);
    line_format_read(&o.format, o.reader_config, &o.properties);

    rdkafka_check_brokers(o.bootstrap, o.config, &o.settings);
    rd_kafka_t *producer = new_producer(&o);
    int64_t count = send_lines(producer, &o);
    flush(producer);
    rdkafka_load()->rd_kafka_destroy(producer);
    if (o.json)
        cli_json_print(json_pack("{s:s,s:I,s:I}", "topic", o.topic, "sent",
                                 (json_int_t)(count - failed_count), "failed",
                                 (json_int_t)failed_count));
    return failed_count ? 1 : 0;
}
