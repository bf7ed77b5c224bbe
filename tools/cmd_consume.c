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
#include "broker/config/config_map.h"
#include "broker/config/properties.h"
#include "broker/wire/api_key.h"
#include "tools/client.h"
#include "tools/commands.h"
#include "tools/consume_format.h"

#define POLL_MS     100
#define METADATA_MS 30000
#define CREATION_MS 5000

struct consume_options {
    const char *bootstrap, *topic, *include, *whitelist, *config, *offset, *group, *isolation;
    const char *formatter, *formatter_config, *key_deserializer, *value_deserializer;
    int64_t partition, max_messages, timeout_ms;
    bool from_beginning, skips_errors, tells_events;
    struct texts properties, settings;
    struct consume_format format;
};

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

/* The partitions of one topic; -1 stands for all. */
static void add_partitions(rd_kafka_topic_partition_list_t *list,
                           const struct rd_kafka_metadata_topic *topic, int64_t partition,
                           int64_t offset)
{
    const struct rdkafka *library = rdkafka_load();
    for (int i = 0; i < topic->partition_cnt; i++) {
        int32_t id = topic->partitions[i].id;
        if (partition < 0 || id == partition)
            library->rd_kafka_topic_partition_list_add(list, topic->topic, id)->offset = offset;
    }
}

/* Metadata of the topic, or of all; a topic that may be created by being asked for is not there at
 * once. */
static const struct rd_kafka_metadata *read_metadata(rd_kafka_t *consumer, const char *topic)
{
    const struct rdkafka *library = rdkafka_load();
    rd_kafka_topic_t *handle = topic ? library->rd_kafka_topic_new(consumer, topic, NULL) : NULL;
    int64_t end_ms = clock_mono_ms(&clock_system) + CREATION_MS;
    const struct rd_kafka_metadata *metadata;
    for (;;) {
        rd_kafka_resp_err_t error =
            library->rd_kafka_metadata(consumer, topic == NULL, handle, &metadata, METADATA_MS);
        if (error)
            cli_fail("the cluster cannot be asked for its topics: %s",
                     library->rd_kafka_err2str(error));
        error = metadata->topic_cnt == 1 && topic ? metadata->topics[0].err
                                                  : RD_KAFKA_RESP_ERR_NO_ERROR;
        if (!error)
            break;
        bool is_hopeless = error != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE &&
                           error != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (is_hopeless || stopped || clock_mono_ms(&clock_system) > end_ms)
            cli_fail("topic %s: %s", topic, library->rd_kafka_err2str(error));
        library->rd_kafka_metadata_destroy(metadata);
        library->rd_kafka_poll(consumer, POLL_MS);
    }
    if (handle)
        library->rd_kafka_topic_destroy(handle);
    return metadata;
}

static void assign(rd_kafka_t *consumer, const struct consume_options *o, int64_t offset)
{
    const struct rdkafka *library = rdkafka_load();
    const struct rd_kafka_metadata *metadata = read_metadata(consumer, o->topic);
    rd_kafka_topic_partition_list_t *list = library->rd_kafka_topic_partition_list_new(1);
    regex_t regex;
    if (!o->topic)
        cli_topic_regex(o->include, &regex);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (o->topic || regexec(&regex, metadata->topics[i].topic, 0, NULL, 0) == 0)
            add_partitions(list, &metadata->topics[i], o->partition, offset);
    }
    if (list->cnt == 0 && o->topic)
        cli_fail("topic %s has no partition %" PRId64, o->topic, o->partition);
    if (list->cnt == 0)
        cli_fail("no topic fits --include %s", o->include);
    rd_kafka_resp_err_t error = library->rd_kafka_assign(consumer, list);
    if (error)
        cli_fail("assign: %s", library->rd_kafka_err2str(error));
    if (!o->topic)
        regfree(&regex);
    library->rd_kafka_topic_partition_list_destroy(list);
    library->rd_kafka_metadata_destroy(metadata);
}

/* A cluster that serves no groups would leave the client asking for a coordinator for ever. */
static void check_groups_are_served(const struct consume_options *o)
{
    OWNED(client) struct client *client = NULL;
    int16_t api_version;
    cli_check(client_open(o->bootstrap, NULL, &client));
    cli_check(client_version(client, CLIENT_ANY, API_JOIN_GROUP, &api_version));
    if (api_version < 0)
        cli_fail("--group: this cluster serves no groups yet; without --group all partitions are "
                 "read, or one with --partition");
}

static void subscribe(rd_kafka_t *consumer, const struct consume_options *o)
{
    /* librdkafka takes what begins with ^ as an expression */
    OWNED_MEM char *expression = o->topic ? NULL : mem_printf("^(%s)$", o->include);
    const char *topic = o->topic ? o->topic : expression;
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

/* True if the record was printed. */
static bool take(const struct consume_options *o, const rd_kafka_message_t *message, int *status)
{
    if (message->err) {
        fprintf(stderr, "stoker consume: %s\n", rdkafka_load()->rd_kafka_err2str(message->err));
        *status = 1;
        return false;
    }
    enum err e = consume_format_print(&o->format, message);
    if (!e)
        return true;
    fflush(stdout);
    fprintf(stderr, "stoker consume: offset %" PRId64 " of partition %" PRId32 ": %s\n",
            message->offset, message->partition, err_sentence(e));
    if (!o->skips_errors) {
        *status = 1;
        stopped = 1;
    }
    return true;
}

/* Until enough was printed, nothing came for timeout_ms, or a signal. Gives back the exit status.
 */
static int run(rd_kafka_t *consumer, const struct consume_options *o)
{
    const struct rdkafka *library = rdkafka_load();
    int64_t printed = 0, last_ms = clock_mono_ms(&clock_system);
    int status = 0;
    while (!stopped && (o->max_messages < 0 || printed < o->max_messages)) {
        rd_kafka_message_t *message = library->rd_kafka_consumer_poll(consumer, POLL_MS);
        int64_t now_ms = clock_mono_ms(&clock_system);
        if (!message) {
            fflush(stdout);
        } else {
            if (take(o, message, &status)) {
                printed++;
                last_ms = now_ms;
            }
            library->rd_kafka_message_destroy(message);
        }
        if (ferror(stdout)) /* whoever read it has gone */
            break;
        if (o->timeout_ms >= 0 && now_ms - last_ms >= o->timeout_ms)
            break;
    }
    fflush(stdout);
    fprintf(stderr, "Processed a total of %" PRId64 " messages\n", printed);
    return status;
}

static void check_options(struct consume_options *o)
{
    if (!o->bootstrap)
        cli_fail("Missing required argument \"[bootstrap-server]\"");
    if (!o->include)
        o->include = o->whitelist;
    if (!o->topic == !o->include)
        cli_fail("Exactly one of --include/--topic is required. ");
    if (o->partition >= 0 && !o->topic)
        cli_fail("The topic is required when partition is specified.");
    if (o->offset && o->partition < 0)
        cli_fail("The partition is required when offset is specified.");
    if (o->offset && o->from_beginning)
        cli_fail("Options from-beginning and offset cannot be specified together.");
    if (o->group && o->partition >= 0)
        cli_fail("Options group and partition cannot be specified together.");
    if (strcmp(o->isolation, "read_committed") != 0 &&
        strcmp(o->isolation, "read_uncommitted") != 0)
        cli_fail("--isolation-level is read_committed or read_uncommitted, not '%s'", o->isolation);
}

/* A file first, since what stands on the command line wins. */
static void read_format(struct consume_options *o)
{
    struct config_map map = {0};
    if (o->formatter)
        consume_format_class(&o->format, o->formatter);
    if (o->formatter_config)
        cli_check(properties_read(o->formatter_config, &map));
    for (int32_t i = 0; i < map.count; i++)
        consume_format_property(&o->format,
                                cli_kept("%s=%s", map.entries[i].name, map.entries[i].value));
    config_map_done(&map);
    for (int32_t i = 0; i < o->properties.count; i++)
        consume_format_property(&o->format, o->properties.items[i]);
    if (o->key_deserializer)
        o->format.key_kind = consume_format_bytes(o->key_deserializer);
    if (o->value_deserializer)
        o->format.value_kind = consume_format_bytes(o->value_deserializer);
}

static rd_kafka_t *new_consumer(const struct consume_options *o)
{
    rd_kafka_conf_t *conf = rdkafka_configure(o->bootstrap, o->config, &o->settings);
    char why[512];
    rdkafka_set(conf, "group.id", o->group ? o->group : "stoker-consume");
    rdkafka_set(conf, "isolation.level", o->isolation);
    rdkafka_set(conf, "auto.offset.reset", o->from_beginning || o->offset ? "earliest" : "latest");
    rdkafka_set(conf, "allow.auto.create.topics", "true"); /* as the Java consumer's default */
    if (!o->group)
        rdkafka_set(conf, "enable.auto.commit", "false");
    rd_kafka_t *consumer = rdkafka_load()->rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (!consumer)
        cli_fail("%s", why);
    rdkafka_load()->rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

int cmd_consume(int argc, char **argv)
{
    struct consume_options o = {.partition = -1,
                                .max_messages = -1,
                                .timeout_ms = -1,
                                .isolation = "read_uncommitted",
                                .format = CONSUME_FORMAT_DEFAULT};
    const struct option_row rows[] = {
        {"--bootstrap-server", OPTION_TEXT, &o.bootstrap, "HOST:PORT,...", "brokers to begin with"},
        {"--topic", OPTION_TEXT, &o.topic, "TOPIC", "where the records come from"},
        {"--include", OPTION_TEXT, &o.include, "REGEX",
         "instead of --topic: every topic that fits, as they are now"},
        {"--whitelist", OPTION_TEXT, &o.whitelist, "REGEX", "the same, by its old name"},
        {"--partition", OPTION_INT, &o.partition, "ID", "only this partition"},
        {"--offset", OPTION_TEXT, &o.offset, "OFFSET",
         "where to begin: a number, earliest, latest"},
        {"--from-beginning", OPTION_FLAG, &o.from_beginning, NULL, "begin with the oldest record"},
        {"--max-messages", OPTION_INT, &o.max_messages, "COUNT", "end after so many"},
        {"--timeout-ms", OPTION_INT, &o.timeout_ms, "MS", "end when nothing came for so long"},
        {"--group", OPTION_TEXT, &o.group, "GROUP",
         "consume as a member of a group, where the cluster serves groups"},
        {"--isolation-level", OPTION_TEXT, &o.isolation, "LEVEL",
         "read_committed or read_uncommitted"},
        {"--formatter", OPTION_TEXT, &o.formatter, "CLASS",
         "Kafka's DefaultMessageFormatter, LoggingMessageFormatter or NoOpMessageFormatter"},
        {"--formatter-config", OPTION_TEXT, &o.formatter_config, "FILE", "a file of properties"},
        {"--property", OPTION_MANY, &o.properties, "NAME=VALUE",
         "print.key, .value, .timestamp, .offset, .partition, .headers, key.separator, "
         "line.separator, headers.separator, null.literal, key.deserializer, ..."},
        {"--key-deserializer", OPTION_TEXT, &o.key_deserializer, "CLASS",
         "Kafka's String, ByteArray, Short, Integer or LongDeserializer"},
        {"--value-deserializer", OPTION_TEXT, &o.value_deserializer, "CLASS", "the same of values"},
        {"--enable-systest-events", OPTION_FLAG, &o.tells_events, NULL,
         "print shutdown_complete at the end, for programs that watch"},
        {"--skip-message-on-error", OPTION_FLAG, &o.skips_errors, NULL,
         "go on behind a record that cannot be printed"},
        {"--consumer-property", OPTION_MANY, &o.settings, "NAME=VALUE",
         "a setting of the consumer"},
        {"--consumer.config", OPTION_TEXT, &o.config, "FILE", "settings of the consumer"},
        {"--json", OPTION_FLAG, &o.format.json, NULL,
         "a line of JSON for each record: topic, partition, offset, timestamp, key, value, "
         "headers"},
    };
    cli_parse("consume", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    check_options(&o);
    read_format(&o);
    int64_t begin = offset_of(o.offset, o.from_beginning);
    rdkafka_check_brokers(o.bootstrap, o.config, &o.settings);
    if (o.group)
        check_groups_are_served(&o);

    const struct rdkafka *library = rdkafka_load();
    rd_kafka_t *consumer = new_consumer(&o);
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    if (o.group)
        subscribe(consumer, &o);
    else
        assign(consumer, &o, begin);
    int status = run(consumer, &o);
    if (o.group)
        library->rd_kafka_consumer_close(consumer);
    library->rd_kafka_destroy(consumer);
    if (o.tells_events)
        puts("shutdown_complete");
    return status;
}
