/* The set of live brokers: a sorted array, replaced as a whole. */
#include "broker/replica/live_brokers.h"

#include <string.h>

#include "broker/base/mem.h"
#include "broker/base/thread.h"

struct live_brokers {
    struct lock lock; /* RANK_LEAF; guards down to the end */
    int32_t *ids;
    int32_t count;
};

struct live_brokers *live_brokers_new(void)
{
    struct live_brokers *live = mem_new(struct live_brokers);
    lock_init(&live->lock, RANK_LEAF, "live brokers");
    return live;
}

void live_brokers_free(struct live_brokers *live)
{
    if (!live)
        return;
    lock_done(&live->lock);
    free(live->ids);
    free(live);
}

void live_brokers_set(struct live_brokers *live, const int32_t *ids, int32_t count)
{
    int32_t *copy = mem_new_array(int32_t, (size_t)count + 1);
    if (count)
        memcpy(copy, ids, (size_t)count * sizeof *ids);
    lock_acquire(&live->lock);
    int32_t *before = live->ids;
    live->ids = copy;
    live->count = count;
    lock_release(&live->lock);
    free(before);
}

bool live_brokers_has(const struct live_brokers *live, int32_t id)
{
    struct live_brokers *mutable =
        (struct live_brokers *)live; /* the lock is no part of the value */
    LOCK_SCOPE(&mutable->lock);
    int32_t low = 0, high = live->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (live->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < live->count && live->ids[low] == id;
}
