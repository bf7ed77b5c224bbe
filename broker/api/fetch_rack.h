/* Which replica a consumer should read from (KIP-392): one in its rack, where
 * replica.selector.class names the rack-aware selector. */
#pragma once

#include "broker/api/fetch_read.h"

#define RACK_AWARE_SELECTOR_CLASS "org.apache.kafka.common.replica.RackAwareReplicaSelector"

/* Does this request ask for the choice at all? Then every partition is looked at each time. */
bool fetch_rack_is_asked(const struct request *request, int32_t replica_id);

/* A replica to send the consumer to, which then reads nothing here; NO_BROKER: it reads here. Only
 * a leader sends anyone away, and never a follower or a client of Fetch 10 and below (trap 60). */
int32_t fetch_preferred_replica(struct fetch_part *part);
