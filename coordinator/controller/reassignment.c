/* Reassignments (KIP-455): a partition's replicas are moved to a target while records flow.
 *
 *     replicas: the target, then those of the origin that are not in it
 *     adding, removing: the differences
 *
 *     begin --> adding are NEW, the leader lets them catch up -- the target is in sync --> end
 *
 * Phases and their order are those of zookeeper-and-controller.md §4.4: the topic znode is written
 * first when a reassignment begins and last when it ends, so any controller can go on with it. Each
 * phase treats all the partitions it is given together: one wave of ZooKeeper operations, one
 * request to each broker. */
#include "coordinator/controller/reassignment.h"

#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/last_standing.h"

/* ---- The topic znode ---- */

static struct topic_znode znode_of(struct arena *arena, const struct topic *topic)
{
    struct topic_znode znode = {.id = topic->id, .count = topic->partition_count};
    znode.items = arena_new_array(arena, struct assignment, (size_t)topic->partition_count + 1);
    for (int32_t p = 0; p < topic->partition_count; p++) {
        const struct partition *partition = topic->partitions[p];
        znode.items[p] = (struct assignment){.partition = partition->id,
                                             .replicas = partition->replicas,
                                             .adding = partition->adding,
                                             .removing = partition->removing};
    }
    return znode;
}

static int by_topic(const void *a, const void *b)
{
    const struct topic *x = *(struct topic *const *)a, *y = *(struct topic *const *)b;
    return strcmp(x->name, y->name);
}

/* The topics of the partitions, each once; the caller frees. */
static struct topic **topics_of(const struct partition_list *partitions, size_t *ret_count)
{
    struct topic **topics = mem_new_array(struct topic *, partitions->count + 1);
    for (size_t i = 0; i < partitions->count; i++)
        topics[i] = partitions->items[i]->topic;
    if (partitions->count)
        qsort(topics, partitions->count, sizeof *topics, by_topic);
    size_t count = 0;
    for (size_t i = 0; i < partitions->count; i++)
        if (count == 0 || topics[count - 1] != topics[i])
            topics[count++] = topics[i];
    *ret_count = count;
    return topics;
}

/* Write the cached assignments of these topics, keeping what we do not know in their znodes. A
 * topic that could not be written is in ret_failed. */
static enum err write_topics(struct controller *controller, struct topic *const *topics,
                             size_t count, bool *ret_failed)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    char path[PATH_MAX_BYTES];
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/brokers/topics/%s", topics[i]->name);
        wave_get(wave, path, true);
    }
    enum err e = wave_run(wave);
    if (e)
        return e;
    OWNED(wave) struct wave *writes = wave_new(controller);
    OWNED_MEM size_t *slots = mem_new_array(size_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        ret_failed[i] = wave_result(wave, i)->error != ERR_OK;
        if (ret_failed[i])
            continue;
        struct topic_znode znode = znode_of(wave_arena(writes), topics[i]);
        snprintf(path, sizeof path, "/brokers/topics/%s", topics[i]->name);
        slots[i] = wave_guarded_set(
            writes, path,
            codec_topic_encode(wave_arena(writes), wave_result(wave, i)->data, &znode),
            ZK_ANY_VERSION);
    }
    e = wave_run(writes);
    for (size_t i = 0; !e && i < count; i++) {
        if (ret_failed[i] || !wave_result(writes, slots[i])->error)
            continue;
        ret_failed[i] = true;
        trace_error("assignment not written topic=%s error=%s", topics[i]->name,
                    err_name(wave_result(writes, slots[i])->error));
    }
    return e;
}

/* ---- What is wanted ---- */

struct plan {
    struct reassignment_wish *wish;
    struct ids replicas, adding, removing; /* as they were */
    struct ids dropped;                    /* were replicas, are not any more */
    bool has_changed;
    bool keeps_records; /* a replica that has all of them stays */
};

static void plan_done(struct plan *plan)
{
    ids_done(&plan->replicas);
    ids_done(&plan->adding);
    ids_done(&plan->removing);
    ids_done(&plan->dropped);
}

static void ids_copy(struct ids *to, const struct ids *from)
{
    *to = (struct ids){0};
    ids_set(to, from->ids, from->count);
}

static void ids_add_missing(struct ids *to, const struct ids *from, const struct ids *but)
{
    for (int32_t i = 0; i < from->count; i++)
        if (!ids_contains(but, from->ids[i]))
            ids_add(to, from->ids[i]);
}

/* A replica that was being added may be the only one in sync by now. To drop it, and delete its
 * log, would lose what was acknowledged: KRaft refuses that, the JVM's ZooKeeper controller does
 * it. Where it leads, another one has to be there that can. */
static bool keeps_in_sync(const struct context *context, const struct partition *partition,
                          const struct ids *replicas)
{
    const struct ids *isr = &partition->leadership.isr;
    if (!partition->has_leadership || isr->count == 0)
        return true;
    int32_t leader = partition->leadership.leader;
    bool leader_stays = leader < 0 || ids_contains(replicas, leader);
    for (int32_t i = 0; i < isr->count; i++) {
        int32_t id = isr->ids[i];
        if (ids_contains(replicas, id) &&
            (leader_stays || standing_is_whole(context, partition, id)))
            return true;
    }
    return false;
}

/* The assignment that leads from where the partition came from to the target; in the cache. */
static void assign_target(struct controller *controller, struct plan *plan)
{
    struct partition *partition = plan->wish->partition;
    struct ids origin, replicas, adding = {0}, removing = {0};
    const struct ids *target = &plan->wish->target;
    partition_origin(partition, &origin);
    ids_copy(&replicas, target);
    ids_add_missing(&replicas, &origin, target);
    ids_add_missing(&adding, &replicas, &origin);
    ids_add_missing(&removing, &replicas, target);
    ids_copy(&plan->replicas, &partition->replicas);
    ids_copy(&plan->adding, &partition->adding);
    ids_copy(&plan->removing, &partition->removing);
    ids_add_missing(&plan->dropped, &partition->replicas, &replicas);
    plan->has_changed = !ids_equal(&replicas, &partition->replicas) ||
                        !ids_equal(&adding, &partition->adding) ||
                        !ids_equal(&removing, &partition->removing);
    plan->keeps_records = keeps_in_sync(&controller->context, partition, &replicas);
    partition_assign(&controller->context, partition, &replicas, &adding, &removing);
    ids_done(&origin);
    ids_done(&replicas);
    ids_done(&adding);
    ids_done(&removing);
}

/* Take back what could not be written. */
static void unassign(struct controller *controller, struct plan *plan)
{
    struct partition *partition = plan->wish->partition;
    partition_assign(&controller->context, partition, &plan->replicas, &plan->adding,
                     &plan->removing);
    for (int32_t i = partition->known_count - 1; i >= 0; i--) {
        const struct replica *replica = &partition->known[i];
        if (replica->state == REPLICA_NONEXISTENT &&
            !ids_contains(&partition->replicas, replica->broker->id))
            partition_remove_replica(partition, replica->broker->id);
    }
    plan->wish->error = ERR_UNKNOWN_SERVER_ERROR;
    plan->has_changed = false;
    ids_done(&plan->dropped);
}

static enum err write_plans(struct controller *controller, struct plan *plans, size_t count)
{
    PARTITION_LIST changed = {0};
    for (size_t i = 0; i < count; i++)
        if (plans[i].has_changed)
            partition_list_add(&changed, plans[i].wish->partition);
    size_t topics_count;
    OWNED_MEM struct topic **topics = topics_of(&changed, &topics_count);
    OWNED_MEM bool *failed = mem_new_array(bool, topics_count + 1);
    enum err e = write_topics(controller, topics, topics_count, failed);
    for (size_t i = 0; i < count; i++)
        for (size_t t = 0; plans[i].has_changed && t < topics_count; t++)
            if (plans[i].wish->partition->topic == topics[t] && (e || failed[t]))
                unassign(controller, &plans[i]);
    return e;
}

/* ---- Replicas that go ---- */

static enum err delete_replicas(struct controller *controller, struct replica_list *replicas)
{
    static const enum replica_state steps[] = {REPLICA_OFFLINE, REPLICA_DELETION_STARTED,
                                               REPLICA_DELETION_SUCCESSFUL, REPLICA_NONEXISTENT};
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < ARRAY_SIZE(steps) && replicas->count > 0; i++)
        e = replicas_move(controller, replicas, steps[i]);
    return e;
}

static void list_replicas(struct replica_list *list, struct partition *partition,
                          const struct ids *ids)
{
    for (int32_t i = 0; i < ids->count; i++) {
        struct replica *replica = partition_replica(partition, ids->ids[i]);
        if (replica)
            replica_list_add(list, partition, replica->broker);
    }
}

/* ---- On the way ---- */

static bool target_is_in_sync(const struct partition *partition)
{
    struct ids target;
    partition_target(partition, &target);
    bool is_in_sync = partition->has_leadership;
    for (int32_t i = 0; is_in_sync && i < target.count; i++)
        is_in_sync = ids_contains(&partition->leadership.isr, target.ids[i]);
    ids_done(&target);
    return is_in_sync;
}

/* Tell the leader whom to let in, with a new leader epoch (a LeaderAndIsr of the same one would be
 * refused), and the new ones that they are. */
static enum err let_catch_up(struct controller *controller, const struct partition_list *partitions)
{
    if (partitions->count == 0)
        return ERR_OK;
    batch_begin(controller);
    enum err e = partitions_elect(controller, partitions, ELECT_UNCHANGED, NULL);
    if (e)
        return e;
    REPLICA_LIST fresh = {0};
    for (size_t i = 0; i < partitions->count; i++) {
        struct partition *partition = partitions->items[i];
        for (int32_t a = 0; a < partition->adding.count; a++) {
            batch_leader_and_isr(controller, partition, partition->adding.ids[a], true);
            struct replica *replica = partition_replica(partition, partition->adding.ids[a]);
            if (replica && replica->state == REPLICA_NONEXISTENT)
                replica_list_add(&fresh, partition, replica->broker);
        }
    }
    batch_send(controller);
    return replicas_move(controller, &fresh, REPLICA_NEW);
}

/* ---- The end ---- */

static enum err bring_online(struct controller *controller, const struct partition_list *partitions)
{
    REPLICA_LIST added = {0};
    for (size_t i = 0; i < partitions->count; i++)
        list_replicas(&added, partitions->items[i], &partitions->items[i]->adding);
    return replicas_move(controller, &added, REPLICA_ONLINE);
}

/* The cache names only the target from here on; those that go are listed. */
static void settle_on_target(struct controller *controller, const struct partition_list *partitions,
                             struct replica_list *gone)
{
    for (size_t i = 0; i < partitions->count; i++) {
        struct partition *partition = partitions->items[i];
        struct ids target;
        partition_target(partition, &target);
        list_replicas(gone, partition, &partition->removing);
        partition_assign(&controller->context, partition, &target, NULL, NULL);
        ids_done(&target);
    }
}

static bool leader_stays(struct controller *controller, const struct partition *partition)
{
    int32_t leader = partition->leadership.leader;
    return ids_contains(&partition->replicas, leader) &&
           partition_replica_is_online(&controller->context, partition, leader);
}

static enum err move_leaders(struct controller *controller, const struct partition_list *partitions)
{
    PARTITION_LIST staying = {0}, moving = {0};
    for (size_t i = 0; i < partitions->count; i++) {
        bool stays = leader_stays(controller, partitions->items[i]);
        partition_list_add(stays ? &staying : &moving, partitions->items[i]);
    }
    batch_begin(controller);
    enum err e = partitions_elect(controller, &staying, ELECT_UNCHANGED, NULL);
    if (!e)
        e = partitions_elect(controller, &moving, ELECT_REASSIGNMENT, NULL);
    if (!e)
        batch_send(controller);
    return e;
}

static void tell_everyone(struct controller *controller, const struct partition_list *partitions)
{
    batch_begin(controller);
    batch_update_all(controller);
    for (size_t i = 0; i < partitions->count; i++)
        batch_update_partition(controller, partitions->items[i]);
    batch_send(controller);
}

static enum err finish(struct controller *controller, const struct partition_list *partitions)
{
    if (partitions->count == 0)
        return ERR_OK;
    REPLICA_LIST gone = {0};
    enum err e = bring_online(controller, partitions);
    if (e)
        return e;
    settle_on_target(controller, partitions, &gone);
    e = move_leaders(controller, partitions);
    if (!e)
        e = delete_replicas(controller, &gone);
    if (e)
        return e;
    size_t topics_count;
    OWNED_MEM struct topic **topics = topics_of(partitions, &topics_count);
    OWNED_MEM bool *failed = mem_new_array(bool, topics_count + 1);
    e = write_topics(controller, topics, topics_count, failed);
    if (!e)
        e = reassignment_clean_legacy(controller);
    if (e)
        return e;
    tell_everyone(controller, partitions);
    for (size_t i = 0; i < partitions->count; i++)
        trace_info("reassignment complete topic=%s partition=%" PRId32 " replicas=%" PRId32,
                   partitions->items[i]->topic->name, partitions->items[i]->id,
                   partitions->items[i]->replicas.count);
    for (size_t i = 0; i < topics_count; i++)
        deletion_resume_for_topic(topics[i]);
    return deletion_resume(controller);
}

/* ---- What others call ---- */

enum err reassignments_advance(struct controller *controller,
                               const struct partition_list *partitions)
{
    enum err e = partitions_refresh(controller, partitions);
    if (e)
        return e;
    PARTITION_LIST ready = {0}, waiting = {0};
    for (size_t i = 0; i < partitions->count; i++) {
        struct partition *partition = partitions->items[i];
        partition_list_add(target_is_in_sync(partition) ? &ready : &waiting, partition);
    }
    e = let_catch_up(controller, &waiting);
    return e ? e : finish(controller, &ready);
}

enum err reassignments_finish_ready(struct controller *controller,
                                    const struct partition_list *partitions)
{
    PARTITION_LIST ready = {0};
    struct map seen = {0};
    for (size_t i = 0; i < partitions->count; i++) {
        struct partition *partition = partitions->items[i];
        if (partition_is_reassigning(partition) && target_is_in_sync(partition) &&
            !map_put(&seen, MAP_KEY(partition), partition))
            partition_list_add(&ready, partition);
    }
    map_done(&seen);
    return finish(controller, &ready);
}

enum err reassignments_resume(struct controller *controller, const struct broker_node *broker)
{
    PARTITION_LIST partitions = {0};
    struct map_entry *e;
    for (size_t i = 0; !broker && (e = map_next(&controller->context.topics, &i));) {
        const struct topic *topic = e->value;
        for (int32_t p = 0; p < topic->partition_count; p++)
            if (partition_is_reassigning(topic->partitions[p]))
                partition_list_add(&partitions, topic->partitions[p]);
    }
    for (size_t i = 0; broker && i < broker->replica_count; i++) {
        struct partition *partition = broker->replicas[i];
        if (partition_is_reassigning(partition) && !ids_contains(&partition->removing, broker->id))
            partition_list_add(&partitions, partition);
    }
    return partitions.count ? reassignments_advance(controller, &partitions) : ERR_OK;
}

/* Before its log goes: a partition without a leader would wait for one until a broker comes or
 * goes. */
static enum err replace_leaders(struct controller *controller, const struct partition_list *led)
{
    if (led->count == 0)
        return ERR_OK;
    batch_begin(controller);
    enum err e = partitions_elect(controller, led, ELECT_REASSIGNMENT, NULL);
    if (!e)
        batch_send(controller);
    return e;
}

static enum err begin_planned(struct controller *controller, struct plan *plans, size_t count)
{
    enum err e = write_plans(controller, plans, count);
    if (e)
        return e;
    PARTITION_LIST begun = {0}, led_by_dropped = {0};
    REPLICA_LIST dropped = {0};
    for (size_t i = 0; i < count; i++) {
        struct partition *partition = plans[i].wish->partition;
        if (plans[i].wish->error)
            continue;
        trace_info("reassignment begins topic=%s partition=%" PRId32 " adding=%" PRId32
                   " removing=%" PRId32,
                   partition->topic->name, partition->id, partition->adding.count,
                   partition->removing.count);
        list_replicas(&dropped, partition, &plans[i].dropped);
        if (ids_contains(&plans[i].dropped, partition->leadership.leader))
            partition_list_add(&led_by_dropped, partition);
        partition_list_add(&begun, partition);
    }
    e = replace_leaders(controller, &led_by_dropped);
    if (!e)
        e = delete_replicas(controller, &dropped);
    return e || begun.count == 0 ? e : reassignments_advance(controller, &begun);
}

enum err reassignments_begin(struct controller *controller, struct reassignment_wish *wishes,
                             size_t count)
{
    OWNED_MEM struct plan *plans = mem_new_array(struct plan, count + 1);
    size_t planned = 0;
    for (size_t i = 0; i < count; i++) {
        if (wishes[i].error)
            continue;
        plans[planned].wish = &wishes[i];
        assign_target(controller, &plans[planned]);
        if (!plans[planned].keeps_records) {
            unassign(controller, &plans[planned]);
            wishes[i].error = ERR_INVALID_REPLICA_ASSIGNMENT;
        }
        planned++;
    }
    enum err e = begin_planned(controller, plans, planned);
    for (size_t i = 0; i < planned; i++)
        plan_done(&plans[i]);
    return e;
}
