/* See clients.h. A record is eight bytes, a number that no other record has. */
#include "tests/sim/clients.h"

#include <inttypes.h>

#include "broker/api/request.h"
#include "broker/record/build.h"
#include "tests/sim/calls.h"
#include "tests/sim/promises.h"
#include "wire/api_key.h"
#include "wire/produce.h"

#define PRODUCERS      6
#define BATCH_MAX      3
#define VERSION        11
#define TIMEOUT_MS     3000
#define ACKS_1_ONE_IN  10
#define PARTITION_MOST 4 /* most records go to these: their logs shall grow */

struct producer {
    struct cluster *cluster;
    bool is_waiting;
    int32_t topic, partition;
    int16_t acks;
    int64_t first_id;
    int32_t count;
};

struct clients {
    struct producer producers[PRODUCERS];
    int64_t next_id, refused;
};

struct clients *clients_new(struct cluster *cluster)
{
    struct clients *clients = mem_new(struct clients);
    clients->next_id = 1;
    for (int32_t i = 0; i < PRODUCERS; i++)
        clients->producers[i].cluster = cluster;
    return clients;
}

void clients_free(struct clients *clients)
{
    free(clients);
}

int64_t clients_refused(const struct clients *clients)
{
    return clients->refused;
}

static void answered(void *context, enum err e, const void *message)
{
    struct producer *producer = context;
    struct cluster *cluster = producer->cluster;
    const struct produce_response *response = message;
    producer->is_waiting = false;
    if (e || response->responses_count != 1 ||
        response->responses->partition_responses_count != 1) {
        cluster->clients->refused++;
        return; /* written or not, nobody knows */
    }
    const struct produce_response_partition_produce_response *answer =
        response->responses->partition_responses;
    if (answer->error_code) {
        cluster->clients->refused++;
        return;
    }
    for (int32_t i = 0; producer->acks == ACKS_ALL && i < producer->count; i++)
        promises_acknowledged(cluster, producer->topic, producer->partition,
                              answer->base_offset + i, producer->first_id + i);
}

static void put_records(const struct producer *producer, struct buf *ret)
{
    struct batch_builder builder;
    batch_builder_init(&builder, &BATCH_OPTIONS_DEFAULT, ret);
    for (int32_t i = 0; i < producer->count; i++) {
        uint8_t value[8];
        put_be64(value, (uint64_t)(producer->first_id + i));
        batch_builder_add(&builder, i, 1000, SLICE_NULL, slice_of(value, sizeof value), SLICE_NULL);
    }
    enum err e = batch_builder_finish(&builder);
    assert(!e);
    (void)e;
    batch_builder_done(&builder);
}

static void send(struct producer *producer, int32_t to)
{
    struct cluster *cluster = producer->cluster;
    struct buf records = {0};
    struct produce_request request;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data partition;
    put_records(producer, &records);
    produce_request_init(&request);
    produce_request_topic_produce_data_init(&topic);
    produce_request_partition_produce_data_init(&partition);
    request.acks = producer->acks;
    request.timeout_ms = TIMEOUT_MS;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    topic.name = slice_str(cluster->world->topics[producer->topic]);
    topic.partition_data = &partition;
    topic.partition_data_count = 1;
    partition.index = producer->partition;
    partition.records.bytes = buf_slice(&records);
    producer->is_waiting =
        !call_send(cluster, CALLER_CLIENT, to, API_PRODUCE, VERSION, &request, answered, producer);
    buf_done(&records);
}

void clients_step(struct cluster *cluster)
{
    struct world *world = cluster->world;
    struct clients *clients = cluster->clients;
    struct producer *producer = &clients->producers[world_random(world, PRODUCERS)];
    if (producer->is_waiting)
        return;
    producer->topic = (int32_t)world_random(world, WORLD_TOPICS_MAX);
    producer->partition = (int32_t)world_random(world, PARTITION_MOST);
    if (!world->topics[producer->topic][0])
        return;
    int32_t leader = cluster_guess_leader(cluster, producer->topic, producer->partition);
    if (leader < 0)
        return;
    producer->acks = world_random(world, ACKS_1_ONE_IN) ? ACKS_ALL : ACKS_LEADER;
    producer->count = 1 + (int32_t)world_random(world, BATCH_MAX);
    producer->first_id = clients->next_id;
    clients->next_id += producer->count;
    send(producer, leader);
}
