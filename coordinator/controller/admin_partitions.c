/* CreatePartitions: a longer assignment in the topic's znode; the watch on it does the rest. And
 * UpdateFeatures, of which nothing can be changed in ZooKeeper mode. */
#include <inttypes.h>

#include "coordinator/controller/admin.h"
#include "coordinator/controller/codec.h"
#include "coordinator/zk/znode.h"

#define IDS_SHOWN 100 /* in a sentence */

struct growth {
    const struct create_partitions_request_create_partitions_topic *asked;
    struct create_partitions_response_create_partitions_topic_result *result;
    struct topic_znode znode; /* as read, then longer */
    size_t get, set;
    bool go, is_twice;
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
    /* What went wrong inside is not told. */
    growth->result->error_message =
        e == ERR_UNKNOWN_SERVER_ERROR ? SLICE_NULL : say(all->call->arena, e);
}

static enum err check_topic(struct expansion *all, const struct growth *growth)
{
    struct slice name = growth->asked->name;
    if (growth->is_twice)
        return err_note(ERR_INVALID_REQUEST, "Duplicate topic in request.");
    /* Kafka asks ZooKeeper for the topic, which its client refuses. */
    if (znode_path_check(all->call->arena, "/brokers/topics", name))
        return ERR_UNKNOWN_SERVER_ERROR;
    const struct topic *topic = context_topic(&all->controller->context, name);
    if (!topic)
        return err_note(ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.",
                        SLICE_ARG(name));
    if (topic->deleting)
        return err_note(ERR_INVALID_TOPIC_EXCEPTION, "The topic is queued for deletion.");
    return ERR_OK;
}

/* How many come. As in Java: the difference wraps around, and is what Kafka judges by. */
static int32_t increment(const struct growth *growth)
{
    return (int32_t)((uint32_t)growth->asked->count - (uint32_t)growth->znode.count);
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
    if (increment(growth) < 0)
        return err_note(ERR_INVALID_PARTITIONS,
                        "Topic currently has %" PRId32 " partitions, which is higher than the "
                        "requested %" PRId32 ".",
                        old, wanted);
    if (wanted > TOPIC_PARTITIONS_MAX)
        return err_note(ERR_INVALID_PARTITIONS,
                        "Number of partitions must not be larger than %d: it is %" PRId32,
                        TOPIC_PARTITIONS_MAX, wanted);
    if (wanted == old)
        return err_note(ERR_INVALID_PARTITIONS, "Topic already has %" PRId32 " partitions.", old);
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

/* The first refusal of each kind, in the order of Kafka's questions: unknown brokers of all lists,
 * the number of lists, then list by list. */
static enum err check_known(struct expansion *all, const struct growth *growth)
{
    struct arena *arena = all->call->arena;
    struct ids unknown = {0};
    const char *text = "";
    for (int32_t a = 0; a < growth->asked->assignments_count; a++) {
        for (int32_t i = 0; i < growth->asked->assignments[a].broker_ids_count; i++) {
            int32_t id = growth->asked->assignments[a].broker_ids[i];
            if (unknown.count == IDS_SHOWN || context_is_live(&all->controller->context, id) ||
                ids_contains(&unknown, id))
                continue;
            text = arena_printf(arena, "%s%s%" PRId32, text, *text ? ", " : "", id);
            ids_add(&unknown, id);
        }
    }
    ids_done(&unknown);
    return *text ? err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                            "Unknown broker(s) in replica assignment: %s.", text)
                 : ERR_OK;
}

static const char *text_of(struct arena *arena, const struct ids *list)
{
    const char *text = "";
    for (int32_t i = 0; i < list->count && i < IDS_SHOWN; i++)
        text = arena_printf(arena, "%s%s%" PRId32, text, *text ? ", " : "", list->ids[i]);
    return text;
}

static enum err check_list(struct expansion *all, const struct ids *replicas, int32_t partition)
{
    if (replicas->count == 0)
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Cannot have replication factor of 0 for partition id %" PRId32 ".",
                        partition);
    if (ids_has_duplicate(replicas))
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Duplicate brokers not allowed in replica assignment: %s for partition id "
                        "%" PRId32 ".",
                        text_of(all->call->arena, replicas), partition);
    return ERR_OK;
}

static enum err check_factors(struct expansion *all, const struct ids *lists, int32_t count,
                              int32_t old, int32_t factor)
{
    struct arena *arena = all->call->arena;
    const char *partitions = "", *factors = "";
    int32_t shown = 0;
    for (int32_t i = 0; i < count; i++) {
        if (lists[i].count == factor || shown++ >= IDS_SHOWN)
            continue;
        partitions =
            arena_printf(arena, "%s%s%" PRId32, partitions, *partitions ? ", " : "", old + i);
        factors =
            arena_printf(arena, "%s%s%" PRId32, factors, *factors ? ", " : "", lists[i].count);
    }
    return *partitions
               ? err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                          "Inconsistent replication factor between partitions, partition 0 has "
                          "%" PRId32 " while partitions [%s] have replication factors [%s], "
                          "respectively.",
                          factor, partitions, factors)
               : ERR_OK;
}

static enum err new_lists(struct expansion *all, struct growth *growth, struct ids **ret)
{
    const struct create_partitions_request_create_partitions_topic *asked = growth->asked;
    struct arena *arena = all->call->arena;
    int32_t old = growth->znode.count, added = increment(growth);
    const struct assignment *first = partition_zero(growth);
    if (!first || first->replicas.count == 0)
        return err_note(ERR_UNKNOWN_SERVER_ERROR,
                        "Unexpected existing replica assignment: partition id 0 is missing.");
    if (asked->assignments_count < 0) {
        int32_t count, start = 0;
        if (added > PARTITIONS_MAX - old)
            return err_note(ERR_INVALID_PARTITIONS, "%" PRId32 " more partitions are too many.",
                            added);
        struct assign_broker *brokers = assign_live_brokers(all->controller, arena, &count);
        while (start < count && brokers[start].id < first->replicas.ids[0])
            start++;
        return assign_replicas(all->controller, arena, brokers, count, added, first->replicas.count,
                               start < count ? start : 0, old, ret);
    }
    enum err e = check_known(all, growth);
    if (e)
        return e;
    if (asked->assignments_count != added)
        return err_note(ERR_INVALID_REPLICA_ASSIGNMENT,
                        "Increasing the number of partitions by %" PRId32 " but %" PRId32
                        " assignments provided.",
                        added, asked->assignments_count);
    *ret = arena_new_array(arena, struct ids, (size_t)added + 1);
    for (int32_t i = 0; i < added; i++) {
        (*ret)[i] = (struct ids){.ids = asked->assignments[i].broker_ids,
                                 .count = asked->assignments[i].broker_ids_count};
        e = check_list(all, &(*ret)[i], old + i);
        if (e)
            return e;
    }
    return check_factors(all, *ret, added, old, first->replicas.count);
}

static enum err plan(struct expansion *all, struct growth *growth)
{
    struct ids *lists;
    enum err e = check_count(growth);
    if (!e)
        e = new_lists(all, growth, &lists);
    if (e)
        return e;
    int32_t old = growth->znode.count, count = old + increment(growth);
    struct assignment *items = arena_new_array(all->call->arena, struct assignment, count);
    for (int32_t i = 0; i < count; i++)
        items[i] = i < old ? growth->znode.items[i]
                           : (struct assignment){.partition = i, .replicas = lists[i - old]};
    growth->znode.items = items;
    growth->znode.count = count;
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
    int32_t asked = all->request->topics_count > 0 ? all->request->topics_count : 0;
    response->results = arena_new_array(
        arena, struct create_partitions_response_create_partitions_topic_result, (size_t)asked + 1);
    all->topics = arena_new_array(arena, struct growth, (size_t)asked + 1);
    struct map known = {0};
    for (int32_t i = 0; i < asked; i++) {
        struct growth *same = map_get(&known, all->request->topics[i].name);
        if (same) { /* answered once */
            same->is_twice = true;
            continue;
        }
        struct growth *growth = &all->topics[all->count];
        struct create_partitions_response_create_partitions_topic_result *result =
            &response->results[all->count++];
        create_partitions_response_create_partitions_topic_result_init(result);
        result->error_message = SLICE_NULL;
        result->name = all->request->topics[i].name;
        *growth = (struct growth){.asked = &all->request->topics[i], .result = result};
        map_put(&known, result->name, growth);
    }
    map_done(&known);
    response->results_count = all->count;
    return response;
}

static enum err event_create_partitions(struct controller *controller, void *context,
                                        bool cancelled)
{
    struct call *call = context;
    struct expansion all = {.controller = controller, .call = call, .request = call->request};
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

static const void *all_late(const struct call *call)
{
    struct call mine = *call;
    struct expansion all = {.call = &mine, .request = call->request};
    struct create_partitions_response *response = respond(&all);
    for (int32_t i = 0; i < all.count; i++)
        late(response, i);
    return response;
}

void controller_create_partitions(struct controller *controller,
                                  const struct create_partitions_request *request,
                                  struct arena *arena, controller_done_fn *done, void *context)
{
    static const struct call_kind kind = {&wire_message_create_partitions_request, 3, all_late};
    controller_enqueue(
        controller, "create-partitions", event_create_partitions,
        call_new_patient(controller, &kind, request, request->timeout_ms, 0, arena, done, context));
}

/* ---- UpdateFeatures ---- */

enum upgrade_type { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

/* Nothing is finalised and nothing is supported, so each is refused; why, depends. */
static enum err judge_feature(const struct update_features_request_feature_update_key *asked,
                              int16_t api_version)
{
    int8_t type = asked->upgrade_type;
    if (api_version == 0)
        type = asked->allow_downgrade ? SAFE_DOWNGRADE : UPGRADE;
    if (asked->feature.size == 0)
        return err_note(ERR_INVALID_REQUEST, "Feature name can not be empty.");
    if (type < UPGRADE || type > UNSAFE_DOWNGRADE)
        return err_note(ERR_INVALID_REQUEST, "Received unknown upgrade type.");
    if (asked->max_version_level >= 1)
        return err_note(ERR_INVALID_REQUEST,
                        "Could not apply finalized feature update because the provided feature is "
                        "not supported.");
    if (type != UPGRADE)
        return err_note(ERR_INVALID_REQUEST, "Can not delete non-existing finalized feature.");
    return err_note(ERR_INVALID_REQUEST,
                    "Can not provide versionLevel: %d less than 1 without setting the SAFE "
                    "downgradeType in the request.",
                    asked->max_version_level);
}

static void judge_features(const struct call *call, struct update_features_response *response)
{
    const struct update_features_request *request = call->request;
    int32_t count = request->feature_updates_count > 0 ? request->feature_updates_count : 0;
    struct map known = {0};
    response->results = arena_new_array(
        call->arena, struct update_features_response_updatable_feature_result, (size_t)count + 1);
    for (int32_t i = 0; i < count; i++) {
        struct update_features_response_updatable_feature_result *result =
            &response->results[response->results_count];
        if (map_put(&known, request->feature_updates[i].feature, result))
            continue; /* answered once */
        response->results_count++;
        update_features_response_updatable_feature_result_init(result);
        enum err e = judge_feature(&request->feature_updates[i], call->api_version);
        result->feature = request->feature_updates[i].feature;
        result->error_code = err_wire_code(e);
        result->error_message = say(call->arena, e);
    }
    map_done(&known);
}

static enum err event_update_features(struct controller *controller, void *context, bool cancelled)
{
    struct call *call = context;
    struct update_features_response response;
    update_features_response_init(&response);
    response.error_message = SLICE_NULL;
    if (cancelled || !controller->active)
        response.error_code = err_wire_code(ERR_NOT_CONTROLLER);
    else
        judge_features(call, &response);
    call->done(call->context, &response);
    return ERR_OK;
}

void controller_update_features(struct controller *controller,
                                const struct update_features_request *request, int16_t api_version,
                                struct arena *arena, controller_done_fn *done, void *context)
{
    controller_enqueue(controller, "update-features", event_update_features,
                       call_new(request, api_version, arena, done, context));
}
