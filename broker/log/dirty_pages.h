/* Whether written data that has not reached the disk fills so much memory that the kernel may soon
 * make writers wait. It begins to write at vm.dirty_background_ratio, by threads of its own, and
 * makes writers wait from half-way between there and vm.dirty_ratio. Early write-back of ours helps
 * where that falls behind; before, it costs processor time (8 % of a loaded broker's), and data
 * that is deleted soon is written for nothing.
 *
 * Threads: any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"

/* True also where it cannot be known, and where a control group limits this process's memory: then
 * the kernel counts for the group, and tells nobody. Looks at /proc at most a few times a second.
 */
bool dirty_pages_are_many(int64_t now_mono_ms);

/* What /proc/vmstat says: the sum of dirty pages and those on their way is more than half of the
 * way from where the kernel begins to where it makes writers wait. */
bool dirty_pages_judge(struct slice vmstat);

/* Whether a control group limits this process's memory. groups: what /proc/self/cgroup says;
 * "N:memory:/path" is version 1, "0::/path" version 2. root: where groups are mounted. A group of
 * version 1 of which nothing can be read counts as limited. */
bool dirty_pages_group_is_limited(const char *groups, const char *root);
