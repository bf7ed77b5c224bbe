/* See fetcher_world.h. */
#include "fetcher_world.h"

#define TOPIC "t"

/* Encode as the leader would get it, and decode in the leader's place. */
static void *across(struct arena *arena, const struct wire_message *message, int16_t version,
                    const void *value)
{
    struct buf bytes = {0};
    assert_err(wire_encode(message, &bytes, version, value), ERR_OK);
    struct slice copy = arena_copy(arena, buf_slice(&bytes));
    buf_done(&bytes);
    void *ret = arena_alloc(arena, message->body->size_bytes);
    size_t used;
    assert_err(wire_decode(message, copy, version, arena, ret, &used), ERR_OK);
    assert_int_equal(used, copy.size);
    return ret;
}

static enum err send_to(void *context, int32_t leader_id, int16_t api_key, int16_t api_version,
                        const void *request, fetcher_answered_fn *answered, void *answered_context)
{
    struct world *w = context;
    w->sends++;
    assert_int_equal(leader_id, LEADER);
    assert_false(w->is_asked); /* one at a time */
    if (w->refusal)
        return w->refusal;
    w->is_asked = true;
    w->api_key = api_key;
    w->api_version = api_version;
    w->request = across(w->r->arena, wire_api(api_key)->request, api_version, request);
    w->answered = answered;
    w->answered_context = answered_context;
    return ERR_OK;
}

static int64_t epoch_of_broker(void *context)
{
    (void)context;
    return BROKER_EPOCH;
}

struct ended {
    struct list_node node;
    struct fetch_flushes *flushes;
};

static void flushed(void *context, struct fetch_flushes *flushes)
{
    struct world *w = context;
    struct ended *ended = mem_new(struct ended);
    ended->flushes = flushes;
    mailbox_post(w->flushed, &ended->node);
}

void await_flushes(struct world *w)
{
    while (fetcher_is_flushing(w->fetcher)) {
        struct list_node all;
        list_init(&all);
        mailbox_wait(w->flushed, -1);
        mailbox_receive(w->flushed, &all);
        for (struct list_node *node; (node = list_pop_front(&all));) {
            OWNED_MEM struct ended *ended = CONTAINER_OF(node, struct ended, node);
            fetcher_flushed(w->fetcher, ended->flushes);
        }
    }
}

void world_restart(struct world *w)
{
    struct fetcher_leaders leaders = {.send = send_to, .context = w};
    fetcher_free(w->fetcher);
    w->fetcher = fetcher_new(&w->settings, &leaders, &w->r->logs->clock.clock);
}

int world_setup(void **state)
{
    struct world *w = mem_new(struct world);
    w->r = replicas_new();
    w->settings = (struct fetcher_settings){.broker_id = SELF,
                                            .broker_epoch = epoch_of_broker,
                                            .fetch_version = 17,
                                            .list_offsets_version = 9,
                                            .epoch_version = 4,
                                            .truncates_on_fetch = true,
                                            .wait_max_ms = 500,
                                            .min_bytes = 1,
                                            .response_max_bytes = 10 << 20,
                                            .max_bytes = 1 << 20,
                                            .backoff_ms = BACKOFF_MS,
                                            .flushed = flushed,
                                            .flushed_context = w};
    w->flushed = mailbox_new();
    world_restart(w);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    await_flushes(w);
    fetcher_free(w->fetcher);
    mailbox_free(w->flushed);
    replicas_free(w->r);
    free(w);
    return 0;
}

/* --- following --- */

struct partition *hosted_of(struct world *w, const char *topic, struct uuid topic_id, int32_t id,
                            int32_t leader_epoch)
{
    struct partition *p = take_role(w->r, &(struct role_spec){.topic = topic,
                                                              .id = topic_id,
                                                              .partition = id,
                                                              .leader = LEADER,
                                                              .replicas = {1, 2},
                                                              .replicas_count = 2,
                                                              .leader_epoch = leader_epoch,
                                                              .partition_epoch = leader_epoch});
    partition_unref(p); /* the manager has one */
    return p;
}

struct partition *hosted(struct world *w, int32_t id, int32_t leader_epoch)
{
    return hosted_of(w, TOPIC, id_of(1), id, leader_epoch);
}

void follow(struct world *w, struct partition *partition)
{
    partition_ref(partition);
    fetcher_follow(w->fetcher, partition, LEADER, partition_leader_epoch(partition));
}

struct partition *followed(struct world *w, int32_t id, int32_t leader_epoch)
{
    struct partition *p = hosted(w, id, leader_epoch);
    follow(w, p);
    fetcher_run(w->fetcher);
    return p;
}

void hold(struct partition *partition, int32_t leader_epoch, int32_t records)
{
    for (int32_t i = 0; i < records; i++) {
        struct batch_spec spec = {.base_offset = end_of(partition), .leader_epoch = leader_epoch};
        assert_err(append_replica(partition_log(partition), &spec), ERR_OK);
    }
}

void pass(struct world *w, int64_t ms)
{
    clock_manual_advance_ms(&w->r->logs->clock, ms);
    fetcher_run(w->fetcher);
}

/* --- what was asked --- */

const struct fetch_request *asked_fetch(struct world *w)
{
    assert_true(w->is_asked);
    assert_int_equal(w->api_key, API_FETCH);
    return w->request;
}

static bool names_topic(struct world *w, struct slice topic, struct uuid id)
{
    return w->api_version >= 13 ? uuid_equal(id, id_of(1)) : slice_equal_str(topic, TOPIC);
}

const struct fetch_request_fetch_partition *asked_of(struct world *w, int32_t id)
{
    const struct fetch_request *request = asked_fetch(w);
    const struct fetch_request_fetch_partition *found = NULL;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct fetch_request_fetch_topic *topic = &request->topics[t];
        for (int32_t p = 0;
             names_topic(w, topic->topic, topic->topic_id) && p < topic->partitions_count; p++) {
            if (topic->partitions[p].partition != id)
                continue;
            assert_null(found); /* once */
            found = &topic->partitions[p];
        }
    }
    return found;
}

int32_t asked_count(struct world *w)
{
    const struct fetch_request *request = asked_fetch(w);
    int32_t count = 0;
    for (int32_t t = 0; t < request->topics_count; t++)
        count += request->topics[t].partitions_count;
    return count;
}

bool is_forgotten(struct world *w, int32_t id)
{
    const struct fetch_request *request = asked_fetch(w);
    for (int32_t t = 0; t < request->forgotten_topics_data_count; t++) {
        const struct fetch_request_forgotten_topic *topic = &request->forgotten_topics_data[t];
        for (int32_t p = 0; p < topic->partitions_count; p++)
            if (names_topic(w, topic->topic, topic->topic_id) && topic->partitions[p] == id)
                return true;
    }
    return false;
}

int32_t forgotten_count(struct world *w)
{
    return asked_fetch(w)->forgotten_topics_data_count;
}

void assert_asked(struct world *w, int32_t id, int64_t fetch_offset, int32_t last_fetched_epoch)
{
    const struct fetch_request_fetch_partition *asked = asked_of(w, id);
    assert_non_null(asked);
    assert_int_equal(asked->fetch_offset, fetch_offset);
    assert_int_equal(asked->last_fetched_epoch, last_fetched_epoch);
}

void assert_session(struct world *w, int32_t session_id, int32_t session_epoch)
{
    assert_int_equal(asked_fetch(w)->session_id, session_id);
    assert_int_equal(asked_fetch(w)->session_epoch, session_epoch);
}

void assert_asked_offset(struct world *w, int32_t id, int64_t timestamp)
{
    assert_true(w->is_asked);
    assert_int_equal(w->api_key, API_LIST_OFFSETS);
    assert_int_equal(w->api_version, w->settings.list_offsets_version);
    const struct list_offsets_request *request = w->request;
    assert_int_equal(request->replica_id, SELF);
    assert_int_equal(request->topics_count, 1);
    assert_int_equal(request->topics->partitions_count, 1);
    assert_int_equal(request->topics->partitions->partition_index, id);
    assert_int_equal(request->topics->partitions->timestamp, timestamp);
    assert_true(request->topics->partitions->current_leader_epoch >= 0);
}

void assert_asked_epoch(struct world *w, int32_t id, int32_t epoch)
{
    assert_true(w->is_asked);
    assert_int_equal(w->api_key, API_OFFSET_FOR_LEADER_EPOCH);
    assert_int_equal(w->api_version, w->settings.epoch_version);
    const struct offset_for_leader_epoch_request *request = w->request;
    assert_int_equal(request->topics_count, 1);
    assert_int_equal(request->topics->partitions_count, 1);
    assert_int_equal(request->topics->partitions->partition, id);
    assert_int_equal(request->topics->partitions->leader_epoch, epoch);
}

/* --- answers --- */

struct buf *batches(void)
{
    return mem_new(struct buf);
}

struct buf *with(struct buf *records, int64_t base_offset, int32_t count, int32_t leader_epoch)
{
    batch_make(records, &(struct batch_spec){.base_offset = base_offset,
                                             .records = count,
                                             .leader_epoch = leader_epoch});
    return records;
}

/* The test's word for an answer to the request under way; the next one leaves. */
static void give(struct world *w, enum err e, const void *response)
{
    assert_true(w->is_asked);
    const struct wire_message *message = wire_api(w->api_key)->response;
    const void *decoded = e ? NULL : across(w->r->arena, message, w->api_version, response);
    w->is_asked = false;
    w->request = NULL;
    w->answered(w->answered_context, e, decoded);
    fetcher_run(w->fetcher);
}

static void fill_part(const struct part *part, struct fetch_response_partition_data *ret)
{
    fetch_response_partition_data_init(ret);
    ret->partition_index = part->id;
    ret->error_code = err_wire_code(part->error);
    ret->high_watermark = part->error ? -1 : part->high_watermark;
    ret->log_start_offset = part->error ? -1 : part->log_start_offset;
    ret->records.bytes = part->records ? buf_slice(part->records) : SLICE_LITERAL("");
    if (part->diverges) {
        ret->diverging_epoch.epoch = part->diverging_epoch;
        ret->diverging_epoch.end_offset = part->diverging_end;
    }
}

void answer_session(struct world *w, int32_t session_id, const struct part *parts, int32_t count)
{
    struct fetch_response response;
    fetch_response_init(&response);
    response.session_id = session_id;
    response.responses =
        arena_new_array(w->r->arena, struct fetch_response_fetchable_topic_response, count + 1);
    response.responses_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct fetch_response_fetchable_topic_response *topic = &response.responses[i];
        fetch_response_fetchable_topic_response_init(topic);
        topic->topic = slice_str(parts[i].topic ? parts[i].topic : TOPIC);
        topic->topic_id = parts[i].topic ? UUID_ZERO : id_of(1);
        topic->partitions = arena_new_array(w->r->arena, struct fetch_response_partition_data, 1);
        topic->partitions_count = 1;
        fill_part(&parts[i], topic->partitions);
    }
    give(w, ERR_OK, &response);
    for (int32_t i = 0; i < count; i++) {
        if (parts[i].records)
            buf_done(parts[i].records);
        free(parts[i].records);
    }
}

void answer(struct world *w, struct part part)
{
    answer_session(w, SESSION, &part, 1);
}

void answer_nothing(struct world *w)
{
    answer_session(w, SESSION, NULL, 0);
}

void answer_error(struct world *w, enum err error)
{
    struct fetch_response response;
    fetch_response_init(&response);
    response.error_code = err_wire_code(error);
    give(w, ERR_OK, &response);
}

void answer_lost(struct world *w, enum err e)
{
    give(w, e, NULL);
}

void answer_offset(struct world *w, int32_t id, enum err error, int64_t offset)
{
    struct list_offsets_response response;
    struct list_offsets_response_list_offsets_topic_response topic;
    struct list_offsets_response_list_offsets_partition_response partition;
    list_offsets_response_init(&response);
    list_offsets_response_list_offsets_topic_response_init(&topic);
    list_offsets_response_list_offsets_partition_response_init(&partition);
    response.topics = &topic;
    response.topics_count = 1;
    topic.name = SLICE_LITERAL(TOPIC);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    partition.partition_index = id;
    partition.error_code = err_wire_code(error);
    partition.offset = offset;
    give(w, ERR_OK, &response);
}

void answer_epoch(struct world *w, int32_t id, enum err error, int32_t epoch, int64_t end)
{
    struct offset_for_leader_epoch_response response;
    struct offset_for_leader_epoch_response_offset_for_leader_topic_result topic;
    struct offset_for_leader_epoch_response_epoch_end_offset partition;
    offset_for_leader_epoch_response_init(&response);
    offset_for_leader_epoch_response_offset_for_leader_topic_result_init(&topic);
    offset_for_leader_epoch_response_epoch_end_offset_init(&partition);
    response.topics = &topic;
    response.topics_count = 1;
    topic.topic = SLICE_LITERAL(TOPIC);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    partition.partition = id;
    partition.error_code = err_wire_code(error);
    partition.leader_epoch = epoch;
    partition.end_offset = end;
    give(w, ERR_OK, &response);
}

int32_t failed_count(struct world *w)
{
    struct fetcher_counts counts;
    fetcher_count(w->fetcher, &counts);
    return counts.failed;
}

int64_t end_of(struct partition *partition)
{
    return log_end_offset(partition_log(partition));
}
