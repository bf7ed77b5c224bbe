/* The model of a broker for tests of the controller alone: it takes roles and metadata and has no
 * records. Where a test has real brokers (node.h), those take the requests instead. */
#include <inttypes.h>

#include "tests/sim/world_internal.h"
#include "wire/api_key.h"
#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"
#include "wire/update_metadata.h"

/* Topics and partitions beyond the tables exist for the controllers only. */
static bool is_modelled(int32_t topic, int32_t partition)
{
    return topic >= 0 && partition < WORLD_PARTITIONS_MAX;
}

static int16_t gate(struct world_broker *broker, int32_t controller_id, int32_t controller_epoch,
                    int64_t broker_epoch)
{
    if (broker_epoch != -1 && broker_epoch < broker->broker_epoch)
        return err_wire_code(ERR_STALE_BROKER_EPOCH);
    if (controller_epoch < broker->seen_controller_epoch)
        return err_wire_code(ERR_STALE_CONTROLLER_EPOCH);
    broker->seen_controller_epoch = controller_epoch;
    broker->controller_id = controller_id;
    world_note_controller(broker->world, controller_epoch, controller_id);
    return 0;
}

static void take_leader_and_isr(struct world_broker *broker, struct world_message *message)
{
    struct leader_and_isr_request request;
    struct leader_and_isr_response *response = arena_alloc(message->arena, sizeof *response);
    leader_and_isr_response_init(response);
    size_t used;
    enum err e = leader_and_isr_request_decode(buf_slice(&message->bytes), message->api_version,
                                               message->arena, &request, &used);
    message->response = response;
    if (e) {
        world_complain(broker->world, "LeaderAndIsr cannot be decoded: %s", err_sentence(e));
        return;
    }
    broker->requests[0]++;
    response->error_code =
        gate(broker, request.controller_id, request.controller_epoch, request.broker_epoch);
    if (response->error_code)
        return;
    if (broker->live_brokers == 0)
        world_complain(broker->world,
                       "broker %" PRId32 " got LeaderAndIsr before the list of brokers",
                       broker->id);
    response->topics =
        arena_new_array(message->arena, struct leader_and_isr_response_leader_and_isr_topic_error,
                        request.topic_states_count + 1);
    for (int32_t t = 0; t < request.topic_states_count; t++) {
        int32_t topic = world_topic(broker->world, request.topic_states[t].topic_name);
        struct leader_and_isr_response_leader_and_isr_topic_error *answer =
            &response->topics[response->topics_count++];
        leader_and_isr_response_leader_and_isr_topic_error_init(answer);
        answer->topic_id = request.topic_states[t].topic_id;
        int32_t count = request.topic_states[t].partition_states_count;
        answer->partition_errors = arena_new_array(
            message->arena, struct leader_and_isr_response_leader_and_isr_partition_error,
            count + 1);
        for (int32_t p = 0; p < count; p++) {
            const struct leader_and_isr_request_leader_and_isr_partition_state *state =
                &request.topic_states[t].partition_states[p];
            struct world_replica unmodelled = {0};
            struct world_replica *replica = is_modelled(topic, state->partition_index)
                                                ? &broker->replicas[topic][state->partition_index]
                                                : &unmodelled;
            /* A topic made anew where the log of a deleted one was left over (a reassignment does
             * not wait until those who leave have deleted theirs) is taken, as after an operator's
             * hand, unless the test wants it kept: a JVM broker, and ours, would say
             * INCONSISTENT_TOPIC_ID. */
            bool fresh = !replica->hosted ||
                         !uuid_equal(replica->topic_id, request.topic_states[t].topic_id) ||
                         state->leader_epoch > replica->leader_epoch;
            answer->partition_errors[p].partition_index = state->partition_index;
            answer->partition_errors[p].error_code =
                fresh ? 0 : err_wire_code(ERR_STALE_CONTROLLER_EPOCH);
            answer->partition_errors_count++;
            if (broker->keeps_strays && replica->hosted &&
                !uuid_equal(replica->topic_id, request.topic_states[t].topic_id)) {
                answer->partition_errors[p].error_code = err_wire_code(ERR_INCONSISTENT_TOPIC_ID);
                continue;
            }
            if (broker->role_error) {
                answer->partition_errors[p].error_code = broker->role_error;
                continue;
            }
            if (!fresh)
                continue;
            *replica = (struct world_replica){.hosted = true,
                                              .topic_id = request.topic_states[t].topic_id,
                                              .leader = state->leader,
                                              .leader_epoch = state->leader_epoch,
                                              .partition_epoch = state->partition_epoch};
        }
    }
}

static void take_update_metadata(struct world_broker *broker, struct world_message *message)
{
    struct update_metadata_request request;
    struct update_metadata_response *response = arena_alloc(message->arena, sizeof *response);
    update_metadata_response_init(response);
    message->response = response;
    size_t used;
    enum err e = update_metadata_request_decode(buf_slice(&message->bytes), message->api_version,
                                                message->arena, &request, &used);
    if (e) {
        world_complain(broker->world, "UpdateMetadata cannot be decoded: %s", err_sentence(e));
        return;
    }
    broker->requests[2]++;
    response->error_code =
        gate(broker, request.controller_id, request.controller_epoch, request.broker_epoch);
    if (response->error_code)
        return;
    broker->live_brokers = request.live_brokers_count;
    for (int32_t t = 0; t < request.topic_states_count; t++) {
        int32_t topic = world_topic(broker->world, request.topic_states[t].topic_name);
        for (int32_t p = 0; p < request.topic_states[t].partition_states_count; p++) {
            const struct update_metadata_request_update_metadata_partition_state *state =
                &request.topic_states[t].partition_states[p];
            if (!is_modelled(topic, state->partition_index))
                continue;
            broker->metadata[topic][state->partition_index] =
                (struct world_metadata){.known = state->leader != -2,
                                        .leader = state->leader,
                                        .leader_epoch = state->leader_epoch,
                                        .topic_id = request.topic_states[t].topic_id};
        }
    }
}

static void take_stop_replica(struct world_broker *broker, struct world_message *message)
{
    struct stop_replica_request request;
    struct stop_replica_response *response = arena_alloc(message->arena, sizeof *response);
    stop_replica_response_init(response);
    message->response = response;
    size_t used;
    enum err e = stop_replica_request_decode(buf_slice(&message->bytes), message->api_version,
                                             message->arena, &request, &used);
    if (e) {
        world_complain(broker->world, "StopReplica cannot be decoded: %s", err_sentence(e));
        return;
    }
    broker->requests[1]++;
    response->error_code =
        gate(broker, request.controller_id, request.controller_epoch, request.broker_epoch);
    if (response->error_code)
        return;
    size_t total = 0;
    for (int32_t t = 0; t < request.topic_states_count; t++)
        total += (size_t)request.topic_states[t].partition_states_count;
    response->partition_errors = arena_new_array(
        message->arena, struct stop_replica_response_stop_replica_partition_error, total + 1);
    for (int32_t t = 0; t < request.topic_states_count; t++) {
        int32_t topic = world_topic(broker->world, request.topic_states[t].topic_name);
        for (int32_t p = 0; p < request.topic_states[t].partition_states_count; p++) {
            const struct stop_replica_request_stop_replica_partition_state *state =
                &request.topic_states[t].partition_states[p];
            struct world_replica unmodelled = {0};
            struct world_replica *replica = is_modelled(topic, state->partition_index)
                                                ? &broker->replicas[topic][state->partition_index]
                                                : &unmodelled;
            struct stop_replica_response_stop_replica_partition_error *answer =
                &response->partition_errors[response->partition_errors_count++];
            answer->topic_name = request.topic_states[t].topic_name;
            answer->partition_index = state->partition_index;
            bool fenced = replica->hosted && state->leader_epoch >= 0 &&
                          state->leader_epoch < replica->leader_epoch;
            answer->error_code = fenced ? err_wire_code(ERR_FENCED_LEADER_EPOCH) : 0;
            if (state->delete_partition && broker->refuses_to_delete) {
                answer->error_code = err_wire_code(ERR_KAFKA_STORAGE_ERROR);
                continue;
            }
            if (fenced || !state->delete_partition)
                continue;
            *replica = (struct world_replica){0};
        }
    }
}

void world_model_take(struct world_broker *broker, struct world_message *message)
{
    if (message->api_key == API_LEADER_AND_ISR)
        take_leader_and_isr(broker, message);
    else if (message->api_key == API_UPDATE_METADATA)
        take_update_metadata(broker, message);
    else
        take_stop_replica(broker, message);
}
