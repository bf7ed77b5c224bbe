/* The controller: the one broker of the cluster that watches ZooKeeper, chooses leaders and tells
 * the brokers.
 *
 * This is a pure core. It has no thread, no socket and no clock of its own: results and watches of
 * ZooKeeper come in through `struct zk`, answers of brokers through `struct controller_peers`, time
 * through timers that the shell runs. So the same code runs in the broker (controller_thread.h) and
 * in tests/sim on virtual time.
 *
 * Every broker has one; all wait for /controller to be free, one is active. Events are taken one at
 * a time from one queue. While an event waits for ZooKeeper the queue grows and nothing else of the
 * controller runs, so what an event sees changes only by its own hand, as in Kafka.
 *
 * Thread: everything here is called by the one thread (or simulator) that owns the controller,
 * callbacks run on it too. Others go through controller_thread_post(). Callbacks may call the
 * functions of this header again. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/clock.h"
#include "broker/base/timers.h"
#include "broker/base/uuid.h"
#include "coordinator/zk/zk.h"

#include "wire/allocate_producer_ids.h"
#include "wire/alter_partition.h"
#include "wire/alter_partition_reassignments.h"
#include "wire/controlled_shutdown.h"
#include "wire/create_partitions.h"
#include "wire/create_topics.h"
#include "wire/delete_topics.h"
#include "wire/elect_leaders.h"
#include "wire/list_partition_reassignments.h"
#include "wire/update_features.h"

struct controller;

/* Where a broker listens for the controller's requests. */
struct controller_endpoint {
    const char *host;
    int32_t port;
    const char *listener;      /* name, e.g. "PLAINTEXT" */
    int16_t security_protocol; /* 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL */
};

/* response: the decoded struct <api>_response when error is ERR_OK, borrowed for the call; else
 * NULL. */
typedef void controller_sent_fn(void *context, enum err error, const void *response);

/* The way to the brokers, this one included.
 *
 * send() encodes at once (the request is borrowed for the call) and never calls `sent` before it
 * returns. `sent` is called exactly once unless forget() comes first. Requests to one broker arrive
 * in the order of the calls, several may be under way at once. When one fails, every request to
 * that broker that was sent before its callback ran fails too, so none overtakes another; the next
 * send() connects anew. No ApiVersions is exchanged: the version given is the one that goes out. A
 * request not answered within request.timeout.ms fails.
 *
 * forget(): drop the connection to the broker and everything under way; no callback of it runs any
 * more.
 *
 * refused(): set by the controller, with its owner; NULL: nobody wants to know. The broker has
 * answered since it was forgotten last, the connection was lost, and now its address refuses a new
 * one: its process has ended. Not called from within send() or forget(). */
struct controller_peers {
    void (*send)(struct controller_peers *peers, int32_t broker_id,
                 const struct controller_endpoint *endpoint, int16_t api_key, int16_t api_version,
                 const void *request, controller_sent_fn *sent, void *context);
    void (*forget)(struct controller_peers *peers, int32_t broker_id);
    void (*refused)(void *owner, int32_t broker_id);
    void *owner;
};

/* What the settings part knows of topic settings. */
struct controller_configs {
    /* Check the settings of a topic to be made. *ret_effective (count in *ret_count) are all its
     * settings with their sources, for the answer of CreateTopics v5+; allocated in the arena.
     * Errors: ERR_INVALID_CONFIG, ERR_POLICY_VIOLATION, with a sentence. */
    enum err (*check_topic)(void *context, struct slice topic,
                            const struct create_topics_request_creatable_topic_config *configs,
                            int32_t count, struct arena *arena,
                            struct create_topics_response_creatable_topic_configs **ret_effective,
                            int32_t *ret_count);
    /* Whether this broker's metadata show the topic now: what clients see. NULL: it counts which
     * UpdateMetadata the broker has acknowledged, which is known a moment later. */
    bool (*shows_topic)(void *context, struct slice topic);
    void *context;
};

struct controller_settings {
    int32_t broker_id;
    const char *inter_broker_protocol_version; /* "3.9-IV0", "3.9", "3.5" … */
    const char *controller_listener; /* control.plane.listener.name, or the inter-broker one */
    const char *inter_broker_listener;
    bool delete_topic_enable;
    bool auto_leader_rebalance_enable;
    int32_t leader_imbalance_per_broker_percentage;
    int64_t leader_imbalance_check_interval_seconds;
    int32_t num_partitions;
    int32_t default_replication_factor;
    bool unclean_leader_election_enable; /* the broker's default; topics override it */
    int32_t min_insync_replicas;         /* so is this one; 0 counts as 1 */
    bool crash_detection_enable;         /* see crash.c */
    uint64_t seed;                       /* of replica assignment; 0: from the system */
};

/* Everything given is kept until controller_free(); strings of settings are copied. The owner
 * fields of `zk` are set by the controller: its state and watch callbacks must come only to it.
 * `configs` may be NULL: then any setting is accepted. */
struct controller *controller_new(const struct controller_settings *settings, struct zk *zk,
                                  struct controller_peers *peers,
                                  struct controller_configs *configs, struct clock *clock);

/* Nothing is called back after it but what is still waiting for an answer (with
 * ERR_NOT_CONTROLLER). The zk view must not call its callbacks any more either: free it or silence
 * it first. Does not touch ZooKeeper: /controller goes with the session (trap T27). */
void controller_free(struct controller *controller);

/* This broker has registered under /brokers/ids with this epoch, at start or again after its
 * session had expired. The first call starts the election; each later one means: see who is
 * controller, then elect. */
void controller_registered(struct controller *controller, int64_t broker_epoch);

/* Run timers that are due; the next one's deadline (monotonic clock), INT64_MAX if none. */
void controller_run_timers(struct controller *controller);
int64_t controller_next_timer_ms(const struct controller *controller);

/* Settings that may change while running (unclean.leader.election.enable turned on elects for what
 * waits; a topic's own change is told by controller_topic_unclean_enabled). */
void controller_update_settings(struct controller *controller,
                                const struct controller_settings *settings);
void controller_topic_unclean_enabled(struct controller *controller, struct slice topic);

/* ---- Questions ---- */
bool controller_is_active(const struct controller *controller);
int32_t controller_active_id(const struct controller *controller); /* -1: none known */
int32_t controller_epoch(const struct controller *controller);     /* 0 when not active */

/* For metrics (kafka.controller:type=KafkaController). */
struct controller_counts {
    int32_t active, brokers, topics, partitions, offline_partitions, preferred_imbalance;
    int32_t topics_to_delete, queued_events, queued_requests;
};
void controller_count(const struct controller *controller, struct controller_counts *ret_counts);

/* ---- Requests of clients and brokers ----
 * Each takes a decoded request (borrowed until `done`), makes the response in `arena`, and calls
 * done once, perhaps before it returns. Where this broker is not the active controller the response
 * carries Kafka's error for that, per item where the message has no top-level code. Authorization
 * is the caller's business: it takes out what is not allowed and puts the refusals into the answer.
 */
typedef void controller_done_fn(void *context, const void *response);

/* Answers struct create_topics_response. A topic without leader after timeout_ms, or with
 * timeout_ms <= 0, is answered REQUEST_TIMED_OUT though it exists. */
void controller_create_topics(struct controller *controller,
                              const struct create_topics_request *request, struct arena *arena,
                              controller_done_fn *done, void *context);

/* Creation by a broker that need not be the controller (auto-creation, internal topics): the same
 * checks and znodes, over the given brokers, not waiting for leaders. */
struct controller_assignable {
    int32_t broker_id;
    struct slice rack; /* null: none */
};
void controller_auto_create_topics(struct controller *controller,
                                   const struct create_topics_request *request,
                                   const struct controller_assignable *brokers,
                                   int32_t broker_count, struct arena *arena,
                                   controller_done_fn *done, void *context);

/* Answers struct delete_topics_response. api_version decides between TOPIC_DELETION_DISABLED and
 * INVALID_REQUEST and whether names are in topic_names or topics. Duplicate or contradictory
 * entries are answered per item. */
void controller_delete_topics(struct controller *controller,
                              const struct delete_topics_request *request, int16_t api_version,
                              struct arena *arena, controller_done_fn *done, void *context);
void controller_create_partitions(struct controller *controller,
                                  const struct create_partitions_request *request,
                                  struct arena *arena, controller_done_fn *done, void *context);
void controller_elect_leaders(struct controller *controller,
                              const struct elect_leaders_request *request, int16_t api_version,
                              struct arena *arena, controller_done_fn *done, void *context);
void controller_update_features(struct controller *controller,
                                const struct update_features_request *request, int16_t api_version,
                                struct arena *arena, controller_done_fn *done, void *context);
void controller_alter_reassignments(struct controller *controller,
                                    const struct alter_partition_reassignments_request *request,
                                    struct arena *arena, controller_done_fn *done, void *context);
void controller_list_reassignments(struct controller *controller,
                                   const struct list_partition_reassignments_request *request,
                                   struct arena *arena, controller_done_fn *done, void *context);

/* From brokers. */
void controller_alter_partition(struct controller *controller,
                                const struct alter_partition_request *request, int16_t api_version,
                                struct arena *arena, controller_done_fn *done, void *context);
void controller_controlled_shutdown(struct controller *controller,
                                    const struct controlled_shutdown_request *request,
                                    struct arena *arena, controller_done_fn *done, void *context);
void controller_allocate_producer_ids(struct controller *controller,
                                      const struct allocate_producer_ids_request *request,
                                      struct arena *arena, controller_done_fn *done, void *context);
