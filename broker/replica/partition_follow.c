/* A follower's side of a partition: what its leader sends is appended as it is, what the leader
 * does not have is cut (storage-and-replication §15, §16). Whatever comes for another role or
 * leader epoch than the present one is refused, so an answer that arrives late changes nothing. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/record/batch.h"
#include "broker/replica/partition_internal.h"

static enum err check_follows(const struct partition *partition, int32_t leader_epoch)
{
    if (partition->role == ROLE_FOLLOWER && partition->leader_epoch == leader_epoch)
        return ERR_OK;
    return err_note(ERR_FENCED_LEADER_EPOCH, "%s-%d does not follow in epoch %d any more",
                    partition->topic, partition->id, leader_epoch);
}

enum err partition_follower_position(struct partition *partition, int32_t leader_epoch,
                                     struct follower_position *ret)
{
    LOCK_SCOPE(&partition->lock);
    enum err e = check_follows(partition, leader_epoch);
    if (e)
        return e;
    *ret = (struct follower_position){
        .fetch_offset = log_end_offset(partition->log),
        .log_start_offset = log_start_offset(partition->log),
        .last_fetched_epoch = log_latest_epoch(partition->log),
    };
    return ERR_OK;
}

/* --- appending --- */

/* The first batch is whole and right, and holds this offset without beginning at it. */
static bool is_within_first_batch(struct slice records, int64_t offset, int64_t *ret_base_offset)
{
    struct batch_info first;
    if (batch_peek(records, &first) || (size_t)first.size_bytes > records.size ||
        first.base_offset < 0 || first.base_offset >= offset || first.last_offset < offset ||
        !batch_crc_is_right(records.data))
        return false;
    *ret_base_offset = first.base_offset;
    return true;
}

static enum err begin_anew(struct partition *partition, int64_t offset)
{
    enum err e = log_truncate_fully(partition->log, offset);
    if (e)
        return e;
    atomic_store_explicit(&partition->high_watermark, offset, memory_order_release);
    partition_tell_readers(partition, MOVED_ROLE);
    return ERR_OK;
}

/* The leader's log start lies within its first batch (DeleteRecords), and we have nothing yet: our
 * log begins where the batch does. */
static enum err begin_at_batch(struct partition *partition, const struct leader_data *data)
{
    int64_t base, end = log_end_offset(partition->log);
    if (log_start_offset(partition->log) != end ||
        !is_within_first_batch(data->records, end, &base))
        return ERR_OK;
    trace_info("a follower begins with the batch that holds its first offset topic=%s partition=%d "
               "from=%" PRId64 " to=%" PRId64,
               partition->topic, partition->id, end, base);
    return begin_anew(partition, base);
}

static void follow_high_watermark(struct partition *partition, int64_t leader_high_watermark)
{
    int64_t end = log_end_offset(partition->log);
    int64_t high_watermark = leader_high_watermark < end ? leader_high_watermark : end;
    if (high_watermark <= partition_high_watermark(partition))
        return;
    atomic_store_explicit(&partition->high_watermark, high_watermark, memory_order_release);
    log_set_high_watermark(partition->log, high_watermark);
    partition_tell_readers(partition, MOVED_WATERMARK); /* consumers here, KIP-392 */
}

/* After the high watermark, as the start may not be above it. */
static enum err follow_log_start(struct partition *partition, int64_t leader_log_start)
{
    int64_t high_watermark = partition_high_watermark(partition);
    int64_t start = leader_log_start < high_watermark ? leader_log_start : high_watermark;
    if (start <= log_start_offset(partition->log))
        return ERR_OK;
    enum err e = log_raise_start(partition->log, start, high_watermark);
    if (!e)
        partition_tell_readers(partition, MOVED_START);
    return e;
}

enum err partition_append_follower(struct partition *partition, int32_t leader_epoch,
                                   const struct leader_data *data, bool *ret_flush)
{
    LOCK_SCOPE(&partition->lock);
    *ret_flush = false;
    enum err e = check_follows(partition, leader_epoch);
    if (e)
        return e;
    if (data->fetch_offset != log_end_offset(partition->log))
        return err_note(
            ERR_OFFSET_OUT_OF_RANGE, "records of %s-%d from %" PRId64 " come at log end %" PRId64,
            partition->topic, partition->id, data->fetch_offset, log_end_offset(partition->log));
    if (data->records.size) {
        struct append_result result;
        e = begin_at_batch(partition, data);
        if (!e)
            e = log_append_follower(partition->log, data->records.data, data->records.size,
                                    &result);
        if (e)
            return e;
        *ret_flush = result.needs_flush;
    }
    follow_high_watermark(partition, data->high_watermark);
    return follow_log_start(partition, data->log_start_offset);
}

/* --- truncation --- */

static void lower_high_watermark(struct partition *partition, int64_t offset)
{
    if (partition_high_watermark(partition) <= offset)
        return;
    trace_warn("the high watermark goes back topic=%s partition=%d from=%" PRId64 " to=%" PRId64
               " leader_epoch=%d",
               partition->topic, partition->id, partition_high_watermark(partition), offset,
               partition->leader_epoch);
    atomic_store_explicit(&partition->high_watermark, offset, memory_order_release);
}

static enum err cut(struct partition *partition, int64_t offset)
{
    bool is_less = offset < log_end_offset(partition->log);
    lower_high_watermark(partition, offset);
    enum err e = log_truncate(partition->log, offset);
    if (!e && is_less)
        partition_tell_readers(partition, MOVED_ROLE);
    return e;
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Where to cut, by KIP-279's rules; §16.2. */
static int64_t agreed_end(struct partition *partition, int32_t epoch, int64_t end_offset,
                          bool *ret_is_done)
{
    int64_t log_end = log_end_offset(partition->log);
    *ret_is_done = true;
    if (end_offset < 0)
        return partition_high_watermark(partition);
    if (epoch < 0) /* a leader that only knows offsets */
        return lesser(end_offset, log_end);
    int32_t own_epoch;
    int64_t own_end;
    log_epoch_end(partition->log, epoch, &own_epoch, &own_end);
    if (own_end < 0)
        return lesser(end_offset, log_end);
    if (own_epoch == epoch)
        return lesser(lesser(own_end, end_offset), log_end);
    *ret_is_done = false; /* an epoch we do not know: agree on an older one */
    return lesser(own_end, log_end);
}

enum err partition_truncate_to_epoch(struct partition *partition, int32_t leader_epoch,
                                     int32_t epoch, int64_t end_offset, bool *ret_is_done)
{
    LOCK_SCOPE(&partition->lock);
    *ret_is_done = true;
    enum err e = check_follows(partition, leader_epoch);
    return e ? e : cut(partition, agreed_end(partition, epoch, end_offset, ret_is_done));
}

enum err partition_truncate(struct partition *partition, int32_t leader_epoch, int64_t offset)
{
    LOCK_SCOPE(&partition->lock);
    enum err e = check_follows(partition, leader_epoch);
    return e ? e : cut(partition, offset);
}

enum err partition_restart_at(struct partition *partition, int32_t leader_epoch, int64_t offset)
{
    LOCK_SCOPE(&partition->lock);
    enum err e = check_follows(partition, leader_epoch);
    return e ? e : begin_anew(partition, offset);
}
