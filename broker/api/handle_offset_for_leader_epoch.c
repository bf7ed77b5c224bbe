/* OffsetForLeaderEpoch (KIP-101, KIP-279, KIP-320): where an epoch ended, so that a client or a
 * follower finds the point at which its log and ours part. */
#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "wire/offset_for_leader_epoch.h"

/* A longer request is answered by a worker, so that the network thread serves others meanwhile. */
#define SHORT_PARTITIONS_MAX 1000

static void
answer_partition(const struct request *request, struct slice topic,
                 const struct offset_for_leader_epoch_request_offset_for_leader_partition *asked,
                 struct offset_for_leader_epoch_response_epoch_end_offset *to)
{
    offset_for_leader_epoch_response_epoch_end_offset_init(to);
    to->partition = asked->partition;
    struct partition *partition = NULL;
    struct log *log = NULL;
    enum err e =
        replica_manager_find(request->broker->replica_manager, topic, asked->partition, &partition);
    if (!e)
        e = partition_check(partition, asked->current_leader_epoch, true, &log);
    if (!e) {
        log_epoch_end(log, asked->leader_epoch, &to->leader_epoch, &to->end_offset);
        if (asked->leader_epoch == partition_leader_epoch(partition)) {
            to->leader_epoch = asked->leader_epoch;
            to->end_offset = log_end_offset(log);
        }
    }
    partition_unref(partition);
    to->error_code = err_wire_code(e);
}

static void answer_all(struct request *request)
{
    const struct offset_for_leader_epoch_request *message = request->message;
    struct arena *arena = request->arena;
    struct offset_for_leader_epoch_response response;
    offset_for_leader_epoch_response_init(&response);
    response.topics_count = message->topics_count;
    response.topics = arena_new_array(
        arena, struct offset_for_leader_epoch_response_offset_for_leader_topic_result,
        message->topics_count + 1);
    for (int32_t t = 0; t < message->topics_count; t++) {
        const struct offset_for_leader_epoch_request_offset_for_leader_topic *topic =
            &message->topics[t];
        response.topics[t].topic = topic->topic;
        response.topics[t].partitions_count = topic->partitions_count;
        response.topics[t].partitions =
            arena_new_array(arena, struct offset_for_leader_epoch_response_epoch_end_offset,
                            topic->partitions_count + 1);
        for (int32_t i = 0; i < topic->partitions_count; i++)
            answer_partition(request, topic->topic, &topic->partitions[i],
                             &response.topics[t].partitions[i]);
    }
    request_answer(request, &response);
}

void handle_offset_for_leader_epoch(struct request *request)
{
    const struct offset_for_leader_epoch_request *message = request->message;
    int64_t partitions = 0;
    for (int32_t t = 0; t < message->topics_count; t++)
        partitions += message->topics[t].partitions_count;
    if (partitions > SHORT_PARTITIONS_MAX || message->topics_count > SHORT_PARTITIONS_MAX)
        request_to_worker(request, answer_all);
    else
        answer_all(request);
}
