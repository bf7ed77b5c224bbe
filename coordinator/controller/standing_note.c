/* See the header. All partitions of an event go together: their settings, the notes that stand
 * there, and the new ones are a wave each. */
#include "coordinator/controller/standing_note.h"

#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/controller_internal.h"
#include "coordinator/controller/last_standing.h"

#define MIN_ISR_KEY      "min.insync.replicas"
#define WRITE_ROUNDS_MAX 3

/* ---- What min.insync.replicas is ---- */

/* Znodes with settings, each read once. */
struct settings {
    struct controller *controller;
    struct wave *wave;
    struct map slots; /* path -> index in the wave + 1 */
};

static void settings_done(struct settings *settings)
{
    wave_free(settings->wave);
    map_done(&settings->slots);
}
#define SETTINGS __attribute__((cleanup(settings_done))) struct settings

struct min_isr {
    size_t topic, broker, everybody; /* indices in the wave */
};

static size_t ask(struct settings *settings, const char *path)
{
    uintptr_t slot = (uintptr_t)map_get(&settings->slots, slice_str(path));
    if (slot == 0) {
        slot = wave_get(settings->wave, path, false) + 1;
        map_put(&settings->slots, slice_str(path), (void *)slot);
    }
    return slot - 1;
}

static struct min_isr ask_min_isr(struct settings *settings, const struct partition *partition,
                                  int32_t member)
{
    struct min_isr asked;
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof path, "/config/topics/%s", partition->topic->name);
    asked.topic = ask(settings, path);
    snprintf(path, sizeof path, "/config/brokers/%" PRId32, member);
    asked.broker = ask(settings, path);
    asked.everybody = ask(settings, "/config/brokers/" ZNODE_CONFIG_DEFAULT);
    return asked;
}

/* False: it is not set there. Moves *newest on. */
static bool setting_at(struct settings *settings, size_t index, int64_t *newest, int32_t *ret_value)
{
    const struct wave_result *result = wave_result(settings->wave, index);
    int64_t value;
    if (result->error)
        return false;
    if (result->stat.mzxid > *newest)
        *newest = result->stat.mzxid;
    struct slice text = codec_config_value(wave_arena(settings->wave), result->data, MIN_ISR_KEY);
    if (slice_is_null(text) || !slice_to_int64(text, &value) || value < 1 || value > INT32_MAX)
        return false;
    *ret_value = (int32_t)value;
    return true;
}

static bool is_read(const struct settings *settings, size_t index)
{
    enum err e = wave_result(settings->wave, index)->error;
    return !e || e == ERR_NOT_FOUND;
}

/* As partition_effective_min_isr() of the broker. 1 where something could not be read: then no note
 * holds. ret_zxid: the newest change. */
static int32_t effective_min_isr(struct settings *settings, const struct min_isr *asked,
                                 const struct partition *partition, int64_t *ret_zxid)
{
    int32_t of_topic, of_broker, of_everybody;
    int64_t newest = 0;
    bool has_topic = setting_at(settings, asked->topic, &newest, &of_topic);
    bool has_broker = setting_at(settings, asked->broker, &newest, &of_broker);
    bool has_everybody = setting_at(settings, asked->everybody, &newest, &of_everybody);
    if (!is_read(settings, asked->topic) || !is_read(settings, asked->broker) ||
        !is_read(settings, asked->everybody))
        return 1;
    int32_t value = has_topic       ? of_topic
                    : has_broker    ? of_broker
                    : has_everybody ? of_everybody
                                    : settings->controller->settings.min_insync_replicas;
    *ret_zxid = newest;
    return value < partition->replicas.count ? value : partition->replicas.count;
}

enum err notes_check_settings(struct controller *controller, const struct noted *items,
                              size_t count)
{
    SETTINGS settings = {.controller = controller, .wave = wave_new(controller)};
    OWNED_MEM struct min_isr *asked = mem_new_array(struct min_isr, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct znode_complete *note = *items[i].note;
        if (note && note->is_of_controller)
            asked[i] = ask_min_isr(&settings, items[i].partition, note->leader);
    }
    enum err e = wave_run(settings.wave);
    for (size_t i = 0; !e && i < count; i++) {
        struct znode_complete *note = *items[i].note;
        const struct partition *partition = items[i].partition;
        if (!note || !note->is_of_controller)
            continue;
        int64_t zxid = -1;
        bool is_thin = partition->leadership.isr.count <
                       effective_min_isr(&settings, &asked[i], partition, &zxid);
        if (!is_thin || zxid != note->settings_zxid)
            *items[i].note = NULL;
    }
    return e;
}

/* ---- What is planned ---- */

void thinnings_done(struct thinnings *thinnings)
{
    for (size_t i = 0; i < thinnings->count; i++)
        free(thinnings->items[i].dropped);
    free(thinnings->items);
}

/* Who says when it loses something is complete while it has lost nothing since the state that it
 * was a member of; who does not, while it stays registered. */
static bool how_to_know(const struct context *context, const struct leadership *state, int32_t id,
                        int64_t *ret_broker_epoch)
{
    const struct broker_node *broker = context_find_broker(context, id);
    bool was_seen = broker && broker->broker_epoch > 0;
    if (standing_has_lost(context, state, id))
        return false;
    *ret_broker_epoch = state->led_zxid;
    if (was_seen && broker->intact_since == INTACT_SINCE_UNKNOWN) {
        *ret_broker_epoch = broker->broker_epoch;
        return broker->registered;
    }
    return state->led_zxid > 0;
}

static void find_dropped(const struct context *context, const struct partition *partition,
                         const struct leadership *next, struct thinning *thinning)
{
    const struct leadership *now = &partition->leadership;
    thinning->dropped = mem_new_array(struct znode_complete_replica, (size_t)now->isr.count + 1);
    for (int32_t i = 0; i < now->isr.count; i++) {
        int32_t id = now->isr.ids[i];
        int64_t broker_epoch;
        if (ids_contains(&next->isr, id) || !ids_contains(&partition->replicas, id) ||
            !how_to_know(context, now, id, &broker_epoch))
            continue;
        thinning->dropped[thinning->dropped_count++] =
            (struct znode_complete_replica){.broker_id = id, .broker_epoch = broker_epoch};
    }
}

void thinnings_plan(struct thinnings *thinnings, const struct context *context,
                    struct partition *partition, const struct leadership *next)
{
    const struct leadership *now = &partition->leadership;
    if (next->isr.count != 1 || partition->replicas.count < 2 || partition_is_given_up(partition))
        return;
    struct thinning thinning = {.partition = partition,
                                .member = next->isr.ids[0],
                                .led_before = now->led_version,
                                .led_after =
                                    next->leader >= 0 ? now->zk_version + 1 : now->led_version};
    find_dropped(context, partition, next, &thinning);
    bool voids_the_last_note = next->leader >= 0;
    if (thinning.dropped_count == 0 && !voids_the_last_note) {
        free(thinning.dropped);
        return;
    }
    thinnings->items = mem_grow(thinnings->items, &thinnings->capacity, thinnings->count + 1,
                                sizeof *thinnings->items);
    thinnings->items[thinnings->count++] = thinning;
}

/* ---- Notes ---- */

struct task {
    const struct thinning *thinning;
    struct min_isr asked;
    struct znode_complete *old; /* in the wave's arena */
    bool exists;
    int64_t settings_zxid;
    struct slice text; /* in that arena, too */
    size_t index;      /* in the wave that writes */
};

static bool has(const struct znode_complete *note, int32_t id)
{
    for (int32_t i = 0; i < note->replica_count; i++)
        if (note->replicas[i].broker_id == id)
            return true;
    return false;
}

/* Nothing has been committed since the old note, so whom it names is complete as long as it is
 * intact. */
static void add_old(const struct controller *controller, const struct task *task,
                    struct znode_complete *note)
{
    const struct partition *partition = task->thinning->partition;
    const struct znode_complete *old = task->old;
    if (!old || old->state_version != task->thinning->led_before ||
        (old->is_of_controller &&
         (old->settings_zxid != task->settings_zxid || partition->leadership.isr.count != 1)))
        return;
    for (int32_t i = 0; i < old->replica_count; i++) {
        const struct znode_complete_replica *replica = &old->replicas[i];
        if (replica->broker_id != note->leader && !has(note, replica->broker_id) &&
            standing_may_be_complete(&controller->context, partition, replica))
            note->replicas[note->replica_count++] = *replica;
    }
}

static bool make_note(const struct controller *controller, struct arena *arena,
                      const struct task *task, struct znode_complete *ret_note)
{
    const struct thinning *thinning = task->thinning;
    const struct broker_node *member = context_find_broker(&controller->context, thinning->member);
    struct znode_complete note = {.leader = thinning->member,
                                  .leader_broker_epoch = member ? member->broker_epoch : 0,
                                  .state_version = thinning->led_after,
                                  .settings_zxid = task->settings_zxid,
                                  .is_of_controller = true};
    int32_t most = thinning->dropped_count + (task->old ? task->old->replica_count : 0);
    note.replicas = arena_new_array(arena, struct znode_complete_replica, most + 1);
    for (int32_t i = 0; i < thinning->dropped_count; i++)
        note.replicas[note.replica_count++] = thinning->dropped[i];
    add_old(controller, task, &note);
    *ret_note = note;
    return note.replica_count > 0;
}

static enum err find_thin(struct controller *controller, const struct thinnings *thinnings,
                          struct task *tasks, size_t *ret_count)
{
    SETTINGS settings = {.controller = controller, .wave = wave_new(controller)};
    size_t kept = 0;
    for (size_t i = 0; i < thinnings->count; i++) {
        const struct thinning *thinning = &thinnings->items[i];
        tasks[i] =
            (struct task){.thinning = thinning,
                          .asked = ask_min_isr(&settings, thinning->partition, thinning->member)};
    }
    enum err e = wave_run(settings.wave);
    for (size_t i = 0; !e && i < thinnings->count; i++)
        if (effective_min_isr(&settings, &tasks[i].asked, tasks[i].thinning->partition,
                              &tasks[i].settings_zxid) > 1)
            tasks[kept++] = tasks[i];
    *ret_count = kept;
    return e;
}

static const char *note_path(struct wave *wave, const struct task *task)
{
    const struct partition *partition = task->thinning->partition;
    return znode_complete_path(wave_arena(wave), slice_str(partition->topic->name), partition->id);
}

static enum err read_old(struct wave *wave, struct task *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wave_get(wave, note_path(wave, &tasks[i]), false);
    enum err e = wave_run(wave);
    for (size_t i = 0; !e && i < count; i++) {
        const struct wave_result *result = wave_result(wave, i);
        tasks[i].exists = result->error != ERR_NOT_FOUND;
        if (result->error)
            continue;
        tasks[i].old = arena_new_array(wave_arena(wave), struct znode_complete, 1);
        if (znode_complete_decode(wave_arena(wave), result->data, tasks[i].old))
            tasks[i].old = NULL;
    }
    return e;
}

/* A leader may withdraw a note of its own meanwhile: what does not stand there is made, what does
 * is replaced, whichever it turns out to be. */
static enum err write_notes(struct controller *controller, struct task *tasks, size_t count)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t left = count;
    enum err e = ERR_OK;
    for (int round = 0; !e && left > 0 && round < WRITE_ROUNDS_MAX; round++) {
        size_t again = 0;
        for (size_t i = 0; i < left; i++) {
            tasks[i].index = tasks[i].exists ? wave_guarded_set(wave, note_path(wave, &tasks[i]),
                                                                tasks[i].text, ZK_ANY_VERSION)
                                             : wave_guarded_create(wave, note_path(wave, &tasks[i]),
                                                                   tasks[i].text);
        }
        e = wave_run(wave);
        for (size_t i = 0; !e && i < left; i++) {
            enum err written = wave_result(wave, tasks[i].index)->error;
            const struct partition *partition = tasks[i].thinning->partition;
            trace_info("complete replicas noted topic=%s partition=%" PRId32 " isr=%" PRId32
                       " error=%s",
                       partition->topic->name, partition->id, tasks[i].thinning->member,
                       err_name(written));
            if (written == ERR_EXISTS || written == ERR_NOT_FOUND) {
                tasks[i].exists = written == ERR_EXISTS;
                tasks[again++] = tasks[i];
            }
        }
        left = again;
    }
    return e;
}

enum err thinnings_note(struct controller *controller, const struct thinnings *thinnings)
{
    if (thinnings->count == 0)
        return ERR_OK;
    OWNED(wave) struct wave *old = wave_new(controller);
    OWNED_MEM struct task *tasks = mem_new_array(struct task, thinnings->count);
    size_t count, kept = 0;
    enum err e = find_thin(controller, thinnings, tasks, &count);
    if (!e)
        e = read_old(old, tasks, count);
    for (size_t i = 0; !e && i < count; i++) {
        struct znode_complete note;
        if (!make_note(controller, wave_arena(old), &tasks[i], &note))
            continue;
        tasks[i].text = znode_complete_encode(wave_arena(old), &note);
        tasks[kept++] = tasks[i];
    }
    return e ? e : write_notes(controller, tasks, kept);
}
