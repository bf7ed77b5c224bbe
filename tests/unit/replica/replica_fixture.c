/* See replica_fixture.h. */
#include "replica_fixture.h"

#include <stdio.h>

static int32_t min_insync_replicas(void *context, const char *topic)
{
    (void)topic;
    return ((struct replicas *)context)->min_insync_replicas;
}

static int64_t broker_epoch(void *context)
{
    (void)context;
    return BROKER_EPOCH;
}

static void isr_changed(void *context, struct isr_change *change)
{
    struct replicas *r = context;
    if (r->isr_wishes_count < (int32_t)ARRAY_SIZE(r->isr_wishes))
        r->isr_wishes[r->isr_wishes_count++] = change;
    else
        isr_change_free(change);
}

static void look_at_watermarks(void *context, int64_t at_ms)
{
    struct replicas *r = context;
    r->look_at_ms = at_ms;
    r->looks_wanted++;
}

static void hear(enum trace_level level, const char *line, void *context)
{
    struct traced *traced = context;
    if (level != traced->level)
        return;
    traced->lines++;
    snprintf(traced->last, sizeof traced->last, "%s", line);
}

void traced_begin(struct traced *traced, enum trace_level level)
{
    *traced = (struct traced){.level = level};
    trace_set_sink(hear, traced);
}

void traced_end(void)
{
    trace_set_sink(NULL, NULL);
}

void replicas_make_manager(struct replicas *r)
{
    struct replica_manager_options options = {
        .broker_id = SELF,
        .clock = &r->logs->clock.clock,
        .log_manager = r->logs->manager,
        .metadata_cache = r->cache,
        .min_insync_replicas = min_insync_replicas,
        .broker_epoch = broker_epoch,
        .isr_changed = isr_changed,
        .look_at_watermarks = look_at_watermarks,
        .context = r,
    };
    r->manager = replica_manager_new(&options);
}

struct replicas *replicas_new(void)
{
    struct replicas *r = mem_new(struct replicas);
    fixture_setup((void **)&r->logs);
    fixture_start(r->logs);
    r->arena = arena_new();
    r->min_insync_replicas = 1;
    for (int32_t id = 1; id <= 3; id++)
        r->alive[r->alive_count++] = id;
    r->cache = metadata_cache_new();
    replicas_make_manager(r);
    return r;
}

void replicas_free(struct replicas *r)
{
    for (int32_t i = 0; i < r->isr_wishes_count; i++)
        isr_change_free(r->isr_wishes[i]);
    replica_manager_free(r->manager);
    metadata_cache_free(r->cache);
    arena_free(r->arena);
    fixture_teardown((void **)&r->logs);
    free(r);
}

int replicas_setup(void **state)
{
    *state = replicas_new();
    return 0;
}

int replicas_teardown(void **state)
{
    replicas_free(*state);
    return 0;
}

struct uuid id_of(uint8_t number)
{
    struct uuid id = {{0x70}};
    id.bytes[15] = number;
    return id;
}

/* --- UpdateMetadata --- */

static void name_brokers(struct replicas *r, struct update_metadata_request *request)
{
    static const char *const hosts[BROKERS_MAX] = {"host-0", "host-1", "host-2", "host-3",
                                                   "host-4", "host-5", "host-6", "host-7"};
    request->live_brokers = arena_new_array(
        r->arena, struct update_metadata_request_update_metadata_broker, BROKERS_MAX);
    request->live_brokers_count = r->alive_count;
    for (int32_t i = 0; i < r->alive_count; i++) {
        struct update_metadata_request_update_metadata_broker *live = &request->live_brokers[i];
        update_metadata_request_update_metadata_broker_init(live);
        live->id = r->alive[i];
        live->rack = slice_str(r->racks[live->id] ? r->racks[live->id] : "rack");
        live->endpoints_count = 1;
        live->endpoints =
            arena_new_array(r->arena, struct update_metadata_request_update_metadata_endpoint, 1);
        update_metadata_request_update_metadata_endpoint_init(live->endpoints);
        live->endpoints->host = slice_str(hosts[live->id]);
        live->endpoints->port = 9090 + live->id;
        live->endpoints->listener = SLICE_LITERAL("PLAINTEXT");
    }
}

static struct update_metadata_request *new_update(struct replicas *r)
{
    struct update_metadata_request *request = arena_alloc(r->arena, sizeof *request);
    update_metadata_request_init(request);
    request->controller_id = CONTROLLER;
    request->controller_epoch = CONTROL_EPOCH;
    request->broker_epoch = BROKER_EPOCH;
    name_brokers(r, request);
    return request;
}

void tell_brokers(struct replicas *r)
{
    metadata_cache_update(r->cache, new_update(r));
}

void tell_topic(struct replicas *r, const char *topic, struct uuid id, int32_t partitions,
                int32_t leader, int32_t leader_epoch)
{
    struct update_metadata_request *request = new_update(r);
    request->topic_states_count = 1;
    request->topic_states =
        arena_new_array(r->arena, struct update_metadata_request_update_metadata_topic_state, 1);
    update_metadata_request_update_metadata_topic_state_init(request->topic_states);
    request->topic_states->topic_name = slice_str(topic);
    request->topic_states->topic_id = id;
    struct update_metadata_request_update_metadata_partition_state *states = arena_new_array(
        r->arena, struct update_metadata_request_update_metadata_partition_state, partitions + 1);
    request->topic_states->partition_states = states;
    request->topic_states->partition_states_count = partitions;
    int32_t *replicas = arena_new_array(r->arena, int32_t, 1);
    *replicas = leader >= 0 ? leader : SELF;
    for (int32_t i = 0; i < partitions; i++) {
        update_metadata_request_update_metadata_partition_state_init(&states[i]);
        states[i].partition_index = i;
        states[i].leader = leader;
        states[i].leader_epoch = leader_epoch;
        states[i].controller_epoch = CONTROL_EPOCH;
        states[i].replicas = states[i].isr = replicas;
        states[i].replicas_count = states[i].isr_count = 1;
    }
    metadata_cache_update(r->cache, request);
}

/* --- LeaderAndIsr, StopReplica --- */

static const char *topic_of(const struct role_spec *spec)
{
    return spec->topic ? spec->topic : "t";
}

struct role_answer tell_role(struct replicas *r, const struct role_spec *spec)
{
    static int32_t self[] = {SELF};
    struct role_spec role = *spec;
    struct leader_and_isr_request request;
    struct leader_and_isr_request_leader_and_isr_topic_state topic;
    struct leader_and_isr_request_leader_and_isr_partition_state state;
    leader_and_isr_request_init(&request);
    leader_and_isr_request_leader_and_isr_topic_state_init(&topic);
    leader_and_isr_request_leader_and_isr_partition_state_init(&state);
    request.controller_id = CONTROLLER;
    request.controller_epoch = role.controller_epoch ? role.controller_epoch : CONTROL_EPOCH;
    request.broker_epoch = role.broker_epoch ? role.broker_epoch : BROKER_EPOCH;
    request.is_k_raft_controller = role.is_kraft;
    request.topic_states = &topic;
    request.topic_states_count = 1;
    topic.topic_name = slice_str(topic_of(&role));
    topic.topic_id = role.id;
    topic.partition_states = &state;
    topic.partition_states_count = 1;
    state.partition_index = role.partition;
    state.controller_epoch = request.controller_epoch;
    state.leader = role.leader ? role.leader : SELF;
    state.leader_epoch = role.leader_epoch;
    state.partition_epoch = role.partition_epoch;
    state.is_new = role.is_new;
    state.leader_recovery_state = role.is_recovering;
    state.replicas = role.replicas_count ? role.replicas : self;
    state.replicas_count = role.replicas_count ? role.replicas_count : 1;
    state.isr = role.isr_count ? role.isr : state.replicas;
    state.isr_count = role.isr_count ? role.isr_count : state.replicas_count;
    struct leader_and_isr_response response;
    replica_manager_leader_and_isr(r->manager, &request, 7, r->arena, &response);
    assert_int_equal(response.topics_count, 1);
    assert_int_equal(response.topics[0].partition_errors_count, 1);
    assert_true(uuid_equal(response.topics[0].topic_id, role.id));
    assert_int_equal(response.topics[0].partition_errors[0].partition_index, role.partition);
    return (struct role_answer){response.error_code,
                                response.topics[0].partition_errors[0].error_code};
}

struct partition *take_role(struct replicas *r, const struct role_spec *spec)
{
    tell_topic(r, topic_of(spec), spec->id, spec->partition + 1, spec->leader ? spec->leader : SELF,
               spec->leader_epoch);
    struct role_answer answer = tell_role(r, spec);
    assert_int_equal(answer.error, 0);
    assert_int_equal(answer.partition_error, 0);
    struct partition *partition =
        replica_manager_get(r->manager, slice_str(topic_of(spec)), spec->partition);
    assert_non_null(partition);
    return partition;
}

int16_t tell_stop(struct replicas *r, const char *topic, int32_t partition, int32_t leader_epoch,
                  bool is_delete)
{
    struct stop_replica_request request;
    struct stop_replica_request_stop_replica_topic_state topics;
    struct stop_replica_request_stop_replica_partition_state state;
    stop_replica_request_init(&request);
    stop_replica_request_stop_replica_topic_state_init(&topics);
    stop_replica_request_stop_replica_partition_state_init(&state);
    request.controller_epoch = CONTROL_EPOCH;
    request.broker_epoch = BROKER_EPOCH;
    request.topic_states = &topics;
    request.topic_states_count = 1;
    topics.topic_name = slice_str(topic);
    topics.partition_states = &state;
    topics.partition_states_count = 1;
    state.partition_index = partition;
    state.leader_epoch = leader_epoch;
    state.delete_partition = is_delete;
    struct stop_replica_response response;
    replica_manager_stop_replica(r->manager, &request, 4, r->arena, &response);
    if (response.error_code)
        return response.error_code;
    assert_int_equal(response.partition_errors_count, 1);
    assert_true(slice_equal_str(response.partition_errors[0].topic_name, topic));
    assert_int_equal(response.partition_errors[0].partition_index, partition);
    return response.partition_errors[0].error_code;
}

/* --- records --- */

static enum err append_spec(struct partition *partition, int16_t acks,
                            const struct batch_spec *spec, int64_t *ret_required_offset)
{
    struct buf bytes = {0};
    struct append_result result = {0};
    struct arena *arena = arena_new();
    batch_make(&bytes, spec);
    enum err e = partition_append(partition, bytes.data, bytes.size, acks, APPEND_CLIENT, false, 9,
                                  arena, &result, ret_required_offset);
    arena_free(arena);
    buf_done(&bytes);
    return e;
}

enum err try_append_to(struct partition *partition, int16_t acks, const struct batch_spec *spec)
{
    int64_t required_offset;
    return append_spec(partition, acks, spec, &required_offset);
}

int64_t append_to(struct partition *partition, int32_t records)
{
    int64_t required_offset = -1;
    struct batch_spec spec = {.records = records};
    assert_err(append_spec(partition, ACKS_LEADER, &spec, &required_offset), ERR_OK);
    return required_offset;
}
