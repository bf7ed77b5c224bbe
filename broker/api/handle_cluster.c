/* Small questions about the cluster and this broker: ApiVersions (KIP-35, KIP-511, KIP-584),
 * DescribeCluster (KIP-700). */
#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "wire/api_versions.h"
#include "wire/describe_cluster.h"

/* --- ApiVersions --- */

static bool is_alphanumeric(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static bool is_software_word(struct slice word)
{
    if (word.size == 0 || !is_alphanumeric(word.data[0]) ||
        !is_alphanumeric(word.data[word.size - 1]))
        return false;
    for (size_t i = 0; i < word.size; i++)
        if (!is_alphanumeric(word.data[i]) && word.data[i] != '-' && word.data[i] != '.')
            return false;
    return true;
}

static void list_apis(struct request *request, struct api_versions_response *response)
{
    const struct broker *broker = request->broker;
    response->api_keys_count = broker->apis_count;
    response->api_keys = arena_new_array(request->arena, struct api_versions_response_api_version,
                                         broker->apis_count + 1);
    for (int32_t i = 0; i < broker->apis_count; i++) {
        struct api_versions_response_api_version *to = &response->api_keys[i];
        api_versions_response_api_version_init(to);
        to->api_key = broker->apis[i].api_key;
        to->min_version = broker->apis[i].min_version;
        to->max_version = broker->apis[i].max_version;
    }
}

void handle_api_versions(struct request *request)
{
    const struct api_versions_request *message = request->message;
    struct api_versions_response response;
    api_versions_response_init(&response);
    if (request->api_version >= 3 && !(is_software_word(message->client_software_name) &&
                                       is_software_word(message->client_software_version))) {
        response.error_code = err_wire_code(ERR_INVALID_REQUEST);
    } else {
        /* No features: in ZooKeeper mode a 3.9 broker supports none, not even metadata.version. */
        list_apis(request, &response);
        response.finalized_features_epoch = request->broker->finalized_features_epoch;
    }
    request_answer(request, &response);
}

/* --- DescribeCluster --- */

enum endpoint_type { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

/* All of a cluster's operations, as bits by AclOperation: what a client without restrictions may
 * do. */
#define EVERY_CLUSTER_OPERATION                                                                    \
    (1 << 5 /* create */ | 1 << 7 /* alter */ | 1 << 8 /* describe */ |                            \
     1 << 9 /* cluster action */ | 1 << 10 /* describe configs */ | 1 << 11 /* alter configs */ |  \
     1 << 12 /* idempotent write */)

static enum err check_endpoint_type(const struct request *request)
{
    const struct describe_cluster_request *message = request->message;
    if (message->endpoint_type == ENDPOINT_BROKERS)
        return ERR_OK;
    if (request->api_version == 0)
        return err_note(ERR_INVALID_REQUEST, "Unsupported endpoint type %d",
                        message->endpoint_type);
    if (message->endpoint_type == ENDPOINT_CONTROLLERS)
        return err_note(ERR_MISMATCHED_ENDPOINT_TYPE,
                        "The request was sent to an endpoint of type BROKER, but we wanted an "
                        "endpoint of type CONTROLLER");
    return err_note(ERR_UNSUPPORTED_ENDPOINT_TYPE, "Unsupported endpoint type %d",
                    message->endpoint_type);
}

static void list_brokers(struct request *request, struct describe_cluster_response *response)
{
    struct metadata_cache *cache = request->broker->metadata_cache;
    struct arena *arena = request->arena;
    metadata_cache_lock(cache);
    int32_t count;
    const struct broker_node *const *nodes = metadata_brokers(cache, &count);
    response->brokers =
        arena_new_array(arena, struct describe_cluster_response_describe_cluster_broker, count + 1);
    for (int32_t i = 0; i < count; i++) {
        const struct broker_endpoint *endpoint = broker_node_endpoint(nodes[i], request->listener);
        if (!endpoint)
            continue;
        struct describe_cluster_response_describe_cluster_broker *to =
            &response->brokers[response->brokers_count++];
        describe_cluster_response_describe_cluster_broker_init(to);
        to->broker_id = nodes[i]->id;
        to->host = arena_copy(arena, slice_str(endpoint->host));
        to->port = endpoint->port;
        to->rack = arena_copy(arena, slice_str(nodes[i]->rack));
    }
    metadata_cache_unlock(cache);
}

void handle_describe_cluster(struct request *request)
{
    const struct describe_cluster_request *message = request->message;
    struct describe_cluster_response response;
    describe_cluster_response_init(&response);
    response.cluster_id = SLICE_LITERAL("");
    enum err e = check_endpoint_type(request);
    response.error_code = err_wire_code(e);
    if (e) {
        response.error_message = slice_str(err_sentence(e));
        request_answer(request, &response);
        return;
    }
    response.cluster_id = slice_str(request->broker->cluster_id);
    response.controller_id = metadata_controller_id(request->broker->metadata_cache);
    if (message->include_cluster_authorized_operations)
        response.cluster_authorized_operations = EVERY_CLUSTER_OPERATION;
    list_brokers(request, &response);
    request_answer(request, &response);
}
