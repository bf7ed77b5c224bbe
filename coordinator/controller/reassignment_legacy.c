/* /admin/reassign_partitions: a plan that a tool wrote as a znode. It stands until all of it is
 * done, so that the tool can see how far it is. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/reassignment.h"
#include "coordinator/zk/znode.h"

#define LEGACY_ZNODE "/admin/reassign_partitions"

static struct ids ids_of(const struct znode_partition_ref *ref)
{
    return (struct ids){.ids = ref->replicas.ids, .count = ref->replicas.count};
}

static struct partition *named(struct controller *controller, const struct znode_partition_ref *ref)
{
    return context_partition(&controller->context, ref->topic, ref->partition);
}

/* It is on its way to what the znode asks for. */
static bool still_runs(struct controller *controller, const struct znode_partition_ref *ref)
{
    const struct partition *partition = named(controller, ref);
    if (!partition || !partition_is_reassigning(partition))
        return false;
    struct ids target, asked = ids_of(ref);
    partition_target(partition, &target);
    bool runs = ids_equal(&target, &asked);
    ids_done(&target);
    return runs;
}

/* ret_exists: false, and watched, where there is no plan. */
static enum err read_plan(struct controller *controller, struct wave *wave,
                          struct znode_partition_list *ret, bool *ret_exists)
{
    size_t get = wave_get(wave, LEGACY_ZNODE, false);
    enum err e = wave_run(wave);
    if (e)
        return e;
    const struct wave_result *found = wave_result(wave, get);
    *ret_exists = found->error != ERR_NOT_FOUND;
    *ret = (struct znode_partition_list){0};
    if (found->error == ERR_OK && znode_reassign_decode(wave_arena(wave), found->data, ret)) {
        trace_error("%s cannot be read and is deleted: %s", LEGACY_ZNODE,
                    err_sentence(ERR_MALFORMED));
        *ret = (struct znode_partition_list){0};
    }
    (void)controller;
    return found->error == ERR_NOT_FOUND ? ERR_OK : found->error;
}

enum err reassignment_clean_legacy(struct controller *controller)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    struct znode_partition_list plan;
    bool exists;
    enum err e = read_plan(controller, wave, &plan, &exists);
    if (e || !exists)
        return e;
    int32_t kept = 0;
    for (int32_t i = 0; i < plan.count; i++)
        if (still_runs(controller, &plan.partitions[i]))
            plan.partitions[kept++] = plan.partitions[i];
    bool has_changed = kept < plan.count || plan.count == 0;
    plan.count = kept;
    if (kept == 0)
        wave_guarded_delete(wave, LEGACY_ZNODE);
    else if (has_changed)
        wave_guarded_set(wave, LEGACY_ZNODE, znode_reassign_encode(wave_arena(wave), &plan),
                         ZK_ANY_VERSION);
    wave_exists(wave, LEGACY_ZNODE, true);
    return wave_run(wave);
}

enum err reassignment_run_legacy(struct controller *controller)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    struct znode_partition_list plan;
    bool exists;
    wave_exists(wave, LEGACY_ZNODE, true);
    enum err e = read_plan(controller, wave, &plan, &exists);
    if (e || !exists)
        return e;
    OWNED_MEM struct reassignment_wish *wishes =
        mem_new_array(struct reassignment_wish, (size_t)plan.count + 1);
    size_t count = 0;
    struct map seen = {0};
    for (int32_t i = 0; i < plan.count; i++) {
        const struct znode_partition_ref *ref = &plan.partitions[i];
        struct partition *partition = named(controller, ref);
        if (!partition || partition->topic->deleting || ref->replicas.count == 0 ||
            still_runs(controller, ref) || map_put(&seen, MAP_KEY(partition), partition))
            continue;
        wishes[count++] = (struct reassignment_wish){.partition = partition, .target = ids_of(ref)};
    }
    map_done(&seen);
    trace_info("a plan of reassignments was found in ZooKeeper partitions=%" PRId32 " new=%zu",
               plan.count, count);
    e = reassignments_begin(controller, wishes, count);
    return e ? e : reassignment_clean_legacy(controller);
}

enum err event_reassignment_znode(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    return cancelled || !controller->active ? ERR_OK : reassignment_run_legacy(controller);
}
