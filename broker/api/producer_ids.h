/* Producer ids for idempotent producers: handed out from blocks that the controller gives
 * (KIP-730). The next block is asked for when the present one runs low, so that a producer rarely
 * waits. Threads: any. */
#pragma once

#include "broker/api/broker.h"

struct producer_ids;

struct producer_ids *producer_ids_new(struct broker *broker);
void producer_ids_free(struct producer_ids *ids);

/* A fresh id for the request, given to `done` now or when a block has come: ERR_OK, or
 * COORDINATOR_LOAD_IN_PROGRESS when none came. `done` runs on any thread. */
void producer_ids_next(struct producer_ids *ids, struct request *request,
                       void (*done)(struct request *request, enum err e, int64_t id));
