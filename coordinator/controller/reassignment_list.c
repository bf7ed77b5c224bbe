/* ListPartitionReassignments: what the topic znodes say of replicas that are being added and
 * removed.
 */
#include "broker/wire/wire.h"
#include "coordinator/controller/controller_internal.h"

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
