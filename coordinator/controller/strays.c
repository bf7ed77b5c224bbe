/* Logs of topics that are no more, in the way of topics that have their names. A reassignment does
 * not wait until those who leave have deleted theirs, and a broker may be away when its topic goes.
 * When the topic is made anew such a broker answers INCONSISTENT_TOPIC_ID, and in Kafka's ZooKeeper
 * mode it does so for ever. We have it delete that log, and then tell it its role again.
 *
 * Only where another replica leads and has taken its role: then the topic as ZooKeeper knows it is
 * at home in the cluster. Where all refuse, it is ZooKeeper that does not belong to these logs
 * (restored from a copy, say), and nothing may be deleted. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/controller_internal.h"

bool partition_has_stray(const struct partition *partition)
{
    for (int32_t i = 0; i < partition->known_count; i++) {
        if (partition->known[i].is_stray)
            return true;
    }
    return false;
}

/* Somebody else leads it, and said so. */
static bool is_at_home(struct controller *controller, struct partition *partition,
                       const struct replica *but)
{
    if (!partition->has_leadership || partition->leadership.leader == but->broker->id)
        return false;
    const struct replica *leader = partition_replica(partition, partition->leadership.leader);
    return leader && leader->has_role &&
           context_is_live(&controller->context, partition->leadership.leader);
}

static void look_at(struct controller *controller, struct partition *partition,
                    struct replica *replica, struct replica_list *strays)
{
    if (!replica->is_stray || replica->stray_deleted || !replica->broker->registered)
        return;
    if (!is_at_home(controller, partition, replica)) {
        trace_error("a log of another topic of the same name is in the way, and no other replica "
                    "leads topic=%s partition=%" PRId32 " broker=%" PRId32,
                    partition->topic->name, partition->id, replica->broker->id);
        return;
    }
    trace_warn("a log of a deleted topic of the same name is in the way, it is deleted topic=%s "
               "partition=%" PRId32 " broker=%" PRId32,
               partition->topic->name, partition->id, replica->broker->id);
    replica->stray_deleted = true;
    replica_list_add(strays, partition, replica->broker);
}

static enum err event_strays_answered(struct controller *controller, void *context, bool cancelled)
{
    struct answers *answers = context;
    OWNED(arena) struct arena *arena = answers->arena;
    if (cancelled || !answers_broker(controller, answers))
        return ERR_OK;
    REPLICA_LIST strays = {0};
    for (int32_t i = 0; i < answers->count; i++) {
        struct partition *partition = context_partition(
            &controller->context, answers->items[i].topic, answers->items[i].partition);
        if (!partition || partition->topic->deleting)
            continue;
        for (int32_t r = 0; r < partition->known_count; r++)
            look_at(controller, partition, &partition->known[r], &strays);
    }
    if (strays.count == 0)
        return ERR_OK;
    batch_begin(controller);
    for (size_t i = 0; i < strays.count; i++)
        batch_delete_stray(controller, strays.items[i].partition, strays.items[i].broker->id);
    batch_send(controller);
    batch_begin(controller); /* a broker takes requests in order */
    for (size_t i = 0; i < strays.count; i++)
        batch_leader_and_isr(controller, strays.items[i].partition, strays.items[i].broker->id,
                             true);
    batch_send(controller);
    return ERR_OK;
}

void strays_answered(struct controller *controller, struct answers *answers)
{
    controller_enqueue(controller, "strays-answered", event_strays_answered, answers);
}
