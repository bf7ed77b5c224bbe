/* Reading the heads of batches and checking their sums. */
#include "broker/record/batch.h"

#include <zlib.h>

#include "broker/base/crc32c.h"

#define LEAST_LENGTH                                                                               \
    14 /* of a message of format 0 behind its 12 bytes; nothing whole is shorter                   \
        */
#define LEGACY_CRC_AT 12
#define NEWEST_MAGIC  2

int32_t sequence_add(int32_t sequence, int32_t delta)
{
    int64_t sum = (int64_t)sequence + delta;
    return (int32_t)(sum > INT32_MAX ? sum - INT32_MAX - 1 : sum);
}

int32_t batch_last_sequence(const uint8_t *batch)
{
    int32_t base = batch_base_sequence(batch);
    return base == NO_SEQUENCE ? NO_SEQUENCE : sequence_add(base, batch_last_offset_delta(batch));
}

static void fill_legacy(const uint8_t *b, struct batch_info *ret)
{
    ret->last_offset = ret->base_offset;
    ret->attributes = b[BATCH_MAGIC_AT + 1];
    ret->max_timestamp = NO_TIMESTAMP;
    ret->producer_id = NO_PRODUCER_ID;
    ret->producer_epoch = NO_PRODUCER_EPOCH;
    ret->base_sequence = NO_SEQUENCE;
    ret->leader_epoch = NO_LEADER_EPOCH;
    ret->record_count = 1;
}

static void fill(const uint8_t *b, struct batch_info *ret)
{
    ret->last_offset = batch_last_offset(b);
    ret->attributes = batch_attributes(b);
    ret->max_timestamp = batch_max_timestamp(b);
    ret->producer_id = batch_producer_id(b);
    ret->producer_epoch = batch_producer_epoch(b);
    ret->base_sequence = batch_base_sequence(b);
    ret->leader_epoch = batch_leader_epoch(b);
    ret->record_count = batch_record_count(b);
}

static enum err peek_legacy(struct slice bytes, struct batch_info *ret)
{
    if (bytes.size < BATCH_MAGIC_AT + 2)
        return ERR_AGAIN;
    fill_legacy(bytes.data, ret);
    if (ret->magic == 0)
        return ERR_OK;
    if (ret->size_bytes < BATCH_MAGIC_AT + 2 + 8)
        return err_note(ERR_CORRUPT_MESSAGE, "a message of format 1 in %lld bytes",
                        (long long)ret->size_bytes);
    if (bytes.size < BATCH_MAGIC_AT + 2 + 8)
        return ERR_AGAIN;
    ret->max_timestamp = (int64_t)get_be64(bytes.data + BATCH_MAGIC_AT + 2);
    return ERR_OK;
}

enum err batch_peek(struct slice bytes, struct batch_info *ret)
{
    ret->size_bytes = 0;
    if (bytes.size < BATCH_PREFIX_SIZE)
        return ERR_AGAIN;
    if (batch_length(bytes.data) < LEAST_LENGTH)
        return err_note(ERR_CORRUPT_MESSAGE, "a batch length of %d", batch_length(bytes.data));
    ret->size_bytes = batch_size(bytes.data);
    ret->base_offset = batch_base_offset(bytes.data);
    if (bytes.size <= BATCH_MAGIC_AT)
        return ERR_AGAIN;
    ret->magic = batch_magic(bytes.data);
    if (ret->magic < 0 || ret->magic > NEWEST_MAGIC)
        return err_note(ERR_CORRUPT_MESSAGE, "a batch of format %d", ret->magic);
    if (ret->magic < NEWEST_MAGIC)
        return peek_legacy(bytes, ret);
    if (ret->size_bytes < BATCH_HEADER_SIZE)
        return err_note(ERR_CORRUPT_MESSAGE, "a batch of %lld bytes has no room for its head",
                        (long long)ret->size_bytes);
    if (bytes.size < BATCH_HEADER_SIZE)
        return ERR_AGAIN;
    fill(bytes.data, ret);
    return ERR_OK;
}

bool batch_crc_is_right(const uint8_t *batch)
{
    size_t size = (size_t)batch_size(batch);
    if (batch_magic(batch) >= NEWEST_MAGIC)
        return crc32c(0, batch + BATCH_ATTRIBUTES_AT, size - BATCH_ATTRIBUTES_AT) ==
               batch_crc(batch);
    return crc32(0, batch + BATCH_MAGIC_AT, (uInt)(size - BATCH_MAGIC_AT)) ==
           get_be32(batch + LEGACY_CRC_AT);
}

void batch_seal(uint8_t *batch)
{
    size_t size = (size_t)batch_size(batch);
    put_be32(batch + BATCH_CRC_AT,
             crc32c(0, batch + BATCH_ATTRIBUTES_AT, size - BATCH_ATTRIBUTES_AT));
}
