/* A broker whose process has ended, though its session has not. Kafka lets its partitions stand
 * without a leader until ZooKeeper ends the session, seconds later. But the machine says at once
 * that nobody listens there any more, and then we relieve the broker as if it had asked to be shut
 * down: others of the ISR lead, and it leaves the ISRs that it follows in. What has no other
 * complete replica stays as it is until the session ends.
 *
 * Nothing is risked by a wrong guess: the new leader is in the ISR, and the old one can commit
 * nothing without it. A broker that answers after all, in the same registration, gets its replicas
 * back. Neither a machine that is gone nor a network that is cut refuses connections: those are
 * waited for as ever. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/controller_internal.h"

struct subject {
    int32_t broker_id;
    int64_t broker_epoch;
};

static struct subject *subject_new(const struct broker_node *broker)
{
    struct subject *subject = mem_new(struct subject);
    *subject = (struct subject){broker->id, broker->broker_epoch};
    return subject;
}

/* NULL: it has registered anew since, or has gone. */
static struct broker_node *subject_broker(struct controller *controller,
                                          const struct subject *subject)
{
    struct broker_node *broker = context_find_broker(&controller->context, subject->broker_id);
    bool is_same = controller->active && broker && broker->registered &&
                   broker->broker_epoch == subject->broker_epoch;
    return is_same ? broker : NULL;
}

/* Its answer is what shows a false alarm, and there may be nothing else to tell it. */
static void ask(struct controller *controller, struct broker_node *broker)
{
    batch_begin(controller);
    batch_update_one(controller, broker);
    batch_send(controller);
}

static enum err event_broker_crashed(struct controller *controller, void *context, bool cancelled)
{
    OWNED_MEM struct subject *subject = context;
    struct broker_node *broker = cancelled ? NULL : subject_broker(controller, subject);
    if (!broker || broker->shutting_down)
        return ERR_OK;
    trace_warn("broker's process has ended before its session, others lead its partitions "
               "broker=%" PRId32 " replicas=%zu",
               broker->id, broker->replica_count);
    broker->shutting_down = broker->crashed = true;
    ask(controller, broker);
    return broker_relieve(controller, broker);
}

static void refused(void *owner, int32_t broker_id)
{
    struct controller *controller = owner;
    struct broker_node *broker = context_find_broker(&controller->context, broker_id);
    if (controller->active && controller->settings.crash_detection_enable && broker &&
        broker->registered && !broker->shutting_down && broker_id != controller->settings.broker_id)
        controller_enqueue(controller, "broker-crashed", event_broker_crashed, subject_new(broker));
}

static enum err event_broker_answers(struct controller *controller, void *context, bool cancelled)
{
    OWNED_MEM struct subject *subject = context;
    struct broker_node *broker = cancelled ? NULL : subject_broker(controller, subject);
    if (!broker || !broker->crashed)
        return ERR_OK;
    trace_warn("broker answers after all broker=%" PRId32, broker->id);
    return brokers_return(controller, broker);
}

void crash_denied(struct controller *controller, const struct broker_node *broker)
{
    controller_enqueue(controller, "broker-answers", event_broker_answers, subject_new(broker));
}

void crash_init(struct controller *controller)
{
    controller->peers->owner = controller;
    controller->peers->refused = refused;
}
