/* CreatePartitions: a longer assignment in the topic's znode; the watch on it does the rest. And
 * UpdateFeatures, of which nothing can be changed in ZooKeeper mode. */
#include <inttypes.h>

#include "coordinator/controller/admin.h"
#include "coordinator/controller/codec.h"

struct growth {
    const struct create_partitions_request_create_partitions_topic *asked;
    struct create_partitions_response_create_partitions_topic_result *result;
    struct topic_znode znode; /* as read, then longer */
    size_t get, set;
    bool go;
};

struct expansion {
    struct controller *controller;
    struct call *call;
    const struct create_partitions_request *request;
    struct growth *topics;
    int32_t count;
};

static void refuse(struct expansion *all, struct growth *growth, enum err e)
{
    growth->go = false;
    growth->result->error_code = err_wire_code(e);
    growth->result->error_message = say(all->call->arena, e);
}

static enum err check_topic(struct expansion *all, const struct growth *growth)
{
    struct slice name = growth->asked->name;
    int32_t same = 0;
    for (int32_t i = 0; i < all->count; i++)
        same += slice_equal(all->request->topics[i].name, name);
    if (same > 1)
        return err_note(ERR_INVALID_REQUEST, "Duplicate topic in request.");
    const struct topic *topic = context_topic(&all->controller->context, name);
    if (!topic)
        return err_note(ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.",
                        SLICE_ARG(name));
    if (topic->deleting)
        return err_note(ERR_INVALID_TOPIC_EXCEPTION, "The topic is queued for deletion.");
    return ERR_OK;
}

static enum err check_count(const struct growth *growth)
{
    int32_t old = growth->znode.count, wanted = growth->asked->count;
    for (int32_t i = 0; i < old; i++) {
        if (growth->znode.items[i].adding.count + growth->znode.items[i].removing.count > 0)
            return err_note(ERR_REASSIGNMENT_IN_PROGRESS,
                            "A partition reassignment is in progress for the topic '%.*s'.",
                            SLICE_ARG(growth->asked->name));
    }
    if (wanted < old)
        return err_note(ERR_INVALID_PARTITIONS,
                        "Topic currently has %" PRId32 " partitions, which is higher than the "
                        "requested %" PRId32 ".",
                        old, wanted);
    if (wanted == old)
        return err_note(ERR_INVALID_PARTITIONS, "Topic already has %" PRId32 " partitions.", old);
    if (wanted > PARTITIONS_MAX)
        return err_note(ERR_INVALID_PARTITIONS, "%" PRId32 " partitions are too many.", wanted);
    return ERR_OK;
}

static const struct assignment *partition_zero(const struct growth *growth)
{
    for (int32_t i = 0; i < growth->znode.count; i++) {
        if (growth->znode.items[i].partition == 0)
            return &growth->znode.items[i];
    }
    return NULL;
}

static enum err check_manual_one(struct expansion *all, const struct ids *replicas, int32_t factor)
{
    if (replicas->count == 0)
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Cannot have replication factor of 0 for a partition.");
    for (int32_t i = 0; i < replicas->count; i++) {
        for (int32_t k = 0; k < i; k++) {
            if (replicas->ids[k] == replicas->ids[i])
                return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                                "Duplicate brokers not allowed in replica assignment: %" PRId32,
                                replicas->ids[i]);
        }
        if (!context_is_live(&all->controller->context, replicas->ids[i]))
            return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                            "Unknown broker(s) in replica assignment: %" PRId32 ".",
                            replicas->ids[i]);
    }
    if (replicas->count != factor)
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Inconsistent replication factor between partitions, partition 0 has "
                        "%" PRId32 " while a new partition has %" PRId32 " replicas.",
                        factor, replicas->count);
    return ERR_OK;
}

static enum err new_lists(struct expansion *all, struct growth *growth, struct ids **ret)
{
    const struct create_partitions_request_create_partitions_topic *asked = growth->asked;
    struct arena *arena = all->call->arena;
    int32_t old = growth->znode.count, added = asked->count - old;
    const struct assignment *first = partition_zero(growth);
    if (!first || first->replicas.count == 0)
        return err_note(ERR_UNKNOWN_SERVER_ERROR,
                        "Unexpected existing replica assignment: partition id 0 is missing.");
    if (asked->assignments_count < 0) {
        int32_t count, start = 0;
        struct assign_broker *brokers = assign_live_brokers(all->controller, arena, &count);
        while (start < count && brokers[start].id < first->replicas.ids[0])
            start++;
        return assign_replicas(all->controller, arena, brokers, count, added, first->replicas.count,
                               start < count ? start : 0, old, ret);
    }
    if (asked->assignments_count != added)
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Increasing the number of partitions by %" PRId32 " but %" PRId32
                        " assignments provided.",
                        added, asked->assignments_count);
    *ret = arena_new_array(arena, struct ids, (size_t)added + 1);
    for (int32_t i = 0; i < added; i++) {
        (*ret)[i] = (struct ids){.ids = asked->assignments[i].broker_ids,
                                 .count = asked->assignments[i].broker_ids_count};
        enum err e = check_manual_one(all, &(*ret)[i], first->replicas.count);
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err plan(struct expansion *all, struct growth *growth)
{
    struct ids *lists;
    enum err e = check_count(growth);
    if (!e)
        e = new_lists(all, growth, &lists);
    if (e)
        return e;
    int32_t old = growth->znode.count;
    struct assignment *items =
        arena_new_array(all->call->arena, struct assignment, growth->asked->count);
    for (int32_t i = 0; i < growth->asked->count; i++)
        items[i] = i < old ? growth->znode.items[i]
                           : (struct assignment){.partition = i, .replicas = lists[i - old]};
    growth->znode.items = items;
    growth->znode.count = growth->asked->count;
    return ERR_OK;
}

static enum err expand_all(struct expansion *all)
{
    OWNED(wave) struct wave *wave = wave_new(all->controller);
    char path[PATH_MAX_BYTES];
    for (int32_t i = 0; i < all->count; i++) {
        struct growth *growth = &all->topics[i];
        enum err e = check_topic(all, growth);
        growth->go = !e;
        if (e) {
            refuse(all, growth, e);
            continue;
        }
        snprintf(path, sizeof path, "/brokers/topics/%.*s", SLICE_ARG(growth->asked->name));
        growth->get = wave_get(wave, path, true);
    }
    enum err e = wave_run(wave);
    for (int32_t i = 0; !e && i < all->count; i++) {
        struct growth *growth = &all->topics[i];
        if (!growth->go)
            continue;
        struct wave_result found = *wave_result(wave, growth->get);
        codec_topic_decode(all->call->arena, found.data, &growth->znode);
        enum err refused = found.error ? found.error : plan(all, growth);
        if (refused) {
            refuse(all, growth, refused);
            continue;
        }
        snprintf(path, sizeof path, "/brokers/topics/%.*s", SLICE_ARG(growth->asked->name));
        growth->set = 0;
        if (!all->request->validate_only)
            growth->set = wave_guarded_set(
                wave, path, codec_topic_encode(wave_arena(wave), found.data, &growth->znode),
                found.stat.zk_version);
    }
    if (!e)
        e = wave_run(wave);
    for (int32_t i = 0; !e && i < all->count; i++) {
        struct growth *growth = &all->topics[i];
        if (growth->go && !all->request->validate_only && wave_result(wave, growth->set)->error)
            refuse(all, growth,
                   err_note(ERR_UNKNOWN_SERVER_ERROR, "write the assignment: %s",
                            err_text(wave_result(wave, growth->set)->error)));
    }
    return e;
}

static void late(void *response, int32_t index)
{
    struct create_partitions_response *all = response;
    all->results[index].error_code = err_wire_code(ERR_REQUEST_TIMED_OUT);
    all->results[index].error_message = SLICE_NULL;
}

static struct create_partitions_response *respond(struct expansion *all)
{
    struct arena *arena = all->call->arena;
    struct create_partitions_response *response = arena_alloc(arena, sizeof *response);
    create_partitions_response_init(response);
    response->results_count = all->count;
    response->results =
        arena_new_array(arena, struct create_partitions_response_create_partitions_topic_result,
                        (size_t)all->count + 1);
    all->topics = arena_new_array(arena, struct growth, (size_t)all->count + 1);
    for (int32_t i = 0; i < all->count; i++) {
        create_partitions_response_create_partitions_topic_result_init(&response->results[i]);
        response->results[i].error_message = SLICE_NULL;
        response->results[i].name = all->request->topics[i].name;
        all->topics[i] =
            (struct growth){.asked = &all->request->topics[i], .result = &response->results[i]};
    }
    return response;
}

static enum err event_create_partitions(struct controller *controller, void *context,
                                        bool cancelled)
{
    struct call *call = context;
    struct expansion all = {.controller = controller, .call = call, .request = call->request};
    all.count = all.request->topics_count > 0 ? all.request->topics_count : 0;
    struct create_partitions_response *response = respond(&all);
    enum err e = ERR_OK;
    bool refused = cancelled || !controller->active;
    if (!refused)
        e = expand_all(&all);
    if (refused || e) {
        for (int32_t i = 0; i < all.count; i++)
            response->results[i].error_code = err_wire_code(
                refused || err_ends_event(e) ? ERR_NOT_CONTROLLER : ERR_UNKNOWN_SERVER_ERROR);
        call->done(call->context, response);
        return e;
    }
    int32_t waited = 0;
    struct wait_topic *topics =
        arena_new_array(call->arena, struct wait_topic, (size_t)all.count + 1);
    for (int32_t i = 0; i < all.count && !all.request->validate_only; i++) {
        if (all.topics[i].go)
            topics[waited++] = (struct wait_topic){.name = response->results[i].name,
                                                   .index = i,
                                                   .partitions = all.topics[i].znode.count};
    }
    wait_begin(controller, call, response, late, topics, waited, false, all.request->timeout_ms);
    return ERR_OK;
}

void controller_create_partitions(struct controller *controller,
                                  const struct create_partitions_request *request,
                                  struct arena *arena, controller_done_fn *done, void *context)
{
    controller_enqueue(controller, "create-partitions", event_create_partitions,
                       call_new(request, 0, arena, done, context));
}

/* ---- UpdateFeatures ---- */

static enum err event_update_features(struct controller *controller, void *context, bool cancelled)
{
    struct call *call = context;
    const struct update_features_request *request = call->request;
    struct update_features_response response;
    update_features_response_init(&response);
    response.error_message = SLICE_NULL;
    int32_t count = request->feature_updates_count > 0 ? request->feature_updates_count : 0;
    if (cancelled || !controller->active) {
        response.error_code = err_wire_code(ERR_NOT_CONTROLLER);
        count = 0;
    }
    response.results_count = count;
    response.results = arena_new_array(
        call->arena, struct update_features_response_updatable_feature_result, (size_t)count + 1);
    for (int32_t i = 0; i < count; i++) {
        struct update_features_response_updatable_feature_result *result = &response.results[i];
        update_features_response_updatable_feature_result_init(result);
        result->feature = request->feature_updates[i].feature;
        result->error_code = err_wire_code(ERR_INVALID_REQUEST);
        result->error_message = SLICE_LITERAL(
            "Could not apply finalized feature update because the provided feature is not "
            "supported.");
    }
    call->done(call->context, &response);
    return ERR_OK;
}

void controller_update_features(struct controller *controller,
                                const struct update_features_request *request, struct arena *arena,
                                controller_done_fn *done, void *context)
{
    controller_enqueue(controller, "update-features", event_update_features,
                       call_new(request, 0, arena, done, context));
}
