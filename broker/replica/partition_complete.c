/* Who out of the ISR has everything, said by the leader (KIP-966, see the header). */
#include "broker/replica/partition_complete.h"

#include "broker/replica/partition_internal.h"

/* What was committed before we led ends below where our log ended then, wherever our own watermark
 * was. */
static int64_t committed_bound(const struct partition *partition)
{
    int64_t high_watermark = partition_high_watermark(partition);
    return high_watermark > partition->led_since_offset ? high_watermark
                                                        : partition->led_since_offset;
}

static void list_complete(const struct partition *partition, struct arena *arena,
                          struct complete_note *note)
{
    int64_t bound = committed_bound(partition);
    note->replicas = arena_new_array(arena, struct complete_replica, partition->remotes_count + 1);
    for (int32_t i = 0; i < partition->remotes_count; i++) {
        const struct remote_replica *remote = &partition->remotes[i];
        if (remote->broker_epoch > 0 && remote->end_offset >= bound &&
            !ids_contain(partition->isr, partition->isr_count, remote->broker_id))
            note->replicas[note->count++] =
                (struct complete_replica){remote->broker_id, remote->broker_epoch};
    }
}

static bool is_thin(const struct partition *partition)
{
    return partition->isr_count < partition_effective_min_isr(partition);
}

bool partition_is_held_by_note(const struct partition *partition)
{
    return partition->noted_epoch != NO_NOTE &&
           partition->noted_epoch == partition->partition_epoch;
}

void partition_expect_note(struct partition *partition)
{
    assert_held(&partition->lock);
    partition->noted_epoch = is_thin(partition) ? NOTE_LEFT_OVER : NO_NOTE;
    partition->noted_count = 0;
}

void partition_tell_note_keeper(struct partition *partition)
{
    assert_held(&partition->lock);
    const struct partition_host *host = partition->host;
    if (host && host->isr_thinned && partition->role == ROLE_LEADER &&
        (is_thin(partition) || partition->noted_epoch != NO_NOTE))
        host->isr_thinned(host->context, partition);
}

enum note_action partition_look_at_note(struct partition *partition, struct arena *arena,
                                        struct complete_note *ret_note)
{
    LOCK_SCOPE(&partition->lock);
    if (partition->role != ROLE_LEADER)
        return NOTE_KEEP; /* what was noted is void, or the next leader's to judge */
    if (!is_thin(partition))
        return partition->noted_epoch == NO_NOTE ? NOTE_KEEP : NOTE_WITHDRAW;
    struct complete_note note = {.partition_epoch = partition->partition_epoch};
    list_complete(partition, arena, &note);
    if (note.count == 0 ||
        (partition_is_held_by_note(partition) && note.count <= partition->noted_count))
        return NOTE_KEEP;
    partition->noted_epoch = partition->partition_epoch; /* before anybody can read it */
    partition->noted_count = note.count;
    *ret_note = note;
    return NOTE_WRITE;
}

void partition_note_withdrawn(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    partition->noted_epoch = NO_NOTE;
    if (partition->role != ROLE_LEADER)
        return;
    partition_advance_high_watermark(partition);
    partition_tell_note_keeper(partition);
}

void partition_note_unsure(struct partition *partition)
{
    LOCK_SCOPE(&partition->lock);
    partition->noted_count = 0;
}
