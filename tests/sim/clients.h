/* Producers that write with acks=all (some with acks=1, of which nothing is promised), each one
 * request at a time, to whomever they believe to lead. */
#pragma once

#include "tests/sim/cluster.h"

struct clients;

struct clients *clients_new(struct cluster *cluster);
void clients_free(struct clients *clients);

/* One of them begins a request, perhaps. */
void clients_step(struct cluster *cluster);
int64_t clients_refused(const struct clients *clients); /* and failed */
