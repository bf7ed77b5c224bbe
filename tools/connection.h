/* One blocking connection to a broker, for client.c: asks, and reads the answer into an arena. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/err.h"
#include "broker/base/list.h"
#include "broker/wire/wire.h"
#include "wire/api_versions.h"

struct connection {
    struct list_node node; /* the owner's */
    int32_t broker_id;     /* the owner's: who is asked */
    int fd;
    int32_t next_correlation_id;
    int timeout_seconds; /* for an answer */
    char *address;       /* "host:port" */
    struct api_versions_response versions;
};

/* Connects and agrees on versions, which are kept in the arena. Errors: ERR_BROKER_NOT_AVAILABLE,
 * and those of connection_exchange(). */
MUST_USE enum err connection_open(const char *host, const char *port, struct arena *arena,
                                  struct connection **ret_connection);
void connection_free(struct connection *connection);

/* The newest version that both sides know; -1: none. */
int16_t connection_version(const struct connection *connection, const struct wire_api *api);

/* Errors: ERR_CLOSED, ERR_REQUEST_TIMED_OUT, ERR_MALFORMED; after any of them only
 * connection_free(). */
MUST_USE enum err connection_exchange(struct connection *connection, struct arena *arena,
                                      const struct wire_api *api, int16_t api_version,
                                      const void *request, void *ret_response);
