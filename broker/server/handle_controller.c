/* Requests to and from the controller.
 *
 * Requests that the controller answers: they are posted to its thread, and what it makes of them is
 * the answer. The controller says by itself when it is not the active one (NOT_CONTROLLER, per item
 * where the message has no place for it). */
#include "broker/server/server_internal.h"

#include "broker/api/handlers.h"
#include "broker/server/config_watch.h"
#include "wire/leader_and_isr.h"

static void done(void *context, const void *response)
{
    request_answer(context, response);
}

static void after_stop(struct request *request)
{
    request_refuse(request, "the broker is stopping");
}

static struct server *server_of(const struct request *request)
{
    return request->broker->server;
}

/* The functions of the controller come in two shapes: some want the version too. */
#define CONTROLLER_HANDLER(name)                                                                   \
    static void run_##name(struct controller *controller, void *context)                           \
    {                                                                                              \
        struct request *request = context;                                                         \
        if (controller)                                                                            \
            controller_##name(controller, request->message, request->arena, done, request);        \
        else                                                                                       \
            after_stop(request);                                                                   \
    }                                                                                              \
    void handle_##name(struct request *request)                                                    \
    {                                                                                              \
        controller_thread_post(server_of(request)->controller_thread, run_##name, request);        \
    }

#define CONTROLLER_HANDLER_VERSIONED(name)                                                         \
    static void run_##name(struct controller *controller, void *context)                           \
    {                                                                                              \
        struct request *request = context;                                                         \
        if (controller)                                                                            \
            controller_##name(controller, request->message, request->api_version, request->arena,  \
                              done, request);                                                      \
        else                                                                                       \
            after_stop(request);                                                                   \
    }                                                                                              \
    void handle_##name(struct request *request)                                                    \
    {                                                                                              \
        controller_thread_post(server_of(request)->controller_thread, run_##name, request);        \
    }

CONTROLLER_HANDLER(allocate_producer_ids)
CONTROLLER_HANDLER(controlled_shutdown)
CONTROLLER_HANDLER(create_partitions)
CONTROLLER_HANDLER(create_topics)
CONTROLLER_HANDLER(alter_reassignments)
CONTROLLER_HANDLER(list_reassignments)
CONTROLLER_HANDLER_VERSIONED(alter_partition)
CONTROLLER_HANDLER_VERSIONED(delete_topics)
CONTROLLER_HANDLER_VERSIONED(elect_leaders)
CONTROLLER_HANDLER_VERSIONED(update_features)

/* --- LeaderAndIsr: topics whose logs this broker has not yet come with settings that nobody
 * announced --- */

static bool has_log(struct server *server, struct slice topic, int32_t partition)
{
    OWNED_MEM char *name = slice_dup(topic);
    bool is_offline;
    return log_manager_get(server->broker.log_manager, name, partition, &is_offline) || is_offline;
}

static bool is_news(struct server *server,
                    const struct leader_and_isr_request_leader_and_isr_topic_state *topic)
{
    for (int32_t i = 0; i < topic->partition_states_count; i++)
        if (!has_log(server, topic->topic_name, topic->partition_states[i].partition_index))
            return true;
    return false;
}

static void take_roles(void *context)
{
    handle_leader_and_isr(context);
}

/* Thread: control, as the roles are taken there too. The controller's next request waits behind
 * this one on its connection. */
void handle_leader_and_isr_with_settings(struct request *request)
{
    struct server *server = server_of(request);
    const struct leader_and_isr_request *message = request->message;
    int32_t topics = message->topic_states_count > 0 ? message->topic_states_count : 0, count = 0;
    int32_t old = message->ungrouped_partition_states_count > 0
                      ? message->ungrouped_partition_states_count
                      : 0;
    struct slice *names = arena_new_array(request->arena, struct slice, topics + old + 1);
    for (int32_t t = 0; t < topics; t++)
        if (is_news(server, &message->topic_states[t]))
            names[count++] = message->topic_states[t].topic_name;
    for (int32_t i = 0; i < old; i++)
        if (!has_log(server, message->ungrouped_partition_states[i].topic_name,
                     message->ungrouped_partition_states[i].partition_index))
            names[count++] = message->ungrouped_partition_states[i].topic_name;
    config_watch_read_topics(server->config_watch, names, count, take_roles, request);
}
