/* The struct of the replica manager, for the files of broker/replica that share it. */
#pragma once

#include "broker/replica/replica_manager.h"

#define TOPIC_NAME_MAX  249
#define REPLICA_KEY_MAX (TOPIC_NAME_MAX + 4)

struct replica_manager {
    struct replica_manager_options options; /* fixed from birth */
    struct replica_fetchers fetchers;       /* fixed before the first role */
    struct partition_host host;

    struct lock lock; /* RANK_REPLICA_MANAGER; guards the table */
    struct map partitions;

    int32_t controller_epoch; /* the highest seen; control thread only */
    _Atomic bool has_roles;   /* the first LeaderAndIsr was accepted */
    _Atomic bool is_leaving;
};

size_t replica_key(char key[static REPLICA_KEY_MAX], struct slice topic, int32_t partition);
/* A reference for the caller. */
struct partition *replica_manager_get_or_make(struct replica_manager *manager, struct slice topic,
                                              int32_t partition, struct uuid topic_id);
void replica_manager_remove(struct replica_manager *manager, struct slice topic, int32_t partition);
void replica_unfollow(struct replica_manager *manager, struct partition *partition);
