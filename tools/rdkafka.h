/* librdkafka, loaded when a command needs it: it brings a dozen libraries along, which no other
 * command should wait for. */
#pragma once

#include <librdkafka/rdkafka.h>

#include "tools/cli.h"

#define RDKAFKA_FUNCTIONS(X)                                                                       \
    X(rd_kafka_conf_new)                                                                           \
    X(rd_kafka_conf_set)                                                                           \
    X(rd_kafka_conf_set_dr_msg_cb)                                                                 \
    X(rd_kafka_new)                                                                                \
    X(rd_kafka_destroy)                                                                            \
    X(rd_kafka_headers_new)                                                                        \
    X(rd_kafka_header_add)                                                                         \
    X(rd_kafka_produceva)                                                                          \
    X(rd_kafka_error_string)                                                                       \
    X(rd_kafka_error_code)                                                                         \
    X(rd_kafka_error_destroy)                                                                      \
    X(rd_kafka_poll)                                                                               \
    X(rd_kafka_flush)                                                                              \
    X(rd_kafka_err2str)                                                                            \
    X(rd_kafka_err2name)                                                                           \
    X(rd_kafka_metadata)                                                                           \
    X(rd_kafka_metadata_destroy)                                                                   \
    X(rd_kafka_topic_new)                                                                          \
    X(rd_kafka_topic_destroy)                                                                      \
    X(rd_kafka_topic_name)                                                                         \
    X(rd_kafka_topic_partition_list_new)                                                           \
    X(rd_kafka_topic_partition_list_add)                                                           \
    X(rd_kafka_topic_partition_list_destroy)                                                       \
    X(rd_kafka_assign)                                                                             \
    X(rd_kafka_subscribe)                                                                          \
    X(rd_kafka_consumer_poll)                                                                      \
    X(rd_kafka_consumer_close)                                                                     \
    X(rd_kafka_poll_set_consumer)                                                                  \
    X(rd_kafka_message_destroy)                                                                    \
    X(rd_kafka_message_timestamp)                                                                  \
    X(rd_kafka_message_headers)                                                                    \
    X(rd_kafka_header_get_all)

struct rdkafka {
#define X(name) __typeof__(&name) name;
    RDKAFKA_FUNCTIONS(X)
#undef X
};

/* Ends the process with a sentence when the library is not there. */
const struct rdkafka *rdkafka_load(void);

/* A configuration: bootstrap servers, a properties file (or NULL), and NAME=VALUE settings, later
 * ones winning. */
rd_kafka_conf_t *rdkafka_configure(const char *bootstrap, const char *file,
                                   const struct texts *settings);
/* Ends the process with a sentence when no broker answers, at once: the library would try for a
 * minute and say so in many. Where TLS or SASL is asked for, it finds out by itself. */
void rdkafka_check_brokers(const char *bootstrap, const char *file, const struct texts *settings);
void rdkafka_set(rd_kafka_conf_t *conf, const char *name, const char *value);
