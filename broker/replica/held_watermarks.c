/* See held_watermarks.h. A partition is in the list at most once; what still holds it when it is
 * looked at puts it back. */
#include "broker/replica/held_watermarks.h"

#include "broker/replica/partition_internal.h"

struct held_watermarks {
    void (*look_at)(void *context, int64_t at_ms);
    void *context;

    struct lock lock; /* RANK_LEAF; guards down to the end, and every partition's `held` */
    struct list_node partitions; /* each with a reference */
    int64_t due_ms;              /* when the next look is wanted; INT64_MAX: never */
    bool is_looking;
};

struct held_watermarks *held_watermarks_new(void (*look_at)(void *context, int64_t at_ms),
                                            void *context)
{
    struct held_watermarks *held = mem_new(struct held_watermarks);
    held->look_at = look_at;
    held->context = context;
    held->due_ms = INT64_MAX;
    lock_init(&held->lock, RANK_LEAF, "held watermarks");
    list_init(&held->partitions);
    return held;
}

/* The next of them, whose reference is the caller's now. */
static struct partition *take_one(struct held_watermarks *held, struct list_node *from)
{
    LOCK_SCOPE(&held->lock);
    struct list_node *node = list_pop_front(from);
    return node ? list_entry(node, struct partition, held) : NULL;
}

void held_watermarks_free(struct held_watermarks *held)
{
    if (!held)
        return;
    for (struct partition *partition; (partition = take_one(held, &held->partitions));)
        partition_unref(partition);
    lock_done(&held->lock);
    free(held);
}

void held_watermarks_add(struct held_watermarks *held, struct partition *partition,
                         int64_t until_ms)
{
    lock_acquire(&held->lock);
    if (!list_is_linked(&partition->held)) {
        partition_ref(partition);
        list_push_back(&held->partitions, &partition->held);
    }
    bool is_earlier = until_ms < held->due_ms;
    if (is_earlier)
        held->due_ms = until_ms;
    bool must_tell = is_earlier && !held->is_looking && held->look_at;
    lock_release(&held->lock);
    if (must_tell)
        held->look_at(held->context, until_ms);
}

int64_t held_watermarks_look(struct held_watermarks *held)
{
    struct list_node now;
    list_init(&now);
    lock_acquire(&held->lock);
    held->is_looking = true;
    held->due_ms = INT64_MAX;
    for (struct list_node *node; (node = list_pop_front(&held->partitions));)
        list_push_back(&now, node);
    lock_release(&held->lock);

    for (struct partition *partition; (partition = take_one(held, &now));) {
        partition_look_at_watermark(partition);
        partition_unref(partition);
    }
    LOCK_SCOPE(&held->lock);
    held->is_looking = false;
    return held->due_ms;
}
