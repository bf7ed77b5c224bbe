/* What brokers leave in ZooKeeper for the controller: that a log directory failed, and, from
 * leaders older than 2.7, that they changed an ISR themselves. Sequential nodes, read and deleted.
 */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/reassignment.h"

#define ISR_ROOT     "/isr_change_notification"
#define LOG_DIR_ROOT "/log_dir_event_notification"

/* Children of the root with their data, read with the watch armed again. */
static enum err read_notes(struct wave *wave, const char *root, size_t *ret_list, size_t *ret_first)
{
    *ret_list = wave_children(wave, root, true);
    enum err e = wave_run(wave);
    if (e)
        return e;
    const struct wave_result *children = wave_result(wave, *ret_list);
    int32_t count = children->children_count;
    struct slice *names = children->children;
    *ret_first = *ret_list + 1;
    for (int32_t i = 0; i < count; i++) {
        char path[PATH_MAX_BYTES];
        snprintf(path, sizeof path, "%s/%.*s", root, SLICE_ARG(names[i]));
        wave_get(wave, path, false);
    }
    return wave_run(wave);
}

static void delete_notes(struct wave *wave, const char *root, size_t list)
{
    struct wave_result children = *wave_result(wave, list);
    for (int32_t i = 0; i < children.children_count; i++) {
        char path[PATH_MAX_BYTES];
        snprintf(path, sizeof path, "%s/%.*s", root, SLICE_ARG(children.children[i]));
        wave_guarded_delete(wave, path);
    }
}

static enum err clear(struct controller *controller, const char *root)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t list = wave_children(wave, root, true);
    enum err e = wave_run(wave);
    if (e)
        return e;
    delete_notes(wave, root, list);
    return wave_run(wave);
}

enum err notifications_clear(struct controller *controller)
{
    enum err e = clear(controller, LOG_DIR_ROOT);
    return e ? e : clear(controller, ISR_ROOT);
}

/* ---- ISR changes by old leaders ---- */

enum err event_isr_notification(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    if (cancelled || !controller->active)
        return ERR_OK;
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t list, first;
    enum err e = read_notes(wave, ISR_ROOT, &list, &first);
    if (e)
        return e;
    PARTITION_LIST changed = {0};
    int32_t count = wave_result(wave, list)->children_count;
    for (int32_t i = 0; i < count; i++) {
        struct named_partition *named;
        int32_t named_count;
        codec_partitions_decode(wave_arena(wave), wave_result(wave, first + (size_t)i)->data,
                                &named, &named_count);
        for (int32_t n = 0; n < named_count; n++) {
            struct partition *partition =
                context_partition(&controller->context, named[n].topic, named[n].partition);
            if (partition)
                partition_list_add(&changed, partition);
        }
    }
    e = partitions_refresh(controller, &changed);
    if (e)
        return e;
    batch_begin(controller);
    batch_update_all(controller);
    for (size_t i = 0; i < changed.count; i++)
        batch_update_partition(controller, changed.items[i]);
    batch_send(controller);
    delete_notes(wave, ISR_ROOT, list);
    e = wave_run(wave);
    return e ? e : reassignments_finish_ready(controller, &changed);
}

/* ---- Log directories ---- */

/* LeaderAndIsr with unchanged epochs; the answers tell which replicas are lost. */
static enum err ask_broker(struct controller *controller, struct broker_node *broker)
{
    REPLICA_LIST replicas = {0};
    for (size_t i = 0; i < broker->replica_count; i++) {
        struct partition *partition = broker->replicas[i];
        enum replica_state state = partition_replica(partition, broker->id)->state;
        if (!partition->topic->deleting && replica_may_move(state, REPLICA_ONLINE))
            replica_list_add(&replicas, partition, broker);
    }
    return replicas_move(controller, &replicas, REPLICA_ONLINE);
}

enum err event_log_dir_notification(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    if (cancelled || !controller->active)
        return ERR_OK;
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t list, first;
    enum err e = read_notes(wave, LOG_DIR_ROOT, &list, &first);
    int32_t count = e ? 0 : wave_result(wave, list)->children_count;
    for (int32_t i = 0; !e && i < count; i++) {
        int32_t id = codec_log_dir_event_decode(wave_result(wave, first + (size_t)i)->data);
        struct broker_node *broker = id >= 0 ? context_find_broker(&controller->context, id) : NULL;
        trace_warn("a broker lost a log directory broker=%" PRId32, id);
        if (broker && broker->registered)
            e = ask_broker(controller, broker);
    }
    if (e)
        return e;
    delete_notes(wave, LOG_DIR_ROOT, list);
    return wave_run(wave);
}

static enum err event_log_dirs_answered(struct controller *controller, void *context,
                                        bool cancelled)
{
    struct answers *answers = context;
    OWNED(arena) struct arena *arena = answers->arena;
    struct broker_node *broker = answers_broker(controller, answers);
    if (cancelled || !broker)
        return ERR_OK;
    REPLICA_LIST lost = {0};
    for (int32_t i = 0; i < answers->count; i++) {
        struct partition *partition = context_partition(
            &controller->context, answers->items[i].topic, answers->items[i].partition);
        struct replica *replica = partition ? partition_replica(partition, broker->id) : NULL;
        if (!replica)
            continue;
        bool offline = answers->items[i].error != 0;
        if (offline && !replica->dir_offline)
            replica_list_add(&lost, partition, broker);
        replica->dir_offline = offline;
    }
    return lost.count > 0 ? replicas_become_offline(controller, &lost) : ERR_OK;
}

void log_dirs_answered(struct controller *controller, struct answers *answers)
{
    controller_enqueue(controller, "log-dirs-answered", event_log_dirs_answered, answers);
}
