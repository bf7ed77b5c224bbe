/* The threads that replicate: num.replica.fetchers of them, each with a fetcher (broker/replica)
 * and a connection to every leader it follows. A partition is always served by the same thread.
 *
 * Thread: control for follow, unfollow and a change of their number; the rest at start and at the
 * end, when control does not run. */
#pragma once

#include "broker/replica/replica_manager.h"

struct server;
struct fetcher_threads;

#define FETCHER_THREADS_MAX 512 /* more than these are not started, whatever the setting says */

struct fetcher_threads *fetcher_threads_start(struct server *server);
/* Another number of threads: returns at once, and happens as soon as each has come to an end with
 * what it has fetched. A count given meanwhile goes before. */
void fetcher_threads_change(struct fetcher_threads *threads, int32_t count);
/* Stops fetching: nothing is appended by it after it returns. */
void fetcher_threads_stop(struct fetcher_threads *threads);
void fetcher_threads_free(struct fetcher_threads *threads);

/* As the replica manager wants it. */
struct replica_fetchers fetcher_threads_functions(struct fetcher_threads *threads);
