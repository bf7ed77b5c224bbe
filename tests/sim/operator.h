/* The operator's hand. A broker that was away while a topic was deleted keeps its log, and refuses
 * the topic of the same name that is made later (INCONSISTENT_TOPIC_ID), as a JVM broker does in
 * ZooKeeper mode. Somebody then removes the old log; here, as soon as it stands in the way. */
#pragma once

#include "tests/sim/cluster.h"

/* Before the node is given this LeaderAndIsr. */
void operator_clears_the_way(struct cluster *cluster, struct world_message *message);
