/* What a Fetch brought, partition by partition (storage-and-replication §15.2 to §15.5, §16.3). */
#include "broker/replica/fetcher_internal.h"

#include "broker/base/trace.h"

static void local_error(struct followed *followed, enum err e)
{
    switch (e) {
    case ERR_FENCED_LEADER_EPOCH: /* another role; it is followed anew, or not */
        followed_move(followed, FOLLOW_FAILED);
        return;
    case ERR_NO_SPACE: /* wait for room */
    case ERR_CORRUPT_MESSAGE:
        trace_warn("records of a leader not appended topic=%s partition=%d leader=%d error=%s: %s",
                   partition_topic(followed->partition), followed->id, followed->source->leader_id,
                   err_name(e), err_sentence(e));
        followed_delay(followed);
        return;
    default:
        followed_fail(followed, err_sentence(e));
    }
}

static void take_records(struct followed *followed,
                         const struct fetch_response_partition_data *data,
                         struct fetch_flushes **flushes)
{
    struct leader_data leader = {.fetch_offset = followed->sent_offset,
                                 .records = data->records.bytes,
                                 .high_watermark = data->high_watermark,
                                 .log_start_offset = data->log_start_offset};
    bool needs_flush = false;
    enum err e = partition_append_follower(followed->partition, followed->leader_epoch, &leader,
                                           &needs_flush);
    if (e) {
        local_error(followed, e);
        return;
    }
    /* The leader is told the new position; and where we begin, if it has moved its own log start:
     * its DeleteRecords waits to hear that we have followed (or were there before). */
    if (leader.records.size || leader.log_start_offset != followed->leader_log_start)
        followed_requeue(followed);
    followed->leader_log_start = leader.log_start_offset;
    followed->await_ms = 0;
    if (needs_flush)
        fetch_flushes_add(flushes, followed);
}

/* Nothing was cut, so asking again would give the same answer at once, for ever. */
static void stays_diverging(struct followed *followed,
                            const struct fetch_response_epoch_end_offset *end)
{
    trace_error("our log diverges from the leader's, and there is nothing to cut topic=%s "
                "partition=%d leader=%d leader_epoch=%d diverging_epoch=%d end_offset=%lld",
                partition_topic(followed->partition), followed->id, followed->source->leader_id,
                followed->leader_epoch, end->epoch, (long long)end->end_offset);
    followed_delay(followed);
}

static void diverges(struct followed *followed, const struct fetch_response_epoch_end_offset *end)
{
    bool is_done;
    struct follower_position before, after = {0};
    enum err e = partition_follower_position(followed->partition, followed->leader_epoch, &before);
    if (!e)
        e = partition_truncate_to_epoch(followed->partition, followed->leader_epoch, end->epoch,
                                        end->end_offset, &is_done);
    if (!e)
        e = partition_follower_position(followed->partition, followed->leader_epoch, &after);
    if (e)
        local_error(followed, e);
    else if (before.fetch_offset == after.fetch_offset &&
             before.last_fetched_epoch == after.last_fetched_epoch)
        stays_diverging(followed, end);
    else
        followed_requeue(followed); /* the next fetch compares again */
}

static void leader_error(struct followed *followed, enum err e)
{
    switch (e) {
    case ERR_OFFSET_OUT_OF_RANGE:
        trace_warn("our log end is out of the leader's range topic=%s partition=%d leader=%d "
                   "offset=%lld",
                   partition_topic(followed->partition), followed->id, followed->source->leader_id,
                   (long long)followed->sent_offset);
        followed_move(followed, FOLLOW_ASKING_END);
        return;
    case ERR_FENCED_LEADER_EPOCH:
        followed_await_role(followed);
        return;
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_UNKNOWN_LEADER_EPOCH:
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_UNKNOWN_TOPIC_ID:
        followed_await_leader(followed);
        return;
    default:
        trace_debug("fetch refused topic=%s partition=%d leader=%d error=%s",
                    partition_topic(followed->partition), followed->id, followed->source->leader_id,
                    err_name(e));
        followed_delay(followed);
    }
}

/* An answer counts only for the position that was asked for. */
static bool is_current(const struct followed *followed)
{
    return followed && followed->in_session && followed->state == FOLLOW_FETCHING &&
           !timer_is_set(&followed->delay) &&
           followed->sent_leader_epoch == followed->leader_epoch &&
           !list_is_linked(&followed->queue);
}

static void take_partition(struct followed *followed,
                           const struct fetch_response_partition_data *data,
                           struct fetch_flushes **flushes)
{
    if (!is_current(followed))
        return;
    if (data->error_code)
        leader_error(followed, err_from_wire(data->error_code));
    else if (data->diverging_epoch.epoch >= 0 && data->diverging_epoch.end_offset >= 0)
        diverges(followed, &data->diverging_epoch);
    else
        take_records(followed, data, flushes);
}

static void settle_session(struct fetch_source *source, const struct fetch_response *response)
{
    if (response->session_id == 0) { /* the leader keeps none for us */
        source->session_id = 0;
        fetch_source_reset_session(source);
        return;
    }
    source->session_id = response->session_id;
    source->session_epoch = source->session_epoch == INT32_MAX ? 1 : source->session_epoch + 1;
}

static void session_error(struct fetch_source *source, enum err e)
{
    trace_info("fetch session lost leader=%d error=%s", source->leader_id, err_name(e));
    if (e == ERR_FETCH_SESSION_ID_NOT_FOUND)
        source->session_id = 0;
    fetch_source_reset_session(source);
    if (e != ERR_FETCH_SESSION_ID_NOT_FOUND && e != ERR_INVALID_FETCH_SESSION_EPOCH &&
        e != ERR_FETCH_SESSION_TOPIC_ID_ERROR)
        fetch_source_back_off(source);
}

static void take_response(struct fetch_source *source, const struct fetch_response *response)
{
    struct fetch_flushes *flushes = NULL;
    for (int32_t t = 0; t < response->responses_count; t++) {
        const struct fetch_response_fetchable_topic_response *topic = &response->responses[t];
        struct uuid id = source->session_uses_ids ? topic->topic_id : UUID_ZERO;
        for (int32_t p = 0; p < topic->partitions_count; p++)
            take_partition(
                fetch_source_find(source, topic->topic, id, topic->partitions[p].partition_index),
                &topic->partitions[p], &flushes);
    }
    settle_session(source, response);
    fetch_flushes_begin(flushes);
}

void fetch_answered(void *context, enum err e, const void *message)
{
    struct fetch_source *source = context;
    const struct fetch_response *response = message;
    source->is_in_flight = false;
    if (e) {
        trace_debug("fetch failed leader=%d: %s", source->leader_id, err_sentence(e));
        fetch_source_reset_session(source);
        fetch_source_back_off(source);
        return;
    }
    if (response->error_code)
        session_error(source, err_from_wire(response->error_code));
    else
        take_response(source, response);
    fetch_source_run(source);
}
