/* What the files of the controller share: its struct, its events, and who does what. Not for
 * others. */
#pragma once

#include <stdio.h>

#include "coordinator/controller/batch.h"
#include "coordinator/controller/channel.h"
#include "coordinator/controller/context.h"
#include "coordinator/controller/controller.h"
#include "coordinator/controller/fiber.h"
#include "coordinator/controller/leader_pick.h"
#include "coordinator/controller/wave.h"

#define PATH_MAX_BYTES 512 /* a topic name has at most 249 */

/* An event runs on the fiber. cancelled: it will not be done (session lost, controller freed); it
 * answers whoever waits and releases its context. What it gives back: ERR_CONTROLLER_FENCED makes
 * the controller look who rules now; other errors are traced. */
typedef enum err event_fn(struct controller *controller, void *context, bool cancelled);

struct event {
    struct list_node node;
    const char *name;
    event_fn *run;
    void *context;
};

struct controller {
    struct controller_settings settings; /* strings owned */
    struct rpc_versions versions;
    int32_t ibp_level;
    struct zk *zk;
    struct controller_peers *peers;
    struct controller_configs *configs;
    struct clock *clock;
    struct timers timers;
    uint64_t random;

    struct fiber *fiber;
    struct list_node events;
    int32_t event_count;
    const struct wave *awaited; /* what the fiber waits for; NULL: for an event */
    bool in_fiber, waits_connection, wake;
    int32_t holds;
    bool closing;

    enum zk_state zk_state;
    int64_t session_id;
    bool session_lost; /* from the expiry until its event has been processed */
    bool started;      /* registered once */

    bool active;
    bool failing_over;
    int32_t active_id; /* who /controller names; -1: nobody */
    int32_t epoch, epoch_zk_version;
    struct context context;
    struct batch batch;

    struct timer rebalance_timer;
    struct timer retry_timer; /* elects again after a failed election or fail-over */
    struct list_node waits; /* admin requests that wait for this broker's metadata (admin_wait.c) */
};

/* controller.c */
void controller_enqueue(struct controller *controller, const char *name, event_fn *run,
                        void *context);
/* Between the two no event begins or goes on. */
void controller_hold(struct controller *controller);
void controller_release(struct controller *controller);
void controller_wait(struct controller *controller, const struct wave *wave);
void controller_wait_connected(struct controller *controller, const struct wave *wave);
void controller_wake(struct controller *controller, const struct wave *wave);
uint32_t controller_random(struct controller *controller, uint32_t bound);
/* The error is not for this event alone: the event ends. */
static inline bool err_ends_event(enum err e)
{
    return e == ERR_CONTROLLER_FENCED || e == ERR_SESSION_EXPIRED || e == ERR_CANCELLED;
}

/* election.c */
void election_init(struct controller *controller);
event_fn event_startup, event_reelect, event_controller_change, event_expire;
MUST_USE enum err election_maybe_resign(struct controller *controller);
void election_resign(struct controller *controller);
/* Something went wrong that another controller may do better: give up /controller. */
MUST_USE enum err election_force_move(struct controller *controller);

/* failover.c */
MUST_USE enum err failover_run(struct controller *controller);
MUST_USE enum err features_enable(struct controller *controller);

/* brokers.c */
event_fn event_broker_change, event_broker_modified;
MUST_USE enum err brokers_load(struct controller *controller);
MUST_USE enum err replicas_become_offline(struct controller *controller,
                                          struct replica_list *replicas);
/* One that was believed to have ended has not: its replicas are online again. */
MUST_USE enum err brokers_return(struct controller *controller, struct broker_node *broker);
void brokers_tell_all(struct controller *controller);        /* UpdateMetadata without partitions */
void brokers_tell_everything(struct controller *controller); /* of all partitions, too */

/* broker_requests.c: others of the ISR lead what it leads, and it leaves the ISRs it follows in. */
MUST_USE enum err broker_relieve(struct controller *controller, struct broker_node *broker);

/* crash.c */
void crash_init(struct controller *controller);
/* A broker with `crashed` set has obeyed. */
void crash_denied(struct controller *controller, const struct broker_node *broker);

/* topics.c */
event_fn event_topic_change, event_partition_modified;
MUST_USE enum err topics_load(struct controller *controller);
MUST_USE enum err partitions_start_new(struct controller *controller,
                                       struct partition_list *partitions);

/* deletion.c */
event_fn event_topic_deletion;
MUST_USE enum err deletion_load(struct controller *controller);
void deletion_enqueue(struct controller *controller, struct topic *topic);
MUST_USE enum err deletion_resume(struct controller *controller);
MUST_USE enum err deletion_fail_replicas(struct controller *controller,
                                         struct replica_list *replicas);
void deletion_resume_for_broker(struct controller *controller, struct broker_node *broker);
/* A reassignment of it has ended: a deletion that waited for the last one may go on. */
void deletion_resume_for_topic(struct topic *topic);
void deletion_answered(struct controller *controller, struct answers *answers);

/* partition_machine.c */
MUST_USE enum err partition_machine_start(struct controller *controller);
/* New ones get a state znode. Sends within the open batch. */
MUST_USE enum err partitions_initialize(struct controller *controller,
                                        struct partition_list *partitions);
/* ret_errors: one for each of the list, or NULL. */
MUST_USE enum err partitions_elect(struct controller *controller,
                                   const struct partition_list *partitions, enum election how,
                                   enum err *ret_errors);
/* Those that are new or offline and not being deleted; in a batch of its own. *ret_elected: any
 * success. */
MUST_USE enum err partitions_elect_waiting(struct controller *controller, bool *ret_elected);
/* Read state znodes anew into the cache. */
MUST_USE enum err partitions_refresh(struct controller *controller,
                                     const struct partition_list *partitions);
void partition_path(const struct partition *partition, char path[static PATH_MAX_BYTES]);

/* replica_machine.c */
/* Out of the ISR, and no leader any more; their states as replicas stay. */
MUST_USE enum err replicas_leave_isr(struct controller *controller, struct replica_list *replicas);
MUST_USE enum err replica_machine_start(struct controller *controller);
/* All to one state, in a batch of its own. Sorts the list. */
MUST_USE enum err replicas_move(struct controller *controller, struct replica_list *replicas,
                                enum replica_state state);

/* shutdown.c, alter_partition.c, preferred.c, notifications.c, producer_ids.c, admin_*.c */
MUST_USE enum err preferred_run_znode(struct controller *controller);
event_fn event_preferred_znode;
void preferred_init(struct controller *controller);
void preferred_start_timer(struct controller *controller);
event_fn event_isr_notification, event_log_dir_notification;
MUST_USE enum err notifications_clear(struct controller *controller);

/* reassignment_legacy.c; the rest is in reassignment.h */
event_fn event_reassignment_znode;

/* admin_wait.c */
void waits_check(struct controller *controller);
void waits_cancel(struct controller *controller);
/* This broker's own metadata cache has taken an UpdateMetadata. */
void waits_self_told(struct controller *controller, const struct update_metadata_request *request);

/* log_dir answers of LeaderAndIsr */
void log_dirs_answered(struct controller *controller, struct answers *answers);

/* strays.c */
bool partition_has_stray(const struct partition *partition);
void strays_answered(struct controller *controller, struct answers *answers);
