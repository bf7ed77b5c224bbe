/* Kafka's assignment of replicas to brokers: leaders go round, each further round shifts the
 * followers by one more; with racks the brokers are dealt out rack by rack and a partition's
 * replicas avoid a rack twice. */
#include "coordinator/controller/admin.h"

static int compare_ids(const void *a, const void *b)
{
    const struct assign_broker *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int compare_racks(const void *a, const void *b)
{
    const struct assign_broker *x = a, *y = b;
    int order = slice_compare(x->rack, y->rack);
    return order ? order : compare_ids(a, b);
}

struct assign_broker *assign_live_brokers(struct controller *controller, struct arena *arena,
                                          int32_t *ret_count)
{
    size_t count;
    OWNED_MEM struct broker_node **all = context_registered(&controller->context, &count);
    struct assign_broker *brokers = arena_new_array(arena, struct assign_broker, count + 1);
    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (broker_is_live(all[i]))
            brokers[(*ret_count)++] = (struct assign_broker){
                .id = all[i]->id,
                .rack = all[i]->rack ? arena_copy(arena, slice_str(all[i]->rack)) : SLICE_NULL};
    }
    return brokers;
}

struct deal {
    const struct assign_broker *brokers; /* by id, or alternating between racks */
    int32_t count, racks;                /* racks 0: not rack-aware */
    int32_t start, shift;
};

static int32_t follower_index(const struct deal *deal, int32_t first, int64_t shift, int64_t j)
{
    int64_t step = 1 + (shift + j) % (deal->count - 1);
    return (int32_t)((first + step) % deal->count);
}

static bool rack_used(const struct deal *deal, const struct ids *replicas, struct slice rack)
{
    for (int32_t i = 0; i < deal->count; i++) {
        if (slice_equal(deal->brokers[i].rack, rack) && ids_contains(replicas, deal->brokers[i].id))
            return true;
    }
    return false;
}

static int32_t racks_used(const struct deal *deal, const struct ids *replicas)
{
    int32_t used = 0;
    for (int32_t i = 0; i < deal->count; i++) {
        bool first_of_rack = true;
        for (int32_t k = 0; k < i; k++)
            first_of_rack &= !slice_equal(deal->brokers[k].rack, deal->brokers[i].rack);
        used += first_of_rack && rack_used(deal, replicas, deal->brokers[i].rack);
    }
    return used;
}

static void deal_followers(const struct deal *deal, int32_t first, int32_t replication_factor,
                           struct ids *replicas)
{
    int64_t k = 0;
    while (replicas->count < replication_factor) {
        int64_t shift = deal->racks ? (int64_t)deal->shift * deal->racks : deal->shift;
        const struct assign_broker *broker =
            &deal->brokers[follower_index(deal, first, shift, k++)];
        if (deal->racks) {
            bool racks_left = racks_used(deal, replicas) < deal->racks;
            bool brokers_left = replicas->count < deal->count;
            if ((racks_left && rack_used(deal, replicas, broker->rack)) ||
                (brokers_left && ids_contains(replicas, broker->id)))
                continue;
        }
        replicas->ids[replicas->count++] = broker->id;
    }
}

/* One broker of each rack in turn, racks by name, brokers by id. */
static struct assign_broker *alternate(struct arena *arena, const struct assign_broker *brokers,
                                       int32_t count, int32_t *ret_racks)
{
    struct assign_broker *sorted = arena_new_array(arena, struct assign_broker, count);
    struct assign_broker *result = arena_new_array(arena, struct assign_broker, count);
    bool *taken = arena_new_array(arena, bool, count);
    memcpy(sorted, brokers, (size_t)count * sizeof *brokers);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_racks);
    *ret_racks = 0;
    for (int32_t i = 0; i < count; i++)
        *ret_racks += i == 0 || !slice_equal(sorted[i].rack, sorted[i - 1].rack);
    for (int32_t filled = 0; filled < count;) {
        struct slice last = SLICE_NULL;
        for (int32_t i = 0; i < count; i++) {
            if (taken[i] || (!slice_is_null(last) && slice_equal(sorted[i].rack, last)))
                continue;
            taken[i] = true;
            last = sorted[i].rack;
            result[filled++] = sorted[i];
        }
    }
    return result;
}

static enum err check(const struct assign_broker *brokers, int32_t broker_count, int32_t partitions,
                      int32_t replication_factor, bool *ret_racks)
{
    int32_t with_rack = 0;
    for (int32_t i = 0; i < broker_count; i++)
        with_rack += !slice_is_null(brokers[i].rack);
    if (partitions <= 0)
        return err_note(ERR_INVALID_PARTITIONS, "Number of partitions must be larger than 0.");
    if (replication_factor <= 0)
        return err_note(ERR_INVALID_REPLICATION_FACTOR,
                        "Replication factor must be larger than 0.");
    if (replication_factor > broker_count)
        return err_note(ERR_INVALID_REPLICATION_FACTOR,
                        "Replication factor: %d larger than available brokers: %d.",
                        replication_factor, broker_count);
    if (with_rack > 0 && with_rack < broker_count)
        return err_note(ERR_UNKNOWN_SERVER_ERROR,
                        "Not all brokers have rack information. Add --disable-rack-aware in "
                        "command line to make replica assignment without rack information.");
    *ret_racks = with_rack > 0;
    return ERR_OK;
}

enum err assign_replicas(struct controller *controller, struct arena *arena,
                         const struct assign_broker *brokers, int32_t broker_count,
                         int32_t partitions, int32_t replication_factor, int32_t start,
                         int32_t first_partition, struct ids **ret)
{
    bool racks = false;
    enum err e = check(brokers, broker_count, partitions, replication_factor, &racks);
    if (e)
        return e;
    struct deal deal = {.count = broker_count, .start = start, .shift = start};
    struct assign_broker *sorted = arena_new_array(arena, struct assign_broker, broker_count);
    memcpy(sorted, brokers, (size_t)broker_count * sizeof *brokers);
    qsort(sorted, (size_t)broker_count, sizeof *sorted, compare_ids);
    deal.brokers = racks ? alternate(arena, sorted, broker_count, &deal.racks) : sorted;
    if (start < 0) {
        deal.start = (int32_t)controller_random(controller, (uint32_t)broker_count);
        deal.shift = (int32_t)controller_random(controller, (uint32_t)broker_count);
    }
    struct ids *lists = arena_new_array(arena, struct ids, partitions);
    for (int32_t i = 0; i < partitions; i++) {
        int32_t p = first_partition + i;
        if (p > 0 && p % broker_count == 0)
            deal.shift++;
        int32_t first = (int32_t)(((int64_t)p + deal.start) % broker_count);
        lists[i].ids = arena_new_array(arena, int32_t, replication_factor);
        lists[i].ids[lists[i].count++] = deal.brokers[first].id;
        deal_followers(&deal, first, replication_factor, &lists[i]);
    }
    *ret = lists;
    return ERR_OK;
}
