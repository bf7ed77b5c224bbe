/* Requests of brokers and tools to the controllers of a world; answers come as the world goes on.
 * False where there is no active controller. */
#pragma once

#include "tests/sim/world.h"

#define WORLD_REPLICAS_MAX 8
#define WORLD_MESSAGE_MAX  160

/* What the controller said of one partition. error is WORLD_PENDING until it did. */
struct world_answer {
    int16_t top_error, error;
    char message[WORLD_MESSAGE_MAX];
};

/* The replicas of a partition become these; count -1 cancels. */
bool world_reassign(struct world *world, const char *topic, int32_t partition, const int32_t *ids,
                    int32_t count, struct world_answer *ret);
/* The same for the partitions 0 to partitions - 1 in one request; the answer is that of the last
 * one. */
bool world_reassign_many(struct world *world, const char *topic, int32_t partitions,
                         const int32_t *ids, int32_t count, struct world_answer *ret);
/* How many partitions are being reassigned, as ListPartitionReassignments says. */
int32_t world_reassigning_count(struct world *world);

struct world_isr {
    int16_t top_error, error;
    int32_t leader, leader_epoch, partition_epoch;
    int32_t isr[WORLD_REPLICAS_MAX], isr_count;
    int8_t recovery_state;
};

struct world_isr_wish {
    int32_t broker_id;
    int64_t broker_epoch;
    const char *topic;
    struct uuid topic_id; /* from api version 2 on */
    int32_t partition, leader_epoch, partition_epoch;
    int32_t isr[WORLD_REPLICAS_MAX], isr_count;
    int8_t recovery_state;
    int16_t api_version;
};

bool world_alter_partition(struct world *world, int32_t controller_id,
                           const struct world_isr_wish *wish, struct world_isr *ret);
/* What the leader that the znode names would ask for, in all truth, to have this ISR. */
struct world_isr_wish world_isr_wish(struct world *world, const char *topic, int32_t partition,
                                     const int32_t *isr, int32_t count);
/* Ask it and settle. Gives the error. */
int16_t world_set_isr(struct world *world, const char *topic, int32_t partition, const int32_t *isr,
                      int32_t count);

/* type 0 preferred, 1 unclean. partition -1: null, which asks for all. */
bool world_elect(struct world *world, int8_t type, const char *topic, int32_t partition,
                 int32_t timeout_ms, int16_t api_version, struct world_answer *ret);
