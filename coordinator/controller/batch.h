/* The requests that one step of the controller sends: collected partition by partition, sent at the
 * end, each broker getting at most one LeaderAndIsr, one UpdateMetadata and one StopReplica (two
 * below version 3).
 *
 * A batch snapshots nothing but StopReplica's leader epoch: what is said of a partition is what is
 * cached when the batch is sent. Every partition in a LeaderAndIsr is also in the UpdateMetadata,
 * which goes to all registered brokers with the same partitions (traps T12, T25). */
#pragma once

#include "coordinator/controller/context.h"
#include "coordinator/controller/versions.h"

struct controller;

struct batch_entry {
    struct partition *partition;
    struct broker_node *broker;
    int32_t leader_epoch; /* StopReplica */
    size_t order;
    bool is_new;     /* LeaderAndIsr; sticky */
    bool delete_log; /* StopReplica; sticky */
};

struct batch_entries {
    struct batch_entry *items;
    size_t count, capacity;
};

struct batch {
    bool open;
    struct batch_entries leader_and_isr, stop_replica;
    struct partition_list updates;
    struct broker_node **told; /* brokers that get UpdateMetadata */
    size_t told_count, told_capacity;
};

void batch_begin(struct controller *controller); /* it must be empty */
/* Brokers that are not registered are left out when the batch is sent. */
void batch_leader_and_isr(struct controller *controller, struct partition *partition,
                          int32_t broker_id, bool is_new);
void batch_stop_replica(struct controller *controller, struct partition *partition,
                        int32_t broker_id, bool delete_log);
/* The log of another topic that had this one's name: its epochs mean nothing here. */
void batch_delete_stray(struct controller *controller, struct partition *partition,
                        int32_t broker_id);
void batch_update_one(struct controller *controller, struct broker_node *broker);
void batch_update_all(struct controller *controller);
/* For whoever gets UpdateMetadata in this batch. Left out if it has no leadership yet. */
void batch_update_partition(struct controller *controller, struct partition *partition);
void batch_send(struct controller *controller);
void batch_drop(struct controller *controller); /* forget what was collected */
