/* All partitions of this broker: found by topic and number, given roles by the controller's
 * requests, taken away, and their high watermarks written to disk from time to time.
 *
 * Threads: lookups from any. LeaderAndIsr, StopReplica and failed directories come one at a time,
 * on the control thread of the broker (DESIGN: inter-broker requests are serialised). Locks: the
 * table has RANK_REPLICA_MANAGER, held for a look. */
#pragma once

#include "broker/log/log_manager.h"
#include "broker/replica/metadata_cache.h"
#include "broker/replica/partition.h"
#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"

struct replica_manager;

struct replica_manager_options {
    int32_t broker_id;
    struct clock *clock;
    struct log_manager *log_manager;
    struct metadata_cache *metadata_cache;
    /* Effective min.insync.replicas of a topic. Threads: any. */
    int32_t (*min_insync_replicas)(void *context, const char *topic);
    /* The broker's epoch now; requests for an older one are refused. */
    int64_t (*broker_epoch)(void *context);
    void *context;
};

struct replica_manager *replica_manager_new(const struct replica_manager_options *options);
void replica_manager_free(struct replica_manager *manager);

/* A reference that the caller gives back with partition_unref, or NULL. */
struct partition *replica_manager_get(struct replica_manager *manager, struct slice topic,
                                      int32_t partition);

/* As above, with what a client is told when there is none: UNKNOWN_TOPIC_OR_PARTITION,
 * NOT_LEADER_OR_FOLLOWER (known to the cluster, not here), KAFKA_STORAGE_ERROR (its directory is
 * offline). */
MUST_USE enum err replica_manager_find(struct replica_manager *manager, struct slice topic,
                                       int32_t partition, struct partition **ret);

/* The controller's requests. Answers are in the arena. Thread: control. */
void replica_manager_leader_and_isr(struct replica_manager *manager,
                                    const struct leader_and_isr_request *request,
                                    int16_t api_version, struct arena *arena,
                                    struct leader_and_isr_response *ret);
void replica_manager_stop_replica(struct replica_manager *manager,
                                  const struct stop_replica_request *request, int16_t api_version,
                                  struct arena *arena, struct stop_replica_response *ret);
/* The gate that UpdateMetadata shares: STALE_BROKER_EPOCH, STALE_CONTROLLER_EPOCH, or remembers the
 * epoch. */
MUST_USE enum err replica_manager_judge_controller(struct replica_manager *manager,
                                                   int32_t controller_epoch, int64_t broker_epoch,
                                                   bool is_kraft);

/* A log directory has failed: its partitions go offline. ret: their number. */
int32_t replica_manager_dir_failed(struct replica_manager *manager, const struct log_dir *dir);

/* min.insync.replicas of a topic has changed. */
void replica_manager_topic_changed(struct replica_manager *manager, const char *topic);

/* Write replication-offset-checkpoint, unless no LeaderAndIsr has come yet (partitions not loaded
 * would be lost). */
MUST_USE enum err replica_manager_checkpoint(struct replica_manager *manager);

/* Visit every partition, under a reference, not under the lock. */
void replica_manager_for_each(struct replica_manager *manager,
                              void (*visit)(void *context, struct partition *partition),
                              void *context);
