/* A peer for each broker. A request under way is a `struct call`; forgetting a broker marks its
 * calls, so that what the closing connection still says about them is heard by nobody. Peers are
 * freed from the loop, never from within their own callbacks. */
#include "broker/server/broker_channels.h"

#include <event2/event.h>

#include "broker/base/list.h"
#include "broker/base/map.h"
#include "broker/base/trace.h"
#include "broker/peer/peer.h"

struct channel {
    struct broker_channels *owner;
    struct list_node node; /* in the list of those to be freed */
    int32_t broker_id;
    struct peer *peer;
    struct list_node calls;
    char *host;
    int32_t port;
};

struct call {
    struct list_node node; /* in its channel; unlinked: forgotten */
    controller_sent_fn *sent;
    void *context;
    enum err refusal; /* of a call that could not be sent */
};

struct broker_channels {
    struct controller_peers peers; /* first: it is handed out */
    struct broker_channels_options options;
    struct map by_broker;
    struct list_node dead;
    struct event *burial;
};

static void call_done(void *context, enum err e, const void *response)
{
    struct call *call = context;
    bool is_forgotten = !list_is_linked(&call->node);
    list_remove(&call->node);
    if (!is_forgotten)
        call->sent(call->context, e, response);
    free(call);
}

static void refuse_later(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct call *call = context;
    call_done(call, call->refusal, NULL);
}

static void channel_free(struct channel *channel)
{
    list_for_each (&channel->calls, node)
        list_remove(node);
    peer_free(channel->peer); /* its pending calls come to call_done(), forgotten */
    free(channel->host);
    free(channel);
}

static void bury(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct broker_channels *channels = context;
    for (struct list_node *node; (node = list_pop_front(&channels->dead));)
        channel_free(list_entry(node, struct channel, node));
}

static void refused(void *context)
{
    struct channel *channel = context;
    struct controller_peers *peers = &channel->owner->peers;
    bool is_forgotten = map_get(&channel->owner->by_broker, MAP_KEY(channel->broker_id)) != channel;
    if (peers->refused && !is_forgotten)
        peers->refused(peers->owner, channel->broker_id);
}

static struct channel *channel_new(struct broker_channels *channels, int32_t broker_id,
                                   const struct controller_endpoint *endpoint)
{
    struct channel *channel = mem_new(struct channel);
    struct peer_options options;
    peer_options_init(&options);
    options.base = channels->options.base;
    options.clock = channels->options.clock;
    options.host = endpoint->host;
    options.port = (uint16_t)endpoint->port;
    options.client_id = channels->options.client_id;
    options.broker_id = broker_id;
    options.connect_timeout_ms = channels->options.connect_timeout_ms;
    options.refused = channels->peers.refused ? refused : NULL;
    options.refused_context = channel;
    channel->owner = channels;
    channel->peer = peer_new(&options);
    channel->broker_id = broker_id;
    channel->host = mem_strdup(endpoint->host);
    channel->port = endpoint->port;
    list_init(&channel->calls);
    return channel;
}

static struct channel *channel_to(struct broker_channels *channels, int32_t broker_id,
                                  const struct controller_endpoint *endpoint)
{
    struct channel *channel = map_get(&channels->by_broker, MAP_KEY(broker_id));
    if (!channel) {
        channel = channel_new(channels, broker_id, endpoint);
        map_put(&channels->by_broker, MAP_KEY(broker_id), channel);
    } else if (strcmp(channel->host, endpoint->host) != 0 || channel->port != endpoint->port) {
        peer_set_address(channel->peer, endpoint->host, (uint16_t)endpoint->port);
        free(channel->host);
        channel->host = mem_strdup(endpoint->host);
        channel->port = endpoint->port;
    }
    return channel;
}

static void send_to(struct controller_peers *peers, int32_t broker_id,
                    const struct controller_endpoint *endpoint, int16_t api_key,
                    int16_t api_version, const void *request, controller_sent_fn *sent,
                    void *context)
{
    struct broker_channels *channels = (struct broker_channels *)peers;
    struct channel *channel = channel_to(channels, broker_id, endpoint);
    struct call *call = mem_new(struct call);
    call->sent = sent;
    call->context = context;
    list_push_back(&channel->calls, &call->node);
    enum err e = peer_send(channel->peer, peer_wire_api(api_key), api_version, request,
                           channels->options.request_timeout_ms, call_done, call);
    if (!e)
        return;
    trace_warn("request not sent broker=%d api=%d: %s", broker_id, api_key, err_sentence(e));
    call->refusal = e;
    event_base_once(channels->options.base, -1, EV_TIMEOUT, refuse_later, call,
                    &(struct timeval){0});
}

static void forget(struct controller_peers *peers, int32_t broker_id)
{
    struct broker_channels *channels = (struct broker_channels *)peers;
    struct channel *channel = map_remove(&channels->by_broker, MAP_KEY(broker_id));
    if (!channel)
        return;
    list_for_each (&channel->calls, node)
        list_remove(node);
    list_push_back(&channels->dead, &channel->node);
    event_active(channels->burial, EV_TIMEOUT, 0);
}

/* What the others still say about these calls is heard by nobody. */
void broker_channels_give_up(struct broker_channels *channels, int32_t except_id, enum err e)
{
    struct list_node calls;
    list_init(&calls);
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(&channels->by_broker, &i));) {
        struct channel *channel = entry->value;
        for (struct list_node *node;
             channel->broker_id != except_id && (node = list_pop_front(&channel->calls));)
            list_push_back(&calls, node);
    }
    for (struct list_node *node; (node = list_pop_front(&calls));) {
        struct call *call = list_entry(node, struct call, node);
        call->sent(call->context, e, NULL);
    }
}

struct broker_channels *broker_channels_new(const struct broker_channels_options *options)
{
    struct broker_channels *channels = mem_new(struct broker_channels);
    channels->options = *options;
    channels->peers.send = send_to;
    channels->peers.forget = forget;
    list_init(&channels->dead);
    channels->burial = event_new(options->base, -1, 0, bury, channels);
    return channels;
}

void broker_channels_free(struct broker_channels *channels)
{
    if (!channels)
        return;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&channels->by_broker, &i));)
        channel_free(e->value);
    map_done(&channels->by_broker);
    bury(-1, 0, channels);
    event_free(channels->burial);
    free(channels);
}

struct controller_peers *broker_channels_peers(struct broker_channels *channels)
{
    return &channels->peers;
}
