/* AlterPartition: a leader asks for another ISR. The order of the checks matters: a request that is
 * repeated because its answer was lost must find itself done before its version is called old (trap
 * T15), and a leader that knows more than we do must be sent to the real controller (trap T16). The
 * leader epoch stays (trap T13). */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/admin.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/last_standing.h"
#include "coordinator/controller/reassignment.h"

#define IDS_VERSION        2 /* topics by id */
#define ISR_EPOCHS_VERSION 3

struct change {
    struct partition *partition;
    const struct alter_partition_request_partition_data *asked;
    struct alter_partition_response_partition_data *answer;
    struct leadership next;
    bool written;
};

struct alteration {
    struct controller *controller;
    struct call *call;
    int32_t broker_id;
    struct change *changes;
    size_t count;
};

static struct ids asked_isr(struct arena *arena, int16_t api_version,
                            const struct alter_partition_request_partition_data *asked)
{
    if (api_version < ISR_EPOCHS_VERSION)
        return (struct ids){.ids = asked->new_isr, .count = asked->new_isr_count};
    struct ids isr = {0};
    isr.ids = arena_new_array(arena, int32_t, (size_t)asked->new_isr_with_epochs_count + 1);
    for (int32_t i = 0; i < asked->new_isr_with_epochs_count; i++)
        isr.ids[isr.count++] = asked->new_isr_with_epochs[i].broker_id;
    return isr;
}

static void answer_state(struct alteration *all, struct change *change)
{
    const struct leadership *state = &change->partition->leadership;
    struct ids isr = ids_in_arena(all->call->arena, &state->isr);
    change->answer->error_code = 0;
    change->answer->leader_id = state->leader;
    change->answer->leader_epoch = state->leader_epoch;
    change->answer->isr = isr.ids;
    change->answer->isr_count = isr.count;
    change->answer->leader_recovery_state = state->recovery_state;
    change->answer->partition_epoch = state->zk_version;
}

static bool same_state(const struct leadership *a, const struct leadership *b)
{
    return a->leader == b->leader && a->leader_epoch == b->leader_epoch &&
           ids_equal(&a->isr, &b->isr) && a->recovery_state == b->recovery_state;
}

/* ERR_OK: to be written; ERR_EXISTS: it is so already. */
static enum err judge(struct alteration *all, const struct change *change,
                      const struct leadership *wanted)
{
    const struct leadership *now = &change->partition->leadership;
    const struct alter_partition_request_partition_data *asked = change->asked;
    if (asked->partition_epoch > now->zk_version || asked->leader_epoch > now->leader_epoch)
        return ERR_NOT_CONTROLLER;
    if (asked->leader_epoch < now->leader_epoch)
        return ERR_FENCED_LEADER_EPOCH;
    if (same_state(now, wanted) && asked->partition_epoch <= now->zk_version)
        return ERR_EXISTS;
    if (asked->partition_epoch < now->zk_version)
        return ERR_INVALID_UPDATE_VERSION;
    if (wanted->leader != now->leader || !ids_contains(&wanted->isr, wanted->leader))
        return ERR_INVALID_REQUEST; /* as KRaft: another would lead in the leader's own epoch */
    if (wanted->recovery_state && wanted->isr.count > 1)
        return ERR_INVALID_REQUEST;
    if (!now->recovery_state && wanted->recovery_state)
        return ERR_INVALID_REQUEST;
    for (int32_t i = 0; i < wanted->isr.count; i++) {
        if (!context_is_live(&all->controller->context, wanted->isr.ids[i]))
            return all->call->api_version < IDS_VERSION ? ERR_OPERATION_NOT_ATTEMPTED
                                                        : ERR_INELIGIBLE_REPLICA;
    }
    return ERR_OK;
}

static void consider(struct alteration *all, struct topic *topic, bool id_unknown,
                     const struct alter_partition_request_partition_data *asked,
                     struct alter_partition_response_partition_data *answer)
{
    alter_partition_response_partition_data_init(answer);
    answer->partition_index = asked->partition_index;
    struct partition *partition = topic ? topic_partition(topic, asked->partition_index) : NULL;
    if (id_unknown || !partition || !partition->has_leadership) {
        answer->error_code =
            err_wire_code(id_unknown ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION);
        return;
    }
    struct change *change = &all->changes[all->count++];
    *change = (struct change){.partition = partition, .asked = asked, .answer = answer};
    struct ids isr = asked_isr(all->call->arena, all->call->api_version, asked);
    struct leadership wanted = {.leader = all->broker_id,
                                .leader_epoch = asked->leader_epoch,
                                .isr = isr,
                                .recovery_state = asked->leader_recovery_state,
                                .controller_epoch = all->controller->epoch,
                                .unknown = partition->leadership.unknown};
    enum err e = judge(all, change, &wanted);
    if (e == ERR_EXISTS)
        answer_state(all, change);
    else if (e)
        answer->error_code = err_wire_code(e);
    else
        change->next = leadership_copy(&wanted);
    change->written = !e;
}

static enum err write_changes(struct alteration *all)
{
    OWNED(wave) struct wave *wave = wave_new(all->controller);
    PARTITION_LIST lost = {0};
    for (size_t i = 0; i < all->count; i++) {
        struct change *change = &all->changes[i];
        if (!change->written)
            continue;
        char path[PATH_MAX_BYTES];
        partition_path(change->partition, path);
        wave_guarded_set(wave, path, codec_state_encode(wave_arena(wave), &change->next),
                         change->asked->partition_epoch);
    }
    enum err e = wave_run(wave);
    if (e)
        return e;
    size_t index = 0;
    for (size_t i = 0; i < all->count; i++) {
        struct change *change = &all->changes[i];
        if (!change->written)
            continue;
        const struct wave_result *result = wave_result(wave, index++);
        change->written = !result->error;
        if (result->error) {
            change->answer->error_code = err_wire_code(
                result->error == ERR_ZK_BAD_VERSION ? ERR_INVALID_UPDATE_VERSION : result->error);
            partition_list_add(&lost, change->partition);
            continue;
        }
        struct leadership next = leadership_copy(&change->next);
        leadership_stands(&next, result->stat.zk_version,
                          standing_known(&all->controller->context, &next.isr));
        partition_set_leadership(change->partition, &next);
        answer_state(all, change);
    }
    return lost.count > 0 ? partitions_refresh(all->controller, &lost) : ERR_OK;
}

/* A write that met another version may have met its own effect, after a lost connection. */
static void recognise_own(struct alteration *all)
{
    for (size_t i = 0; i < all->count; i++) {
        struct change *change = &all->changes[i];
        if (!change->written && change->next.isr.count > 0 && change->partition->has_leadership &&
            same_state(&change->partition->leadership, &change->next))
            answer_state(all, change);
    }
}

static void tell(struct alteration *all)
{
    batch_begin(all->controller);
    batch_update_all(all->controller);
    for (size_t i = 0; i < all->count; i++)
        batch_update_partition(all->controller, all->changes[i].partition);
    batch_send(all->controller);
}

static void consider_all(struct alteration *all, const struct alter_partition_request *request,
                         struct alter_partition_response *response)
{
    struct context *context = &all->controller->context;
    struct arena *arena = all->call->arena;
    size_t count = 0;
    for (int32_t t = 0; t < request->topics_count; t++)
        count += (size_t)request->topics[t].partitions_count;
    all->changes = arena_new_array(arena, struct change, count + 1);
    response->topics_count = request->topics_count;
    response->topics = arena_new_array(arena, struct alter_partition_response_topic_data,
                                       (size_t)request->topics_count + 1);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct alter_partition_request_topic_data *asked = &request->topics[t];
        struct alter_partition_response_topic_data *answer = &response->topics[t];
        bool by_id = all->call->api_version >= IDS_VERSION;
        struct topic *topic = by_id ? context_topic_by_id(context, asked->topic_id)
                                    : context_topic(context, asked->topic_name);
        alter_partition_response_topic_data_init(answer);
        answer->topic_id = asked->topic_id;
        answer->topic_name = asked->topic_name;
        answer->partitions_count = asked->partitions_count;
        answer->partitions = arena_new_array(arena, struct alter_partition_response_partition_data,
                                             (size_t)asked->partitions_count + 1);
        for (int32_t p = 0; p < asked->partitions_count; p++)
            consider(all, topic, by_id && !topic, &asked->partitions[p], &answer->partitions[p]);
    }
}

static enum err event_alter_partition(struct controller *controller, void *context, bool cancelled)
{
    struct call *call = context;
    const struct alter_partition_request *request = call->request;
    struct alter_partition_response response;
    alter_partition_response_init(&response);
    const struct broker_node *broker =
        context_find_broker(&controller->context, request->broker_id);
    PARTITION_LIST changed = {0};
    enum err e = ERR_OK;
    if (cancelled || !controller->active)
        response.error_code = err_wire_code(ERR_NOT_CONTROLLER);
    else if (!broker || !broker->registered || broker->broker_epoch != request->broker_epoch)
        response.error_code = err_wire_code(ERR_STALE_BROKER_EPOCH);
    if (!response.error_code) {
        struct alteration all = {
            .controller = controller, .call = call, .broker_id = request->broker_id};
        consider_all(&all, request, &response);
        e = write_changes(&all);
        if (!e) {
            recognise_own(&all);
            tell(&all);
        }
        for (size_t i = 0; i < all.count; i++) {
            leadership_done(&all.changes[i].next);
            partition_list_add(&changed, all.changes[i].partition);
        }
        if (e) {
            alter_partition_response_init(&response);
            response.error_code =
                err_wire_code(err_ends_event(e) ? ERR_NOT_CONTROLLER : ERR_UNKNOWN_SERVER_ERROR);
        }
    }
    call->done(call->context, &response);
    return e || changed.count == 0 ? e : reassignments_finish_ready(controller, &changed);
}

void controller_alter_partition(struct controller *controller,
                                const struct alter_partition_request *request, int16_t api_version,
                                struct arena *arena, controller_done_fn *done, void *context)
{
    controller_enqueue(controller, "alter-partition", event_alter_partition,
                       call_new(request, api_version, arena, done, context));
}
