/* What the files of fetch sessions share: the cache and its sessions, and how a partition is found
 * in one. */
#pragma once

#include "broker/base/list.h"
#include "broker/base/map.h"
#include "broker/base/thread.h"
#include "broker/replica/fetch_session.h"

/* Who reads: what another one may see is other, so what rested for the one does not for the next.
 */
struct fetch_reader {
    int32_t replica_id;
    int16_t api_version;
    int8_t isolation_level;
};

struct fetch_session {
    struct list_node node; /* in the cache, by last use; or among the doomed */
    int32_t id, next_epoch;
    bool is_follower, uses_ids;
    bool is_lent, is_doomed; /* doomed: out of the cache, freed when it is given back */
    int64_t created_ms, used_ms;
    _Atomic int32_t size; /* of the map: others weigh a session that is lent by it */
    struct map by_key;
    struct list_node partitions; /* struct fetch_partition, by turn */
    uint64_t next_turn;
    struct fetch_reader reader;
    struct fetch_watch watch;
    struct follower_beat *beat; /* of a follower */
};

struct fetch_sessions {
    struct clock *clock;
    int32_t slots;
    _Atomic int64_t looks;

    struct lock lock; /* RANK_LEAF; guards the cache and every session not lent */
    struct map by_id;
    struct list_node by_use; /* the longest unused first */
    struct list_node doomed;
};

/* --- the cache (fetch_session_cache.c); under its lock --- */

/* Out of the cache: onto `ret_gone`, to be freed by fetch_sessions_bury() without the lock; or when
 * the request that holds it gives it back. */
void fetch_session_remove(struct fetch_sessions *sessions, struct fetch_session *session,
                          struct list_node *ret_gone);
/* A new one for so many partitions, or NULL: there is no room and nobody must give way. */
struct fetch_session *fetch_session_make(struct fetch_sessions *sessions, bool is_follower,
                                         bool uses_ids, int32_t size, struct list_node *ret_gone);
void fetch_session_touch(struct fetch_sessions *sessions, struct fetch_session *session);

/* --- without the lock, as partitions have locks of their own --- */
void fetch_sessions_bury(struct list_node *gone);
void fetch_session_free(struct fetch_session *session);
/* Out of its session, which it has left. */
void session_partition_free(struct fetch_session *session, struct fetch_partition *item);

/* --- requests (fetch_session_read.c) --- */

/* Topic, id and number as one key, in the arena. */
struct slice fetch_partition_key(struct arena *arena, struct slice topic, struct uuid topic_id,
                                 int32_t partition);
/* What the request itself names. */
void fetch_request_read(const struct fetch_request *request, int16_t api_version,
                        struct arena *arena, struct fetch_context *ret);
