/* Asking the controller that our metadata cache names. */
#include "broker/server/controller_ask.h"

#include "broker/api/handlers.h"

static void remote_answered(void *context, enum err e, const void *response)
{
    struct controller_ask *ask = context;
    ask->answered(ask, e, response);
}

void controller_ask_answered(void *context, const void *response)
{
    struct controller_ask *ask = context;
    ask->answered(ask, ERR_OK, response);
}

static void send_to_remote(struct controller_ask *ask)
{
    struct server *server = ask->server;
    struct metadata_cache *cache = server->broker.metadata_cache;
    int32_t id = metadata_controller_id(cache), port = 0;
    const struct listener_config *control = server->config->control_plane_listener
                                                ? server->config->control_plane_listener
                                                : server->config->inter_broker_listener;
    const char *host = NULL;
    if (id < 0 || metadata_endpoint(cache, id, control->name, ask->arena, &host, &port)) {
        ask->answered(ask, err_note(ERR_NOT_CONTROLLER, "no controller is known"), NULL);
        return;
    }
    struct controller_endpoint endpoint = {.host = host, .port = port, .listener = control->name};
    struct controller_peers *peers = broker_channels_peers(server->client_channels);
    peers->send(peers, id, &endpoint, ask->api_key, ask->api_version, ask->request, remote_answered,
                ask);
}

static void run(struct controller *controller, void *context)
{
    struct controller_ask *ask = context;
    if (!controller)
        ask->answered(ask, err_note(ERR_CANCELLED, "the broker is stopping"), NULL);
    else if (controller_is_active(controller))
        ask->local(controller, ask);
    else
        send_to_remote(ask);
}

static void give_up_others(struct controller *controller, void *context)
{
    struct server *server = context;
    int32_t id = metadata_controller_id(server->broker.metadata_cache);
    if (controller && id >= 0)
        broker_channels_give_up(
            server->client_channels, id,
            err_note(ERR_NOT_CONTROLLER, "broker %d has become controller", (int)id));
}

/* Who asked a controller that is frozen or cut off would wait for its answer, though there is
 * another. */
void controller_ask_update_metadata(struct request *request)
{
    struct server *server = request->broker->server;
    int32_t before = metadata_controller_id(server->broker.metadata_cache);
    handle_update_metadata(request);
    if (metadata_controller_id(server->broker.metadata_cache) != before)
        controller_thread_post(server->controller_thread, give_up_others, server);
}

void controller_ask_send(struct controller_ask *ask)
{
    controller_thread_post(ask->server->controller_thread, run, ask);
}
