/* Reassignments: the part that stands before they can be carried out.
 * /admin/reassign_partitions is watched. */
#include "broker/base/trace.h"
#include "coordinator/controller/controller_internal.h"

enum err reassignment_znode_watch(struct controller *controller)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t legacy = wave_exists(wave, "/admin/reassign_partitions", true);
    wave_exists(wave, "/admin/preferred_replica_election", true);
    enum err e = wave_run(wave);
    if (!e && !wave_result(wave, legacy)->error)
        trace_warn("/admin/reassign_partitions is left alone: this controller does not reassign");
    return e;
}

enum err event_reassignment_znode(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    return cancelled || !controller->active ? ERR_OK : reassignment_znode_watch(controller);
}
