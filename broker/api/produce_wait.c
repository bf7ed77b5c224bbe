/* The end of a Produce: the other replicas are waited for, and the client is answered. Each part
 * that waits is told by its partition; the last one lets the request run again. */
#include "broker/api/produce_work.h"

#include "broker/api/leader_hint.h"

/* --- answering --- */

void produce_part_set_error(struct produce_part *part, enum err e)
{
    part->error = e;
    part->answer->error_code = err_wire_code(e);
    if (e) {
        part->answer->base_offset = -1;
        part->answer->log_append_time_ms = -1;
        part->answer->log_start_offset = -1;
    }
}

static bool any_error(const struct produce_wait *wait)
{
    for (int32_t i = 0; i < wait->parts_count; i++)
        if (wait->parts[i].error)
            return true;
    return false;
}

static void add_leader_hints(struct produce_wait *wait)
{
    struct leader_hints hints = {.request = wait->request};
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct produce_part *part = &wait->parts[i];
        if (part->error == ERR_NOT_LEADER_OR_FOLLOWER)
            leader_hints_find(&hints, part->topic, part->answer->index,
                              &part->answer->current_leader.leader_id,
                              &part->answer->current_leader.leader_epoch);
    }
    struct leader_endpoint *endpoints;
    int32_t count = leader_hints_endpoints(&hints, &endpoints);
    struct produce_response_node_endpoint *nodes =
        arena_new_array(wait->request->arena, struct produce_response_node_endpoint, count + 1);
    for (int32_t i = 0; i < count; i++) {
        produce_response_node_endpoint_init(&nodes[i]);
        nodes[i].node_id = endpoints[i].node_id;
        nodes[i].host = endpoints[i].host;
        nodes[i].port = endpoints[i].port;
        nodes[i].rack = endpoints[i].rack;
    }
    wait->response.node_endpoints = nodes;
    wait->response.node_endpoints_count = count;
}

void produce_answer(struct produce_wait *wait)
{
    struct request *request = wait->request;
    for (int32_t i = 0; i < wait->parts_count; i++)
        partition_unref(wait->parts[i].partition);
    if (produce_message(wait)->acks != ACKS_NONE) {
        if (request->api_version >= 10)
            add_leader_hints(wait);
        request_answer(request, &wait->response);
        return;
    }
    /* Nobody reads an answer of acks=0: an error closes the connection, so that the client looks
     * for the leader. */
    if (any_error(wait))
        request_refuse(request, "a produce with acks=0 failed");
    else
        request_answer(request, NULL);
}

/* --- waiting for the other replicas --- */

static void finish_waiting(struct produce_wait *wait, enum err otherwise)
{
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct produce_part *part = &wait->parts[i];
        if (part->error != ERR_AGAIN)
            continue;
        partition_stop_waiting(part->partition, &part->waiter);
        enum err e = partition_ack_state(part->partition, part->required_offset);
        produce_part_set_error(part, e == ERR_AGAIN ? otherwise : e);
    }
    produce_answer(wait);
}

static void all_moved(struct request *request)
{
    request_timer_cancel(request);
    finish_waiting(request->waiting, ERR_REQUEST_TIMED_OUT);
}

static void part_closed(struct produce_wait *wait)
{
    if (atomic_fetch_sub(&wait->open_count, 1) == 1)
        request_run_soon(wait->request, all_moved);
}

static void moved(struct partition_waiter *waiter)
{
    part_closed(CONTAINER_OF(waiter, struct produce_part, waiter)->wait);
}

/* If not, the last part has moved, and all_moved() is on its way. */
static bool claim(struct request *request)
{
    struct produce_wait *wait = request->waiting;
    return atomic_exchange(&wait->open_count, -1) > 0;
}

static void time_is_up(struct request *request)
{
    finish_waiting(request->waiting, ERR_REQUEST_TIMED_OUT);
}

void produce_wait_for_acks(struct produce_wait *wait)
{
    struct request *request = wait->request;
    int32_t open = 0;
    wait->open_count = 1;
    request->waiting = wait;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct produce_part *part = &wait->parts[i];
        if (part->error || !part->partition)
            continue;
        part->error = ERR_AGAIN;
        part->waiter.offset = part->required_offset;
        part->waiter.moved = moved;
        atomic_fetch_add(&wait->open_count, 1);
        if (partition_wait_ack(part->partition, &part->waiter))
            open++;
        else
            atomic_fetch_sub(&wait->open_count, 1);
    }
    if (!open) {
        finish_waiting(wait, ERR_REQUEST_TIMED_OUT);
        return;
    }
    if (produce_message(wait)->timeout_ms <= 0) {
        finish_waiting(wait, ERR_REQUEST_TIMED_OUT); /* our own count keeps the parts from it */
        return;
    }
    request_timer_set(request, produce_message(wait)->timeout_ms, claim, time_is_up);
    part_closed(wait);
}
