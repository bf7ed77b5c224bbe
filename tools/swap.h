/* `stoker brokers check-swap`: what is known of a cluster before a JVM broker is replaced by
 * Stoker, and what follows from it. swap_read.c asks brokers, swap_znodes.c asks ZooKeeper,
 * swap_rules.c judges what they found and asks nobody, so that a test can be the cluster.
 * Everything lives as long as the process. */
#pragma once

#include "broker/config/config.h"
#include "tools/cli.h"
#include "tools/client.h"

enum swap_level {
    SWAP_NOTE,    /* good to know */
    SWAP_WARNING, /* the swap is possible; somebody will notice */
    SWAP_BLOCKS,  /* stands in the way */
};

struct swap_finding {
    enum swap_level level;
    const char *about; /* one word for programs: "acls", "settings" */
    const char *sentence;
};

struct swap_findings {
    struct swap_finding *items;
    int32_t count;
    size_t capacity;
};

struct swap_partition {
    int32_t id, leader; /* leader -1: none */
    const int32_t *replicas, *isr;
    int32_t replicas_count, isr_count;
};

struct swap_topic {
    const char *name;
    bool is_compacted, is_tiered;
    int32_t min_isr;
    struct swap_partition *partitions;
    int32_t partitions_count;
};

struct swap_dir {
    const char *path, *error; /* error NULL: online */
    int32_t replicas, moving; /* moving: copies that are to replace one in another directory */
};

struct swap_broker {
    int32_t id;
    bool is_live, is_stoker;
    const char *unread;           /* why its settings are not known; NULL: they are */
    struct config_pair *settings; /* what is not a default, values that are shown */
    int32_t settings_count;
    struct texts hidden;    /* names that are set with a value that is not shown */
    struct texts listeners; /* "SSL EXTERNAL": protocol and name, as registered */
    struct swap_dir *dirs;
    int32_t dirs_count;
};

struct swap_znodes {
    const char *unread;             /* why ZooKeeper was not looked at; NULL: it was */
    int64_t kraft_controller_epoch; /* of /controller; -1: a broker is the controller */
    bool is_migrating;              /* /migration stands there */
    const char *features;           /* finalized ones, "metadata.version, …"; NULL: none */
    int32_t acls, tokens, quotas, deletions;
};

struct swap_cluster {
    struct swap_broker *brokers; /* those that are asked about */
    int32_t brokers_count;
    const int32_t *stokers; /* of all that live: those that are Stoker, and how many are not */
    int32_t stokers_count, kafka_count;
    struct swap_topic *topics;
    int32_t topics_count;
    int32_t reassignments;
    const char *reassignments_unread; /* why they are not known */
    struct swap_znodes znodes;
};

/* --- swap_read.c: ends the process where nothing can be said without the answer --- */
void swap_read_brokers(struct client *client, int32_t only_broker, struct swap_cluster *ret);

/* --- swap_znodes.c --- */
/* A bootstrap list made of what is registered, or NULL where no listener speaks PLAINTEXT. Fills
 * the registered listeners of the brokers that are there. */
struct swap_zookeeper;
/* digest: "user:password", or NULL. */
MUST_USE enum err swap_zookeeper_open(const char *connect, const char *digest,
                                      struct swap_zookeeper **ret);
void swap_zookeeper_close(struct swap_zookeeper *zookeeper);
const char *swap_zookeeper_bootstrap(struct swap_zookeeper *zookeeper);
void swap_zookeeper_read(struct swap_zookeeper *zookeeper, struct swap_cluster *ret);

/* --- swap_rules.c --- */
void swap_judge_cluster(const struct swap_cluster *cluster, struct swap_findings *ret);
void swap_judge_broker(const struct swap_cluster *cluster, const struct swap_broker *broker,
                       struct swap_findings *ret);
/* A file, or settings alone (path NULL), as `stokerd --check` would have it. */
void swap_judge_settings(const char *path, const struct config_pair *settings, int32_t count,
                         struct swap_findings *ret);
bool swap_is_blocked(const struct swap_findings *findings);
