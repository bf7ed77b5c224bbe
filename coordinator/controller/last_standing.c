/* Epochs of a broker are zxids, as is the time of a state's writing, so they can be compared. */
#include "coordinator/controller/last_standing.h"

#include "coordinator/zk/znode.h"

bool standing_has_lost(const struct context *context, const struct leadership *state, int32_t id)
{
    const struct broker_node *broker = context_find_broker(context, id);
    return broker && broker->registered && state->led_zxid > 0 &&
           broker->intact_since > state->led_zxid;
}

bool standing_is_whole(const struct context *context, const struct partition *partition, int32_t id)
{
    return partition_replica_is_online(context, partition, id) &&
           ids_contains(&partition->leadership.isr, id) &&
           !standing_has_lost(context, &partition->leadership, id);
}

/* It has not been stopped uncleanly since that epoch of it. A broker that does not tell is known to
 * be the same only while it has stayed registered. */
static bool is_intact_since(const struct broker_node *broker, int64_t broker_epoch)
{
    return broker->broker_epoch == broker_epoch ||
           (broker->intact_since > 0 && broker->intact_since <= broker_epoch);
}

static enum standing_others judge(const struct context *context, const struct partition *partition,
                                  const struct znode_complete_replica *noted)
{
    const struct broker_node *broker = context_find_broker(context, noted->broker_id);
    const struct replica *replica = partition_replica(partition, noted->broker_id);
    if (!ids_contains(&partition->replicas, noted->broker_id) || (replica && replica->dir_offline))
        return OTHERS_NONE;
    if (!broker || !broker->registered)
        return OTHERS_AWAY;
    if (!is_intact_since(broker, noted->broker_epoch))
        return OTHERS_NONE;
    return broker->shutting_down ? OTHERS_AWAY : OTHERS_HERE;
}

bool standing_may_be_complete(const struct context *context, const struct partition *partition,
                              const struct znode_complete_replica *noted)
{
    return judge(context, partition, noted) != OTHERS_NONE;
}

int64_t standing_known(const struct context *context, const struct ids *isr)
{
    int64_t newest = 0;
    for (int32_t i = 0; i < isr->count; i++) {
        const struct broker_node *broker = context_find_broker(context, isr->ids[i]);
        if (broker && broker->broker_epoch > newest)
            newest = broker->broker_epoch;
    }
    return newest;
}

void standing_begins(const struct context *context, const struct partition *partition,
                     struct leadership *next)
{
    if (next->leader < 0)
        return;
    bool is_whole = next->isr.count == partition->replicas.count;
    next->led_zxid = is_whole ? 0 : standing_known(context, &next->isr);
}

static const struct znode_complete_replica *find(const struct znode_complete *note, int32_t id)
{
    for (int32_t i = 0; i < note->replica_count; i++) {
        if (note->replicas[i].broker_id == id)
            return &note->replicas[i];
    }
    return NULL;
}

enum standing_others standing_others(const struct context *context,
                                     const struct partition *partition,
                                     const struct znode_complete *note, int32_t *ret_id)
{
    enum standing_others best = OTHERS_NONE;
    const struct ids *replicas = &partition->replicas;
    const struct ids *isr = &partition->leadership.isr;
    bool holds = note && note->state_version == partition->leadership.led_version &&
                 ids_contains(isr, note->leader) && (!note->is_of_controller || isr->count == 1);
    for (int32_t i = 0; holds && best != OTHERS_HERE && i < replicas->count; i++) {
        const struct znode_complete_replica *noted = find(note, replicas->ids[i]);
        enum standing_others this_one = noted ? judge(context, partition, noted) : OTHERS_NONE;
        if (this_one > best)
            best = this_one;
        if (this_one == OTHERS_HERE)
            *ret_id = replicas->ids[i];
    }
    return best;
}

/* Of an ISR whose members were all stopped uncleanly: the one that leads, or would be chosen. */
static int32_t keeper(const struct context *context, const struct partition *partition)
{
    const struct leadership *state = &partition->leadership;
    if (partition_replica_is_online(context, partition, state->leader))
        return state->leader;
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        int32_t id = partition->replicas.ids[i];
        if (ids_contains(&state->isr, id) && partition_replica_is_online(context, partition, id))
            return id;
    }
    return LEADER_NONE;
}

bool standing_is_doubtful(const struct context *context, const struct partition *partition,
                          int32_t id)
{
    const struct leadership *state = &partition->leadership;
    if (!partition->has_leadership || !standing_has_lost(context, state, id) ||
        partition_is_given_up(partition))
        return false;
    for (int32_t i = 0; i < state->isr.count; i++) {
        if (standing_is_whole(context, partition, state->isr.ids[i]))
            return true;
    }
    if (state->isr.count == 1)
        return state->leader == id && partition->replicas.count > 1;
    return id != keeper(context, partition);
}
