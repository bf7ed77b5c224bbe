/* See fetch_watch.h. */
#include "broker/replica/fetch_watch.h"

void fetch_watch_init(struct fetch_watch *watch, bool is_follower)
{
    *watch = (struct fetch_watch){.is_follower = is_follower};
    lock_init(&watch->lock, RANK_LEAF, "fetch watch");
    list_init(&watch->due);
}

void fetch_watch_done(struct fetch_watch *watch)
{
    assert(watch->found_count == 0);
    free(watch->taken);
    lock_done(&watch->lock);
}

void fetch_watch_set_reader(struct fetch_watch *watch, bool is_follower)
{
    LOCK_SCOPE(&watch->lock);
    watch->is_follower = is_follower;
}

/* --- what is due --- */

static void make_due(struct fetch_watch *watch, struct fetch_partition *item)
{
    assert_held(&watch->lock);
    if (list_is_linked(&item->due))
        return;
    list_push_back(&watch->due, &item->due);
    watch->due_count++;
}

void fetch_watch_add(struct fetch_watch *watch, struct fetch_partition *item)
{
    LOCK_SCOPE(&watch->lock);
    make_due(watch, item);
}

void fetch_watch_remove(struct fetch_watch *watch, struct fetch_partition *item)
{
    LOCK_SCOPE(&watch->lock);
    if (!list_is_linked(&item->due))
        return;
    list_remove(&item->due);
    watch->due_count--;
}

static int compare_turns(const void *a, const void *b)
{
    const struct fetch_partition *first = *(struct fetch_partition *const *)a,
                                 *second = *(struct fetch_partition *const *)b;
    return (first->turn > second->turn) - (first->turn < second->turn);
}

static bool is_in_turn(const struct fetch_watch *watch)
{
    for (size_t i = 1; i < watch->taken_count; i++)
        if (watch->taken[i - 1]->turn > watch->taken[i]->turn)
            return false;
    return true;
}

void fetch_watch_take(struct fetch_watch *watch)
{
    lock_acquire(&watch->lock);
    watch->has_news = false;
    watch->taken =
        mem_grow(watch->taken, &watch->taken_capacity, watch->due_count, sizeof *watch->taken);
    watch->taken_count = 0;
    for (struct list_node *node; (node = list_pop_front(&watch->due));)
        watch->taken[watch->taken_count++] = list_entry(node, struct fetch_partition, due);
    watch->due_count = 0;
    lock_release(&watch->lock);
    if (!is_in_turn(watch))
        qsort(watch->taken, watch->taken_count, sizeof *watch->taken, compare_turns);
}

/* --- movements --- */

/* The log end is nothing to a consumer, and who is in sync neither. */
static bool concerns(const struct fetch_watch *watch, enum movement movement)
{
    return watch->is_follower || (movement != MOVED_END && movement != MOVED_ISR);
}

/* There may be more to read now, or an error to tell. The rest is told with the next answer. */
static bool wakes(const struct fetch_watch *watch, enum movement movement)
{
    return movement == MOVED_ROLE || movement == (watch->is_follower ? MOVED_END : MOVED_WATERMARK);
}

static void moved(struct partition_watcher *watcher, enum movement movement)
{
    struct fetch_partition *item = CONTAINER_OF(watcher, struct fetch_partition, watcher);
    struct fetch_watch *watch = item->watch;
    lock_acquire(&watch->lock);
    if (concerns(watch, movement))
        make_due(watch, item);
    bool must_wake = wakes(watch, movement) && watch->is_asleep;
    if (must_wake)
        watch->is_asleep = false;
    else if (wakes(watch, movement))
        watch->has_news = true;
    lock_release(&watch->lock);
    if (must_wake)
        watch->wake(watch->owner); /* ours alone: nobody else wakes it now */
}

bool fetch_watch_sleep(struct fetch_watch *watch, void (*wake)(void *owner), void *owner)
{
    LOCK_SCOPE(&watch->lock);
    if (watch->has_news)
        return false;
    watch->wake = wake;
    watch->owner = owner;
    watch->is_asleep = true;
    return true;
}

bool fetch_watch_rouse(struct fetch_watch *watch)
{
    LOCK_SCOPE(&watch->lock);
    bool was_asleep = watch->is_asleep;
    watch->is_asleep = false;
    return was_asleep;
}

/* --- the partition behind --- */

void fetch_partition_lost(struct fetch_partition *item)
{
    if (!item->at)
        return;
    partition_unwatch(item->at, &item->watcher);
    partition_unref(TAKE(item->at));
    item->watch->found_count--;
}

void fetch_partition_found(struct fetch_partition *item, struct partition *partition)
{
    fetch_partition_lost(item);
    item->at = partition;
    item->watcher.moved = moved;
    item->watch->found_count++;
    partition_watch(partition, &item->watcher);
}
