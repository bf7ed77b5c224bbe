/* How `stoker consume` prints a record: as Kafka's DefaultMessageFormatter does, or as JSON. */
#pragma once

#include "tools/rdkafka.h"

/* What the bytes of a key, value or header are. */
enum bytes_kind { BYTES_TEXT, BYTES_SHORT, BYTES_INT, BYTES_LONG };

struct consume_format {
    bool key, value, timestamp, offset, partition, headers, nothing, json;
    enum bytes_kind key_kind, value_kind, headers_kind;
    const char *key_separator, *line_separator, *headers_separator, *null_literal;
};

#define CONSUME_FORMAT_DEFAULT                                                                     \
    ((struct consume_format){.value = true,                                                        \
                             .key_separator = "\t",                                                \
                             .line_separator = "\n",                                               \
                             .headers_separator = ",",                                             \
                             .null_literal = "null"})

/* NAME=VALUE of --property. Ends the process where the value makes no sense; names that nobody
 * knows are said on standard error and passed over, as Kafka passes them over. */
void consume_format_property(struct consume_format *format, const char *property);
/* --formatter: one of Kafka's three that print what everybody can read. */
void consume_format_class(struct consume_format *format, const char *class);
/* A deserializer of Kafka's by its class. */
enum bytes_kind consume_format_bytes(const char *class);

/* ERR_MALFORMED: the bytes are not what the deserializer takes. */
MUST_USE enum err consume_format_print(const struct consume_format *format,
                                       const rd_kafka_message_t *message);
