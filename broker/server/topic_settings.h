/* What topics override, by name: read from /config/topics, kept up to date by config_watch.h.
 * Threads: any; one lock. */
#pragma once

#include "broker/config/config_live.h"
#include "broker/config/topic_config.h"
#include "broker/log/log.h"

struct topic_settings;

struct topic_settings *topic_settings_new(const struct config_live *live);
void topic_settings_free(struct topic_settings *settings);

/* Takes over `overrides` (moved; NULL or empty: the topic overrides nothing). */
void topic_settings_put(struct topic_settings *settings, const char *topic,
                        struct config_map *overrides);

/* Effective values now. */
void topic_settings_get(struct topic_settings *settings, const char *topic,
                        struct topic_config *ret);
void topic_settings_log_config(struct topic_settings *settings, const char *topic,
                               struct log_config *ret);
