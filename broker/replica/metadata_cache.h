/* What this broker knows of the cluster: brokers with their endpoints, topics, and each partition's
 * leader, as the controller tells by UpdateMetadata. Metadata answers, the search for the
 * controller and the question whether a replica is alive are served from here; it may lag behind
 * the controller.
 *
 * Threads: any; one lock (RANK_METADATA_CACHE) that is held for the length of a look. Visitors are
 * called under it and must not call back into the cache. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/err.h"
#include "broker/base/map.h"
#include "broker/base/thread.h"
#include "broker/base/uuid.h"
#include "broker/replica/live_brokers.h"
#include "wire/update_metadata.h"

#define LEADER_NONE          (-1)
#define LEADER_DURING_DELETE (-2)

struct broker_endpoint {
    char *listener, *host;
    int32_t port;
    int16_t security_protocol;
};

struct broker_node {
    int32_t id;
    char *rack; /* or NULL */
    struct broker_endpoint *endpoints;
    int32_t endpoints_count;
};

struct partition_metadata {
    int32_t leader, leader_epoch, controller_epoch, partition_epoch;
    int32_t *replicas, *isr, *offline_replicas;
    int32_t replicas_count, isr_count, offline_replicas_count;
    bool is_known; /* the array of partitions may have holes */
};

struct topic_metadata {
    char *name;
    struct uuid id; /* zero: none */
    struct partition_metadata *partitions;
    int32_t partitions_count; /* with holes */
    int32_t known_count;
};

struct metadata_cache;

struct metadata_cache *metadata_cache_new(void);
void metadata_cache_free(struct metadata_cache *cache);

/* Called after an update that named this topic, or took it away; outside the lock. For requests
 * that wait for topics to come or go. */
typedef void metadata_changed_fn(void *context);
void metadata_cache_on_change(struct metadata_cache *cache, metadata_changed_fn *changed,
                              void *context);

/* Take over an UpdateMetadata: brokers and controller are replaced, partitions merged, those with
 * leader -2 removed. */
void metadata_cache_update(struct metadata_cache *cache,
                           const struct update_metadata_request *request);

/* The lock for a consistent look through several of the functions below. */
void metadata_cache_lock(struct metadata_cache *cache);
void metadata_cache_unlock(struct metadata_cache *cache);

/* --- under metadata_cache_lock(); what they give is borrowed until unlock --- */
const struct topic_metadata *metadata_topic(const struct metadata_cache *cache, struct slice name);
const struct topic_metadata *metadata_topic_by_id(const struct metadata_cache *cache,
                                                  struct uuid id);
const struct partition_metadata *metadata_partition(const struct topic_metadata *topic,
                                                    int32_t partition);
const struct broker_node *metadata_broker(const struct metadata_cache *cache, int32_t id);
const struct broker_endpoint *broker_node_endpoint(const struct broker_node *node,
                                                   const char *listener);
/* All, in ascending id and in name order of insertion; counts are given. */
const struct broker_node *const *metadata_brokers(const struct metadata_cache *cache,
                                                  int32_t *ret_count);
const struct topic_metadata *const *metadata_topics(const struct metadata_cache *cache,
                                                    int32_t *ret_count);

/* The set of live brokers, to be looked at under any lock; borrowed from the cache. */
const struct live_brokers *metadata_live_brokers(const struct metadata_cache *cache);

/* --- each takes the lock itself --- */
bool metadata_is_known(
    struct metadata_cache *cache); /* the controller has spoken since the start */
bool metadata_has_topics(struct metadata_cache *cache);
int32_t metadata_controller_id(struct metadata_cache *cache); /* -1: none, or not alive */
bool metadata_has_partition(struct metadata_cache *cache, struct slice topic, int32_t partition);
/* The name of a topic id, NUL-terminated in the arena; NULL if unknown. */
const char *metadata_topic_name(struct metadata_cache *cache, struct uuid id, struct arena *arena);
struct uuid metadata_topic_id(struct metadata_cache *cache, struct slice name);
/* Host and port of a broker's listener, copied to the arena. ERR_NOT_FOUND, ERR_LISTENER_NOT_FOUND.
 */
MUST_USE enum err metadata_endpoint(struct metadata_cache *cache, int32_t broker_id,
                                    const char *listener, struct arena *arena,
                                    const char **ret_host, int32_t *ret_port);
