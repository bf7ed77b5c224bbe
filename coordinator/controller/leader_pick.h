/* Who shall lead: pure functions of the assignment, the in-sync replicas, who is there, and who has
 * lost records (last_standing.h). */
#pragma once

#include "coordinator/controller/context.h"

enum election {
    ELECT_OFFLINE,         /* any in-sync replica that is online */
    ELECT_OFFLINE_UNCLEAN, /* the same, else any replica that is online */
    ELECT_REASSIGNMENT,    /* the first that is online and in sync, of the target before others */
    ELECT_PREFERRED,       /* the first assigned replica, if online and in sync */
    ELECT_CONTROLLED_SHUTDOWN, /* one in sync that is not shutting down */
    ELECT_UNCHANGED,           /* the same, or still nobody, in a new leader epoch */
};

struct znode_complete;

struct leader_choice {
    int32_t leader;
    struct ids isr;  /* the new one; the caller frees */
    bool unclean;    /* records may have been lost */
    bool from_note;  /* out of the ISR, but known to have everything */
    bool unchanged;  /* ELECT_UNCHANGED: the partition is as much online as before */
    struct ids told; /* who is sent LeaderAndIsr; the caller frees */
};

/* False if nobody can lead; nothing is allocated then. note: who out of the ISR has everything;
 * NULL where nothing stands there, or it was not needed. */
bool leader_pick(const struct context *context, const struct partition *partition,
                 enum election how, const struct znode_complete *note,
                 struct leader_choice *ret_choice);

/* Some member of the ISR is online and has lost nothing, so an offline election need not be
 * unclean. */
bool isr_has_whole(const struct context *context, const struct partition *partition);
/* Whether an offline election depends on the note. */
bool leader_pick_needs_note(const struct context *context, const struct partition *partition,
                            bool unclean_allowed);
