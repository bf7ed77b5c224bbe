/* The layout of a record batch, message format 2 (KIP-98), and what every format has in common.
 *
 *      0 baseOffset 8 | 8 batchLength 4 | 12 partitionLeaderEpoch 4 | 16 magic 1 | 17 crc 4 |
 *     21 attributes 2 | 23 lastOffsetDelta 4 | 27 baseTimestamp 8 | 35 maxTimestamp 8 |
 *     43 producerId 8 | 51 producerEpoch 2 | 53 baseSequence 4 | 57 recordCount 4 | 61 records…
 *
 * The checksum (CRC-32C) covers byte 21 to the end, so a leader may assign offset and epoch without
 * it. In formats 0 and 1 the first 12 bytes are offset and size of a message, and byte 16 is the
 * magic too.
 *
 * Accessors read in place from bytes that hold at least BATCH_HEADER_SIZE (format 2) or
 * BATCH_PREFIX_SIZE + 1 (magic) bytes; batch_peek() says whether they do. Threads: any. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/err.h"
#include "broker/base/slice.h"

#define BATCH_LENGTH_AT     8
#define BATCH_PREFIX_SIZE   12 /* offset and length, which the length does not count */
#define BATCH_EPOCH_AT      12
#define BATCH_MAGIC_AT      16
#define BATCH_CRC_AT        17
#define BATCH_ATTRIBUTES_AT 21
#define BATCH_HEADER_SIZE   61

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_COUNT };

enum batch_attribute {
    BATCH_CODEC_MASK = 0x07,
    BATCH_LOG_APPEND_TIME = 0x08,
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
    BATCH_DELETE_HORIZON = 0x40,
};

#define NO_PRODUCER_ID    (-1)
#define NO_PRODUCER_EPOCH (-1)
#define NO_SEQUENCE       (-1)
#define NO_TIMESTAMP      (-1)
#define NO_LEADER_EPOCH   (-1)

static inline int64_t batch_base_offset(const uint8_t *b)
{
    return (int64_t)get_be64(b);
}
static inline int32_t batch_length(const uint8_t *b)
{
    return (int32_t)get_be32(b + BATCH_LENGTH_AT);
}
static inline int64_t batch_size(const uint8_t *b)
{
    return BATCH_PREFIX_SIZE + (int64_t)batch_length(b);
}
static inline int32_t batch_leader_epoch(const uint8_t *b)
{
    return (int32_t)get_be32(b + BATCH_EPOCH_AT);
}
static inline int8_t batch_magic(const uint8_t *b)
{
    return (int8_t)b[BATCH_MAGIC_AT];
}
static inline uint32_t batch_crc(const uint8_t *b)
{
    return get_be32(b + BATCH_CRC_AT);
}
static inline int16_t batch_attributes(const uint8_t *b)
{
    return (int16_t)get_be16(b + BATCH_ATTRIBUTES_AT);
}
static inline int32_t batch_last_offset_delta(const uint8_t *b)
{
    return (int32_t)get_be32(b + 23);
}
static inline int64_t batch_last_offset(const uint8_t *b)
{
    /* Wraps where the bytes make no sense: they may come from outside. */
    return (int64_t)((uint64_t)batch_base_offset(b) + (uint64_t)batch_last_offset_delta(b));
}
static inline int64_t batch_base_timestamp(const uint8_t *b)
{
    return (int64_t)get_be64(b + 27);
}
static inline int64_t batch_max_timestamp(const uint8_t *b)
{
    return (int64_t)get_be64(b + 35);
}
static inline int64_t batch_producer_id(const uint8_t *b)
{
    return (int64_t)get_be64(b + 43);
}
static inline int16_t batch_producer_epoch(const uint8_t *b)
{
    return (int16_t)get_be16(b + 51);
}
static inline int32_t batch_base_sequence(const uint8_t *b)
{
    return (int32_t)get_be32(b + 53);
}
static inline int32_t batch_record_count(const uint8_t *b)
{
    return (int32_t)get_be32(b + 57);
}
static inline int batch_codec(const uint8_t *b)
{
    return batch_attributes(b) & BATCH_CODEC_MASK;
}
static inline bool batch_is_control(const uint8_t *b)
{
    return batch_attributes(b) & BATCH_CONTROL;
}
static inline bool batch_is_transactional(const uint8_t *b)
{
    return batch_attributes(b) & BATCH_TRANSACTIONAL;
}

static inline void batch_set_base_offset(uint8_t *b, int64_t offset)
{
    put_be64(b, (uint64_t)offset);
}
static inline void batch_set_leader_epoch(uint8_t *b, int32_t epoch)
{
    put_be32(b + BATCH_EPOCH_AT, (uint32_t)epoch);
}

/* Sequence numbers wrap from INT32_MAX to 0. */
int32_t sequence_add(int32_t sequence, int32_t delta);
/* base sequence + last offset delta, wrapped; NO_SEQUENCE when the base is. */
int32_t batch_last_sequence(const uint8_t *batch);

/* What the formats have in common, read from the head of one batch (format 2) or message (0 and 1,
 * where base_offset is that of the message itself and last_offset the same). */
struct batch_info {
    int64_t base_offset, last_offset;
    int64_t size_bytes; /* with the 12 bytes of prefix */
    int64_t max_timestamp;
    int64_t producer_id;
    int32_t leader_epoch, base_sequence, record_count;
    int16_t producer_epoch, attributes;
    int8_t magic;
};

/* Read the head of the batch at the start of `bytes`.
 * Errors: ERR_AGAIN, more bytes are needed to tell (ret->size_bytes is set when at least 12 were
 * there, else 0); ERR_CORRUPT_MESSAGE, the length or magic is impossible. ERR_OK does not promise
 * that the whole batch is there: compare size_bytes with what you hold. */
MUST_USE enum err batch_peek(struct slice bytes, struct batch_info *ret);

/* Write the checksum of a format 2 batch that has been changed. */
void batch_seal(uint8_t *batch);

/* Whether the checksum is right; the whole batch (or message, CRC-32) must be there. */
MUST_USE bool batch_crc_is_right(const uint8_t *batch);
