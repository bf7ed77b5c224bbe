/* The last replica standing (KIP-966, in a form that ZooKeeper mode can keep).
 *
 * An ISR that has shrunk to one member names the only replica that is sure to have every record. If
 * its machine loses power, it comes back without what was not synced yet, and Kafka's ZooKeeper
 * mode makes it leader all the same: what it has lost is lost for all. But often somebody else has
 * everything too: while fewer than min.insync.replicas are in sync, the high watermark stands
 * still, so who left the ISR last still has all that lies below it. Three facts, none of which a
 * JVM broker or controller sees, let a controller choose that one:
 *
 *   broker_node.intact_since  a broker tells in its registration since when it has lost nothing
 *   leadership.led_zxid       since when the members of the last state that names a leader are
 *                             what its writer took them for: whoever of them has lost something
 *                             since then does not have everything
 *   znode_complete            the leader, or the controller that thinned the ISR, notes who else
 *                             has everything; the high watermark moves again only after the note
 *                             has become void
 *
 * A controller knows of what it has written itself how new the registrations were that it had heard
 * of: a member may have come back empty just before. Of what others wrote it takes the time of the
 * writing, unless members had gone away: such a state tells itself how much its writer knew.
 *
 * Where one of them is missing (a JVM broker, a JVM controller in between), all is as in Kafka.
 * Pure functions. */
#pragma once

#include "coordinator/controller/context.h"

struct znode_complete;
struct znode_complete_replica;

/* Was this replica, of the ISR in this state, stopped uncleanly since? Unknown counts as no. */
bool standing_has_lost(const struct context *context, const struct leadership *state, int32_t id);
/* Online, in the ISR, and has lost nothing that we know of. */
bool standing_is_whole(const struct context *context, const struct partition *partition,
                       int32_t id);

/* How new the newest registration is that we have heard of, of these: led_zxid of a state that this
 * controller writes. When it was written says too much, as a member may have come back meanwhile.
 */
int64_t standing_known(const struct context *context, const struct ids *isr);

/* `next` is what this controller is going to write: as much is known of its members as they are
 * known here. Where nobody leads, what was known before stays. */
void standing_begins(const struct context *context, const struct partition *partition,
                     struct leadership *next);

/* Of one that a note names: it has everything if it is here, or may have when it comes back. */
bool standing_may_be_complete(const struct context *context, const struct partition *partition,
                              const struct znode_complete_replica *noted);

enum standing_others {
    OTHERS_NONE, /* nobody out of the ISR has everything */
    OTHERS_AWAY, /* one may have, and is not online */
    OTHERS_HERE, /* one has, and is online */
};
/* note: NULL where there is none. ret_id: of the first assigned one, for OTHERS_HERE. */
enum standing_others standing_others(const struct context *context,
                                     const struct partition *partition,
                                     const struct znode_complete *note, int32_t *ret_id);

/* For a controller that has just loaded the cluster: a member of the ISR was stopped uncleanly and
 * came back while nobody looked. It must not stay where another member, or possibly one that a note
 * knows (the leader alone is in the ISR), is better: as a leader it may lack what is committed, and
 * as a follower it would count as one that has everything once the leader is lost. Where all were,
 * one of them goes on and the others join it again: had they stayed, no later state would tell
 * who of them loses something once more. */
bool standing_is_doubtful(const struct context *context, const struct partition *partition,
                          int32_t id);
