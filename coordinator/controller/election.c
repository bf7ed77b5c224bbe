/* Who is controller: the race for /controller, the epoch that fences the losers, and giving up.
 *
 * Winning is one transaction: create /controller (ephemeral) and set /controller_epoch at the
 * version that was read. From then on every write checks that version, so a controller that was
 * replaced without knowing it can do no harm. It finds out through its own failing write, the watch
 * on /controller, or the loss of its session. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/controller_internal.h"

#define ELECTION_RETRY_MS 1000

/* ---- Resignation ---- */

static void channels_close(struct controller *controller)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&controller->context.brokers, &i));) {
        struct broker_node *broker = e->value;
        channel_free(broker->channel);
        broker->channel = NULL;
    }
}

/* No ZooKeeper writes: what we were allowed to write is over. */
void election_resign(struct controller *controller)
{
    if (controller->active)
        trace_info("controller resigned broker=%" PRId32 " controller_epoch=%" PRId32,
                   controller->settings.broker_id, controller->epoch);
    controller->active = false;
    timer_cancel(&controller->timers, &controller->rebalance_timer);
    batch_drop(controller);
    channels_close(controller);
    waits_cancel(controller);
    context_done(&controller->context);
    controller->epoch = 0;
    controller->epoch_zk_version = 0;
}

/* Reads /controller and arms the watch on it. */
static enum err read_owner(struct controller *controller)
{
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t get = wave_get(wave, "/controller", true);
    size_t exists = wave_exists(wave, "/controller", true);
    enum err e = wave_run(wave);
    if (e)
        return e;
    (void)exists; /* a read of an absent node arms nothing, the exists does */
    const struct wave_result *result = wave_result(wave, get);
    controller->active_id = -1;
    if (result->error == ERR_NOT_FOUND)
        return ERR_OK;
    if (result->error)
        return err_note(result->error, "read /controller");
    return codec_controller_decode(result->data, &controller->active_id);
}

enum err election_maybe_resign(struct controller *controller)
{
    bool was_active = controller->active;
    enum err e = read_owner(controller);
    if (e)
        return e;
    if (was_active && controller->active_id != controller->settings.broker_id)
        election_resign(controller);
    return ERR_OK;
}

enum err election_force_move(struct controller *controller)
{
    bool was_active = controller->active;
    enum err e = read_owner(controller);
    if (e)
        return e;
    if (!was_active)
        return ERR_OK;
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t delete = wave_guarded_delete(wave, "/controller");
    election_resign(controller);
    e = wave_run(wave);
    if (e)
        return e;
    controller->active_id = -1;
    e = wave_result(wave, delete)->error;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* ---- Election ---- */

static enum err read_epoch(struct controller *controller, int32_t *ret_epoch,
                           int32_t *ret_zk_version)
{
    for (;;) {
        OWNED(wave) struct wave *wave = wave_new(controller);
        size_t get = wave_get(wave, "/controller_epoch", false);
        enum err e = wave_run(wave);
        if (e)
            return e;
        const struct wave_result *result = wave_result(wave, get);
        if (!result->error) {
            *ret_zk_version = result->stat.zk_version;
            return codec_controller_epoch_decode(result->data, ret_epoch);
        }
        if (result->error != ERR_NOT_FOUND)
            return err_note(result->error, "read /controller_epoch");
        size_t create = wave_create(wave, "/controller_epoch", SLICE_LITERAL("0"));
        e = wave_run(wave);
        if (e)
            return e;
        if (!wave_result(wave, create)->error) {
            *ret_epoch = 0;
            *ret_zk_version = 0;
            return ERR_OK;
        }
        if (wave_result(wave, create)->error != ERR_EXISTS)
            return err_note(wave_result(wave, create)->error, "create /controller_epoch");
    }
}

/* The transaction failed; perhaps it is our own whose answer was lost. */
static enum err won_after_all(struct controller *controller, int32_t epoch)
{
    enum err e = read_owner(controller);
    if (e)
        return e;
    int32_t found = 0, zk_version = 0;
    e = read_epoch(controller, &found, &zk_version);
    if (e)
        return e;
    if (controller->active_id == -1) /* it has gone again, before a watch stood there */
        controller_enqueue(controller, "reelect", event_reelect, NULL);
    if (controller->active_id != controller->settings.broker_id || found != epoch)
        return err_note(ERR_CONTROLLER_FENCED, "broker %" PRId32 " was elected controller",
                        controller->active_id);
    controller->epoch_zk_version = zk_version;
    return ERR_OK;
}

static enum err take_office(struct controller *controller)
{
    int32_t epoch = 0, zk_version = 0;
    enum err e = read_epoch(controller, &epoch, &zk_version);
    if (e)
        return e;
    OWNED(wave) struct wave *wave = wave_new(controller);
    struct arena *arena = wave_arena(wave);
    epoch++;
    struct zk_op ops[] = {
        {.kind = ZK_OP_CREATE,
         .path = SLICE_LITERAL("/controller"),
         .data = codec_controller_encode(arena, controller->settings.broker_id,
                                         clock_wall_ms(controller->clock)),
         .flags = ZK_CREATE_EPHEMERAL},
        {.kind = ZK_OP_SET,
         .path = SLICE_LITERAL("/controller_epoch"),
         .data = slice_str(arena_printf(arena, "%" PRId32, epoch)),
         .zk_version = zk_version},
    };
    size_t multi = wave_multi(wave, ops, 2);
    e = wave_run(wave);
    if (e)
        return e;
    const struct wave_result *result = wave_result(wave, multi);
    if (result->error == ERR_EXISTS || result->error == ERR_ZK_BAD_VERSION)
        e = won_after_all(controller, epoch);
    else if (result->error)
        e = err_note(result->error, "write /controller");
    else
        controller->epoch_zk_version = wave_result_part(wave, multi, 1)->stat.zk_version;
    if (e)
        return e;
    controller->epoch = epoch;
    controller->active = true;
    controller->active_id = controller->settings.broker_id;
    trace_info("controller elected broker=%" PRId32 " controller_epoch=%" PRId32,
               controller->active_id, epoch);
    return ERR_OK;
}

static enum err elect(struct controller *controller)
{
    enum err e = read_owner(controller);
    if (e)
        return e;
    if (controller->active_id != -1 || timer_is_set(&controller->retry_timer))
        return ERR_OK;
    if (controller->active)
        election_resign(controller); /* it was deposed since it looked last */
    e = take_office(controller);
    if (!e)
        e = failover_run(controller);
    if (!e)
        return ERR_OK;
    if (err_ends_event(e)) {
        batch_drop(controller);
        election_resign(controller); /* before anyone is answered from what was half loaded */
        return e;
    }
    trace_error("controller could not take over: %s", err_sentence(e));
    batch_drop(controller);
    timer_set(&controller->timers, &controller->retry_timer,
              clock_mono_ms(controller->clock) + ELECTION_RETRY_MS);
    return election_force_move(controller);
}

/* ---- Events ---- */

static void retry_due(struct timer *timer)
{
    struct controller *controller = CONTAINER_OF(timer, struct controller, retry_timer);
    controller_enqueue(controller, "retry-election", event_reelect, NULL);
}

void election_init(struct controller *controller)
{
    controller->retry_timer.fire = retry_due;
}

enum err event_startup(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    return cancelled ? ERR_OK : elect(controller);
}

enum err event_reelect(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    if (cancelled)
        return ERR_OK;
    enum err e = election_maybe_resign(controller);
    return e ? e : elect(controller);
}

enum err event_controller_change(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    if (cancelled)
        return ERR_OK;
    enum err e = election_maybe_resign(controller);
    /* It may have gone before the watch stood again: no other event will tell. */
    return e || controller->active_id != -1 ? e : elect(controller);
}

enum err event_expire(struct controller *controller, void *context, bool cancelled)
{
    (void)context;
    if (cancelled)
        return ERR_OK;
    controller->session_lost = false;
    controller->active_id = -1;
    election_resign(controller);
    return ERR_OK;
}
