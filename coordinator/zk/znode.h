/* Every znode of a Kafka 3.9 cluster: its path, and what stands in it.
 *
 * Readers are as tolerant as Kafka's: keys they do not know are skipped. Writers make exactly what
 * Kafka 3.9 makes (numbers that it writes as strings stay strings). Other tools write these nodes
 * too, so whoever rewrites one uses its _update(), which edits the text that was read and keeps
 * what it does not know.
 *
 * Memory: encoders allocate their text, and decoders everything they give, in the arena; texts
 * given are borrowed for the call. Decoding fails with ERR_MALFORMED and a sentence. Threads: any.
 */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/err.h"
#include "broker/base/slice.h"
#include "broker/base/uuid.h"

/* X(NAME, path, made at start by every broker). The order is that of creation. */
#define ZNODE_TABLE(X)                                                                             \
    X(CONSUMERS, "/consumers", true)                                                               \
    X(BROKER_IDS, "/brokers/ids", true)                                                            \
    X(TOPICS, "/brokers/topics", true)                                                             \
    X(CONFIG_CHANGES, "/config/changes", true)                                                     \
    X(DELETE_TOPICS, "/admin/delete_topics", true)                                                 \
    X(BROKER_SEQID, "/brokers/seqid", true)                                                        \
    X(ISR_CHANGES, "/isr_change_notification", true)                                               \
    X(PRODUCER_ID_BLOCK, "/latest_producer_id_block", true)                                        \
    X(LOG_DIR_EVENTS, "/log_dir_event_notification", true)                                         \
    X(CONFIG_TOPICS, "/config/topics", true)                                                       \
    X(CONFIG_CLIENTS, "/config/clients", true)                                                     \
    X(CONFIG_USERS, "/config/users", true)                                                         \
    X(CONFIG_BROKERS, "/config/brokers", true)                                                     \
    X(CONFIG_IPS, "/config/ips", true)                                                             \
    X(CLUSTER_ID, "/cluster/id", false)                                                            \
    X(CONTROLLER, "/controller", false)                                                            \
    X(CONTROLLER_EPOCH, "/controller_epoch", false)                                                \
    X(REASSIGN_PARTITIONS, "/admin/reassign_partitions", false)                                    \
    X(PREFERRED_ELECTION, "/admin/preferred_replica_election", false)                              \
    X(FEATURE, "/feature", false)                                                                  \
    X(MIGRATION, "/migration", false)

enum znode {
#define X(name, path, at_start) ZNODE_##name,
    ZNODE_TABLE(X)
#undef X
        ZNODE_COUNT
};

const char *znode_path(enum znode znode);
bool znode_is_made_at_start(enum znode znode);

const char *znode_broker_path(struct arena *arena, int32_t broker_id);
const char *znode_topic_path(struct arena *arena, struct slice topic);
const char *znode_partitions_path(struct arena *arena, struct slice topic);
const char *znode_partition_path(struct arena *arena, struct slice topic, int32_t partition);
const char *znode_partition_state_path(struct arena *arena, struct slice topic, int32_t partition);
const char *znode_delete_topic_path(struct arena *arena, struct slice topic);
/* Prefixes of sequential nodes; the server appends ten digits. */
#define ZNODE_CONFIG_CHANGE_PREFIX "/config/changes/config_change_"
#define ZNODE_ISR_CHANGE_PREFIX    "/isr_change_notification/isr_change_"
#define ZNODE_LOG_DIR_EVENT_PREFIX "/log_dir_event_notification/log_dir_event_"
/* /isr_change_notification/isr_change_0000000012 for "isr_change_0000000012". */
const char *znode_child_path(struct arena *arena, const char *parent, struct slice child);
/* May this be the path of a znode? ZooKeeper's own clients ask so before they send anything, and
 * some answers of the JVM broker repeat what they say.
 * Errors: ERR_MALFORMED with that sentence. */
MUST_USE enum err znode_path_check(struct arena *arena, const char *parent, struct slice child);
/* The number behind the last '_' of a sequential node's name; false if there is none. */
bool znode_sequence_number(struct slice name, int64_t *ret_number);

/* ---- /brokers/ids/ID ---- */
enum znode_security { ZNODE_PLAINTEXT, ZNODE_SSL, ZNODE_SASL_PLAINTEXT, ZNODE_SASL_SSL };

struct znode_endpoint {
    struct slice listener; /* upper case */
    struct slice host;     /* without brackets */
    int32_t port;
    int16_t security_protocol; /* enum znode_security */
};

struct znode_feature {
    struct slice name;
    int16_t min_version, max_version;
};

/* Nothing that the broker held at this broker epoch or later has been lost: since then it has run
 * on, or was stopped cleanly. Our own key, which a JVM broker neither writes nor reads. */
#define INTACT_SINCE_UNKNOWN      0    /* no key */
#define INTACT_SINCE_REGISTRATION (-1) /* it stopped uncleanly: since this very registration */

struct znode_broker {
    struct znode_endpoint *endpoints;
    int32_t endpoint_count;
    struct slice rack; /* null: none */
    int32_t jmx_port;  /* -1: none */
    int64_t timestamp_ms;
    int64_t intact_since; /* a broker epoch, or INTACT_SINCE_… */
    struct znode_feature *features;
    int32_t feature_count;
};

struct slice znode_broker_encode(struct arena *arena, const struct znode_broker *broker);
struct slice znode_broker_update(struct arena *arena, struct slice text,
                                 const struct znode_broker *broker);
MUST_USE enum err znode_broker_decode(struct arena *arena, struct slice text,
                                      struct znode_broker *ret_broker);
/* The same text with another intact_since. */
struct slice znode_broker_set_intact_since(struct arena *arena, struct slice text,
                                           int64_t intact_since);
const char *znode_security_name(int16_t security_protocol);

/* ---- /controller, /controller_epoch ---- */
struct znode_controller {
    int32_t broker_id;
    int64_t timestamp_ms;
    int32_t kraft_controller_epoch; /* > 0: a KRaft controller owns the cluster */
};

struct slice znode_controller_encode(struct arena *arena, int32_t broker_id, int64_t timestamp_ms);
MUST_USE enum err znode_controller_decode(struct slice text,
                                          struct znode_controller *ret_controller);
struct slice znode_controller_epoch_encode(struct arena *arena, int32_t controller_epoch);
MUST_USE enum err znode_controller_epoch_decode(struct slice text, int32_t *ret_controller_epoch);

/* ---- /cluster/id ---- */
struct slice znode_cluster_id_encode(struct arena *arena, struct slice id);
MUST_USE enum err znode_cluster_id_decode(struct arena *arena, struct slice text,
                                          struct slice *ret_id);

/* ---- /brokers/topics/TOPIC ---- */
struct znode_replicas {
    int32_t *ids;
    int32_t count;
};

struct znode_topic_partition {
    int32_t partition;
    struct znode_replicas replicas, adding, removing;
};

struct znode_topic {
    struct uuid topic_id; /* zero: none known */
    struct znode_topic_partition *partitions;
    int32_t partition_count;
};

struct slice znode_topic_encode(struct arena *arena, const struct znode_topic *topic);
/* Keeps the topic id of `text` where `topic` has none. */
struct slice znode_topic_update(struct arena *arena, struct slice text,
                                const struct znode_topic *topic);
/* Bytes that cannot be parsed are an empty assignment, as for Kafka; partitions come sorted. */
MUST_USE enum err znode_topic_decode(struct arena *arena, struct slice text,
                                     struct znode_topic *ret_topic);

/* ---- …/partitions/P/state ---- */
struct znode_partition_state {
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int32_t controller_epoch;
    struct znode_replicas isr;
    int8_t recovery_state; /* 0 recovered, 1 recovering */
    /* Our own keys. 0: not there (whoever wrote this was no Stoker controller, or saw no need).
     * Where nobody leads: the zxid and the data version of the last state that named a leader.
     * Where somebody does and members are missing: the newest broker epoch that the writer knew of
     * those in the ISR (led_version says nothing then). */
    int64_t led_zxid;
    int32_t led_version;
};

struct slice znode_partition_state_encode(struct arena *arena,
                                          const struct znode_partition_state *state);
struct slice znode_partition_state_update(struct arena *arena, struct slice text,
                                          const struct znode_partition_state *state);
MUST_USE enum err znode_partition_state_decode(struct arena *arena, struct slice text,
                                               struct znode_partition_state *ret_state);

/* ---- …/partitions/P/stoker_complete: which replicas out of the ISR have everything (KIP-966) ----
 *
 * Written by the leader itself, so under any controller, and by a Stoker controller that takes
 * members out of the ISR (before the leader, which may be dead, has heard of it). Read by Stoker
 * controllers where the last member of an ISR has come back from an unclean stop. A note is about one version of the
 * state znode: as soon as that changes, other than by losing its leader, the note says nothing. */
struct znode_complete_replica {
    int32_t broker_id;
    int64_t broker_epoch; /* in which it fetched last */
};

struct znode_complete {
    int32_t leader;
    int64_t leader_broker_epoch;
    int32_t state_version; /* data version of the state znode, the partition epoch */
    /* A controller's note only: the newest change of the settings that min.insync.replicas follows
     * from, as it knew them. A leader takes its own note back before it heeds a change. */
    int64_t settings_zxid;
    bool is_of_controller;
    struct znode_complete_replica *replicas;
    int32_t replica_count;
};

const char *znode_complete_path(struct arena *arena, struct slice topic, int32_t partition);
struct slice znode_complete_encode(struct arena *arena, const struct znode_complete *complete);
MUST_USE enum err znode_complete_decode(struct arena *arena, struct slice text,
                                        struct znode_complete *ret_complete);

/* ---- /config/TYPE/NAME ---- */
struct znode_setting {
    struct slice name, value;
};

struct znode_config {
    struct znode_setting *settings;
    int32_t count;
};

#define ZNODE_CONFIG_DEFAULT "<default>"

/* type: "topics", "brokers", "clients", "users", "ips". name: raw; sanitised for users and clients,
 * ZNODE_CONFIG_DEFAULT excepted. */
const char *znode_config_path(struct arena *arena, const char *type, struct slice name);
const char *znode_user_client_config_path(struct arena *arena, struct slice user,
                                          struct slice client);
/* Java's URL encoding with "*" and "+" encoded too. */
struct slice znode_sanitise(struct arena *arena, struct slice name);
MUST_USE enum err znode_unsanitise(struct arena *arena, struct slice text, struct slice *ret_name);

struct slice znode_config_encode(struct arena *arena, const struct znode_config *config);
struct slice znode_config_update(struct arena *arena, struct slice text,
                                 const struct znode_config *config);
/* Null, empty or unparsable data means no settings. A version other than 1 is refused. */
MUST_USE enum err znode_config_decode(struct arena *arena, struct slice text,
                                      struct znode_config *ret_config);

/* ---- /config/changes/config_change_N ---- */
struct slice znode_config_change_encode(struct arena *arena, struct slice entity_path);
/* "topics/foo"; ERR_NOT_FOUND for what is not JSON, which readers skip. */
MUST_USE enum err znode_config_change_decode(struct arena *arena, struct slice text,
                                             struct slice *ret_entity_path);

/* ---- lists of partitions: /isr_change_notification/…, /admin/… ---- */
struct znode_partition_ref {
    struct slice topic;
    int32_t partition;
    struct znode_replicas replicas; /* /admin/reassign_partitions only */
};

struct znode_partition_list {
    struct znode_partition_ref *partitions;
    int32_t count;
};

struct slice znode_isr_change_encode(struct arena *arena, const struct znode_partition_list *list);
MUST_USE enum err znode_isr_change_decode(struct arena *arena, struct slice text,
                                          struct znode_partition_list *ret_list);
struct slice znode_preferred_election_encode(struct arena *arena,
                                             const struct znode_partition_list *list);
MUST_USE enum err znode_preferred_election_decode(struct arena *arena, struct slice text,
                                                  struct znode_partition_list *ret_list);
struct slice znode_reassign_encode(struct arena *arena, const struct znode_partition_list *list);
/* Any key that Kafka does not know makes the node invalid (ERR_MALFORMED), as for Kafka. */
MUST_USE enum err znode_reassign_decode(struct arena *arena, struct slice text,
                                        struct znode_partition_list *ret_list);

/* ---- /log_dir_event_notification/log_dir_event_N ---- */
struct slice znode_log_dir_event_encode(struct arena *arena, int32_t broker_id);
MUST_USE enum err znode_log_dir_event_decode(struct slice text, int32_t *ret_broker_id);

/* ---- /latest_producer_id_block ---- */
struct znode_producer_id_block {
    int32_t broker_id;
    int64_t first, last; /* both inclusive */
};

struct slice znode_producer_id_block_encode(struct arena *arena,
                                            const struct znode_producer_id_block *block);
MUST_USE enum err znode_producer_id_block_decode(struct slice text,
                                                 struct znode_producer_id_block *ret_block);

/* ---- /feature ---- */
struct znode_features {
    bool enabled;
    struct znode_feature *features; /* min_version 1 where the node holds none (JSON version 2) */
    int32_t count;
};

/* json_version: 2 for inter.broker.protocol.version >= 3.3-IV0, else 1. */
struct slice znode_features_encode(struct arena *arena, int32_t json_version,
                                   const struct znode_features *features);
MUST_USE enum err znode_features_decode(struct arena *arena, struct slice text,
                                        struct znode_features *ret_features);
