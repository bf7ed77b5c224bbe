/* The controller's requests to this broker: LeaderAndIsr, UpdateMetadata, StopReplica. They begin
 * on the control thread, so one follows the other, as the rules of zookeeper-and-controller.md §6.1
 * want. */
#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "broker/base/trace.h"
#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"
#include "wire/update_metadata.h"

void handle_leader_and_isr(struct request *request)
{
    struct leader_and_isr_response response;
    replica_manager_leader_and_isr(request->broker->replica_manager, request->message,
                                   request->api_version, request->arena, &response);
    request_answer(request, &response);
}

void handle_stop_replica(struct request *request)
{
    struct stop_replica_response response;
    replica_manager_stop_replica(request->broker->replica_manager, request->message,
                                 request->api_version, request->arena, &response);
    request_answer(request, &response);
}

/* A request wrapped into another, by which brokers forward to a KRaft controller. In ZooKeeper mode
 * it is listed and closes the connection. */
void handle_envelope(struct request *request)
{
    request_refuse(request, "requests are not forwarded in ZooKeeper mode");
}

void handle_update_metadata(struct request *request)
{
    const struct update_metadata_request *message = request->message;
    struct broker *broker = request->broker;
    struct update_metadata_response response;
    update_metadata_response_init(&response);
    enum err e =
        replica_manager_judge_controller(broker->replica_manager, message->controller_epoch,
                                         message->broker_epoch, message->is_k_raft_controller);
    if (e)
        trace_warn(
            "UpdateMetadata refused controller=%d controller_epoch=%d broker_epoch=%lld error=%s",
            message->controller_id, message->controller_epoch, (long long)message->broker_epoch,
            err_name(e));
    else
        metadata_cache_update(broker->metadata_cache, message);
    response.error_code = err_wire_code(e);
    request_answer(request, &response);
}
