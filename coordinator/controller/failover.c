/* A new controller takes over: it reads the whole cluster in a few waves, tells every broker who is
 * there, chooses leaders for what has none, then tells what each replica is. The order is what
 * brokers rely on: the list of brokers comes before any LeaderAndIsr (trap T11), and replicas that
 * exist are told even if nothing changed (trap T24). Leaders come before all else that is written,
 * as clients wait for them; the JVM controller first writes the departed out of every ISR, which
 * is three times as many znodes where a broker of three has died. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "coordinator/controller/codec.h"
#include "coordinator/controller/reassignment.h"

#define IBP_FEATURES    IBP_LEVEL(2, 7, 0, 0)
#define IBP_FEATURES_V2 IBP_LEVEL(3, 3, 0, 0)

/* ---- /feature ---- */

/* Enabled and empty, whatever stood there: a JVM broker exits at a finalized feature it does not
 * know (trap T4). A ZooKeeper-mode broker supports none. */
enum err features_enable(struct controller *controller)
{
    bool enabled = controller->ibp_level >= IBP_FEATURES;
    int32_t version = controller->ibp_level >= IBP_FEATURES_V2 ? 2 : 1;
    OWNED(wave) struct wave *wave = wave_new(controller);
    size_t get = wave_get(wave, "/feature", false);
    enum err e = wave_run(wave);
    if (e)
        return e;
    struct slice text = codec_feature_encode(wave_arena(wave), version, enabled);
    const struct wave_result *found = wave_result(wave, get);
    if (found->error == ERR_NOT_FOUND) {
        wave_create(wave, "/feature", text);
        return wave_run(wave);
    }
    if (found->error)
        return err_note(found->error, "read /feature");
    int32_t found_version;
    bool found_enabled, found_empty;
    e = codec_feature_decode(found->data, &found_version, &found_enabled, &found_empty);
    if (e)
        return e;
    if (found_version == version && found_enabled == enabled && found_empty)
        return ERR_OK;
    wave_set(wave, "/feature", text, ZK_ANY_VERSION);
    return wave_run(wave);
}

/* ---- The whole ---- */

static enum err load(struct controller *controller)
{
    enum err e = notifications_clear(controller);
    if (!e)
        e = brokers_load(controller);
    if (!e)
        e = topics_load(controller);
    return e;
}

/* A broker that started while there was no controller knows nothing yet. Were it told first of what
 * is elected now, it would name topics without their other partitions, which clients believe: some
 * break on it. So everybody is told everything, while the elections are written. */
static enum err start_machines(struct controller *controller)
{
    brokers_tell_everything(controller);
    enum err e = partition_machine_start(controller);
    bool elected;
    if (!e)
        e = partitions_elect_waiting(controller, &elected);
    return e ? e : replica_machine_start(controller);
}

enum err failover_run(struct controller *controller)
{
    int64_t began_us = clock_mono_us(controller->clock);
    enum err e = features_enable(controller);
    if (!e)
        e = load(controller);
    if (!e)
        e = deletion_load(controller);
    if (!e)
        e = start_machines(controller);
    if (!e)
        e = reassignments_resume(controller, NULL);
    if (!e)
        e = reassignment_run_legacy(controller);
    if (!e)
        e = deletion_resume(controller);
    if (!e)
        e = preferred_run_znode(controller);
    if (e)
        return err_wrap(e, "take over as controller");
    preferred_start_timer(controller);
    trace_info("controller took over controller_epoch=%" PRId32 " brokers=%" PRId32
               " topics=%zu partitions=%" PRId32 " took_ms=%" PRId64,
               controller->epoch, controller->context.registered_count,
               controller->context.topics.count, controller->context.partition_count,
               (clock_mono_us(controller->clock) - began_us) / 1000);
    return ERR_OK;
}
