/* The broker's own dealings with ZooKeeper, on the control thread: its registration, changed
 * settings, the version of /feature, and telling the controller of a failed log directory. */
#pragma once

#include "broker/server/server_internal.h"

/* ERR_DUPLICATE_BROKER_REGISTRATION when another broker listens where we would. Waits: start-up
 * only, before broker_zk_start(). */
MUST_USE enum err broker_zk_check_endpoints(struct server *server);

/* Begin: the control thread must not run yet. */
void broker_zk_start(struct server *server);
/* The control thread has ended. */
void broker_zk_stop(struct server *server);

/* Thread: control. The addresses told to clients are others now: write the broker's node anew. */
void broker_zk_addresses_changed(struct server *server);
/* Thread: control. */
void broker_zk_tell_dir_failed(struct server *server);
/* A topic's settings have changed: its logs and partitions take them over. context: the server. */
void broker_zk_topic_changed(void *context, const char *topic);
/* The same for one topic or, NULL, for all. */
void broker_zk_apply_to_logs(struct server *server, const char *topic);
