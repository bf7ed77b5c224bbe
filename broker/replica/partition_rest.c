/* A follower that has everything is left alone: its session's fetches need not visit the partition
 * to say so again, which would cost a fetch as much as the session is large.
 *
 * The rule that they would have followed (storage-and-replication §13.1): a fetch from the log end
 * means "caught up now". While the log end does not move, every fetch of the session is such a
 * fetch, so one time for the whole session, its *beat*, says it for all partitions that rest. The
 * moment the log end does move, the beat's time then is the last at which the follower had
 * everything: it is written down, the rest is over, and the next fetch visits the partition. */
#include "broker/replica/partition_internal.h"

struct follower_beat {
    _Atomic int references;
    _Atomic int64_t fetched_ms; /* monotonic */
};

struct follower_beat *follower_beat_new(int64_t now_ms)
{
    struct follower_beat *beat = mem_new(struct follower_beat);
    atomic_store(&beat->references, 1);
    atomic_store(&beat->fetched_ms, now_ms);
    return beat;
}

void follower_beat_unref(struct follower_beat *beat)
{
    if (beat && atomic_fetch_sub(&beat->references, 1) == 1)
        free(beat);
}

void follower_beat_fetched(struct follower_beat *beat, int64_t now_ms)
{
    atomic_store(&beat->fetched_ms, now_ms);
}

int64_t remote_caught_up_ms(const struct remote_replica *remote)
{
    int64_t beat_ms = remote->beat ? atomic_load(&remote->beat->fetched_ms) : remote->caught_up_ms;
    return beat_ms > remote->caught_up_ms ? beat_ms : remote->caught_up_ms;
}

void remote_end_rest(struct remote_replica *remote)
{
    if (!remote->beat)
        return;
    remote->caught_up_ms = remote_caught_up_ms(remote);
    if (remote->last_fetch_ms < remote->caught_up_ms)
        remote->last_fetch_ms = remote->caught_up_ms;
    follower_beat_unref(TAKE(remote->beat));
}

void partition_end_rests(struct partition *partition)
{
    for (int32_t i = 0; i < partition->remotes_count; i++)
        remote_end_rest(&partition->remotes[i]);
}

bool partition_follower_rests(struct partition *partition, int32_t leader_epoch, int32_t replica_id,
                              int64_t fetch_offset, struct follower_beat *beat)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role != ROLE_LEADER || partition->leader_epoch != leader_epoch)
        return false;
    struct remote_replica *remote = partition_remote(partition, replica_id);
    int64_t end_offset = log_end_offset(partition->log);
    if (!remote || fetch_offset != end_offset || remote->end_offset != end_offset ||
        partition_high_watermark(partition) != end_offset ||
        !ids_contain(partition->isr, partition->isr_count, replica_id))
        return false;
    remote_end_rest(remote);
    if (beat) {
        atomic_fetch_add(&beat->references, 1);
        remote->beat = beat;
    }
    return true;
}

void partition_follower_leaves(struct partition *partition, const struct follower_beat *beat)
{
    LOCK_SCOPE(&partition->lock);
    for (int32_t i = 0; i < partition->remotes_count; i++)
        if (partition->remotes[i].beat == beat)
            remote_end_rest(&partition->remotes[i]);
}
