/* What a broker does in ZooKeeper once, before anything else: the persistent paths, the cluster's
 * id, and a broker id where none is set. The only place, with zk_session_open(), that waits for
 * ZooKeeper. /feature is the controller's. */
#pragma once

#include "broker/base/arena.h"
#include "coordinator/zk/zk_session.h"

/* Make the paths that Kafka makes at start, those that exist tolerated. */
MUST_USE enum err zk_bootstrap_paths(struct zk *view);

/* The id in /cluster/id, made if there is none. The slice is in the arena. */
MUST_USE enum err zk_bootstrap_cluster_id(struct zk *view, struct arena *arena,
                                          struct slice *ret_cluster_id);

/* A fresh broker id: reserved.broker.max.id + the next number of /brokers/seqid. */
MUST_USE enum err zk_bootstrap_broker_id(struct zk *view, int32_t reserved_broker_max_id,
                                         int32_t *ret_broker_id);

/* ERR_DUPLICATE_BROKER_REGISTRATION with a sentence if another broker has registered a host:port of
 * `broker`'s endpoints: Kafka refuses to start then. */
struct znode_broker;
MUST_USE enum err zk_bootstrap_check_endpoints(struct zk *view, int32_t broker_id,
                                               const struct znode_broker *broker);

/* ERR_NOT_FOUND if nothing stands at `path`. Text in the arena; ret_stat may be NULL. */
MUST_USE enum err zk_bootstrap_read(struct zk *view, const char *path, struct arena *arena,
                                    struct slice *ret_data, struct zk_stat *ret_stat);
