/* Leadership goes back to the preferred replica, the first assigned: by the clock where too many
 * partitions of a broker are led elsewhere, by the znode of the old tool, and by ElectLeaders,
 * which also forces unclean elections. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/admin.h"
#include "coordinator/controller/codec.h"

#define FIRST_CHECK_MS  5000
#define TYPE_PREFERRED  0
#define TYPE_UNCLEAN    1
#define PREFERRED_ZNODE "/admin/preferred_replica_election"

/* ---- By the clock ---- */

static bool led_by_another(const struct partition *partition)
{
    return partition->has_leadership && partition->replicas.count > 0 &&
           partition->leadership.leader != partition->replicas.ids[0];
}

/* Partitions that prefer this broker; those it does not lead but could, in the list. */
static void survey(struct controller *controller, const struct broker_node *broker,
                   int32_t *ret_preferring, int32_t *ret_imbalance, struct partition_list *ret)
{
    *ret_preferring = *ret_imbalance = 0;
    for (size_t i = 0; i < broker->replica_count; i++) {
        struct partition *partition = broker->replicas[i];
        if (partition->topic->deleting || partition->replicas.count == 0 ||
            partition->replicas.ids[0] != broker->id || !partition->has_leadership)
            continue;
        (*ret_preferring)++;
        if (!led_by_another(partition))
            continue;
        (*ret_imbalance)++;
        if (partition_replica_is_online(&controller->context, partition, broker->id) &&
            ids_contains(&partition->leadership.isr, broker->id) &&
            !partition_is_reassigning(partition))
            partition_list_add(ret, partition);
    }
}

static enum err elect_in_batch(struct controller *controller,
                               const struct partition_list *partitions, enum election how,
                               enum err *ret_errors)
{
    if (partitions->count == 0)
        return ERR_OK;
    batch_begin(controller);
    enum err e = partitions_elect(controller, partitions, how, ret_errors);
    if (!e)
        batch_send(controller);
    return e;
}

static enum err event_rebalance(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    if (cancelled || !controller->active)
        return ERR_OK;
    size_t count;
    OWNED_MEM struct broker_node **brokers = context_registered(&controller->context, &count);
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < count; i++) {
        PARTITION_LIST able = {0};
        int32_t preferring, imbalance;
        survey(controller, brokers[i], &preferring, &imbalance, &able);
        if (preferring == 0 ||
            (int64_t)imbalance * 100 <=
                (int64_t)preferring * controller->settings.leader_imbalance_per_broker_percentage)
            continue;
        trace_info("leaders go back to their preferred broker broker=%" PRId32 " partitions=%zu",
                   brokers[i]->id, able.count);
        e = elect_in_batch(controller, &able, ELECT_PREFERRED, NULL);
    }
    return e;
}

static void rebalance_due(struct timer *timer)
{
    struct controller *controller = CONTAINER_OF(timer, struct controller, rebalance_timer);
    int64_t seconds = controller->settings.leader_imbalance_check_interval_seconds;
    int64_t interval_ms = seconds > INT64_MAX / 1000 ? INT64_MAX : seconds * 1000;
    timer_set(&controller->timers, timer,
              clock_later_ms(clock_mono_ms(controller->clock), interval_ms));
    controller_enqueue(controller, "rebalance", event_rebalance, NULL);
}

void preferred_init(struct controller *controller)
{
    controller->rebalance_timer.fire = rebalance_due;
}

void preferred_start_timer(struct controller *controller)
{
    if (controller->settings.auto_leader_rebalance_enable)
        timer_set(&controller->timers, &controller->rebalance_timer,
                  clock_mono_ms(controller->clock) + FIRST_CHECK_MS);
}

/* ---- By the znode ---- */

/* The exists after the removal arms the watch again, or the next request would go unseen (trap
 * T26). */
enum err preferred_run_znode(struct controller *controller)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t get = wave_get(wave, PREFERRED_ZNODE, false);
    enum err e = wave_run(wave);
    if (e)
        return e;
    const struct wave_result *found = wave_result(wave, get);
    if (!found->error) {
        PARTITION_LIST partitions = {0};
        struct named_partition *named;
        int32_t count;
        codec_partitions_decode(wave_arena(wave), found->data, &named, &count);
        for (int32_t i = 0; i < count; i++) {
            struct partition *partition =
                context_partition(&controller->context, named[i].topic, named[i].partition);
            if (partition && !partition->topic->deleting && led_by_another(partition))
                partition_list_add(&partitions, partition);
        }
        e = elect_in_batch(controller, &partitions, ELECT_PREFERRED, NULL);
        if (e)
            return e;
        wave_guarded_delete(wave, PREFERRED_ZNODE);
    }
    wave_exists(wave, PREFERRED_ZNODE, true);
    return wave_run(wave);
}

enum err event_preferred_znode(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    return cancelled || !controller->active ? ERR_OK : preferred_run_znode(controller);
}

/* ---- ElectLeaders ---- */

struct poll {
    struct controller *controller;
    struct call *call;
    const struct elect_leaders_request *request;
    struct elect_leaders_response *response;
    struct partition_list partitions; /* to be elected */
    struct elect_leaders_response_partition_result **results;
};

/* Each partition once and each topic once, in the order of their first mention; topics of which
 * nothing is asked are left out. */
static const struct elect_leaders_request *merged(struct arena *arena,
                                                  const struct elect_leaders_request *request)
{
    typedef struct elect_leaders_request_topic_partitions asked_topic;
    int32_t count = request->topic_partitions_count;
    if (count < 0)
        return request;
    struct elect_leaders_request *ret = arena_alloc(arena, sizeof *ret);
    *ret = *request;
    ret->topic_partitions = arena_new_array(arena, asked_topic, (size_t)count + 1);
    ret->topic_partitions_count = 0;
    int32_t *capacities = arena_new_array(arena, int32_t, (size_t)count + 1);
    struct map *ids = arena_new_array(arena, struct map, (size_t)count + 1), topics = {0};
    for (int32_t t = 0; t < count; t++) {
        const asked_topic *asked = &request->topic_partitions[t];
        asked_topic *to = map_get(&topics, asked->topic);
        if (!to && asked->partitions_count > 0) {
            to = &ret->topic_partitions[ret->topic_partitions_count++];
            to->topic = asked->topic;
            map_put(&topics, to->topic, to);
        }
        if (to)
            capacities[to - ret->topic_partitions] += asked->partitions_count;
    }
    for (int32_t t = 0; t < ret->topic_partitions_count; t++)
        ret->topic_partitions[t].partitions =
            arena_new_array(arena, int32_t, (size_t)capacities[t] + 1);
    for (int32_t t = 0; t < count; t++) {
        const asked_topic *asked = &request->topic_partitions[t];
        asked_topic *to = map_get(&topics, asked->topic);
        for (int32_t p = 0; p < asked->partitions_count; p++) {
            int32_t *id = &asked->partitions[p];
            if (!map_put(&ids[to - ret->topic_partitions], MAP_KEY(*id), id))
                to->partitions[to->partitions_count++] = *id;
        }
    }
    for (int32_t t = 0; t < ret->topic_partitions_count; t++)
        map_done(&ids[t]);
    map_done(&topics);
    return ret;
}

static enum err poll_check(struct controller *controller, const struct partition *partition,
                           int8_t type)
{
    if (!partition)
        return err_note(ERR_UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.");
    if (partition->topic->deleting)
        return err_note(ERR_INVALID_TOPIC_EXCEPTION, "The topic is being deleted");
    bool needed = type == TYPE_PREFERRED
                      ? led_by_another(partition)
                      : partition->has_leadership &&
                            !context_is_live(&controller->context, partition->leadership.leader);
    return needed ? ERR_OK
                  : err_note(ERR_ELECTION_NOT_NEEDED,
                             "Leader election not needed for topic partition.");
}

static struct elect_leaders_response_replica_election_result *
poll_topic(struct poll *poll, struct slice name, int32_t capacity)
{
    struct elect_leaders_response_replica_election_result *result =
        &poll->response->replica_election_results[poll->response->replica_election_results_count++];
    elect_leaders_response_replica_election_result_init(result);
    result->topic = name;
    result->partition_result = arena_new_array(
        poll->call->arena, struct elect_leaders_response_partition_result, (size_t)capacity + 1);
    return result;
}

static void poll_add(struct poll *poll,
                     struct elect_leaders_response_replica_election_result *topic,
                     struct partition *partition, int32_t id, bool asked_by_name)
{
    enum err e = poll_check(poll->controller, partition, poll->request->election_type);
    if (e == ERR_ELECTION_NOT_NEEDED && !asked_by_name)
        return;
    struct elect_leaders_response_partition_result *result =
        &topic->partition_result[topic->partition_result_count++];
    elect_leaders_response_partition_result_init(result);
    result->partition_id = id;
    result->error_message = SLICE_NULL;
    if (e) {
        result->error_code = err_wire_code(e);
        result->error_message = say(poll->call->arena, e);
        return;
    }
    poll->results[poll->partitions.count] = result;
    partition_list_add(&poll->partitions, partition);
}

static void poll_collect(struct poll *poll)
{
    const struct elect_leaders_request *request = poll->request;
    struct context *context = &poll->controller->context;
    struct arena *arena = poll->call->arena;
    size_t topics = request->topic_partitions_count < 0 ? context->topics.count
                                                        : (size_t)request->topic_partitions_count;
    size_t partitions = (size_t)context->partition_count;
    for (int32_t t = 0; t < request->topic_partitions_count; t++)
        partitions += (size_t)request->topic_partitions[t].partitions_count;
    poll->results =
        arena_new_array(arena, struct elect_leaders_response_partition_result *, partitions + 1);
    poll->response->replica_election_results =
        arena_new_array(arena, struct elect_leaders_response_replica_election_result, topics + 1);
    for (int32_t t = 0; t < request->topic_partitions_count; t++) {
        const struct elect_leaders_request_topic_partitions *asked = &request->topic_partitions[t];
        struct elect_leaders_response_replica_election_result *result =
            poll_topic(poll, asked->topic, asked->partitions_count);
        for (int32_t p = 0; p < asked->partitions_count; p++)
            poll_add(poll, result, context_partition(context, asked->topic, asked->partitions[p]),
                     asked->partitions[p], true);
    }
    struct map_entry *e;
    for (size_t i = 0;
         request->topic_partitions_count < 0 && (e = map_next(&context->topics, &i));) {
        const struct topic *topic = e->value;
        struct elect_leaders_response_replica_election_result *result =
            poll_topic(poll, arena_copy(arena, slice_str(topic->name)), topic->partition_count);
        for (int32_t p = 0; p < topic->partition_count; p++)
            poll_add(poll, result, topic->partitions[p], topic->partitions[p]->id, false);
        if (result->partition_result_count == 0)
            poll->response->replica_election_results_count--;
    }
}

static void poll_refuse(struct poll *poll, enum err e)
{
    const struct elect_leaders_request *request = poll->request;
    struct elect_leaders_response *response = poll->response;
    if (poll->call->api_version > 0) /* the first version has no place for it */
        response->error_code = err_wire_code(e);
    response->replica_election_results_count = 0;
    response->replica_election_results = arena_new_array(
        poll->call->arena, struct elect_leaders_response_replica_election_result,
        (size_t)(request->topic_partitions_count > 0 ? request->topic_partitions_count : 0) + 1);
    for (int32_t t = 0; t < request->topic_partitions_count; t++) {
        const struct elect_leaders_request_topic_partitions *asked = &request->topic_partitions[t];
        struct elect_leaders_response_replica_election_result *result =
            poll_topic(poll, asked->topic, asked->partitions_count);
        for (int32_t p = 0; p < asked->partitions_count; p++) {
            struct elect_leaders_response_partition_result *entry =
                &result->partition_result[result->partition_result_count++];
            elect_leaders_response_partition_result_init(entry);
            entry->partition_id = asked->partitions[p];
            entry->error_code = err_wire_code(e);
            entry->error_message = SLICE_NULL;
        }
    }
}

/* What became of a partition that was to be elected; the sentence is Kafka's. */
static void poll_take(struct poll *poll, size_t index, enum err e)
{
    const struct partition *partition = poll->partitions.items[index];
    struct elect_leaders_response_partition_result *result = poll->results[index];
    const char *strategy = poll->request->election_type == TYPE_UNCLEAN
                               ? "OfflinePartitionLeaderElectionStrategy(true)"
                               : "PreferredReplicaPartitionLeaderElectionStrategy";
    result->error_code = err_wire_code(e);
    if (e)
        result->error_message = slice_str(
            arena_printf(poll->call->arena,
                         "Failed to elect leader for partition %s-%" PRId32 " under strategy %s",
                         partition->topic->name, partition->id, strategy));
}

/* The result that was elected as the index-th, or any other: counted through the topics. */
static void election_is_late(void *response, int32_t index)
{
    struct elect_leaders_response *all = response;
    for (int32_t t = 0; t < all->replica_election_results_count; t++) {
        struct elect_leaders_response_replica_election_result *topic =
            &all->replica_election_results[t];
        if (index < topic->partition_result_count) {
            topic->partition_result[index].error_code = err_wire_code(ERR_REQUEST_TIMED_OUT);
            return;
        }
        index -= topic->partition_result_count;
    }
}

/* What was elected without an error is answered when this broker's own cache shows it. */
static void poll_wait(struct poll *poll, const enum err *errors)
{
    struct wait_topic *waited =
        arena_new_array(poll->call->arena, struct wait_topic, poll->partitions.count + 1);
    int32_t count = 0, index = 0;
    size_t next = 0;
    for (int32_t t = 0; t < poll->response->replica_election_results_count; t++) {
        struct elect_leaders_response_replica_election_result *topic =
            &poll->response->replica_election_results[t];
        for (int32_t p = 0; p < topic->partition_result_count; p++, index++) {
            if (next >= poll->partitions.count ||
                poll->results[next] != &topic->partition_result[p])
                continue;
            const struct partition *partition = poll->partitions.items[next];
            if (!errors[next++])
                waited[count++] =
                    (struct wait_topic){.name = topic->topic,
                                        .index = index,
                                        .is_election = true,
                                        .elected_partition = partition->id,
                                        .elected_epoch = partition->leadership.leader_epoch};
        }
    }
    wait_begin(poll->controller, poll->call, poll->response, election_is_late, waited, count, false,
               poll->request->timeout_ms);
}

static enum err event_elect_leaders(struct controller *controller, void *context, bool cancelled)
{
    struct call *call = context;
    struct elect_leaders_response *response = arena_alloc(call->arena, sizeof *response);
    elect_leaders_response_init(response);
    struct poll poll = {
        .controller = controller, .call = call, .request = call->request, .response = response};
    enum err e = ERR_OK;
    poll.request = merged(call->arena, poll.request);
    if (cancelled || !controller->active) {
        poll_refuse(&poll, ERR_NOT_CONTROLLER);
    } else if (poll.request->election_type != TYPE_PREFERRED &&
               poll.request->election_type != TYPE_UNCLEAN) {
        poll_refuse(&poll, ERR_UNKNOWN_SERVER_ERROR); /* as Kafka, which breaks down over it */
    } else {
        poll_collect(&poll);
        bool is_waiting = false;
        OWNED_MEM enum err *errors = mem_new_array(enum err, poll.partitions.count + 1);
        e = elect_in_batch(controller, &poll.partitions,
                           poll.request->election_type == TYPE_UNCLEAN ? ELECT_OFFLINE_UNCLEAN
                                                                       : ELECT_PREFERRED,
                           errors);
        for (size_t i = 0; !e && i < poll.partitions.count; i++)
            poll_take(&poll, i, errors[i]);
        if (e) {
            poll_refuse(&poll, err_ends_event(e) ? ERR_NOT_CONTROLLER : ERR_UNKNOWN_SERVER_ERROR);
        } else {
            poll_wait(&poll, errors);
            is_waiting = true;
        }
        partition_list_done(&poll.partitions);
        if (is_waiting)
            return ERR_OK;
    }
    call->done(call->context, response);
    return e;
}

void controller_elect_leaders(struct controller *controller,
                              const struct elect_leaders_request *request, int16_t api_version,
                              struct arena *arena, controller_done_fn *done, void *context)
{
    controller_enqueue(controller, "elect-leaders", event_elect_leaders,
                       call_new(request, api_version, arena, done, context));
}
