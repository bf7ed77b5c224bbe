/* One block in use, one fetch under way at most, and the requests that wait for it. */
#include "broker/api/producer_ids.h"

#include "broker/base/thread.h"
#include "broker/base/trace.h"

#define LOW_PART 10 /* a tenth of the block left: ask for the next */

struct waiting_request {
    struct list_node node;
    struct request *request;
    void (*done)(struct request *request, enum err e, int64_t id);
};

struct producer_ids {
    struct broker *broker;

    struct lock lock; /* RANK_LEAF; guards all below */
    int64_t next, end;
    int64_t spare, spare_end; /* a block that came before the present one was used up */
    int32_t block_size;
    bool is_asking;
    struct list_node waiting;
};

struct producer_ids *producer_ids_new(struct broker *broker)
{
    struct producer_ids *ids = mem_new(struct producer_ids);
    ids->broker = broker;
    lock_init(&ids->lock, RANK_LEAF, "producer ids");
    list_init(&ids->waiting);
    return ids;
}

void producer_ids_free(struct producer_ids *ids)
{
    if (!ids)
        return;
    lock_done(&ids->lock);
    free(ids);
}

static bool take_one(struct producer_ids *ids, int64_t *ret_id)
{
    if (ids->next == ids->end) {
        ids->next = ids->spare;
        ids->end = ids->spare_end;
        ids->spare = ids->spare_end = 0;
    }
    if (ids->next == ids->end)
        return false;
    *ret_id = ids->next++;
    return true;
}

static void block_came(void *context, enum err e, int64_t first_id, int32_t size);

static void ask(struct producer_ids *ids)
{
    const struct cluster_functions *cluster = &ids->broker->cluster;
    cluster->allocate_producer_ids(cluster->cluster, block_came, ids);
}

/* Serve those who wait from the new block; where there is none they are told to try again. */
static void block_came(void *context, enum err e, int64_t first_id, int32_t size)
{
    struct producer_ids *ids = context;
    struct list_node ready;
    list_init(&ready);
    if (e)
        trace_warn("no block of producer ids: %s", err_sentence(e));

    lock_acquire(&ids->lock);
    ids->is_asking = false;
    if (!e) {
        ids->spare = first_id;
        ids->spare_end = first_id + size;
        ids->block_size = size;
    }
    for (struct list_node *node; (node = list_pop_front(&ids->waiting));)
        list_push_back(&ready, node);
    lock_release(&ids->lock);

    for (struct list_node *node; (node = list_pop_front(&ready));) {
        struct waiting_request *waiting = list_entry(node, struct waiting_request, node);
        struct request *request = waiting->request;
        void (*done)(struct request *, enum err, int64_t) = waiting->done;
        free(waiting);
        if (e)
            done(request, ERR_COORDINATOR_LOAD_IN_PROGRESS, -1);
        else
            producer_ids_next(ids, request, done); /* more may wait than one block has */
    }
}

void producer_ids_next(struct producer_ids *ids, struct request *request,
                       void (*done)(struct request *request, enum err e, int64_t id))
{
    int64_t id = -1;
    lock_acquire(&ids->lock);
    bool is_there = take_one(ids, &id);
    bool is_low =
        ids->spare == ids->spare_end && ids->end - ids->next <= ids->block_size / LOW_PART;
    bool must_ask = is_low && !ids->is_asking;
    ids->is_asking |= must_ask;
    if (!is_there) {
        struct waiting_request *waiting = mem_new(struct waiting_request);
        waiting->request = request;
        waiting->done = done;
        list_push_back(&ids->waiting, &waiting->node);
    }
    lock_release(&ids->lock);
    if (must_ask)
        ask(ids);
    if (is_there)
        done(request, ERR_OK, id);
}
