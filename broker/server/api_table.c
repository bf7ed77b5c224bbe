/* The APIs that are served: versions, handler, and the thread on which it begins. ApiVersions tells
 * of these rows and no others; a key that is not here closes the connection, as Kafka does. */
#include "broker/api/handlers.h"
#include "broker/base/thread.h"
#include "broker/server/controller_ask.h"
#include "broker/server/server_internal.h"
#include "broker/wire/api_key.h"
#include "broker/wire/wire.h"

/* X(KEY, handler, where, oldest version, newest version) */
#define API_TABLE(X)                                                                               \
    X(PRODUCE, handle_produce, ON_LOOP, 0, 11)                                                     \
    X(FETCH, handle_fetch, ON_LOOP, 0, 17)                                                         \
    X(LIST_OFFSETS, handle_list_offsets, ON_LOOP, 0, 9)                                            \
    X(METADATA, handle_metadata, ON_LOOP, 0, 12)                                                   \
    X(LEADER_AND_ISR, on_control_leader_and_isr_with_settings, ON_LOOP, 0, 7)                      \
    X(STOP_REPLICA, on_control_stop_replica, ON_LOOP, 0, 4)                                        \
    X(UPDATE_METADATA, on_control_update_metadata, ON_LOOP, 0, 8)                                  \
    X(CONTROLLED_SHUTDOWN, handle_controlled_shutdown, ON_CONTROLLER, 0, 3)                        \
    X(FIND_COORDINATOR, handle_find_coordinator, ON_LOOP, 0, 6)                                    \
    X(SASL_HANDSHAKE, handle_sasl_handshake, ON_LOOP, 0, 1)                                        \
    X(API_VERSIONS, handle_api_versions, ON_LOOP, 0, 4)                                            \
    X(CREATE_TOPICS, handle_create_topics, ON_CONTROLLER, 0, 7)                                    \
    X(DELETE_TOPICS, handle_delete_topics, ON_CONTROLLER, 0, 6)                                    \
    X(DELETE_RECORDS, handle_delete_records, ON_LOOP, 0, 2)                                        \
    X(INIT_PRODUCER_ID, handle_init_producer_id, ON_LOOP, 0, 5)                                    \
    X(OFFSET_FOR_LEADER_EPOCH, handle_offset_for_leader_epoch, ON_LOOP, 0, 4)                      \
    X(DESCRIBE_ACLS, handle_describe_acls, ON_LOOP, 0, 3)                                          \
    X(CREATE_ACLS, handle_create_acls, ON_LOOP, 0, 3)                                              \
    X(DELETE_ACLS, handle_delete_acls, ON_LOOP, 0, 3)                                              \
    X(DESCRIBE_CONFIGS, on_control_describe_configs, ON_LOOP, 0, 4)                                \
    X(ALTER_CONFIGS, on_control_alter_configs, ON_LOOP, 0, 2)                                      \
    X(DESCRIBE_LOG_DIRS, handle_describe_log_dirs, ON_LOOP, 0, 4)                                  \
    X(SASL_AUTHENTICATE, handle_sasl_authenticate, ON_LOOP, 0, 2)                                  \
    X(CREATE_PARTITIONS, handle_create_partitions, ON_CONTROLLER, 0, 3)                            \
    X(CREATE_DELEGATION_TOKEN, handle_create_delegation_token, ON_LOOP, 0, 3)                      \
    X(RENEW_DELEGATION_TOKEN, handle_renew_delegation_token, ON_LOOP, 0, 2)                        \
    X(EXPIRE_DELEGATION_TOKEN, handle_expire_delegation_token, ON_LOOP, 0, 2)                      \
    X(DESCRIBE_DELEGATION_TOKEN, handle_describe_delegation_token, ON_LOOP, 0, 3)                  \
    X(ELECT_LEADERS, handle_elect_leaders, ON_CONTROLLER, 0, 2)                                    \
    X(INCREMENTAL_ALTER_CONFIGS, on_control_incremental_alter_configs, ON_LOOP, 0, 1)              \
    X(ALTER_PARTITION_REASSIGNMENTS, handle_alter_reassignments, ON_CONTROLLER, 0, 0)              \
    X(LIST_PARTITION_REASSIGNMENTS, handle_list_reassignments, ON_CONTROLLER, 0, 0)                \
    X(ALTER_PARTITION, handle_alter_partition, ON_CONTROLLER, 0, 3)                                \
    X(UPDATE_FEATURES, handle_update_features, ON_CONTROLLER, 0, 1)                                \
    X(ENVELOPE, handle_envelope, ON_LOOP, 0, 0)                                                    \
    X(DESCRIBE_CLUSTER, handle_describe_cluster, ON_LOOP, 0, 1)                                    \
    X(DESCRIBE_PRODUCERS, handle_describe_producers, ON_LOOP, 0, 0)                                \
    X(ALLOCATE_PRODUCER_IDS, handle_allocate_producer_ids, ON_CONTROLLER, 0, 0)                    \
    X(CONSUMER_GROUP_HEARTBEAT, handle_consumer_group_heartbeat, ON_LOOP, 0, 0)                    \
    X(CONSUMER_GROUP_DESCRIBE, handle_consumer_group_describe, ON_LOOP, 0, 0)

/* --- handlers that run on the control thread --- */

static void run_on_control(struct control_work *work);

/* In the request's arena, so that the request's own node stays free. */
struct control_call {
    struct control_work work;
    struct request *request;
    void (*handle)(struct request *request);
};

static void run_on_control(struct control_work *work)
{
    struct control_call *call = CONTAINER_OF(work, struct control_call, work);
    call->handle(call->request);
}

static void post_to_control(struct request *request, void (*handle)(struct request *request))
{
    struct server *server = request->broker->server;
    struct control_call *call = arena_alloc(request->arena, sizeof *call);
    *call = (struct control_call){.work.run = run_on_control, .request = request, .handle = handle};
    control_thread_post(server->control, &call->work);
}

#define ON_CONTROL(name)                                                                           \
    static void on_control_##name(struct request *request)                                         \
    {                                                                                              \
        post_to_control(request, handle_##name);                                                   \
    }
ON_CONTROL(leader_and_isr_with_settings)
ON_CONTROL(stop_replica)
ON_CONTROL(describe_configs)
ON_CONTROL(alter_configs)
ON_CONTROL(incremental_alter_configs)

static void on_control_update_metadata(struct request *request)
{
    post_to_control(request, controller_ask_update_metadata);
}

/* --- the table as the network and ApiVersions want it --- */

#define ROW_COUNT   (sizeof rows / sizeof rows[0])
#define BEYOND_KEYS 128

static const struct {
    int16_t api_key, min_version, max_version;
    enum api_where where;
    void (*handle)(struct request *request);
} rows[] = {
#define X(key, handler, where, oldest, newest) {API_##key, oldest, newest, where, handler},
    API_TABLE(X)
#undef X
};

static struct api_entry entries[BEYOND_KEYS];
static struct api_range ranges[ROW_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct wire_api *api = wire_api(rows[i].api_key);
        assert(api && rows[i].api_key < BEYOND_KEYS);
        entries[rows[i].api_key] = (struct api_entry){
            .api_key = rows[i].api_key,
            .min_version = rows[i].min_version,
            .max_version = rows[i].max_version,
            .flexible_version = api->request->flexible_version,
            .name = api->name,
            .where = rows[i].where == ON_CONTROLLER
                         ? ON_LOOP
                         : rows[i].where, /* those handlers post by themselves */
            .handle = rows[i].handle,
            .decode = wire_request_decode,
            .encode = wire_response_encode,
        };
        ranges[i] = (struct api_range){rows[i].api_key, rows[i].min_version, rows[i].max_version};
    }
}

const struct api_entry *server_api_lookup(int16_t api_key)
{
    pthread_once(&once, fill);
    return api_key >= 0 && api_key < BEYOND_KEYS && entries[api_key].handle ? &entries[api_key]
                                                                            : NULL;
}

const struct api_range *server_api_ranges(int32_t *ret_count)
{
    pthread_once(&once, fill);
    *ret_count = (int32_t)ROW_COUNT;
    return ranges;
}
