/* ConsumerGroupHeartbeat and ConsumerGroupDescribe, the groups of KIP-848. They live in KRaft
 * clusters only; a broker in ZooKeeper mode lists both requests and answers UNSUPPORTED_VERSION, by
 * which clients know that they have to use the older protocol. */
#include "broker/api/handlers.h"
#include "wire/consumer_group_describe.h"
#include "wire/consumer_group_heartbeat.h"

void handle_consumer_group_heartbeat(struct request *request)
{
    struct consumer_group_heartbeat_response response;
    consumer_group_heartbeat_response_init(&response);
    response.error_code = err_wire_code(ERR_UNSUPPORTED_VERSION);
    request_answer(request, &response);
}

void handle_consumer_group_describe(struct request *request)
{
    const struct consumer_group_describe_request *message = request->message;
    struct consumer_group_describe_response response;
    consumer_group_describe_response_init(&response);
    response.groups =
        arena_new_array(request->arena, struct consumer_group_describe_response_described_group,
                        message->group_ids_count + 1);
    response.groups_count = message->group_ids_count;
    for (int32_t i = 0; i < message->group_ids_count; i++) {
        consumer_group_describe_response_described_group_init(&response.groups[i]);
        response.groups[i].group_id = message->group_ids[i];
        response.groups[i].error_code = err_wire_code(ERR_UNSUPPORTED_VERSION);
    }
    request_answer(request, &response);
}
