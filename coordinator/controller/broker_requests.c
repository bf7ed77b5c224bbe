/* What brokers ask of the controller besides AlterPartition: to be relieved before they stop, and
 * producer ids. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/admin.h"
#include "coordinator/controller/codec.h"

#define PRODUCER_ID_BLOCK 1000

/* ---- ControlledShutdown ---- */

static enum err shutdown_check(struct controller *controller,
                               const struct controlled_shutdown_request *request)
{
    const struct broker_node *broker =
        context_find_broker(&controller->context, request->broker_id);
    bool known = broker && broker->registered;
    if (request->broker_epoch != -1) {
        if (!known)
            return ERR_UNKNOWN_SERVER_ERROR;
        return request->broker_epoch < broker->broker_epoch ? ERR_STALE_BROKER_EPOCH : ERR_OK;
    }
    return known ? ERR_OK : ERR_BROKER_NOT_AVAILABLE;
}

static bool counts_for_shutdown(const struct partition *partition)
{
    return partition->replicas.count > 1 && partition->has_leadership &&
           !partition->topic->deleting;
}

enum err broker_relieve(struct controller *controller, struct broker_node *broker)
{
    PARTITION_LIST led = {0};
    REPLICA_LIST followed = {0};
    for (size_t i = 0; i < broker->replica_count; i++) {
        struct partition *partition = broker->replicas[i];
        if (!counts_for_shutdown(partition))
            continue;
        if (partition->leadership.leader == broker->id)
            partition_list_add(&led, partition);
        else
            replica_list_add(&followed, partition, broker);
    }
    batch_begin(controller);
    enum err e = partitions_elect(controller, &led, ELECT_CONTROLLED_SHUTDOWN, NULL);
    if (e)
        return e;
    batch_send(controller);
    batch_begin(controller);
    for (size_t i = 0; i < followed.count; i++)
        batch_stop_replica(controller, followed.items[i].partition, broker->id, false);
    batch_send(controller);
    return replicas_move(controller, &followed, REPLICA_OFFLINE);
}

static void list_remaining(const struct broker_node *broker, struct arena *arena,
                           struct controlled_shutdown_response *response)
{
    response->remaining_partitions = arena_new_array(
        arena, struct controlled_shutdown_response_remaining_partition, broker->replica_count + 1);
    for (size_t i = 0; i < broker->replica_count; i++) {
        const struct partition *partition = broker->replicas[i];
        if (!counts_for_shutdown(partition) || partition->leadership.leader != broker->id)
            continue;
        struct controlled_shutdown_response_remaining_partition *remaining =
            &response->remaining_partitions[response->remaining_partitions_count++];
        controlled_shutdown_response_remaining_partition_init(remaining);
        remaining->topic_name = arena_copy(arena, slice_str(partition->topic->name));
        remaining->partition_index = partition->id;
    }
}

static enum err event_controlled_shutdown(struct controller *controller, void *context,
                                          bool cancelled)
{
    struct call *call = context;
    const struct controlled_shutdown_request *request = call->request;
    struct controlled_shutdown_response response;
    controlled_shutdown_response_init(&response);
    enum err e = cancelled || !controller->active ? ERR_STALE_CONTROLLER_EPOCH
                                                  : shutdown_check(controller, request);
    response.error_code = err_wire_code(e);
    enum err failed = ERR_OK;
    if (!e) {
        struct broker_node *broker = context_find_broker(&controller->context, request->broker_id);
        trace_info("broker is shutting down broker=%" PRId32, broker->id);
        broker->shutting_down = true;
        broker->crashed = false; /* by its own word */
        failed = broker_relieve(controller, broker);
        if (!failed)
            list_remaining(broker, call->arena, &response);
        else
            response.error_code = err_wire_code(err_ends_event(failed) ? ERR_STALE_CONTROLLER_EPOCH
                                                                       : ERR_UNKNOWN_SERVER_ERROR);
    }
    call->done(call->context, &response);
    return failed;
}

void controller_controlled_shutdown(struct controller *controller,
                                    const struct controlled_shutdown_request *request,
                                    struct arena *arena, controller_done_fn *done, void *context)
{
    controller_enqueue(controller, "controlled-shutdown", event_controlled_shutdown,
                       call_new(request, 0, arena, done, context));
}

/* ---- AllocateProducerIds ---- */

/* For this broker, whose block it is called in the znode. Conditional on the znode's version, so
 * that no two controllers give out the same block. */
static enum err next_block(struct controller *controller, int32_t broker_id, int64_t *ret_first)
{
    for (;;) {
        OWNED(wave) struct wave *wave = wave_new(controller);
        size_t get = wave_get(wave, "/latest_producer_id_block", false);
        enum err e = wave_run(wave);
        if (e)
            return e;
        struct wave_result found = *wave_result(wave, get);
        int64_t last = -1;
        if (found.error)
            return err_note(found.error, "read /latest_producer_id_block");
        if (found.data.size > 0) /* no data: nothing was ever given out (trap T7) */
            e = codec_producer_ids_decode(found.data, &last);
        if (!e && last > INT64_MAX - PRODUCER_ID_BLOCK)
            e = err_note(ERR_UNKNOWN_SERVER_ERROR, "producer ids are exhausted");
        if (e)
            return e;
        int64_t first = last + 1;
        size_t set = wave_set(wave, "/latest_producer_id_block",
                              codec_producer_ids_encode(wave_arena(wave), broker_id, first,
                                                        first + PRODUCER_ID_BLOCK - 1),
                              found.stat.zk_version);
        e = wave_run(wave);
        if (e)
            return e;
        enum err written = wave_result(wave, set)->error;
        if (!written) {
            *ret_first = first;
            return ERR_OK;
        }
        if (written != ERR_ZK_BAD_VERSION)
            return err_note(written, "write /latest_producer_id_block");
    }
}

static enum err event_allocate_producer_ids(struct controller *controller, void *context,
                                            bool cancelled)
{
    struct call *call = context;
    const struct allocate_producer_ids_request *request = call->request;
    const struct broker_node *broker =
        context_find_broker(&controller->context, request->broker_id);
    struct allocate_producer_ids_response response;
    allocate_producer_ids_response_init(&response);
    enum err e = ERR_OK, failed = ERR_OK;
    if (cancelled || !controller->active)
        e = ERR_NOT_CONTROLLER;
    else if (!broker || !broker->registered)
        e = ERR_BROKER_ID_NOT_REGISTERED;
    else if (broker->broker_epoch != request->broker_epoch)
        e = ERR_STALE_BROKER_EPOCH;
    else
        failed = next_block(controller, request->broker_id, &response.producer_id_start);
    if (failed)
        e = err_ends_event(failed) ? ERR_NOT_CONTROLLER : ERR_UNKNOWN_SERVER_ERROR;
    response.error_code = err_wire_code(e);
    response.producer_id_len = e ? 0 : PRODUCER_ID_BLOCK;
    call->done(call->context, &response);
    return failed;
}

void controller_allocate_producer_ids(struct controller *controller,
                                      const struct allocate_producer_ids_request *request,
                                      struct arena *arena, controller_done_fn *done, void *context)
{
    controller_enqueue(controller, "allocate-producer-ids", event_allocate_producer_ids,
                       call_new(request, 0, arena, done, context));
}
