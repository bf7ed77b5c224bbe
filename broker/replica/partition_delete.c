/* DeleteRecords at a leader (KIP-107): the log start is raised here at once, and the records count
 * as deleted when every live replica has followed. How far all of them are is the low watermark. */
#include "broker/replica/partition_internal.h"

static int64_t low_watermark_of(const struct partition *partition)
{
    int64_t lowest = log_start_offset(partition->log);
    for (int32_t i = 0; i < partition->remotes_count; i++)
        if (partition->remotes[i].start_offset < lowest &&
            partition_is_alive(partition, partition->remotes[i].broker_id))
            lowest = partition->remotes[i].start_offset;
    return lowest;
}

static enum err check_leads(const struct partition *partition)
{
    if (partition->role == ROLE_OFFLINE)
        return ERR_KAFKA_STORAGE_ERROR;
    return partition->role == ROLE_LEADER ? ERR_OK : ERR_NOT_LEADER_OR_FOLLOWER;
}

enum err partition_delete_records(struct partition *partition, int64_t offset, int64_t *ret_offset,
                                  int64_t *ret_low_watermark)
{
    LOCK_SCOPE(&partition->lock);
    enum err e = check_leads(partition);
    if (e)
        return e;
    int64_t high_watermark = partition_high_watermark(partition);
    if (offset == -1)
        offset = high_watermark;
    if (offset < 0 || offset > high_watermark)
        return ERR_OFFSET_OUT_OF_RANGE;
    e = log_raise_start(partition->log, offset, high_watermark);
    if (e)
        return e;
    partition_tell_deleters(partition);
    partition_tell_readers(partition, MOVED_START);
    *ret_offset = offset;
    *ret_low_watermark = low_watermark_of(partition);
    return ERR_OK;
}

enum err partition_deleted_state(struct partition *partition, int64_t offset,
                                 int64_t *ret_low_watermark)
{
    LOCK_SCOPE(&partition->lock);
    enum err e = check_leads(partition);
    if (e)
        return e;
    int64_t low_watermark = low_watermark_of(partition);
    if (low_watermark < offset)
        return ERR_AGAIN;
    *ret_low_watermark = low_watermark;
    return ERR_OK;
}

bool partition_wait_deleted(struct partition *partition, struct partition_waiter *waiter)
{
    LOCK_SCOPE(&partition->lock);
    if (check_leads(partition) || low_watermark_of(partition) >= waiter->offset)
        return false;
    list_push_back(&partition->delete_waiters, &waiter->node);
    return true;
}

void partition_tell_deleters(struct partition *partition)
{
    assert_held(&partition->lock);
    if (list_is_empty(&partition->delete_waiters))
        return;
    int64_t low_watermark = check_leads(partition) ? INT64_MAX : low_watermark_of(partition);
    list_for_each (&partition->delete_waiters, node) {
        struct partition_waiter *waiter = list_entry(node, struct partition_waiter, node);
        if (waiter->offset > low_watermark)
            continue;
        list_remove(node);
        waiter->moved(waiter);
    }
}
