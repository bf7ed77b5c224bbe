/* A Produce request at work: its partitions, how each stands, and the answer that grows. Shared by
 * handle_produce.c (checks and appends), produce_parts.c (from the message to its parts) and
 * produce_wait.c (waits for the other replicas, and answers). */
#pragma once

#include <stdatomic.h>

#include "broker/api/broker.h"
#include "wire/produce.h"

struct produce_wait;

/* One partition of the request. */
struct produce_part {
    struct produce_response_partition_produce_response *answer;
    struct slice topic;
    const struct produce_request_partition_produce_data *data;
    struct partition *partition; /* a reference, while something is still to be done */
    int64_t required_offset;
    bool needs_flush;
    bool continues_txn; /* transactional: only where its transaction is open already */
    enum err error;     /* ERR_AGAIN while it waits for other replicas */
    struct log_flush_waiter flush;
    struct partition_waiter waiter;
    struct produce_wait *wait;
};

struct produce_wait {
    struct request *request;
    struct produce_response response;
    struct produce_part *parts;
    int32_t parts_count;
    /* Parts that wait, for the disk and then for replicas; and one for the thread that sets them
     * up.
     */
    _Atomic int32_t open_count;
};

static inline const struct produce_request *produce_message(const struct produce_wait *wait)
{
    return wait->request->message;
}

/* --- produce_parts.c --- */
/* One part for each partition that is named, and one place in the answer for each part. */
void produce_parts_gather(struct produce_wait *wait);

/* --- produce_wait.c --- */
void produce_part_set_error(struct produce_part *part, enum err e);
/* Answer with what the parts say, or close the connection where acks=0 failed; the request is gone
 * after. */
void produce_answer(struct produce_wait *wait);
/* acks=all: answer once the other replicas have what was appended, or the time is up. */
void produce_wait_for_acks(struct produce_wait *wait);
