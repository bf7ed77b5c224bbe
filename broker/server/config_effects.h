/* What a dynamic setting does when it changes: the table behind "while running" of the reference.
 * Every setting that config_keys[] calls live has a row here, and a test says which has none; one
 * that this broker cannot change while it runs is marked KEY_AT_START there, and its change is
 * refused. */
#pragma once

#include "broker/config/config.h"

struct server;

enum config_effect {
    EFFECT_LOGS = 1,       /* what topics override: every log and partition is told anew */
    EFFECT_CONTROLLER = 2, /* the controller is told */
    EFFECT_STORED = 4,     /* kept for Kafka's tools and for JVM brokers; said aloud to have no
                              effect here */
    EFFECT_NETWORK = 8,    /* listeners, limits on connections and threads */
    EFFECT_ADDRESSES = 16, /* the broker registers anew */
    EFFECT_PRODUCERS = 32, /* how long producers are remembered */
    EFFECT_FETCHERS = 64,  /* the number of replica fetchers */
    EFFECT_REQUESTS = 128, /* the next request finds it in the snapshot; nothing else follows */
};

struct config_effect_row {
    const char *name;
    int effects; /* enum config_effect, bits */
};

extern const struct config_effect_row config_effect_rows[];
extern const int config_effect_rows_count;

/* What must follow from the change between two snapshots, each once. */
int config_effects_between(const struct config *old_config, const struct config *new_config);

/* Let it follow. Thread: control. */
void config_effects_apply(struct server *server, const struct config *old_config,
                          const struct config *new_config);
