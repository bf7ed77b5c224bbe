/* AlterPartitionReassignments (KIP-455): begin, change or cancel the reassignment of partitions. */
#include <inttypes.h>

#include "coordinator/controller/admin.h"
#include "coordinator/controller/reassignment.h"

#define IDS_SHOWN 64 /* in a sentence */

typedef struct alter_partition_reassignments_request_reassignable_partition asked_partition;
typedef struct alter_partition_reassignments_response_reassignable_topic_response topic_answer;
typedef struct alter_partition_reassignments_response_reassignable_partition_response
    partition_answer;

/* What is asked of a topic, wherever in the request. Of a partition named twice, the last holds. */
struct topic_wishes {
    struct slice name;
    const asked_partition **partitions;
    int32_t count, capacity;
};

struct alter {
    struct controller *controller;
    struct call *call;
    const struct alter_partition_reassignments_request *request;
    struct alter_partition_reassignments_response *response;
    struct topic_wishes *topics; /* in the order of their first mention */
    int32_t topics_count;
    struct reassignment_wish *wishes; /* one a partition, in the order of the answer */
    partition_answer **answers;
    size_t count;
};

static const char *text_of(struct arena *arena, const struct ids *list)
{
    const char *text = "";
    for (int32_t i = 0; i < list->count && i < IDS_SHOWN; i++)
        text = arena_printf(arena, "%s%s%" PRId32, text, i ? ", " : "", list->ids[i]);
    return text;
}

static const char *live_brokers_text(struct alter *all)
{
    const char *text = "";
    int32_t count;
    struct assign_broker *live = assign_live_brokers(all->controller, all->call->arena, &count);
    for (int32_t i = 0; i < count && i < IDS_SHOWN; i++)
        text = arena_printf(all->call->arena, "%s%s%" PRId32, text, i ? ", " : "", live[i].id);
    return text;
}

static bool has_negative(const struct ids *list)
{
    for (int32_t i = 0; i < list->count; i++) {
        if (list->ids[i] < 0)
            return true;
    }
    return false;
}

/* Those of the target that hold no replica yet; the lists are short by now. */
static struct ids newcomers(struct alter *all, const struct partition *partition,
                            const struct ids *target)
{
    struct ids list = {.ids = arena_new_array(all->call->arena, int32_t, target->count + 1)};
    for (int32_t i = 0; i < target->count; i++) {
        if (!partition || !ids_contains(&partition->replicas, target->ids[i]))
            list.ids[list.count++] = target->ids[i];
    }
    return list;
}

/* As Kafka, the target is looked at before the partition: it may be unknown (NULL). */
static enum err check_target(struct alter *all, const struct partition *partition,
                             const struct ids *target)
{
    struct arena *arena = all->call->arena;
    if (target->count == 0)
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Empty replica list specified in partition reassignment.");
    if (ids_has_duplicate(target))
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Duplicate replica ids in partition reassignment replica list: "
                        "ArrayBuffer(%s)",
                        text_of(arena, target));
    if (has_negative(target))
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Invalid broker id in replica list: ArrayBuffer(%s)",
                        text_of(arena, target));
    struct ids added = newcomers(all, partition, target);
    for (int32_t i = 0; i < added.count; i++) {
        if (!context_is_live(&all->controller->context, added.ids[i]))
            return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                            "Replica assignment has brokers that are not alive. Replica list: "
                            "ArrayBuffer(%s), live broker list: Set(%s)",
                            text_of(arena, &added), live_brokers_text(all));
    }
    return ERR_OK;
}

static enum err wish_for(struct alter *all, struct partition *partition,
                         const asked_partition *asked, struct reassignment_wish *ret)
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

static void consider_topic(struct alter *all, const struct topic_wishes *asked)
{
    topic_answer *ret = &all->response->responses[all->response->responses_count++];
    alter_partition_reassignments_response_reassignable_topic_response_init(ret);
    ret->name = asked->name;
    ret->partitions_count = asked->count;
    ret->partitions = arena_new_array(all->call->arena, partition_answer, asked->count + 1);
    for (int32_t p = 0; p < asked->count; p++) {
        alter_partition_reassignments_response_reassignable_partition_response_init(
            &ret->partitions[p]);
        ret->partitions[p].partition_index = asked->partitions[p]->partition_index;
        all->answers[all->count] = &ret->partitions[p];
        struct reassignment_wish wish = {0};
        struct partition *partition = context_partition(&all->controller->context, asked->name,
                                                        asked->partitions[p]->partition_index);
        wish.error = wish_for(all, partition, asked->partitions[p], &wish);
        answer_error(all, all->count, wish.error);
        all->wishes[all->count++] = wish;
    }
}

/* The topics, each once, and how many partitions are asked of each at most. */
static size_t collect_topics(struct alter *all, struct map *known)
{
    struct arena *arena = all->call->arena;
    size_t partitions = 0;
    all->topics =
        arena_new_array(arena, struct topic_wishes, (size_t)all->request->topics_count + 1);
    for (int32_t t = 0; t < all->request->topics_count; t++) {
        struct topic_wishes *topic = map_get(known, all->request->topics[t].name);
        if (!topic) {
            topic = &all->topics[all->topics_count++];
            topic->name = all->request->topics[t].name;
            map_put(known, topic->name, topic);
        }
        topic->capacity += all->request->topics[t].partitions_count;
        partitions += (size_t)all->request->topics[t].partitions_count;
    }
    for (int32_t t = 0; t < all->topics_count; t++)
        all->topics[t].partitions =
            arena_new_array(arena, const asked_partition *, all->topics[t].capacity + 1);
    return partitions;
}

static void collect_partition(struct topic_wishes *topic, const asked_partition *asked,
                              struct map *places)
{
    const asked_partition **place = map_get(places, MAP_KEY(asked->partition_index));
    if (!place) {
        place = &topic->partitions[topic->count++];
        map_put(places, MAP_KEY(asked->partition_index), place);
    }
    *place = asked;
}

static void collect_partitions(struct alter *all, const struct map *known)
{
    struct map *places = arena_new_array(all->call->arena, struct map, all->topics_count + 1);
    for (int32_t t = 0; t < all->request->topics_count; t++) {
        struct topic_wishes *topic = map_get(known, all->request->topics[t].name);
        for (int32_t p = 0; p < all->request->topics[t].partitions_count; p++)
            collect_partition(topic, &all->request->topics[t].partitions[p],
                              &places[topic - all->topics]);
    }
    for (int32_t t = 0; t < all->topics_count; t++)
        map_done(&places[t]);
}

static void consider_all(struct alter *all)
{
    struct arena *arena = all->call->arena;
    struct map known = {0};
    size_t partitions = collect_topics(all, &known);
    collect_partitions(all, &known);
    map_done(&known);
    all->wishes = arena_new_array(arena, struct reassignment_wish, partitions + 1);
    all->answers = arena_new_array(arena, partition_answer *, partitions + 1);
    all->response->responses = arena_new_array(arena, topic_answer, all->topics_count + 1);
    for (int32_t t = 0; t < all->topics_count; t++) {
        if (all->topics[t].count)
            consider_topic(all, &all->topics[t]);
    }
}

static enum err not_begun(const struct reassignment_wish *wish)
{
    if (wish->error != ERR_INVALID_REPLICA_ASSIGNMENT)
        return err_note(wish->error, "The assignment could not be written.");
    return err_note(wish->error,
                    "Unable to change the assignment of %s-%" PRId32
                    " because it would require an unclean leader election.",
                    wish->partition->topic->name, wish->partition->id);
}

static enum err begin_all(struct alter *all)
{
    enum err e = reassignments_begin(all->controller, all->wishes, all->count);
    for (size_t i = 0; !e && i < all->count; i++)
        if (!all->answers[i]->error_code && all->wishes[i].error)
            answer_error(all, i, not_begun(&all->wishes[i]));
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
        response.error_message = SLICE_LITERAL(""); /* as Kafka has it where nothing is wrong */
        consider_all(&all);
        e = begin_all(&all);
        if (e) {
            response.responses_count = 0;
            response.error_message = SLICE_NULL;
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
