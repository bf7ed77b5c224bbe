/* The threads that replicate: num.replica.fetchers of them, each with a fetcher (broker/replica)
 * and a connection to every leader it follows. A partition is always served by the same thread.
 *
 * Threads: any for follow and unfollow; a partition's calls come from one thread (control). */
#pragma once

#include "broker/replica/replica_manager.h"

struct server;
struct fetcher_threads;

struct fetcher_threads *fetcher_threads_start(struct server *server);
/* Stops fetching: nothing is appended by it after it returns. */
void fetcher_threads_stop(struct fetcher_threads *threads);
void fetcher_threads_free(struct fetcher_threads *threads);

/* As the replica manager wants it. */
struct replica_fetchers fetcher_threads_functions(struct fetcher_threads *threads);
