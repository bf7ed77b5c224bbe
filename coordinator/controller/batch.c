/* Collecting what a step wants to say, and sending it: all LeaderAndIsr first, then UpdateMetadata,
 * then StopReplica. The requests themselves are built in requests.c. */
#include "coordinator/controller/batch.h"

#include "coordinator/controller/controller_internal.h"
#include "coordinator/controller/requests.h"

void batch_begin(struct controller *controller)
{
    struct batch *batch = &controller->batch;
    assert(!batch->open);
    assert(batch->leader_and_isr.count == 0);
    assert(batch->stop_replica.count == 0);
    assert(batch->updates.count == 0);
    assert(batch->told_count == 0);
    batch->open = true;
}

static struct batch_entry *entry_add(struct batch_entries *entries, struct partition *partition,
                                     struct broker_node *broker)
{
    entries->items =
        mem_grow(entries->items, &entries->capacity, entries->count + 1, sizeof *entries->items);
    struct batch_entry *entry = &entries->items[entries->count];
    *entry =
        (struct batch_entry){.partition = partition, .broker = broker, .order = entries->count};
    entries->count++;
    return entry;
}

void batch_leader_and_isr(struct controller *controller, struct partition *partition,
                          int32_t broker_id, bool is_new)
{
    assert(controller->batch.open);
    if (broker_id >= 0) {
        struct broker_node *broker = context_broker(&controller->context, broker_id);
        entry_add(&controller->batch.leader_and_isr, partition, broker)->is_new = is_new;
    }
    batch_update_all(controller);
    batch_update_partition(controller, partition);
}

/* The epoch is that of this moment: the removal from the ISR that often follows has a higher one,
 * and a broker that heard of that first must still obey. */
void batch_stop_replica(struct controller *controller, struct partition *partition,
                        int32_t broker_id, bool delete_log)
{
    assert(controller->batch.open);
    if (broker_id < 0)
        return;
    struct broker_node *broker = context_broker(&controller->context, broker_id);
    struct batch_entry *entry = entry_add(&controller->batch.stop_replica, partition, broker);
    entry->delete_log = delete_log;
    if (partition->topic->deleting)
        entry->leader_epoch = EPOCH_DURING_DELETE;
    else if (partition->has_leadership)
        entry->leader_epoch = partition->leadership.leader_epoch;
    else
        entry->leader_epoch = LEADER_EPOCH_NONE;
}

void batch_delete_stray(struct controller *controller, struct partition *partition,
                        int32_t broker_id)
{
    assert(controller->batch.open);
    struct broker_node *broker = context_broker(&controller->context, broker_id);
    struct batch_entry *entry = entry_add(&controller->batch.stop_replica, partition, broker);
    entry->delete_log = true;
    entry->leader_epoch = EPOCH_DURING_DELETE;
}

void batch_update_one(struct controller *controller, struct broker_node *broker)
{
    struct batch *batch = &controller->batch;
    assert(batch->open);
    if (broker->told_in_batch || !broker->registered)
        return;
    broker->told_in_batch = true;
    batch->told = mem_grow(batch->told, &batch->told_capacity, batch->told_count + 1,
                           sizeof(struct broker_node *));
    batch->told[batch->told_count++] = broker;
}

void batch_update_all(struct controller *controller)
{
    if (controller->batch.told_count == (size_t)controller->context.registered_count)
        return;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&controller->context.brokers, &i));)
        batch_update_one(controller, e->value);
}

void batch_update_partition(struct controller *controller, struct partition *partition)
{
    assert(controller->batch.open);
    if (partition->in_batch || !partition->has_leadership)
        return;
    partition->in_batch = true;
    partition_list_add(&controller->batch.updates, partition);
}

void batch_drop(struct controller *controller)
{
    struct batch *batch = &controller->batch;
    for (size_t i = 0; i < batch->updates.count; i++)
        batch->updates.items[i]->in_batch = false;
    for (size_t i = 0; i < batch->told_count; i++)
        batch->told[i]->told_in_batch = false;
    partition_list_done(&batch->updates);
    free(batch->leader_and_isr.items);
    free(batch->stop_replica.items);
    free(batch->told);
    *batch = (struct batch){0};
}

/* ---- Sending ---- */

static int by_broker_and_partition(const void *a, const void *b)
{
    const struct batch_entry *x = a, *y = b;
    if (x->broker != y->broker)
        return x->broker->id < y->broker->id ? -1 : 1;
    if (x->partition->topic != y->partition->topic)
        return strcmp(x->partition->topic->name, y->partition->topic->name);
    if (x->partition->id != y->partition->id)
        return x->partition->id < y->partition->id ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int updates_by_name(const void *a, const void *b)
{
    const struct partition *x = *(struct partition *const *)a, *y = *(struct partition *const *)b;
    if (x->topic != y->topic)
        return strcmp(x->topic->name, y->topic->name);
    return (x->id > y->id) - (x->id < y->id);
}

/* One entry for each broker and partition: the later wins, its flags stick. */
static void entries_merge(struct batch_entries *entries)
{
    if (entries->count == 0)
        return;
    qsort(entries->items, entries->count, sizeof *entries->items, by_broker_and_partition);
    size_t kept = 0;
    for (size_t i = 1; i < entries->count; i++) {
        struct batch_entry *last = &entries->items[kept], next = entries->items[i];
        if (last->broker == next.broker && last->partition == next.partition) {
            next.is_new |= last->is_new;
            next.delete_log |= last->delete_log;
            *last = next;
        } else {
            entries->items[++kept] = next;
        }
    }
    entries->count = kept + 1;
}

static void send_by_broker(struct controller *controller, const struct batch_entries *entries,
                           void (*send)(struct controller *, struct broker_node *,
                                        const struct batch_entry *, size_t))
{
    for (size_t from = 0, to; from < entries->count; from = to) {
        struct broker_node *broker = entries->items[from].broker;
        for (to = from; to < entries->count && entries->items[to].broker == broker;)
            to++;
        if (broker->registered && broker->channel)
            send(controller, broker, entries->items + from, to - from);
    }
}

void batch_send(struct controller *controller)
{
    struct batch *batch = &controller->batch;
    assert(batch->open);
    entries_merge(&batch->leader_and_isr);
    entries_merge(&batch->stop_replica);
    if (batch->updates.count > 1)
        qsort(batch->updates.items, batch->updates.count, sizeof *batch->updates.items,
              updates_by_name);

    send_by_broker(controller, &batch->leader_and_isr, requests_leader_and_isr);
    if (batch->told_count > 0)
        requests_update_metadata(controller, batch->told, batch->told_count, &batch->updates);
    send_by_broker(controller, &batch->stop_replica, requests_stop_replica);
    batch_drop(controller);
}
