/* The tables of the cluster: brokers, topics, partitions, and how they find one another. */
#include "coordinator/controller/context.h"

#include <inttypes.h>

#include "broker/base/trace.h"

void partition_list_add(struct partition_list *list, struct partition *partition)
{
    list->items = mem_grow(list->items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items[list->count++] = partition;
}

void partition_list_done(struct partition_list *list)
{
    free(list->items);
    *list = (struct partition_list){0};
}

void replica_list_add(struct replica_list *list, struct partition *partition,
                      struct broker_node *broker)
{
    list->items = mem_grow(list->items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items[list->count++] = (struct replica_ref){partition, broker};
}

void replica_list_done(struct replica_list *list)
{
    free(list->items);
    *list = (struct replica_list){0};
}

void context_init(struct context *context)
{
    *context = (struct context){0};
    list_init(&context->waiting);
    list_init(&context->deleting);
}

struct leadership leadership_copy(const struct leadership *leadership)
{
    struct leadership copy = *leadership;
    copy.isr = (struct ids){0};
    ids_set(&copy.isr, leadership->isr.ids, leadership->isr.count);
    copy.unknown = leadership->unknown ? mem_strdup(leadership->unknown) : NULL;
    return copy;
}

void leadership_done(struct leadership *leadership)
{
    ids_done(&leadership->isr);
    free(leadership->unknown);
    *leadership = (struct leadership){0};
}

static void partition_free(struct context *context, struct partition *partition)
{
    while (partition->known_count > 0)
        partition_remove_replica(partition, partition->known[0].broker->id);
    list_remove(&partition->waiting);
    ids_done(&partition->replicas);
    ids_done(&partition->adding);
    ids_done(&partition->removing);
    leadership_done(&partition->leadership);
    free(partition->known);
    free(partition);
    context->partition_count--;
}

static void topic_free(struct context *context, struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++)
        partition_free(context, topic->partitions[i]);
    list_remove(&topic->delete_node);
    free(topic->partitions);
    free(topic->name);
    free(topic);
}

void broker_clear_registration(struct broker_node *broker)
{
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        free((char *)broker->endpoints[i].host);
        free((char *)broker->endpoints[i].listener);
    }
    free(broker->endpoints);
    free(broker->rack);
    free(broker->endpoint_text);
    broker->endpoints = NULL;
    broker->endpoint_count = 0;
    broker->rack = NULL;
    broker->endpoint_text = NULL;
}

void context_done(struct context *context)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&context->topics, &i));)
        topic_free(context, e->value);
    for (size_t i = 0; (e = map_next(&context->brokers, &i));) {
        struct broker_node *broker = e->value;
        assert(!broker->channel);
        broker_clear_registration(broker);
        free(broker->replicas);
        free(broker);
    }
    map_done(&context->topics);
    map_done(&context->ids);
    map_done(&context->brokers);
    context_init(context);
}

/* ---- Brokers ---- */

struct broker_node *context_find_broker(const struct context *context, int32_t id)
{
    return map_get(&context->brokers, MAP_KEY(id));
}

struct broker_node *context_broker(struct context *context, int32_t id)
{
    struct broker_node *broker = context_find_broker(context, id);
    if (!broker) {
        broker = mem_new(struct broker_node);
        broker->id = id;
        broker->broker_epoch = -1;
        map_put(&context->brokers, MAP_KEY(id), broker);
    }
    return broker;
}

static int by_id(const void *a, const void *b)
{
    int32_t x = (*(struct broker_node *const *)a)->id, y = (*(struct broker_node *const *)b)->id;
    return (x > y) - (x < y);
}

struct broker_node **context_registered(const struct context *context, size_t *ret_count)
{
    struct broker_node **brokers = mem_new_array(struct broker_node *, context->brokers.count + 1);
    size_t count = 0;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&context->brokers, &i));) {
        struct broker_node *broker = e->value;
        if (broker->registered)
            brokers[count++] = broker;
    }
    qsort(brokers, count, sizeof *brokers, by_id);
    *ret_count = count;
    return brokers;
}

bool broker_is_live(const struct broker_node *broker)
{
    return broker && broker->registered && !broker->shutting_down;
}

bool context_is_live(const struct context *context, int32_t id)
{
    return broker_is_live(context_find_broker(context, id));
}

const struct controller_endpoint *broker_endpoint(const struct broker_node *broker,
                                                  const char *listener)
{
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        if (strcmp(broker->endpoints[i].listener, listener) == 0)
            return &broker->endpoints[i];
    }
    return NULL;
}

/* ---- Topics and partitions ---- */

struct topic *context_topic(const struct context *context, struct slice name)
{
    return map_get(&context->topics, name);
}

struct topic *context_topic_by_id(const struct context *context, struct uuid id)
{
    return map_get(&context->ids, MAP_KEY(id));
}

struct topic *context_add_topic(struct context *context, struct slice name)
{
    assert(!context_topic(context, name));
    struct topic *topic = mem_new(struct topic);
    topic->name = slice_dup(name);
    map_put(&context->topics, name, topic);
    return topic;
}

void context_set_topic_id(struct context *context, struct topic *topic, struct uuid id)
{
    if (!uuid_is_zero(topic->id))
        map_remove(&context->ids, MAP_KEY(topic->id));
    topic->id = id;
    if (!uuid_is_zero(id))
        map_put(&context->ids, MAP_KEY(id), topic);
}

void context_remove_topic(struct context *context, struct topic *topic)
{
    context_set_topic_id(context, topic, UUID_ZERO);
    map_remove(&context->topics, slice_str(topic->name));
    topic_free(context, topic);
}

/* The place of the first partition whose id is not below `id`. */
static int32_t partition_place(const struct topic *topic, int32_t id)
{
    int32_t low = 0, high = topic->partition_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (topic->partitions[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct partition *topic_partition(const struct topic *topic, int32_t id)
{
    int32_t place = partition_place(topic, id);
    return place < topic->partition_count && topic->partitions[place]->id == id
               ? topic->partitions[place]
               : NULL;
}

struct partition *context_partition(const struct context *context, struct slice topic, int32_t id)
{
    struct topic *found = context_topic(context, topic);
    return found ? topic_partition(found, id) : NULL;
}

struct partition *context_add_partition(struct context *context, struct topic *topic, int32_t id)
{
    int32_t place = partition_place(topic, id);
    topic->partitions = mem_grow(topic->partitions, &topic->partition_capacity,
                                 (size_t)topic->partition_count + 1, sizeof *topic->partitions);
    for (int32_t i = topic->partition_count; i > place; i--)
        topic->partitions[i] = topic->partitions[i - 1];
    struct partition *partition = mem_new(struct partition);
    partition->topic = topic;
    partition->id = id;
    topic->partitions[place] = partition;
    topic->partition_count++;
    context->partition_count++;
    return partition;
}

/* ---- Assignments and replicas ---- */

void partition_assign(struct context *context, struct partition *partition,
                      const struct ids *replicas, const struct ids *adding,
                      const struct ids *removing)
{
    ids_set(&partition->replicas, replicas->ids, replicas->count);
    ids_set(&partition->adding, adding ? adding->ids : NULL, adding ? adding->count : 0);
    ids_set(&partition->removing, removing ? removing->ids : NULL, removing ? removing->count : 0);
    for (int32_t i = 0; i < replicas->count; i++)
        partition_add_replica(context, partition, partition->replicas.ids[i]);
}

bool partition_is_reassigning(const struct partition *partition)
{
    return partition->adding.count > 0 || partition->removing.count > 0;
}

bool partition_is_given_up(const struct partition *partition)
{
    return partition->topic->deleting && !partition_is_reassigning(partition);
}

static void ids_without(const struct ids *list, const struct ids *without, struct ids *ret)
{
    *ret = (struct ids){0};
    for (int32_t i = 0; i < list->count; i++) {
        if (!ids_contains(without, list->ids[i]))
            ids_add(ret, list->ids[i]);
    }
}

void partition_target(const struct partition *partition, struct ids *ret)
{
    ids_without(&partition->replicas, &partition->removing, ret);
}

void partition_origin(const struct partition *partition, struct ids *ret)
{
    ids_without(&partition->replicas, &partition->adding, ret);
}

struct replica *partition_replica(const struct partition *partition, int32_t broker_id)
{
    for (int32_t i = 0; i < partition->known_count; i++) {
        if (partition->known[i].broker->id == broker_id)
            return &partition->known[i];
    }
    return NULL;
}

struct replica *partition_add_replica(struct context *context, struct partition *partition,
                                      int32_t broker_id)
{
    struct replica *replica = partition_replica(partition, broker_id);
    if (replica)
        return replica;
    struct broker_node *broker = context_broker(context, broker_id);
    broker->replicas = mem_grow(broker->replicas, &broker->replica_capacity,
                                broker->replica_count + 1, sizeof(struct partition *));
    partition->known = mem_resize(partition->known,
                                  ((size_t)partition->known_count + 1) * sizeof *partition->known);
    replica = &partition->known[partition->known_count++];
    *replica = (struct replica){.broker = broker, .slot = broker->replica_count};
    broker->replicas[broker->replica_count++] = partition;
    return replica;
}

void partition_remove_replica(struct partition *partition, int32_t broker_id)
{
    struct replica *replica = partition_replica(partition, broker_id);
    if (!replica)
        return;
    struct broker_node *broker = replica->broker;
    struct partition *last = broker->replicas[--broker->replica_count];
    size_t slot = replica->slot;
    broker->replicas[slot] = last;
    partition_replica(last, broker_id)->slot = slot;
    *replica = partition->known[--partition->known_count];
}

bool partition_replica_is_online(const struct context *context, const struct partition *partition,
                                 int32_t broker_id)
{
    const struct replica *replica = partition_replica(partition, broker_id);
    if (replica)
        return broker_is_live(replica->broker) && !replica->dir_offline;
    return context_is_live(context, broker_id);
}

void leadership_stands(struct leadership *leadership, int32_t zk_version, int64_t zxid)
{
    leadership->zk_version = zk_version;
    if (leadership->leader >= 0) {
        if (leadership->led_zxid == 0)
            leadership->led_zxid = zxid;
        leadership->led_version = zk_version;
    } else if (leadership->led_zxid == 0) { /* another controller has taken the leader out */
        leadership->led_zxid = zxid;
        leadership->led_version = zk_version - 1;
    }
}

void partition_set_leadership(struct partition *partition, struct leadership *leadership)
{
    leadership_done(&partition->leadership);
    partition->leadership = *leadership;
    partition->has_leadership = true;
    *leadership = (struct leadership){0};
}

void partition_forget_leadership(struct partition *partition)
{
    leadership_done(&partition->leadership);
    partition->has_leadership = false;
}

/* ---- Moves ---- */

#define TO(state) (1u << (state))

static const struct move {
    const char *name;
    unsigned next; /* a bit for each state that may follow */
} partition_moves[] =
    {
        [PARTITION_NONEXISTENT] = {"nonexistent", TO(PARTITION_NEW)},
        [PARTITION_NEW] = {"new", TO(PARTITION_ONLINE) | TO(PARTITION_OFFLINE)},
        [PARTITION_ONLINE] = {"online", TO(PARTITION_ONLINE) | TO(PARTITION_OFFLINE)},
        [PARTITION_OFFLINE] = {"offline", TO(PARTITION_ONLINE) | TO(PARTITION_OFFLINE) |
                                              TO(PARTITION_NONEXISTENT)},
},
  replica_moves[] = {
      [REPLICA_NONEXISTENT] = {"nonexistent", TO(REPLICA_NEW)},
      [REPLICA_NEW] = {"new", TO(REPLICA_ONLINE) | TO(REPLICA_OFFLINE)},
      [REPLICA_ONLINE] = {"online", TO(REPLICA_ONLINE) | TO(REPLICA_OFFLINE)},
      [REPLICA_OFFLINE] = {"offline", TO(REPLICA_ONLINE) | TO(REPLICA_OFFLINE) |
                                          TO(REPLICA_DELETION_STARTED) |
                                          TO(REPLICA_DELETION_INELIGIBLE)},
      [REPLICA_DELETION_STARTED] = {"deletion-started", TO(REPLICA_DELETION_SUCCESSFUL) |
                                                            TO(REPLICA_DELETION_INELIGIBLE)},
      [REPLICA_DELETION_SUCCESSFUL] = {"deletion-successful", TO(REPLICA_NONEXISTENT)},
      [REPLICA_DELETION_INELIGIBLE] = {"deletion-ineligible",
                                       TO(REPLICA_ONLINE) | TO(REPLICA_OFFLINE)},
};

bool partition_may_move(const struct partition *partition, enum partition_state state)
{
    return partition_moves[partition->state].next & TO(state);
}

bool partition_move(struct context *context, struct partition *partition,
                    enum partition_state state)
{
    if (!partition_may_move(partition, state)) {
        trace_error("partition may not move topic=%s partition=%" PRId32 " from=%s to=%s",
                    partition->topic->name, partition->id, partition_moves[partition->state].name,
                    partition_moves[state].name);
        return false;
    }
    partition->state = state;
    list_remove(&partition->waiting);
    if (state == PARTITION_NEW || state == PARTITION_OFFLINE)
        list_push_back(&context->waiting, &partition->waiting);
    return true;
}

bool replica_may_move(enum replica_state from, enum replica_state to)
{
    return replica_moves[from].next & TO(to);
}

bool replica_move(struct partition *partition, struct replica *replica, enum replica_state state)
{
    if (!replica_may_move(replica->state, state)) {
        trace_error("replica may not move topic=%s partition=%" PRId32 " broker=%" PRId32
                    " from=%s to=%s",
                    partition->topic->name, partition->id, replica->broker->id,
                    replica_moves[replica->state].name, replica_moves[state].name);
        return false;
    }
    replica->state = state;
    return true;
}
