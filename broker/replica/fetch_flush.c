/* What an answer brought, on its way to the disk: the logs that flush.messages makes a follower
 * flush are synced side by side, not one after another on the fetcher's thread. Whichever ends last
 * sends word home. */
#include "broker/replica/fetcher_internal.h"

#include <stdatomic.h>
#include <stdio.h>

#include "broker/base/trace.h"

#define SENTENCE_BYTES 300

struct one_flush {
    struct log_flush_waiter waiter;
    struct fetch_flushes *all;
    struct partition *partition; /* a reference */
    int32_t leader_epoch;
    enum err error;
    char sentence[SENTENCE_BYTES]; /* of the error: it waits in the thread that synced, else */
};

struct fetch_flushes {
    struct fetch_source *source;
    struct one_flush *items;
    size_t count, capacity;
    _Atomic size_t open_count;
};

void fetch_flushes_add(struct fetch_flushes **flushes, struct followed *followed)
{
    if (!*flushes) {
        *flushes = mem_new(struct fetch_flushes);
        (*flushes)->source = followed->source;
    }
    struct fetch_flushes *all = *flushes;
    all->items = mem_grow(all->items, &all->capacity, all->count + 1, sizeof *all->items);
    partition_ref(followed->partition);
    all->items[all->count++] = (struct one_flush){
        .all = all, .partition = followed->partition, .leader_epoch = followed->leader_epoch};
}

/* --- they end --- */

/* Followed in another epoch meanwhile, it begins its fetches now; in the same one, it would be told
 * a position that a failed sync does not bear out. */
static void settle(struct fetcher *fetcher, const struct one_flush *one)
{
    map_remove(&fetcher->flushing, MAP_KEY(one->partition));
    struct followed *followed = map_get(&fetcher->followed, MAP_KEY(one->partition));
    if (!followed)
        return;
    followed_release(followed);
    if (one->error && followed->leader_epoch == one->leader_epoch)
        followed_fail(followed, one->sentence);
}

void fetcher_flushed(struct fetcher *fetcher, struct fetch_flushes *flushes)
{
    struct fetch_source *source = flushes->source;
    assert(source->is_flushing);
    source->is_flushing = false;
    for (size_t i = 0; i < flushes->count; i++) {
        settle(fetcher, &flushes->items[i]);
        partition_unref(flushes->items[i].partition);
    }
    free(flushes->items);
    free(flushes);
    fetch_source_run(source);
}

bool fetcher_is_flushing(const struct fetcher *fetcher)
{
    return fetcher->flushing.count > 0;
}

static void end_one(struct fetch_flushes *flushes)
{
    struct fetcher *fetcher = flushes->source->fetcher;
    if (atomic_fetch_sub(&flushes->open_count, 1) > 1)
        return;
    if (fetcher->settings.flushed)
        fetcher->settings.flushed(fetcher->settings.flushed_context, flushes);
    else
        fetcher_flushed(fetcher, flushes);
}

static void one_is_done(struct log_flush_waiter *waiter, enum err e)
{
    struct one_flush *one = CONTAINER_OF(waiter, struct one_flush, waiter);
    one->error = e;
    if (e)
        snprintf(one->sentence, sizeof one->sentence, "%s", err_sentence(e));
    end_one(one->all);
}

/* --- they begin --- */

static void begin_one(struct one_flush *one)
{
    struct log *log = partition_log(one->partition);
    if (!log) /* it has just lost its role */
        return;
    one->waiter.offset = log_end_offset(log);
    one->waiter.done = one_is_done;
    atomic_fetch_add(&one->all->open_count, 1);
    log_flush_begin(log, &one->waiter);
}

void fetch_flushes_begin(struct fetch_flushes *flushes)
{
    if (!flushes)
        return;
    struct fetch_source *source = flushes->source;
    source->is_flushing = true;
    atomic_store(&flushes->open_count, 1); /* ours, until all have begun */
    for (size_t i = 0; i < flushes->count; i++) {
        struct partition *partition = flushes->items[i].partition;
        map_put(&source->fetcher->flushing, MAP_KEY(partition), partition);
        followed_hold(map_get(&source->fetcher->followed, MAP_KEY(partition)));
    }
    for (size_t i = 0; i < flushes->count; i++)
        begin_one(&flushes->items[i]);
    end_one(flushes);
}
