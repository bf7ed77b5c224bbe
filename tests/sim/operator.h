/* The operator's hand. A broker that was away while a topic was deleted keeps its log, and refuses
 * the topic of the same name that is made later (INCONSISTENT_TOPIC_ID). Where another replica
 * leads, the controller has the old log deleted. Where the one that refuses is to lead, it only
 * says so: a ZooKeeper that was restored from a copy looks the same, and nothing may be deleted.
 * Somebody then decides, and removes the log; here at once. */
#pragma once

#include "tests/sim/cluster.h"

/* Before the node is given this LeaderAndIsr. */
void operator_clears_the_way(struct cluster *cluster, struct world_message *message);
