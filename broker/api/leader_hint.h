/* KIP-951: an answer that says NOT_LEADER_OR_FOLLOWER also names the leader that this broker knows
 * of, and where it listens, so that the client need not ask for metadata first. */
#pragma once

#include "broker/api/broker.h"
#include "wire/fetch.h"
#include "wire/produce.h"

struct leader_hints {
    struct request *request;
    int32_t *leaders; /* whose endpoints the answer must carry, each once; in the arena */
    int32_t count, capacity;
};

/* The leader and epoch of a partition as this broker knows them; false when it knows none. Notes
 * the leader. */
bool leader_hints_find(struct leader_hints *hints, struct slice topic, int32_t partition,
                       int32_t *ret_leader, int32_t *ret_leader_epoch);

/* The endpoints of the leaders that were found, on the request's listener. In the arena. */
struct leader_endpoint {
    int32_t node_id, port;
    struct slice host, rack;
};
int32_t leader_hints_endpoints(struct leader_hints *hints, struct leader_endpoint **ret);
