/* The reading of a fetch: what is asked of each partition, what was found, and how that becomes an
 * answer. Used by handle_fetch.c alone, which decides when to read and when to wait. */
#pragma once

#include <stdatomic.h>

#include "broker/api/broker.h"
#include "wire/fetch.h"

struct fetch_wait;

/* One partition of the fetch, in the order of the context. */
struct fetch_part {
    struct fetch_partition *asked;
    struct slice topic;          /* its name; null if the id is not known */
    struct partition *partition; /* a reference, or NULL with `error` */
    enum err error;              /* of the last reading */
    int32_t preferred_replica;   /* whom the consumer is sent to, or NO_BROKER */
    bool is_noted;               /* the follower's position has been taken, once a request */
    bool is_unresolved;          /* not known to the cluster: told in the answer, not waited upon */
    bool is_exhausted;           /* the last reading found no error, and nothing to read */
    uint64_t moves;              /* of the partition, as the last reading began */
    struct partition_read_result result;
    struct slice converted; /* in place of the slice, for clients of old formats */
    bool is_converted;
    struct partition_waiter waiter;
    struct fetch_wait *wait;
};

struct fetch_wait {
    struct request *request;
    struct fetch_context context;
    struct fetch_part *parts;
    int32_t parts_count;
    int32_t replica_id;
    int8_t newest_magic; /* that the client understands */
    int64_t min_bytes, max_bytes;

    int64_t bytes;     /* found by the last reading */
    bool must_answer;  /* an error or a divergence was found */
    bool has_interest; /* some partition is readable at all */
    bool is_due, is_read, has_timer, is_registered;

    void (*on_moved)(struct request *request);
    _Atomic bool is_posted;       /* the right to post the request */
    _Atomic bool moved_meanwhile; /* a partition moved while someone else had that right */
};

/* Begin the session and resolve topics. Errors: those of fetch_sessions_begin. */
MUST_USE enum err fetch_wait_init(struct fetch_wait *wait, struct request *request);

/* Read within the limits: every partition the first time, and then those that have moved or had
 * something, so that waking up costs what has changed and not what the session holds. False:
 * it would block (only if !may_block); nothing is held then. */
bool fetch_read_all(struct fetch_wait *wait, bool may_block);
/* Give the files of the last reading back. */
void fetch_read_release(struct fetch_wait *wait);

/* Be told when a partition moves / no more. */
void fetch_wait_register(struct fetch_wait *wait, void (*on_moved)(struct request *request));
void fetch_wait_unregister(struct fetch_wait *wait);
void fetch_wait_release_partitions(struct fetch_wait *wait);

/* The answer from the last reading; takes its files. In the request's arena. */
struct fetch_response *fetch_read_response(struct fetch_wait *wait);
/* The same error for every partition of the request. */
void fetch_read_mirror_error(struct request *request, enum err e, struct fetch_response *response);
