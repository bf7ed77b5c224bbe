/* Moving a partition to other replicas (KIP-455). Fiber only. After an error of any of these the
 * event must end. */
#pragma once

#include "coordinator/controller/controller_internal.h"

struct reassignment_wish {
    struct partition *partition;
    struct ids target; /* borrowed */
    enum err error;    /* in: not ERR_OK, left out; out: UNKNOWN_SERVER_ERROR, not written;
                        * INVALID_REPLICA_ASSIGNMENT, no replica in sync would stay */
};

/* Begin, or give a running one another target. A target equal to the origin cancels. Each partition
 * at most once. */
MUST_USE enum err reassignments_begin(struct controller *controller,
                                      struct reassignment_wish *wishes, size_t count);
/* Go on with these from wherever they are. */
MUST_USE enum err reassignments_advance(struct controller *controller,
                                        const struct partition_list *partitions);
/* The ISR of these has changed: finish those whose target is in sync. One may be named twice. */
MUST_USE enum err reassignments_finish_ready(struct controller *controller,
                                             const struct partition_list *partitions);
/* All that run (broker NULL, after a fail-over), or those with a target on a broker that came. */
MUST_USE enum err reassignments_resume(struct controller *controller,
                                       const struct broker_node *broker);

/* reassignment_legacy.c: /admin/reassign_partitions, written by tools before KIP-455. */
/* Take what stands there as wishes; watch it. */
MUST_USE enum err reassignment_run_legacy(struct controller *controller);
/* Take out what does not run any more; delete the node, and watch for the next, when nothing is
 * left. */
MUST_USE enum err reassignment_clean_legacy(struct controller *controller);
