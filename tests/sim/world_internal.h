/* What the files of the world share. */
#pragma once

#include "tests/sim/world.h"

/* world_links.c */
void world_peers_send(struct controller_peers *peers, int32_t broker_id,
                      const struct controller_endpoint *endpoint, int16_t api_key,
                      int16_t api_version, const void *request, controller_sent_fn *sent,
                      void *context);
void world_peers_forget(struct controller_peers *peers, int32_t broker_id);
bool world_deliver_one(struct world *world);

/* world_model.c */
void world_model_take(struct world_broker *broker, struct world_message *message);

/* world.c */
/* A controller was obeyed in this epoch: nobody else may be in the same. */
void world_note_controller(struct world *world, int32_t controller_epoch, int32_t controller_id);

/* world_check.c */
bool world_read_state(struct world *world, const char *topic, int32_t partition,
                      struct arena *arena, struct znode_partition_state *ret, int64_t *ret_zxid);
