/* The four choices of a leader. */
#include "coordinator/controller/leader_pick.h"

#include "coordinator/controller/last_standing.h"

static bool online(const struct context *context, const struct partition *partition, int32_t id)
{
    return partition_replica_is_online(context, partition, id);
}

static bool registered(const struct context *context, int32_t id)
{
    const struct broker_node *broker = context_find_broker(context, id);
    return broker && broker->registered;
}

static bool shutting_down(const struct context *context, int32_t id)
{
    const struct broker_node *broker = context_find_broker(context, id);
    return broker && broker->shutting_down;
}

bool isr_has_whole(const struct context *context, const struct partition *partition)
{
    const struct ids *isr = &partition->leadership.isr;
    for (int32_t i = 0; i < isr->count; i++) {
        if (standing_is_whole(context, partition, isr->ids[i]))
            return true;
    }
    return false;
}

/* The first of `from` that is online and in sync, and has lost nothing since; -1: none. */
static int32_t first_in_sync(const struct context *context, const struct partition *partition,
                             const struct ids *from)
{
    for (int32_t i = 0; i < from->count; i++) {
        if (standing_is_whole(context, partition, from->ids[i]))
            return from->ids[i];
    }
    return LEADER_NONE;
}

static int32_t first_online(const struct context *context, const struct partition *partition,
                            const struct ids *among)
{
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        int32_t id = partition->replicas.ids[i];
        if (online(context, partition, id) && (!among || ids_contains(among, id)))
            return id;
    }
    return LEADER_NONE;
}

bool leader_pick_needs_note(const struct context *context, const struct partition *partition,
                            bool unclean_allowed)
{
    const struct ids *isr = &partition->leadership.isr;
    return isr->count < partition->replicas.count && !isr_has_whole(context, partition) &&
           (unclean_allowed || first_online(context, partition, isr) != LEADER_NONE);
}

/* Members of the ISR that have lost something lead where nobody else can be complete, as in Kafka;
 * else the complete one, which is waited for. Somebody who may lack records is only made leader
 * where that is allowed. */
static void pick_offline(const struct context *context, const struct partition *partition,
                         bool unclean_allowed, const struct znode_complete *note,
                         struct leader_choice *choice)
{
    int32_t complete = LEADER_NONE;
    choice->leader = first_in_sync(context, partition, &partition->replicas);
    if (choice->leader != LEADER_NONE)
        return;
    int32_t damaged = first_online(context, partition, &partition->leadership.isr);
    enum standing_others others = standing_others(context, partition, note, &complete);
    if (others == OTHERS_HERE && (damaged != LEADER_NONE || unclean_allowed)) {
        choice->leader = complete;
        choice->from_note = true;
        return;
    }
    choice->leader = damaged;
    choice->unclean = damaged != LEADER_NONE && others == OTHERS_AWAY;
    if (choice->leader == LEADER_NONE && unclean_allowed) {
        choice->leader = first_online(context, partition, NULL);
        choice->unclean = choice->leader != LEADER_NONE;
    }
    if (choice->unclean && !unclean_allowed)
        choice->leader = LEADER_NONE;
}

static int32_t pick_controlled_shutdown(const struct context *context,
                                        const struct partition *partition)
{
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        int32_t id = partition->replicas.ids[i];
        const struct replica *replica = partition_replica(partition, id);
        if (registered(context, id) && !(replica && replica->dir_offline) &&
            !shutting_down(context, id) && ids_contains(&partition->leadership.isr, id) &&
            !standing_has_lost(context, &partition->leadership, id))
            return id;
    }
    return LEADER_NONE;
}

static void pick(const struct context *context, const struct partition *partition,
                 enum election how, const struct ids *target, const struct znode_complete *note,
                 struct leader_choice *choice)
{
    choice->leader = LEADER_NONE;
    switch (how) {
    case ELECT_OFFLINE:
    case ELECT_OFFLINE_UNCLEAN:
        pick_offline(context, partition, how == ELECT_OFFLINE_UNCLEAN, note, choice);
        break;
    case ELECT_REASSIGNMENT:
        choice->leader = first_in_sync(context, partition, target);
        if (choice->leader == LEADER_NONE) /* one that is on its way out, until it may go */
            choice->leader = first_in_sync(context, partition, &partition->replicas);
        break;
    case ELECT_PREFERRED: {
        struct ids first = {.ids = partition->replicas.ids,
                            .count = partition->replicas.count > 0 ? 1 : 0};
        choice->leader = first_in_sync(context, partition, &first);
        break;
    }
    case ELECT_CONTROLLED_SHUTDOWN:
        choice->leader = pick_controlled_shutdown(context, partition);
        break;
    case ELECT_UNCHANGED:
        choice->leader = partition->leadership.leader;
        break;
    }
}

static void choose_isr(const struct context *context, const struct partition *partition,
                       enum election how, struct leader_choice *choice)
{
    const struct ids *isr = &partition->leadership.isr;
    if (choice->unclean || choice->from_note) {
        ids_add(&choice->isr, choice->leader);
        return;
    }
    for (int32_t i = 0; i < isr->count; i++) {
        bool offline_election = how == ELECT_OFFLINE || how == ELECT_OFFLINE_UNCLEAN;
        bool is_damaged = isr->ids[i] != choice->leader &&
                          standing_has_lost(context, &partition->leadership, isr->ids[i]);
        if (offline_election && (!online(context, partition, isr->ids[i]) || is_damaged))
            continue;
        if (how == ELECT_CONTROLLED_SHUTDOWN && shutting_down(context, isr->ids[i]))
            continue;
        ids_add(&choice->isr, isr->ids[i]);
    }
}

static void choose_told(const struct context *context, const struct partition *partition,
                        enum election how, struct leader_choice *choice)
{
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        int32_t id = partition->replicas.ids[i];
        bool offline_election = how == ELECT_OFFLINE || how == ELECT_OFFLINE_UNCLEAN;
        if (offline_election && !online(context, partition, id))
            continue;
        if (how == ELECT_CONTROLLED_SHUTDOWN && !registered(context, id))
            continue;
        ids_add(&choice->told, id);
    }
}

bool leader_pick(const struct context *context, const struct partition *partition,
                 enum election how, const struct znode_complete *note,
                 struct leader_choice *ret_choice)
{
    struct leader_choice choice = {0};
    struct ids target;
    partition_target(partition, &target);
    pick(context, partition, how, &target, note, &choice);
    choice.unchanged = how == ELECT_UNCHANGED;
    bool is_decided = choice.leader != LEADER_NONE || choice.unchanged;
    if (is_decided) {
        choose_isr(context, partition, how, &choice);
        choose_told(context, partition, how, &choice);
        *ret_choice = choice;
    }
    ids_done(&target);
    return is_decided;
}
