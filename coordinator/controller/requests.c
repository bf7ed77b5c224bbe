/* LeaderAndIsr, UpdateMetadata and StopReplica in the versions that inter.broker.protocol.version
 * names. Bodies live in an arena of their own until the last broker has answered; UpdateMetadata's
 * body is shared by all brokers. */
#include "coordinator/controller/requests.h"

#include "wire/api_key.h"
#include "coordinator/controller/controller_internal.h"

#define LEADER_AND_ISR_GROUPED_VERSION     2
#define UPDATE_METADATA_GROUPED_VERSION    5
#define STOP_REPLICA_PER_PARTITION_VERSION 3

static struct slice name_of(struct arena *arena, const struct topic *topic)
{
    return arena_copy(arena, slice_str(topic->name));
}

/* ---- LeaderAndIsr ---- */

static void lisr_partition(struct arena *arena, const struct batch_entry *entry,
                           struct leader_and_isr_request_leader_and_isr_partition_state *state)
{
    const struct partition *partition = entry->partition;
    const struct leadership *leadership = &partition->leadership;
    struct ids isr = ids_in_arena(arena, &leadership->isr);
    struct ids replicas = ids_in_arena(arena, &partition->replicas);
    struct ids adding = ids_in_arena(arena, &partition->adding);
    struct ids removing = ids_in_arena(arena, &partition->removing);
    leader_and_isr_request_leader_and_isr_partition_state_init(state);
    state->topic_name = name_of(arena, partition->topic);
    state->partition_index = partition->id;
    state->controller_epoch = leadership->controller_epoch;
    state->leader = leadership->leader;
    state->leader_epoch = leadership->leader_epoch;
    state->isr = isr.ids;
    state->isr_count = isr.count;
    state->partition_epoch = leadership->zk_version;
    state->replicas = replicas.ids;
    state->replicas_count = replicas.count;
    state->adding_replicas = adding.ids;
    state->adding_replicas_count = adding.count;
    state->removing_replicas = removing.ids;
    state->removing_replicas_count = removing.count;
    state->is_new = entry->is_new;
    state->leader_recovery_state = leadership->recovery_state;
}

static void lisr_live_leaders(struct controller *controller, struct arena *arena,
                              const struct batch_entry *entries, size_t count,
                              struct leader_and_isr_request *request)
{
    size_t registered_count;
    OWNED_MEM struct broker_node **registered =
        context_registered(&controller->context, &registered_count);
    bool *named = arena_new_array(arena, bool, registered_count + 1);
    for (size_t i = 0; i < count; i++) {
        for (size_t b = 0; b < registered_count; b++)
            named[b] |= registered[b]->id == entries[i].partition->leadership.leader;
    }
    request->live_leaders = arena_new_array(
        arena, struct leader_and_isr_request_leader_and_isr_live_leader, registered_count + 1);
    for (size_t b = 0; b < registered_count; b++) {
        const struct controller_endpoint *endpoint =
            broker_endpoint(registered[b], controller->settings.inter_broker_listener);
        if (!named[b] || !endpoint)
            continue;
        struct leader_and_isr_request_leader_and_isr_live_leader *leader =
            &request->live_leaders[request->live_leaders_count++];
        leader_and_isr_request_leader_and_isr_live_leader_init(leader);
        leader->broker_id = registered[b]->id;
        leader->host_name = arena_copy(arena, slice_str(endpoint->host));
        leader->port = endpoint->port;
    }
}

void requests_leader_and_isr(struct controller *controller, struct broker_node *broker,
                             const struct batch_entry *entries, size_t count)
{
    struct rpc_body *body = rpc_body_new();
    struct arena *arena = body->arena;
    int16_t api_version = controller->versions.leader_and_isr;
    struct rpc *rpc = channel_rpc(broker->channel, API_LEADER_AND_ISR, api_version, body);
    struct leader_and_isr_request *request = &rpc->leader_and_isr;
    leader_and_isr_request_init(request);
    request->controller_id = controller->settings.broker_id;
    request->controller_epoch = controller->epoch;
    request->broker_epoch = broker->broker_epoch;

    struct leader_and_isr_request_leader_and_isr_partition_state *states =
        arena_new_array(arena, struct leader_and_isr_request_leader_and_isr_partition_state, count);
    for (size_t i = 0; i < count; i++)
        lisr_partition(arena, &entries[i], &states[i]);
    if (api_version < LEADER_AND_ISR_GROUPED_VERSION) {
        request->ungrouped_partition_states = states;
        request->ungrouped_partition_states_count = (int32_t)count;
    } else {
        request->topic_states =
            arena_new_array(arena, struct leader_and_isr_request_leader_and_isr_topic_state, count);
        for (size_t from = 0, to; from < count; from = to) {
            const struct topic *topic = entries[from].partition->topic;
            for (to = from; to < count && entries[to].partition->topic == topic;)
                to++;
            struct leader_and_isr_request_leader_and_isr_topic_state *state =
                &request->topic_states[request->topic_states_count++];
            leader_and_isr_request_leader_and_isr_topic_state_init(state);
            state->topic_name = states[from].topic_name;
            state->topic_id = topic->id;
            state->partition_states = states + from;
            state->partition_states_count = (int32_t)(to - from);
        }
    }
    lisr_live_leaders(controller, arena, entries, count, request);
    channel_queue(rpc);
    rpc_body_unref(body);
}

/* ---- UpdateMetadata ---- */

static void umr_partition(struct controller *controller, struct arena *arena,
                          const struct partition *partition,
                          struct update_metadata_request_update_metadata_partition_state *state)
{
    const struct leadership *leadership = &partition->leadership;
    /* Brokers forget the topic's id by -2, and then no follower can fetch by it. */
    bool deleting = partition_is_given_up(partition);
    struct ids isr = ids_in_arena(arena, &leadership->isr);
    struct ids replicas = ids_in_arena(arena, &partition->replicas);
    update_metadata_request_update_metadata_partition_state_init(state);
    state->topic_name = name_of(arena, partition->topic);
    state->partition_index = partition->id;
    state->controller_epoch = leadership->controller_epoch;
    state->leader = deleting ? LEADER_DURING_DELETE : leadership->leader;
    state->leader_epoch = deleting ? LEADER_EPOCH_INITIAL : leadership->leader_epoch;
    state->isr = isr.ids;
    state->isr_count = isr.count;
    state->zk_version = deleting ? 0 : leadership->zk_version;
    state->replicas = replicas.ids;
    state->replicas_count = replicas.count;
    state->offline_replicas = arena_new_array(arena, int32_t, replicas.count + 1);
    for (int32_t i = 0; i < replicas.count; i++) {
        if (!partition_replica_is_online(&controller->context, partition, replicas.ids[i]))
            state->offline_replicas[state->offline_replicas_count++] = replicas.ids[i];
    }
}

static void umr_broker(struct arena *arena, const struct broker_node *broker,
                       struct update_metadata_request_update_metadata_broker *live)
{
    update_metadata_request_update_metadata_broker_init(live);
    live->id = broker->id;
    live->rack = broker->rack ? arena_copy(arena, slice_str(broker->rack)) : SLICE_NULL;
    live->endpoints_count = broker->endpoint_count;
    live->endpoints = arena_new_array(
        arena, struct update_metadata_request_update_metadata_endpoint, broker->endpoint_count + 1);
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        update_metadata_request_update_metadata_endpoint_init(&live->endpoints[i]);
        live->endpoints[i].host = arena_copy(arena, slice_str(broker->endpoints[i].host));
        live->endpoints[i].port = broker->endpoints[i].port;
        live->endpoints[i].listener = arena_copy(arena, slice_str(broker->endpoints[i].listener));
        live->endpoints[i].security_protocol = broker->endpoints[i].security_protocol;
        if (i == 0 || broker->endpoints[i].security_protocol == 0) {
            live->v0_host = live->endpoints[i].host;
            live->v0_port = live->endpoints[i].port;
        }
    }
}

static void umr_body(struct controller *controller, struct arena *arena, int16_t api_version,
                     const struct partition_list *partitions,
                     struct update_metadata_request *request)
{
    update_metadata_request_init(request);
    request->controller_id = controller->settings.broker_id;
    request->controller_epoch = controller->epoch;
    size_t count = partitions->count;
    struct update_metadata_request_update_metadata_partition_state *states = arena_new_array(
        arena, struct update_metadata_request_update_metadata_partition_state, count + 1);
    for (size_t i = 0; i < count; i++)
        umr_partition(controller, arena, partitions->items[i], &states[i]);
    if (api_version < UPDATE_METADATA_GROUPED_VERSION) {
        request->ungrouped_partition_states = states;
        request->ungrouped_partition_states_count = (int32_t)count;
    } else {
        request->topic_states = arena_new_array(
            arena, struct update_metadata_request_update_metadata_topic_state, count + 1);
        for (size_t from = 0, to; from < count; from = to) {
            const struct topic *topic = partitions->items[from]->topic;
            for (to = from; to < count && partitions->items[to]->topic == topic;)
                to++;
            struct update_metadata_request_update_metadata_topic_state *state =
                &request->topic_states[request->topic_states_count++];
            update_metadata_request_update_metadata_topic_state_init(state);
            state->topic_name = states[from].topic_name;
            state->topic_id = topic->id;
            state->partition_states = states + from;
            state->partition_states_count = (int32_t)(to - from);
        }
    }
    size_t live_count;
    OWNED_MEM struct broker_node **live = context_registered(&controller->context, &live_count);
    request->live_brokers = arena_new_array(
        arena, struct update_metadata_request_update_metadata_broker, live_count + 1);
    for (size_t i = 0; i < live_count; i++)
        umr_broker(arena, live[i], &request->live_brokers[i]);
    request->live_brokers_count = (int32_t)live_count;
}

void requests_update_metadata(struct controller *controller, struct broker_node **brokers,
                              size_t broker_count, const struct partition_list *partitions)
{
    int16_t api_version = controller->versions.update_metadata;
    struct rpc_body *body = rpc_body_new();
    struct update_metadata_request request;
    umr_body(controller, body->arena, api_version, partitions, &request);
    for (size_t i = 0; i < broker_count; i++) {
        if (!brokers[i]->registered || !brokers[i]->channel)
            continue;
        struct rpc *rpc = channel_rpc(brokers[i]->channel, API_UPDATE_METADATA, api_version, body);
        rpc->update_metadata = request;
        rpc->update_metadata.broker_epoch = brokers[i]->broker_epoch;
        channel_queue(rpc);
    }
    rpc_body_unref(body);
}

/* ---- StopReplica ---- */

static void stop_topics(struct arena *arena, const struct batch_entry *entries, size_t count,
                        struct stop_replica_request *request)
{
    request->topic_states =
        arena_new_array(arena, struct stop_replica_request_stop_replica_topic_state, count);
    for (size_t from = 0, to; from < count; from = to) {
        const struct topic *topic = entries[from].partition->topic;
        for (to = from; to < count && entries[to].partition->topic == topic;)
            to++;
        struct stop_replica_request_stop_replica_topic_state *state =
            &request->topic_states[request->topic_states_count++];
        stop_replica_request_stop_replica_topic_state_init(state);
        state->topic_name = name_of(arena, topic);
        state->partition_states = arena_new_array(
            arena, struct stop_replica_request_stop_replica_partition_state, to - from);
        state->partition_states_count = (int32_t)(to - from);
        for (size_t i = from; i < to; i++) {
            struct stop_replica_request_stop_replica_partition_state *partition =
                &state->partition_states[i - from];
            stop_replica_request_stop_replica_partition_state_init(partition);
            partition->partition_index = entries[i].partition->id;
            partition->leader_epoch = entries[i].leader_epoch;
            partition->delete_partition = entries[i].delete_log;
        }
    }
}

/* Below version 3 one flag holds for the whole request. */
static void stop_flat(struct arena *arena, int16_t api_version, const struct batch_entry *entries,
                      size_t count, bool delete_log, struct stop_replica_request *request)
{
    request->delete_partitions = delete_log;
    request->ungrouped_partitions =
        arena_new_array(arena, struct stop_replica_request_stop_replica_partition_v0, count);
    request->topics =
        arena_new_array(arena, struct stop_replica_request_stop_replica_topic_v1, count);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].delete_log != delete_log)
            continue;
        struct slice name = name_of(arena, entries[i].partition->topic);
        if (api_version == 0) {
            request->ungrouped_partitions[request->ungrouped_partitions_count].topic_name = name;
            request->ungrouped_partitions[request->ungrouped_partitions_count++].partition_index =
                entries[i].partition->id;
            continue;
        }
        struct stop_replica_request_stop_replica_topic_v1 *topic =
            request->topics_count > 0 ? &request->topics[request->topics_count - 1] : NULL;
        if (!topic || !slice_equal(topic->name, name)) {
            topic = &request->topics[request->topics_count++];
            topic->name = name;
            topic->partition_indexes = arena_new_array(arena, int32_t, count);
        }
        topic->partition_indexes[topic->partition_indexes_count++] = entries[i].partition->id;
    }
}

static void stop_send(struct controller *controller, struct broker_node *broker,
                      const struct batch_entry *entries, size_t count, bool delete_log)
{
    int16_t api_version = controller->versions.stop_replica;
    struct rpc_body *body = rpc_body_new();
    struct rpc *rpc = channel_rpc(broker->channel, API_STOP_REPLICA, api_version, body);
    struct stop_replica_request *request = &rpc->stop_replica;
    stop_replica_request_init(request);
    request->controller_id = controller->settings.broker_id;
    request->controller_epoch = controller->epoch;
    request->broker_epoch = broker->broker_epoch;
    if (api_version >= STOP_REPLICA_PER_PARTITION_VERSION)
        stop_topics(body->arena, entries, count, request);
    else
        stop_flat(body->arena, api_version, entries, count, delete_log, request);
    for (size_t i = 0; i < count; i++)
        rpc->deletes |= entries[i].delete_log;
    channel_queue(rpc);
    rpc_body_unref(body);
}

void requests_stop_replica(struct controller *controller, struct broker_node *broker,
                           const struct batch_entry *entries, size_t count)
{
    if (controller->versions.stop_replica >= STOP_REPLICA_PER_PARTITION_VERSION) {
        stop_send(controller, broker, entries, count, false);
        return;
    }
    size_t deletes = 0;
    for (size_t i = 0; i < count; i++)
        deletes += entries[i].delete_log;
    if (deletes < count)
        stop_send(controller, broker, entries, count, false);
    if (deletes > 0)
        stop_send(controller, broker, entries, count, true);
}
