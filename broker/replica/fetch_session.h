/* Incremental fetch sessions (KIP-227): what a client fetches is remembered, so that a request
 * names only what changed and an answer only what moved. Rules: storage-and-replication.md §11.
 * What a request looks at, by session or not, is told by its watch (fetch_watch.h).
 *
 * A session is lent to one request at a time: fetch_sessions_begin() hands it out (waiting requests
 * keep it), and fetch_session_end() gives it back. A second request for a session in use is refused
 * as Kafka's epoch check would. Threads: any; one lock around the cache. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/clock.h"
#include "broker/base/err.h"
#include "broker/base/uuid.h"
#include "broker/replica/fetch_watch.h"
#include "wire/fetch.h"

struct fetch_session;
struct fetch_sessions;

struct fetch_sessions *fetch_sessions_new(int32_t slots, struct clock *clock);
void fetch_sessions_free(struct fetch_sessions *sessions);
int32_t fetch_sessions_count(struct fetch_sessions *sessions);
/* How many partitions fetches have looked at since the start, those in hand included. */
int64_t fetch_sessions_looks(const struct fetch_sessions *sessions);

/* What a request is to fetch. */
struct fetch_context {
    struct fetch_sessions *sessions;
    struct fetch_session *session; /* NULL: sessionless */
    struct fetch_watch *watch;
    bool is_incremental;             /* the answer lists only what changed */
    int32_t session_id;              /* for the answer, 0 for none */
    struct fetch_partition *request; /* of the request alone: all there is without a session */
    int32_t request_count;

    /* In hand since fetch_context_take(), in fetching order. */
    struct fetch_partition **partitions;
    int32_t partitions_count;
};

/* Read the request into a context.
 * Errors: UNKNOWN_SERVER_ERROR (an id that no shard of the JVM broker's cache could hold),
 * FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR. */
MUST_USE enum err fetch_sessions_begin(struct fetch_sessions *sessions,
                                       const struct fetch_request *request, int16_t api_version,
                                       struct arena *arena, struct fetch_context *ret);
/* Who asks, by the version's field: a broker's id, or CONSUMER_REPLICA_ID and below. */
int32_t fetch_request_replica_id(const struct fetch_request *request, int16_t api_version);

/* Look at every partition, moved or not: for what changes without a movement of theirs. */
void fetch_context_add_all(struct fetch_context *context);
/* Take in hand what is to be looked at, in fetching order. */
void fetch_context_take(struct fetch_context *context);
/* Having read one in hand and found nothing: it rests until it moves, if it may. Else it is to be
 * looked at again, as is one of which something was found (fetch_context_keep). */
void fetch_context_rest(struct fetch_context *context, struct fetch_partition *partition,
                        int32_t leader_epoch);
void fetch_context_keep(struct fetch_context *context, struct fetch_partition *partition);

/* Whether an incremental answer must name this partition, and remember what it says. has_news:
 * records, preferred replica or diverging epoch. */
bool fetch_session_must_answer(struct fetch_context *context, struct fetch_partition *partition,
                               enum err error, int64_t high_watermark, int64_t log_start_offset,
                               bool has_records, bool has_news);

/* The name of a topic that was asked by id, found once: the session keeps it, so that a topic made
 * anew under the name is seen to have another id. Borrowed for the request. */
void fetch_context_remember_name(const struct fetch_context *context,
                                 struct fetch_partition *partition, struct slice name);

/* Done with the answer (or with the request): give the session back, let go of partitions. */
void fetch_session_end(struct fetch_context *context);
