/* The connections from controllers to brokers. Requests of one connection arrive in their order;
 * connections advance at random relative to one another, and break. */
#include <inttypes.h>

#include "tests/sim/history.h"
#include "tests/sim/world_internal.h"
#include "wire/api_key.h"
#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"
#include "wire/update_metadata.h"

#define ANSWER_LOST_ONE_IN 20
#define LOOK_ONE_IN        8

static void message_free(struct world_message *message)
{
    list_remove(&message->node);
    buf_done(&message->bytes);
    arena_free(message->arena);
    free(message);
}

void world_peers_send(struct controller_peers *peers, int32_t broker_id,
                      const struct controller_endpoint *endpoint, int16_t api_key,
                      int16_t api_version, const void *request, controller_sent_fn *sent,
                      void *context)
{
    struct world_broker *from = (struct world_broker *)peers;
    struct world_message *message = mem_new(struct world_message);
    *message = (struct world_message){.from = from->id,
                                      .to = broker_id,
                                      .api_key = api_key,
                                      .api_version = api_version,
                                      .arena = arena_new(),
                                      .sent = sent,
                                      .context = context};
    enum err e = ERR_OK;
    if (endpoint->port != 9000 + broker_id)
        world_complain(from->world, "request to the wrong port %" PRId32, endpoint->port);
    history_request(from->world, broker_id, api_key, request);
    if (api_key == API_LEADER_AND_ISR)
        e = leader_and_isr_request_encode(&message->bytes, api_version, request);
    else if (api_key == API_UPDATE_METADATA)
        e = update_metadata_request_encode(&message->bytes, api_version, request);
    else
        e = stop_replica_request_encode(&message->bytes, api_version, request);
    if (e)
        world_complain(from->world, "api %d cannot be encoded: %s", api_key, err_sentence(e));
    list_push_back(&from->world->links[from->id][broker_id], &message->node);
}

void world_peers_forget(struct controller_peers *peers, int32_t broker_id)
{
    struct world_broker *from = (struct world_broker *)peers;
    struct list_node *link = &from->world->links[from->id][broker_id];
    while (!list_is_empty(link))
        message_free(list_entry(link->next, struct world_message, node));
    from->world->has_answered[from->id][broker_id] = false;
}

void world_disconnect(struct world *world, int32_t from, int32_t to)
{
    struct list_node lost;
    struct list_node *node, *link = &world->links[from][to];
    list_init(&lost);
    while ((node = list_pop_front(link)))
        list_push_back(&lost, node);
    while ((node = list_pop_front(&lost))) {
        struct world_message *message = list_entry(node, struct world_message, node);
        message->sent(message->context, err_note(ERR_CLOSED, "disconnected"), NULL);
        message_free(message);
    }
}

void world_refuse(struct world *world, int32_t from, int32_t to)
{
    struct world_broker *broker = &world->brokers[from];
    if (!broker->up || broker->paused || !world->has_answered[from][to])
        return;
    world_disconnect(world, from, to);
    broker->peers.refused(broker->peers.owner, to);
}

/* Somebody who had a connection finds that the process behind it has ended. */
static bool find_one_ended(struct world *world)
{
    uint32_t n = (uint32_t)world->broker_count, start = world_random(world, n * n);
    for (uint32_t i = 0; i < n * n; i++) {
        uint32_t from = (start + i) % (n * n) / n, to = (start + i) % n;
        bool may_look = world->brokers[from].up && !world->brokers[from].paused;
        if (may_look && world->has_answered[from][to] && !world->brokers[to].accepting) {
            world_refuse(world, (int32_t)from, (int32_t)to);
            world->has_answered[from][to] = false; /* it is told once */
            return true;
        }
    }
    return false;
}

/* The head of a link arrives, or its answer does. */
static void deliver(struct world *world, struct list_node *link)
{
    struct world_message *message = list_entry(link->next, struct world_message, node);
    struct world_broker *to = &world->brokers[message->to];
    if (!to->accepting) {
        world_disconnect(world, message->from, message->to);
        return;
    }
    if (world->hooks.take)
        world->hooks.take(world->hooks.context, message);
    else
        world_model_take(to, message);
    if (world->loses_answers && world_random(world, ANSWER_LOST_ONE_IN) == 0) {
        world_disconnect(world, message->from, message->to); /* done, but nobody hears of it */
        return;
    }
    list_remove(&message->node);
    world->has_answered[message->from][message->to] = true;
    message->sent(message->context, ERR_OK, message->response);
    message_free(message);
}

bool world_deliver_one(struct world *world)
{
    int32_t n = world->broker_count;
    if (world->settings.crash_detection_enable && world_random(world, LOOK_ONE_IN) == 0 &&
        find_one_ended(world))
        return true;
    uint32_t start = world_random(world, (uint32_t)(n * n));
    for (uint32_t i = 0; i < (uint32_t)(n * n); i++) {
        uint32_t at = (start + i) % (uint32_t)(n * n);
        struct list_node *link = &world->links[at / (uint32_t)n][at % (uint32_t)n];
        if (!list_is_empty(link) && !world->brokers[at / (uint32_t)n].paused &&
            !world->brokers[at % (uint32_t)n].paused) {
            deliver(world, link);
            return true;
        }
    }
    return world->settings.crash_detection_enable && find_one_ended(world);
}
