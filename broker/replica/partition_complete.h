/* The leader's note about replicas that are out of the ISR and have everything all the same
 * (KIP-966's eligible leader replicas, kept in ZooKeeper; coordinator/controller/last_standing.h is
 * who reads it).
 *
 * With fewer than min.insync.replicas in sync the high watermark stands still. Whoever had reached
 * it by then has every record that was ever committed, and keeps that property as long as the
 * watermark does not move. It moves again when the ISR has grown: that changes the state znode,
 * which voids the note. Or when min.insync.replicas is lowered: then the leader holds the watermark
 * until the note is withdrawn.
 *
 * Threads: any; each function takes the partition's lock, but the last three, whose caller holds
 * it. */
#pragma once

#include "broker/base/arena.h"
#include "broker/replica/partition.h"

#define NO_NOTE        (-1)
#define NOTE_LEFT_OVER (-2) /* an earlier leader's may stand there; it is void, and goes in time   \
                             */

struct complete_replica {
    int32_t broker_id;
    int64_t broker_epoch; /* in which it fetched last */
};

struct complete_note {
    int32_t partition_epoch; /* of the state znode that it is about */
    struct complete_replica *replicas;
    int32_t count;
};

enum note_action {
    NOTE_KEEP,     /* nothing is to be done */
    NOTE_WRITE,    /* the watermark is held from now on, as if it stood there */
    NOTE_WITHDRAW, /* then partition_note_withdrawn() */
};
/* What to do about the note now. In the arena. */
enum note_action partition_look_at_note(struct partition *partition, struct arena *arena,
                                        struct complete_note *ret_note);
/* It is gone, or was never there. */
void partition_note_withdrawn(struct partition *partition);

/* Whether it was written is not known: it counts as standing there, and is to be written again. */
void partition_note_unsure(struct partition *partition);

/* We have begun to lead. */
void partition_expect_note(struct partition *partition);
/* The ISR, the role or min.insync.replicas has changed. */
void partition_tell_note_keeper(struct partition *partition);
bool partition_is_held_by_note(const struct partition *partition);
