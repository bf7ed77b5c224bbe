/* The in-sync replicas of a partition that is led here: who may join, who lags, and what the
 * controller says to it (KIP-497; storage-and-replication §13.1, zookeeper-and-controller §6.5). */
#include "broker/base/trace.h"
#include "broker/replica/partition_complete.h"
#include "broker/replica/partition_internal.h"

/* Between two requests for a replica that the controller refuses. Not for long: it hears of nothing
 * by which that changes, and the replica is needed. */
#define JOIN_PAUSE_FIRST_MS  200
#define JOIN_PAUSE_DOUBLINGS 5
#define JOIN_PAUSE_MAX_MS    5000

void partition_set_host(struct partition *partition, const struct partition_host *host)
{
    partition->host = host;
}

void isr_change_free(struct isr_change *change)
{
    if (!change)
        return;
    partition_unref(change->partition);
    free(change->isr);
    free(change);
}

struct remote_replica *partition_remote(struct partition *partition, int32_t broker_id)
{
    for (int32_t i = 0; i < partition->remotes_count; i++)
        if (partition->remotes[i].broker_id == broker_id)
            return &partition->remotes[i];
    return NULL;
}

bool partition_is_in_maximal_isr(const struct partition *partition, int32_t id)
{
    return ids_contain(partition->isr, partition->isr_count, id) ||
           (partition->is_isr_pending && id == partition->joining_id);
}

int32_t partition_maximal_isr_count(const struct partition *partition)
{
    bool joins = partition->is_isr_pending && partition->joining_id != NO_BROKER;
    return partition->isr_count + (joins ? 1 : 0);
}

static int64_t lag_max_ms(const struct partition *partition)
{
    return partition->host ? atomic_load(&partition->host->replica_lag_max_ms)
                           : REPLICA_LAG_DEFAULT_MS;
}

bool partition_is_alive(const struct partition *partition, int32_t id)
{
    return !partition->host || !partition->host->live_brokers ||
           live_brokers_has(partition->host->live_brokers, id);
}

static bool lags(const struct partition *partition, const struct remote_replica *remote,
                 int64_t now_ms)
{
    return remote->end_offset != log_end_offset(partition->log) &&
           now_ms - remote->caught_up_ms > lag_max_ms(partition);
}

int64_t partition_waits_until(const struct partition *partition,
                              const struct remote_replica *remote)
{
    return clock_later_ms(remote_caught_up_ms(remote) + 1, lag_max_ms(partition));
}

bool partition_waits_for(const struct partition *partition, const struct remote_replica *remote,
                         int64_t now_ms)
{
    if (partition_is_in_maximal_isr(partition, remote->broker_id))
        return true;
    return remote->end_offset >= 0 && !lags(partition, remote, now_ms) &&
           partition_is_alive(partition, remote->broker_id);
}

/* Of a member of the ISR. The time in which our own disk stood still does not count: it could not
 * have fetched. */
static bool is_behind(const struct partition *partition, const struct remote_replica *remote,
                      int64_t now_ms)
{
    int64_t stood_until_ms =
        partition->host ? atomic_load(&partition->host->disk_stood_until_ms) : 0;
    return lags(partition, remote, now_ms) &&
           (stood_until_ms == 0 || now_ms - stood_until_ms > lag_max_ms(partition));
}

void partition_confirm_leading(struct partition *partition)
{
    assert_held(&partition->lock);
    const struct partition_host *host = partition->host;
    if (host && !atomic_load(&host->is_handing_over))
        partition->led_after_hand_overs = atomic_load(&host->hand_overs);
}

bool partition_is_handed_over(const struct partition *partition)
{
    assert_held(&partition->lock);
    const struct partition_host *host = partition->host;
    return host && partition->isr_count > 1 &&
           partition->led_after_hand_overs != atomic_load(&host->hand_overs);
}

/* --- wishes --- */

static struct isr_change *begin_change(struct partition *partition, int32_t *isr, int32_t count,
                                       int32_t joining_id)
{
    struct isr_change *change = mem_new(struct isr_change);
    partition_ref(partition);
    change->partition = partition;
    change->topic_id = partition->topic_id;
    change->leader_epoch = partition->leader_epoch;
    change->partition_epoch = partition->partition_epoch;
    change->recovery_state = partition->recovery_state;
    change->isr = isr;
    change->isr_count = count;
    partition->is_isr_pending = true;
    partition->joining_id = joining_id;
    return change;
}

void remote_forget_refusals(struct remote_replica *remote)
{
    remote->refusals = 0;
    remote->may_join_at_ms = 0;
}

/* A controller that relieves us, or the follower, will not have it for as long as that takes: and
 * it asks to join with every fetch. */
static void pause_joining(struct partition *partition, struct remote_replica *remote)
{
    int64_t pause_ms = JOIN_PAUSE_MAX_MS;
    if (remote->refusals < JOIN_PAUSE_DOUBLINGS)
        pause_ms = (int64_t)JOIN_PAUSE_FIRST_MS << remote->refusals;
    remote->refusals += remote->refusals < INT32_MAX;
    remote->may_join_at_ms = clock_mono_ms(partition->clock) + pause_ms;
}

/* The first time, the second, the fourth, and so on: what repeats is told ever more seldom. */
static bool is_worth_a_line(int32_t times)
{
    return (times & (times - 1)) == 0;
}

static bool may_join(struct partition *partition, int32_t replica_id)
{
    if (partition->role != ROLE_LEADER || partition->is_isr_pending)
        return false;
    const struct remote_replica *remote = partition_remote(partition, replica_id);
    return remote && !ids_contain(partition->isr, partition->isr_count, replica_id) &&
           remote->end_offset >= partition_high_watermark(partition) &&
           remote->end_offset >= partition->epoch_start_offset &&
           partition_is_alive(partition, replica_id) &&
           (remote->refusals == 0 || clock_mono_ms(partition->clock) >= remote->may_join_at_ms);
}

struct isr_change *partition_expand_isr(struct partition *partition, int32_t replica_id)
{
    LOCK_SCOPE(&partition->lock);
    if (!may_join(partition, replica_id))
        return NULL;
    int32_t *isr = mem_new_array(int32_t, (size_t)partition->isr_count + 1);
    memcpy(isr, partition->isr, (size_t)partition->isr_count * sizeof *isr);
    isr[partition->isr_count] = replica_id;
    int32_t refusals = partition_remote(partition, replica_id)->refusals;
    if (is_worth_a_line(refusals))
        trace_info("ISR is to grow topic=%s partition=%d by=%d leader_epoch=%d refusals=%d",
                   partition->topic, partition->id, replica_id, partition->leader_epoch, refusals);
    return begin_change(partition, isr, partition->isr_count + 1, replica_id);
}

struct isr_change *partition_shrink_isr(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role != ROLE_LEADER)
        return NULL;
    partition_advance_high_watermark(partition);
    if (partition->is_isr_pending || partition->isr_count <= 1)
        return NULL;
    int64_t now_ms = clock_mono_ms(partition->clock);
    int32_t *isr = mem_new_array(int32_t, (size_t)partition->isr_count);
    int32_t count = 0;
    for (int32_t i = 0; i < partition->isr_count; i++) {
        const struct remote_replica *remote = partition_remote(partition, partition->isr[i]);
        if (!remote || !is_behind(partition, remote, now_ms)) {
            isr[count++] = partition->isr[i];
            continue;
        }
        trace_warn("ISR is to shrink topic=%s partition=%d without=%d behind=%lld "
                   "caught_up_ms_ago=%lld leader_epoch=%d",
                   partition->topic, partition->id, remote->broker_id,
                   (long long)(log_end_offset(partition->log) - remote->end_offset),
                   (long long)(now_ms - remote->caught_up_ms), partition->leader_epoch);
    }
    if (count < partition->isr_count)
        return begin_change(partition, isr, count, NO_BROKER);
    free(isr);
    return NULL;
}

/* --- the controller's word --- */

static void confirm(struct partition *partition, const struct isr_answer *answer)
{
    int32_t *isr = mem_new_array(int32_t, (size_t)answer->isr_count + 1);
    if (answer->isr_count > 0)
        memcpy(isr, answer->isr, (size_t)answer->isr_count * sizeof *isr);
    free(partition->isr);
    partition->isr = isr;
    partition->isr_count = answer->isr_count;
    partition->partition_epoch = answer->partition_epoch;
    partition->recovery_state = answer->recovery_state;
    partition->is_isr_pending = false;
    for (int32_t i = 0; i < partition->remotes_count; i++)
        remote_forget_refusals(&partition->remotes[i]);
    trace_info("ISR confirmed topic=%s partition=%d count=%d partition_epoch=%d", partition->topic,
               partition->id, partition->isr_count, partition->partition_epoch);
    partition_advance_high_watermark(partition);
    partition_tell_note_keeper(partition);
    partition_tell_readers(partition, MOVED_ISR);
}

static bool is_answer_for(const struct partition *partition, const struct isr_change *change)
{
    return partition->role == ROLE_LEADER && partition->is_isr_pending &&
           partition->leader_epoch == change->leader_epoch &&
           partition->partition_epoch == change->partition_epoch;
}

bool partition_isr_wants(struct partition *partition, const struct isr_change *change)
{
    LOCK_SCOPE(&partition->lock);
    return is_answer_for(partition, change);
}

static void tell_error(const struct partition *partition, enum err e, int32_t times)
{
    if (is_worth_a_line(times))
        trace_warn("ISR not changed topic=%s partition=%d error=%s times=%d", partition->topic,
                   partition->id, err_name(e), times);
}

static bool settle_error(struct partition *partition, struct isr_change *change, enum err e)
{
    struct remote_replica *joining = partition_remote(partition, partition->joining_id);
    switch (e) {
    case ERR_OPERATION_NOT_ATTEMPTED:
    case ERR_INELIGIBLE_REPLICA:
        partition->is_isr_pending = false; /* nothing has changed; another wish may follow */
        if (joining)
            pause_joining(partition, joining);
        tell_error(partition, e, joining ? joining->refusals : 1);
        partition_advance_high_watermark(partition);
        partition_tell_readers(partition, MOVED_ISR);
        return false;
    case ERR_FENCED_LEADER_EPOCH:
    case ERR_INVALID_UPDATE_VERSION:
    case ERR_INVALID_REQUEST:
    case ERR_NEW_LEADER_ELECTED:
        tell_error(partition, e, 1);
        return false; /* it stays under way until the LeaderAndIsr that must follow */
    /* An unknown topic or partition is one of these: a controller that was replaced without knowing
     * it says so of what is newer than its office, and no LeaderAndIsr follows. If the topic is
     * really gone, the StopReplica ends it. */
    default:
        change->attempts += change->attempts < INT32_MAX;
        tell_error(partition, e, change->attempts);
        return true;
    }
}

bool partition_isr_answered(struct partition *partition, struct isr_change *change,
                            const struct isr_answer *answer)
{
    LOCK_SCOPE(&partition->lock);
    if (!is_answer_for(partition, change))
        return false; /* a LeaderAndIsr came in between */
    if (answer->error)
        return settle_error(partition, change, answer->error);
    if (answer->leader_epoch != partition->leader_epoch ||
        answer->partition_epoch < partition->partition_epoch)
        return false; /* another leader, or old news: LeaderAndIsr follows */
    confirm(partition, answer);
    return false;
}

struct isr_view partition_isr_view(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    return (struct isr_view){
        .is_leader = partition->role == ROLE_LEADER,
        .leader_epoch = partition->leader_epoch,
        .partition_epoch = partition->partition_epoch,
        .committed_count = partition->isr_count,
        .maximal_count = partition_maximal_isr_count(partition),
        .replicas_count = partition->replicas_count,
        .min_isr = partition_effective_min_isr(partition),
    };
}

int32_t partition_read_candidates(struct partition *partition, int64_t fetch_offset,
                                  struct arena *arena, struct read_candidate **ret)
{
    LOCK_SCOPE(&partition->lock);
    *ret = arena_new_array(arena, struct read_candidate, partition->remotes_count + 1);
    int32_t count = 0;
    for (int32_t i = 0; partition->role == ROLE_LEADER && i < partition->remotes_count; i++) {
        const struct remote_replica *remote = &partition->remotes[i];
        if (ids_contain(partition->isr, partition->isr_count, remote->broker_id) &&
            remote->end_offset >= fetch_offset && remote->start_offset <= fetch_offset)
            (*ret)[count++] = (struct read_candidate){remote->broker_id, remote->end_offset,
                                                      remote_caught_up_ms(remote)};
    }
    return count;
}
