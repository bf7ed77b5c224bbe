/* Queues to brokers, and what their answers mean. */
#include "coordinator/controller/channel.h"

#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/base/trouble.h"
#include "wire/api_key.h"
#include "coordinator/controller/controller_internal.h"

struct channel {
    struct controller *controller;
    struct broker_node *broker;
    int64_t broker_epoch;
    struct controller_endpoint endpoint; /* of the registration it was made for; strings owned */
    struct list_node queue;              /* struct rpc; those sent stand in front */
    int32_t queued, in_flight;
    bool broken; /* something failed: nothing is sent until the rest has failed too */
    struct timer retry;
    struct trouble trouble; /* requests that get no answer */
};

struct rpc_body *rpc_body_new(void)
{
    struct rpc_body *body = mem_new(struct rpc_body);
    body->arena = arena_new();
    body->refs = 1;
    return body;
}

void rpc_body_unref(struct rpc_body *body)
{
    if (--body->refs > 0)
        return;
    arena_free(body->arena);
    free(body);
}

static void rpc_free(struct rpc *rpc)
{
    list_remove(&rpc->node);
    rpc_body_unref(rpc->body);
    free(rpc);
}

static void channel_pump(struct channel *channel);

static void retry_due(struct timer *timer)
{
    struct channel *channel = CONTAINER_OF(timer, struct channel, retry);
    channel->broken = false;
    channel_pump(channel);
}

struct channel *channel_new(struct controller *controller, struct broker_node *broker,
                            const struct controller_endpoint *endpoint)
{
    struct channel *channel = mem_new(struct channel);
    channel->controller = controller;
    channel->broker = broker;
    channel->broker_epoch = broker->broker_epoch;
    channel->endpoint = *endpoint;
    channel->endpoint.host = mem_strdup(endpoint->host);
    channel->endpoint.listener = mem_strdup(endpoint->listener);
    channel->retry.fire = retry_due;
    list_init(&channel->queue);
    return channel;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    struct controller *controller = channel->controller;
    controller->peers->forget(controller->peers, channel->broker->id);
    timer_cancel(&controller->timers, &channel->retry);
    while (!list_is_empty(&channel->queue))
        rpc_free(list_entry(channel->queue.next, struct rpc, node));
    free((char *)channel->endpoint.host);
    free((char *)channel->endpoint.listener);
    free(channel);
}

struct rpc *channel_rpc(struct channel *channel, int16_t api_key, int16_t api_version,
                        struct rpc_body *body)
{
    struct rpc *rpc = mem_new(struct rpc);
    rpc->channel = channel;
    rpc->api_key = api_key;
    rpc->api_version = api_version;
    rpc->body = body;
    body->refs++;
    return rpc;
}

void channel_queue(struct rpc *rpc)
{
    struct channel *channel = rpc->channel;
    list_push_back(&channel->queue, &rpc->node);
    channel->queued++;
    channel_pump(channel);
}

int32_t channel_queued(const struct channel *channel)
{
    return channel->queued;
}

/* ---- Answers ---- */

struct broker_node *answers_broker(struct controller *controller, const struct answers *answers)
{
    struct broker_node *broker = context_find_broker(&controller->context, answers->broker_id);
    bool is_current = controller->active && controller->epoch == answers->controller_epoch &&
                      broker && broker->broker_epoch == answers->broker_epoch;
    return is_current ? broker : NULL;
}

static struct answers *answers_new(struct channel *channel, int32_t count)
{
    struct arena *arena = arena_new();
    struct answers *answers = arena_alloc(arena, sizeof *answers);
    answers->arena = arena;
    answers->broker_id = channel->broker->id;
    answers->broker_epoch = channel->broker_epoch;
    answers->controller_epoch = channel->controller->epoch;
    answers->items = arena_new_array(arena, struct answer, count > 0 ? count : 1);
    return answers;
}

/* Only what changes the set of offline directories is worth an event: in the ordinary case nothing.
 */
static bool changes_log_dir(const struct channel *channel, struct topic *topic, int32_t id,
                            int16_t error)
{
    struct partition *partition = topic ? topic_partition(topic, id) : NULL;
    const struct replica *replica =
        partition ? partition_replica(partition, channel->broker->id) : NULL;
    if (!replica)
        return false;
    return error == err_wire_code(ERR_KAFKA_STORAGE_ERROR) ? !replica->dir_offline
                                                           : error == 0 && replica->dir_offline;
}

/* Who took its role, and who could not for a log that lies in the way (strays.c); what an answer
 * says of that lets the event look again where there is such a log. */
static bool stray_is_news(const struct channel *channel, struct topic *topic, int32_t id,
                          int16_t error)
{
    struct partition *partition = topic ? topic_partition(topic, id) : NULL;
    struct replica *replica = partition ? partition_replica(partition, channel->broker->id) : NULL;
    if (!replica)
        return false;
    bool has_role = error == 0 || error == err_wire_code(ERR_STALE_CONTROLLER_EPOCH);
    bool is_stray = error == err_wire_code(ERR_INCONSISTENT_TOPIC_ID);
    bool is_news = has_role != replica->has_role || is_stray != replica->is_stray;
    replica->has_role = has_role;
    replica->is_stray = is_stray;
    replica->stray_deleted = replica->stray_deleted && !has_role;
    return is_news && partition_has_stray(partition);
}

static void keep_answer(struct channel *channel, struct answers **answers, struct topic *topic,
                        const struct leader_and_isr_response_leader_and_isr_partition_error *error)
{
    if (!*answers)
        *answers = answers_new(channel, 1);
    struct arena *arena = (*answers)->arena;
    int32_t count = (*answers)->count;
    if ((count & (count - 1)) == 0) { /* doubles at powers of two; the arena keeps the old array */
        struct answer *items = arena_new_array(arena, struct answer, count > 0 ? 2 * count : 1);
        for (int32_t i = 0; i < count; i++)
            items[i] = (*answers)->items[i];
        (*answers)->items = items;
    }
    (*answers)->items[count] = (struct answer){.topic = arena_copy(arena, slice_str(topic->name)),
                                               .partition = error->partition_index,
                                               .error = error->error_code};
    (*answers)->count++;
}

/* What is worth an event: directories that fail or return, and logs of another topic. */
struct notes {
    struct answers *log_dirs, *strays;
};

static void note(struct channel *channel, struct notes *notes, struct topic *topic,
                 const struct leader_and_isr_response_leader_and_isr_partition_error *error)
{
    if (changes_log_dir(channel, topic, error->partition_index, error->error_code))
        keep_answer(channel, &notes->log_dirs, topic, error);
    if (stray_is_news(channel, topic, error->partition_index, error->error_code))
        keep_answer(channel, &notes->strays, topic, error);
}

static void leader_and_isr_answered(struct channel *channel,
                                    const struct leader_and_isr_response *response)
{
    struct context *context = &channel->controller->context;
    if (response->error_code) {
        trace_warn("leader-and-isr refused broker=%" PRId32 " error=%s", channel->broker->id,
                   err_name(err_from_wire(response->error_code)));
        return;
    }
    struct notes notes = {0};
    for (int32_t i = 0; i < response->partition_errors_count; i++) {
        const struct leader_and_isr_response_leader_and_isr_partition_error *error =
            &response->partition_errors[i];
        note(channel, &notes, context_topic(context, error->topic_name), error);
    }
    for (int32_t i = 0; i < response->topics_count; i++) {
        struct topic *topic = context_topic_by_id(context, response->topics[i].topic_id);
        for (int32_t j = 0; j < response->topics[i].partition_errors_count; j++)
            note(channel, &notes, topic, &response->topics[i].partition_errors[j]);
    }
    if (notes.log_dirs)
        log_dirs_answered(channel->controller, notes.log_dirs);
    if (notes.strays)
        strays_answered(channel->controller, notes.strays);
}

static void stop_replica_answered(struct channel *channel, const struct rpc *rpc,
                                  const struct stop_replica_response *response)
{
    if (response->error_code)
        trace_warn("stop-replica refused broker=%" PRId32 " error=%s", channel->broker->id,
                   err_name(err_from_wire(response->error_code)));
    if (!rpc->deletes || response->partition_errors_count <= 0)
        return;
    struct answers *answers = answers_new(channel, response->partition_errors_count);
    answers->error = response->error_code;
    answers->count = response->partition_errors_count;
    for (int32_t i = 0; i < answers->count; i++) {
        const struct stop_replica_response_stop_replica_partition_error *error =
            &response->partition_errors[i];
        answers->items[i] = (struct answer){.topic = arena_copy(answers->arena, error->topic_name),
                                            .partition = error->partition_index,
                                            .error = error->error_code};
    }
    deletion_answered(channel->controller, answers);
}

static void update_metadata_answered(struct channel *channel, const struct rpc *rpc,
                                     const struct update_metadata_response *response)
{
    struct controller *controller = channel->controller;
    if (response->error_code)
        trace_warn("update-metadata refused broker=%" PRId32 " error=%s", channel->broker->id,
                   err_name(err_from_wire(response->error_code)));
    else if (channel->broker->id == controller->settings.broker_id)
        waits_self_told(controller, &rpc->update_metadata);
}

/* Gives the error of the whole answer. */
static int16_t answered(struct channel *channel, const struct rpc *rpc, const void *response)
{
    switch (rpc->api_key) {
    case API_LEADER_AND_ISR:
        leader_and_isr_answered(channel, response);
        return ((const struct leader_and_isr_response *)response)->error_code;
    case API_STOP_REPLICA:
        stop_replica_answered(channel, rpc, response);
        return ((const struct stop_replica_response *)response)->error_code;
    default:
        update_metadata_answered(channel, rpc, response);
        return ((const struct update_metadata_response *)response)->error_code;
    }
}

static void channel_retry_later(struct channel *channel)
{
    timer_set(&channel->controller->timers, &channel->retry,
              clock_mono_ms(channel->controller->clock) + CHANNEL_RETRY_MS);
}

static void channel_failed(struct channel *channel, struct rpc *rpc, enum err error)
{
    struct trouble *trouble = &channel->trouble;
    if (!channel->broken && trouble_again(trouble, channel->controller->clock))
        trace_warn("request to a broker failed, it is sent again broker=%" PRId32
                   " api=%d times=%" PRIu64 " since_ms=%" PRId64 " error=%s: %s",
                   channel->broker->id, rpc->api_key, trouble->times, trouble->since_ms,
                   err_name(error), err_sentence(error));
    channel->broken = true;
    rpc->sent = false;
    if (channel->in_flight == 0)
        channel_retry_later(channel);
}

static void channel_works(struct channel *channel)
{
    const struct trouble *trouble = &channel->trouble;
    if (trouble_over(&channel->trouble, channel->controller->clock))
        trace_info("requests to a broker are answered again broker=%" PRId32 " times=%" PRIu64
                   " since_ms=%" PRId64,
                   channel->broker->id, trouble->times, trouble->since_ms);
}

/* In a hold: events that the answer causes, which may free the channel, run after it. */
static void rpc_finish(struct channel *channel, struct rpc *rpc, enum err error,
                       const void *response)
{
    assert(channel->in_flight > 0);
    channel->in_flight--;
    if (error == ERR_MALFORMED) {
        trace_error("an answer could not be read, the request is lost broker=%" PRId32
                    " api=%d: %s",
                    channel->broker->id, rpc->api_key, err_sentence(error));
    } else if (error) {
        channel_failed(channel, rpc, error);
        return;
    } else {
        channel_works(channel);
        int16_t refusal = answered(channel, rpc, response);
        if (!refusal && channel->broker->crashed)
            crash_denied(channel->controller, channel->broker);
    }
    rpc_free(rpc);
    channel->queued--;
    if (channel->broken && channel->in_flight == 0)
        channel_retry_later(channel);
    channel_pump(channel);
}

static void rpc_done(void *context, enum err error, const void *response)
{
    struct rpc *rpc = context;
    struct controller *controller = rpc->channel->controller;
    controller_hold(controller);
    rpc_finish(rpc->channel, rpc, error, response);
    controller_release(controller);
}

static void channel_pump(struct channel *channel)
{
    struct controller_peers *peers = channel->controller->peers;
    if (channel->broken)
        return;
    list_for_each (&channel->queue, node) {
        struct rpc *rpc = list_entry(node, struct rpc, node);
        if (channel->in_flight >= CHANNEL_IN_FLIGHT_MAX)
            return;
        if (rpc->sent)
            continue;
        rpc->sent = true;
        channel->in_flight++;
        peers->send(peers, channel->broker->id, &channel->endpoint, rpc->api_key, rpc->api_version,
                    &rpc->leader_and_isr, rpc_done, rpc);
    }
}
