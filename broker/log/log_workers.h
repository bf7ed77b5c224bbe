/* The log workers: a pool of threads. The logs' own work goes before requests that wait for a disk,
 * and a few threads take no requests at all, where there are more than those. Internal to this
 * folder. */
#pragma once

#include <stdint.h>

#include "broker/base/attributes.h"

struct log_workers;

struct log_workers *log_workers_start(int count);
/* Runs what is queued, then joins. */
void log_workers_stop(struct log_workers *workers);
/* Threads: any. Work queued after the stop has begun runs at once, on the caller's thread. */
void log_workers_run(struct log_workers *workers, void (*work)(void *context), void *context);
/* The same for a request: a cold read, or what else must not run on a network thread. */
void log_workers_run_request(struct log_workers *workers, void (*work)(void *context),
                             void *context);

/* Call `visit` for each of `count` items on up to `threads` threads of their own, and wait. */
void parallel_for(int threads, int count, void (*visit)(void *context, int index), void *context);
