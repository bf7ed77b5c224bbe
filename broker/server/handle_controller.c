/* Requests that the controller answers: they are posted to its thread, and what it makes of them is
 * the answer. The controller says by itself when it is not the active one (NOT_CONTROLLER, per item
 * where the message has no place for it). */
#include "broker/server/server_internal.h"

#include "broker/api/handlers.h"

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
CONTROLLER_HANDLER(update_features)
CONTROLLER_HANDLER_VERSIONED(delete_topics)
