/* Settings that live in ZooKeeper, and how this broker hears of changes: /config/changes gets a
 * sequential node for each, and every broker reads those it has not seen, then the entity that is
 * named (KIP-226). Topics go to topic_settings, brokers to config_live.
 *
 * Thread: control; the view is the control thread's. */
#pragma once

#include "broker/config/config_live.h"
#include "broker/server/topic_settings.h"
#include "coordinator/zk/zk_session.h"

struct config_watch;

struct config_watch_options {
    struct zk *zk;
    struct clock *clock;
    int32_t broker_id;
    struct config_live *live;
    struct topic_settings *topics;
    void (*topic_changed)(void *context, const char *topic); /* after topic_settings has it */
    void *context;
};

/* Read all topics' and this broker's settings, waiting for ZooKeeper: start-up only. */
MUST_USE enum err config_watch_new(const struct config_watch_options *options,
                                   struct config_watch **ret);
void config_watch_free(struct config_watch *watch);

/* Whether the cluster had topics (each has settings, if empty ones) at the start. Threads: any. */
bool config_watch_saw_topics(const struct config_watch *watch);

/* Look at /config/changes, now and at each change from here on. Also after a new session. */
void config_watch_look(struct config_watch *watch);

/* Read the settings of these topics anew, then call `done`: for topics that come to this broker, as
 * creation announces no change. Names are borrowed until `done`. */
void config_watch_read_topics(struct config_watch *watch, const struct slice *topics, int32_t count,
                              void (*done)(void *context), void *context);

/* The view's watch_fired came for this path: true if it was ours. */
bool config_watch_fired(struct config_watch *watch, struct slice path);
