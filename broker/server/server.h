/* The broker as a process part: everything joined. Started from a configuration, stopped in order.
 *
 * Start: log directories locked -> (embedded coordinator) -> ZooKeeper session, persistent paths,
 * cluster id, broker id -> topic settings -> logs opened and recovered -> network bound -> control
 * and controller threads -> registration. */
#pragma once

#include "broker/base/err.h"
#include "broker/config/config.h"

struct server;

struct server_options {
    const struct config *config; /* a reference is taken */
    bool is_standalone;          /* with the embedded coordinator */
};

/* Blocks until the broker is registered and serves. Errors carry a sentence for the operator. */
MUST_USE enum err server_start(const struct server_options *options, struct server **ret);

/* Orderly: leaves the cluster by controlled shutdown, answers what is in work, flushes, closes. */
void server_stop(struct server *server);

/* A fault that ends the broker (every log directory failed, refused registration): the pipe end
 * becomes readable. -1 until started. */
int server_fault_fd(const struct server *server);
