/* A request of this broker to the active controller, wherever it is: in this process, then its core
 * is asked; elsewhere, then it is sent over the inter-broker listener. */
#pragma once

#include "broker/server/server_internal.h"

/* Embedded by the asker, whose it is until `answered`. */
struct controller_ask {
    struct server *server;
    int16_t api_key, api_version;
    const void *request; /* struct <api>_request */
    /* The core's function, for when it is ours that is active; its `done` is
     * controller_ask_answered with the ask. */
    void (*local)(struct controller *controller, struct controller_ask *ask);
    /* Once. response: borrowed; NULL with an error (NOT_CONTROLLER where none is known, CANCELLED
     * when the broker stops, those of peer.h). Thread: the controller's, or the asker's own when
     * the controller's thread has ended. */
    void (*answered)(struct controller_ask *ask, enum err e, const void *response);
    struct arena *arena;
};

/* Handles UpdateMetadata: where it names another controller, what the last one was asked is
 * answered NOT_CONTROLLER. Thread: control. */
void controller_ask_update_metadata(struct request *request);

/* Threads: any. */
void controller_ask_send(struct controller_ask *ask);
void controller_ask_answered(void *ask, const void *response);
