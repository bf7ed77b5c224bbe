/* Life and roles of a partition, and the watermark that its replicas allow. Reading and appending
 * stand in partition_io.c. */
#include "broker/replica/partition_complete.h"
#include "broker/replica/held_watermarks.h"
#include "broker/replica/partition_internal.h"

#define UNKNOWN_OFFSET (-1)
#define NEVER_MS       (INT64_MIN / 2) /* longer ago than any time-out */

struct partition *partition_new(const char *topic, int32_t id, struct uuid topic_id,
                                int32_t broker_id, struct clock *clock)
{
    struct partition *partition = mem_new(struct partition);
    partition->topic = mem_strdup(topic);
    partition->id = id;
    partition->topic_id = topic_id;
    partition->broker_id = broker_id;
    partition->clock = clock;
    partition->references = 1;
    partition->leader_id = NO_BROKER;
    partition->leader_epoch = NO_LEADER_EPOCH;
    partition->partition_epoch = -1;
    partition->min_insync_replicas = 1;
    partition->joining_id = NO_BROKER;
    partition->noted_epoch = NO_NOTE;
    lock_init(&partition->lock, RANK_PARTITION, "partition");
    list_init(&partition->watchers);
    list_init(&partition->ack_waiters);
    list_init(&partition->delete_waiters);
    return partition;
}

void partition_ref(struct partition *partition)
{
    atomic_fetch_add(&partition->references, 1);
}

void partition_unref(struct partition *partition)
{
    if (!partition || atomic_fetch_sub(&partition->references, 1) > 1)
        return;
    assert(list_is_empty(&partition->watchers)); /* who watches or waits holds a reference */
    assert(list_is_empty(&partition->ack_waiters));
    assert(list_is_empty(&partition->delete_waiters));
    partition_end_rests(partition);
    free(partition->isr);
    free(partition->replicas);
    free(partition->remotes);
    free(partition->topic);
    lock_done(&partition->lock);
    free(partition);
}

const char *partition_topic(const struct partition *partition)
{
    return partition->topic;
}

int32_t partition_id(const struct partition *partition)
{
    return partition->id;
}

struct uuid partition_topic_id(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    return partition->topic_id;
}

int64_t partition_high_watermark(const struct partition *partition)
{
    return atomic_load_explicit(&partition->high_watermark, memory_order_acquire);
}

enum role partition_role(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    return partition->role;
}

int32_t partition_leader_epoch(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    return partition->leader_epoch;
}

int32_t partition_leader_id(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    return partition->leader_id;
}

struct log *partition_log(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    return partition->log;
}

/* --- who watches or waits --- */

void partition_tell_readers(struct partition *partition, enum movement movement)
{
    assert_held(&partition->lock);
    list_for_each (&partition->watchers, node) {
        struct partition_watcher *watcher = list_entry(node, struct partition_watcher, node);
        watcher->moved(watcher, movement);
    }
}

void partition_log_start_moved(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    partition_tell_readers(partition, MOVED_START);
}

static void tell_acks_below(struct partition *partition, int64_t high_watermark)
{
    list_for_each (&partition->ack_waiters, node) {
        struct partition_waiter *waiter = list_entry(node, struct partition_waiter, node);
        if (waiter->offset <= high_watermark) {
            list_remove(node);
            waiter->moved(waiter);
        }
    }
}

void partition_tell_everyone(struct partition *partition)
{
    tell_acks_below(partition, INT64_MAX);
    partition_tell_deleters(partition);
    partition_tell_readers(partition, MOVED_ROLE);
}

void partition_watch(struct partition *partition, struct partition_watcher *watcher)
{
    LOCK_SCOPE(&partition->lock);
    assert(!list_is_linked(&watcher->node)); /* twice would cut off those behind it */
    list_push_back(&partition->watchers, &watcher->node);
}

void partition_unwatch(struct partition *partition, struct partition_watcher *watcher)
{
    LOCK_SCOPE(&partition->lock);
    list_remove(&watcher->node);
}

bool partition_wait_ack(struct partition *partition, struct partition_waiter *waiter)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role != ROLE_LEADER || partition_high_watermark(partition) >= waiter->offset)
        return false;
    list_push_back(&partition->ack_waiters, &waiter->node);
    return true;
}

void partition_stop_waiting(struct partition *partition, struct partition_waiter *waiter)
{
    LOCK_SCOPE(&partition->lock);
    list_remove(&waiter->node);
}

/* --- the watermark --- */

int32_t partition_effective_min_isr(const struct partition *partition)
{
    return partition->min_insync_replicas < partition->replicas_count
               ? partition->min_insync_replicas
               : partition->replicas_count;
}

bool ids_contain(const int32_t *ids, int32_t count, int32_t id)
{
    for (int32_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* The least of what the maximal ISR has, and of what outsiders have who may not be overtaken. */
static int64_t lowest_end(struct partition *partition)
{
    int64_t lowest = partition->flush_gates_commit ? log_recovery_point(partition->log)
                                                   : log_end_offset(partition->log);
    if (!partition->remotes_count)
        return lowest;
    int64_t now_ms = clock_mono_ms(partition->clock), until_ms = INT64_MAX;
    int64_t lowest_outside = lowest;
    for (int32_t i = 0; i < partition->remotes_count; i++) {
        const struct remote_replica *remote = &partition->remotes[i];
        if (remote->end_offset >= lowest || !partition_waits_for(partition, remote, now_ms))
            continue;
        if (partition_is_in_maximal_isr(partition, remote->broker_id)) {
            lowest = remote->end_offset;
            continue;
        }
        if (remote->end_offset < lowest_outside)
            lowest_outside = remote->end_offset;
        if (partition_waits_until(partition, remote) < until_ms)
            until_ms = partition_waits_until(partition, remote);
    }
    if (lowest_outside >= lowest)
        return lowest;
    if (partition->host && partition->host->held_watermarks)
        held_watermarks_add(partition->host->held_watermarks, partition, until_ms);
    return lowest_outside;
}

void partition_advance_high_watermark(struct partition *partition)
{
    assert_held(&partition->lock);
    assert(partition->role == ROLE_LEADER);
    if (partition_is_held_by_note(partition))
        return; /* others are told to have all that is below it */
    if (partition->isr_count < partition_effective_min_isr(partition))
        return; /* committed means min.insync.replicas of them have it */
    int64_t lowest = lowest_end(partition);
    if (lowest <= partition_high_watermark(partition))
        return;
    atomic_store_explicit(&partition->high_watermark, lowest, memory_order_release);
    log_set_high_watermark(partition->log, lowest);
    tell_acks_below(partition, lowest);
    partition_tell_readers(partition, MOVED_WATERMARK);
}

void partition_look_at_watermark(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role == ROLE_LEADER)
        partition_advance_high_watermark(partition);
}

void partition_flushed(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role == ROLE_LEADER)
        partition_advance_high_watermark(partition);
}

/* --- roles --- */

static int32_t *copy_ids(const int32_t *ids, int32_t count)
{
    int32_t *copy = mem_new_array(int32_t, (size_t)(count > 0 ? count : 1));
    if (count > 0)
        memcpy(copy, ids, (size_t)count * sizeof *ids);
    return copy;
}

static void take_assignment(struct partition *partition,
                            const struct partition_assignment *assignment)
{
    partition->leader_id = assignment->leader;
    partition->leader_epoch = assignment->leader_epoch;
    partition->partition_epoch = assignment->partition_epoch;
    partition->controller_epoch = assignment->controller_epoch;
    partition->recovery_state = assignment->recovery_state;
    partition->is_isr_pending = false; /* the controller has spoken since we asked */
    partition->joining_id = NO_BROKER;
    partition->is_stopped = false;
    if (!uuid_is_zero(assignment->topic_id))
        partition->topic_id = assignment->topic_id;
    free(partition->isr);
    free(partition->replicas);
    partition->isr = copy_ids(assignment->isr, assignment->isr_count);
    partition->isr_count = assignment->isr_count > 0 ? assignment->isr_count : 0;
    partition->replicas = copy_ids(assignment->replicas, assignment->replicas_count);
    partition->replicas_count = assignment->replicas_count > 0 ? assignment->replicas_count : 0;
}

static const struct remote_replica *find_remote(const struct remote_replica *remotes, int32_t count,
                                                int32_t broker_id)
{
    for (int32_t i = 0; i < count; i++)
        if (remotes[i].broker_id == broker_id)
            return &remotes[i];
    return NULL;
}

static void begin_remote(struct remote_replica *remote, int32_t broker_id)
{
    *remote = (struct remote_replica){.broker_id = broker_id,
                                      .end_offset = UNKNOWN_OFFSET,
                                      .start_offset = UNKNOWN_OFFSET,
                                      .caught_up_ms = NEVER_MS,
                                      .last_fetch_ms = NEVER_MS,
                                      .last_fetch_leader_end = UNKNOWN_OFFSET,
                                      .broker_epoch = UNKNOWN_BROKER_EPOCH};
}

/* Leading anew, one's followers are judged from now on: those in the ISR count as caught up, the
 * others as never, so that they do not hold the watermark back. */
static void judge_anew(struct partition *partition, struct remote_replica *remote,
                       bool keeps_progress)
{
    int64_t now_ms = clock_mono_ms(partition->clock);
    bool is_in_sync = ids_contain(partition->isr, partition->isr_count, remote->broker_id);
    remote->caught_up_ms = is_in_sync ? now_ms : NEVER_MS;
    if (keeps_progress) {
        remote->last_fetch_ms = now_ms;
        remote->last_fetch_leader_end = partition->epoch_start_offset;
    }
}

/* What we knew of it while leading stays known; else it starts unknown. */
static void add_remote(struct partition *partition, int32_t id, const struct remote_replica *known,
                       bool is_new_epoch)
{
    struct remote_replica *remote = &partition->remotes[partition->remotes_count++];
    if (known)
        *remote = *known;
    else
        begin_remote(remote, id);
    remote_forget_refusals(remote);
    if (is_new_epoch)
        judge_anew(partition, remote, known);
}

/* The other replicas; and whoever is in the ISR without being one. As a reassignment ends the
 * controller names the leader with its new replicas first and takes those that go out of the ISR
 * after that. Until it has, one of them may be elected, so the watermark waits for them too. */
static void take_remotes(struct partition *partition, bool keeps_progress, bool is_new_epoch)
{
    partition_end_rests(partition);
    struct remote_replica *before = partition->remotes;
    int32_t before_count = keeps_progress ? partition->remotes_count : 0;
    int32_t replicas_count = partition->replicas_count, isr_count = partition->isr_count;

    partition->remotes =
        mem_new_array(struct remote_replica, (size_t)replicas_count + (size_t)isr_count + 1);
    partition->remotes_count = 0;
    for (int32_t i = 0; i < replicas_count + isr_count; i++) {
        int32_t id =
            i < replicas_count ? partition->replicas[i] : partition->isr[i - replicas_count];
        if (id != partition->broker_id &&
            !find_remote(partition->remotes, partition->remotes_count, id))
            add_remote(partition, id, find_remote(before, before_count, id), is_new_epoch);
    }
    free(before);
}

static void take_log(struct partition *partition, struct log *log, int64_t high_watermark)
{
    if (partition->log == log)
        return;
    partition->log = log;
    if (high_watermark < log_start_offset(log))
        high_watermark = log_start_offset(log);
    if (high_watermark > log_end_offset(log))
        high_watermark = log_end_offset(log);
    atomic_store_explicit(&partition->high_watermark, high_watermark, memory_order_release);
    log_set_high_watermark(log, high_watermark);
}

enum err partition_lead(struct partition *partition, const struct partition_assignment *assignment,
                        struct log *log, int64_t high_watermark, int32_t min_insync_replicas)
{
    LOCK_SCOPE(&partition->lock);
    if (assignment->partition_epoch < partition->partition_epoch)
        return ERR_OK; /* an older state of the znode than we have acted on */
    bool is_new_epoch = assignment->leader_epoch > partition->leader_epoch;
    /* Where epochs are missing, somebody else may have led meanwhile, and our followers may have
     * cut what we saw them have. */
    bool was_leader =
        partition->role == ROLE_LEADER && assignment->leader_epoch <= partition->leader_epoch + 1;
    if (is_new_epoch) { /* first, as it may fail, and then nothing has changed */
        enum err e = log_assign_epoch(log, assignment->leader_epoch, log_end_offset(log));
        if (e)
            return err_wrap(e, "lead %s-%d", partition->topic, partition->id);
        partition->epoch_start_offset = log_end_offset(log);
    }
    if (!was_leader)
        partition->led_since_offset = log_end_offset(log);
    take_log(partition, log, high_watermark);
    take_assignment(partition, assignment);
    /* An unclean leader has recovered by leading: its next AlterPartition says so (KIP-704). One
     * that still said RECOVERING could let nobody in, the controller refuses that. */
    partition->recovery_state = 0;
    partition->min_insync_replicas = min_insync_replicas;
    partition->role = ROLE_LEADER;
    partition_confirm_leading(partition);
    take_remotes(partition, was_leader, is_new_epoch);
    if (!was_leader)
        partition_expect_note(partition);
    partition_advance_high_watermark(partition);
    partition_tell_note_keeper(partition);
    /* Fetches of an earlier epoch are refused now, and go on. */
    partition_tell_readers(partition, !was_leader || is_new_epoch ? MOVED_ROLE : MOVED_ISR);
    return ERR_OK;
}

void partition_follow(struct partition *partition, const struct partition_assignment *assignment,
                      struct log *log, int64_t high_watermark)
{
    LOCK_SCOPE(&partition->lock);
    if (assignment->partition_epoch < partition->partition_epoch)
        return;
    take_log(partition, log, high_watermark);
    take_assignment(partition, assignment);
    partition->isr_count = 0; /* only the leader speaks of it */
    partition->role = ROLE_FOLLOWER;
    partition_tell_everyone(partition);
}

void partition_stop(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    partition->is_stopped = partition->role == ROLE_FOLLOWER;
}

bool partition_is_stopped(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    return partition->is_stopped;
}

void partition_retire(struct partition *partition, bool is_offline)
{
    LOCK_SCOPE(&partition->lock);
    partition->role = is_offline ? ROLE_OFFLINE : ROLE_NONE;
    partition->log = NULL;
    partition_tell_everyone(partition);
}

void partition_set_topic_id(struct partition *partition, struct uuid topic_id)
{
    LOCK_SCOPE(&partition->lock);
    partition->topic_id = topic_id;
    partition_tell_readers(partition, MOVED_ROLE);
}

void partition_set_min_insync_replicas(struct partition *partition, int32_t count)
{
    LOCK_SCOPE(&partition->lock);
    partition->min_insync_replicas = count;
    partition_tell_note_keeper(partition);
    if (partition->role == ROLE_LEADER)
        partition_advance_high_watermark(partition);
}

enum err partition_judge_assignment(struct partition *partition,
                                    const struct partition_assignment *assignment,
                                    bool *ret_id_only)
{
    LOCK_SCOPE(&partition->lock);
    *ret_id_only = false;
    if (partition->role == ROLE_OFFLINE)
        return ERR_KAFKA_STORAGE_ERROR;
    bool has_id = !uuid_is_zero(partition->topic_id), gets_id = !uuid_is_zero(assignment->topic_id);
    if (gets_id && has_id && !uuid_equal(partition->topic_id, assignment->topic_id))
        return ERR_INCONSISTENT_TOPIC_ID;
    if (assignment->leader_epoch > partition->leader_epoch)
        return ids_contain(assignment->replicas, assignment->replicas_count, partition->broker_id)
                   ? ERR_OK
                   : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (assignment->leader_epoch < partition->leader_epoch)
        return err_note(ERR_STALE_CONTROLLER_EPOCH, "the role of leader epoch %d is known",
                        partition->leader_epoch);
    if (assignment->leader == partition->broker_id)
        partition_confirm_leading(partition);
    /* The controller took it for one that was about to stop, and does no longer. */
    if (partition->is_stopped && assignment->leader != partition->broker_id)
        return ERR_OK;
    if (gets_id && !has_id) {
        *ret_id_only = true;
        return ERR_OK;
    }
    return ERR_STALE_CONTROLLER_EPOCH;
}
