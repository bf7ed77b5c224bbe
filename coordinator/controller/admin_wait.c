/* Requests that are answered when this broker itself can show their effect: a client that asks it
 * for metadata right after the answer must find the new topic with leaders, and the deleted one
 * gone. So what counts is not what the controller has decided but which UpdateMetadata this broker
 * has acknowledged. */
#include "coordinator/controller/admin.h"

/* A partition that has gone meanwhile is not waited for. */
static bool is_elected(const struct topic *topic, const struct wait_topic *waited)
{
    const struct partition *partition =
        topic ? topic_partition(topic, waited->elected_partition) : NULL;
    return !partition || (partition->self_leads && partition->self_epoch >= waited->elected_epoch);
}

static bool is_ready(struct controller *controller, const struct wait *wait,
                     const struct wait_topic *waited)
{
    const struct topic *topic = context_topic(&controller->context, waited->name);
    if (waited->is_election)
        return is_elected(topic, waited);
    if (wait->for_deletion)
        return !topic || (topic->deleting && topic->delete_started && !topic->self_knows);
    if (!topic || topic->partition_count == 0 || topic->partition_count < waited->partitions)
        return false;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        if (!topic->partitions[i]->self_leads)
            return false;
    }
    return true;
}

static void answer(struct wait *wait)
{
    list_remove(&wait->node);
    timer_cancel(&wait->controller->timers, &wait->timer);
    for (int32_t i = 0; i < wait->topic_count; i++) {
        if (!wait->topics[i].ready)
            wait->late(wait->response, wait->topics[i].index);
    }
    wait->call->done(wait->call->context, wait->response); /* the wait is gone with its arena */
}

static bool check(struct controller *controller, struct wait *wait)
{
    bool all = true;
    for (int32_t i = 0; i < wait->topic_count; i++) {
        if (!wait->topics[i].ready)
            wait->topics[i].ready = is_ready(controller, wait, &wait->topics[i]);
        all &= wait->topics[i].ready;
    }
    return all;
}

void waits_check(struct controller *controller)
{
    list_for_each (&controller->waits, node) {
        struct wait *wait = list_entry(node, struct wait, node);
        if (check(controller, wait))
            answer(wait);
    }
}

/* We are no longer controller: what was asked is done or not, the client sees by asking. */
void waits_cancel(struct controller *controller)
{
    struct list_node *node;
    while ((node = list_pop_front(&controller->waits)))
        answer(list_entry(node, struct wait, node));
}

static void deadline(struct timer *timer)
{
    struct wait *wait = CONTAINER_OF(timer, struct wait, timer);
    check(wait->controller, wait);
    answer(wait);
}

void wait_begin(struct controller *controller, struct call *call, void *response,
                void (*late)(void *response, int32_t index), struct wait_topic *topics,
                int32_t topic_count, bool for_deletion, int32_t timeout_ms)
{
    struct wait *wait = arena_alloc(call->arena, sizeof *wait);
    call_is_written(call);
    *wait = (struct wait){.controller = controller,
                          .call = call,
                          .response = response,
                          .late = late,
                          .topics = topics,
                          .topic_count = topic_count,
                          .for_deletion = for_deletion,
                          .timer = {.fire = deadline}};
    if (topic_count == 0 || timeout_ms <= 0 || !controller_is_active(controller)) {
        answer(wait);
        return;
    }
    timer_set(&controller->timers, &wait->timer, clock_mono_ms(controller->clock) + timeout_ms);
    list_push_back(&controller->waits, &wait->node);
    if (check(controller, wait))
        answer(wait);
}

/* ---- What this broker's cache has taken ---- */

static void self_told(struct controller *controller, struct topic *topic,
                      const struct update_metadata_request_update_metadata_partition_state *state)
{
    (void)controller;
    struct partition *partition = topic ? topic_partition(topic, state->partition_index) : NULL;
    if (!partition)
        return;
    partition->self_leads = state->leader >= 0;
    partition->self_epoch = state->leader_epoch;
    if (state->leader == LEADER_DURING_DELETE)
        topic->self_knows = false;
    else
        topic->self_knows = true;
}

void waits_self_told(struct controller *controller, const struct update_metadata_request *request)
{
    for (int32_t t = 0; t < request->topic_states_count; t++) {
        struct topic *topic =
            context_topic(&controller->context, request->topic_states[t].topic_name);
        for (int32_t p = 0; p < request->topic_states[t].partition_states_count; p++)
            self_told(controller, topic, &request->topic_states[t].partition_states[p]);
    }
    for (int32_t p = 0; p < request->ungrouped_partition_states_count; p++)
        self_told(
            controller,
            context_topic(&controller->context, request->ungrouped_partition_states[p].topic_name),
            &request->ungrouped_partition_states[p]);
    waits_check(controller);
}
