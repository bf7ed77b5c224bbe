/* Kafka's APIs for peers, made once from the tables of broker/wire. */
#include <pthread.h>

#include "broker/peer/peer.h"
#include "broker/wire/wire.h"

#define KEYS_MAX 128

static struct peer_api apis[KEYS_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static enum err encode(const struct peer_api *api, struct buf *out, int16_t api_version,
                       const void *request)
{
    return wire_encode(wire_api(api->api_key)->request, out, api_version, request);
}

static enum err decode(const struct peer_api *api, struct slice body, int16_t api_version,
                       struct arena *arena, void **ret_response)
{
    const struct wire_message *message = wire_api(api->api_key)->response;
    *ret_response = arena_alloc(arena, message->body->size_bytes);
    return wire_decode(message, body, api_version, arena, *ret_response, NULL);
}

static void fill(void)
{
    for (int16_t key = 0; key < KEYS_MAX; key++) {
        const struct wire_api *api = wire_api(key);
        if (api)
            apis[key] =
                (struct peer_api){key, api->name, api->request->flexible_version, encode, decode};
    }
}

const struct peer_api *peer_wire_api(int16_t api_key)
{
    pthread_once(&once, fill);
    return api_key >= 0 && api_key < KEYS_MAX && apis[api_key].encode ? &apis[api_key] : NULL;
}
