/* A cluster in one thread: real controllers over a modelled ZooKeeper and modelled brokers, on
 * virtual time, driven by a seed. Requests between brokers are really encoded and decoded. After
 * each step world_check() looks for a broken promise. */
#pragma once

#include <stdbool.h>

#include "broker/base/arena.h"
#include "broker/base/buf.h"
#include "broker/base/clock.h"
#include "broker/base/list.h"
#include "coordinator/controller/controller.h"
#include "coordinator/zk/znode.h"
#include "tests/fake/zk_memory.h"

#define WORLD_BROKERS_MAX    6
#define WORLD_TOPICS_MAX     8
#define WORLD_PARTITIONS_MAX 16
#define WORLD_EPOCHS_MAX     4096

/* What a broker's metadata cache says of a partition. */
struct world_metadata {
    bool known;
    int32_t leader, leader_epoch;
    struct uuid topic_id;
};

/* What a broker was told to be. */
struct world_replica {
    bool hosted;
    struct uuid topic_id;
    int32_t leader, leader_epoch, partition_epoch;
};

struct world_message {
    struct list_node node;
    int32_t from, to;
    int16_t api_key, api_version;
    struct buf bytes;
    bool answered; /* on its way back */
    int16_t error;
    struct arena *arena;
    const void *response;
    controller_sent_fn *sent;
    void *context;
};

struct world_broker {
    struct controller_peers peers; /* first: of this broker's controller */
    struct world *world;
    int32_t id;
    bool up;
    bool paused;    /* the process is stopped: nothing of it moves */
    bool accepting; /* a broker takes connections once it has registered */
    /* While it was not registered nobody told it of deletions: UpdateMetadata only adds, so it may
     * know partitions that are gone, here as with JVM brokers. */
    bool outlived_a_session;
    struct zk *session, *view;
    struct zk tap; /* what the controller sees of the view (history.c) */
    struct list_node tapped;
    int32_t tapped_count;
    int32_t waves; /* how often its controller began to wait for ZooKeeper */
    int64_t session_id;
    int64_t broker_epoch;
    int64_t intact_since; /* what it says of itself when it registers (znode.h) */
    struct controller *controller;

    int32_t seen_controller_epoch;
    int32_t controller_id; /* of the last request that was accepted */
    struct world_metadata metadata[WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    struct world_replica replicas[WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    int32_t live_brokers;
    bool refuses_to_delete; /* answers StopReplica with a storage error */
    bool keeps_strays;      /* refuses a role where it has a log of another topic of that name */
    int16_t role_error;     /* what it answers for each partition of LeaderAndIsr; 0: as it is */
    int32_t requests[3];    /* LeaderAndIsr, StopReplica, UpdateMetadata taken */
};

/* Real brokers behind the controllers (cluster.h). NULL functions: there are none. */
struct world_hooks {
    void (*started)(void *context, int32_t id);
    void (*registered)(void *context, int32_t id); /* it has a new broker epoch */
    void (*crashing)(void *context, int32_t id);   /* while its controller still is */
    void (*crashed)(void *context, int32_t id);
    /* Do what a controller asks; sets the response. */
    void (*take)(void *context, struct world_message *message);
    /* A state znode was written; called once for each. */
    void (*state_written)(void *context, int32_t topic, int32_t partition,
                          const struct znode_partition_state *state);
    void (*topic_doomed)(void *context, int32_t topic); /* somebody asked to delete it */
    void *context;
};

/* Ways to break it; each must be caught (mutations.c). */
enum world_mutation {
    WORLD_AS_IT_IS,
    WORLD_WITHOUT_GUARD, /* controllers write without the check of /controller_epoch */
    WORLD_WITHOUT_NOTES, /* controllers do not know what min.insync.replicas is (standing_note.h) */
};

struct world {
    uint64_t random;
    struct world_hooks hooks;
    enum world_mutation mutation;
    bool loses_answers; /* of brokers to controllers, at random */
    struct zk_memory *zk;
    struct clock_manual clock;
    struct world_broker brokers[WORLD_BROKERS_MAX];
    int32_t broker_count;
    struct list_node links[WORLD_BROKERS_MAX][WORLD_BROKERS_MAX]; /* struct world_message */
    bool has_answered[WORLD_BROKERS_MAX][WORLD_BROKERS_MAX];      /* since it was forgotten */
    char topics[WORLD_TOPICS_MAX][32];
    struct controller_settings settings;

    /* What the checks remember. */
    int64_t checked_zxid;
    int32_t last_controller_epoch;
    int32_t controller_of_epoch[WORLD_EPOCHS_MAX];
    int32_t deleting_epoch[WORLD_TOPICS_MAX]; /* of the last controller that deleted it */
    struct uuid seen_id[WORLD_TOPICS_MAX];
    int64_t seen_zxid[WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    int32_t seen_leader_epoch[WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    int32_t seen_leader[WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    char complaint[512]; /* empty: all promises hold */

    char *znode_text; /* what world_znode() gave last */

    /* history.c */
    bool is_recording;
    struct buf history;
    size_t told_at; /* where the line of the last UpdateMetadata begins; SIZE_MAX: others follow */
    struct buf told_rest;         /* what it told */
    bool told[WORLD_BROKERS_MAX]; /* and whom */
};

struct world *world_new(uint64_t seed, int32_t broker_count);
void world_free(struct world *world);
uint32_t world_random(struct world *world, uint32_t bound);

void world_start(struct world *world, int32_t id);  /* a process with a new session registers */
void world_crash(struct world *world, int32_t id);  /* its session lives on until it is expired */
void world_expire(struct world *world, int32_t id); /* the session of a living or crashed broker */
/* SIGSTOP and SIGCONT. */
void world_pause(struct world *world, int32_t id, bool paused);
void world_disconnect(struct world *world, int32_t from, int32_t to); /* requests under way fail */
/* The one connects to the other and is refused, rightly or not. */
void world_refuse(struct world *world, int32_t from, int32_t to);

/* One thing happens. False: nothing is to do but wait. */
bool world_step(struct world *world);
/* Until nothing is to do; time moves on by at most `ms` to let timers fire. */
void world_settle(struct world *world, int64_t ms);
void world_check(struct world *world);
/* A broken promise; the first one is kept. */
void world_complain(struct world *world, const char *format, ...) PRINTF_LIKE(2, 3);

struct world_broker *world_controller(struct world *world);  /* NULL: none is active */
int32_t world_topic(struct world *world, struct slice name); /* its index, made on first mention */
int32_t world_leader(struct world *world, const char *topic, int32_t partition); /* -2: no znode */
int32_t world_leader_epoch(struct world *world, const char *topic, int32_t partition);
/* What `text` the znode holds, NULL if there is none; lives in a buffer of the world. */
const char *world_znode(struct world *world, const char *path);

/* Requests to the active controller; false if there is none. The answer's code comes later in
 * *ret_error (-100 until then). */
#define WORLD_PENDING (-100)
bool world_create_topic(struct world *world, const char *topic, int32_t partitions, int16_t factor,
                        int32_t timeout_ms, int16_t *ret_error);
bool world_delete_topic(struct world *world, const char *topic, int16_t *ret_error);
bool world_grow_topic(struct world *world, const char *topic, int32_t partitions,
                      int16_t *ret_error);
