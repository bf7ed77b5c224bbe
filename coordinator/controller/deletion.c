/* Deleting topics. A request stands under /admin/delete_topics until every replica's log is gone
 * and the topic's znodes are removed, in that order, so a deletion survives any crash. Where a
 * broker with a replica is away the other replicas go, and the rest waits for it. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/controller_internal.h"
#include "coordinator/zk/znode.h"

#define REMOVE_ROUNDS_MAX 10

struct topic_list {
    struct topic **items;
    size_t count;
};

static void topic_list_done(struct topic_list *list)
{
    free(list->items);
}
#define TOPIC_LIST __attribute__((cleanup(topic_list_done))) struct topic_list

static bool replica_in(const struct topic *topic, enum replica_state state)
{
    for (int32_t p = 0; p < topic->partition_count; p++) {
        for (int32_t r = 0; r < topic->partitions[p]->known_count; r++) {
            if (topic->partitions[p]->known[r].state == state)
                return true;
        }
    }
    return false;
}

static bool all_deleted(const struct topic *topic)
{
    for (int32_t p = 0; p < topic->partition_count; p++) {
        for (int32_t r = 0; r < topic->partitions[p]->known_count; r++) {
            if (topic->partitions[p]->known[r].state != REPLICA_DELETION_SUCCESSFUL)
                return false;
        }
    }
    return true;
}

static bool is_reassigning(const struct topic *topic)
{
    for (int32_t p = 0; p < topic->partition_count; p++) {
        if (partition_is_reassigning(topic->partitions[p]))
            return true;
    }
    return false;
}

static bool has_offline_replica(struct controller *controller, const struct topic *topic)
{
    for (int32_t p = 0; p < topic->partition_count; p++) {
        const struct partition *partition = topic->partitions[p];
        for (int32_t r = 0; r < partition->known_count; r++) {
            if (!partition_replica_is_online(&controller->context, partition,
                                             partition->known[r].broker->id))
                return true;
        }
    }
    return false;
}

static void mark_ineligible(struct topic *topic, const char *why)
{
    if (!topic->delete_ineligible)
        trace_info("topic deletion waits topic=%s reason=%s", topic->name, why);
    topic->delete_ineligible = true;
}

void deletion_enqueue(struct controller *controller, struct topic *topic)
{
    if (topic->deleting)
        return;
    topic->deleting = true;
    list_push_back(&controller->context.deleting, &topic->delete_node);
}

/* ---- Completion ---- */

/* Children first, in one wave: results of a session come in the order of its requests. */
static size_t remove_topic_znodes(struct wave *wave, const char *topic,
                                  const struct wave_result *partitions)
{
    char path[PATH_MAX_BYTES];
    for (int32_t i = 0; i < partitions->children_count; i++) {
        struct slice partition = partitions->children[i];
        int64_t id;
        if (slice_to_int64(partition, &id))
            wave_guarded_delete(
                wave, znode_complete_path(wave_arena(wave), slice_str(topic), (int32_t)id));
        snprintf(path, sizeof path, "/brokers/topics/%s/partitions/%.*s/state", topic,
                 SLICE_ARG(partition));
        wave_guarded_delete(wave, path);
        *strrchr(path, '/') = '\0';
        wave_guarded_delete(wave, path);
    }
    snprintf(path, sizeof path, "/brokers/topics/%s/partitions", topic);
    wave_guarded_delete(wave, path);
    *strrchr(path, '/') = '\0';
    return wave_guarded_delete(wave, path);
}

/* One round. A leader that has not heard yet may write beside a state meanwhile: false, then it is
 * to be done again. */
static enum err remove_topics(struct controller *controller, const struct topic_list *topics,
                              bool *ret_are_gone)
{
    OWNED(wave) struct wave *lists = wave_new(controller);
    OWNED(wave) struct wave *wave = wave_new(controller);
    char path[PATH_MAX_BYTES];
    for (size_t i = 0; i < topics->count; i++) {
        snprintf(path, sizeof path, "/brokers/topics/%s/partitions", topics->items[i]->name);
        wave_children(lists, path, false);
    }
    enum err e = wave_run(lists);
    if (e)
        return e;
    size_t *removed = arena_new_array(wave_arena(wave), size_t, topics->count + 1);
    for (size_t i = 0; i < topics->count; i++)
        removed[i] = remove_topic_znodes(wave, topics->items[i]->name, wave_result(lists, i));
    e = wave_run(wave);
    *ret_are_gone = true;
    for (size_t i = 0; !e && i < topics->count; i++)
        *ret_are_gone &= wave_result(wave, removed[i])->error != ERR_ZK_NOT_EMPTY;
    return e;
}

/* Only once the topics are gone: one that stayed without its mark would come to life again. */
static enum err remove_marks(struct controller *controller, const struct topic_list *topics)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    char path[PATH_MAX_BYTES];
    for (size_t i = 0; i < topics->count; i++) {
        snprintf(path, sizeof path, "/config/topics/%s", topics->items[i]->name);
        wave_guarded_delete(wave, path);
        snprintf(path, sizeof path, "/admin/delete_topics/%s", topics->items[i]->name);
        wave_guarded_delete(wave, path);
    }
    return wave_run(wave);
}

static enum err remove_znodes(struct controller *controller, const struct topic_list *topics)
{
    bool are_gone = false;
    for (int round = 0; round < REMOVE_ROUNDS_MAX && !are_gone; round++) {
        enum err e = remove_topics(controller, topics, &are_gone);
        if (e)
            return e;
    }
    if (!are_gone)
        return err_note(ERR_ZK_NOT_EMPTY, "somebody keeps writing below a topic that is deleted");
    return remove_marks(controller, topics);
}

static enum err complete(struct controller *controller, const struct topic_list *topics)
{
    if (topics->count == 0)
        return ERR_OK;
    REPLICA_LIST replicas = {0};
    for (size_t i = 0; i < topics->count; i++) {
        const struct topic *topic = topics->items[i];
        for (int32_t p = 0; p < topic->partition_count; p++) {
            for (int32_t r = 0; r < topic->partitions[p]->known_count; r++)
                replica_list_add(&replicas, topic->partitions[p],
                                 topic->partitions[p]->known[r].broker);
        }
    }
    enum err e = replicas_move(controller, &replicas, REPLICA_NONEXISTENT);
    if (!e)
        e = remove_znodes(controller, topics);
    if (e)
        return e;
    for (size_t i = 0; i < topics->count; i++) {
        trace_info("topic deleted topic=%s", topics->items[i]->name);
        context_remove_topic(&controller->context, topics->items[i]);
    }
    return ERR_OK;
}

/* ---- Beginning ---- */

/* Leaders vanish from everybody's metadata before any log does (trap T18). */
static void announce(struct controller *controller, const struct topic_list *topics)
{
    batch_begin(controller);
    batch_update_all(controller);
    for (size_t i = 0; i < topics->count; i++) {
        for (int32_t p = 0; p < topics->items[i]->partition_count; p++)
            batch_update_partition(controller, topics->items[i]->partitions[p]);
    }
    batch_send(controller);
}

static void stop_partitions(struct controller *controller, struct topic *topic)
{
    if (topic->delete_started)
        return;
    topic->delete_started = true;
    for (int32_t p = 0; p < topic->partition_count; p++) {
        partition_move(&controller->context, topic->partitions[p], PARTITION_OFFLINE);
        partition_move(&controller->context, topic->partitions[p], PARTITION_NONEXISTENT);
    }
}

static void sort_replicas(struct controller *controller, struct topic *topic,
                          struct replica_list *ret_dead, struct replica_list *ret_alive)
{
    for (int32_t p = 0; p < topic->partition_count; p++) {
        struct partition *partition = topic->partitions[p];
        for (int32_t r = 0; r < partition->known_count; r++) {
            struct replica *replica = &partition->known[r];
            bool alive =
                partition_replica_is_online(&controller->context, partition, replica->broker->id);
            if (!alive)
                mark_ineligible(topic, "replica-not-online");
            if (replica->state != REPLICA_DELETION_SUCCESSFUL)
                replica_list_add(alive ? ret_alive : ret_dead, partition, replica->broker);
        }
    }
}

static enum err begin(struct controller *controller, const struct topic_list *topics)
{
    if (topics->count == 0)
        return ERR_OK;
    REPLICA_LIST dead = {0}, alive = {0};
    for (size_t i = 0; i < topics->count; i++) {
        trace_info("topic deletion begins topic=%s", topics->items[i]->name);
        stop_partitions(controller, topics->items[i]);
    }
    announce(controller, topics);
    for (size_t i = 0; i < topics->count; i++)
        sort_replicas(controller, topics->items[i], &dead, &alive);
    enum err e = replicas_move(controller, &dead, REPLICA_DELETION_INELIGIBLE);
    if (!e)
        e = replicas_move(controller, &alive, REPLICA_OFFLINE);
    return e ? e : replicas_move(controller, &alive, REPLICA_DELETION_STARTED);
}

static enum err retry_failed(struct controller *controller, const struct topic_list *topics)
{
    REPLICA_LIST replicas = {0};
    for (size_t i = 0; i < topics->count; i++) {
        for (int32_t p = 0; p < topics->items[i]->partition_count; p++) {
            struct partition *partition = topics->items[i]->partitions[p];
            for (int32_t r = 0; r < partition->known_count; r++) {
                if (partition->known[r].state == REPLICA_DELETION_INELIGIBLE)
                    replica_list_add(&replicas, partition, partition->known[r].broker);
            }
        }
    }
    return replicas_move(controller, &replicas, REPLICA_OFFLINE);
}

/* ---- The loop ---- */

static bool is_eligible(const struct topic *topic)
{
    return !replica_in(topic, REPLICA_DELETION_STARTED) && !topic->delete_ineligible;
}

enum err deletion_resume(struct controller *controller)
{
    TOPIC_LIST done = {0}, eligible = {0};
    size_t queued = 0;
    list_for_each (&controller->context.deleting, counted)
        queued++;
    if (queued == 0)
        return ERR_OK;
    done.items = mem_new_array(struct topic *, queued);
    eligible.items = mem_new_array(struct topic *, queued);
    list_for_each (&controller->context.deleting, node) {
        struct topic *topic = list_entry(node, struct topic, delete_node);
        if (all_deleted(topic) && topic->delete_started)
            done.items[done.count++] = topic;
        else if (is_eligible(topic))
            eligible.items[eligible.count++] = topic;
    }
    enum err e = retry_failed(controller, &eligible);
    if (!e)
        e = begin(controller, &eligible);
    return e ? e : complete(controller, &done);
}

void deletion_resume_for_topic(struct topic *topic)
{
    if (topic->deleting && is_reassigning(topic))
        return; /* its end will let the deletion go on */
    topic->delete_ineligible = false;
}

void deletion_resume_for_broker(struct controller *controller, struct broker_node *broker)
{
    (void)controller;
    for (size_t i = 0; i < broker->replica_count; i++)
        deletion_resume_for_topic(broker->replicas[i]->topic);
}

enum err deletion_fail_replicas(struct controller *controller, struct replica_list *replicas)
{
    for (size_t i = 0; i < replicas->count; i++)
        mark_ineligible(replicas->items[i].partition->topic, "replica-failed");
    return replicas_move(controller, replicas, REPLICA_DELETION_INELIGIBLE);
}

/* ---- Answers of StopReplica ---- */

static enum err event_deletion_answered(struct controller *controller, void *context,
                                        bool cancelled)
{
    struct answers *answers = context;
    OWNED(arena) struct arena *arena = answers->arena;
    struct broker_node *broker = answers_broker(controller, answers);
    if (cancelled || !broker)
        return ERR_OK;
    REPLICA_LIST deleted = {0}, failed = {0};
    for (int32_t i = 0; i < answers->count; i++) {
        struct partition *partition = context_partition(
            &controller->context, answers->items[i].topic, answers->items[i].partition);
        const struct replica *replica = partition ? partition_replica(partition, broker->id) : NULL;
        if (!replica || replica->state != REPLICA_DELETION_STARTED || !partition->topic->deleting)
            continue;
        bool ok = answers->error == 0 && answers->items[i].error == 0;
        replica_list_add(ok ? &deleted : &failed, partition, broker);
    }
    enum err e = deletion_fail_replicas(controller, &failed);
    if (!e)
        e = replicas_move(controller, &deleted, REPLICA_DELETION_SUCCESSFUL);
    return e ? e : deletion_resume(controller);
}

void deletion_answered(struct controller *controller, struct answers *answers)
{
    controller_enqueue(controller, "replicas-deleted", event_deletion_answered, answers);
}

/* ---- Requests under /admin/delete_topics ---- */

static enum err drop_requests(struct controller *controller, const struct slice *names,
                              int32_t count, bool are_gone)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    for (int32_t i = 0; i < count; i++) {
        char path[PATH_MAX_BYTES];
        if (are_gone) { /* a controller that ended between the topic and its settings left them */
            snprintf(path, sizeof path, "/config/topics/%.*s", SLICE_ARG(names[i]));
            wave_guarded_delete(wave, path);
        }
        snprintf(path, sizeof path, "/admin/delete_topics/%.*s", SLICE_ARG(names[i]));
        wave_guarded_delete(wave, path);
    }
    return wave_run(wave);
}

/* A replica that is away keeps a deletion from ending, not from beginning: clients see the topic go
 * at once. Only a controller that finds the request when it takes over waits for the replica, as
 * the JVM controller does. */
static enum err read_requests(struct controller *controller, bool is_fail_over)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t list = wave_children(wave, "/admin/delete_topics", true);
    enum err e = wave_run(wave);
    if (e)
        return e;
    const struct wave_result *children = wave_result(wave, list);
    if (children->error)
        return err_note(children->error, "list /admin/delete_topics");
    int32_t count = children->children_count;
    if (!controller->settings.delete_topic_enable)
        return drop_requests(controller, children->children, count, false);
    struct slice *unknown = arena_new_array(wave_arena(wave), struct slice, (size_t)count + 1);
    int32_t unknown_count = 0;
    for (int32_t i = 0; i < count; i++) {
        struct topic *topic = context_topic(&controller->context, children->children[i]);
        if (!topic) {
            unknown[unknown_count++] = children->children[i];
            continue;
        }
        bool fresh = !topic->deleting;
        deletion_enqueue(controller, topic);
        if (fresh && is_reassigning(topic))
            mark_ineligible(topic, "reassignment");
        else if (fresh && is_fail_over && has_offline_replica(controller, topic))
            mark_ineligible(topic, "replica-not-online");
    }
    return drop_requests(controller, unknown, unknown_count, true);
}

enum err deletion_load(struct controller *controller)
{
    return read_requests(controller, true);
}

enum err event_topic_deletion(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    if (cancelled || !controller->active)
        return ERR_OK;
    enum err e = read_requests(controller, false);
    return e ? e : deletion_resume(controller);
}
