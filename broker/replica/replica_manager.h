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
#include "broker/replica/replication.h"
#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"

struct replica_manager;

/* Who fetches for followers; the server joins these to its threads. Thread: control. */
struct replica_fetchers {
    /* Follow from now on, in this epoch only. Takes a reference of its own. */
    void (*follow)(void *context, struct partition *partition, int32_t leader_id,
                   int32_t leader_epoch);
    void (*unfollow)(void *context, struct partition *partition);
    void *context;
};

struct replica_manager_options {
    int32_t broker_id;
    struct clock *clock;
    struct log_manager *log_manager;
    struct metadata_cache *metadata_cache;
    /* Effective min.insync.replicas of a topic. Threads: any. */
    int32_t (*min_insync_replicas)(void *context, const char *topic);
    /* The broker's epoch now; requests for an older one are refused. */
    int64_t (*broker_epoch)(void *context);
    /* Send this wish to the controller; takes it. Threads: any. */
    void (*isr_changed)(void *context, struct isr_change *change);
    /* As in struct partition_host; may be NULL. */
    void (*isr_thinned)(void *context, struct partition *partition);
    /* replica_manager_release_watermarks() is wanted at this monotonic time. Threads: any, under a
     * partition's lock: must only post. NULL: it is called now and then anyway. */
    void (*look_at_watermarks)(void *context, int64_t at_ms);
    void *context;
    int64_t replica_lag_max_ms; /* replica.lag.time.max.ms */
};

struct replica_manager *replica_manager_new(const struct replica_manager_options *options);
void replica_manager_free(struct replica_manager *manager);
/* Before the first LeaderAndIsr; without it nobody is followed. */
void replica_manager_set_fetchers(struct replica_manager *manager,
                                  struct replica_fetchers fetchers);

/* The broker is about to ask the controller to let it go, and will end: a partition whose ISR does
 * without it is followed no more. A leader that heard from it would ask the controller to take it
 * into the ISR; that is refused, and a JVM broker (3.9) that leads lets its high watermark stand
 * then, and every producer with acks=all wait, until a follower's log end moves. Threads: any. */
void replica_manager_leave(struct replica_manager *manager);

/* The fetchers begin anew: let them follow every partition that follows a leader. Thread: the one
 * that gives partitions their roles. */
void replica_manager_follow_all(struct replica_manager *manager);

/* A follower has asked for what begins at fetch_offset, when the leader's log ended at
 * leader_end_offset: it has everything before. broker_epoch: its own, or -1. It may join the ISR by
 * that. Errors: those of partition_follower_fetched. Threads: any. */
enum err replica_manager_follower_fetched(struct replica_manager *manager,
                                          struct partition *partition, int32_t leader_epoch,
                                          int32_t replica_id, int64_t broker_epoch,
                                          int64_t fetch_offset, int64_t leader_end_offset,
                                          int64_t log_start_offset);

/* Our disk stands still, as of now. Threads: any, without a lock. */
void replica_manager_disk_stood(struct replica_manager *manager, int64_t now_ms);
/* Others in sync are to lead what we lead (KAFKA's controlled shutdown, without the end of this
 * broker): from now on nothing is acknowledged that they might not have, until the controller names
 * us again. false: it is over, and we are registered anew. Threads: any, without a lock. */
void replica_manager_hand_over(struct replica_manager *manager, bool begins);

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

/* Watermarks that wait for replicas out of the ISR go on if those have lagged long enough or died.
 * When to come again, INT64_MAX for never. Thread: control. */
int64_t replica_manager_release_watermarks(struct replica_manager *manager);

/* min.insync.replicas of a topic has changed. */
void replica_manager_topic_changed(struct replica_manager *manager, const char *topic);

/* Write replication-offset-checkpoint, unless no LeaderAndIsr has come yet (partitions not loaded
 * would be lost). */
MUST_USE enum err replica_manager_checkpoint(struct replica_manager *manager);

/* Visit every partition, under a reference, not under the lock. */
void replica_manager_for_each(struct replica_manager *manager,
                              void (*visit)(void *context, struct partition *partition),
                              void *context);
