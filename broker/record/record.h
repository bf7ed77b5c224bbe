/* A record within a batch of format 2, and the walk through all of them, compressed or not.
 *
 *     length varint | attributes 1 | timestampDelta varlong | offsetDelta varint | keyLength varint
 * | key | valueLength varint | value | headerCount varint | {keyLength, key, valueLength, value}*
 *
 * The walk checks what the JVM's walks check: sizes within the record, exactly as many records as
 * the batch says, nothing behind them. Errors: ERR_INVALID_RECORD; ERR_UNKNOWN_SERVER_ERROR where
 * the bytes do not inflate. */
#pragma once

#include "broker/record/stream.h"

struct record {
    int64_t offset, timestamp_ms;
    int64_t timestamp_delta;
    int32_t offset_delta;
    struct slice key, value; /* null where the record has none */
    struct slice
        headers; /* the raw headers with their count in front; record_headers_next() reads them */
    int32_t headers_count;
};

/* --- all records with their contents: conversion, tools, rebuilding --- */

struct record_reader {
    const uint8_t *batch;
    struct buf inflated; /* of a compressed batch */
    const uint8_t *at, *end;
    int32_t left_count;
};

#define INFLATED_MAX_BYTES                                                                         \
    (256u                                                                                          \
     << 20) /* what a batch whose contents are needed may inflate to: MESSAGE_TOO_LARGE beyond */

/* The batch must be whole and its sum right. Slices of records live until close or, uncompressed,
 * as long as the batch. */
MUST_USE enum err record_reader_open(struct record_reader *reader, const uint8_t *batch);
/* ERR_NOT_FOUND after the last. */
MUST_USE enum err record_reader_next(struct record_reader *reader, struct record *ret);
void record_reader_close(struct record_reader *reader);

/* Headers: *position begins at 0. False after the last. */
struct record_header {
    struct slice key, value;
};
bool record_headers_next(const struct record *record, size_t *position, struct record_header *ret);

/* --- only what checking needs, through a window --- */

struct record_outline {
    int64_t timestamp_delta;
    int32_t offset_delta;
    bool has_key;
};

/* Walk a stream of `count` records. `each` may end the walk with an error. */
MUST_USE enum err records_outline(struct stream *stream, int32_t count,
                                  enum err (*each)(void *context, int32_t index,
                                                   const struct record_outline *record),
                                  void *context);

/* --- formats 0 and 1 --- */

struct legacy_message {
    int64_t offset, timestamp_ms; /* NO_TIMESTAMP in format 0 */
    struct slice key, value;
    int8_t magic;
    int16_t attributes;
};

/* Read one whole message in place. ERR_CORRUPT_MESSAGE. */
MUST_USE enum err legacy_message_read(const uint8_t *message, struct legacy_message *ret);

/* Each message of the outer one, which is a wrapper if it is compressed; offsets and timestamps
 * made absolute. `each` gets slices that live for the call. Errors also: ERR_INVALID_RECORD (nested
 * compression, a null wrapper). */
MUST_USE enum err legacy_message_each(const uint8_t *message,
                                      enum err (*each)(void *context,
                                                       const struct legacy_message *inner),
                                      void *context);
