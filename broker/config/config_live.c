/* Readers load one pointer. The writer, under a lock, builds a new snapshot, publishes it, and puts
 * the old one on a list of retired ones, from which it goes when nobody can be reading it any more:
 * after a time that no request lives. That costs a few kilobytes a change and readers nothing. */
#include <stdatomic.h>
#include <stdlib.h>

#include "broker/base/list.h"
#include "broker/base/thread.h"
#include "broker/base/trace.h"
#include "broker/config/config_alter.h"
#include "broker/config/config_internal.h"
#include "broker/config/config_live.h"

#define RETIRED_LEAST_AGE_MS (60 * 1000)

struct retired {
    struct list_node node;
    const struct config *config;
    int64_t since_ms; /* monotonic */
};

struct watcher {
    void (*changed)(void *context, const struct config *old_config,
                    const struct config *new_config);
    void *context;
};

struct config_live {
    _Atomic(const struct config *) now;
    struct clock *clock; /* fixed */

    struct lock lock; /* RANK_LEAF; held by writers only, not while watchers run */
    struct list_node retired;
    int32_t retired_count;
    struct watcher watchers[CONFIG_WATCHERS_MAX];
    int32_t watchers_count;
};

struct config_live *config_live_new(const struct config *config, struct clock *clock)
{
    struct config_live *live = mem_new(struct config_live);
    live->clock = clock;
    lock_init(&live->lock, RANK_LEAF, "config_live");
    list_init(&live->retired);
    atomic_init(&live->now, config_ref(config));
    return live;
}

static void forget_first_retired(struct config_live *live)
{
    struct retired *retired = list_entry(list_pop_front(&live->retired), struct retired, node);
    config_unref(retired->config);
    free(retired);
    live->retired_count--;
}

void config_live_free(struct config_live *live)
{
    if (!live)
        return;
    while (!list_is_empty(&live->retired))
        forget_first_retired(live);
    config_unref(atomic_load(&live->now));
    lock_done(&live->lock);
    free(live);
}

const struct config *config_now(const struct config_live *live)
{
    return atomic_load_explicit(&((struct config_live *)live)->now, memory_order_acquire);
}

static void retire(struct config_live *live, const struct config *config)
{
    int64_t now_ms = clock_mono_ms(live->clock);
    while (!list_is_empty(&live->retired)) {
        const struct retired *oldest = list_entry(live->retired.next, struct retired, node);
        int64_t age_ms = now_ms - oldest->since_ms;
        bool too_many = live->retired_count >= SNAPSHOTS_RETIRED_MAX;
        if (age_ms < (too_many ? RETIRED_LEAST_AGE_MS : SNAPSHOT_GRACE_MS))
            break;
        forget_first_retired(live);
    }
    struct retired *retired = mem_new(struct retired);
    retired->config = config;
    retired->since_ms = now_ms;
    list_push_back(&live->retired, &retired->node);
    live->retired_count++;
}

/* Names of a layer that are tried together, on top of those that were taken before. */
struct tried {
    const struct config_entry *first;
    int32_t count;
};

/* What of the properties can be taken. A try builds a whole snapshot, so all are tried at once, and
 * only where that fails each half by itself: a bad one costs as many tries as halving takes to find
 * it, a good layer one, however long it is. */
static void take_good_ones(const struct config *base, enum config_target target, struct tried tried,
                           struct config_map *ret_good)
{
    int32_t taken = ret_good->count;
    for (int32_t i = 0; i < tried.count; i++)
        config_map_set(ret_good, tried.first[i].name, tried.first[i].value);
    if (!tried.count || !broker_config_check(base, target, ret_good))
        return;
    if (tried.count == 1)
        trace_error("a dynamic setting cannot be applied and is left out name=%s reason=\"%s\"",
                    tried.first->name, err_sentence(ERR_INVALID_REQUEST));
    config_map_cut(ret_good, taken); /* names are distinct: this undoes the try */
    if (tried.count == 1)
        return;
    int32_t half = tried.count / 2;
    take_good_ones(base, target, (struct tried){tried.first, half}, ret_good);
    take_good_ones(base, target, (struct tried){tried.first + half, tried.count - half}, ret_good);
}

/* Without what this broker cannot change while it runs: a snapshot that named it would not be true.
 * A JVM broker of the same cluster may have stored it. */
static void copy_live_ones(const struct config_map *properties, struct config_map *ret_live)
{
    for (int32_t i = 0; properties && i < properties->count; i++) {
        const struct config_entry *entry = &properties->entries[i];
        const struct config_key *key = config_key_find(entry->name);
        if (key && (key->flags & KEY_AT_START))
            trace_warn("a dynamic setting has no effect on this broker name=%s", entry->name);
        else
            config_map_set(ret_live, entry->name, entry->value);
    }
}

/* The snapshot with the layer replaced by what is good of `properties`; NULL if that changes
 * nothing. */
static struct config *build_next(const struct config *base, enum dynamic_layer layer,
                                 const struct config_map *properties)
{
    bool is_broker = layer == DYNAMIC_BROKER;
    int place = is_broker ? LAYER_DYNAMIC_BROKER : LAYER_DYNAMIC_DEFAULT;
    const struct config_inside *inside = base->inside;
    struct config_problems problems = {0};
    struct config_map live = {0}, good = {0};
    struct config *next = NULL;
    copy_live_ones(properties, &live);
    struct tried all = {live.entries, live.count};
    take_good_ones(base, is_broker ? TARGET_BROKER : TARGET_BROKER_DEFAULT, all, &good);
    if (!config_map_equal(&good, &inside->layers[place])) {
        const struct config_map *layers[LAYERS_COUNT];
        for (int i = 0; i < LAYERS_COUNT; i++)
            layers[i] = &inside->layers[i];
        layers[place] = &good;
        next = config_build(inside->file_name, layers, &problems);
        if (!next)
            trace_error("dynamic settings cannot be applied reason=\"%s\"", problems.first_error);
    }
    config_problems_done(&problems);
    config_map_done(&live);
    config_map_done(&good);
    return next;
}

void config_live_apply(struct config_live *live, enum dynamic_layer layer,
                       const struct config_map *properties)
{
    lock_acquire(&live->lock);
    const struct config *old = atomic_load(&live->now);
    const struct config *next = build_next(old, layer, properties);
    if (next) {
        config_ref(old);
        config_ref(next);
        atomic_store_explicit(&live->now, next, memory_order_release);
        retire(live, old);
    }
    lock_release(&live->lock);
    for (int32_t i = 0; next && i < live->watchers_count; i++)
        live->watchers[i].changed(live->watchers[i].context, old, next);
    if (next) {
        config_unref(old);
        config_unref(next);
    }
}

void config_live_watch(struct config_live *live,
                       void (*changed)(void *context, const struct config *old_config,
                                       const struct config *new_config),
                       void *context)
{
    LOCK_SCOPE(&live->lock);
    assert(live->watchers_count < CONFIG_WATCHERS_MAX);
    live->watchers[live->watchers_count++] = (struct watcher){changed, context};
}
