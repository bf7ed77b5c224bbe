/* What the active controller knows of the cluster: brokers, topics, partitions, and the state of
 * each partition and replica. It is loaded at fail-over, then kept by events. Every table can be
 * walked from the side an event comes from (a broker's replicas, a topic's partitions, the
 * partitions that wait for a leader), so that the cost of an event is that of what it touches.
 *
 * Broker objects live until the context is reset, so pointers to them stay good after the broker
 * has left. */
#pragma once

#include "broker/base/list.h"
#include "broker/base/map.h"
#include "broker/base/uuid.h"
#include "coordinator/controller/controller.h"
#include "coordinator/controller/ids.h"

#define LEADER_NONE          (-1)
#define LEADER_DURING_DELETE (-2)
#define EPOCH_DURING_DELETE  (-2)
#define LEADER_EPOCH_NONE    (-1)
#define LEADER_EPOCH_INITIAL 0
#define PARTITIONS_MAX       (1 << 24) /* of one topic; a partition number beyond it is refused */

/*   NONEXISTENT --> NEW --> ONLINE <--> OFFLINE --> NONEXISTENT
 *                    '-------------------^
 * NONEXISTENT  never made, or deleted.
 * NEW          has an assignment, no leader and no state znode yet.
 * ONLINE       has a state znode that names a leader which was online when it was written.
 * OFFLINE      has a state znode, and its leader is not online. */
enum partition_state { PARTITION_NONEXISTENT, PARTITION_NEW, PARTITION_ONLINE, PARTITION_OFFLINE };

/*   NONEXISTENT --> NEW --> ONLINE <--> OFFLINE --> DELETION_STARTED --> DELETION_SUCCESSFUL -->
 * NONEXISTENT
 *                    '-------------------^  |               |
 *                            ONLINE/OFFLINE <--> DELETION_INELIGIBLE <-'
 * NEW                  its partition was made or it was added; it can be a follower only.
 * ONLINE               on a broker that is there, or will be told as soon as it is.
 * OFFLINE              its broker is gone or shutting down, or its disk has failed.
 * DELETION_STARTED     its broker was told to delete it.
 * DELETION_SUCCESSFUL  the broker said it has.
 * DELETION_INELIGIBLE  it cannot be deleted now: broker gone, or it failed. */
enum replica_state {
    REPLICA_NONEXISTENT,
    REPLICA_NEW,
    REPLICA_ONLINE,
    REPLICA_OFFLINE,
    REPLICA_DELETION_STARTED,
    REPLICA_DELETION_SUCCESSFUL,
    REPLICA_DELETION_INELIGIBLE,
};

struct broker_node {
    int32_t id;
    int64_t broker_epoch;
    int64_t intact_since; /* it has lost nothing since this broker epoch; 0: it does not say */
    bool registered;
    bool shutting_down;
    bool crashed;                          /* shutting down by our word alone (crash.c) */
    bool told_in_batch;                    /* the batch being built sends it an UpdateMetadata */
    struct controller_endpoint *endpoints; /* in the order of the registration */
    int32_t endpoint_count;
    char *rack;
    char *endpoint_text; /* as registered, to see whether a later registration differs */
    bool usable;         /* endpoints could be read and the controller's listener is among them */
    struct channel *channel;
    struct partition **replicas; /* partitions with a replica here */
    size_t replica_count, replica_capacity;
};

struct replica {
    struct broker_node *broker;
    enum replica_state state;
    bool dir_offline; /* the broker says that its log directory has failed */
    bool has_role;    /* it says that it took the last one it was told */
    bool is_stray;    /* it could not: a log of another topic of this name lies there (strays.c) */
    bool stray_deleted; /* we have asked it to delete that log */
    size_t slot;        /* in broker->replicas */
};

struct leadership {
    int32_t leader, leader_epoch;
    struct ids isr;
    int8_t recovery_state; /* 0 recovered, 1 recovering */
    int32_t controller_epoch;
    int32_t zk_version;  /* the partition epoch */
    int64_t led_zxid;    /* see last_standing.h; 0: not known */
    int32_t led_version; /* the partition epoch of that state */
    char *unknown; /* the whole text, where it has keys we do not know, to keep them; else NULL */
};

struct partition {
    struct topic *topic;
    int32_t id;
    enum partition_state state;
    struct ids replicas, adding, removing; /* the stored assignment, preferred leader first */
    struct replica *known; /* every replica with a state; a few more than `replicas` at times */
    int32_t known_count;
    bool has_leadership; /* the state znode exists */
    struct leadership leadership;
    bool in_batch;            /* the batch being built has it in UpdateMetadata */
    bool self_leads;          /* this broker's own metadata cache names a leader for it */
    int32_t self_epoch;       /* and in what leader epoch */
    struct list_node waiting; /* in context.waiting while NEW or OFFLINE */
};

struct topic {
    char *name;
    struct uuid id;                /* zero: none known */
    struct partition **partitions; /* rising ids */
    int32_t partition_count;
    size_t partition_capacity;
    bool deleting; /* named under /admin/delete_topics */
    bool delete_started;
    bool delete_ineligible;
    bool self_knows;              /* this broker's own metadata cache has it */
    struct list_node delete_node; /* in context.deleting */
};

struct context {
    struct map brokers; /* id -> broker_node */
    struct map topics;  /* name -> topic */
    struct map ids;     /* topic id -> topic */
    struct list_node waiting;
    struct list_node deleting;
    int32_t partition_count;
    int32_t registered_count;
};

struct partition_list {
    struct partition **items;
    size_t count, capacity;
};
struct replica_ref {
    struct partition *partition;
    struct broker_node *broker;
};
struct replica_list {
    struct replica_ref *items;
    size_t count, capacity;
};
void partition_list_add(struct partition_list *list, struct partition *partition);
void partition_list_done(struct partition_list *list);
void replica_list_add(struct replica_list *list, struct partition *partition,
                      struct broker_node *broker);
void replica_list_done(struct replica_list *list);
#define PARTITION_LIST __attribute__((cleanup(partition_list_done))) struct partition_list
#define REPLICA_LIST   __attribute__((cleanup(replica_list_done))) struct replica_list

void context_init(struct context *context);
void context_done(struct context *context); /* everything goes; init may follow */

/* Made on first mention. */
struct broker_node *context_broker(struct context *context, int32_t id);
struct broker_node *context_find_broker(const struct context *context, int32_t id);
/* Registered brokers by rising id, in an array that the caller frees. */
struct broker_node **context_registered(const struct context *context, size_t *ret_count);
bool broker_is_live(
    const struct broker_node *broker); /* registered and not shutting down; NULL: no */
bool context_is_live(const struct context *context, int32_t id);
const struct controller_endpoint *broker_endpoint(const struct broker_node *broker,
                                                  const char *listener);
void broker_clear_registration(struct broker_node *broker);

struct topic *context_topic(const struct context *context, struct slice name);
struct topic *context_topic_by_id(const struct context *context, struct uuid id);
struct topic *context_add_topic(struct context *context, struct slice name);
void context_set_topic_id(struct context *context, struct topic *topic, struct uuid id);
/* Its partitions go too. */
void context_remove_topic(struct context *context, struct topic *topic);

struct partition *topic_partition(const struct topic *topic, int32_t id);
struct partition *context_add_partition(struct context *context, struct topic *topic, int32_t id);
struct partition *context_partition(const struct context *context, struct slice topic, int32_t id);

/* Replaces the assignment; replicas that left it keep their state until they are removed. */
void partition_assign(struct context *context, struct partition *partition,
                      const struct ids *replicas, const struct ids *adding,
                      const struct ids *removing);
bool partition_is_reassigning(const struct partition *partition);
/* Its topic is being deleted: nobody leads it any more. Not yet while it is reassigned: the
 * deletion waits for the reassignment, and that needs a leader to come to its end. */
bool partition_is_given_up(const struct partition *partition);
/* Replicas that the reassignment, if any, aims at, and that it started from, in `ret` (to be
 * freed). */
void partition_target(const struct partition *partition, struct ids *ret);
void partition_origin(const struct partition *partition, struct ids *ret);

/* NULL where the broker has no replica of it. */
struct replica *partition_replica(const struct partition *partition, int32_t broker_id);
struct replica *partition_add_replica(struct context *context, struct partition *partition,
                                      int32_t broker_id);
void partition_remove_replica(struct partition *partition, int32_t broker_id);
/* Its broker is live and its directory has not failed. */
bool partition_replica_is_online(const struct context *context, const struct partition *partition,
                                 int32_t broker_id);

/* It stands in ZooKeeper now, under this version. zxid: what led_zxid becomes where it is still 0,
 * standing_known() of what this controller wrote, else the time of the writing. */
void leadership_stands(struct leadership *leadership, int32_t zk_version, int64_t zxid);
struct leadership leadership_copy(const struct leadership *leadership);
void leadership_done(struct leadership *leadership);
/* Takes the memory of `leadership`. */
void partition_set_leadership(struct partition *partition, struct leadership *leadership);
void partition_forget_leadership(struct partition *partition);

/* The one function that moves a partition. False, traced, if the table of moves does not allow it.
 */
bool partition_move(struct context *context, struct partition *partition,
                    enum partition_state state);
bool partition_may_move(const struct partition *partition, enum partition_state state);
/* The one function that moves a replica. */
bool replica_move(struct partition *partition, struct replica *replica, enum replica_state state);
bool replica_may_move(enum replica_state from, enum replica_state to);
