/* Brokers that come, go, come back, or change their addresses.
 *
 * A broker's epoch is the czxid of its registration: a greater one means that it was away, however
 * short, and has lost what it was told. So a bounce is handled as a departure and an arrival (trap
 * T23). */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/reassignment.h"
#include "coordinator/zk/znode.h"

struct registration {
    int32_t id;
    int64_t broker_epoch;
    struct broker_node read; /* what its znode says; endpoints, rack and text only */
};

struct registrations {
    struct registration *items;
    size_t count;
};

struct broker_list {
    struct broker_node **items;
    size_t count, capacity;
};

static void registrations_done(struct registrations *registrations)
{
    for (size_t i = 0; i < registrations->count; i++)
        broker_clear_registration(&registrations->items[i].read);
    free(registrations->items);
}
#define REGISTRATIONS __attribute__((cleanup(registrations_done))) struct registrations

static void broker_list_done(struct broker_list *list)
{
    free(list->items);
}
#define BROKER_LIST __attribute__((cleanup(broker_list_done))) struct broker_list

static void broker_list_add(struct broker_list *list, struct broker_node *broker)
{
    list->items =
        mem_grow(list->items, &list->capacity, list->count + 1, sizeof(struct broker_node *));
    list->items[list->count++] = broker;
}

/* ---- Reading registrations ---- */

static bool id_parse(struct slice text, int32_t *ret_id)
{
    int64_t id;
    if (!slice_to_int64(text, &id) || id < 0 || id > INT32_MAX)
        return false;
    *ret_id = (int32_t)id;
    return true;
}

/* A registration that cannot be read, or lacks our listener, keeps that broker out and no other
 * (the JVM controller lets it stop the whole event: traps T1, T3). */
static bool registration_read(struct controller *controller, const struct wave_result *result,
                              struct registration *registration)
{
    if (result->error)
        return false; /* it went meanwhile, the watch tells */
    enum err e = codec_broker_decode(result->data, &registration->read);
    if (!e && !broker_endpoint(&registration->read, controller->settings.controller_listener))
        e = err_note(ERR_INVALID_CONFIG, "it has no listener %s",
                     controller->settings.controller_listener);
    if (e) {
        trace_error("broker left out broker=%" PRId32 ": %s", registration->id, err_sentence(e));
        broker_clear_registration(&registration->read);
        return false;
    }
    registration->broker_epoch = result->stat.czxid;
    if (registration->read.intact_since == INTACT_SINCE_REGISTRATION)
        registration->read.intact_since = registration->broker_epoch;
    return true;
}

static enum err read_all(struct controller *controller, struct registrations *ret)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t list = wave_children(wave, "/brokers/ids", true);
    enum err e = wave_run(wave);
    if (e)
        return e;
    const struct wave_result *children = wave_result(wave, list);
    if (children->error)
        return err_note(children->error, "list /brokers/ids");
    int32_t count = children->children_count;
    struct slice *names = children->children;
    size_t first = 0;
    for (int32_t i = 0; i < count; i++) {
        char path[PATH_MAX_BYTES];
        snprintf(path, sizeof path, "/brokers/ids/%.*s", SLICE_ARG(names[i]));
        size_t index = wave_get(wave, path, true);
        if (i == 0)
            first = index;
    }
    e = wave_run(wave);
    if (e)
        return e;
    ret->items = mem_new_array(struct registration, (size_t)count + 1);
    for (int32_t i = 0; i < count; i++) {
        struct registration *registration = &ret->items[ret->count];
        *registration = (struct registration){0};
        if (id_parse(names[i], &registration->id) &&
            registration_read(controller, wave_result(wave, first + (size_t)i), registration))
            ret->count++;
    }
    return ERR_OK;
}

/* ---- Joining and leaving the tables ---- */

static void broker_take(struct broker_node *broker, struct registration *registration)
{
    broker_clear_registration(broker);
    broker->endpoints = registration->read.endpoints;
    broker->endpoint_count = registration->read.endpoint_count;
    broker->rack = registration->read.rack;
    broker->endpoint_text = registration->read.endpoint_text;
    broker->intact_since = registration->read.intact_since;
    registration->read = (struct broker_node){0};
}

static void broker_join(struct controller *controller, struct broker_node *broker,
                        struct registration *registration)
{
    broker_take(broker, registration);
    broker->broker_epoch = registration->broker_epoch;
    broker->registered = true;
    broker->shutting_down = broker->crashed = false;
    controller->context.registered_count++;
    broker->channel = channel_new(
        controller, broker, broker_endpoint(broker, controller->settings.controller_listener));
}

static void broker_leave(struct controller *controller, struct broker_node *broker)
{
    channel_free(broker->channel);
    broker->channel = NULL;
    broker->registered = false;
    controller->context.registered_count--;
}

enum err brokers_load(struct controller *controller)
{
    REGISTRATIONS all = {0};
    enum err e = read_all(controller, &all);
    for (size_t i = 0; !e && i < all.count; i++)
        broker_join(controller, context_broker(&controller->context, all.items[i].id),
                    &all.items[i]);
    return e;
}

void brokers_tell_all(struct controller *controller)
{
    batch_begin(controller);
    batch_update_all(controller);
    batch_send(controller);
}

static void add_all_partitions(struct controller *controller)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&controller->context.topics, &i));) {
        const struct topic *topic = e->value;
        for (int32_t p = 0; p < topic->partition_count; p++) /* deleted ones as such: -2 */
            batch_update_partition(controller, topic->partitions[p]);
    }
}

void brokers_tell_everything(struct controller *controller)
{
    batch_begin(controller);
    batch_update_all(controller);
    add_all_partitions(controller);
    batch_send(controller);
}

/* ---- Arrival ---- */

static void forget_offline_dirs(struct broker_node *broker)
{
    for (size_t i = 0; i < broker->replica_count; i++)
        partition_replica(broker->replicas[i], broker->id)->dir_offline = false;
}

static bool is_among(const struct broker_list *brokers, const struct broker_node *broker)
{
    for (size_t i = 0; i < brokers->count; i++) {
        if (brokers->items[i] == broker)
            return true;
    }
    return false;
}

/* Brokers need the list of brokers before any LeaderAndIsr that names one of them (trap T11). */
static void introduce(struct controller *controller, const struct broker_list *newcomers)
{
    struct map_entry *e;
    batch_begin(controller);
    for (size_t i = 0; (e = map_next(&controller->context.brokers, &i));) {
        if (!is_among(newcomers, e->value))
            batch_update_one(controller, e->value);
    }
    batch_send(controller);

    batch_begin(controller);
    for (size_t i = 0; i < newcomers->count; i++)
        batch_update_one(controller, newcomers->items[i]);
    add_all_partitions(controller);
    batch_send(controller);
}

static enum err brokers_start(struct controller *controller, const struct broker_list *newcomers)
{
    if (newcomers->count == 0)
        return ERR_OK;
    REPLICA_LIST replicas = {0};
    for (size_t i = 0; i < newcomers->count; i++) {
        struct broker_node *broker = newcomers->items[i];
        trace_info("broker arrived broker=%" PRId32 " broker_epoch=%" PRId64 " replicas=%zu",
                   broker->id, broker->broker_epoch, broker->replica_count);
        forget_offline_dirs(broker);
        for (size_t r = 0; r < broker->replica_count; r++) {
            struct partition *partition = broker->replicas[r];
            enum replica_state state = partition_replica(partition, broker->id)->state;
            if (replica_may_move(state, REPLICA_ONLINE) && !partition_is_given_up(partition))
                replica_list_add(&replicas, partition, broker);
        }
    }
    introduce(controller, newcomers);
    enum err e = replicas_move(controller, &replicas, REPLICA_ONLINE);
    bool elected;
    if (!e)
        e = partitions_elect_waiting(controller, &elected);
    for (size_t i = 0; !e && i < newcomers->count; i++)
        e = reassignments_resume(controller, newcomers->items[i]);
    for (size_t i = 0; i < newcomers->count; i++)
        deletion_resume_for_broker(controller, newcomers->items[i]);
    return e ? e : deletion_resume(controller);
}

enum err brokers_return(struct controller *controller, struct broker_node *broker)
{
    BROKER_LIST one = {0};
    broker->shutting_down = broker->crashed = false;
    broker_list_add(&one, broker);
    return brokers_start(controller, &one);
}

/* ---- Departure ---- */

static void leaderless_become_offline(struct controller *controller,
                                      const struct replica_list *replicas)
{
    for (size_t i = 0; i < replicas->count; i++) {
        struct partition *partition = replicas->items[i].partition;
        if (!partition->has_leadership || partition_is_given_up(partition) ||
            partition_replica_is_online(&controller->context, partition,
                                        partition->leadership.leader))
            continue;
        if (partition->state == PARTITION_ONLINE)
            partition_move(&controller->context, partition, PARTITION_OFFLINE);
    }
}

enum err replicas_become_offline(struct controller *controller, struct replica_list *replicas)
{
    REPLICA_LIST kept = {0}, deleting = {0};
    bool elected;
    leaderless_become_offline(controller, replicas);
    enum err e = partitions_elect_waiting(controller, &elected);
    if (e)
        return e;
    for (size_t i = 0; i < replicas->count; i++) {
        const struct replica_ref *ref = &replicas->items[i];
        replica_list_add(partition_is_given_up(ref->partition) ? &deleting : &kept, ref->partition,
                         ref->broker);
    }
    bool none = kept.count == 0;
    e = replicas_move(controller, &kept, REPLICA_OFFLINE);
    if (e)
        return e;
    e = deletion_fail_replicas(controller, &deleting);
    if (e)
        return e;
    if (none && !elected)
        brokers_tell_all(controller);
    return deleting.count > 0 ? deletion_resume(controller) : ERR_OK;
}

static enum err brokers_fail(struct controller *controller, const struct broker_list *leavers)
{
    if (leavers->count == 0)
        return ERR_OK;
    REPLICA_LIST replicas = {0};
    for (size_t i = 0; i < leavers->count; i++) {
        struct broker_node *broker = leavers->items[i];
        trace_info("broker left broker=%" PRId32 " replicas=%zu", broker->id,
                   broker->replica_count);
        forget_offline_dirs(broker);
        broker->shutting_down = broker->crashed = false;
        for (size_t r = 0; r < broker->replica_count; r++)
            replica_list_add(&replicas, broker->replicas[r], broker);
    }
    return replicas_become_offline(controller, &replicas);
}

/* ---- Events ---- */

static struct registration *registration_of(struct registrations *all, int32_t id)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i].id == id)
            return &all->items[i];
    }
    return NULL;
}

static enum err bounce(struct controller *controller, const struct broker_list *bounced,
                       struct registrations *all)
{
    for (size_t i = 0; i < bounced->count; i++)
        broker_leave(controller, bounced->items[i]);
    enum err e = brokers_fail(controller, bounced);
    if (e)
        return e;
    for (size_t i = 0; i < bounced->count; i++)
        broker_join(controller, bounced->items[i], registration_of(all, bounced->items[i]->id));
    return brokers_start(controller, bounced);
}

enum err event_broker_change(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    if (cancelled || !controller->active)
        return ERR_OK;
    REGISTRATIONS all = {0};
    BROKER_LIST fresh = {0}, bounced = {0}, dead = {0};
    enum err e = read_all(controller, &all);
    if (e)
        return e;
    for (size_t i = 0; i < all.count; i++) {
        struct broker_node *broker = context_broker(&controller->context, all.items[i].id);
        if (!broker->registered)
            broker_list_add(&fresh, broker);
        else if (all.items[i].broker_epoch > broker->broker_epoch)
            broker_list_add(&bounced, broker);
    }
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(&controller->context.brokers, &i));) {
        struct broker_node *broker = entry->value;
        if (broker->registered && !registration_of(&all, broker->id))
            broker_list_add(&dead, broker);
    }
    for (size_t i = 0; i < fresh.count; i++)
        broker_join(controller, fresh.items[i], registration_of(&all, fresh.items[i]->id));
    e = brokers_start(controller, &fresh);
    if (!e)
        e = bounce(controller, &bounced, &all);
    if (e)
        return e;
    for (size_t i = 0; i < dead.count; i++)
        broker_leave(controller, dead.items[i]);
    return brokers_fail(controller, &dead);
}

/* Only another sequence of endpoints, or other features, are worth telling (trap T21). Channels
 * keep their address. */
enum err event_broker_modified(struct controller *controller, void *context, bool cancelled)
{
    OWNED_MEM char *name = context;
    if (cancelled || !controller->active)
        return ERR_OK;
    OWNED(wave) struct wave *wave = wave_new(controller);
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof path, "/brokers/ids/%s", name);
    size_t get = wave_get(wave, path, true);
    enum err e = wave_run(wave);
    if (e)
        return e;
    REGISTRATIONS one = {.items = mem_new_array(struct registration, 1), .count = 1};
    if (!id_parse(slice_str(name), &one.items[0].id) ||
        !registration_read(controller, wave_result(wave, get), &one.items[0]))
        return ERR_OK;
    struct broker_node *broker = context_find_broker(&controller->context, one.items[0].id);
    if (!broker || !broker->registered || broker->broker_epoch != one.items[0].broker_epoch ||
        strcmp(broker->endpoint_text, one.items[0].read.endpoint_text) == 0)
        return ERR_OK;
    trace_info("broker changed its endpoints broker=%" PRId32, broker->id);
    broker_take(broker, &one.items[0]);
    brokers_tell_all(controller);
    return ERR_OK;
}
