/* A replica fetcher: follows partitions on behalf of this broker. It sends one request at a time to
 * each leader, normally a Fetch of an incremental session (KIP-227), and hands what comes to the
 * partitions (storage-and-replication §15).
 *
 *      FETCHING --diverging epoch--> cut, FETCHING
 *      FETCHING --OFFSET_OUT_OF_RANGE--> ASKING_END --> cut, or ASKING_START --> FETCHING
 *      (an inter.broker.protocol.version below 2.7: ASKING_EPOCH first, KIP-101)
 *      any --FENCED_LEADER_EPOCH, records that do not fit--> FAILED, until the next LeaderAndIsr
 *
 * Where flush.messages makes a follower flush, all logs that an answer has filled are synced side
 * by side, by the log's group commit; the leader is asked again when they are, as the next fetch
 * says what we have. Other leaders, and orders, do not wait for that.
 *
 * A pure core: requests leave through `struct fetcher_leaders`, time is the clock handed in, so it
 * runs in a thread of the broker and in tests on virtual time alike.
 *
 * Thread: one owner. */
#pragma once

#include "broker/base/clock.h"
#include "broker/base/err.h"
#include "broker/replica/replication.h"

struct fetcher;
struct fetch_flushes;

/* response: the decoded struct <api>_response, borrowed for the call; NULL with an error. */
typedef void fetcher_answered_fn(void *context, enum err e, const void *response);

/* The way to the leaders. `answered` is called exactly once, never from within send(). Errors: the
 * request is not sent (NOT_FOUND, the broker is not known; AGAIN; …); `answered` is not called. */
struct fetcher_leaders {
    enum err (*send)(void *context, int32_t leader_id, int16_t api_key, int16_t api_version,
                     const void *request, fetcher_answered_fn *answered, void *answered_context);
    void *context;
};

struct fetcher_settings {
    int32_t broker_id;
    int64_t (*broker_epoch)(void *context); /* KIP-903; may be NULL */
    void *context;
    int16_t fetch_version; /* by inter.broker.protocol.version; from 13 on topics go by id */
    int16_t list_offsets_version, epoch_version;
    bool truncates_on_fetch;    /* 2.7 and above */
    int32_t wait_max_ms;        /* replica.fetch.wait.max.ms */
    int32_t min_bytes;          /* replica.fetch.min.bytes */
    int32_t response_max_bytes; /* replica.fetch.response.max.bytes */
    int32_t max_bytes;          /* replica.fetch.max.bytes, of a partition */
    int32_t backoff_ms;         /* replica.fetch.backoff.ms */
    /* Syncs have ended: to be handed to fetcher_flushed() on the fetcher's thread. Threads: any.
     * NULL: they only ever end on that thread. */
    void (*flushed)(void *flushed_context, struct fetch_flushes *flushes);
    void *flushed_context;
};

struct fetcher *fetcher_new(const struct fetcher_settings *settings,
                            const struct fetcher_leaders *leaders, struct clock *clock);
/* No request may be answered any more, and no sync be under way. */
void fetcher_free(struct fetcher *fetcher);

/* Follow this leader in this epoch from now on; takes the reference. Requests leave with the next
 * fetcher_run(). */
void fetcher_follow(struct fetcher *fetcher, struct partition *partition, int32_t leader_id,
                    int32_t leader_epoch);
void fetcher_unfollow(struct fetcher *fetcher, struct partition *partition);

/* Send what can be sent, and fire timers that are due. After fetcher_follow(), after answers, and
 * when the deadline below has come. */
void fetcher_run(struct fetcher *fetcher);
void fetcher_flushed(struct fetcher *fetcher, struct fetch_flushes *flushes);
bool fetcher_is_flushing(const struct fetcher *fetcher);
int64_t fetcher_next_ms(const struct fetcher *fetcher); /* monotonic; INT64_MAX: none */

struct fetcher_counts {
    int32_t followed, failed, leaders;
};
void fetcher_count(const struct fetcher *fetcher, struct fetcher_counts *ret);
