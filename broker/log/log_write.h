/* Writing batches that have their offsets. Internal to this folder. */
#pragma once

#include "broker/log/segment.h"

#define INDEX_TAIL_MAX 512 /* entries; so many wait in memory before they are written */

struct write_bounds {
    int64_t first_offset, last_offset, max_timestamp;
    bool has_control;
};

/* Log lock. On error nothing was appended. */
MUST_USE enum err log_write_batches(struct log *log, struct slice records,
                                    const struct batch_info *first,
                                    const struct write_bounds *bounds);

/* Feed one whole batch, data or marker. */
void log_feed_producers(struct producer_state *state, const struct batch_info *b,
                        struct slice batch);
/* The producers' state as it will be when the batches in [0, end) are in; false: it is the log's
 * own. */
MUST_USE bool log_state_before(const struct log *log, struct slice records, size_t end,
                               struct producer_state *ret);

/* Log lock. The producers refused `b` as out of order: true if the log had older batches of its
 * producer than they knew, which they know now. */
MUST_USE bool log_look_back(struct log *log, const struct batch_info *b);
