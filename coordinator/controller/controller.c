/* The controller's life and its event queue. All that ZooKeeper, timers, brokers and clients want
 * becomes an event; the fiber takes one after the other. A watch that fires is an event, what it
 * means is read anew by the event. */
#include "coordinator/controller/controller.h"

#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/controller_internal.h"

/* ---- The fiber and its queue ---- */

static bool fiber_has_work(const struct controller *controller)
{
    if (controller->wake)
        return true;
    return !controller->awaited && !controller->waits_connection &&
           !list_is_empty(&controller->events);
}

static void kick(struct controller *controller)
{
    while (!controller->in_fiber && controller->holds == 0 && fiber_has_work(controller)) {
        controller->wake = false;
        controller->in_fiber = true;
        fiber_resume(controller->fiber);
        controller->in_fiber = false;
    }
}

void controller_hold(struct controller *controller)
{
    controller->holds++;
}

void controller_release(struct controller *controller)
{
    assert(controller->holds > 0);
    controller->holds--;
    kick(controller);
}

static void pause_fiber(struct controller *controller)
{
    assert(controller->in_fiber);
    fiber_pause(controller->fiber);
}

void controller_wait(struct controller *controller, const struct wave *wave)
{
    controller->awaited = wave;
    pause_fiber(controller);
    controller->awaited = NULL;
}

void controller_wait_connected(struct controller *controller, const struct wave *wave)
{
    (void)wave;
    while (controller->zk_state == ZK_CONNECTING && !controller->closing &&
           !controller->session_lost) {
        controller->waits_connection = true;
        pause_fiber(controller);
        controller->waits_connection = false;
    }
}

void controller_wake(struct controller *controller, const struct wave *wave)
{
    if (controller->awaited != wave)
        return; /* answered before the fiber came to wait */
    controller->wake = true;
    kick(controller);
}

void controller_enqueue(struct controller *controller, const char *name, event_fn *run,
                        void *context)
{
    struct event *event = mem_new(struct event);
    event->name = name;
    event->run = run;
    event->context = context;
    if (controller->closing) {
        enum err e = run(controller, context, true);
        (void)e; /* cancelled: there is nothing left to do about it */
        free(event);
        return;
    }
    list_push_back(&controller->events, &event->node);
    controller->event_count++;
    kick(controller);
}

static void event_failed(struct controller *controller, const char *name, enum err e)
{
    if (e == ERR_CANCELLED)
        return;
    batch_drop(controller);
    trace_warn("controller event failed event=%s error=%s: %s", name, err_name(e), err_sentence(e));
    /* The word that the session has ended comes later, and events that stand in the queue before
     * it: they must not be answered from what this one left half done. */
    if (e == ERR_SESSION_EXPIRED)
        election_resign(controller);
    if (e != ERR_CONTROLLER_FENCED)
        return;
    e = election_maybe_resign(controller);
    if (e && e != ERR_CANCELLED)
        trace_warn("controller could not see who rules: %s", err_sentence(e));
}

static void run_events(void *context)
{
    struct controller *controller = context;
    while (!controller->closing) {
        struct list_node *node = list_pop_front(&controller->events);
        if (!node) {
            pause_fiber(controller);
            continue;
        }
        OWNED_MEM struct event *event = list_entry(node, struct event, node);
        controller->event_count--;
        enum err e = event->run(controller, event->context, false);
        if (e)
            event_failed(controller, event->name, e);
        waits_check(controller);
    }
}

static void cancel_events(struct controller *controller)
{
    struct list_node *node;
    while ((node = list_pop_front(&controller->events))) {
        OWNED_MEM struct event *event = list_entry(node, struct event, node);
        controller->event_count--;
        enum err e = event->run(controller, event->context, true);
        (void)e; /* cancelled */
    }
}

/* ---- What ZooKeeper tells ---- */

static void zk_state_changed(void *owner, enum zk_state state, int64_t session_id)
{
    struct controller *controller = owner;
    controller->zk_state = state;
    if (state == ZK_CONNECTED) {
        controller->session_id = session_id;
        if (controller->waits_connection) {
            controller->wake = true;
            kick(controller);
        }
    }
    if (state != ZK_EXPIRED || controller->session_lost)
        return;
    trace_warn("controller session expired active=%d", controller->active);
    controller->session_lost = true;
    controller_hold(controller);
    cancel_events(controller);
    controller_enqueue(controller, "expire", event_expire, NULL);
    if (controller->waits_connection)
        controller->wake = true;
    controller_release(controller);
}

static const struct watch {
    const char *path;
    event_fn *run;
} watches[] = {
    {"/controller", event_controller_change},
    {"/brokers/ids", event_broker_change},
    {"/brokers/topics", event_topic_change},
    {"/admin/delete_topics", event_topic_deletion},
    {"/admin/preferred_replica_election", event_preferred_znode},
    {"/admin/reassign_partitions", event_reassignment_znode},
    {"/isr_change_notification", event_isr_notification},
    {"/log_dir_event_notification", event_log_dir_notification},
};

#define BROKER_PREFIX "/brokers/ids/"
#define TOPIC_PREFIX  "/brokers/topics/"

static struct slice after(struct slice path, size_t prefix)
{
    return slice_of(path.data + prefix, path.size - prefix);
}

static void zk_watch_fired(void *owner, enum zk_event_kind kind, struct slice path)
{
    struct controller *controller = owner;
    if (slice_equal_str(path, "/controller") && kind == ZK_EVENT_DELETED) {
        controller_enqueue(controller, "reelect", event_reelect, NULL);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(watches); i++) {
        if (slice_equal_str(path, watches[i].path)) {
            controller_enqueue(controller, watches[i].path, watches[i].run, NULL);
            return;
        }
    }
    if (kind != ZK_EVENT_DATA)
        return; /* a broker or topic that goes is seen by its parent's watch */
    if (slice_starts_with(path, BROKER_PREFIX))
        controller_enqueue(controller, "broker-modified", event_broker_modified,
                           slice_dup(after(path, strlen(BROKER_PREFIX))));
    else if (slice_starts_with(path, TOPIC_PREFIX))
        controller_enqueue(controller, "partition-modified", event_partition_modified,
                           slice_dup(after(path, strlen(TOPIC_PREFIX))));
}

/* ---- Birth and death ---- */

static void settings_free(struct controller_settings *settings)
{
    free((char *)settings->inter_broker_protocol_version);
    free((char *)settings->controller_listener);
    free((char *)settings->inter_broker_listener);
}

static void settings_set(struct controller *controller, const struct controller_settings *settings)
{
    struct controller_settings copy = *settings;
    copy.inter_broker_protocol_version = mem_strdup(settings->inter_broker_protocol_version);
    copy.controller_listener = mem_strdup(settings->controller_listener);
    copy.inter_broker_listener = mem_strdup(settings->inter_broker_listener);
    settings_free(&controller->settings);
    controller->settings = copy;
    int32_t level = 0;
    enum err e = ibp_parse(copy.inter_broker_protocol_version, &level);
    assert(!e); /* the settings part has checked it */
    controller->ibp_level = level;
    controller->versions = rpc_versions_of(level);
}

static uint64_t seed_of(const struct controller_settings *settings)
{
    if (settings->seed)
        return settings->seed;
    struct uuid id = uuid_random();
    uint64_t seed;
    memcpy(&seed, id.bytes, sizeof seed);
    return seed;
}

struct controller *controller_new(const struct controller_settings *settings, struct zk *zk,
                                  struct controller_peers *peers,
                                  struct controller_configs *configs, struct clock *clock)
{
    struct controller *controller = mem_new(struct controller);
    settings_set(controller, settings);
    controller->zk = zk;
    controller->peers = peers;
    controller->configs = configs;
    controller->clock = clock;
    controller->random = seed_of(settings);
    controller->active_id = -1;
    controller->zk_state = ZK_CONNECTED;
    list_init(&controller->events);
    list_init(&controller->waits);
    context_init(&controller->context);
    election_init(controller);
    preferred_init(controller);
    crash_init(controller);
    controller->fiber = fiber_new(run_events, controller);
    zk->owner = controller;
    zk->state_changed = zk_state_changed;
    zk->watch_fired = zk_watch_fired;
    return controller;
}

void controller_free(struct controller *controller)
{
    if (!controller)
        return;
    assert(!controller->in_fiber);
    controller->closing = true;
    controller->in_fiber = true;
    fiber_resume(controller->fiber); /* whatever it waits for, it now unwinds and ends */
    controller->in_fiber = false;
    assert(fiber_has_ended(controller->fiber));
    cancel_events(controller);
    election_resign(controller);
    fiber_free(controller->fiber);
    timers_done(&controller->timers);
    settings_free(&controller->settings);
    free(controller);
}

void controller_registered(struct controller *controller, int64_t broker_epoch)
{
    trace_debug("broker registered broker=%" PRId32 " broker_epoch=%" PRId64,
                controller->settings.broker_id, broker_epoch);
    bool first = !controller->started;
    controller->started = true;
    controller_enqueue(controller, first ? "startup" : "register-and-reelect",
                       first ? event_startup : event_reelect, NULL);
}

/* ---- Small things ---- */

void controller_run_timers(struct controller *controller)
{
    controller_hold(controller);
    timers_run(&controller->timers, clock_mono_ms(controller->clock));
    controller_release(controller);
}

int64_t controller_next_timer_ms(const struct controller *controller)
{
    return timers_next_ms(&controller->timers);
}

/* xorshift64*: the seed makes assignments repeatable in tests and in the simulator. */
uint32_t controller_random(struct controller *controller, uint32_t bound)
{
    uint64_t x = controller->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    controller->random = x;
    return (uint32_t)((x * 0x2545F4914F6CDD1Dull) >> 32) % bound;
}

static enum err event_unclean_enabled(struct controller *controller, void *context, bool cancelled)
{
    OWNED_MEM char *topic = context; /* NULL: the default changed */
    if (cancelled || !controller->active)
        return ERR_OK;
    bool elected;
    return partitions_elect_waiting(controller, &elected);
}

void controller_topic_unclean_enabled(struct controller *controller, struct slice topic)
{
    controller_enqueue(controller, "topic-unclean-enabled", event_unclean_enabled,
                       slice_dup(topic));
}

void controller_update_settings(struct controller *controller,
                                const struct controller_settings *settings)
{
    bool unclean_now = settings->unclean_leader_election_enable &&
                       !controller->settings.unclean_leader_election_enable;
    settings_set(controller, settings);
    if (unclean_now)
        controller_enqueue(controller, "unclean-enabled", event_unclean_enabled, NULL);
}

bool controller_is_active(const struct controller *controller)
{
    return controller->active && !controller->session_lost;
}

int32_t controller_active_id(const struct controller *controller)
{
    return controller->active_id;
}

int32_t controller_epoch(const struct controller *controller)
{
    return controller->active ? controller->epoch : 0;
}

static void count_partition(struct controller *controller, const struct partition *partition,
                            struct controller_counts *counts)
{
    if (!partition->has_leadership || partition->topic->deleting)
        return;
    int32_t leader = partition->leadership.leader;
    if (!partition_replica_is_online(&controller->context, partition, leader))
        counts->offline_partitions++;
    if (partition->replicas.count > 0 && leader != partition->replicas.ids[0])
        counts->preferred_imbalance++;
}

void controller_count(const struct controller *controller, struct controller_counts *ret_counts)
{
    struct controller *c = (struct controller *)controller;
    struct controller_counts counts = {.active = controller->active,
                                       .brokers = controller->context.registered_count,
                                       .topics = (int32_t)controller->context.topics.count,
                                       .partitions = controller->context.partition_count,
                                       .queued_events = controller->event_count};
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&controller->context.topics, &i));) {
        const struct topic *topic = e->value;
        counts.topics_to_delete += topic->deleting;
        for (int32_t p = 0; p < topic->partition_count; p++)
            count_partition(c, topic->partitions[p], &counts);
    }
    for (size_t i = 0; (e = map_next(&controller->context.brokers, &i));) {
        const struct broker_node *broker = e->value;
        counts.queued_requests += broker->channel ? channel_queued(broker->channel) : 0;
    }
    *ret_counts = counts;
}
