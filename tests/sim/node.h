/* A broker of the simulated cluster: the real parts (broker/log on a disk that forgets, the replica
 * manager and its partitions, the fetcher, the sender of ISR wishes, the handlers of broker/api),
 * joined as broker/server joins them, but with queues in place of threads. What is posted to a
 * thread waits in its queue until node_run() takes one piece.
 *
 * A node is one process: it begins with node_start() and ends with node_kill(); its directory
 * outlives it. Thread: everything on the simulator's own. */
#pragma once

#include <limits.h>

#include "broker/replica/fetcher.h"
#include "broker/server/server_internal.h"
#include "tests/sim/world.h"

struct cluster;

enum node_queue {
    QUEUE_NETWORK,
    QUEUE_CONTROL,
    QUEUE_CONTROLLER,
    QUEUE_FETCHER,
    QUEUE_WORKERS, /* many threads: taken in any order */
    QUEUE_COUNT
};

/* The types that broker/server knows by name only; here they lead back to the node. */
struct control_thread {
    struct node *node;
    struct timers timers;
};
struct controller_thread {
    struct node *node;
};
struct broker_channels {
    struct controller_peers peers;
    struct node *node;
};

struct node {
    struct server server; /* what the files of broker/server look into */
    struct cluster *cluster;
    struct world_broker *process;
    int32_t id;
    bool is_alive, is_dying;
    bool is_touched; /* it has done something since the promises were looked at */
    char dir[PATH_MAX];
    struct list_node queues[QUEUE_COUNT];
    struct control_thread control;
    struct controller_thread controller_thread;
    struct broker_channels channels;
    struct fetcher *fetcher;
    struct config *config;
};

void node_init(struct node *node, struct cluster *cluster, int32_t id, const char *dir);
/* Open the logs and join the parts. False, with a complaint: the logs do not open. */
bool node_start(struct node *node);
/* Its session is about to end, and nothing of it may come any more. */
void node_leave_zk(struct node *node);
/* kill -9: nothing that has not begun happens any more. The controller of the process is gone. */
void node_kill(struct node *node);
/* An orderly end of the logs, before the process ends. */
void node_close_logs(struct node *node);

/* What runs for this node from now on until node_leave(); may be nested. */
struct node *node_enter(struct node *node);
void node_leave(struct node *before);
struct node *node_current(void);

void node_post(struct node *node, enum node_queue queue, void (*run)(void *context), void *context);
/* One piece of a queue; false if there is none. */
bool node_run(struct node *node, enum node_queue queue);
bool node_is_idle(const struct node *node);
/* Timers that are due, of every part. */
void node_run_timers(struct node *node);
int64_t node_next_timer_ms(struct node *node);

/* node_disk.c: the files of all nodes lie below one directory. */
void node_disk_begin(const char *dir);
void node_disk_end(void);
/* The node's calls fail: its process is gone. */
void node_disk_refuse(bool is_refused);
/* The power of this node fails. */
int node_disk_cut(const struct node *node, uint64_t seed);
