/* A partition of the replicas 1, 2 and 3 that is led here (broker 1), and whom the leader asks
 * about others: what the tests of ISR, notes and stalled disks share. */
#pragma once

#include "replica_fixture.h"

#include "broker/replica/replication.h"

#define LAG_MS 10000 /* replica.lag.time.max.ms */

struct leading_world {
    struct replicas *r;
    struct live_brokers *live; /* 1, 2 and 3 */
    struct partition_host host;
    struct partition *p; /* since lead() */
};

void leading_world_init(struct leading_world *w);
void leading_world_done(struct leading_world *w);
/* For cmocka. */
int leading_setup(void **state);
int leading_teardown(void **state);

/* The role that lead() takes: a partition epoch ten times the leader epoch, and the first `in_sync`
 * of the replicas in the ISR. */
struct role_spec leading_role(int32_t leader_epoch, int32_t in_sync);
/* The partition: the world's reference, until the next call. */
struct partition *lead(struct leading_world *w, int32_t leader_epoch, int32_t in_sync);

/* Let time go by; the monotonic time then. */
int64_t leading_pass(struct leading_world *w, int64_t ms);
