/* Partitions: their first state znode, and elections. Reads are from the cache; a write that meets
 * another version reads the znode anew and decides again, so an election costs one wave where
 * nobody interferes. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/controller_internal.h"
#include "coordinator/controller/last_standing.h"
#include "coordinator/controller/standing_note.h"
#include "coordinator/zk/znode.h"

#define IBP_RECOVERY_STATE IBP_LEVEL(3, 2, 0, 0)

void partition_path(const struct partition *partition, char path[static PATH_MAX_BYTES])
{
    snprintf(path, PATH_MAX_BYTES, "/brokers/topics/%s/partitions/%" PRId32 "/state",
             partition->topic->name, partition->id);
}

/* ---- Reading states ---- */

static void state_read(struct partition *partition, const struct wave_result *result)
{
    struct leadership state;
    if (result->error == ERR_NOT_FOUND) {
        partition_forget_leadership(partition);
        return;
    }
    enum err e = result->error;
    if (!e)
        e = codec_state_decode(result->data, &state);
    if (e) {
        trace_error("partition state not read topic=%s partition=%" PRId32 ": %s",
                    partition->topic->name, partition->id, err_sentence(e));
        return;
    }
    leadership_stands(&state, result->stat.zk_version, result->stat.mzxid);
    partition_set_leadership(partition, &state);
}

enum err partitions_refresh(struct controller *controller, const struct partition_list *partitions)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    char path[PATH_MAX_BYTES];
    for (size_t i = 0; i < partitions->count; i++) {
        partition_path(partitions->items[i], path);
        wave_get_anywhere(wave, path);
    }
    enum err e = wave_run(wave);
    if (e)
        return e;
    for (size_t i = 0; i < partitions->count; i++)
        state_read(partitions->items[i], wave_result(wave, i));
    return ERR_OK;
}

/* ---- The first leader ---- */

/* False if no replica is online. */
static bool first_leadership(struct controller *controller, const struct partition *partition,
                             struct leadership *ret_state)
{
    struct leadership state = {.leader = LEADER_NONE,
                               .leader_epoch = LEADER_EPOCH_INITIAL,
                               .controller_epoch = controller->epoch};
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        int32_t id = partition->replicas.ids[i];
        if (partition_replica_is_online(&controller->context, partition, id))
            ids_add(&state.isr, id);
    }
    if (state.isr.count == 0) {
        trace_warn("partition has no live replica to begin with topic=%s partition=%" PRId32,
                   partition->topic->name, partition->id);
        return false;
    }
    state.leader = state.isr.ids[0];
    *ret_state = state;
    return true;
}

/* The znodes above the state, in two waves whose failures do not matter: they may exist. */
static enum err create_parents(struct controller *controller,
                               const struct partition_list *partitions)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    char path[PATH_MAX_BYTES];
    const struct topic *last = NULL;
    for (size_t i = 0; i < partitions->count; i++) {
        if (partitions->items[i]->topic == last)
            continue;
        last = partitions->items[i]->topic;
        snprintf(path, sizeof path, "/brokers/topics/%s/partitions", last->name);
        wave_guarded_create(wave, path, SLICE_NULL);
    }
    enum err e = wave_run(wave);
    if (e)
        return e;
    for (size_t i = 0; i < partitions->count; i++) {
        snprintf(path, sizeof path, "/brokers/topics/%s/partitions/%" PRId32,
                 partitions->items[i]->topic->name, partitions->items[i]->id);
        wave_guarded_create(wave, path, SLICE_NULL);
    }
    return wave_run(wave);
}

/* A state that is there already is ours if an answer was lost, or another controller's whose work
 * we go on with: either way what stands there holds (trap T19). */
static enum err adopt(struct controller *controller, const struct partition_list *found)
{
    if (found->count == 0)
        return ERR_OK;
    enum err e = partitions_refresh(controller, found);
    if (e)
        return e;
    for (size_t i = 0; i < found->count; i++) {
        struct partition *partition = found->items[i];
        if (!partition->has_leadership)
            continue;
        bool led = partition_replica_is_online(&controller->context, partition,
                                               partition->leadership.leader);
        partition_move(&controller->context, partition, led ? PARTITION_ONLINE : PARTITION_OFFLINE);
        for (int32_t i_replica = 0; i_replica < partition->replicas.count; i_replica++)
            batch_leader_and_isr(controller, partition, partition->replicas.ids[i_replica], true);
    }
    return ERR_OK;
}

static void initialized(struct controller *controller, struct partition *partition,
                        struct leadership *state)
{
    leadership_stands(state, 0, standing_known(&controller->context, &state->isr));
    partition_set_leadership(partition, state);
    partition_move(&controller->context, partition, PARTITION_ONLINE);
    for (int32_t i = 0; i < partition->leadership.isr.count; i++)
        batch_leader_and_isr(controller, partition, partition->leadership.isr.ids[i], true);
}

enum err partitions_initialize(struct controller *controller, struct partition_list *partitions)
{
    PARTITION_LIST ready = {0}, found = {0};
    OWNED(wave) struct wave *wave = wave_new(controller);
    for (size_t i = 0; i < partitions->count; i++) {
        struct leadership state;
        if (!first_leadership(controller, partitions->items[i], &state))
            continue;
        char path[PATH_MAX_BYTES];
        partition_path(partitions->items[i], path);
        wave_guarded_create(wave, path, codec_state_encode(wave_arena(wave), &state));
        leadership_done(&state);
        partition_list_add(&ready, partitions->items[i]);
    }
    enum err e = create_parents(controller, &ready);
    if (!e)
        e = wave_run(wave);
    if (e)
        return e;
    for (size_t i = 0; i < ready.count; i++) {
        enum err written = wave_result(wave, i)->error;
        struct leadership state;
        if (written == ERR_EXISTS)
            partition_list_add(&found, ready.items[i]);
        else if (written)
            trace_error("partition state not made topic=%s partition=%" PRId32 " error=%s",
                        ready.items[i]->topic->name, ready.items[i]->id, err_name(written));
        else if (first_leadership(controller, ready.items[i], &state))
            initialized(controller, ready.items[i], &state);
    }
    return adopt(controller, &found);
}

/* ---- Elections ---- */

struct contest {
    struct partition *partition;
    size_t slot; /* in the list and the errors that were given */
    struct leader_choice choice;
    struct leadership next;
    struct znode_complete *note; /* in the wave's arena that read it; NULL: none */
    bool decided;
};

/* What ask_unclean() finds for a topic. Topics whose own setting decides whether an unclean leader
 * is allowed are read together. */
static char unclean_yes, unclean_no;

static enum err ask_unclean(struct controller *controller, const struct contest *contests,
                            size_t count, struct map *answers)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    OWNED_MEM struct topic **topics = mem_new_array(struct topic *, count + 1);
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        struct topic *topic = contests[i].partition->topic;
        struct slice name = slice_str(topic->name);
        if (contests[i].decided || isr_has_whole(&controller->context, contests[i].partition) ||
            map_get(answers, name))
            continue;
        char path[PATH_MAX_BYTES];
        snprintf(path, sizeof path, "/config/topics/%s", topic->name);
        wave_get(wave, path, false);
        map_put(answers, name, &unclean_no); /* if it cannot be read: no */
        topics[asked++] = topic;
    }
    enum err e = wave_run(wave);
    for (size_t i = 0; !e && i < asked; i++) {
        const struct wave_result *result = wave_result(wave, i);
        if (result->error && result->error != ERR_NOT_FOUND)
            continue;
        struct slice value = SLICE_NULL;
        if (!result->error)
            value = codec_config_value(wave_arena(wave), result->data,
                                       "unclean.leader.election.enable");
        bool allowed = slice_is_null(value) ? controller->settings.unclean_leader_election_enable
                                            : slice_equal_str(value, "true");
        map_put(answers, slice_str(topics[i]->name), allowed ? &unclean_yes : &unclean_no);
    }
    return e;
}

static bool may_be_unclean(const struct partition *partition, enum election how,
                           const struct map *unclean)
{
    return how == ELECT_OFFLINE_UNCLEAN ||
           (how == ELECT_OFFLINE &&
            map_get(unclean, slice_str(partition->topic->name)) == &unclean_yes);
}

static struct znode_complete *note_of(struct wave *wave, const struct wave_result *result)
{
    if (result->error)
        return NULL;
    struct znode_complete *note = arena_new_array(wave_arena(wave), struct znode_complete, 1);
    enum err e = znode_complete_decode(wave_arena(wave), result->data, note);
    if (e)
        trace_warn("a leader's note is not read: %s", err_sentence(e));
    return e ? NULL : note;
}

/* Who out of the ISR has everything: read only where the choice depends on it. */
static enum err ask_notes(struct controller *controller, struct wave *wave,
                          struct contest *contests, size_t count, enum election how,
                          const struct map *unclean)
{
    OWNED_MEM size_t *asked = mem_new_array(size_t, count + 1);
    size_t asked_count = 0;
    bool is_offline = how == ELECT_OFFLINE || how == ELECT_OFFLINE_UNCLEAN;
    for (size_t i = 0; i < count; i++) {
        const struct partition *partition = contests[i].partition;
        contests[i].note = NULL;
        if (contests[i].decided || !is_offline ||
            !leader_pick_needs_note(&controller->context, partition,
                                    may_be_unclean(partition, how, unclean)))
            continue;
        wave_get(
            wave,
            znode_complete_path(wave_arena(wave), slice_str(partition->topic->name), partition->id),
            false);
        asked[asked_count++] = i;
    }
    OWNED_MEM struct noted *noted = mem_new_array(struct noted, asked_count + 1);
    enum err e = wave_run(wave);
    for (size_t i = 0; !e && i < asked_count; i++) {
        struct contest *contest = &contests[asked[i]];
        contest->note = note_of(wave, wave_result(wave, i));
        noted[i] = (struct noted){.partition = contest->partition, .note = &contest->note};
    }
    return e ? e : notes_check_settings(controller, noted, asked_count);
}

static void decide(struct controller *controller, struct contest *contest, enum election how,
                   const struct map *unclean, struct thinnings *thinnings, enum err *ret_errors)
{
    struct partition *partition = contest->partition;
    const struct leadership *now = &partition->leadership;
    enum err failure = how == ELECT_PREFERRED ? ERR_PREFERRED_LEADER_NOT_AVAILABLE
                                              : ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE;
    if (may_be_unclean(partition, how, unclean))
        how = ELECT_OFFLINE_UNCLEAN;
    contest->decided = true;
    if (now->controller_epoch > controller->epoch)
        failure = ERR_CONTROLLER_FENCED;
    if (now->controller_epoch > controller->epoch ||
        !leader_pick(&controller->context, partition, how, contest->note, &contest->choice)) {
        trace_debug("no leader found topic=%s partition=%" PRId32 "%s", partition->topic->name,
                    partition->id, contest->note ? ", a complete replica is waited for" : "");
        if (ret_errors)
            ret_errors[contest->slot] = failure;
        return;
    }
    contest->decided = false;
    contest->next = leadership_copy(now);
    contest->next.leader = contest->choice.leader;
    contest->next.leader_epoch++;
    contest->next.controller_epoch = controller->epoch;
    ids_set(&contest->next.isr, contest->choice.isr.ids, contest->choice.isr.count);
    if (contest->choice.unclean && controller->ibp_level >= IBP_RECOVERY_STATE)
        contest->next.recovery_state = 1;
    standing_begins(&controller->context, partition, &contest->next);
    if (!contest->choice.unclean)
        thinnings_plan(thinnings, &controller->context, partition, &contest->next);
}

static void contest_release(struct contest *contest)
{
    ids_done(&contest->choice.isr);
    ids_done(&contest->choice.told);
    leadership_done(&contest->next);
}

static void elected(struct controller *controller, struct contest *contest,
                    const struct zk_stat *stat)
{
    struct partition *partition = contest->partition;
    leadership_stands(&contest->next, stat->zk_version,
                      standing_known(&controller->context, &contest->next.isr));
    if (contest->choice.unclean)
        trace_warn("unclean leader elected, records may be lost topic=%s partition=%" PRId32
                   " leader=%" PRId32,
                   partition->topic->name, partition->id, contest->choice.leader);
    if (contest->choice.from_note)
        trace_warn("the last in-sync replica stopped uncleanly, a complete one leads topic=%s "
                   "partition=%" PRId32 " leader=%" PRId32,
                   partition->topic->name, partition->id, contest->choice.leader);
    partition_set_leadership(partition, &contest->next);
    if (!contest->choice.unchanged)
        partition_move(&controller->context, partition, PARTITION_ONLINE);
    for (int32_t i = 0; i < contest->choice.told.count; i++)
        batch_leader_and_isr(controller, partition, contest->choice.told.ids[i], false);
}

/* One round: decide, write, take the results. What met another version stays undecided, in `again`.
 */
static enum err election_round(struct controller *controller, struct contest *contests,
                               size_t count, enum election how, enum err *ret_errors,
                               struct partition_list *again)
{
    THINNINGS thinnings = {0};
    struct map unclean = {0};
    OWNED(wave) struct wave *notes = wave_new(controller);
    OWNED(wave) struct wave *wave = wave_new(controller);
    enum err e = how == ELECT_OFFLINE ? ask_unclean(controller, contests, count, &unclean) : ERR_OK;
    if (!e)
        e = ask_notes(controller, notes, contests, count, how, &unclean);
    for (size_t i = 0; !e && i < count; i++) {
        if (contests[i].decided)
            continue;
        decide(controller, &contests[i], how, &unclean, &thinnings, ret_errors);
        if (contests[i].decided)
            continue;
        char path[PATH_MAX_BYTES];
        partition_path(contests[i].partition, path);
        wave_guarded_set(wave, path, codec_state_encode(wave_arena(wave), &contests[i].next),
                         contests[i].partition->leadership.zk_version);
    }
    map_done(&unclean);
    if (!e)
        e = thinnings_note(controller, &thinnings);
    if (!e)
        e = wave_run(wave);
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        if (contests[i].decided)
            continue;
        if (!e) {
            const struct wave_result *result = wave_result(wave, written++);
            contests[i].decided = result->error != ERR_ZK_BAD_VERSION;
            if (!contests[i].decided)
                partition_list_add(again, contests[i].partition);
            else if (!result->error)
                elected(controller, &contests[i], &result->stat);
            else if (ret_errors)
                ret_errors[contests[i].slot] = result->error;
        }
        contest_release(&contests[i]);
    }
    return e;
}

enum err partitions_elect(struct controller *controller, const struct partition_list *partitions,
                          enum election how, enum err *ret_errors)
{
    OWNED_MEM struct contest *contests = mem_new_array(struct contest, partitions->count + 1);
    for (size_t i = 0; i < partitions->count; i++) {
        struct partition *partition = partitions->items[i];
        bool possible = partition->has_leadership && (partition->state == PARTITION_ONLINE ||
                                                      partition->state == PARTITION_OFFLINE);
        contests[i] = (struct contest){.partition = partition, .slot = i, .decided = !possible};
        if (ret_errors)
            ret_errors[i] = possible ? ERR_OK : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    for (;;) {
        PARTITION_LIST again = {0};
        enum err e =
            election_round(controller, contests, partitions->count, how, ret_errors, &again);
        if (!e && again.count > 0)
            e = partitions_refresh(controller, &again);
        if (e || again.count == 0)
            return e;
        for (size_t i = 0; i < partitions->count; i++) {
            if (!contests[i].decided && !contests[i].partition->has_leadership)
                contests[i].decided = true; /* its znode went away meanwhile */
        }
    }
}

enum err partitions_elect_waiting(struct controller *controller, bool *ret_elected)
{
    PARTITION_LIST fresh = {0}, offline = {0};
    list_for_each (&controller->context.waiting, node) {
        struct partition *partition = list_entry(node, struct partition, waiting);
        if (partition_is_given_up(partition))
            continue;
        partition_list_add(partition->state == PARTITION_NEW ? &fresh : &offline, partition);
    }
    *ret_elected = false;
    if (fresh.count + offline.count == 0)
        return ERR_OK;
    batch_begin(controller);
    enum err e = partitions_initialize(controller, &fresh);
    if (!e)
        e = partitions_elect(controller, &offline, ELECT_OFFLINE, NULL);
    if (e)
        return e;
    for (size_t i = 0; i < fresh.count; i++)
        *ret_elected |= fresh.items[i]->state == PARTITION_ONLINE;
    for (size_t i = 0; i < offline.count; i++)
        *ret_elected |= offline.items[i]->state == PARTITION_ONLINE;
    batch_send(controller);
    return ERR_OK;
}

static void find_doubtful(struct context *context, struct partition *partition,
                          struct replica_list *ret)
{
    const struct ids *isr = &partition->leadership.isr;
    for (int32_t i = 0; i < isr->count; i++)
        if (standing_is_doubtful(context, partition, isr->ids[i]))
            replica_list_add(ret, partition, context_find_broker(context, isr->ids[i]));
}

enum err partition_machine_start(struct controller *controller)
{
    REPLICA_LIST doubtful = {0};
    struct context *context = &controller->context;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&context->topics, &i));) {
        const struct topic *topic = e->value;
        for (int32_t p = 0; p < topic->partition_count; p++) {
            struct partition *partition = topic->partitions[p];
            partition_move(context, partition, PARTITION_NEW);
            if (!partition->has_leadership)
                continue;
            int32_t leader = partition->leadership.leader;
            bool led = partition_replica_is_online(context, partition, leader) &&
                       !standing_is_doubtful(context, partition, leader);
            find_doubtful(context, partition, &doubtful);
            partition_move(context, partition, led ? PARTITION_ONLINE : PARTITION_OFFLINE);
        }
    }
    return replicas_leave_isr(controller, &doubtful);
}
