/* Reassignments: the part that stands before they can be carried out. What the topic znodes say of
 * adding and removing replicas is loaded, kept, listed, and respected by deletion and growth;
 * /admin/reassign_partitions is watched. */
#include "broker/base/trace.h"
#include "broker/wire/wire.h"
#include "coordinator/controller/controller_internal.h"

enum err reassignment_znode_watch(struct controller *controller)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t legacy = wave_exists(wave, "/admin/reassign_partitions", true);
    wave_exists(wave, "/admin/preferred_replica_election", true);
    enum err e = wave_run(wave);
    if (!e && !wave_result(wave, legacy)->error)
        trace_warn("/admin/reassign_partitions is left alone: this controller does not reassign");
    return e;
}

enum err event_reassignment_znode(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    return cancelled || !controller->active ? ERR_OK : reassignment_znode_watch(controller);
}

static bool is_asked(const struct list_partition_reassignments_request *request,
                     const struct partition *partition)
{
    for (int32_t i = 0; i < request->topics_count; i++) {
        if (!slice_equal_str(request->topics[i].name, partition->topic->name))
            continue;
        for (int32_t p = 0; p < request->topics[i].partition_indexes_count; p++) {
            if (request->topics[i].partition_indexes[p] == partition->id)
                return true;
        }
    }
    return request->topics_count < 0; /* null: all */
}

static void list_topic(const struct list_partition_reassignments_request *request,
                       const struct topic *topic, struct arena *arena,
                       struct list_partition_reassignments_response *response)
{
    struct list_partition_reassignments_response_ongoing_topic_reassignment *ongoing = NULL;
    for (int32_t p = 0; p < topic->partition_count; p++) {
        const struct partition *partition = topic->partitions[p];
        if (!partition_is_reassigning(partition) || !is_asked(request, partition))
            continue;
        if (!ongoing) {
            ongoing = &response->topics[response->topics_count++];
            list_partition_reassignments_response_ongoing_topic_reassignment_init(ongoing);
            ongoing->name = arena_copy(arena, slice_str(topic->name));
            ongoing->partitions = arena_new_array(
                arena, struct list_partition_reassignments_response_ongoing_partition_reassignment,
                topic->partition_count);
        }
        struct list_partition_reassignments_response_ongoing_partition_reassignment *entry =
            &ongoing->partitions[ongoing->partitions_count++];
        list_partition_reassignments_response_ongoing_partition_reassignment_init(entry);
        struct ids replicas = ids_in_arena(arena, &partition->replicas);
        struct ids adding = ids_in_arena(arena, &partition->adding);
        struct ids removing = ids_in_arena(arena, &partition->removing);
        entry->partition_index = partition->id;
        entry->replicas = replicas.ids;
        entry->replicas_count = replicas.count;
        entry->adding_replicas = adding.ids;
        entry->adding_replicas_count = adding.count;
        entry->removing_replicas = removing.ids;
        entry->removing_replicas_count = removing.count;
    }
}

void controller_list_reassignments(struct controller *controller,
                                   const struct list_partition_reassignments_request *request,
                                   struct arena *arena, controller_done_fn *done, void *context)
{
    struct list_partition_reassignments_response response;
    list_partition_reassignments_response_init(&response);
    if (!controller_is_active(controller)) {
        response.error_code = err_wire_code(ERR_NOT_CONTROLLER);
        done(context, &response);
        return;
    }
    response.topics = arena_new_array(
        arena, struct list_partition_reassignments_response_ongoing_topic_reassignment,
        controller->context.topics.count + 1);
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&controller->context.topics, &i));)
        list_topic(request, e->value, arena, &response);
    done(context, &response);
}
