/* See operator.h. */
#include "tests/sim/operator.h"

#include <stdio.h>

#include "tests/sim/calls.h"
#include "wire/api_key.h"
#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"

#define STOP_REPLICA_VERSION 4
#define NO_EPOCH             (-1)

/* The topic that is there now has this id: else it is the request that is old. */
static bool is_current(struct cluster *cluster, struct slice topic, struct uuid id)
{
    OWNED(arena) struct arena *arena = arena_new();
    char path[128];
    struct slice data;
    struct znode_topic znode = {0};
    snprintf(path, sizeof path, "/brokers/topics/%.*s", SLICE_ARG(topic));
    return zk_memory_get(cluster->world->zk, path, &data, NULL) &&
           !znode_topic_decode(arena, data, &znode) && uuid_equal(znode.topic_id, id);
}

static bool is_stray(struct node *node, const char *topic, int32_t partition, struct uuid id)
{
    struct log *log = log_manager_get(node->server.broker.log_manager, topic, partition, NULL);
    struct uuid own = log ? log_topic_id(log) : UUID_ZERO;
    return log && !uuid_is_zero(own) && !uuid_equal(own, id);
}

static void remove_stray(struct node *node, const struct leader_and_isr_request *from,
                         struct slice topic, int32_t partition)
{
    struct stop_replica_request request;
    struct stop_replica_request_stop_replica_topic_state of;
    struct stop_replica_request_stop_replica_partition_state stop;
    stop_replica_request_init(&request);
    stop_replica_request_stop_replica_topic_state_init(&of);
    stop_replica_request_stop_replica_partition_state_init(&stop);
    request.controller_id = from->controller_id;
    request.controller_epoch = from->controller_epoch;
    request.broker_epoch = from->broker_epoch;
    request.topic_states = &of;
    request.topic_states_count = 1;
    of.topic_name = topic;
    of.partition_states = &stop;
    of.partition_states_count = 1;
    stop.partition_index = partition;
    stop.leader_epoch = NO_EPOCH;
    stop.delete_partition = true;
    struct buf bytes = {0};
    struct arena *arena = arena_new();
    enum err e = stop_replica_request_encode(&bytes, STOP_REPLICA_VERSION, &request);
    assert(!e);
    (void)e;
    call_serve_now(node, API_STOP_REPLICA, STOP_REPLICA_VERSION, buf_slice(&bytes), arena);
    arena_free(arena);
    buf_done(&bytes);
}

void operator_clears_the_way(struct cluster *cluster, struct world_message *message)
{
    struct leader_and_isr_request request;
    struct node *node = &cluster->nodes[message->to];
    if (leader_and_isr_request_decode(buf_slice(&message->bytes), message->api_version,
                                      message->arena, &request, NULL))
        return;
    for (int32_t t = 0; t < request.topic_states_count; t++) {
        const struct leader_and_isr_request_leader_and_isr_topic_state *topic =
            &request.topic_states[t];
        OWNED_MEM char *name = slice_dup(topic->topic_name);
        for (int32_t p = 0; p < topic->partition_states_count; p++) {
            int32_t id = topic->partition_states[p].partition_index;
            if (topic->partition_states[p].leader == node->id &&
                is_stray(node, name, id, topic->topic_id) &&
                is_current(cluster, topic->topic_name, topic->topic_id))
                remove_stray(node, &request, topic->topic_name, id);
        }
    }
}
