/* The reading of a fetch: what is asked of each partition, what was found, and how that becomes an
 * answer. Used by handle_fetch.c alone, which decides when to read and when to wait. */
#pragma once

#include <stdatomic.h>

#include "broker/api/broker.h"
#include "wire/fetch.h"

struct fetch_wait;

/* What has been read of one partition. */
struct fetch_part {
    struct fetch_partition *asked;
    struct partition *partition; /* asked->at, or NULL with `error` */
    enum err error;              /* of the last reading */
    int32_t preferred_replica;   /* whom the consumer is sent to, or NO_BROKER */
    bool is_noted;               /* the follower's position has been taken, once a request */
    bool is_unresolved;          /* not known to the cluster: told in the answer, not waited upon */
    struct partition_read_result result;
    struct slice converted; /* in place of the slice, for clients of old formats */
    bool is_converted;
    struct fetch_wait *wait;
};

struct fetch_wait {
    struct request *request;
    struct fetch_context context;
    struct fetch_part **parts; /* looked at by this request */
    int32_t parts_count, parts_capacity;
    int32_t replica_id;
    int8_t newest_magic; /* that the client understands */
    int64_t min_bytes, max_bytes;

    int64_t bytes;    /* found by the last reading */
    bool must_answer; /* an error or a divergence was found */
    bool is_due, is_read, has_timer;
};

/* Begin the session. Errors: those of fetch_sessions_begin. */
MUST_USE enum err fetch_wait_init(struct fetch_wait *wait, struct request *request);

/* Read what is due, within the limits: what has moved, what the request named, and what had
 * something when it was read last; so that a fetch costs what has changed and not what the session
 * holds. False: it would block (only if !may_block); nothing is held then. */
bool fetch_read_due(struct fetch_wait *wait, bool may_block);
/* Give the files of the last reading back. */
void fetch_read_release(struct fetch_wait *wait);
/* The request is over, and its session goes back. */
void fetch_wait_end(struct fetch_wait *wait);

/* The answer: what was read last of each partition; takes its files. In the request's arena. */
struct fetch_response *fetch_read_response(struct fetch_wait *wait);
/* The same error for every partition of the request. */
void fetch_read_mirror_error(struct request *request, enum err e, struct fetch_response *response);
