/* A whole broker for tests of handlers, as far as handlers can see: the replica layer over a real
 * log (replica_fixture), the request layer of tests/fake, the default configuration with a few
 * lines of the test's own, and a cluster that does what the test says. */
#pragma once

#include "replica_fixture.h"

#include "broker/api/handlers.h"
#include "broker/api/producer_ids.h"
#include "broker/wire/api_key.h"
#include "tests/fake/fake_request.h"
#include "wire/fetch.h"
#include "wire/produce.h"

struct api {
    struct replicas *r;
    struct broker broker;
    struct fake_loop *loop;
    struct arena *arena; /* of requests, until the end of the test */
    struct topic_facts facts;

    /* What the fields of requests are; the test changes them. */
    const char *transactional_id;
    int32_t produce_timeout_ms;
    struct fetch_request fetch; /* all but its topics */

    /* The cluster: what it was asked for, and what it says. */
    struct slice created[8];
    int32_t created_count;
    enum err create_error;
    void (*create_done)(void *context);
    void *create_context;
    void (*block_came)(void *context, enum err e, int64_t first_id, int32_t size);
    void *block_context;
    int32_t blocks_asked;
};

int api_setup(void **state);
int api_teardown(void **state);
/* Other settings than the defaults: lines of server.properties. */
void api_configure(struct api *api, const char *lines);

/* This broker leads a partition of a topic with id_of(1), alone, in leader epoch 3. */
#define EPOCH 3
struct partition *led_topic(struct api *api, const char *topic, int32_t partition);
/* With followers 2 and 3, the first `in_sync` of three in the ISR. */
struct partition *replicated_topic(struct api *api, const char *topic, int32_t in_sync);
/* A follower's fetch, as far as the leader's state goes. */
void follower_at(struct partition *partition, int32_t broker_id, int64_t offset);
/* Broker 2 leads from the next epoch on. */
void lose_leadership(struct api *api, const char *topic);

/* --- produce --- */

struct sent {
    const char *topic;
    int32_t partition;
    struct batch_spec spec;
    struct slice raw; /* instead of the batch of spec */
};
struct fake_call *produce(struct api *api, int16_t api_version, int16_t acks,
                          const struct sent *sent, int32_t count);
/* The one partition of an answer to one. */
const struct produce_response_partition_produce_response *produced(const struct fake_call *call);

/* --- fetch --- */

struct asked {
    const char *topic;
    struct uuid id; /* version 13 and above */
    int32_t partition;
    int64_t offset;
    int32_t max_bytes;    /* 0: a megabyte */
    int32_t leader_epoch; /* 0: not checked, here and below */
    int32_t last_epoch;
};
struct fake_call *fetch(struct api *api, int16_t api_version, const struct asked *asked,
                        int32_t count);
const struct fetch_response_partition_data *fetched(const struct fake_call *call);
const struct fetch_response_partition_data *fetched_at(const struct fake_call *call, int32_t topic,
                                                       int32_t partition);

/* Whole batches of format 2 in what was fetched. */
struct records_seen {
    int32_t batches;
    int64_t records, first_offset, next_offset; /* -1: none */
};
struct records_seen seen_in(const struct fetch_response_partition_data *data);
