/* Whether written data that has not reached the disk fills so much memory that the kernel may soon
 * make writers wait (vm.dirty_background_ratio, vm.dirty_ratio). Far below that point early
 * write-back helps nobody: it costs processor time, and data that is deleted soon is written for
 * nothing.
 *
 * Threads: any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"

/* True also where it cannot be known, and where a control group limits this process's memory: then
 * the kernel counts for the group, and tells nobody. Looks at /proc at most a few times a second. */
bool dirty_pages_are_many(int64_t now_mono_ms);

/* What /proc/vmstat says: the sum of dirty pages and those on their way is above half of the
 * threshold where the kernel itself begins. */
bool dirty_pages_judge(struct slice vmstat);
