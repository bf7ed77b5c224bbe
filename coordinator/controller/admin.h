/* A request of a client or broker on its way through the event queue. It lives in the request's
 * arena. */
#pragma once

#include "broker/wire/topic_name.h"
#include "coordinator/controller/controller_internal.h"

struct patience;

struct call {
    const void *request;
    struct arena *arena;
    int16_t api_version;
    controller_done_fn *done;
    void *context;
    const struct controller_assignable *brokers; /* auto-creation */
    int32_t broker_count;
    bool is_auto;
    struct patience *patience; /* NULL: whoever asked waits for as long as it takes */
};

static inline struct call *call_new(const void *request, int16_t api_version, struct arena *arena,
                                    controller_done_fn *done, void *context)
{
    struct call *call = arena_alloc(arena, sizeof *call);
    *call = (struct call){.request = request,
                          .arena = arena,
                          .api_version = api_version,
                          .done = done,
                          .context = context};
    return call;
}

/* admin_patience.c: a call whose client is answered REQUEST_TIMED_OUT when its time is up before
 * the event has come to its end. The event has a copy of the request, encoded in `copy_version` of
 * `message`; `late` makes the answer, in the call's arena. */
typedef const void *call_late_fn(const struct call *call);
struct call_kind {
    const struct wire_message *message;
    int16_t copy_version;
    call_late_fn *late;
};
struct call *call_new_patient(struct controller *controller, const struct call_kind *kind,
                              const void *request, int32_t timeout_ms, int16_t api_version,
                              struct arena *arena, controller_done_fn *done, void *context);
/* ZooKeeper has done its part; how long to wait for brokers is said elsewhere. */
void call_is_written(struct call *call);

/* The sentence for a client, in the arena. */
static inline struct slice say(struct arena *arena, enum err e)
{
    return arena_copy(arena, slice_str(err_sentence(e)));
}

/* admin_wait.c: answer when this broker's metadata cache shows leaders for the topics (or no longer
 * shows the topics), or at the deadline. The entries of the response that belong to what is not
 * ready are set by `late`. */
struct wait_topic {
    struct slice name;
    int32_t index;      /* of the response's entry */
    int32_t partitions; /* at least so many must be there; 0: one */
    bool is_election;   /* one partition must be known to be led in this epoch or a later one */
    int32_t elected_partition, elected_epoch;
    bool ready;
};
struct wait {
    struct list_node node;
    struct timer timer;
    struct controller *controller;
    struct call *call;
    void *response;
    void (*late)(void *response, int32_t index);
    struct wait_topic *topics;
    int32_t topic_count;
    bool for_deletion;
};
/* Answers at once where nothing is to be waited for or timeout_ms <= 0. */
void wait_begin(struct controller *controller, struct call *call, void *response,
                void (*late)(void *response, int32_t index), struct wait_topic *topics,
                int32_t topic_count, bool for_deletion, int32_t timeout_ms);

/* A topic's assignment is one znode, and ZooKeeper takes no more than 1 MiB (jute.maxbuffer): no
 * larger topic could be written. */
#define TOPIC_PARTITIONS_MAX 100000

/* assign.c */
struct assign_broker {
    int32_t id;
    struct slice rack;
};
/* Kafka's algorithm. start < 0: random. ret: one list for each partition, in the arena.
 * Errors: INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR; UNKNOWN_SERVER_ERROR, racks are known of
 * some brokers only. */
MUST_USE enum err assign_replicas(struct controller *controller, struct arena *arena,
                                  const struct assign_broker *brokers, int32_t broker_count,
                                  int32_t partitions, int32_t replication_factor, int32_t start,
                                  int32_t first_partition, struct ids **ret);
/* Live brokers of the context by id, in the arena. */
struct assign_broker *assign_live_brokers(struct controller *controller, struct arena *arena,
                                          int32_t *ret_count);

/* topic_name.c */
bool topic_names_collide(struct slice a, struct slice b);
