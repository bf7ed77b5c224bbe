/* Joins the controller to the rest: its thread, its view of the ZooKeeper session, its connections
 * to brokers, what it must know of settings. */
#pragma once

#include "broker/server/server_internal.h"

void controller_join_new(
    struct server *server); /* thread object and connections; posts are kept from here on */
void controller_join_start(struct server *server);  /* view and thread */
void controller_join_update(struct server *server); /* settings have changed */
void controller_join_stop(struct server *server);   /* the thread has ended, its view is free */
void controller_join_free(struct server *server);
