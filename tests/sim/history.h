/* What the controllers of a world did, one line each in the order in which it took effect: writes
 * that ZooKeeper executed, requests that were sent to brokers. A test compares whole histories, so
 * that neither a missing step nor one too many goes unseen.
 *
 *     state orders-0 leader=1 epoch=2 isr=1,2 version=3          a state znode was written
 *     topic orders 0=3,1,2 adding=3 removing=1,2                 a topic znode
 *     create|set|delete /admin/...                               any other znode
 *     LISR 2 orders-0 leader=1 epoch=2 isr=1,2 version=3 replicas=1,2 [adding=] [removing=] [new]
 *     UMR 0,1,2 orders-0 leader=1 epoch=2 isr=1,2                the same to these brokers, in
 * order SR 2 orders-0 epoch=2 [delete] */
#pragma once

#include "tests/sim/world.h"

/* Stand between a broker's controller and its ZooKeeper view. */
void history_tap(struct world_broker *broker);
/* The process is gone: nothing is recorded of it any more. */
void history_untap(struct world_broker *broker);
void history_request(struct world *world, int32_t to, int16_t api_key, const void *request);

/* Everything from here on is recorded, what was is forgotten. */
void history_begin(struct world *world);
/* The lines since history_begin(), each ended by a newline. Lives until the next call. */
const char *history_text(struct world *world);
void history_done(struct world *world);
