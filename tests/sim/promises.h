/* What must hold after every step, of the records themselves:
 *
 *      an acknowledged record is in every later leader's log;
 *      a leader epoch has one leader;
 *      the ISR holds only replicas that have everything below the high watermark;
 *      a leader's high watermark never goes back, nor does the epoch of a replica;
 *      a killed process loses nothing that its log had.
 *
 * Each replica has a shadow here, the records of its log as last looked at; it follows the log's
 * end, so that looking costs what has changed. The shadow outlives the process, as the log does.
 *
 * After a power cut a replica may have lost what it had not synced, and is in the ISR all the same
 * until the controller has taken it out; or it is put there while its machine is off, by a fetch
 * from before. It is excused from the third promise until it is out, or has again all that its
 * leader may believe it to have. */
#pragma once

#include "tests/sim/cluster.h"

struct promises *promises_new(void);
void promises_free(struct promises *promises);

void promises_look(struct cluster *cluster, struct node *node);
void promises_node_died(struct cluster *cluster, int32_t id);
void promises_power_cut(struct cluster *cluster, int32_t id);
void promises_state_written(struct cluster *cluster, int32_t topic, int32_t partition,
                            const struct znode_partition_state *state);
/* Nothing is promised of its records any more; a topic of the same name begins anew. */
void promises_topic_doomed(struct cluster *cluster, int32_t topic);

/* A client was told that record `id` is at `offset` for good. */
void promises_acknowledged(struct cluster *cluster, int32_t topic, int32_t partition,
                           int64_t offset, int64_t id);
int64_t promises_count(const struct promises *promises);

/* At the end, with everybody back: all replicas of a partition hold the same. NULL, or what not. */
const char *promises_differ(struct cluster *cluster, int32_t topic, int32_t partition);
