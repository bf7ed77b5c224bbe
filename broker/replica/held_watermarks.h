/* Partitions whose high watermark waits for a replica that is not in sync: it has caught up and may
 * be about to join, so it must not be overtaken. If it dies instead, nothing happens at the
 * partition by which it would notice; so these partitions are remembered, and looked at again when
 * brokers come or go, and when the time is over in which such a replica counts as caught up.
 *
 * Threads: any; held_watermarks_look() one at a time. */
#pragma once

#include <stdint.h>

struct held_watermarks;
struct partition;

/* look_at: held_watermarks_look() is wanted at that monotonic time. Called with a partition's lock
 * held: must only post. NULL: it is called now and then anyway. */
struct held_watermarks *held_watermarks_new(void (*look_at)(void *context, int64_t at_ms),
                                            void *context);
void held_watermarks_free(struct held_watermarks *held);

/* Under the partition's lock: its watermark is held until then at most. */
void held_watermarks_add(struct held_watermarks *held, struct partition *partition,
                         int64_t until_ms);
/* Let each go on as far as it may by now; gives when to look again, INT64_MAX for never. */
int64_t held_watermarks_look(struct held_watermarks *held);
