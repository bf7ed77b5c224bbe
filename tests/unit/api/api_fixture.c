/* See api_fixture.h. */
#include "api_fixture.h"

static void auto_create(void *cluster, const struct slice *names, int32_t count,
                        struct arena *arena, enum err *ret_errors, void (*done)(void *context),
                        void *context)
{
    struct api *api = cluster;
    (void)arena;
    for (int32_t i = 0; i < count; i++) {
        api->created[api->created_count++] = arena_copy(api->arena, names[i]);
        ret_errors[i] = api->create_error;
    }
    api->create_done = done;
    api->create_context = context;
}

static void allocate_producer_ids(void *cluster,
                                  void (*done)(void *context, enum err e, int64_t first_id,
                                               int32_t size),
                                  void *context)
{
    struct api *api = cluster;
    api->blocks_asked++;
    api->block_came = done;
    api->block_context = context;
}

static struct topic_facts topic_facts(void *cluster, const char *topic)
{
    (void)topic;
    return ((struct api *)cluster)->facts;
}

void api_configure(struct api *api, const char *lines)
{
    config_unref(api->broker.config);
    struct config *config = NULL;
    char text[1000];
    snprintf(text, sizeof text, "broker.id=1\nzookeeper.connect=nowhere:1\nlog.dirs=%s\n%s\n",
             api->r->logs->dir, lines);
    assert_err(config_parse("test", slice_str(text), NULL, 0, &config), ERR_OK);
    api->broker.config = config;
}

int api_setup(void **state)
{
    struct api *api = mem_new(struct api);
    api->r = replicas_new();
    api->arena = api->r->arena;
    api->facts = (struct topic_facts){.compression = COMPRESSION_PRODUCER,
                                      .cleanup_policy = CLEANUP_DELETE,
                                      .is_down_conversion_allowed = true};
    api->create_error = ERR_LEADER_NOT_AVAILABLE;
    api->produce_timeout_ms = 1000;
    fetch_request_init(&api->fetch);
    api->fetch.max_bytes = 50 << 20;
    api->broker = (struct broker){
        .id = SELF,
        .cluster_id = "test-cluster-id-000000",
        .clock = &api->r->logs->clock.clock,
        .log_manager = api->r->logs->manager,
        .metadata_cache = api->r->cache,
        .replica_manager = api->r->manager,
        .fetch_sessions = fetch_sessions_new(100, &api->r->logs->clock.clock),
        .cluster = {.cluster = api,
                    .auto_create = auto_create,
                    .allocate_producer_ids = allocate_producer_ids,
                    .topic_facts = topic_facts},
    };
    api->broker.producer_ids = producer_ids_new(&api->broker);
    api_configure(api, "");
    api->loop = fake_loop_new(&api->broker, &api->r->logs->clock);
    *state = api;
    return 0;
}

int api_teardown(void **state)
{
    struct api *api = *state;
    fake_loop_free(api->loop);
    producer_ids_free(api->broker.producer_ids);
    fetch_sessions_free(api->broker.fetch_sessions);
    config_unref(api->broker.config);
    replicas_free(api->r);
    free(api);
    return 0;
}

struct partition *led_topic(struct api *api, const char *topic, int32_t partition)
{
    return take_role(api->r, &(struct role_spec){.topic = topic,
                                                 .partition = partition,
                                                 .id = id_of(1),
                                                 .leader_epoch = EPOCH,
                                                 .partition_epoch = EPOCH});
}

struct partition *replicated_topic(struct api *api, const char *topic, int32_t in_sync)
{
    return take_role(api->r, &(struct role_spec){.topic = topic,
                                                 .id = id_of(1),
                                                 .leader_epoch = EPOCH,
                                                 .partition_epoch = EPOCH,
                                                 .replicas = {1, 2, 3},
                                                 .replicas_count = 3,
                                                 .isr = {1, 2, 3},
                                                 .isr_count = in_sync});
}

void follower_at(struct partition *partition, int32_t broker_id, int64_t offset)
{
    assert_err(partition_follower_fetched(partition, partition_leader_epoch(partition), broker_id,
                                          offset, log_end_offset(partition_log(partition)), 0),
               ERR_OK);
}

void lose_leadership(struct api *api, const char *topic)
{
    partition_unref(take_role(api->r, &(struct role_spec){.topic = topic,
                                                          .id = id_of(1),
                                                          .leader = 2,
                                                          .leader_epoch = EPOCH + 1,
                                                          .partition_epoch = EPOCH + 1,
                                                          .replicas = {1, 2, 3},
                                                          .replicas_count = 3}));
}

/* --- produce --- */

static struct slice records_of(struct api *api, const struct sent *sent)
{
    if (!slice_is_null(sent->raw))
        return sent->raw;
    struct buf bytes = {0};
    batch_make(&bytes, &sent->spec);
    struct slice records = arena_copy(api->arena, buf_slice(&bytes));
    buf_done(&bytes);
    return records;
}

/* A topic of its own for each, unless the one before has the same name. */
struct fake_call *produce(struct api *api, int16_t api_version, int16_t acks,
                          const struct sent *sent, int32_t count)
{
    struct produce_request request;
    produce_request_init(&request);
    request.transactional_id = slice_str(api->transactional_id);
    request.acks = acks;
    request.timeout_ms = api->produce_timeout_ms;
    request.topic_data =
        arena_new_array(api->arena, struct produce_request_topic_produce_data, count + 1);
    struct produce_request_partition_produce_data *data =
        arena_new_array(api->arena, struct produce_request_partition_produce_data, count + 1);
    struct produce_request_topic_produce_data *topic = request.topic_data - 1;
    for (int32_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(sent[i].topic, sent[i - 1].topic) != 0) {
            topic = &request.topic_data[request.topic_data_count++];
            topic->name = slice_str(sent[i].topic);
            topic->partition_data = &data[i];
        }
        topic->partition_data_count++;
        data[i].index = sent[i].partition;
        data[i].records.bytes = records_of(api, &sent[i]);
    }
    return fake_call(api->loop, handle_produce, API_PRODUCE, api_version, &request);
}

const struct produce_response_partition_produce_response *produced(const struct fake_call *call)
{
    const struct produce_response *response = fake_answer(call);
    assert_int_equal(response->responses_count, 1);
    assert_int_equal(response->responses[0].partition_responses_count, 1);
    return &response->responses[0].partition_responses[0];
}

/* --- fetch --- */

static void fill_asked(struct fetch_request_fetch_partition *to, const struct asked *asked)
{
    fetch_request_fetch_partition_init(to);
    to->partition = asked->partition;
    to->fetch_offset = asked->offset;
    to->partition_max_bytes = asked->max_bytes ? asked->max_bytes : 1 << 20;
    to->current_leader_epoch = asked->leader_epoch ? asked->leader_epoch : -1;
    to->last_fetched_epoch = asked->last_epoch ? asked->last_epoch : -1;
}

static bool is_same_topic(const struct asked *a, const struct asked *b)
{
    return uuid_equal(a->id, b->id) && slice_equal(slice_str(a->topic), slice_str(b->topic));
}

struct fake_call *fetch(struct api *api, int16_t api_version, const struct asked *asked,
                        int32_t count)
{
    struct fetch_request request = api->fetch;
    request.topics = arena_new_array(api->arena, struct fetch_request_fetch_topic, count + 1);
    struct fetch_request_fetch_partition *parts =
        arena_new_array(api->arena, struct fetch_request_fetch_partition, count + 1);
    struct fetch_request_fetch_topic *topic = request.topics - 1;
    for (int32_t i = 0; i < count; i++) {
        if (i == 0 || !is_same_topic(&asked[i], &asked[i - 1])) {
            topic = &request.topics[request.topics_count++];
            topic->topic = slice_str(asked[i].topic ? asked[i].topic : "");
            topic->topic_id = asked[i].id;
            topic->partitions = &parts[i];
        }
        topic->partitions_count++;
        fill_asked(&parts[i], &asked[i]);
    }
    return fake_call(api->loop, handle_fetch, API_FETCH, api_version, &request);
}

const struct fetch_response_partition_data *fetched_at(const struct fake_call *call, int32_t topic,
                                                       int32_t partition)
{
    const struct fetch_response *response = fake_answer(call);
    assert_int_equal(response->error_code, 0);
    assert_true(topic < response->responses_count);
    assert_true(partition < response->responses[topic].partitions_count);
    return &response->responses[topic].partitions[partition];
}

const struct fetch_response_partition_data *fetched(const struct fake_call *call)
{
    const struct fetch_response *response = fake_answer(call);
    assert_int_equal(response->responses_count, 1);
    assert_int_equal(response->responses[0].partitions_count, 1);
    return fetched_at(call, 0, 0);
}

struct records_seen seen_in(const struct fetch_response_partition_data *data)
{
    struct records_seen seen = {.first_offset = -1, .next_offset = -1};
    struct slice left = data->records.bytes;
    struct batch_info batch;
    while (left.size && !batch_peek(left, &batch) && (size_t)batch.size_bytes <= left.size) {
        assert_int_equal(batch.magic, 2);
        assert_true(batch_crc_is_right(left.data));
        if (!seen.batches++)
            seen.first_offset = batch.base_offset;
        seen.records += batch.record_count;
        seen.next_offset = batch.last_offset + 1;
        left = slice_of(left.data + batch.size_bytes, left.size - (size_t)batch.size_bytes);
    }
    return seen;
}
