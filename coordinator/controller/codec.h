/* The znodes the controller reads and writes, between their JSON and its own structs. Texts are
 * made in the arena given. What is rewritten keeps the keys we do not know (other tools write these
 * nodes too). Errors: ERR_MALFORMED with the text in the sentence; results are left alone then. */
#pragma once

#include "coordinator/controller/context.h"

/* /controller, /controller_epoch */
struct slice codec_controller_encode(struct arena *arena, int32_t broker_id, int64_t timestamp_ms);
MUST_USE enum err codec_controller_decode(struct slice text, int32_t *ret_broker_id);
MUST_USE enum err codec_controller_epoch_decode(struct slice text, int32_t *ret_epoch);

/* /brokers/ids/<id>: fills endpoints, rack, endpoint_text and intact_since (as it stands there) of
 * the node, which must be clear. */
MUST_USE enum err codec_broker_decode(struct slice text, struct broker_node *ret_broker);

/* /brokers/topics/<t>. Bytes that cannot be read count as no partitions, as in Kafka. */
struct assignment {
    int32_t partition;
    struct ids replicas, adding, removing;
};
struct topic_znode {
    struct uuid id;
    struct assignment *items; /* in no order */
    int32_t count;
};
void codec_topic_decode(struct arena *arena, struct slice text, struct topic_znode *ret_topic);
/* old: the text that stands there, null for a new node. */
struct slice codec_topic_encode(struct arena *arena, struct slice old,
                                const struct topic_znode *topic);

/* …/partitions/<p>/state. The result's memory is the caller's. */
MUST_USE enum err codec_state_decode(struct slice text, struct leadership *ret_state);
struct slice codec_state_encode(struct arena *arena, const struct leadership *state);

/* /config/topics/<t>: one value, or null. */
struct slice codec_config_value(struct arena *arena, struct slice text, const char *key);
struct codec_setting {
    struct slice name, value;
};
struct slice codec_config_encode(struct arena *arena, const struct codec_setting *settings,
                                 int32_t count);

/* Lists of partitions: preferred election, ISR notifications. Malformed text: none. */
struct named_partition {
    struct slice topic;
    int32_t partition;
};
void codec_partitions_decode(struct arena *arena, struct slice text,
                             struct named_partition **ret_items, int32_t *ret_count);
/* /log_dir_event_notification/log_dir_event_N: the broker, -1 if malformed. */
int32_t codec_log_dir_event_decode(struct slice text);

/* /latest_producer_id_block */
struct slice codec_producer_ids_encode(struct arena *arena, int32_t broker_id, int64_t first,
                                       int64_t last);
MUST_USE enum err codec_producer_ids_decode(struct slice text, int64_t *ret_last);

/* /feature. enabled: status 1; is_empty: no finalized feature. */
struct slice codec_feature_encode(struct arena *arena, int32_t version, bool enabled);
MUST_USE enum err codec_feature_decode(struct slice text, int32_t *ret_version, bool *ret_enabled,
                                       bool *ret_empty);
