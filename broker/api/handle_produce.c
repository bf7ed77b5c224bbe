/* Produce (KIP-98 format, KIP-467 record errors, KIP-951 leader hints): each partition's records
 * are checked, stamped in the request's own buffer and appended on the connection's thread. acks=1
 * answers at once; acks=all waits until every partition's high watermark has passed its records, or
 * the time is up.
 *
 *      append all --(flush.messages)--> flush on a worker --(acks=all)--> wait --> answer */
#include "broker/api/handlers.h"

#include "broker/api/leader_hint.h"
#include "broker/base/map.h"
#include "broker/base/trace.h"
#include "broker/record/validate.h"
#include "broker/wire/topic_name.h"
#include "wire/produce.h"

struct produce_wait;

/* One partition of the request. */
struct produce_part {
    struct produce_response_partition_produce_response *answer;
    struct slice topic;
    const struct produce_request_partition_produce_data *data;
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

/* Where the log itself turned the records away the answer tells its start; what never came that far
 * has none. */
static bool tells_log_start(enum err e)
{
    switch (e) {
    case ERR_CORRUPT_MESSAGE:
    case ERR_INVALID_REQUIRED_ACKS:
    case ERR_INVALID_TOPIC_EXCEPTION:
    case ERR_IO:
    case ERR_KAFKA_STORAGE_ERROR:
    case ERR_MESSAGE_TOO_LARGE:
    case ERR_NO_SPACE:
    case ERR_NOT_ENOUGH_REPLICAS:
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_RECORD_LIST_TOO_LARGE:
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
        return false;
    default:
        return true;
    }
}

static void answer_log_error(struct produce_part *part, enum err e,
                             const struct append_result *result)
{
    struct arena *arena = part->wait->request->arena;
    set_error(part, e);
    struct log *log = part->partition ? partition_log(part->partition) : NULL;
    if (log && tells_log_start(e))
        part->answer->log_start_offset = log_start_offset(log);
    if (result->record_errors_count) {
        answer_record_errors(part, result, arena);
        part->answer->error_message = arena_copy(arena, slice_str(err_sentence(e)));
    }
    if (e == ERR_IO || e == ERR_NO_SPACE)
        trace_warn("append failed topic=%.*s partition=%d: %s", SLICE_ARG(part->topic),
                   part->data->index, err_sentence(e));
}

/* What is checked before the log is asked, in the JVM broker's order. */
static enum err check_part(struct produce_part *part)
{
    const struct request *request = part->wait->request;
    const struct produce_request *message = message_of(request);
    if (!metadata_has_partition(request->broker->metadata_cache, part->topic, part->data->index))
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    enum err e = records_check_version(part->data->records.bytes, request->api_version);
    if (e)
        return e;
    if (message->acks < ACKS_ALL || message->acks > ACKS_LEADER)
        return ERR_INVALID_REQUIRED_ACKS;
    if (topic_is_internal(part->topic) && !slice_equal_str(request->client_id, "__admin_client"))
        return ERR_INVALID_TOPIC_EXCEPTION;
    return replica_manager_find(request->broker->replica_manager, part->topic, part->data->index,
                                &part->partition);
}

static void append(struct produce_part *part)
{
    struct request *request = part->wait->request;
    struct append_result result = {0};
    enum err e = check_part(part);
    if (e) {
        set_error(part, e);
        return;
    }
    e = partition_append(part->partition, (uint8_t *)(uintptr_t)part->data->records.bytes.data,
                         part->data->records.bytes.size, message_of(request)->acks, APPEND_CLIENT,
                         request->api_version, request->arena, &result, &part->required_offset);
    if (e) {
        answer_log_error(part, e, &result);
        return;
    }
    part->answer->base_offset = result.base_offset;
    part->answer->log_append_time_ms = result.log_append_time_ms;
    part->answer->log_start_offset = result.log_start_offset;
    part->needs_flush = result.needs_flush;
}

/* --- the parts of a request --- */

#define FEW_PARTS 16 /* up to this many are searched one by one */

static int32_t count_parts(const struct produce_request *message)
{
    int32_t count = 0;
    for (int32_t t = 0; t < message->topic_data_count; t++)
        count += message->topic_data[t].partition_data_count;
    return count;
}

static bool is_same_part(const struct produce_part *part, struct slice topic, int32_t index)
{
    return part->data->index == index && slice_equal(part->topic, topic);
}

#define PART_KEY_MAX (4 + 256)

static struct slice part_key(uint8_t key[static PART_KEY_MAX], struct slice topic, int32_t index)
{
    size_t size =
        topic.size < PART_KEY_MAX - sizeof index ? topic.size : PART_KEY_MAX - sizeof index;
    memcpy(key, &index, sizeof index);
    if (size)
        memcpy(key + sizeof index, topic.data, size);
    return slice_of(key, sizeof index + size);
}

static void remember_part(struct map *seen, struct produce_part *part, struct slice topic,
                          int32_t index)
{
    uint8_t key[PART_KEY_MAX];
    map_put(seen, part_key(key, topic, index), part);
}

/* A partition may be named twice: the last one counts, in the place of the first. */
static struct produce_part *part_of(struct produce_wait *wait, struct map *seen, struct slice topic,
                                    int32_t index)
{
    if (wait->parts_count < FEW_PARTS) {
        for (int32_t i = 0; i < wait->parts_count; i++)
            if (is_same_part(&wait->parts[i], topic, index))
                return &wait->parts[i];
        return &wait->parts[wait->parts_count++];
    }
    for (int32_t i = 0; seen->count == 0 && i < wait->parts_count; i++)
        remember_part(seen, &wait->parts[i], wait->parts[i].topic, wait->parts[i].data->index);
    uint8_t key[PART_KEY_MAX];
    struct produce_part *part = map_get(seen, part_key(key, topic, index));
    if (!part) {
        part = &wait->parts[wait->parts_count++];
        remember_part(seen, part, topic, index);
    }
    return part;
}

static void gather_parts(struct produce_wait *wait)
{
    const struct produce_request *message = message_of(wait->request);
    int32_t count = count_parts(message);
    struct map seen = {0};
    wait->parts = arena_new_array(wait->request->arena, struct produce_part, count + 1);
    for (int32_t t = 0; t < message->topic_data_count; t++) {
        const struct produce_request_topic_produce_data *topic = &message->topic_data[t];
        for (int32_t i = 0; i < topic->partition_data_count; i++) {
            struct produce_part *part =
                part_of(wait, &seen, topic->name, topic->partition_data[i].index);
            part->topic = topic->name;
            part->data = &topic->partition_data[i];
            part->wait = wait;
            part->waiter.moved = moved;
        }
    }
    map_done(&seen);
}

/* One topic of the answer for each that has parts, in the order in which they came. */
static void lay_out_answer(struct produce_wait *wait)
{
    struct arena *arena = wait->request->arena;
    struct produce_response *response = &wait->response;
    produce_response_init(response);
    size_t room = (size_t)wait->parts_count + 1;
    response->responses =
        arena_new_array(arena, struct produce_response_topic_produce_response, room);
    bool *is_placed = arena_new_array(arena, bool, room);
    for (int32_t i = 0; i < wait->parts_count; i++) {
        if (is_placed[i])
            continue;
        struct produce_response_topic_produce_response *topic =
            &response->responses[response->responses_count++];
        topic->name = wait->parts[i].topic;
        topic->partition_responses = arena_new_array(
            arena, struct produce_response_partition_produce_response, room - (size_t)i);
        for (int32_t k = i; k < wait->parts_count; k++) {
            struct produce_part *part = &wait->parts[k];
            if (is_placed[k] || !slice_equal(part->topic, topic->name))
                continue;
            is_placed[k] = true;
            part->answer = &topic->partition_responses[topic->partition_responses_count++];
            produce_response_partition_produce_response_init(part->answer);
            part->answer->index = part->data->index;
        }
    }
}

/* --- the request as a whole --- */

/* Bytes that no batch of any format can begin with. */
static bool is_no_batch(struct slice bytes)
{
    enum { SHORTEST_LENGTH = 14, NEWEST_MAGIC = 2 };
    if (bytes.size >= BATCH_PREFIX_SIZE && batch_length(bytes.data) < SHORTEST_LENGTH)
        return true;
    return bytes.size > BATCH_MAGIC_AT &&
           (batch_magic(bytes.data) < 0 || batch_magic(bytes.data) > NEWEST_MAGIC);
}

/* What the first batch of each part says, as the JVM broker looks before anything else:
 * CORRUPT_MESSAGE where it is no batch at all; transactional records need a transactional id. */
static enum err look_at_first_batches(const struct produce_wait *wait)
{
    bool has_id = !slice_is_null(message_of(wait->request)->transactional_id);
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct batch_info info;
        enum err e = batch_peek(wait->parts[i].data->records.bytes, &info);
        if (is_no_batch(wait->parts[i].data->records.bytes))
            return err_note(ERR_CORRUPT_MESSAGE, "the records are no batch of a known format");
        bool is_whole = !e && (size_t)info.size_bytes <= wait->parts[i].data->records.bytes.size;
        if (is_whole && info.magic >= 2 && (info.attributes & BATCH_TRANSACTIONAL) && !has_id)
            return ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    }
    return ERR_OK;
}

static void refuse_all(struct produce_wait *wait, enum err e)
{
    for (int32_t i = 0; i < wait->parts_count; i++) {
        set_error(&wait->parts[i], e);
        if (e == ERR_CORRUPT_MESSAGE)
            wait->parts[i].answer->error_message =
                arena_copy(wait->request->arena, slice_str(err_sentence(e)));
    }
    answer(wait);
}

void handle_produce(struct request *request)
{
    struct produce_wait *wait = arena_alloc(request->arena, sizeof *wait);
    wait->request = request;
    request->waiting = wait;
    gather_parts(wait);
    lay_out_answer(wait);
    enum err e = look_at_first_batches(wait);
    if (e) {
        refuse_all(wait, e);
        return;
    }
    bool needs_flush = false;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        append(&wait->parts[i]);
        needs_flush |= wait->parts[i].needs_flush;
    }
    if (needs_flush)
        request_to_worker(request, flush);
    else
        acks_or_answer(request);
}
