/* The lines of records: fields in the order of Kafka's formatter, with its separators. */
#include "tools/consume_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/mem.h"

static const struct {
    const char *name;
    size_t size;
} kinds[] = {
    [BYTES_TEXT] = {"StringDeserializer", 0},
    [BYTES_SHORT] = {"ShortDeserializer", 2},
    [BYTES_INT] = {"IntegerDeserializer", 4},
    [BYTES_LONG] = {"LongDeserializer", 8},
};

static const char *last_part(const char *class)
{
    const char *dot = strrchr(class, '.');
    return dot ? dot + 1 : class;
}

enum bytes_kind consume_format_bytes(const char *class)
{
    const char *name = last_part(class);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return (enum bytes_kind)i;
    }
    if (strcmp(name, "ByteArrayDeserializer") == 0)
        return BYTES_TEXT;
    cli_fail(
        "the deserializer %s is a Java class that is not known here: String, ByteArray, Short, "
        "Integer and LongDeserializer are",
        class);
}

void consume_format_class(struct consume_format *format, const char *class)
{
    const char *name = last_part(class);
    if (strstr(class, "GroupMetadataManager") || strcmp(name, "OffsetsMessageFormatter") == 0 ||
        strcmp(name, "GroupMetadataMessageFormatter") == 0)
        cli_fail("the formatter %s is not there yet: it comes with groups", class);
    if (strstr(class, "TransactionLog"))
        cli_fail("the formatter %s is not there yet: it comes with transactions", class);
    if (strcmp(name, "NoOpMessageFormatter") == 0)
        format->nothing = true;
    else if (strcmp(name, "DefaultMessageFormatter") != 0 &&
             strcmp(name, "LoggingMessageFormatter") != 0)
        cli_fail("the formatter %s is a Java class, which cannot be loaded here", class);
}

void consume_format_property(struct consume_format *format, const char *property)
{
    const struct {
        const char *name;
        bool *flag;
        const char **text;
        enum bytes_kind *kind;
    } known[] = {
        {"print.key", &format->key, NULL, NULL},
        {"print.value", &format->value, NULL, NULL},
        {"print.timestamp", &format->timestamp, NULL, NULL},
        {"print.offset", &format->offset, NULL, NULL},
        {"print.partition", &format->partition, NULL, NULL},
        {"print.headers", &format->headers, NULL, NULL},
        {"key.separator", NULL, &format->key_separator, NULL},
        {"line.separator", NULL, &format->line_separator, NULL},
        {"headers.separator", NULL, &format->headers_separator, NULL},
        {"null.literal", NULL, &format->null_literal, NULL},
        {"key.deserializer", NULL, NULL, &format->key_kind},
        {"value.deserializer", NULL, NULL, &format->value_kind},
        {"headers.deserializer", NULL, NULL, &format->headers_kind},
    };
    int size;
    const char *value = cli_pair(property, &size);
    if (!value)
        cli_fail("--property takes NAME=VALUE, not '%s'", property);
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strlen(known[i].name) != (size_t)size || strncmp(known[i].name, property, (size_t)size))
            continue;
        if (known[i].flag)
            *known[i].flag = strcmp(value, "true") == 0;
        else if (known[i].text)
            *known[i].text = value;
        else
            *known[i].kind = consume_format_bytes(value);
        return;
    }
    fprintf(stderr, "stoker consume: --property '%s' is not known and changes nothing\n", property);
}

static int64_t number_of(const uint8_t *data, size_t size)
{
    uint64_t number = data[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | data[i];
    return (int64_t)number;
}

static enum err check_size(enum bytes_kind kind, const void *data, size_t size)
{
    if (!data || kind == BYTES_TEXT || size == kinds[kind].size)
        return ERR_OK;
    return err_note(ERR_MALFORMED, "Size of data received by %s is not %zu", kinds[kind].name,
                    kinds[kind].size);
}

static enum err put_bytes(const struct consume_format *format, enum bytes_kind kind,
                          const void *data, size_t size)
{
    enum err e = check_size(kind, data, size);
    if (e)
        return e;
    if (!data)
        fputs(format->null_literal, stdout);
    else if (kind == BYTES_TEXT)
        fwrite(data, 1, size, stdout);
    else
        printf("%" PRId64, number_of(data, size));
    return ERR_OK;
}

static enum err put_headers(const struct consume_format *format, const rd_kafka_message_t *message)
{
    const struct rdkafka *library = rdkafka_load();
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    enum err e = ERR_OK;
    if (library->rd_kafka_message_headers(message, &headers)) {
        fputs("NO_HEADERS", stdout);
        return ERR_OK;
    }
    for (size_t i = 0;
         !e && library->rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++) {
        printf("%s%s:", i ? format->headers_separator : "", name);
        e = put_bytes(format, format->headers_kind, value, size);
    }
    return e;
}

static const char *timestamp_of(const rd_kafka_message_t *message, int64_t *ret_timestamp)
{
    rd_kafka_timestamp_type_t type;
    *ret_timestamp = rdkafka_load()->rd_kafka_message_timestamp(message, &type);
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
        return NULL;
    return type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? "LogAppendTime" : "CreateTime";
}

static void separate(const struct consume_format *format, bool *is_first)
{
    if (!*is_first)
        fputs(format->key_separator, stdout);
    *is_first = false;
}

static enum err print_line(const struct consume_format *format, const rd_kafka_message_t *message)
{
    bool is_first = true;
    enum err e = ERR_OK;
    if (format->timestamp) {
        int64_t timestamp;
        const char *type = timestamp_of(message, &timestamp);
        separate(format, &is_first);
        if (type)
            printf("%s:%" PRId64, type, timestamp);
        else
            fputs("NO_TIMESTAMP", stdout);
    }
    if (format->partition) {
        separate(format, &is_first);
        printf("Partition:%" PRId32, message->partition);
    }
    if (format->offset) {
        separate(format, &is_first);
        printf("Offset:%" PRId64, message->offset);
    }
    if (format->headers) {
        separate(format, &is_first);
        e = put_headers(format, message);
    }
    if (!e && format->key) {
        separate(format, &is_first);
        e = put_bytes(format, format->key_kind, message->key, message->key_len);
    }
    if (!e && format->value) {
        separate(format, &is_first);
        e = put_bytes(format, format->value_kind, message->payload, message->len);
    }
    if (!e)
        fputs(format->line_separator, stdout);
    return e;
}

static json_t *bytes_json(enum bytes_kind kind, const void *data, size_t size)
{
    if (data && kind != BYTES_TEXT)
        return json_integer(number_of(data, size));
    return cli_json_text(data ? slice_of(data, size) : SLICE_NULL);
}

static json_t *headers_json(const struct consume_format *format, const rd_kafka_message_t *message)
{
    const struct rdkafka *library = rdkafka_load();
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    json_t *list = json_array();
    if (library->rd_kafka_message_headers(message, &headers))
        return list;
    for (size_t i = 0; library->rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0;
         i++) {
        enum bytes_kind kind =
            check_size(format->headers_kind, value, size) ? BYTES_TEXT : format->headers_kind;
        json_array_append_new(list, json_pack("{s:o,s:o}", "key", cli_json_text(slice_str(name)),
                                              "value", bytes_json(kind, value, size)));
    }
    return list;
}

/* Everything that there is of the record, whatever print.… says. */
static enum err print_json(const struct consume_format *format, const rd_kafka_message_t *message)
{
    int64_t timestamp;
    const char *type = timestamp_of(message, &timestamp);
    enum err e = check_size(format->key_kind, message->key, message->key_len);
    if (!e)
        e = check_size(format->value_kind, message->payload, message->len);
    if (e)
        return e;
    cli_json_print(json_pack("{s:s,s:i,s:I,s:o,s:s?,s:o,s:o,s:o}", "topic",
                             rdkafka_load()->rd_kafka_topic_name(message->rkt), "partition",
                             message->partition, "offset", (json_int_t)message->offset, "timestamp",
                             type ? json_integer(timestamp) : json_null(), "timestamp_type", type,
                             "key", bytes_json(format->key_kind, message->key, message->key_len),
                             "value",
                             bytes_json(format->value_kind, message->payload, message->len),
                             "headers", headers_json(format, message)));
    return ERR_OK;
}

enum err consume_format_print(const struct consume_format *format,
                              const rd_kafka_message_t *message)
{
    if (format->nothing)
        return ERR_OK;
    return format->json ? print_json(format, message) : print_line(format, message);
}
