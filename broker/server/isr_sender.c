/* The queue of wishes, the request, and what its answer means for each wish
 * (zookeeper-and-controller §6.5). */
#include "broker/server/isr_sender.h"

#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/base/trouble.h"
#include "broker/server/controller_ask.h"
#include "wire/alter_partition.h"
#include "wire/api_key.h"

#define RETRY_MS        50
#define VERSION         3
#define VERSION_BY_NAME 1
#define NO_BROKER_EPOCH (-1) /* of ISR members, in ZooKeeper mode */

struct isr_sender {
    struct server *server;
    struct list_node waiting; /* struct isr_change */
    struct isr_request *under_way;
    struct trouble trouble;    /* requests that fail as a whole */
    int64_t watermarks_due_ms; /* of its timer, while that is set */
    struct timer retry_timer, shrink_timer, watermarks_timer;
};

struct isr_request {
    struct isr_sender *sender;
    struct controller_ask ask;
    struct control_work work; /* back to the control thread */
    struct alter_partition_request request;
    struct list_node changes;
    int32_t changes_count;

    enum err error;             /* of the request as a whole; the rest is then unset */
    struct isr_answer *answers; /* one a change, in the arena */
    bool *is_answered;
};

static void send_waiting(struct isr_sender *sender);

/* --- the request --- */

static bool all_have_ids(const struct list_node *changes)
{
    list_for_each (changes, node)
        if (uuid_is_zero(list_entry(node, struct isr_change, node)->topic_id))
            return false;
    return true;
}

/* The members, with broker epochs from version 3 on. */
static void fill_isr(struct arena *arena, const struct isr_change *change, int16_t version,
                     struct alter_partition_request_partition_data *ret)
{
    if (version < VERSION) {
        ret->new_isr = change->isr;
        ret->new_isr_count = change->isr_count;
        return;
    }
    ret->new_isr_with_epochs_count = change->isr_count;
    ret->new_isr_with_epochs =
        arena_new_array(arena, struct alter_partition_request_broker_state, change->isr_count + 1);
    for (int32_t i = 0; i < change->isr_count; i++) {
        alter_partition_request_broker_state_init(&ret->new_isr_with_epochs[i]);
        ret->new_isr_with_epochs[i].broker_id = change->isr[i];
        ret->new_isr_with_epochs[i].broker_epoch = NO_BROKER_EPOCH;
    }
}

static void fill_partition(struct arena *arena, const struct isr_change *change, int16_t version,
                           struct alter_partition_request_partition_data *ret)
{
    alter_partition_request_partition_data_init(ret);
    ret->partition_index = partition_id(change->partition);
    ret->leader_epoch = change->leader_epoch;
    ret->partition_epoch = change->partition_epoch;
    if (version > VERSION_BY_NAME)
        ret->leader_recovery_state = change->recovery_state;
    fill_isr(arena, change, version, ret);
}

/* Changes of the same topic that follow one another share an entry. */
static void fill_request(struct isr_request *all)
{
    struct alter_partition_request *request = &all->request;
    struct arena *arena = all->ask.arena;
    alter_partition_request_init(request);
    request->broker_id = all->sender->server->broker.id;
    request->broker_epoch = all->sender->server->broker_epoch;
    request->topics =
        arena_new_array(arena, struct alter_partition_request_topic_data, all->changes_count);
    struct alter_partition_request_partition_data *partitions =
        arena_new_array(arena, struct alter_partition_request_partition_data, all->changes_count);
    const char *last = "";
    list_for_each (&all->changes, node) {
        const struct isr_change *change = list_entry(node, struct isr_change, node);
        const char *name = partition_topic(change->partition);
        if (strcmp(last, name) != 0) {
            struct alter_partition_request_topic_data *topic =
                &request->topics[request->topics_count++];
            alter_partition_request_topic_data_init(topic);
            if (all->ask.api_version == VERSION_BY_NAME)
                topic->topic_name = slice_str(name);
            else
                topic->topic_id = change->topic_id;
            topic->partitions = partitions;
            last = name;
        }
        fill_partition(arena, change, all->ask.api_version, partitions++);
        request->topics[request->topics_count - 1].partitions_count++;
    }
}

/* --- the answer, on the controller's thread --- */

static void take_answer(struct isr_request *all, struct slice topic, struct uuid topic_id,
                        const struct alter_partition_response_partition_data *data)
{
    int32_t index = 0;
    list_for_each (&all->changes, node) {
        const struct isr_change *change = list_entry(node, struct isr_change, node);
        int32_t at = index++;
        bool is_topic = uuid_is_zero(topic_id)
                            ? slice_equal_str(topic, partition_topic(change->partition))
                            : uuid_equal(topic_id, change->topic_id);
        if (!is_topic || partition_id(change->partition) != data->partition_index)
            continue;
        int32_t count = data->isr_count > 0 ? data->isr_count : 0;
        int32_t *isr = arena_new_array(all->ask.arena, int32_t, count + 1);
        if (count)
            memcpy(isr, data->isr, (size_t)count * sizeof *isr);
        all->answers[at] = (struct isr_answer){.error = err_from_wire(data->error_code),
                                               .leader = data->leader_id,
                                               .leader_epoch = data->leader_epoch,
                                               .partition_epoch = data->partition_epoch,
                                               .recovery_state = data->leader_recovery_state,
                                               .isr = isr,
                                               .isr_count = count};
        all->is_answered[at] = true;
        if (all->answers[at].error == ERR_NOT_CONTROLLER)
            all->error = ERR_NOT_CONTROLLER; /* of one is of all: the controller has moved */
        return;
    }
}

static void answered(struct controller_ask *ask, enum err e, const void *message)
{
    struct isr_request *all = CONTAINER_OF(ask, struct isr_request, ask);
    const struct alter_partition_response *response = message;
    all->error = e ? e : err_from_wire(response->error_code);
    for (int32_t t = 0; !all->error && t < response->topics_count; t++)
        for (int32_t p = 0; p < response->topics[t].partitions_count; p++)
            take_answer(all, response->topics[t].topic_name, response->topics[t].topic_id,
                        &response->topics[t].partitions[p]);
    control_thread_post(all->sender->server->control, &all->work);
}

/* --- what becomes of the wishes, on the control thread --- */

static void retry(struct timer *timer)
{
    send_waiting(CONTAINER_OF(timer, struct isr_sender, retry_timer));
}

static void request_free(struct isr_request *all)
{
    if (!all)
        return;
    for (struct list_node *node; (node = list_pop_front(&all->changes));)
        isr_change_free(list_entry(node, struct isr_change, node));
    arena_free(all->ask.arena);
    free(all);
}

static void tell_whether_it_worked(struct isr_sender *sender, const struct isr_request *all)
{
    struct trouble *trouble = &sender->trouble;
    if (!all->error && trouble_over(trouble, sender->server->clock))
        trace_info("AlterPartition is answered again times=%" PRIu64 " since_ms=%" PRId64,
                   trouble->times, trouble->since_ms);
    if (all->error && trouble_again(trouble, sender->server->clock))
        trace_info("AlterPartition is sent again error=%s partitions=%d times=%" PRIu64
                   " since_ms=%" PRId64,
                   err_name(all->error), all->changes_count, trouble->times, trouble->since_ms);
}

static void settle(struct control_work *work)
{
    struct isr_request *all = CONTAINER_OF(work, struct isr_request, work);
    struct isr_sender *sender = all->sender;
    struct list_node again;
    list_init(&again);
    int32_t index = 0;
    for (struct list_node *node; (node = list_pop_front(&all->changes)); index++) {
        struct isr_change *change = list_entry(node, struct isr_change, node);
        bool is_settled = !all->error && all->is_answered[index] &&
                          !partition_isr_answered(change->partition, change, &all->answers[index]);
        if (is_settled)
            isr_change_free(change);
        else
            list_push_back(&again, node);
    }
    tell_whether_it_worked(sender, all);
    bool has_failed = !list_is_empty(&again);
    for (struct list_node *node; (node = again.prev) != &again;) {
        list_remove(node);
        list_push_front(&sender->waiting, node);
    }
    sender->under_way = NULL;
    request_free(all);
    if (has_failed)
        timer_set(control_thread_timers(sender->server->control), &sender->retry_timer,
                  clock_mono_ms(sender->server->clock) + RETRY_MS);
    else
        send_waiting(sender);
}

static void ask_locally(struct controller *controller, struct controller_ask *ask)
{
    controller_alter_partition(controller, ask->request, ask->api_version, ask->arena,
                               controller_ask_answered, ask);
}

/* A LeaderAndIsr has overtaken them; two wishes for one partition would get each other's answers.
 */
static void drop_overtaken(struct isr_sender *sender)
{
    list_for_each (&sender->waiting, node) {
        struct isr_change *change = list_entry(node, struct isr_change, node);
        if (partition_isr_wants(change->partition, change))
            continue;
        list_remove(node);
        isr_change_free(change);
    }
}

static void send_waiting(struct isr_sender *sender)
{
    drop_overtaken(sender);
    if (sender->under_way || list_is_empty(&sender->waiting) || timer_is_set(&sender->retry_timer))
        return;
    struct isr_request *all = mem_new(struct isr_request);
    all->sender = sender;
    all->work.run = settle;
    list_init(&all->changes);
    int16_t version = all_have_ids(&sender->waiting) ? VERSION : VERSION_BY_NAME;
    for (struct list_node *node; (node = list_pop_front(&sender->waiting)); all->changes_count++)
        list_push_back(&all->changes, node);
    all->ask = (struct controller_ask){.server = sender->server,
                                       .api_key = API_ALTER_PARTITION,
                                       .api_version = version,
                                       .request = &all->request,
                                       .local = ask_locally,
                                       .answered = answered,
                                       .arena = arena_new()};
    all->answers = arena_new_array(all->ask.arena, struct isr_answer, all->changes_count);
    all->is_answered = arena_new_array(all->ask.arena, bool, all->changes_count);
    fill_request(all);
    sender->under_way = all;
    controller_ask_send(&all->ask);
}

/* --- wishes come in --- */

struct posted {
    struct control_work work;
    struct isr_sender *sender;
    struct isr_change *change;
};

static void take_posted(struct control_work *work)
{
    OWNED_MEM struct posted *posted = CONTAINER_OF(work, struct posted, work);
    list_push_back(&posted->sender->waiting, &posted->change->node);
    send_waiting(posted->sender);
}

void isr_sender_post(struct isr_sender *sender, struct isr_change *change)
{
    struct posted *posted = mem_new(struct posted);
    *posted = (struct posted){.work.run = take_posted, .sender = sender, .change = change};
    control_thread_post(sender->server->control, &posted->work);
}

/* --- watermarks that wait --- */

static void set_watermarks_timer(struct isr_sender *sender, int64_t at_ms)
{
    struct timer *timer = &sender->watermarks_timer;
    if (at_ms != INT64_MAX && (!timer_is_set(timer) || at_ms < sender->watermarks_due_ms)) {
        sender->watermarks_due_ms = at_ms;
        timer_set(control_thread_timers(sender->server->control), timer, at_ms);
    }
}

static void look_at_watermarks(struct timer *timer)
{
    struct isr_sender *sender = CONTAINER_OF(timer, struct isr_sender, watermarks_timer);
    struct replica_manager *manager = sender->server->broker.replica_manager;
    set_watermarks_timer(sender, replica_manager_release_watermarks(manager));
}

struct posted_look {
    struct control_work work;
    struct isr_sender *sender;
    int64_t at_ms;
};

static void take_look(struct control_work *work)
{
    OWNED_MEM struct posted_look *posted = CONTAINER_OF(work, struct posted_look, work);
    set_watermarks_timer(posted->sender, posted->at_ms);
}

void isr_sender_look_at_watermarks(struct isr_sender *sender, int64_t at_ms)
{
    struct posted_look *posted = mem_new(struct posted_look);
    *posted = (struct posted_look){.work.run = take_look, .sender = sender, .at_ms = at_ms};
    control_thread_post(sender->server->control, &posted->work);
}

/* --- replicas that lag --- */

static void shrink_one(void *context, struct partition *partition)
{
    struct isr_sender *sender = context;
    struct isr_change *change = partition_shrink_isr(partition);
    if (change)
        list_push_back(&sender->waiting, &change->node);
}

static void look_for_laggards(struct timer *timer)
{
    struct isr_sender *sender = CONTAINER_OF(timer, struct isr_sender, shrink_timer);
    struct server *server = sender->server;
    replica_manager_for_each(server->broker.replica_manager, shrink_one, sender);
    send_waiting(sender);
    timer_set(control_thread_timers(server->control), timer,
              clock_mono_ms(server->clock) + server->config->replica_lag_time_max_ms / 2);
}

void isr_sender_start(struct isr_sender *sender)
{
    struct server *server = sender->server;
    timer_set(control_thread_timers(server->control), &sender->shrink_timer,
              clock_mono_ms(server->clock) + server->config->replica_lag_time_max_ms / 2);
}

struct isr_sender *isr_sender_new(struct server *server)
{
    struct isr_sender *sender = mem_new(struct isr_sender);
    sender->server = server;
    sender->retry_timer.fire = retry;
    sender->shrink_timer.fire = look_for_laggards;
    sender->watermarks_timer.fire = look_at_watermarks;
    list_init(&sender->waiting);
    return sender;
}

void isr_sender_free(struct isr_sender *sender)
{
    if (!sender)
        return;
    for (struct list_node *node; (node = list_pop_front(&sender->waiting));)
        isr_change_free(list_entry(node, struct isr_change, node));
    request_free(sender->under_way);
    struct timers *timers = control_thread_timers(sender->server->control);
    timer_cancel(timers, &sender->retry_timer);
    timer_cancel(timers, &sender->shrink_timer);
    timer_cancel(timers, &sender->watermarks_timer);
    free(sender);
}
