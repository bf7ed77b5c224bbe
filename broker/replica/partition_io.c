/* Appending to and reading from a partition: who may, up to where, and what moves by it. */
#include "broker/replica/partition_internal.h"

#include "broker/base/arena.h"

/* --- appending --- */

static enum err check_may_append(const struct partition *partition, int16_t acks)
{
    if (partition->role == ROLE_OFFLINE)
        return ERR_KAFKA_STORAGE_ERROR;
    if (partition->role != ROLE_LEADER || partition_is_handed_over(partition))
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (acks == ACKS_ALL && partition->isr_count < partition_effective_min_isr(partition))
        return err_note(ERR_NOT_ENOUGH_REPLICAS,
                        "The size of the current ISR %d is insufficient to satisfy the min.isr "
                        "requirement of %d "
                        "for partition %s-%d",
                        partition->isr_count, partition_effective_min_isr(partition),
                        partition->topic, partition->id);
    return ERR_OK;
}

static enum err check_txn_is_open(struct partition *partition, const uint8_t *records, size_t size)
{
    assert(size >= BATCH_HEADER_SIZE && batch_magic(records) >= 2);
    int64_t producer_id = batch_producer_id(records);
    if (log_has_open_txn(partition->log, producer_id))
        return ERR_OK;
    return err_note(ERR_INVALID_TXN_STATE,
                    "producer %lld has no transaction open in %s-%d, and none was verified",
                    (long long)producer_id, partition->topic, partition->id);
}

enum err partition_append(struct partition *partition, uint8_t *records, size_t size, int16_t acks,
                          enum append_origin origin, bool continues_txn, int16_t api_version,
                          struct arena *arena, struct append_result *result,
                          int64_t *ret_required_offset)
{
    LOCK_SCOPE(&partition->lock);
    enum err e = check_may_append(partition, acks);
    if (!e && continues_txn)
        e = check_txn_is_open(partition, records, size);
    if (e)
        return e;
    e = log_append_leader(partition->log, records, size, partition->leader_epoch, origin,
                          api_version, arena, result);
    if (e)
        return e;
    *ret_required_offset = result->last_offset + 1;
    if (result->is_duplicate)
        return ERR_OK;
    partition->flush_gates_commit = result->needs_flush;
    partition_end_rests(partition);
    if (partition->remotes_count)
        partition_tell_readers(partition, MOVED_END);
    partition_advance_high_watermark(partition);
    /* The write itself may have waited for a disk that stood still. */
    return partition_is_handed_over(partition) ? ERR_NOT_LEADER_OR_FOLLOWER : ERR_OK;
}

enum err partition_ack_state(struct partition *partition, int64_t required_offset)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role == ROLE_OFFLINE)
        return ERR_KAFKA_STORAGE_ERROR;
    if (partition->role != ROLE_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (partition_high_watermark(partition) < required_offset)
        return ERR_AGAIN;
    if (partition_maximal_isr_count(partition) < partition_effective_min_isr(partition))
        return ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    return ERR_OK;
}

/* --- reading --- */

static enum err check_epoch(const struct partition *partition, int32_t current_leader_epoch)
{
    if (current_leader_epoch == NO_LEADER_EPOCH)
        return ERR_OK;
    if (current_leader_epoch < partition->leader_epoch)
        return ERR_FENCED_LEADER_EPOCH;
    if (current_leader_epoch > partition->leader_epoch)
        return ERR_UNKNOWN_LEADER_EPOCH;
    return ERR_OK;
}

static enum err check_role(const struct partition *partition, bool must_lead)
{
    switch (partition->role) {
    case ROLE_OFFLINE:
        return ERR_KAFKA_STORAGE_ERROR;
    case ROLE_NONE:
        return ERR_NOT_LEADER_OR_FOLLOWER;
    case ROLE_FOLLOWER:
        return must_lead ? ERR_NOT_LEADER_OR_FOLLOWER : ERR_OK;
    case ROLE_LEADER:
        return ERR_OK;
    }
    return ERR_NOT_LEADER_OR_FOLLOWER;
}

enum err partition_check(struct partition *partition, int32_t current_leader_epoch, bool must_lead,
                         struct log **ret_log)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role == ROLE_OFFLINE)
        return ERR_KAFKA_STORAGE_ERROR;
    enum err e = check_epoch(partition, current_leader_epoch);
    if (!e)
        e = check_role(partition, must_lead);
    if (!e)
        *ret_log = partition->log;
    return e;
}

/* Who may read here, in the order of the JVM's checks. */
static enum err check_reader(struct partition *partition, const struct partition_read *read,
                             struct log **ret_log, int32_t *ret_leader_epoch)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role == ROLE_OFFLINE)
        return ERR_KAFKA_STORAGE_ERROR;
    enum err e = check_epoch(partition, read->current_leader_epoch);
    if (!e)
        e = check_role(partition, !read->may_follow);
    if (e)
        return e;
    if (read->replica_id >= 0 &&
        (read->replica_id == partition->broker_id ||
         !ids_contain(partition->replicas, partition->replicas_count, read->replica_id)))
        return read->current_leader_epoch >= 0 ? ERR_UNKNOWN_LEADER_EPOCH
                                               : ERR_NOT_LEADER_OR_FOLLOWER;
    *ret_log = partition->log;
    *ret_leader_epoch = partition->leader_epoch;
    return ERR_OK;
}

/* KIP-595's check: has the reader something of an epoch that ended earlier here? */
static enum err check_divergence(struct log *log, const struct partition_read *read,
                                 struct partition_read_result *ret)
{
    if (read->last_fetched_epoch < 0)
        return ERR_OK;
    int32_t epoch;
    int64_t end_offset;
    log_epoch_end(log, read->last_fetched_epoch, &epoch, &end_offset);
    if (end_offset < 0 || epoch < 0 || read->fetch_offset < log_start_offset(log))
        return ERR_OFFSET_OUT_OF_RANGE;
    if (epoch < read->last_fetched_epoch || end_offset < read->fetch_offset) {
        ret->is_diverging = true;
        ret->diverging_epoch = epoch;
        ret->diverging_end_offset = end_offset;
    }
    return ERR_OK;
}

static int64_t limit_of(struct partition *partition, struct log *log, int32_t replica_id,
                        enum isolation isolation)
{
    if (replica_id >= 0)
        return log_end_offset(log);
    int64_t high_watermark = partition_high_watermark(partition);
    return isolation == READ_COMMITTED ? log_last_stable_offset(log, high_watermark)
                                       : high_watermark;
}

int64_t partition_read_limit(struct partition *partition, int32_t replica_id,
                             enum isolation isolation)
{
    struct log *log = partition_log(partition);
    return log ? limit_of(partition, log, replica_id, isolation) : -1;
}

/* Of the slice alone: a reader far behind is not told of all that was aborted since. */
static enum err find_aborted(struct log *log, const struct partition_read *read,
                             struct arena *arena, struct partition_read_result *found)
{
    int64_t bound = 0;
    enum err e = log_slice_bound(log, &found->slice, read->may_block, &bound);
    if (!e)
        e = log_aborted_txns(log, read->fetch_offset, bound, arena, &found->aborted,
                             &found->aborted_count);
    return e;
}

enum err partition_read(struct partition *partition, const struct partition_read *read,
                        struct arena *arena, struct partition_read_result *ret)
{
    *ret = (struct partition_read_result){
        .high_watermark = -1, .last_stable_offset = -1, .log_start_offset = -1};
    struct log *log = NULL;
    enum err e = check_reader(partition, read, &log, &ret->leader_epoch);
    if (!e)
        e = check_divergence(log, read, ret);
    if (e)
        return e;
    int64_t limit = limit_of(partition, log, read->replica_id, read->isolation);
    int64_t high_watermark = partition_high_watermark(partition);
    struct partition_read_result found = *ret;
    found.high_watermark = high_watermark;
    found.limit_offset = limit;
    found.last_stable_offset = log_last_stable_offset(log, high_watermark);
    found.log_start_offset = log_start_offset(log);

    if (!ret->is_diverging)
        e = log_read(log, read->fetch_offset, limit, read->max_bytes, read->at_least_one,
                     read->may_block, &found.slice);
    if (!e && read->isolation == READ_COMMITTED && read->replica_id < 0 && found.slice.size_bytes)
        e = find_aborted(log, read, arena, &found);
    if (e) {
        if (found.slice.file)
            log_file_unref(found.slice.file);
        return e;
    }
    *ret = found;
    return ERR_OK;
}

enum err partition_latest_is_known(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role != ROLE_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    return partition_high_watermark(partition) < partition->epoch_start_offset
               ? ERR_OFFSET_NOT_AVAILABLE
               : ERR_OK;
}

/* --- followers --- */

/* It had everything now, or at least when it asked last; never earlier than was known before. */
static void note_caught_up(struct remote_replica *remote, int64_t fetch_offset,
                           int64_t leader_end_offset, int64_t now_ms)
{
    if (fetch_offset >= leader_end_offset)
        remote->caught_up_ms = now_ms;
    else if (fetch_offset >= remote->last_fetch_leader_end &&
             remote->last_fetch_ms > remote->caught_up_ms)
        remote->caught_up_ms = remote->last_fetch_ms;
    remote->last_fetch_ms = now_ms;
    if (leader_end_offset > remote->last_fetch_leader_end)
        remote->last_fetch_leader_end = leader_end_offset;
}

enum err partition_follower_fetched(struct partition *partition, int32_t leader_epoch,
                                    int32_t replica_id, int64_t fetch_offset,
                                    int64_t leader_end_offset, int64_t log_start_offset)
{
    return partition_follower_fetched_in(partition, leader_epoch, replica_id, UNKNOWN_BROKER_EPOCH,
                                         fetch_offset, leader_end_offset, log_start_offset);
}

enum err partition_follower_fetched_in(struct partition *partition, int32_t leader_epoch,
                                       int32_t replica_id, int64_t broker_epoch,
                                       int64_t fetch_offset, int64_t leader_end_offset,
                                       int64_t log_start_offset)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role != ROLE_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (partition->leader_epoch != leader_epoch) /* another leader may have cut what it has */
        return ERR_FENCED_LEADER_EPOCH;
    int64_t now_ms = clock_mono_ms(partition->clock);
    struct remote_replica *remote = partition_remote(partition, replica_id);
    if (!remote)
        return ERR_UNKNOWN_LEADER_EPOCH;
    remote_end_rest(remote);
    note_caught_up(remote, fetch_offset, leader_end_offset, now_ms);
    remote->end_offset = fetch_offset;
    remote->start_offset = log_start_offset;
    if (remote->broker_epoch != broker_epoch)
        remote_forget_refusals(remote);
    remote->broker_epoch = broker_epoch;
    partition_advance_high_watermark(partition);
    partition_tell_deleters(partition);
    return ERR_OK;
}
