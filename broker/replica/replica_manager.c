/* The table of partitions. Its keys are topic and number joined; the lookup on the hot path builds
 * the key on the stack. */
#include "broker/replica/replica_manager_internal.h"

#include <stdio.h>

#include "broker/replica/held_watermarks.h"

size_t replica_key(char key[static REPLICA_KEY_MAX], struct slice topic, int32_t partition)
{
    size_t size = topic.size < TOPIC_NAME_MAX ? topic.size : TOPIC_NAME_MAX;
    memcpy(key, topic.data ? (const char *)topic.data : "", size);
    memcpy(key + size, &partition, sizeof partition);
    return size + sizeof partition;
}

/* Retention knows of no partitions; those who fetch are to hear of the new start. */
static void start_raised(void *context, const struct log *log)
{
    struct partition *partition =
        replica_manager_get(context, slice_str(log_topic(log)), log_partition(log));
    if (partition)
        partition_log_start_moved(partition);
    partition_unref(partition);
}

int64_t replica_manager_release_watermarks(struct replica_manager *manager)
{
    return held_watermarks_look(manager->host.held_watermarks);
}

static void brokers_changed(void *context)
{
    const struct replica_manager_options *options = &((struct replica_manager *)context)->options;
    int64_t next_ms = replica_manager_release_watermarks(context);
    if (next_ms != INT64_MAX && options->look_at_watermarks)
        options->look_at_watermarks(options->context, next_ms);
}

struct replica_manager *replica_manager_new(const struct replica_manager_options *options)
{
    struct replica_manager *manager = mem_new(struct replica_manager);
    manager->options = *options;
    manager->controller_epoch = -1;
    manager->host.isr_thinned = options->isr_thinned;
    manager->host.context = options->context;
    manager->host.live_brokers = metadata_live_brokers(options->metadata_cache);
    atomic_store(&manager->host.replica_lag_max_ms, options->replica_lag_max_ms > 0
                                                        ? options->replica_lag_max_ms
                                                        : REPLICA_LAG_DEFAULT_MS);
    lock_init(&manager->lock, RANK_REPLICA_MANAGER, "replica manager");
    manager->host.held_watermarks =
        held_watermarks_new(options->look_at_watermarks, options->context);
    log_manager_on_start_raised(options->log_manager, start_raised, manager);
    metadata_cache_on_change(options->metadata_cache, brokers_changed, manager);
    return manager;
}

void replica_manager_set_fetchers(struct replica_manager *manager, struct replica_fetchers fetchers)
{
    manager->fetchers = fetchers;
}

enum err replica_manager_follower_fetched(struct replica_manager *manager,
                                          struct partition *partition, int32_t leader_epoch,
                                          int32_t replica_id, int64_t broker_epoch,
                                          int64_t fetch_offset, int64_t leader_end_offset,
                                          int64_t log_start_offset)
{
    enum err e = partition_follower_fetched_in(partition, leader_epoch, replica_id, broker_epoch,
                                               fetch_offset, leader_end_offset, log_start_offset);
    struct isr_change *change = e ? NULL : partition_expand_isr(partition, replica_id);
    if (change && manager->options.isr_changed)
        manager->options.isr_changed(manager->options.context, change);
    else
        isr_change_free(change);
    return e;
}

void replica_manager_disk_stood(struct replica_manager *manager, int64_t now_ms)
{
    atomic_store(&manager->host.disk_stood_until_ms, now_ms);
}

void replica_manager_hand_over(struct replica_manager *manager, bool begins)
{
    atomic_store(&manager->host.is_handing_over, begins);
    if (begins)
        atomic_fetch_add(&manager->host.hand_overs, 1);
}

void replica_manager_leave(struct replica_manager *manager)
{
    atomic_store(&manager->is_leaving, true);
}

void replica_manager_free(struct replica_manager *manager)
{
    if (!manager)
        return;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&manager->partitions, &i));)
        partition_unref(e->value);
    map_done(&manager->partitions);
    held_watermarks_free(manager->host.held_watermarks);
    lock_done(&manager->lock);
    free(manager);
}

struct partition *replica_manager_get(struct replica_manager *manager, struct slice topic,
                                      int32_t partition)
{
    if (topic.size > TOPIC_NAME_MAX)
        return NULL;
    char key[REPLICA_KEY_MAX];
    size_t size = replica_key(key, topic, partition);
    LOCK_SCOPE(&manager->lock);
    struct partition *found = map_get(&manager->partitions, slice_of(key, size));
    if (found)
        partition_ref(found);
    return found;
}

enum err replica_manager_find(struct replica_manager *manager, struct slice topic,
                              int32_t partition, struct partition **ret)
{
    struct partition *found = replica_manager_get(manager, topic, partition);
    if (found) {
        *ret = found;
        return ERR_OK;
    }
    return metadata_has_partition(manager->options.metadata_cache, topic, partition)
               ? ERR_NOT_LEADER_OR_FOLLOWER
               : ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

struct partition *replica_manager_get_or_make(struct replica_manager *manager, struct slice topic,
                                              int32_t partition, struct uuid topic_id)
{
    struct partition *found = replica_manager_get(manager, topic, partition);
    if (found)
        return found;
    OWNED_MEM char *name = slice_dup(topic);
    found = partition_new(name, partition, topic_id, manager->options.broker_id,
                          manager->options.clock);
    partition_set_host(found, &manager->host);
    partition_ref(found); /* one for the table, one for the caller */
    char key[REPLICA_KEY_MAX];
    size_t size = replica_key(key, topic, partition);
    LOCK_SCOPE(&manager->lock);
    map_put(&manager->partitions, slice_of(key, size), found);
    return found;
}

void replica_manager_remove(struct replica_manager *manager, struct slice topic, int32_t partition)
{
    char key[REPLICA_KEY_MAX];
    size_t size = replica_key(key, topic, partition);
    lock_acquire(&manager->lock);
    struct partition *gone = map_remove(&manager->partitions, slice_of(key, size));
    lock_release(&manager->lock);
    partition_unref(gone);
}

void replica_unfollow(struct replica_manager *manager, struct partition *partition)
{
    if (manager->fetchers.unfollow)
        manager->fetchers.unfollow(manager->fetchers.context, partition);
}

/* References to all partitions, NULL-terminated, the caller's to give back and free. */
static struct partition **all_partitions(struct replica_manager *manager)
{
    LOCK_SCOPE(&manager->lock);
    struct partition **all = mem_new_array(struct partition *, manager->partitions.count + 1);
    size_t count = 0;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&manager->partitions, &i));) {
        partition_ref(e->value);
        all[count++] = e->value;
    }
    return all;
}

void replica_manager_for_each(struct replica_manager *manager,
                              void (*visit)(void *context, struct partition *partition),
                              void *context)
{
    OWNED_MEM struct partition **all = all_partitions(manager);
    for (size_t i = 0; all[i]; i++) {
        visit(context, all[i]);
        partition_unref(all[i]);
    }
}

static void follow_again(void *context, struct partition *partition)
{
    struct replica_manager *manager = context;
    int32_t leader_id = partition_leader_id(partition);
    if (partition_role(partition) == ROLE_FOLLOWER && leader_id >= 0 &&
        !partition_is_stopped(partition))
        manager->fetchers.follow(manager->fetchers.context, partition, leader_id,
                                 partition_leader_epoch(partition));
}

void replica_manager_follow_all(struct replica_manager *manager)
{
    replica_manager_for_each(manager, follow_again, manager);
}

struct failed_dir {
    struct replica_manager *manager;
    const struct log_dir *dir;
    int32_t count;
};

static void retire_if_there(void *context, struct partition *partition)
{
    struct failed_dir *failed = context;
    struct log *log = partition_log(partition);
    if (!log || log_dir_of(log) != failed->dir)
        return;
    replica_unfollow(failed->manager, partition);
    partition_retire(partition, true);
    failed->count++;
}

int32_t replica_manager_dir_failed(struct replica_manager *manager, const struct log_dir *dir)
{
    struct failed_dir failed = {.manager = manager, .dir = dir};
    replica_manager_for_each(manager, retire_if_there, &failed);
    return failed.count;
}

struct topic_change {
    const char *topic;
    int32_t min_insync_replicas;
};

static void apply_min_isr(void *context, struct partition *partition)
{
    const struct topic_change *change = context;
    if (strcmp(partition_topic(partition), change->topic) == 0)
        partition_set_min_insync_replicas(partition, change->min_insync_replicas);
}

void replica_manager_topic_changed(struct replica_manager *manager, const char *topic)
{
    struct topic_change change = {
        topic, manager->options.min_insync_replicas(manager->options.context, topic)};
    replica_manager_for_each(manager, apply_min_isr, &change);
}

static int64_t high_watermark_of(void *context, struct log *log)
{
    struct partition *partition =
        replica_manager_get(context, slice_str(log_topic(log)), log_partition(log));
    if (!partition)
        return -1;
    int64_t high_watermark = partition_high_watermark(partition);
    partition_unref(partition);
    return high_watermark;
}

enum err replica_manager_checkpoint(struct replica_manager *manager)
{
    if (!atomic_load(&manager->has_roles))
        return ERR_OK;
    return log_manager_checkpoint_high_watermarks(manager->options.log_manager, high_watermark_of,
                                                  manager);
}
