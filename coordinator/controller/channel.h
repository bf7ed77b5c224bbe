/* The way to one broker: a queue of requests that are sent in order, several under way at a time,
 * each until it is answered or the broker is gone. After a failure everything unanswered is sent
 * again, in order, 100 ms later. A broker that comes back with another epoch gets a new channel, so
 * nothing of the old queue reaches it. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/list.h"
#include "broker/base/timers.h"
#include "coordinator/controller/context.h"

#include "wire/leader_and_isr.h"
#include "wire/stop_replica.h"
#include "wire/update_metadata.h"

struct controller;

#define CHANNEL_IN_FLIGHT_MAX 16
#define CHANNEL_RETRY_MS      100

/* Request bodies shared by several brokers' requests. */
struct rpc_body {
    struct arena *arena;
    int32_t refs;
};
struct rpc_body *rpc_body_new(void);
void rpc_body_unref(struct rpc_body *body);

struct rpc {
    struct list_node node;
    struct channel *channel;
    struct rpc_body *body;
    int16_t api_key, api_version;
    bool deletes, sent;
    union {
        struct leader_and_isr_request leader_and_isr;
        struct update_metadata_request update_metadata;
        struct stop_replica_request stop_replica;
    };
};

struct channel;

struct channel *channel_new(struct controller *controller, struct broker_node *broker,
                            const struct controller_endpoint *endpoint);
void channel_free(struct channel *channel); /* drops the queue */
/* Takes a reference to the body. */
struct rpc *channel_rpc(struct channel *channel, int16_t api_key, int16_t api_version,
                        struct rpc_body *body);
/* Takes the rpc, which is filled in by now. */
void channel_queue(struct rpc *rpc);
int32_t channel_queued(const struct channel *channel);

/* What the answers said that matters, on its way through the event queue. */
struct answer {
    struct slice topic; /* or by id where it is null */
    struct uuid topic_id;
    int32_t partition;
    int16_t error;
};
struct answers {
    struct arena *arena;
    int32_t broker_id;
    int64_t broker_epoch;
    int32_t controller_epoch;
    int16_t error; /* top level */
    struct answer *items;
    int32_t count;
};

/* Whose they are; NULL where they no longer count: they are of another reign, or the broker has
 * been away since. */
struct broker_node *answers_broker(struct controller *controller, const struct answers *answers);
