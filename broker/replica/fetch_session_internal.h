/* What the files of fetch sessions share: the cache and its sessions, and how a partition is found
 * in one. */
#pragma once

#include "broker/base/list.h"
#include "broker/base/map.h"
#include "broker/base/thread.h"
#include "broker/replica/fetch_session.h"

struct cached_partition {
    struct list_node node; /* in the session's order */
    char *topic;           /* NULL when it was asked by id */
    char *name;            /* of a topic asked by id, once it was found */
    struct uuid topic_id;
    int32_t partition;
    int64_t fetch_offset, log_start_offset;
    int32_t max_bytes, current_leader_epoch, last_fetched_epoch;
    int64_t sent_high_watermark, sent_log_start_offset;
};

struct fetch_session {
    struct list_node node; /* in the cache, by last use; or among the doomed */
    int32_t id, next_epoch;
    bool is_follower, uses_ids;
    bool is_lent, is_doomed; /* doomed: out of the cache, freed when it is given back */
    int64_t created_ms, used_ms;
    struct map by_key;
    struct list_node partitions;
};

struct fetch_sessions {
    struct clock *clock;
    int32_t slots;

    struct lock lock; /* RANK_LEAF; guards the cache and every session not lent */
    struct map by_id;
    struct list_node by_use; /* the longest unused first */
    struct list_node doomed;
};

/* --- the cache (fetch_session_cache.c); under its lock --- */

/* Out of the cache; freed now, or when the request that holds it gives it back. */
void fetch_session_remove(struct fetch_sessions *sessions, struct fetch_session *session);
/* A new one for so many partitions, or NULL: there is no room and nobody must give way. */
struct fetch_session *fetch_session_make(struct fetch_sessions *sessions, bool is_follower,
                                         bool uses_ids, int32_t size);
void fetch_session_touch(struct fetch_sessions *sessions, struct fetch_session *session);
void fetch_session_free(struct fetch_session *session);
void cached_partition_free(struct cached_partition *cached);

/* --- requests (fetch_session_read.c) --- */

/* Topic, id and number as one key, in the arena. */
struct slice fetch_partition_key(struct arena *arena, struct slice topic, struct uuid topic_id,
                                 int32_t partition);
/* What the request itself names. */
void fetch_request_read(const struct fetch_request *request, int16_t api_version,
                        struct arena *arena, struct fetch_context *ret);
