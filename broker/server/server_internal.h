/* The struct of the server, for the files of broker/server that join its parts. */
#pragma once

#include "broker/api/broker.h"
#include "broker/api/producer_ids.h"
#include "broker/config/config_live.h"
#include "broker/server/broker_channels.h"
#include "broker/server/control_thread.h"
#include "broker/server/network.h"
#include "broker/server/server.h"
#include "broker/server/topic_settings.h"
#include "coordinator/controller/controller_thread.h"
#include "coordinator/embedded/embedded.h"
#include "coordinator/zk/registration.h"
#include "coordinator/zk/zk_session.h"

struct event;
struct config_watch;
struct disk_stall;
struct fetcher_threads;
struct isr_sender;
struct note_keeper;

struct server {
    const struct config *config; /* as the file says; config_now(live) is what is in force */
    struct config_live *live;
    struct clock *clock;
    char *zookeeper_connect; /* of the embedded coordinator too */
    struct embedded *embedded;
    struct arena *names;                 /* small strings that live as long as the server */
    struct failed_dir_work *failed_dirs; /* one for each of log.dirs, as each fails once */
    struct broker broker;

    struct network *network;
    struct control_thread *control;
    struct fetcher_threads *fetchers;
    struct isr_sender *isr_sender;
    struct note_keeper *note_keeper;
    struct disk_stall *disk_stall; /* NULL: not watched */
    struct topic_settings *topic_settings;

    struct zk_session *zk_session;
    struct mailbox *control_mailbox;
    struct zk *control_zk; /* the control thread's view */
    struct registration *registration;
    struct config_watch *config_watch;
    _Atomic int64_t broker_epoch;

    struct controller_thread *controller_thread;
    struct mailbox *controller_mailbox;
    struct zk *controller_zk;
    struct event *controller_mail;
    struct broker_channels *controller_channels; /* the controller's, to every broker */
    struct broker_channels *client_channels;     /* ours, to the controller */
    struct controller_configs controller_configs;
    bool is_controller_started;

    struct timer checkpoint_timer;
    int fault_pipe[2];
    char *fault; /* set once, before the pipe is written */
    _Atomic bool has_fault, is_stopping;

    _Atomic int64_t registered_count;
};

/* End the broker with this sentence. Threads: any; the first counts. */
void server_fail(struct server *server, const char *format, ...) PRINTF_LIKE(2, 3);

/* Follow changed listeners, limits on connections and numbers of threads. Thread: control.
 * Errors: as network_update(). */
MUST_USE enum err server_update_network(struct server *server, const struct config *config);

/* cluster.c: the functions that handlers reach the cluster by. */
void server_join_cluster(struct server *server);
/* Leave in order: the controller moves our leaders away. Blocks, at most the configured retries. */
void server_controlled_shutdown(struct server *server);

/* api_table.c */
const struct api_entry *server_api_lookup(int16_t api_key);
const struct api_range *server_api_ranges(int32_t *ret_count);
