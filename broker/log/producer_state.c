/* See producer_state.h. The rules are those of KIP-98 as the JVM broker 3.9 applies them. */
#include "broker/log/producer_state.h"

#include <inttypes.h>

#include "broker/base/varint.h"

void producer_state_init(struct producer_state *state)
{
    *state = (struct producer_state){0};
}

static void free_entries(struct producer_state *state)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&state->entries, &i));)
        free(e->value);
    map_done(&state->entries);
    state->entries = (struct map){0};
}

void producer_state_done(struct producer_state *state)
{
    free_entries(state);
    free(state->open.items);
    free(state->unreplicated.items);
    *state = (struct producer_state){0};
}

void producer_state_clear(struct producer_state *state)
{
    producer_state_done(state);
}

static struct producer_entry *find(const struct producer_state *state, int64_t producer_id)
{
    return map_get(&state->entries, MAP_KEY(producer_id));
}

const struct producer_entry *producer_state_find(const struct producer_state *state,
                                                 int64_t producer_id)
{
    return find(state, producer_id);
}

static struct producer_entry *find_or_add(struct producer_state *state, int64_t producer_id)
{
    struct producer_entry *entry = find(state, producer_id);
    if (entry)
        return entry;
    entry = mem_new(struct producer_entry);
    entry->producer_id = producer_id;
    entry->producer_epoch = NO_PRODUCER_EPOCH;
    entry->coordinator_epoch = NO_COORDINATOR_EPOCH;
    entry->txn_first_offset = NO_OFFSET;
    entry->last_timestamp_ms = NO_TIMESTAMP;
    map_put(&state->entries, MAP_KEY(producer_id), entry);
    return entry;
}

static void ranges_add(struct txn_ranges *ranges, struct txn_range range)
{
    ranges->items =
        mem_grow(ranges->items, &ranges->capacity, ranges->count + 1, sizeof *ranges->items);
    ranges->items[ranges->count++] = range;
}

static void ranges_remove(struct txn_ranges *ranges, size_t index)
{
    ranges->count--;
    memmove(ranges->items + index, ranges->items + index + 1,
            (ranges->count - index) * sizeof *ranges->items);
}

static void ranges_remove_producer(struct txn_ranges *ranges, int64_t producer_id)
{
    for (size_t i = ranges->count; i-- > 0;)
        if (ranges->items[i].producer_id == producer_id)
            ranges_remove(ranges, i);
}

static void open_txn(struct producer_state *state, int64_t producer_id, int64_t first_offset)
{
    struct txn_range range = {.producer_id = producer_id, .first_offset = first_offset};
    size_t at = state->open.count;
    ranges_add(&state->open, range);
    for (; at > 0 && state->open.items[at - 1].first_offset > first_offset; at--)
        state->open.items[at] = state->open.items[at - 1];
    state->open.items[at] = range;
}

/* --- may it be appended --- */

static int32_t first_sequence(const struct producer_batch *batch)
{
    /* Wraps below zero to the end of the range, as it wrapped above it to zero. */
    int64_t first = (int64_t)batch->last_sequence - batch->offset_delta;
    return (int32_t)(first < 0 ? first + INT64_C(0x80000000) : first);
}

static const struct producer_batch *find_duplicate(const struct producer_entry *entry,
                                                   const struct batch_info *b,
                                                   int32_t last_sequence)
{
    if (entry->producer_epoch != b->producer_epoch)
        return NULL;
    for (int i = 0; i < entry->batches_count; i++)
        if (first_sequence(&entry->batches[i]) == b->base_sequence &&
            entry->batches[i].last_sequence == last_sequence)
            return &entry->batches[i];
    return NULL;
}

static int32_t last_sequence_of(const struct batch_info *b)
{
    if (b->base_sequence == NO_SEQUENCE)
        return NO_SEQUENCE;
    return sequence_add(b->base_sequence, (int32_t)(b->last_offset - b->base_offset));
}

static struct producer_batch as_remembered(const struct batch_info *b)
{
    return (struct producer_batch){
        .last_offset = b->last_offset,
        .timestamp_ms = b->max_timestamp,
        .last_sequence = last_sequence_of(b),
        .offset_delta = (int32_t)(b->last_offset - b->base_offset),
    };
}

static int32_t entry_last_sequence(const struct producer_entry *entry)
{
    return entry->batches_count > 0 ? entry->batches[entry->batches_count - 1].last_sequence
                                    : NO_SEQUENCE;
}

static enum err check_sequence(const struct producer_entry *entry, const struct batch_info *b)
{
    if (b->producer_epoch != entry->producer_epoch) {
        if (b->base_sequence == 0 || entry->producer_epoch == NO_PRODUCER_EPOCH)
            return ERR_OK;
        return err_note(ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                        "producer %" PRId64 " begins epoch %d with sequence %" PRId32
                        " instead of 0",
                        b->producer_id, b->producer_epoch, b->base_sequence);
    }
    int32_t last = entry_last_sequence(entry);
    int32_t next = last == NO_SEQUENCE ? 0 : sequence_add(last, 1);
    if (b->base_sequence == next)
        return ERR_OK;
    return err_note(ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                    "producer %" PRId64 " epoch %d sends sequence %" PRId32
                    ", expected is %" PRId32,
                    b->producer_id, b->producer_epoch, b->base_sequence, next);
}

static enum err check_epoch(const struct producer_entry *entry, const struct batch_info *b)
{
    if (b->producer_epoch >= entry->producer_epoch)
        return ERR_OK;
    return err_note(ERR_INVALID_PRODUCER_EPOCH,
                    "producer %" PRId64 " writes with epoch %d, newer is %d", b->producer_id,
                    b->producer_epoch, entry->producer_epoch);
}

enum err producer_state_check(const struct producer_state *state, const struct batch_info *b,
                              const struct producer_batch **ret_duplicate)
{
    *ret_duplicate = NULL;
    if (b->magic < 2 || b->producer_id < 0)
        return ERR_OK;
    const struct producer_entry *entry = find(state, b->producer_id);
    if (!entry)
        return ERR_OK; /* expired, or never seen here: any sequence is a beginning */
    *ret_duplicate = find_duplicate(entry, b, last_sequence_of(b));
    if (*ret_duplicate)
        return ERR_OK;
    enum err e = check_epoch(entry, b);
    if (!e)
        e = check_sequence(entry, b);
    if (!e && !(b->attributes & BATCH_TRANSACTIONAL) && entry->txn_first_offset != NO_OFFSET)
        e = err_note(ERR_INVALID_TXN_STATE,
                     "producer %" PRId64 " writes outside of the transaction it has open",
                     b->producer_id);
    return e;
}

enum err producer_state_check_marker(const struct producer_state *state, const struct batch_info *b,
                                     const struct txn_marker *marker)
{
    const struct producer_entry *entry = find(state, b->producer_id);
    if (!entry)
        return ERR_OK;
    enum err e = check_epoch(entry, b);
    if (!e && marker->coordinator_epoch < entry->coordinator_epoch)
        e = err_note(ERR_TRANSACTION_COORDINATOR_FENCED,
                     "marker of coordinator epoch %" PRId32 ", newer is %" PRId32,
                     marker->coordinator_epoch, entry->coordinator_epoch);
    return e;
}

/* --- older batches, of which a snapshot did not tell --- */

/* In front of the oldest that is remembered, and not half the range of sequences away. */
static bool is_older(const struct producer_entry *entry, int32_t sequence)
{
    int64_t distance = (int64_t)first_sequence(&entry->batches[0]) - sequence;
    if (distance < 0)
        distance += INT64_C(0x80000000);
    return distance > 0 && distance < INT64_C(0x40000000);
}

static bool takes_older(const struct producer_entry *entry, const struct batch_info *b)
{
    return entry && entry->producer_epoch == b->producer_epoch && entry->batches_count > 0 &&
           entry->batches_count < PRODUCER_BATCHES_MAX;
}

int64_t producer_state_begin_look_back(struct producer_state *state, const struct batch_info *b)
{
    struct producer_entry *entry = find(state, b->producer_id);
    if (!takes_older(entry, b) || entry->has_looked_back || !is_older(entry, b->base_sequence))
        return NO_OFFSET;
    entry->has_looked_back = true;
    return entry->batches[0].last_offset - entry->batches[0].offset_delta;
}

bool producer_state_add_older(struct producer_state *state, const struct batch_info *b)
{
    struct producer_entry *entry = find(state, b->producer_id);
    if (!takes_older(entry, b) ||
        sequence_add(last_sequence_of(b), 1) != first_sequence(&entry->batches[0]))
        return false;
    memmove(entry->batches + 1, entry->batches, entry->batches_count * sizeof entry->batches[0]);
    entry->batches[0] = as_remembered(b);
    entry->batches_count++;
    return true;
}

/* --- it was appended --- */

static void set_epoch(struct producer_entry *entry, int16_t producer_epoch)
{
    if (entry->producer_epoch == producer_epoch)
        return;
    entry->producer_epoch = producer_epoch;
    entry->batches_count = 0;
}

static void remember_batch(struct producer_entry *entry, const struct producer_batch *batch)
{
    if (entry->batches_count == PRODUCER_BATCHES_MAX) {
        memmove(entry->batches, entry->batches + 1,
                sizeof entry->batches - sizeof entry->batches[0]);
        entry->batches_count--;
    }
    entry->batches[entry->batches_count++] = *batch;
}

void producer_state_append(struct producer_state *state, const struct batch_info *b)
{
    if (b->magic < 2 || b->producer_id < 0)
        return;
    struct producer_entry *entry = find_or_add(state, b->producer_id);
    set_epoch(entry, b->producer_epoch);
    struct producer_batch batch = as_remembered(b);
    remember_batch(entry, &batch);
    entry->last_timestamp_ms = b->max_timestamp;
    if ((b->attributes & BATCH_TRANSACTIONAL) && entry->txn_first_offset == NO_OFFSET) {
        entry->txn_first_offset = b->base_offset;
        open_txn(state, b->producer_id, b->base_offset);
    }
}

static int64_t stable_without(const struct producer_state *state, int64_t producer_id,
                              int64_t otherwise)
{
    for (size_t i = 0; i < state->open.count; i++)
        if (state->open.items[i].producer_id != producer_id)
            return state->open.items[i].first_offset;
    return otherwise;
}

bool producer_state_peek_txn(const struct producer_state *state, const struct batch_info *b,
                             const struct txn_marker *marker, struct txn_completed *ret)
{
    const struct producer_entry *entry = find(state, b->producer_id);
    if (!entry || entry->txn_first_offset == NO_OFFSET)
        return false;
    *ret = (struct txn_completed){
        .producer_id = b->producer_id,
        .first_offset = entry->txn_first_offset,
        .last_offset = b->last_offset,
        .last_stable_offset = stable_without(state, b->producer_id, b->last_offset + 1),
        .is_abort = marker->is_abort,
    };
    return true;
}

bool producer_state_end_txn(struct producer_state *state, const struct batch_info *b,
                            const struct txn_marker *marker, struct txn_completed *ret)
{
    bool completed = producer_state_peek_txn(state, b, marker, ret);
    struct producer_entry *entry = find_or_add(state, b->producer_id);
    set_epoch(entry, b->producer_epoch);
    entry->coordinator_epoch = marker->coordinator_epoch;
    entry->last_timestamp_ms = b->max_timestamp;
    entry->txn_first_offset = NO_OFFSET;
    ranges_remove_producer(&state->open, b->producer_id);
    if (completed)
        ranges_add(&state->unreplicated, (struct txn_range){.producer_id = ret->producer_id,
                                                            .first_offset = ret->first_offset,
                                                            .last_offset = ret->last_offset});
    return completed;
}

void producer_state_set_replicated(struct producer_state *state, int64_t high_watermark)
{
    for (size_t i = state->unreplicated.count; i-- > 0;)
        if (state->unreplicated.items[i].last_offset < high_watermark)
            ranges_remove(&state->unreplicated, i);
}

int64_t producer_state_first_unstable(const struct producer_state *state, int64_t high_watermark)
{
    int64_t first = state->open.count > 0 ? state->open.items[0].first_offset : NO_OFFSET;
    for (size_t i = 0; i < state->unreplicated.count; i++) {
        const struct txn_range *range = &state->unreplicated.items[i];
        if (range->last_offset >= high_watermark &&
            (first == NO_OFFSET || range->first_offset < first))
            first = range->first_offset;
    }
    return first;
}

static void remove_entry(struct producer_state *state, struct producer_entry *entry)
{
    int64_t producer_id = entry->producer_id;
    map_remove(&state->entries, MAP_KEY(producer_id));
    free(entry);
}

void producer_state_truncate_start(struct producer_state *state, int64_t start_offset)
{
    for (size_t i = state->unreplicated.count; i-- > 0;)
        if (state->unreplicated.items[i].last_offset < start_offset)
            ranges_remove(&state->unreplicated, i);
}

void producer_state_expire(struct producer_state *state, int64_t now_ms, int64_t expiration_ms)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&state->entries, &i));) {
        struct producer_entry *entry = e->value;
        if (entry->txn_first_offset == NO_OFFSET &&
            entry->last_timestamp_ms <= now_ms - expiration_ms)
            remove_entry(state, entry);
    }
}

/* --- markers --- */

/* One record: length, attributes, timestamp delta, offset delta, key {version, type}, value
 * {version, epoch}. */
bool txn_marker_parse(struct slice batch, struct txn_marker *ret)
{
    if (batch.size < BATCH_HEADER_SIZE + 2)
        return false;
    const uint8_t *at = batch.data + BATCH_HEADER_SIZE, *end = batch.data + batch.size;
    int32_t length, offset_delta, key_size, value_size;
    int64_t timestamp_delta;
    size_t n = varint_get(at, (size_t)(end - at), &length);
    if (n == 0 || end - (at += n) < 1)
        return false;
    at++; /* attributes */
    if ((n = varlong_get(at, (size_t)(end - at), &timestamp_delta)) == 0)
        return false;
    at += n;
    if ((n = varint_get(at, (size_t)(end - at), &offset_delta)) == 0)
        return false;
    at += n;
    if ((n = varint_get(at, (size_t)(end - at), &key_size)) == 0)
        return false;
    at += n;
    if (key_size < 4 || end - at < key_size)
        return false;
    int16_t type = (int16_t)get_be16(at + 2);
    at += key_size;
    if ((n = varint_get(at, (size_t)(end - at), &value_size)) == 0)
        return false;
    at += n;
    if (type < 0 || type > 1 || value_size < 6 || end - at < value_size)
        return false;
    *ret =
        (struct txn_marker){.is_abort = type == 0, .coordinator_epoch = (int32_t)get_be32(at + 2)};
    return true;
}
