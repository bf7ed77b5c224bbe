/* Which partitions of a fetch are worth a look, so that a fetch costs what has moved and not what
 * it names or its session holds.
 *
 *      RESTING --moved, named by a request--> DUE --taken--> in hand --nothing to read--> RESTING
 *                                              ^                '--something is left------> DUE
 *
 * A partition rests when its last reading found no error and nothing to read: then a reader would
 * find the same until the partition moves, and each movement that matters to this reader makes it
 * due. What is due and what is in hand are known to the watch; what rests costs nothing.
 *
 * The pointer to a partition (`at`) is a reference. It may outlive the partition's life here: a
 * replica that is deleted has no role any more, which is a movement, and who looks at it then must
 * find the one that took its place. See fetch_partition_find().
 *
 * Threads: one owner at a time, the request that the session is lent to; movements come from any
 * thread, under a partition's lock, and only touch what the watch's own lock guards. */
#pragma once

#include "broker/base/thread.h"
#include "broker/base/uuid.h"
#include "broker/replica/replication.h"

/* One partition of a fetch: as the request gave it, by session or not. */
struct fetch_partition {
    struct slice topic; /* null while only the id is known */
    struct uuid topic_id;
    int32_t partition;
    int64_t fetch_offset, log_start_offset;
    int32_t max_bytes, current_leader_epoch, last_fetched_epoch;

    /* The session's memory of the last answer. */
    int64_t sent_high_watermark, sent_log_start_offset;

    struct partition *at;       /* what was found, or NULL */
    struct fetch_part *in_hand; /* of the handler: what this request has read of it */
    struct fetch_watch *watch;
    struct partition_watcher watcher;
    uint64_t turn;         /* those with less come first */
    struct list_node node; /* of all in the session */
    char *own_topic;       /* behind `topic`, in a session */

    struct list_node due; /* guarded by the watch's lock */
};

struct fetch_watch {
    int32_t found_count; /* partitions with `at`: the owner's, down to the lock */
    struct fetch_partition **taken;
    size_t taken_count, taken_capacity;
    void (*wake)(void *owner);
    void *owner;

    struct lock lock; /* RANK_LEAF; guards down to the end, and every `due` */
    bool is_follower; /* reads to the log end */
    struct list_node due;
    size_t due_count;
    bool is_asleep, has_news;
};

void fetch_watch_init(struct fetch_watch *watch, bool is_follower);
void fetch_watch_done(struct fetch_watch *watch); /* nothing is watched any more */

/* Someone else reads now. */
void fetch_watch_set_reader(struct fetch_watch *watch, bool is_follower);

/* Watch this one, which takes the reference; what was watched before is let go of. */
void fetch_partition_found(struct fetch_partition *item, struct partition *partition);
/* No more. */
void fetch_partition_lost(struct fetch_partition *item);

/* --- the owner --- */
/* To be looked at. */
void fetch_watch_add(struct fetch_watch *watch, struct fetch_partition *item);
/* Not any more: it is about to be freed. */
void fetch_watch_remove(struct fetch_watch *watch, struct fetch_partition *item);
/* Take all that is due, by turn, into `taken`; whoever has nothing to say of one any more lets it
 * rest, the others are added again. */
void fetch_watch_take(struct fetch_watch *watch);
/* Until a reader's movement: `wake` is called once then, on any thread, with a partition's lock
 * held. False: there was one since the last fetch_watch_take(). */
MUST_USE bool fetch_watch_sleep(struct fetch_watch *watch, void (*wake)(void *owner), void *owner);
/* Wake up by oneself: false, if the other way was faster, or nobody sleeps. */
MUST_USE bool fetch_watch_rouse(struct fetch_watch *watch);
