/* The questions to a leader that are no fetches: where its log ends and begins, when ours is out of
 * its range (§15.5); where an epoch of ours ended, for old inter.broker.protocol.versions (KIP-101,
 * §16.2). All partitions that have the same question go into one request. */
#include "broker/replica/fetcher_internal.h"

#include "broker/base/trace.h"
#include "wire/api_key.h"
#include "wire/list_offsets.h"
#include "wire/offset_for_leader_epoch.h"

#define LATEST_TIMESTAMP   (-1)
#define EARLIEST_TIMESTAMP (-2)

/* --- what is asked --- */

static enum follow_state first_question(const struct fetch_source *source)
{
    return list_entry(source->asking.next, struct followed, queue)->state;
}

static void add_offset_question(struct fetcher *fetcher, struct list_offsets_request *request,
                                const struct followed *followed)
{
    struct list_offsets_request_list_offsets_topic *topic =
        &request->topics[request->topics_count++];
    list_offsets_request_list_offsets_topic_init(topic);
    topic->name = followed->topic;
    topic->partitions =
        arena_new_array(fetcher->arena, struct list_offsets_request_list_offsets_partition, 1);
    topic->partitions_count = 1;
    list_offsets_request_list_offsets_partition_init(&topic->partitions[0]);
    topic->partitions[0].partition_index = followed->id;
    topic->partitions[0].current_leader_epoch = followed->leader_epoch;
    topic->partitions[0].timestamp =
        followed->state == FOLLOW_ASKING_END ? LATEST_TIMESTAMP : EARLIEST_TIMESTAMP;
}

static void add_epoch_question(struct fetcher *fetcher,
                               struct offset_for_leader_epoch_request *request,
                               const struct followed *followed)
{
    struct offset_for_leader_epoch_request_offset_for_leader_topic *topic =
        &request->topics[request->topics_count++];
    offset_for_leader_epoch_request_offset_for_leader_topic_init(topic);
    topic->topic = followed->topic;
    topic->partitions = arena_new_array(
        fetcher->arena, struct offset_for_leader_epoch_request_offset_for_leader_partition, 1);
    topic->partitions_count = 1;
    offset_for_leader_epoch_request_offset_for_leader_partition_init(&topic->partitions[0]);
    topic->partitions[0].partition = followed->id;
    topic->partitions[0].current_leader_epoch = followed->leader_epoch;
    topic->partitions[0].leader_epoch = followed->asked_epoch;
}

/* --- what is answered --- */

/* The partition that the answer is about, if its question still stands. */
static struct followed *asker(struct fetch_source *source, struct slice topic, int32_t id)
{
    struct followed *followed = fetch_source_find(source, topic, UUID_ZERO, id);
    bool is_current =
        followed && followed->state == source->asked && !timer_is_set(&followed->delay) &&
        followed->sent_leader_epoch == followed->leader_epoch && !list_is_linked(&followed->queue);
    return is_current ? followed : NULL;
}

static void refused(struct followed *followed, int16_t error_code)
{
    enum err e = err_from_wire(error_code);
    if (e == ERR_FENCED_LEADER_EPOCH)
        followed_await_role(followed);
    else
        followed_delay(followed);
}

static void go_on(struct followed *followed, enum err e)
{
    if (!e)
        followed_move(followed, FOLLOW_FETCHING);
    else if (e == ERR_FENCED_LEADER_EPOCH)
        followed_move(followed, FOLLOW_FAILED); /* it is followed anew, or not */
    else
        followed_fail(followed, err_sentence(e));
}

static void take_end(struct followed *followed, int64_t leader_end)
{
    struct follower_position own;
    enum err e = partition_follower_position(followed->partition, followed->leader_epoch, &own);
    if (e || leader_end >= own.fetch_offset) {
        if (e)
            go_on(followed, e);
        else
            followed_move(followed, FOLLOW_ASKING_START);
        return;
    }
    trace_warn("the leader has less than we have; cutting topic=%s partition=%d from=%lld to=%lld",
               partition_topic(followed->partition), followed->id, (long long)own.fetch_offset,
               (long long)leader_end);
    go_on(followed, partition_truncate(followed->partition, followed->leader_epoch, leader_end));
}

static void take_start(struct followed *followed, int64_t leader_start)
{
    struct follower_position own;
    enum err e = partition_follower_position(followed->partition, followed->leader_epoch, &own);
    bool is_in_range = !e && leader_start <= own.fetch_offset;
    if (!e && !is_in_range)
        e = partition_restart_at(followed->partition, followed->leader_epoch, leader_start);
    go_on(followed, e);
    if (is_in_range) /* its log has moved meanwhile; or it contradicts itself, so not at once */
        followed_delay(followed);
}

static void offsets_answered(void *context, enum err e, const void *message)
{
    struct fetch_source *source = context;
    const struct list_offsets_response *response = message;
    for (int32_t t = 0; !e && t < response->topics_count; t++) {
        const struct list_offsets_response_list_offsets_topic_response *topic =
            &response->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            struct followed *followed =
                asker(source, topic->name, topic->partitions[p].partition_index);
            if (!followed)
                continue;
            if (topic->partitions[p].error_code || topic->partitions[p].offset < 0)
                refused(followed, topic->partitions[p].error_code);
            else if (source->asked == FOLLOW_ASKING_END)
                take_end(followed, topic->partitions[p].offset);
            else
                take_start(followed, topic->partitions[p].offset);
        }
    }
}

static void take_epoch(struct followed *followed,
                       const struct offset_for_leader_epoch_response_epoch_end_offset *answer)
{
    bool is_done;
    enum err e = partition_truncate_to_epoch(followed->partition, followed->leader_epoch,
                                             answer->leader_epoch, answer->end_offset, &is_done);
    struct follower_position own;
    if (!e && !is_done) {
        e = partition_follower_position(followed->partition, followed->leader_epoch, &own);
        if (!e && own.last_fetched_epoch >= 0) {
            followed->asked_epoch = own.last_fetched_epoch; /* an older one each time */
            followed_requeue(followed);
            return;
        }
    }
    go_on(followed, e);
}

static void epochs_answered(void *context, enum err e, const void *message)
{
    struct fetch_source *source = context;
    const struct offset_for_leader_epoch_response *response = message;
    for (int32_t t = 0; !e && t < response->topics_count; t++) {
        const struct offset_for_leader_epoch_response_offset_for_leader_topic_result *topic =
            &response->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            struct followed *followed = asker(source, topic->topic, topic->partitions[p].partition);
            if (!followed)
                continue;
            if (topic->partitions[p].error_code)
                refused(followed, topic->partitions[p].error_code);
            else
                take_epoch(followed, &topic->partitions[p]);
        }
    }
}

/* Whoever got no answer asks again. */
static void ask_again(struct fetch_source *source)
{
    list_for_each (&source->followed, node) {
        struct followed *followed = list_entry(node, struct followed, node);
        if (followed->state == source->asked && !timer_is_set(&followed->delay) &&
            !list_is_linked(&followed->queue))
            followed_delay(followed);
    }
}

static void finish(struct fetch_source *source, enum err e)
{
    source->is_in_flight = false;
    ask_again(source);
    if (e) {
        fetch_source_reset_session(source);
        fetch_source_back_off(source);
    } else {
        fetch_source_run(source);
    }
}

static void on_offsets(void *context, enum err e, const void *message)
{
    offsets_answered(context, e, message);
    finish(context, e);
}

static void on_epochs(void *context, enum err e, const void *message)
{
    epochs_answered(context, e, message);
    finish(context, e);
}

/* --- the requests --- */

static int32_t take_askers(struct fetch_source *source, struct followed **askers)
{
    int32_t count = 0;
    list_for_each (&source->asking, node) {
        struct followed *followed = list_entry(node, struct followed, queue);
        if (followed->state != source->asked)
            continue;
        list_remove(node);
        followed->sent_leader_epoch = followed->leader_epoch;
        askers[count++] = followed;
    }
    return count;
}

static bool ask_offsets(struct fetch_source *source, struct followed **askers, int32_t count)
{
    struct fetcher *fetcher = source->fetcher;
    struct list_offsets_request request;
    list_offsets_request_init(&request);
    request.replica_id = fetcher->settings.broker_id;
    request.topics =
        arena_new_array(fetcher->arena, struct list_offsets_request_list_offsets_topic, count);
    for (int32_t i = 0; i < count; i++)
        add_offset_question(fetcher, &request, askers[i]);
    return fetch_source_send(source, API_LIST_OFFSETS, fetcher->settings.list_offsets_version,
                             &request, on_offsets);
}

static bool ask_epochs(struct fetch_source *source, struct followed **askers, int32_t count)
{
    struct fetcher *fetcher = source->fetcher;
    struct offset_for_leader_epoch_request request;
    offset_for_leader_epoch_request_init(&request);
    request.replica_id = fetcher->settings.broker_id;
    request.topics = arena_new_array(
        fetcher->arena, struct offset_for_leader_epoch_request_offset_for_leader_topic, count);
    for (int32_t i = 0; i < count; i++)
        add_epoch_question(fetcher, &request, askers[i]);
    return fetch_source_send(source, API_OFFSET_FOR_LEADER_EPOCH, fetcher->settings.epoch_version,
                             &request, on_epochs);
}

void fetch_source_ask(struct fetch_source *source)
{
    struct fetcher *fetcher = source->fetcher;
    struct followed **askers =
        arena_new_array(fetcher->arena, struct followed *, source->followed_count);
    source->asked = first_question(source);
    int32_t count = take_askers(source, askers);
    bool is_sent = source->asked == FOLLOW_ASKING_EPOCH ? ask_epochs(source, askers, count)
                                                        : ask_offsets(source, askers, count);
    if (!is_sent)
        ask_again(source);
    arena_reset(fetcher->arena);
}
