/* AlterPartitionReassignments (KIP-455): begin, change or cancel the reassignment of partitions. */
#include <inttypes.h>

#include "coordinator/controller/admin.h"
#include "coordinator/controller/reassignment.h"

struct alter {
    struct controller *controller;
    struct call *call;
    const struct alter_partition_reassignments_request *request;
    struct alter_partition_reassignments_response *response;
    struct reassignment_wish *wishes; /* one a partition asked for, in their order */
    struct alter_partition_reassignments_response_reassignable_partition_response **answers;
    size_t count;
    struct map wished; /* partition -> itself, those that have a wish */
};

/* As Kafka, the target is looked at before the partition: it may be unknown (NULL). */
static enum err check_target(struct alter *all, const struct partition *partition,
                             const struct ids *target)
{
    if (target->count == 0)
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Empty replica list specified in partition reassignment.");
    for (int32_t i = 0; i < target->count; i++) {
        int32_t id = target->ids[i];
        if (id < 0)
            return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                            "Invalid broker id %" PRId32 " in replica list.", id);
        for (int32_t k = 0; k < i; k++)
            if (target->ids[k] == id)
                return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                                "Duplicate replica ids in partition reassignment replica list.");
        if (!(partition && ids_contains(&partition->replicas, id)) &&
            !context_is_live(&all->controller->context, id))
            return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                            "Replica assignment has brokers that are not alive: %" PRId32, id);
    }
    return ERR_OK;
}

static enum err
wish_for(struct alter *all, struct partition *partition,
         const struct alter_partition_reassignments_request_reassignable_partition *asked,
         struct reassignment_wish *ret)
{
    ret->partition = partition;
    if (asked->replicas_count >= 0) {
        ret->target = (struct ids){.ids = asked->replicas, .count = asked->replicas_count};
        enum err e = check_target(all, partition, &ret->target);
        if (e)
            return e;
    } else if (!partition || !partition_is_reassigning(partition)) {
        return err_note(ERR_NO_REASSIGNMENT_IN_PROGRESS,
                        "No partition reassignment is in progress.");
    }
    if (!partition || partition->topic->deleting)
        return err_note(ERR_UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.");
    if (map_put(&all->wished, MAP_KEY(partition), partition))
        return err_note(ERR_INVALID_REQUEST, "The partition is named twice.");
    if (asked->replicas_count < 0) {
        struct ids origin;
        partition_origin(partition, &origin);
        ret->target = ids_in_arena(all->call->arena, &origin);
        ids_done(&origin);
    }
    return ERR_OK;
}

static void answer_error(struct alter *all, size_t index, enum err e)
{
    all->answers[index]->error_code = err_wire_code(e);
    all->answers[index]->error_message = e ? say(all->call->arena, e) : SLICE_NULL;
}

static void
consider_topic(struct alter *all,
               const struct alter_partition_reassignments_request_reassignable_topic *asked,
               struct alter_partition_reassignments_response_reassignable_topic_response *ret)
{
    alter_partition_reassignments_response_reassignable_topic_response_init(ret);
    ret->name = asked->name;
    ret->partitions_count = asked->partitions_count;
    ret->partitions = arena_new_array(
        all->call->arena,
        struct alter_partition_reassignments_response_reassignable_partition_response,
        asked->partitions_count + 1);
    for (int32_t p = 0; p < asked->partitions_count; p++) {
        alter_partition_reassignments_response_reassignable_partition_response_init(
            &ret->partitions[p]);
        ret->partitions[p].partition_index = asked->partitions[p].partition_index;
        all->answers[all->count] = &ret->partitions[p];
        struct reassignment_wish wish = {0};
        struct partition *partition = context_partition(&all->controller->context, asked->name,
                                                        asked->partitions[p].partition_index);
        wish.error = wish_for(all, partition, &asked->partitions[p], &wish);
        answer_error(all, all->count, wish.error);
        all->wishes[all->count++] = wish;
    }
}

static void consider_all(struct alter *all)
{
    struct arena *arena = all->call->arena;
    size_t partitions = 0;
    for (int32_t t = 0; t < all->request->topics_count; t++)
        partitions += (size_t)all->request->topics[t].partitions_count;
    all->wishes = arena_new_array(arena, struct reassignment_wish, partitions + 1);
    all->answers = arena_new_array(
        arena, struct alter_partition_reassignments_response_reassignable_partition_response *,
        partitions + 1);
    all->response->responses_count = all->request->topics_count;
    all->response->responses = arena_new_array(
        arena, struct alter_partition_reassignments_response_reassignable_topic_response,
        all->request->topics_count + 1);
    for (int32_t t = 0; t < all->request->topics_count; t++)
        consider_topic(all, &all->request->topics[t], &all->response->responses[t]);
}

static enum err begin_all(struct alter *all)
{
    enum err e = reassignments_begin(all->controller, all->wishes, all->count);
    for (size_t i = 0; !e && i < all->count; i++)
        if (!all->answers[i]->error_code && all->wishes[i].error)
            answer_error(all, i,
                         err_note(all->wishes[i].error, "The assignment could not be written."));
    return e ? e : reassignment_clean_legacy(all->controller);
}

static enum err event_alter_reassignments(struct controller *controller, void *context,
                                          bool cancelled)
{
    struct call *call = context;
    struct alter_partition_reassignments_response response;
    alter_partition_reassignments_response_init(&response);
    response.error_message = SLICE_NULL;
    struct alter all = {
        .controller = controller, .call = call, .request = call->request, .response = &response};
    enum err e = ERR_OK;
    if (cancelled || !controller->active) {
        response.error_code = err_wire_code(ERR_NOT_CONTROLLER);
    } else {
        consider_all(&all);
        map_done(&all.wished);
        e = begin_all(&all);
        if (e) {
            response.responses_count = 0;
            response.error_code =
                err_wire_code(err_ends_event(e) ? ERR_NOT_CONTROLLER : ERR_UNKNOWN_SERVER_ERROR);
        }
    }
    call->done(call->context, &response);
    return e;
}

void controller_alter_reassignments(struct controller *controller,
                                    const struct alter_partition_reassignments_request *request,
                                    struct arena *arena, controller_done_fn *done, void *context)
{
    controller_enqueue(controller, "alter-reassignments", event_alter_reassignments,
                       call_new(request, 0, arena, done, context));
}
