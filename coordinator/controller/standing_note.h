/* The controller's own notes about replicas that are out of the ISR and have everything all the
 * same (KIP-966's eligible leader replicas; last_standing.h tells what they are for).
 *
 * Usually a leader notes them itself. But where several brokers are in trouble within one session,
 * the controller takes one after the other out of the ISR, and whoever is left alone in it may be
 * dead, or have lost its disk, and never come to write anything. So whenever this controller writes
 * a state whose ISR has one member, fewer than min.insync.replicas, it notes who left: until that
 * member has heard of the new state nothing can be committed without them, and once it has, its
 * watermark stands still. A leader's own note, or its withdrawal, comes later and has the last
 * word.
 *
 * The note is written before the state, so that no controller can be replaced in between. Until the
 * state stands there the note says nothing. If somebody else writes that version, it says the truth
 * about that, too: all that follows the state before, and has this one member in the ISR, leaves
 * the others as complete as they were.
 *
 * min.insync.replicas is what the settings in ZooKeeper say, else what this broker's file says: it
 * has to be the same in the files of all brokers. A note is void once a setting has changed. */
#pragma once

#include "coordinator/controller/context.h"
#include "coordinator/zk/znode.h"

struct controller;

/* States that leave one member in the ISR, as planned. */
struct thinning {
    struct partition *partition;
    int32_t member;
    int32_t led_before, led_after; /* the last version with a leader: a note is about one */
    struct znode_complete_replica *dropped;
    int32_t dropped_count;
};
struct thinnings {
    struct thinning *items;
    size_t count, capacity;
};
void thinnings_done(struct thinnings *thinnings);
#define THINNINGS __attribute__((cleanup(thinnings_done))) struct thinnings

/* `next` is going to be written over what the partition has now. Remembers what has to be noted
 * about that, if anything. */
void thinnings_plan(struct thinnings *thinnings, const struct context *context,
                    struct partition *partition, const struct leadership *next);
/* Before the writing. Fiber only. Errors: those that end the event; a note that could not be
 * written is only traced. */
MUST_USE enum err thinnings_note(struct controller *controller, const struct thinnings *thinnings);

/* Whether notes of controllers were written under the settings of today. A note that was not, or
 * under which the ISR is not thin any more, becomes NULL. */
struct noted {
    const struct partition *partition;
    struct znode_complete **note; /* what it points to may be NULL */
};
MUST_USE enum err notes_check_settings(struct controller *controller, const struct noted *items,
                                       size_t count);
