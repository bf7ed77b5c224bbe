/* Requests about topics to the active controller. */
#include "tests/sim/world_internal.h"

struct client {
    struct arena *arena;
    int16_t *ret_error;
    int16_t (*error_of)(const void *response);
};

static void client_answered(void *context, const void *response)
{
    struct client *client = context;
    *client->ret_error = client->error_of(response);
    arena_free(client->arena);
}

static struct client *client_new(struct world_broker **ret_controller, struct world *world,
                                 int16_t (*error_of)(const void *), int16_t *ret_error)
{
    *ret_controller = world_controller(world);
    if (!*ret_controller)
        return NULL;
    struct arena *arena = arena_new();
    struct client *client = arena_alloc(arena, sizeof *client);
    *client = (struct client){arena, ret_error, error_of};
    *ret_error = WORLD_PENDING;
    return client;
}

static int16_t created_error(const void *response)
{
    return ((const struct create_topics_response *)response)->topics[0].error_code;
}

bool world_create_topic(struct world *world, const char *topic, int32_t partitions, int16_t factor,
                        int32_t timeout_ms, int16_t *ret_error)
{
    struct world_broker *broker;
    struct client *client = client_new(&broker, world, created_error, ret_error);
    if (!client)
        return false;
    world_topic(world, slice_str(topic));
    struct create_topics_request *request = arena_alloc(client->arena, sizeof *request);
    create_topics_request_init(request);
    request->timeout_ms = timeout_ms;
    request->topics_count = 1;
    request->topics = arena_alloc(client->arena, sizeof *request->topics);
    create_topics_request_creatable_topic_init(request->topics);
    request->topics->name = arena_copy(client->arena, slice_str(topic));
    request->topics->num_partitions = partitions;
    request->topics->replication_factor = factor;
    controller_create_topics(broker->controller, request, client->arena, client_answered, client);
    return true;
}

static int16_t deleted_error(const void *response)
{
    return ((const struct delete_topics_response *)response)->responses[0].error_code;
}

bool world_delete_topic(struct world *world, const char *topic, int16_t *ret_error)
{
    struct world_broker *broker;
    struct client *client = client_new(&broker, world, deleted_error, ret_error);
    if (!client)
        return false;
    struct delete_topics_request *request = arena_alloc(client->arena, sizeof *request);
    delete_topics_request_init(request);
    request->timeout_ms = 30000;
    request->topics_count = 1;
    request->topics = arena_alloc(client->arena, sizeof *request->topics);
    delete_topics_request_delete_topic_state_init(request->topics);
    request->topics->name = arena_copy(client->arena, slice_str(topic));
    controller_delete_topics(broker->controller, request, 6, client->arena, client_answered,
                             client);
    return true;
}

static int16_t grown_error(const void *response)
{
    return ((const struct create_partitions_response *)response)->results[0].error_code;
}

bool world_grow_topic(struct world *world, const char *topic, int32_t partitions,
                      int16_t *ret_error)
{
    struct world_broker *broker;
    struct client *client = client_new(&broker, world, grown_error, ret_error);
    if (!client)
        return false;
    struct create_partitions_request *request = arena_alloc(client->arena, sizeof *request);
    create_partitions_request_init(request);
    request->timeout_ms = 30000;
    request->topics_count = 1;
    request->topics = arena_alloc(client->arena, sizeof *request->topics);
    create_partitions_request_create_partitions_topic_init(request->topics);
    request->topics->name = arena_copy(client->arena, slice_str(topic));
    request->topics->count = partitions;
    request->topics->assignments_count = -1;
    controller_create_partitions(broker->controller, request, client->arena, client_answered,
                                 client);
    return true;
}
