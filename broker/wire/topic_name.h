/* What Kafka allows as a topic's name (org.apache.kafka.common.internals.Topic). */
#pragma once

#include "broker/base/err.h"
#include "broker/base/slice.h"

#define TOPIC_CONSUMER_OFFSETS  "__consumer_offsets"
#define TOPIC_TRANSACTION_STATE "__transaction_state"

/* 1 to 249 of [a-zA-Z0-9._-], neither "." nor "..": ERR_INVALID_TOPIC_EXCEPTION with Kafka's words.
 */
MUST_USE enum err topic_name_check(struct slice name);
bool topic_is_internal(struct slice name);
