/* Lines of standard input become records, as kafka-console-producer.sh makes them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/mem.h"
#include "tools/commands.h"
#include "tools/rdkafka.h"

#define FLUSH_MS     60000
#define FULL_WAIT_MS 100

static long failed_count;

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

struct line_format {
    bool parse_key;
    const char *key_separator, *null_marker;
};

static bool is_null(const struct line_format *format, const char *text, size_t size)
{
    return format->null_marker && strlen(format->null_marker) == size &&
           memcmp(text, format->null_marker, size) == 0;
}

static void send_line(rd_kafka_t *producer, const char *topic, const struct line_format *format,
                      const char *line, size_t size, long number)
{
    const struct rdkafka *library = rdkafka_load();
    const char *key = NULL, *value = line;
    size_t key_size = 0, value_size = size;
    if (format->parse_key) {
        const char *at = memmem(line, size, format->key_separator, strlen(format->key_separator));
        if (!at)
            cli_fail("No key separator found on line number %ld", number);
        key = line;
        key_size = (size_t)(at - line);
        value = at + strlen(format->key_separator);
        value_size = size - (size_t)(value - line);
        if (is_null(format, key, key_size))
            key = NULL;
    }
    if (is_null(format, value, value_size))
        value = NULL;
    for (;;) {
        rd_kafka_vu_t fields[] = {
            {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = topic},
            {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)key, key ? key_size : 0}},
            {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)value, value ? value_size : 0}},
            {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        };
        rd_kafka_error_t *error = library->rd_kafka_produceva(producer, fields, 4);
        if (!error)
            break;
        if (library->rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            cli_fail("%s", library->rd_kafka_error_string(error));
        library->rd_kafka_error_destroy(error);
        library->rd_kafka_poll(producer, FULL_WAIT_MS);
    }
    library->rd_kafka_poll(producer, 0);
}

static void read_properties(const struct texts *properties, struct line_format *format)
{
    for (int32_t i = 0; i < properties->count; i++) {
        int size;
        const char *item = properties->items[i], *value = cli_pair(item, &size);
        if (!value)
            cli_fail("--property takes NAME=VALUE, not '%s'", item);
        if (strncmp(item, "parse.key=", 10) == 0)
            format->parse_key = strcmp(value, "true") == 0;
        else if (strncmp(item, "key.separator=", 14) == 0)
            format->key_separator = value;
        else if (strncmp(item, "null.marker=", 12) == 0)
            format->null_marker = value;
        else
            cli_fail("--property knows parse.key, key.separator and null.marker, not '%s'", item);
    }
}

int cmd_produce(int argc, char **argv)
{
    const char *bootstrap = NULL, *topic = NULL, *config = NULL, *codec = NULL, *acks = NULL;
    struct texts properties = {0}, settings = {0};
    struct line_format format = {.key_separator = "\t"};
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--broker-list", OPTION_TEXT, &bootstrap, "HOST:PORT,...", "the same, by its old name"},
        {"--topic", OPTION_TEXT, &topic, "TOPIC", "where the records go"},
        {"--property", OPTION_MANY, &properties, "NAME=VALUE",
         "parse.key, key.separator, null.marker"},
        {"--producer-property", OPTION_MANY, &settings, "NAME=VALUE", "a setting of the producer"},
        {"--producer.config", OPTION_TEXT, &config, "FILE", "settings of the producer"},
        {"--compression-codec", OPTION_TEXT_OR_NOTHING, &codec, "CODEC",
         "none, gzip (the one if none is "
         "named), snappy, lz4, zstd"},
        {"--request-required-acks", OPTION_TEXT, &acks, "ACKS", "-1 or all (the default), 0, 1"},
    };
    cli_parse("produce", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!bootstrap || !topic)
        cli_fail("--bootstrap-server and --topic are needed");
    read_properties(&properties, &format);

    const struct rdkafka *library = rdkafka_load();
    rd_kafka_conf_t *conf = rdkafka_configure(bootstrap, config, &settings);
    char why[512];
    rdkafka_set(conf, "partitioner", "murmur2_random"); /* keys go where Java clients put them */
    if (codec)
        rdkafka_set(conf, "compression.codec", codec[0] ? codec : "gzip");
    if (acks)
        rdkafka_set(conf, "acks", acks);
    library->rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *producer = library->rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!producer)
        cli_fail("%s", why);

    OWNED_MEM char *line = NULL;
    size_t capacity = 0;
    bool is_terminal = isatty(0);
    for (long number = 1;; number++) {
        if (is_terminal)
            fputs(">", stdout), fflush(stdout);
        ssize_t size = getline(&line, &capacity, stdin);
        if (size < 0)
            break;
        if (size > 0 && line[size - 1] == '\n')
            size--;
        send_line(producer, topic, &format, line, (size_t)size, number);
    }
    rd_kafka_resp_err_t left = library->rd_kafka_flush(producer, FLUSH_MS);
    if (left)
        cli_fail("not all records were taken: %s", library->rd_kafka_err2str(left));
    library->rd_kafka_destroy(producer);
    return failed_count ? 1 : 0;
}
