/* The partitions of the modelled brokers: logs of (leader epoch, record), leaders that let
 * followers in and out of the ISR through the real controllers, followers that fetch and cut what
 * diverges, producers that write with acks=all. What a broker must do is what broker/replica does
 * (storage-and-replication reference); here it is small enough to be broken on purpose.
 *
 * Logs outlive a crash, roles do not. Messages between two brokers about one partition travel as
 * they like, are lost at random, and overtake those of other partitions. */
#pragma once

#include "broker/base/uuid.h"
#include "tests/sim/world.h"

#define SIM_REPLICAS_MAX 8
#define SIM_FETCH_MAX    3 /* records in one answer */

/* Ways to break it; each must be caught (tests/sim/sim.c --mutations). */
enum sim_mutation {
    MUTATION_NONE,
    MUTATION_NO_GUARD,         /* controllers write without the check of /controller_epoch */
    MUTATION_UNCLEAN,          /* a replica out of sync may lead */
    MUTATION_NO_TRUNCATION,    /* followers keep what diverges */
    MUTATION_EARLY_ACK,        /* acks=all is answered when the leader has the record */
    MUTATION_COMMITTED_ISR,    /* one that is about to join the ISR does not hold the watermark */
    MUTATION_ANYONE_JOINS,     /* followers join the ISR whatever they have */
    MUTATION_CUT_AT_WATERMARK, /* followers cut at their watermark, as before KIP-101 */
    MUTATION_COUNT
};

struct sim_role {
    struct uuid topic_id;
    int32_t leader, leader_epoch, partition_epoch;
    const int32_t *replicas, *isr;
    int32_t replicas_count, isr_count;
};

struct sim_partitions *sim_partitions_new(struct world *world);
void sim_partitions_free(struct sim_partitions *all);

/* What modelled brokers were told; crash: all roles of the broker are gone. */
void sim_partition_role(struct sim_partitions *all, int32_t broker, int32_t topic,
                        int32_t partition, const struct sim_role *role);
void sim_partition_delete(struct sim_partitions *all, int32_t broker, int32_t topic,
                          int32_t partition);
/* Somebody asked to delete the topic: nothing is promised of its records any more. */
void sim_topic_given_up(struct sim_partitions *all, int32_t topic);
void sim_partitions_crash(struct sim_partitions *all, int32_t broker);
/* A state znode names these as in sync: they must have all that is below the watermark. */
void sim_partition_check_isr(struct sim_partitions *all, int32_t topic, int32_t partition,
                             int32_t leader, int32_t leader_epoch, const int32_t *isr,
                             int32_t count);

/* One random thing happens: a record is written, a fetch or an AlterPartition begins, arrives or is
 * answered, or is lost if faults are on. */
void sim_partitions_step(struct sim_partitions *all, bool has_faults);
/* Without faults, until all replicas are in sync and equal; false, with a complaint, if they do not
 * become so. */
bool sim_partitions_settle(struct sim_partitions *all);
int64_t sim_partitions_acknowledged(const struct sim_partitions *all);
