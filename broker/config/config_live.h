/* The settings in force now: the file's, with the dynamic ones of /config/brokers/<default> and
 * /config/brokers/<id> over them. A change makes a new snapshot; readers take whatever is current
 * without a lock.
 *
 * What config_now() gives may be used for SNAPSHOT_GRACE_MS after it was replaced: long enough for
 * any request. Whoever keeps it longer calls config_ref() meanwhile. */
#pragma once

#include "broker/base/clock.h"
#include "broker/config/config.h"
#include "broker/config/config_map.h"

#define SNAPSHOT_GRACE_MS (10 * 60 * 1000)
#define SNAPSHOTS_RETIRED_MAX                                                                      \
    4096 /* beyond which the oldest goes before its time, if a minute old */

struct config_live;

/* Keeps a reference of `config`, the snapshot made of the file. Keeps `clock`. */
struct config_live *config_live_new(const struct config *config, struct clock *clock);
void config_live_free(struct config_live *live); /* no reader may be left */

/* Threads: any. Never NULL. */
const struct config *config_now(const struct config_live *live);

enum dynamic_layer { DYNAMIC_DEFAULT, DYNAMIC_BROKER };

/* The znode of that layer has changed: `properties` is all that it holds now (NULL: it is gone).
 * What the JVM broker would not take (a setting that cannot change, a value out of range, a thread
 * count more than doubled) is left out and traced, the rest is applied. When the snapshot changed,
 * the watchers are called with the old and the new one, on this thread, before the call returns.
 * Thread: one at a time (a lock within). */
void config_live_apply(struct config_live *live, enum dynamic_layer layer,
                       const struct config_map *properties);

/* Call `changed` after each change. At most CONFIG_WATCHERS_MAX, before serving begins. */
#define CONFIG_WATCHERS_MAX 16
void config_live_watch(struct config_live *live,
                       void (*changed)(void *context, const struct config *old_config,
                                       const struct config *new_config),
                       void *context);
