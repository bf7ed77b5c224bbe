/* Prints records as kafka-console-consumer.sh does. Without --group it takes all partitions of the
 * topic for itself, or the one of --partition, and commits nothing. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/clock.h"
#include "broker/base/mem.h"
#include "broker/base/slice.h"
#include "tools/commands.h"
#include "tools/rdkafka.h"

#define POLL_MS     100
#define METADATA_MS 30000

struct print_format {
    bool key, value, timestamp, offset, partition, headers;
    const char *key_separator, *line_separator, *headers_separator, *null_literal;
};

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static void read_properties(const struct texts *properties, struct print_format *format)
{
    struct {
        const char *name;
        bool *flag;
        const char **text;
    } known[] = {
        {"print.key", &format->key, NULL},
        {"print.value", &format->value, NULL},
        {"print.timestamp", &format->timestamp, NULL},
        {"print.offset", &format->offset, NULL},
        {"print.partition", &format->partition, NULL},
        {"print.headers", &format->headers, NULL},
        {"key.separator", NULL, &format->key_separator},
        {"line.separator", NULL, &format->line_separator},
        {"headers.separator", NULL, &format->headers_separator},
        {"null.literal", NULL, &format->null_literal},
    };
    for (int32_t i = 0; i < properties->count; i++) {
        int size;
        bool is_known = false;
        const char *item = properties->items[i], *value = cli_pair(item, &size);
        for (size_t k = 0; value && k < ARRAY_SIZE(known); k++) {
            if (strlen(known[k].name) != (size_t)size || strncmp(known[k].name, item, (size_t)size))
                continue;
            is_known = true;
            if (known[k].flag)
                *known[k].flag = strcmp(value, "true") == 0;
            else
                *known[k].text = value;
        }
        if (!is_known)
            cli_fail("--property: '%s' is not known", item);
    }
}

static void put(const struct print_format *format, bool *is_first)
{
    if (!*is_first)
        fputs(format->key_separator, stdout);
    *is_first = false;
}

static void put_bytes(const struct print_format *format, bool *is_first, const void *data,
                      size_t size)
{
    put(format, is_first);
    if (data)
        fwrite(data, 1, size, stdout);
    else
        fputs(format->null_literal, stdout);
}

static void put_headers(const struct print_format *format, bool *is_first,
                        const rd_kafka_message_t *message)
{
    const struct rdkafka *library = rdkafka_load();
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    put(format, is_first);
    if (library->rd_kafka_message_headers(message, &headers)) {
        fputs("NO_HEADERS", stdout);
        return;
    }
    for (size_t i = 0; library->rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0;
         i++) {
        printf("%s%s:", i ? format->headers_separator : "", name);
        if (value)
            fwrite(value, 1, size, stdout);
        else
            fputs(format->null_literal, stdout);
    }
}

static void print(const struct print_format *format, const rd_kafka_message_t *message)
{
    bool is_first = true;
    if (format->timestamp) {
        rd_kafka_timestamp_type_t type;
        int64_t timestamp = rdkafka_load()->rd_kafka_message_timestamp(message, &type);
        put(format, &is_first);
        if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
            fputs("NO_TIMESTAMP", stdout);
        else
            printf("%s:%" PRId64,
                   type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? "LogAppendTime" : "CreateTime",
                   timestamp);
    }
    if (format->partition)
        put(format, &is_first), printf("Partition:%" PRId32, message->partition);
    if (format->offset)
        put(format, &is_first), printf("Offset:%" PRId64, message->offset);
    if (format->headers)
        put_headers(format, &is_first, message);
    if (format->key)
        put_bytes(format, &is_first, message->key, message->key_len);
    if (format->value)
        put_bytes(format, &is_first, message->payload, message->len);
    fputs(format->line_separator, stdout);
}

static void assign(rd_kafka_t *consumer, const char *topic, int64_t partition, int64_t offset)
{
    const struct rdkafka *library = rdkafka_load();
    rd_kafka_topic_t *handle = library->rd_kafka_topic_new(consumer, topic, NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error =
        library->rd_kafka_metadata(consumer, 0, handle, &metadata, METADATA_MS);
    if (error)
        cli_fail("metadata of %s: %s", topic, library->rd_kafka_err2str(error));
    if (metadata->topic_cnt != 1 || metadata->topics[0].err)
        cli_fail("topic %s: %s", topic,
                 library->rd_kafka_err2str(metadata->topic_cnt == 1
                                               ? metadata->topics[0].err
                                               : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
    rd_kafka_topic_partition_list_t *list =
        library->rd_kafka_topic_partition_list_new(metadata->topics[0].partition_cnt);
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++) {
        int32_t id = metadata->topics[0].partitions[i].id;
        if (partition < 0 || id == partition)
            library->rd_kafka_topic_partition_list_add(list, topic, id)->offset = offset;
    }
    if (list->cnt == 0)
        cli_fail("topic %s has no partition %" PRId64, topic, partition);
    error = library->rd_kafka_assign(consumer, list);
    if (error)
        cli_fail("assign: %s", library->rd_kafka_err2str(error));
    library->rd_kafka_topic_partition_list_destroy(list);
    library->rd_kafka_metadata_destroy(metadata);
    library->rd_kafka_topic_destroy(handle);
}

static void subscribe(rd_kafka_t *consumer, const char *topic)
{
    const struct rdkafka *library = rdkafka_load();
    rd_kafka_topic_partition_list_t *list = library->rd_kafka_topic_partition_list_new(1);
    library->rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = library->rd_kafka_subscribe(consumer, list);
    if (error)
        cli_fail("subscribe: %s", library->rd_kafka_err2str(error));
    library->rd_kafka_topic_partition_list_destroy(list);
}

static int64_t offset_of(const char *text, bool from_beginning)
{
    int64_t offset;
    if (!text)
        return from_beginning ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
    if (strcmp(text, "earliest") == 0)
        return RD_KAFKA_OFFSET_BEGINNING;
    if (strcmp(text, "latest") == 0)
        return RD_KAFKA_OFFSET_END;
    if (!slice_to_int64(slice_str(text), &offset) || offset < 0)
        cli_fail("The provided offset value '%s' is incorrect. Valid values are 'earliest', "
                 "'latest', or "
                 "a non-negative long.",
                 text);
    return offset;
}

/* Until enough was printed, nothing came for timeout_ms, or a signal. Gives back the exit status.
 */
static int run(rd_kafka_t *consumer, const struct print_format *format, int64_t max_messages,
               int64_t timeout_ms)
{
    const struct rdkafka *library = rdkafka_load();
    int64_t printed = 0, last_ms = clock_mono_ms(&clock_system);
    int status = 0;
    while (!stopped && (max_messages < 0 || printed < max_messages)) {
        rd_kafka_message_t *message = library->rd_kafka_consumer_poll(consumer, POLL_MS);
        int64_t now_ms = clock_mono_ms(&clock_system);
        if (message && !message->err) {
            print(format, message);
            printed++;
            last_ms = now_ms;
        } else if (message) {
            fprintf(stderr, "stoker consume: %s\n", library->rd_kafka_err2str(message->err));
            status = 1;
        } else {
            fflush(stdout);
        }
        if (message)
            library->rd_kafka_message_destroy(message);
        if (timeout_ms >= 0 && now_ms - last_ms >= timeout_ms)
            break;
    }
    fflush(stdout);
    fprintf(stderr, "Processed a total of %" PRId64 " messages\n", printed);
    return status;
}

int cmd_consume(int argc, char **argv)
{
    const char *bootstrap = NULL, *topic = NULL, *config = NULL, *offset = NULL, *group = NULL;
    const char *isolation = "read_uncommitted";
    int64_t partition = -1, max_messages = -1, timeout_ms = -1;
    bool from_beginning = false;
    struct texts properties = {0}, settings = {0};
    struct print_format format = {.value = true,
                                  .key_separator = "\t",
                                  .line_separator = "\n",
                                  .headers_separator = ",",
                                  .null_literal = "null"};
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--topic", OPTION_TEXT, &topic, "TOPIC", "where the records come from"},
        {"--partition", OPTION_INT, &partition, "ID", "only this partition"},
        {"--offset", OPTION_TEXT, &offset, "OFFSET", "where to begin: a number, earliest, latest"},
        {"--from-beginning", OPTION_FLAG, &from_beginning, NULL, "begin with the oldest record"},
        {"--max-messages", OPTION_INT, &max_messages, "COUNT", "end after so many"},
        {"--timeout-ms", OPTION_INT, &timeout_ms, "MS", "end when nothing came for so long"},
        {"--group", OPTION_TEXT, &group, "GROUP", "consume as a member of a group"},
        {"--isolation-level", OPTION_TEXT, &isolation, "LEVEL",
         "read_committed or read_uncommitted"},
        {"--property", OPTION_MANY, &properties, "NAME=VALUE",
         "print.key, .value, .timestamp, .offset, .partition, .headers, key.separator, "
         "line.separator, ..."},
        {"--consumer-property", OPTION_MANY, &settings, "NAME=VALUE", "a setting of the consumer"},
        {"--consumer.config", OPTION_TEXT, &config, "FILE", "settings of the consumer"},
    };
    cli_parse("consume", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!bootstrap || !topic)
        cli_fail("--bootstrap-server and --topic are needed");
    if (offset && partition < 0)
        cli_fail("--offset needs --partition");
    if (group && partition >= 0)
        cli_fail("--group and --partition cannot be specified together");
    read_properties(&properties, &format);
    int64_t begin = offset_of(offset, from_beginning);

    const struct rdkafka *library = rdkafka_load();
    rd_kafka_conf_t *conf = rdkafka_configure(bootstrap, config, &settings);
    char why[512];
    rdkafka_set(conf, "group.id", group ? group : "stoker-consume");
    rdkafka_set(conf, "isolation.level", isolation);
    rdkafka_set(conf, "auto.offset.reset", from_beginning || offset ? "earliest" : "latest");
    if (!group)
        rdkafka_set(conf, "enable.auto.commit", "false");
    rd_kafka_t *consumer = library->rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (!consumer)
        cli_fail("%s", why);
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    library->rd_kafka_poll_set_consumer(consumer);
    if (group)
        subscribe(consumer, topic);
    else
        assign(consumer, topic, partition, begin);
    int status = run(consumer, &format, max_messages, timeout_ms);
    if (group)
        library->rd_kafka_consumer_close(consumer);
    library->rd_kafka_destroy(consumer);
    return status;
}
