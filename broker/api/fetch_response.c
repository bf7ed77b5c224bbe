/* Turns what a fetch has read into its answer. */
#include "broker/api/fetch_read.h"
#include "broker/api/leader_hint.h"
#include "broker/base/trace.h"

/* What an older client is told instead (KIP-112: it does not know KAFKA_STORAGE_ERROR). */
static enum err error_for(enum err e, int16_t api_version)
{
    return err_wire_code(e) == err_wire_code(ERR_KAFKA_STORAGE_ERROR) && api_version <= 5
               ? ERR_NOT_LEADER_OR_FOLLOWER
               : e;
}

static void set_empty_records(struct fetch_response_partition_data *to)
{
    to->records.bytes = SLICE_LITERAL(""); /* never null */
}

static void set_error(struct fetch_response_partition_data *to, enum err e)
{
    to->error_code = err_wire_code(e);
    to->high_watermark = -1;
    to->last_stable_offset = -1;
    to->log_start_offset = -1;
    to->aborted_transactions_count = -1;
    set_empty_records(to);
}

static void set_aborted(struct fetch_part *part, struct fetch_response_partition_data *to)
{
    const struct request *request = part->wait->request;
    const struct fetch_request *message = request->message;
    if (message->isolation_level != READ_COMMITTED || part->wait->replica_id >= 0) {
        to->aborted_transactions_count = -1; /* null, not empty: KIP-98 */
        return;
    }
    int32_t count = part->result.aborted_count;
    to->aborted_transactions =
        arena_new_array(request->arena, struct fetch_response_aborted_transaction, count + 1);
    to->aborted_transactions_count = count;
    for (int32_t i = 0; i < count; i++) {
        fetch_response_aborted_transaction_init(&to->aborted_transactions[i]);
        to->aborted_transactions[i].producer_id = part->result.aborted[i].producer_id;
        to->aborted_transactions[i].first_offset = part->result.aborted[i].first_offset;
    }
}

/* The file reference moves into the answer; the connection gives it back when the bytes have left.
 */
static void set_records(struct fetch_part *part, struct fetch_response_partition_data *to)
{
    if (part->is_converted) {
        to->records.bytes = part->converted;
        return;
    }
    if (!part->result.slice.size_bytes) {
        set_empty_records(to);
        return;
    }
    struct log_slice *slice = arena_alloc(part->wait->request->arena, sizeof *slice);
    *slice = part->result.slice;
    part->result.slice.file = NULL;
    to->records.external = slice;
    to->records.external_size = (size_t)slice->size_bytes;
}

static void fill(struct fetch_part *part, struct fetch_response_partition_data *to)
{
    fetch_response_partition_data_init(to);
    to->partition_index = part->asked->partition;
    if (part->error) {
        if (part->error == ERR_IO)
            trace_error("read failed topic=%.*s partition=%d: %s", SLICE_ARG(part->asked->topic),
                        part->asked->partition, err_sentence(part->error));
        set_error(to, error_for(part->error, part->wait->request->api_version));
        if (part->is_unresolved)
            to->aborted_transactions_count = 0; /* the JVM broker's other way to answer */
        return;
    }
    to->high_watermark = part->result.high_watermark;
    to->last_stable_offset = part->result.last_stable_offset;
    to->log_start_offset = part->result.log_start_offset;
    if (part->result.is_diverging) {
        to->diverging_epoch.epoch = part->result.diverging_epoch;
        to->diverging_epoch.end_offset = part->result.diverging_end_offset;
    }
    to->preferred_read_replica = part->preferred_replica;
    set_aborted(part, to);
    set_records(part, to);
}

static bool is_same_topic(const struct fetch_part *a, const struct fetch_part *b)
{
    return slice_equal(a->asked->topic, b->asked->topic) &&
           uuid_equal(a->asked->topic_id, b->asked->topic_id);
}

static bool must_answer(struct fetch_part *part)
{
    bool has_records = part->is_converted || part->result.slice.size_bytes;
    return fetch_session_must_answer(
        &part->wait->context, part->asked, part->error,
        part->error ? -1 : part->result.high_watermark,
        part->error ? -1 : part->result.log_start_offset, !part->error && has_records,
        !part->error && (part->result.is_diverging || part->preferred_replica != NO_BROKER));
}

static void add_hint(struct leader_hints *hints, const struct fetch_part *part,
                     struct fetch_response_partition_data *to)
{
    if (part->error == ERR_NOT_LEADER_OR_FOLLOWER || part->error == ERR_FENCED_LEADER_EPOCH)
        leader_hints_find(hints, part->asked->topic, part->asked->partition,
                          &to->current_leader.leader_id, &to->current_leader.leader_epoch);
}

static void set_endpoints(struct leader_hints *hints, struct fetch_response *response)
{
    struct leader_endpoint *endpoints;
    int32_t count = leader_hints_endpoints(hints, &endpoints);
    response->node_endpoints =
        arena_new_array(hints->request->arena, struct fetch_response_node_endpoint, count + 1);
    response->node_endpoints_count = count;
    for (int32_t i = 0; i < count; i++) {
        fetch_response_node_endpoint_init(&response->node_endpoints[i]);
        response->node_endpoints[i].node_id = endpoints[i].node_id;
        response->node_endpoints[i].host = endpoints[i].host;
        response->node_endpoints[i].port = endpoints[i].port;
        response->node_endpoints[i].rack = endpoints[i].rack;
    }
}

static int compare_turns(const void *a, const void *b)
{
    uint64_t first = (*(struct fetch_part *const *)a)->asked->turn,
             second = (*(struct fetch_part *const *)b)->asked->turn;
    return (first > second) - (first < second);
}

/* Those that came in later, as they moved, have their place among the others. */
static void put_in_turn(struct fetch_wait *wait)
{
    for (int32_t i = 1; i < wait->parts_count; i++) {
        if (wait->parts[i - 1]->asked->turn < wait->parts[i]->asked->turn)
            continue;
        qsort(wait->parts, (size_t)wait->parts_count, sizeof *wait->parts, compare_turns);
        return;
    }
}

struct fetch_response *fetch_read_response(struct fetch_wait *wait)
{
    put_in_turn(wait);
    struct request *request = wait->request;
    struct arena *arena = request->arena;
    struct fetch_response *response = arena_alloc(arena, sizeof *response);
    fetch_response_init(response);
    response->session_id = wait->context.session_id;
    response->responses = arena_new_array(arena, struct fetch_response_fetchable_topic_response,
                                          wait->parts_count + 1);
    struct fetch_response_partition_data *all =
        arena_new_array(arena, struct fetch_response_partition_data, wait->parts_count + 1);

    struct leader_hints hints = {.request = request};
    struct fetch_response_fetchable_topic_response *topic = NULL;
    const struct fetch_part *previous = NULL;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct fetch_part *part = wait->parts[i];
        if (!must_answer(part))
            continue;
        if (!previous || !is_same_topic(previous, part)) {
            topic = &response->responses[response->responses_count++];
            fetch_response_fetchable_topic_response_init(topic);
            topic->topic =
                arena_copy(arena, part->asked->topic); /* the session's own goes back to it */
            if (slice_is_null(topic->topic))
                topic->topic = SLICE_LITERAL("");
            topic->topic_id = part->asked->topic_id;
            topic->partitions = all;
        }
        fill(part, all);
        if (request->api_version >= 16)
            add_hint(&hints, part, all);
        topic->partitions_count++;
        all++;
        previous = part;
    }
    if (request->api_version >= 16)
        set_endpoints(&hints, response);
    return response;
}

void fetch_read_mirror_error(struct request *request, enum err e, struct fetch_response *response)
{
    const struct fetch_request *message = request->message;
    struct arena *arena = request->arena;
    int32_t topics = message->topics_count > 0 ? message->topics_count : 0;
    response->responses_count = topics;
    response->responses =
        arena_new_array(arena, struct fetch_response_fetchable_topic_response, topics + 1);
    for (int32_t t = 0; t < topics; t++) {
        const struct fetch_request_fetch_topic *from = &message->topics[t];
        struct fetch_response_fetchable_topic_response *to = &response->responses[t];
        fetch_response_fetchable_topic_response_init(to);
        to->topic = from->topic;
        to->partitions_count = from->partitions_count;
        to->partitions = arena_new_array(arena, struct fetch_response_partition_data,
                                         from->partitions_count + 1);
        for (int32_t i = 0; i < from->partitions_count; i++) {
            fetch_response_partition_data_init(&to->partitions[i]);
            to->partitions[i].partition_index = from->partitions[i].partition;
            set_error(&to->partitions[i], e);
            to->partitions[i].aborted_transactions_count =
                0; /* the JVM broker leaves these two as they */
            to->partitions[i].records.bytes = SLICE_NULL; /* are when nothing was read at all */
        }
    }
}
