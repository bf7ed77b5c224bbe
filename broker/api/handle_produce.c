/* Produce (KIP-98 format, KIP-467 record errors, KIP-951 leader hints): each partition's records
 * are checked, stamped in the request's own buffer and appended on the connection's thread. acks=1
 * answers at once; acks=all waits until every partition's high watermark has passed its records, or
 * the time is up.
 *
 *      append all --(flush.messages)--> flush on a worker --(acks=all)--> wait --> answer */
#include "broker/api/handlers.h"

#include "broker/api/leader_hint.h"
#include "broker/base/trace.h"
#include "wire/produce.h"

struct produce_wait;

/* One partition of the request. */
struct produce_part {
    struct produce_response_partition_produce_response *answer;
    struct slice topic;
    struct partition *partition; /* a reference, while something is still to be done */
    int64_t required_offset;
    bool needs_flush;
    enum err error; /* ERR_AGAIN while it waits for other replicas */
    struct partition_waiter waiter;
    struct produce_wait *wait;
};

struct produce_wait {
    struct request *request;
    struct produce_response response;
    struct produce_part *parts;
    int32_t parts_count;
    _Atomic int32_t open_count; /* parts that wait, and one for the thread that sets them up */
};

static const struct produce_request *message_of(const struct request *request)
{
    return request->message;
}

/* --- answering --- */

static void set_error(struct produce_part *part, enum err e)
{
    part->error = e;
    part->answer->error_code = err_wire_code(e);
    if (e) {
        part->answer->base_offset = -1;
        part->answer->log_append_time_ms = -1;
        part->answer->log_start_offset = -1;
    }
}

static bool any_error(const struct produce_wait *wait)
{
    for (int32_t i = 0; i < wait->parts_count; i++)
        if (wait->parts[i].error)
            return true;
    return false;
}

static void add_leader_hints(struct produce_wait *wait)
{
    struct leader_hints hints = {.request = wait->request};
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct produce_part *part = &wait->parts[i];
        if (part->error == ERR_NOT_LEADER_OR_FOLLOWER)
            leader_hints_find(&hints, part->topic, part->answer->index,
                              &part->answer->current_leader.leader_id,
                              &part->answer->current_leader.leader_epoch);
    }
    struct leader_endpoint *endpoints;
    int32_t count = leader_hints_endpoints(&hints, &endpoints);
    struct produce_response_node_endpoint *nodes =
        arena_new_array(wait->request->arena, struct produce_response_node_endpoint, count + 1);
    for (int32_t i = 0; i < count; i++) {
        produce_response_node_endpoint_init(&nodes[i]);
        nodes[i].node_id = endpoints[i].node_id;
        nodes[i].host = endpoints[i].host;
        nodes[i].port = endpoints[i].port;
        nodes[i].rack = endpoints[i].rack;
    }
    wait->response.node_endpoints = nodes;
    wait->response.node_endpoints_count = count;
}

static void answer(struct produce_wait *wait)
{
    struct request *request = wait->request;
    for (int32_t i = 0; i < wait->parts_count; i++)
        partition_unref(wait->parts[i].partition);
    if (message_of(request)->acks != ACKS_NONE) {
        if (request->api_version >= 10)
            add_leader_hints(wait);
        request_answer(request, &wait->response);
        return;
    }
    /* Nobody reads an answer of acks=0: an error closes the connection, so that the client looks
     * for the leader. */
    if (any_error(wait))
        request_refuse(request, "a produce with acks=0 failed");
    else
        request_answer(request, NULL);
}

/* --- waiting for the other replicas --- */

static void finish_waiting(struct produce_wait *wait, enum err otherwise)
{
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct produce_part *part = &wait->parts[i];
        if (part->error != ERR_AGAIN)
            continue;
        partition_stop_waiting(part->partition, &part->waiter);
        enum err e = partition_ack_state(part->partition, part->required_offset);
        set_error(part, e == ERR_AGAIN ? otherwise : e);
    }
    answer(wait);
}

static void all_moved(struct request *request)
{
    request_timer_cancel(request);
    finish_waiting(request->waiting, ERR_REQUEST_TIMED_OUT);
}

/* The last part that was open posts the request home. */
static void part_closed(struct produce_wait *wait)
{
    if (atomic_fetch_sub(&wait->open_count, 1) == 1)
        request_post(wait->request, all_moved);
}

static void moved(struct partition_waiter *waiter)
{
    part_closed(CONTAINER_OF(waiter, struct produce_part, waiter)->wait);
}

static void time_is_up(struct request *request)
{
    struct produce_wait *wait = request->waiting;
    for (int32_t i = 0; i < wait->parts_count; i++)
        if (wait->parts[i].error == ERR_AGAIN)
            partition_stop_waiting(wait->parts[i].partition, &wait->parts[i].waiter);
    /* Whoever moved before that has counted down; if that was the last, all_moved() is on its way
     * and answers. */
    if (atomic_exchange(&wait->open_count, -1) > 0)
        finish_waiting(wait, ERR_REQUEST_TIMED_OUT);
}

static void wait_for_acks(struct produce_wait *wait)
{
    struct request *request = wait->request;
    int32_t open = 0;
    wait->open_count = 1;
    request->waiting = wait;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct produce_part *part = &wait->parts[i];
        if (part->error || !part->partition)
            continue;
        part->error = ERR_AGAIN;
        part->waiter.offset = part->required_offset;
        atomic_fetch_add(&wait->open_count, 1);
        if (partition_wait_ack(part->partition, &part->waiter))
            open++;
        else
            atomic_fetch_sub(&wait->open_count, 1);
    }
    if (!open) {
        finish_waiting(wait, ERR_REQUEST_TIMED_OUT);
        return;
    }
    if (message_of(request)->timeout_ms <= 0) {
        time_is_up(request); /* our own count keeps the parts from answering first */
        return;
    }
    request_timer_set(request, message_of(request)->timeout_ms, time_is_up);
    part_closed(wait);
}

/* --- stable storage --- */

static void acks_or_answer(struct request *request)
{
    struct produce_wait *wait = request->waiting;
    if (message_of(request)->acks == ACKS_ALL)
        wait_for_acks(wait);
    else
        answer(wait);
}

/* On a worker: those that arrive while a sync runs share the next one. */
static void flush(struct request *request)
{
    struct produce_wait *wait = request->waiting;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct produce_part *part = &wait->parts[i];
        if (part->error || !part->needs_flush)
            continue;
        struct log *log = partition_log(part->partition);
        enum err e = log ? log_flush(log) : ERR_NOT_LEADER_OR_FOLLOWER;
        if (e)
            set_error(part, e);
        else
            partition_flushed(part->partition);
    }
    request_post(request, acks_or_answer);
}

/* --- appending --- */

static bool is_internal_topic(struct slice name)
{
    return slice_equal_str(name, "__consumer_offsets") ||
           slice_equal_str(name, "__transaction_state");
}

static void answer_record_errors(struct produce_part *part, const struct append_result *result,
                                 struct arena *arena)
{
    if (!result->record_errors_count)
        return;
    int32_t count = result->record_errors_count;
    part->answer->record_errors =
        arena_new_array(arena, struct produce_response_batch_index_and_error_message, count);
    part->answer->record_errors_count = count;
    for (int32_t i = 0; i < count; i++) {
        part->answer->record_errors[i].batch_index = result->record_errors[i].batch_index;
        part->answer->record_errors[i].batch_index_error_message =
            slice_str(result->record_errors[i].message);
    }
}

static bool is_about_records(enum err e)
{
    return e == ERR_INVALID_RECORD || e == ERR_INVALID_TIMESTAMP;
}

static void append(struct produce_part *part, struct request *request, struct slice topic,
                   const struct produce_request_partition_produce_data *data)
{
    const struct produce_request *message = message_of(request);
    struct append_result result = {0};
    enum err e = ERR_OK;
    if (message->acks < ACKS_ALL || message->acks > ACKS_LEADER)
        e = ERR_INVALID_REQUIRED_ACKS;
    else if (is_internal_topic(topic) && !slice_equal_str(request->client_id, "__admin_client"))
        e = ERR_INVALID_TOPIC_EXCEPTION;
    if (!e)
        e = replica_manager_find(request->broker->replica_manager, topic, data->index,
                                 &part->partition);
    if (!e)
        e = partition_append(part->partition, (uint8_t *)data->records.bytes.data,
                             data->records.bytes.size, message->acks, APPEND_CLIENT,
                             request->api_version, request->arena, &result, &part->required_offset);
    set_error(part, e);
    if (is_about_records(e)) {
        answer_record_errors(part, &result, request->arena);
        part->answer->error_message =
            slice_str(arena_printf(request->arena, "%s", err_sentence(e)));
    }
    if (e == ERR_IO || e == ERR_NO_SPACE)
        trace_warn("append failed topic=%.*s partition=%d: %s", SLICE_ARG(topic), data->index,
                   err_sentence(e));
    if (e)
        return;
    part->answer->base_offset = result.base_offset;
    part->answer->log_append_time_ms = result.log_append_time_ms;
    part->answer->log_start_offset = result.log_start_offset;
    part->needs_flush = result.needs_flush;
}

static int32_t count_parts(const struct produce_request *message)
{
    int32_t count = 0;
    for (int32_t t = 0; t < message->topic_data_count; t++)
        count += message->topic_data[t].partition_data_count;
    return count;
}

/* The answer mirrors the request's topics and partitions. Returns whether some part must be
 * flushed. */
static bool append_all(struct produce_wait *wait)
{
    struct request *request = wait->request;
    const struct produce_request *message = message_of(request);
    struct arena *arena = request->arena;
    struct produce_response *response = &wait->response;
    produce_response_init(response);
    response->responses_count = message->topic_data_count;
    response->responses = arena_new_array(arena, struct produce_response_topic_produce_response,
                                          message->topic_data_count + 1);
    wait->parts = arena_new_array(arena, struct produce_part, count_parts(message) + 1);
    bool needs_flush = false;
    for (int32_t t = 0; t < message->topic_data_count; t++) {
        const struct produce_request_topic_produce_data *topic = &message->topic_data[t];
        struct produce_response_topic_produce_response *to = &response->responses[t];
        to->name = topic->name;
        to->partition_responses_count = topic->partition_data_count;
        to->partition_responses =
            arena_new_array(arena, struct produce_response_partition_produce_response,
                            topic->partition_data_count + 1);
        for (int32_t i = 0; i < topic->partition_data_count; i++) {
            struct produce_part *part = &wait->parts[wait->parts_count++];
            part->answer = &to->partition_responses[i];
            produce_response_partition_produce_response_init(part->answer);
            part->answer->index = topic->partition_data[i].index;
            part->topic = topic->name;
            part->wait = wait;
            part->waiter.moved = moved;
            append(part, request, topic->name, &topic->partition_data[i]);
            needs_flush |= part->needs_flush;
        }
    }
    return needs_flush;
}

void handle_produce(struct request *request)
{
    struct produce_wait *wait = arena_alloc(request->arena, sizeof *wait);
    wait->request = request;
    request->waiting = wait;
    if (append_all(wait))
        request_to_worker(request, flush);
    else
        acks_or_answer(request);
}
