/* The four choices of a leader. */
#include "coordinator/controller/leader_pick.h"

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

bool isr_has_online(const struct context *context, const struct partition *partition)
{
    const struct ids *isr = &partition->leadership.isr;
    for (int32_t i = 0; i < isr->count; i++) {
        if (online(context, partition, isr->ids[i]))
            return true;
    }
    return false;
}

/* The first of `from` that is online and in sync; -1: none. */
static int32_t first_in_sync(const struct context *context, const struct partition *partition,
                             const struct ids *from)
{
    for (int32_t i = 0; i < from->count; i++) {
        if (online(context, partition, from->ids[i]) &&
            ids_contains(&partition->leadership.isr, from->ids[i]))
            return from->ids[i];
    }
    return LEADER_NONE;
}

static int32_t pick_offline(const struct context *context, const struct partition *partition,
                            bool unclean_allowed, bool *ret_unclean)
{
    int32_t leader = first_in_sync(context, partition, &partition->replicas);
    *ret_unclean = false;
    for (int32_t i = 0; leader == LEADER_NONE && unclean_allowed && i < partition->replicas.count;
         i++) {
        if (online(context, partition, partition->replicas.ids[i])) {
            leader = partition->replicas.ids[i];
            *ret_unclean = true;
        }
    }
    return leader;
}

static int32_t pick_controlled_shutdown(const struct context *context,
                                        const struct partition *partition)
{
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        int32_t id = partition->replicas.ids[i];
        const struct replica *replica = partition_replica(partition, id);
        if (registered(context, id) && !(replica && replica->dir_offline) &&
            !shutting_down(context, id) && ids_contains(&partition->leadership.isr, id))
            return id;
    }
    return LEADER_NONE;
}

static int32_t pick(const struct context *context, const struct partition *partition,
                    enum election how, const struct ids *target, bool *ret_unclean)
{
    *ret_unclean = false;
    switch (how) {
    case ELECT_OFFLINE:
    case ELECT_OFFLINE_UNCLEAN:
        return pick_offline(context, partition, how == ELECT_OFFLINE_UNCLEAN, ret_unclean);
    case ELECT_REASSIGNMENT:
        return first_in_sync(context, partition, target);
    case ELECT_PREFERRED: {
        struct ids first = {.ids = partition->replicas.ids,
                            .count = partition->replicas.count > 0 ? 1 : 0};
        return first_in_sync(context, partition, &first);
    }
    case ELECT_CONTROLLED_SHUTDOWN:
        return pick_controlled_shutdown(context, partition);
    case ELECT_UNCHANGED:
        return partition->leadership.leader;
    }
    return LEADER_NONE;
}

static void choose_isr(const struct context *context, const struct partition *partition,
                       enum election how, struct leader_choice *choice)
{
    const struct ids *isr = &partition->leadership.isr;
    if (choice->unclean) {
        ids_add(&choice->isr, choice->leader);
        return;
    }
    for (int32_t i = 0; i < isr->count; i++) {
        bool offline_election = how == ELECT_OFFLINE || how == ELECT_OFFLINE_UNCLEAN;
        if (offline_election && !online(context, partition, isr->ids[i]))
            continue;
        if (how == ELECT_CONTROLLED_SHUTDOWN && shutting_down(context, isr->ids[i]))
            continue;
        ids_add(&choice->isr, isr->ids[i]);
    }
}

static void choose_told(const struct context *context, const struct partition *partition,
                        enum election how, const struct ids *target, struct leader_choice *choice)
{
    const struct ids *from = how == ELECT_REASSIGNMENT ? target : &partition->replicas;
    for (int32_t i = 0; i < from->count; i++) {
        int32_t id = from->ids[i];
        bool offline_election = how == ELECT_OFFLINE || how == ELECT_OFFLINE_UNCLEAN;
        if (offline_election && !online(context, partition, id))
            continue;
        if (how == ELECT_CONTROLLED_SHUTDOWN && !registered(context, id))
            continue;
        ids_add(&choice->told, id);
    }
}

bool leader_pick(const struct context *context, const struct partition *partition,
                 enum election how, struct leader_choice *ret_choice)
{
    struct leader_choice choice = {0};
    struct ids target;
    partition_target(partition, &target);
    choice.leader = pick(context, partition, how, &target, &choice.unclean);
    choice.unchanged = how == ELECT_UNCHANGED;
    bool is_decided = choice.leader != LEADER_NONE || choice.unchanged;
    if (is_decided) {
        choose_isr(context, partition, how, &choice);
        choose_told(context, partition, how, &target, &choice);
        *ret_choice = choice;
    }
    ids_done(&target);
    return is_decided;
}
