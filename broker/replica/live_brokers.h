/* Which brokers are alive, as the controller's last UpdateMetadata says: a small set that may be
 * looked at under a partition's lock, where the metadata cache's own lock may not be taken.
 *
 * Threads: any (RANK_LEAF). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct live_brokers;

struct live_brokers *live_brokers_new(void);
void live_brokers_free(struct live_brokers *live);
/* Takes a copy of ascending ids. */
void live_brokers_set(struct live_brokers *live, const int32_t *ids, int32_t count);
bool live_brokers_has(const struct live_brokers *live, int32_t id);
