/* What a log knows of the producers that wrote to it: the last five batches of each (for duplicates
 * and gaps), its epochs, and its open transaction. From the transactions follows the first offset
 * that is not stable.
 *
 * Pure memory: the log feeds it batches and writes its snapshots. Thread: changed with the log's
 * lock and view lock held, read with either. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/err.h"
#include "broker/base/map.h"
#include "broker/record/batch.h"

#define PRODUCER_BATCHES_MAX 5 /* as many as an idempotent producer may have in flight */
#define NO_OFFSET            INT64_C(-1)
#define NO_COORDINATOR_EPOCH (-1)

struct producer_batch {
    int64_t last_offset, timestamp_ms;
    int32_t last_sequence, offset_delta;
};

struct producer_entry {
    int64_t producer_id;
    int64_t txn_first_offset; /* NO_OFFSET: none open */
    int64_t last_timestamp_ms;
    int32_t coordinator_epoch;
    int16_t producer_epoch;
    uint8_t batches_count;
    bool has_looked_back; /* what the log has in front of the batches is among them, or no matter */
    struct producer_batch batches[PRODUCER_BATCHES_MAX]; /* oldest first */
};

struct txn_range {
    int64_t producer_id, first_offset, last_offset; /* last: the marker's */
};

struct txn_ranges {
    struct txn_range *items;
    size_t count, capacity;
};

struct producer_state {
    struct map entries;     /* producer id to struct producer_entry */
    struct txn_ranges open; /* ascending by first offset */
    struct txn_ranges
        unreplicated; /* completed, the marker not yet below the high watermark; as completed */
};

/* An end of a transaction, as its control batch tells it. */
struct txn_marker {
    bool is_abort;
    int32_t coordinator_epoch;
};

/* A transaction that a marker completed. */
struct txn_completed {
    int64_t producer_id, first_offset, last_offset, last_stable_offset;
    bool is_abort;
};

void producer_state_init(struct producer_state *state);
void producer_state_done(struct producer_state *state);
void producer_state_clear(struct producer_state *state);

const struct producer_entry *producer_state_find(const struct producer_state *state,
                                                 int64_t producer_id);

/* May a client's batch be appended? `b` has its offsets already; legacy batches and those without a
 * producer pass. ret_duplicate: the remembered batch that this one repeats, or NULL. Errors:
 * INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_TXN_STATE. */
MUST_USE enum err producer_state_check(const struct producer_state *state,
                                       const struct batch_info *b,
                                       const struct producer_batch **ret_duplicate);
/* May a marker of this origin be appended? INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED.
 */
MUST_USE enum err producer_state_check_marker(const struct producer_state *state,
                                              const struct batch_info *b,
                                              const struct txn_marker *marker);

/* A batch was refused as out of order: the offset below which the log may have older batches of its
 * producer, it among them; NO_OFFSET if it is newer than those remembered, or there is no room for
 * more, or this was asked before. */
int64_t producer_state_begin_look_back(struct producer_state *state, const struct batch_info *b);
/* Remember a data batch of the log in front of the others. False, and it is not: there is no room,
 * or its sequence is not the one that ends where the oldest begins. */
MUST_USE bool producer_state_add_older(struct producer_state *state, const struct batch_info *b);

/* Take note of a data batch that was written. */
void producer_state_append(struct producer_state *state, const struct batch_info *b);
/* Take note of a marker; true if it completed a transaction. It counts as unreplicated from now on.
 */
MUST_USE bool producer_state_end_txn(struct producer_state *state, const struct batch_info *b,
                                     const struct txn_marker *marker, struct txn_completed *ret);
/* What end_txn() would complete, without a change. */
MUST_USE bool producer_state_peek_txn(const struct producer_state *state,
                                      const struct batch_info *b, const struct txn_marker *marker,
                                      struct txn_completed *ret);

/* Markers below the high watermark are replicated. */
void producer_state_set_replicated(struct producer_state *state, int64_t high_watermark);
/* The first offset of a transaction that is open or not yet replicated; NO_OFFSET if none. */
int64_t producer_state_first_unstable(const struct producer_state *state, int64_t high_watermark);
/* Transactions and producers wholly below the log's new start are forgotten. */
void producer_state_truncate_start(struct producer_state *state, int64_t start_offset);
/* Forget producers silent for so long, in record time. */
void producer_state_expire(struct producer_state *state, int64_t now_ms, int64_t expiration_ms);

/* Snapshots: version, checksum, entries. Decoding replaces the state; producers expired at `now_ms`
 * are left out. Errors: ERR_MALFORMED. */
void producer_snapshot_encode(const struct producer_state *state, struct buf *out);
MUST_USE enum err producer_snapshot_decode(struct producer_state *state, struct slice bytes,
                                           int64_t now_ms, int64_t expiration_ms);

/* The key and value of a control record. False where it is no transaction marker. */
MUST_USE bool txn_marker_parse(struct slice batch, struct txn_marker *ret);
