/* Incremental fetch sessions (KIP-227): what a client fetches is remembered, so that a request
 * names only what changed and an answer only what moved. Rules: storage-and-replication.md §11.
 *
 * A session is lent to one request at a time: fetch_sessions_begin() hands it out (waiting requests
 * keep it), and fetch_session_end() gives it back. A second request for a session in use is refused
 * as Kafka's epoch check would. Threads: any; one lock around the cache. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/clock.h"
#include "broker/base/err.h"
#include "broker/base/uuid.h"
#include "wire/fetch.h"

/* One partition of a fetch, by session or not. Names and ids as the request gave them; the name of
 * an id is looked up anew by each request. */
struct fetch_partition {
    struct slice topic; /* null when only the id is known */
    struct uuid topic_id;
    int32_t partition;
    int64_t fetch_offset, log_start_offset;
    int32_t max_bytes, current_leader_epoch, last_fetched_epoch;

    /* The session's memory of the last answer. */
    int64_t sent_high_watermark, sent_log_start_offset;
    struct cached_partition *cached; /* NULL outside a session */
};

struct fetch_session;
struct fetch_sessions;

struct fetch_sessions *fetch_sessions_new(int32_t slots, struct clock *clock);
void fetch_sessions_free(struct fetch_sessions *sessions);
int32_t fetch_sessions_count(struct fetch_sessions *sessions);

/* What a request is to fetch. */
struct fetch_context {
    struct fetch_session *session;      /* NULL: sessionless */
    bool is_incremental;                /* the answer lists only what changed */
    int32_t session_id;                 /* for the answer, 0 for none */
    struct fetch_partition *partitions; /* in fetching order, in the arena */
    int32_t partitions_count;
};

/* Read the request into a context.
 * Errors: UNKNOWN_SERVER_ERROR (an id that no shard of the JVM broker's cache could hold),
 * FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR. */
MUST_USE enum err fetch_sessions_begin(struct fetch_sessions *sessions,
                                       const struct fetch_request *request, int16_t api_version,
                                       bool is_follower, struct arena *arena,
                                       struct fetch_context *ret);

/* Whether an incremental answer must name this partition, and remember what it says. has_news:
 * records, preferred replica or diverging epoch. */
bool fetch_session_must_answer(struct fetch_context *context, struct fetch_partition *partition,
                               enum err error, int64_t high_watermark, int64_t log_start_offset,
                               bool has_records, bool has_news);

/* The name of a topic that was asked by id, found once: the session keeps it, so that a topic made
 * anew under the name is seen to have another id. */
void fetch_session_remember_name(struct fetch_partition *partition, struct slice name);

/* Done with the answer (or with the request): give the session back. */
void fetch_session_end(struct fetch_sessions *sessions, struct fetch_context *context);
