/* DescribeProducers (KIP-664): the producers that a partition's log remembers, so that an operator
 * finds the one whose transaction hangs. */
#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "broker/wire/topic_name.h"
#include "wire/describe_producers.h"

typedef struct describe_producers_response_partition_response partition_answer;
typedef struct describe_producers_response_producer_state producer_answer;

static void list_producers(struct log *log, struct arena *arena, partition_answer *to)
{
    struct producer_view *views;
    log_producers(log, arena, &views, &to->active_producers_count);
    to->active_producers = arena_new_array(arena, producer_answer, to->active_producers_count + 1);
    for (int32_t i = 0; i < to->active_producers_count; i++) {
        producer_answer *producer = &to->active_producers[i];
        describe_producers_response_producer_state_init(producer);
        producer->producer_id = views[i].producer_id;
        producer->producer_epoch = views[i].producer_epoch;
        producer->last_sequence = views[i].last_sequence;
        producer->last_timestamp = views[i].last_timestamp_ms;
        producer->coordinator_epoch = views[i].coordinator_epoch;
        producer->current_txn_start_offset = views[i].txn_start_offset;
    }
}

/* Any replica is asked, leader or not. */
static enum err describe_partition(struct request *request, struct slice topic, int32_t id,
                                   partition_answer *to)
{
    struct partition *partition = NULL;
    enum err e = replica_manager_find(request->broker->replica_manager, topic, id, &partition);
    if (e)
        return e;
    struct log *log = partition_log(partition);
    if (log)
        list_producers(log, request->arena, to);
    partition_unref(partition);
    return log ? ERR_OK : ERR_NOT_LEADER_OR_FOLLOWER;
}

static enum err check_topic(const struct request *request, struct slice name)
{
    enum err e = topic_name_check(name);
    if (e)
        return e;
    struct metadata_cache *cache = request->broker->metadata_cache;
    metadata_cache_lock(cache);
    bool is_known = metadata_topic(cache, name) != NULL;
    metadata_cache_unlock(cache);
    return is_known ? ERR_OK
                    : err_note(ERR_UNKNOWN_TOPIC_OR_PARTITION,
                               "This server does not host this topic-partition.");
}

void handle_describe_producers(struct request *request)
{
    const struct describe_producers_request *message = request->message;
    struct arena *arena = request->arena;
    struct describe_producers_response response;
    describe_producers_response_init(&response);
    response.topics_count = message->topics_count;
    response.topics = arena_new_array(arena, struct describe_producers_response_topic_response,
                                      message->topics_count + 1);
    for (int32_t t = 0; t < message->topics_count; t++) {
        const struct describe_producers_request_topic_request *asked = &message->topics[t];
        struct describe_producers_response_topic_response *to = &response.topics[t];
        describe_producers_response_topic_response_init(to);
        to->name = asked->name;
        to->partitions_count = asked->partition_indexes_count;
        to->partitions = arena_new_array(arena, partition_answer, to->partitions_count + 1);
        enum err e = check_topic(request, asked->name);
        struct slice why = e ? arena_copy(arena, slice_str(err_sentence(e))) : SLICE_NULL;
        for (int32_t p = 0; p < to->partitions_count; p++) {
            describe_producers_response_partition_response_init(&to->partitions[p]);
            to->partitions[p].partition_index = asked->partition_indexes[p];
            to->partitions[p].error_message = why;
            to->partitions[p].error_code = err_wire_code(
                e ? e
                  : describe_partition(request, asked->name, asked->partition_indexes[p],
                                       &to->partitions[p]));
        }
    }
    request_answer(request, &response);
}
