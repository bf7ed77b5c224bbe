/* A small blocking client of Kafka's protocol, for commands: connect, agree on versions, ask, read
 * the answer. Answers live in the client's arena, until the client is freed. One thread. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/err.h"
#include "wire/metadata.h"

struct client;

#define CLIENT_ANY        (-1) /* whichever broker of the bootstrap list answers */
#define CLIENT_CONTROLLER (-2)

/* `bootstrap`: host:port,…; command_config: a properties file of client settings, or NULL. Connects
 * to the first broker that answers and reads its metadata. Errors: ERR_BROKER_NOT_AVAILABLE with
 * every address that was tried; ERR_INVALID_CONFIG: the properties ask for TLS or SASL, which are
 * not there yet. */
MUST_USE enum err client_open(const char *bootstrap, const char *command_config,
                              struct client **ret_client);
/* The same, tried again for up to so many seconds. */
MUST_USE enum err client_open_within(const char *bootstrap, const char *command_config,
                                     int64_t wait_seconds, struct client **ret_client);
void client_free(struct client *client);
DEFINE_OWNED(client)

struct arena *client_arena(struct client *client);

/* The cluster as of the last client_refresh(): brokers, controller, the topics asked for. */
const struct metadata_response *client_metadata(const struct client *client);

/* Read metadata: all topics (topics NULL), or these. Topics are never created by it. */
MUST_USE enum err client_refresh(struct client *client, const char *const *topics,
                                 int32_t topics_count);

/* Send a request (struct <api>_request) to a broker and wait for its answer (struct
 * <api>_response). Errors: ERR_BROKER_NOT_AVAILABLE, ERR_REQUEST_TIMED_OUT, ERR_CLOSED,
 * ERR_UNSUPPORTED_VERSION, ERR_MALFORMED. */
MUST_USE enum err client_call(struct client *client, int32_t broker_id, int16_t api_key,
                              const void *request, void *ret_response);

/* The version that a call would use, -1 if the broker does not know the API. */
MUST_USE enum err client_version(struct client *client, int32_t broker_id, int16_t api_key,
                                 int16_t *ret_version);

/* What the broker says it serves. */
struct api_versions_response;
MUST_USE enum err client_api_versions(struct client *client, int32_t broker_id,
                                      const struct api_versions_response **ret_versions);

/* Whether what was answered with this error should be asked again: another broker is the controller
 * or the leader by now. Pauses, and reads metadata anew. `attempts` begins at 0. */
bool client_retries(struct client *client, int16_t error_code, int *attempts);

/* "SENTENCE" of an answer's item: its own message, else the error's text. In the arena. */
const char *client_reason(struct client *client, int16_t error_code, struct slice message);
