/* A whole cluster in one thread: the controllers, ZooKeeper and sessions of world.h, and behind
 * them real brokers (node.h), clients that write and read, disks that forget. Everything moves by
 * cluster_step(), drawn from the seed; after each step the promises are looked at (promises.h). */
#pragma once

#include "tests/sim/node.h"
#include "tests/sim/world.h"

#define CLUSTER_LAG_MS 3000 /* replica.lag.time.max.ms */

struct promises;
struct clients;

struct cluster {
    struct world *world;
    struct node nodes[WORLD_BROKERS_MAX];
    struct list_node calls; /* calls.c */
    int32_t calls_count;
    char dir[PATH_MAX];
    int32_t min_isr; /* min.insync.replicas of every topic */
    bool has_losses; /* connections break */
    /* The topic of that name and partition of whose end each broker's process has heard last. */
    struct uuid told_deleted[WORLD_BROKERS_MAX][WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    struct promises *promises;
    struct clients *clients;
};

struct cluster *cluster_new(uint64_t seed, int32_t brokers);
void cluster_free(struct cluster *cluster);

/* One thing happens somewhere; false: nothing is to do but wait. */
bool cluster_step(struct cluster *cluster);
/* Time goes on, and what is due happens. */
void cluster_pass(struct cluster *cluster, int64_t ms);
/* Steps and time until `is_so` says yes; false if it does not within `ms`. */
bool cluster_run_until(struct cluster *cluster, bool (*is_so)(struct cluster *cluster), int64_t ms);

/* The power of a broker fails: what it has not synced is gone. It is down after it. */
void cluster_cut_power(struct cluster *cluster, int32_t id);
/* And its disk is replaced by an empty one. */
void cluster_replace_disk(struct cluster *cluster, int32_t id);
/* An orderly stop, once the controller has moved its leaders away (or not). */
void cluster_stop(struct cluster *cluster, int32_t id);

/* Before any broker begins: it is what stands in the files of all. */
void cluster_set_min_isr(struct cluster *cluster, int32_t count);
int32_t cluster_min_isr(struct cluster *cluster, const char *topic);
/* Whom some broker, drawn by chance, believes to lead. -1: nobody. */
int32_t cluster_guess_leader(struct cluster *cluster, int32_t topic, int32_t partition);
/* Every partition has a leader that has all of its replicas in sync, and all brokers are up. */
bool cluster_is_whole(struct cluster *cluster);
