/* Which versions of the controller's requests a cluster of a given inter.broker.protocol.version
 * understands. There is no negotiation on these connections: a wrong one fails for ever (trap T35).
 */
#pragma once

#include "broker/base/err.h"

struct rpc_versions {
    int16_t leader_and_isr, update_metadata, stop_replica;
};

/* "3.9", "3.9-IV0", "0.10.2-IV0": a number that grows with the release; a release without its -IV
 * counts as the release's last. Error: ERR_INVALID_CONFIG. */
MUST_USE enum err ibp_parse(const char *text, int32_t *ret_level);
#define IBP_LEVEL(major, minor, patch, iv) ((major)*1000000 + (minor)*10000 + (patch)*100 + (iv))
struct rpc_versions rpc_versions_of(int32_t ibp_level);
