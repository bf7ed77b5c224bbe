/* Producer snapshots, the `.snapshot` files:
 *
 *     version 2 = 1 | crc 4, CRC-32C of all behind it | count 4 | entries of 46 bytes:
 *     producerId 8 | epoch 2 | lastSequence 4 | lastOffset 8 | offsetDelta 4 | timestamp 8 |
 *     coordinatorEpoch 4 | currentTxnFirstOffset 8
 *
 * Only the last of a producer's remembered batches is kept; log_look_back.c finds the others. */
#include <inttypes.h>

#include "broker/base/crc32c.h"
#include "broker/log/producer_state.h"

#define SNAPSHOT_VERSION    1
#define SNAPSHOT_CRC_AT     2
#define SNAPSHOT_COUNT_AT   6
#define SNAPSHOT_HEAD_SIZE  10
#define SNAPSHOT_ENTRY_SIZE 46

static const struct producer_batch no_batch = {.last_offset = NO_OFFSET,
                                               .timestamp_ms = NO_TIMESTAMP,
                                               .last_sequence = NO_SEQUENCE,
                                               .offset_delta = 0};

static void put_entry(struct buf *out, const struct producer_entry *entry)
{
    const struct producer_batch *last =
        entry->batches_count > 0 ? &entry->batches[entry->batches_count - 1] : &no_batch;
    buf_put_be64(out, (uint64_t)entry->producer_id);
    buf_put_be16(out, (uint16_t)entry->producer_epoch);
    buf_put_be32(out, (uint32_t)last->last_sequence);
    buf_put_be64(out, (uint64_t)last->last_offset);
    buf_put_be32(out, (uint32_t)last->offset_delta);
    buf_put_be64(out, (uint64_t)entry->last_timestamp_ms);
    buf_put_be32(out, (uint32_t)entry->coordinator_epoch);
    buf_put_be64(out, (uint64_t)entry->txn_first_offset);
}

void producer_snapshot_encode(const struct producer_state *state, struct buf *out)
{
    size_t start = out->size;
    buf_put_be16(out, SNAPSHOT_VERSION);
    buf_put_be32(out, 0);
    buf_put_be32(out, (uint32_t)state->entries.count);
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&state->entries, &i));)
        put_entry(out, e->value);
    uint8_t *head = out->data + start;
    put_be32(head + SNAPSHOT_CRC_AT,
             crc32c(0, head + SNAPSHOT_COUNT_AT, out->size - start - SNAPSHOT_COUNT_AT));
}

static void read_entry(const uint8_t *at, struct producer_entry *ret)
{
    *ret = (struct producer_entry){
        .producer_id = (int64_t)get_be64(at),
        .producer_epoch = (int16_t)get_be16(at + 8),
        .last_timestamp_ms = (int64_t)get_be64(at + 26),
        .coordinator_epoch = (int32_t)get_be32(at + 34),
        .txn_first_offset = (int64_t)get_be64(at + 38),
    };
    struct producer_batch last = {
        .last_sequence = (int32_t)get_be32(at + 10),
        .last_offset = (int64_t)get_be64(at + 14),
        .offset_delta = (int32_t)get_be32(at + 22),
        .timestamp_ms = ret->last_timestamp_ms,
    };
    if (last.last_offset >= 0)
        ret->batches[ret->batches_count++] = last;
    if (ret->txn_first_offset < 0)
        ret->txn_first_offset = NO_OFFSET;
}

static void add_open_txn(struct producer_state *state, const struct producer_entry *entry)
{
    struct txn_ranges *open = &state->open;
    open->items = mem_grow(open->items, &open->capacity, open->count + 1, sizeof *open->items);
    size_t at = open->count++;
    for (; at > 0 && open->items[at - 1].first_offset > entry->txn_first_offset; at--)
        open->items[at] = open->items[at - 1];
    open->items[at] = (struct txn_range){.producer_id = entry->producer_id,
                                         .first_offset = entry->txn_first_offset};
}

static void add_entry(struct producer_state *state, const struct producer_entry *entry)
{
    struct producer_entry *copy = mem_new(struct producer_entry);
    *copy = *entry;
    free(map_put(&state->entries, MAP_KEY(entry->producer_id), copy));
    if (entry->txn_first_offset != NO_OFFSET)
        add_open_txn(state, entry);
}

static enum err check_head(struct slice bytes)
{
    if (bytes.size < SNAPSHOT_HEAD_SIZE || get_be16(bytes.data) != SNAPSHOT_VERSION)
        return err_note(ERR_MALFORMED, "producer snapshot of an unknown version or too short");
    uint32_t crc = crc32c(0, bytes.data + SNAPSHOT_COUNT_AT, bytes.size - SNAPSHOT_COUNT_AT);
    if (get_be32(bytes.data + SNAPSHOT_CRC_AT) != crc)
        return err_note(ERR_MALFORMED, "producer snapshot with a wrong checksum");
    uint32_t count = get_be32(bytes.data + SNAPSHOT_COUNT_AT);
    if ((bytes.size - SNAPSHOT_HEAD_SIZE) / SNAPSHOT_ENTRY_SIZE != count ||
        (bytes.size - SNAPSHOT_HEAD_SIZE) % SNAPSHOT_ENTRY_SIZE != 0)
        return err_note(ERR_MALFORMED,
                        "producer snapshot of %zu bytes announces %" PRIu32 " entries", bytes.size,
                        count);
    return ERR_OK;
}

enum err producer_snapshot_decode(struct producer_state *state, struct slice bytes, int64_t now_ms,
                                  int64_t expiration_ms)
{
    enum err e = check_head(bytes);
    if (e)
        return e;
    producer_state_clear(state);
    for (size_t at = SNAPSHOT_HEAD_SIZE; at < bytes.size; at += SNAPSHOT_ENTRY_SIZE) {
        struct producer_entry entry;
        read_entry(bytes.data + at, &entry);
        bool is_expired = entry.txn_first_offset == NO_OFFSET &&
                          entry.last_timestamp_ms <= now_ms - expiration_ms;
        if (!is_expired)
            add_entry(state, &entry);
    }
    return ERR_OK;
}
