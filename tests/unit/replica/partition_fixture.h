/* What the tests of a partition's rules share: roles with three replicas, followers that fetch, and
 * a read. */
#pragma once

#include "replica_fixture.h"

#include "broker/replica/replication.h"

#define LAG_MS REPLICA_LAG_DEFAULT_MS

static inline void be_at(struct partition *partition, int32_t broker_id, int64_t offset)
{
    assert_err(partition_follower_fetched(partition, partition_leader_epoch(partition), broker_id,
                                          offset, log_end_offset(partition_log(partition)), 0),
               ERR_OK);
}

/* Leads with these replicas; `in_sync` of them, the first ones, are in the ISR. */
static inline struct role_spec led(int32_t leader_epoch, int32_t in_sync)
{
    return (struct role_spec){.leader_epoch = leader_epoch,
                              .partition_epoch = leader_epoch,
                              .id = id_of(1),
                              .replicas = {1, 2, 3},
                              .replicas_count = 3,
                              .isr = {1, 2, 3},
                              .isr_count = in_sync};
}

static inline struct role_spec followed(int32_t leader_epoch)
{
    struct role_spec spec = led(leader_epoch, 3);
    spec.leader = 2;
    return spec;
}

static inline enum err read_at(struct replicas *r, struct partition *partition,
                               struct partition_read read, struct partition_read_result *ret)
{
    if (!read.max_bytes)
        read.max_bytes = 1 << 20;
    read.may_block = true;
    enum err e = partition_read(partition, &read, r->arena, ret);
    if (!e && ret->slice.file)
        log_file_unref(ret->slice.file);
    return e;
}

/* What a consumer reads, with nothing checked beyond what is given. */
#define CONSUMER                                                                                   \
    .replica_id = CONSUMER_REPLICA_ID, .current_leader_epoch = -1, .last_fetched_epoch = -1
