/* Requests to controllers, and what of their answers tests look at. */
#include "tests/sim/requests.h"

#include <inttypes.h>
#include <stdio.h>

#include "coordinator/zk/znode.h"

struct asked {
    struct arena *arena;
    void *ret;
};

static struct asked *asked_new(void *ret)
{
    struct arena *arena = arena_new();
    struct asked *asked = arena_alloc(arena, sizeof *asked);
    *asked = (struct asked){arena, ret};
    return asked;
}

static void say(struct world_answer *ret, struct slice message)
{
    snprintf(ret->message, sizeof ret->message, "%.*s", SLICE_ARG(message));
}

/* ---- Reassignments ---- */

static void reassigned(void *context, const void *response)
{
    struct asked *asked = context;
    struct world_answer *ret = asked->ret;
    const struct alter_partition_reassignments_response *r = response;
    ret->top_error = r->error_code;
    ret->error = r->error_code;
    if (r->responses_count > 0) {
        const struct alter_partition_reassignments_response_reassignable_topic_response *topic =
            &r->responses[0];
        ret->error = topic->partitions[topic->partitions_count - 1].error_code;
        say(ret, topic->partitions[topic->partitions_count - 1].error_message);
    }
    arena_free(asked->arena);
}

static bool reassign(struct world *world, const char *topic, int32_t first, int32_t partitions,
                     const int32_t *ids, int32_t count, struct world_answer *ret)
{
    struct world_broker *to = world_controller(world);
    if (!to)
        return false;
    *ret = (struct world_answer){.top_error = WORLD_PENDING, .error = WORLD_PENDING};
    struct asked *asked = asked_new(ret);
    struct arena *arena = asked->arena;
    struct alter_partition_reassignments_request *request = arena_alloc(arena, sizeof *request);
    alter_partition_reassignments_request_init(request);
    request->topics_count = 1;
    request->topics = arena_alloc(arena, sizeof *request->topics);
    alter_partition_reassignments_request_reassignable_topic_init(request->topics);
    request->topics->name = arena_copy(arena, slice_str(topic));
    request->topics->partitions_count = partitions;
    request->topics->partitions = arena_new_array(
        arena, struct alter_partition_reassignments_request_reassignable_partition, partitions);
    for (int32_t p = 0; p < partitions; p++) {
        struct alter_partition_reassignments_request_reassignable_partition *partition =
            &request->topics->partitions[p];
        alter_partition_reassignments_request_reassignable_partition_init(partition);
        partition->partition_index = first + p;
        partition->replicas_count = count;
        partition->replicas = arena_new_array(arena, int32_t, WORLD_REPLICAS_MAX);
        for (int32_t i = 0; i < count; i++)
            partition->replicas[i] = ids[i];
    }
    controller_alter_reassignments(to->controller, request, arena, reassigned, asked);
    return true;
}

bool world_reassign(struct world *world, const char *topic, int32_t partition, const int32_t *ids,
                    int32_t count, struct world_answer *ret)
{
    return reassign(world, topic, partition, 1, ids, count, ret);
}

bool world_reassign_many(struct world *world, const char *topic, int32_t partitions,
                         const int32_t *ids, int32_t count, struct world_answer *ret)
{
    return reassign(world, topic, 0, partitions, ids, count, ret);
}

static void listed(void *context, const void *response)
{
    const struct list_partition_reassignments_response *r = response;
    int32_t *count = context;
    *count = 0;
    for (int32_t t = 0; t < r->topics_count; t++)
        *count += r->topics[t].partitions_count;
}

int32_t world_reassigning_count(struct world *world)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct list_partition_reassignments_request request;
    list_partition_reassignments_request_init(&request);
    request.topics_count = -1;
    int32_t count = -1;
    struct world_broker *to = world_controller(world);
    if (to)
        controller_list_reassignments(to->controller, &request, arena, listed, &count);
    return count;
}

/* ---- AlterPartition ---- */

static void altered(void *context, const void *response)
{
    struct asked *asked = context;
    struct world_isr *ret = asked->ret;
    const struct alter_partition_response *r = response;
    ret->top_error = ret->error = r->error_code;
    if (r->topics_count > 0 && r->topics[0].partitions_count > 0) {
        const struct alter_partition_response_partition_data *data = r->topics[0].partitions;
        ret->error = data->error_code;
        ret->leader = data->leader_id;
        ret->leader_epoch = data->leader_epoch;
        ret->partition_epoch = data->partition_epoch;
        ret->recovery_state = data->leader_recovery_state;
        ret->isr_count = data->isr_count;
        for (int32_t i = 0; i < data->isr_count && i < WORLD_REPLICAS_MAX; i++)
            ret->isr[i] = data->isr[i];
    }
    arena_free(asked->arena);
}

static void fill_isr(struct arena *arena, const struct world_isr_wish *wish,
                     struct alter_partition_request_partition_data *partition)
{
    partition->partition_index = wish->partition;
    partition->leader_epoch = wish->leader_epoch;
    partition->partition_epoch = wish->partition_epoch;
    partition->leader_recovery_state = wish->recovery_state;
    if (wish->api_version < 3) {
        partition->new_isr = arena_new_array(arena, int32_t, WORLD_REPLICAS_MAX);
        partition->new_isr_count = wish->isr_count;
        for (int32_t i = 0; i < wish->isr_count; i++)
            partition->new_isr[i] = wish->isr[i];
        return;
    }
    partition->new_isr_with_epochs =
        arena_new_array(arena, struct alter_partition_request_broker_state, WORLD_REPLICAS_MAX);
    partition->new_isr_with_epochs_count = wish->isr_count;
    for (int32_t i = 0; i < wish->isr_count; i++) {
        alter_partition_request_broker_state_init(&partition->new_isr_with_epochs[i]);
        partition->new_isr_with_epochs[i].broker_id = wish->isr[i];
    }
}

bool world_alter_partition(struct world *world, int32_t controller_id,
                           const struct world_isr_wish *wish, struct world_isr *ret)
{
    struct world_broker *to = &world->brokers[controller_id];
    if (!to->controller)
        return false;
    *ret = (struct world_isr){.top_error = WORLD_PENDING, .error = WORLD_PENDING};
    struct asked *asked = asked_new(ret);
    struct arena *arena = asked->arena;
    struct alter_partition_request *request = arena_alloc(arena, sizeof *request);
    alter_partition_request_init(request);
    request->broker_id = wish->broker_id;
    request->broker_epoch = wish->broker_epoch;
    request->topics_count = 1;
    request->topics = arena_alloc(arena, sizeof *request->topics);
    alter_partition_request_topic_data_init(request->topics);
    if (wish->api_version < 2)
        request->topics->topic_name = arena_copy(arena, slice_str(wish->topic));
    else
        request->topics->topic_id = wish->topic_id;
    request->topics->partitions_count = 1;
    request->topics->partitions = arena_alloc(arena, sizeof *request->topics->partitions);
    alter_partition_request_partition_data_init(request->topics->partitions);
    fill_isr(arena, wish, request->topics->partitions);
    controller_alter_partition(to->controller, request, wish->api_version, arena, altered, asked);
    return true;
}

struct world_isr_wish world_isr_wish(struct world *world, const char *topic, int32_t partition,
                                     const int32_t *isr, int32_t count)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_partition_state state = {0};
    struct znode_topic znode = {0};
    struct slice data;
    struct zk_stat stat = {0};
    char path[128];
    snprintf(path, sizeof path, "/brokers/topics/%s", topic);
    if (!zk_memory_get(world->zk, path, &data, NULL) || znode_topic_decode(arena, data, &znode))
        assert(!"there is no such topic");
    snprintf(path, sizeof path, "/brokers/topics/%s/partitions/%" PRId32 "/state", topic,
             partition);
    if (!zk_memory_get(world->zk, path, &data, &stat) ||
        znode_partition_state_decode(arena, data, &state) || state.leader < 0)
        assert(!"the partition has no leader");
    struct world_isr_wish wish = {.broker_id = state.leader,
                                  .broker_epoch = world->brokers[state.leader].broker_epoch,
                                  .topic = topic,
                                  .topic_id = znode.topic_id,
                                  .partition = partition,
                                  .leader_epoch = state.leader_epoch,
                                  .partition_epoch = stat.zk_version,
                                  .isr_count = count,
                                  .api_version = 3};
    for (int32_t i = 0; i < count; i++)
        wish.isr[i] = isr[i];
    return wish;
}

int16_t world_set_isr(struct world *world, const char *topic, int32_t partition, const int32_t *isr,
                      int32_t count)
{
    struct world_isr answer;
    struct world_isr_wish wish = world_isr_wish(world, topic, partition, isr, count);
    if (!world_controller(world) ||
        !world_alter_partition(world, world_controller(world)->id, &wish, &answer))
        return WORLD_PENDING;
    world_settle(world, 0);
    return answer.error;
}

/* ---- ElectLeaders ---- */

static void polled(void *context, const void *response)
{
    struct asked *asked = context;
    struct world_answer *ret = asked->ret;
    const struct elect_leaders_response *r = response;
    ret->top_error = r->error_code;
    ret->error = ERR_OK;
    if (r->replica_election_results_count > 0 &&
        r->replica_election_results[0].partition_result_count > 0) {
        ret->error = r->replica_election_results[0].partition_result[0].error_code;
        say(ret, r->replica_election_results[0].partition_result[0].error_message);
    }
    arena_free(asked->arena);
}

bool world_elect(struct world *world, int8_t type, const char *topic, int32_t partition,
                 int32_t timeout_ms, int16_t api_version, struct world_answer *ret)
{
    struct world_broker *to = world_controller(world);
    if (!to)
        return false;
    *ret = (struct world_answer){.top_error = WORLD_PENDING, .error = WORLD_PENDING};
    struct asked *asked = asked_new(ret);
    struct elect_leaders_request *request = arena_alloc(asked->arena, sizeof *request);
    elect_leaders_request_init(request);
    request->election_type = type;
    request->timeout_ms = timeout_ms;
    request->topic_partitions_count = partition < 0 ? -1 : 1;
    request->topic_partitions = arena_alloc(asked->arena, sizeof *request->topic_partitions);
    elect_leaders_request_topic_partitions_init(request->topic_partitions);
    request->topic_partitions->topic = arena_copy(asked->arena, slice_str(topic));
    request->topic_partitions->partitions_count = 1;
    request->topic_partitions->partitions = arena_new_array(asked->arena, int32_t, 1);
    request->topic_partitions->partitions[0] = partition;
    controller_elect_leaders(to->controller, request, api_version, asked->arena, polled, asked);
    return true;
}
