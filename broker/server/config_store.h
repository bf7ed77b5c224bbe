/* Changing one entity's settings in ZooKeeper: read the znode, let the caller judge and change what
 * it holds, write it if nobody else has meanwhile, then create the change node that tells all
 * brokers. Every operation of an alteration may be repeated with the same outcome, so a lost
 * connection or a race with another writer begins again at the read.
 *
 * Thread: the one that owns the view. */
#pragma once

#include "broker/base/arena.h"
#include "broker/config/config_map.h"
#include "coordinator/zk/zk.h"

/* Make `properties`, what the entity holds now, into what it is to hold. Called once a read. */
typedef enum err config_change_fn(void *context, struct config_map *properties);
/* The end, with the sentence noted where `e` is an error. */
typedef void config_stored_fn(void *context, enum err e);

struct config_store_options {
    struct zk *zk;
    struct arena *arena; /* outlives the change */
    const char *type;    /* "topics" or "brokers" */
    struct slice name;   /* ZNODE_CONFIG_DEFAULT for the cluster's default */
    bool validate_only;  /* read and change, write nothing */
    config_change_fn *change;
    config_stored_fn *stored;
    void *context;
};

void config_store_change(const struct config_store_options *options);

/* What a znode of settings holds, into an empty map. ERR_MALFORMED. */
MUST_USE enum err config_store_decode(struct arena *arena, struct slice data,
                                      struct config_map *ret_properties);
