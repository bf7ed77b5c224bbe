/* Replicas: telling brokers what they hold, and taking replicas that went away out of the ISR. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/controller_internal.h"
#include "coordinator/controller/last_standing.h"
#include "coordinator/controller/standing_note.h"

/* ---- Leaving the ISR ---- */

struct removal {
    struct partition *partition;
    struct leadership next;
    bool open; /* not written yet */
};

/* The last member stays in the ISR: it alone has all records. */
static void removal_plan(struct controller *controller, struct removal *removal, int32_t broker_id,
                         struct thinnings *thinnings)
{
    const struct leadership *now = &removal->partition->leadership;
    removal->open = removal->partition->has_leadership && ids_contains(&now->isr, broker_id);
    if (!removal->open)
        return;
    if (now->controller_epoch > controller->epoch) {
        trace_error("partition state is of a later controller topic=%s partition=%" PRId32,
                    removal->partition->topic->name, removal->partition->id);
        removal->open = false;
        return;
    }
    removal->next = leadership_copy(now);
    removal->next.leader = now->leader == broker_id ? LEADER_NONE : now->leader;
    if (now->isr.count > 1)
        ids_remove(&removal->next.isr, broker_id);
    removal->next.leader_epoch++;
    removal->next.controller_epoch = controller->epoch;
    standing_begins(&controller->context, removal->partition, &removal->next);
    thinnings_plan(thinnings, &controller->context, removal->partition, &removal->next);
}

static enum err removal_round(struct controller *controller, struct removal *removals, size_t count,
                              const struct thinnings *thinnings, struct partition_list *again)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    for (size_t i = 0; i < count; i++) {
        if (!removals[i].open)
            continue;
        char path[PATH_MAX_BYTES];
        partition_path(removals[i].partition, path);
        wave_guarded_set(wave, path, codec_state_encode(wave_arena(wave), &removals[i].next),
                         removals[i].partition->leadership.zk_version);
    }
    enum err e = thinnings_note(controller, thinnings);
    if (!e)
        e = wave_run(wave);
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        if (!removals[i].open)
            continue;
        removals[i].open = false;
        if (!e) {
            const struct wave_result *result = wave_result(wave, written++);
            if (!result->error) {
                leadership_stands(&removals[i].next, result->stat.zk_version,
                                  standing_known(&controller->context, &removals[i].next.isr));
                partition_set_leadership(removals[i].partition, &removals[i].next);
            } else if (result->error == ERR_ZK_BAD_VERSION) {
                removals[i].open = true;
                partition_list_add(again, removals[i].partition);
            } else {
                trace_error("replica not removed from isr topic=%s partition=%" PRId32 " error=%s",
                            removals[i].partition->topic->name, removals[i].partition->id,
                            err_name(result->error));
            }
        }
        leadership_done(&removals[i].next);
    }
    return e;
}

static enum err remove_from_isr(struct controller *controller, const struct replica_ref *refs,
                                size_t count)
{
    int32_t broker_id = refs[0].broker->id;
    OWNED_MEM struct removal *removals = mem_new_array(struct removal, count);
    for (size_t i = 0; i < count; i++)
        removals[i] = (struct removal){.partition = refs[i].partition, .open = true};
    for (;;) {
        PARTITION_LIST again = {0};
        THINNINGS thinnings = {0};
        for (size_t i = 0; i < count; i++) {
            if (removals[i].open)
                removal_plan(controller, &removals[i], broker_id, &thinnings);
        }
        enum err e = removal_round(controller, removals, count, &thinnings, &again);
        if (!e && again.count > 0)
            e = partitions_refresh(controller, &again);
        if (e || again.count == 0)
            return e;
    }
}

/* ---- Moves ---- */

static void to_new(struct controller *controller, struct partition *partition,
                   struct replica *replica)
{
    int32_t id = replica->broker->id;
    if (partition->has_leadership && partition->leadership.leader == id) {
        trace_error("a leader cannot become a new replica topic=%s partition=%" PRId32
                    " broker=%" PRId32,
                    partition->topic->name, partition->id, id);
        return;
    }
    if (replica_move(partition, replica, REPLICA_NEW) && partition->has_leadership)
        batch_leader_and_isr(controller, partition, id, true);
}

static void to_online(struct controller *controller, struct partition *partition,
                      struct replica *replica)
{
    int32_t id = replica->broker->id;
    bool was_new = replica->state == REPLICA_NEW;
    if (!replica_move(partition, replica, REPLICA_ONLINE))
        return;
    if (was_new && !ids_contains(&partition->replicas, id))
        ids_add(&partition->replicas, id);
    if (!was_new && partition->has_leadership)
        batch_leader_and_isr(controller, partition, id, false);
}

static enum err to_offline(struct controller *controller, const struct replica_ref *refs,
                           size_t count)
{
    for (size_t i = 0; i < count; i++)
        batch_stop_replica(controller, refs[i].partition, refs[i].broker->id, false);
    enum err e = remove_from_isr(controller, refs, count);
    if (e)
        return e;
    for (size_t i = 0; i < count; i++) {
        struct partition *partition = refs[i].partition;
        int32_t id = refs[i].broker->id;
        struct replica *replica = partition_replica(partition, id);
        if (!replica || !replica_move(partition, replica, REPLICA_OFFLINE))
            continue;
        if (!partition->has_leadership) {
            batch_update_all(controller);
            continue;
        }
        partition->leadership.controller_epoch = controller->epoch;
        if (partition_is_given_up(partition))
            continue;
        for (int32_t r = 0; r < partition->replicas.count; r++) {
            if (partition->replicas.ids[r] != id)
                batch_leader_and_isr(controller, partition, partition->replicas.ids[r], false);
        }
    }
    return ERR_OK;
}

static void to_simple(struct controller *controller, struct partition *partition,
                      struct replica *replica, enum replica_state state)
{
    int32_t id = replica->broker->id;
    if (!replica_move(partition, replica, state))
        return;
    if (state == REPLICA_DELETION_STARTED)
        batch_stop_replica(controller, partition, id, true);
    if (state == REPLICA_NONEXISTENT) {
        ids_remove(&partition->replicas, id);
        partition_remove_replica(partition, id);
    }
}

static enum err move_of_one_broker(struct controller *controller, const struct replica_ref *refs,
                                   size_t count, enum replica_state state)
{
    if (state == REPLICA_OFFLINE)
        return to_offline(controller, refs, count);
    for (size_t i = 0; i < count; i++) {
        struct partition *partition = refs[i].partition;
        struct replica *replica = partition_replica(partition, refs[i].broker->id);
        if (!replica)
            continue;
        if (state == REPLICA_NEW)
            to_new(controller, partition, replica);
        else if (state == REPLICA_ONLINE)
            to_online(controller, partition, replica);
        else
            to_simple(controller, partition, replica, state);
    }
    return ERR_OK;
}

static int by_broker(const void *a, const void *b)
{
    const struct replica_ref *x = a, *y = b;
    if (x->broker->id != y->broker->id)
        return x->broker->id < y->broker->id ? -1 : 1;
    if (x->partition->topic != y->partition->topic)
        return strcmp(x->partition->topic->name, y->partition->topic->name);
    return (x->partition->id > y->partition->id) - (x->partition->id < y->partition->id);
}

static size_t end_of_broker(const struct replica_list *replicas, size_t from)
{
    size_t to = from;
    while (to < replicas->count && replicas->items[to].broker == replicas->items[from].broker)
        to++;
    return to;
}

enum err replicas_leave_isr(struct controller *controller, struct replica_list *replicas)
{
    enum err e = ERR_OK;
    if (replicas->count > 0)
        qsort(replicas->items, replicas->count, sizeof *replicas->items, by_broker);
    for (size_t from = 0, to; !e && from < replicas->count; from = to) {
        to = end_of_broker(replicas, from);
        e = remove_from_isr(controller, replicas->items + from, to - from);
    }
    return e;
}

/* Those that may not move are traced and left out. */
static void keep_those_that_may(struct replica_list *replicas, enum replica_state state)
{
    size_t kept = 0;
    for (size_t i = 0; i < replicas->count; i++) {
        const struct replica_ref *ref = &replicas->items[i];
        const struct replica *replica = partition_replica(ref->partition, ref->broker->id);
        if (replica && replica_may_move(replica->state, state))
            replicas->items[kept++] = *ref;
        else
            trace_warn("replica left out of a move topic=%s partition=%" PRId32 " broker=%" PRId32
                       " from=%d to=%d",
                       ref->partition->topic->name, ref->partition->id, ref->broker->id,
                       replica ? (int)replica->state : -1, (int)state);
    }
    replicas->count = kept;
}

static enum err move_in_batch(struct controller *controller, struct replica_list *replicas,
                              enum replica_state state)
{
    keep_those_that_may(replicas, state);
    if (replicas->count > 0)
        qsort(replicas->items, replicas->count, sizeof *replicas->items, by_broker);
    enum err e = ERR_OK;
    for (size_t from = 0, to; !e && from < replicas->count; from = to) {
        to = end_of_broker(replicas, from);
        e = move_of_one_broker(controller, replicas->items + from, to - from, state);
    }
    return e;
}

enum err replicas_move(struct controller *controller, struct replica_list *replicas,
                       enum replica_state state)
{
    batch_begin(controller);
    enum err e = move_in_batch(controller, replicas, state);
    if (!e)
        batch_send(controller);
    return e;
}

/* Both moves are told at once: where a broker has gone, the ISRs that it leaves are of the same
 * partitions whose other replicas are told what they are, and each is told once. */
enum err replica_machine_start(struct controller *controller)
{
    REPLICA_LIST online = {0}, offline = {0};
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&controller->context.topics, &i));) {
        const struct topic *topic = e->value;
        for (int32_t p = 0; p < topic->partition_count; p++) {
            struct partition *partition = topic->partitions[p];
            for (int32_t r = 0; r < partition->replicas.count; r++) {
                int32_t id = partition->replicas.ids[r];
                struct replica *replica = partition_replica(partition, id);
                bool is_online = partition_replica_is_online(&controller->context, partition, id);
                replica->state = is_online ? REPLICA_ONLINE : REPLICA_DELETION_INELIGIBLE;
                replica_list_add(is_online ? &online : &offline, partition, replica->broker);
            }
        }
    }
    batch_begin(controller);
    enum err error = move_in_batch(controller, &online, REPLICA_ONLINE);
    if (!error)
        error = move_in_batch(controller, &offline, REPLICA_OFFLINE);
    if (!error)
        batch_send(controller);
    return error;
}
