/* What a handler can reach: the parts of this broker, and the cluster through a table of functions
 * that the server joins to the controller and to ZooKeeper.
 *
 * Thread: fixed once serving begins; what the parts allow is in their headers. */
#pragma once

#include "broker/api/request.h"
#include "broker/config/config.h"
#include "broker/log/log_manager.h"
#include "broker/replica/fetch_session.h"
#include "broker/replica/metadata_cache.h"
#include "broker/replica/replica_manager.h"

struct producer_ids;

/* What handlers ask of the cluster; the server joins these to the controller and to ZooKeeper. All
 * return at once. */
struct cluster_functions {
    void *cluster;

    /* Create topics that a client's Metadata named (auto.create.topics.enable). errors[i] is set
     * for each name: ERR_OK when creation has begun, else why not. `done` comes later on any
     * thread. */
    void (*auto_create)(void *cluster, const struct slice *names, int32_t count,
                        struct arena *arena, enum err *ret_errors, void (*done)(void *context),
                        void *context);

    /* Ask the controller for a block of producer ids; done gets first id and size, on any thread.
     */
    void (*allocate_producer_ids)(void *cluster,
                                  void (*done)(void *context, enum err e, int64_t first_id,
                                               int32_t size),
                                  void *context);

    /* Effective settings of a topic that handlers need beside the log's own. */
    struct topic_facts (*topic_facts)(void *cluster, const char *topic);
};

/* A few of a topic's settings as they are now. */
struct topic_facts {
    int compression; /* COMPRESSION_PRODUCER or enum codec */
    int cleanup_policy;
    bool is_down_conversion_allowed;
};

/* An API that is served, as ApiVersions tells it. */
struct api_range {
    int16_t api_key, min_version, max_version;
};

struct broker {
    int32_t id;
    const char *cluster_id;
    const struct api_range *apis; /* ascending */
    int32_t apis_count;
    struct clock *clock;
    const struct config *_Atomic config; /* as it is now; the control thread exchanges it */
    struct log_manager *log_manager;
    struct metadata_cache *metadata_cache;
    struct replica_manager *replica_manager;
    struct fetch_sessions *fetch_sessions;
    struct producer_ids *producer_ids;
    struct cluster_functions cluster;
    bool expects_topics;           /* the cluster had topics, or we their logs, at the start */
    _Atomic int64_t first_news_ms; /* monotonic: when the controller was first heard; 0: not yet */
    _Atomic int64_t finalized_features_epoch; /* the version of /feature; -1 unknown */
    void *server;                             /* the server's own */
};
