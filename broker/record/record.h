/* A record within a batch of format 2, and the walk through all of them, compressed or not.
 *
 *     length varint | attributes 1 | timestampDelta varlong | offsetDelta varint |
 *     keyLength varint | key | valueLength varint | value |
 *     headerCount varint | {keyLength varint, key, valueLength varint, value}*
 *
 * Checked: sizes within the record, the record's length, exactly as many records as the batch says,
 * nothing behind them. Errors of every walk: ERR_INVALID_RECORD; ERR_UNKNOWN_SERVER_ERROR where the
 * bytes do not inflate. Memory: a window, and in the reader the largest single record. */
#pragma once

#include "broker/base/buf.h"
#include "broker/record/stream.h"

struct record {
    int64_t offset, timestamp_ms;
    int64_t timestamp_delta;
    int32_t offset_delta;
    int32_t headers_count;
    struct slice key, value; /* null where the record has none */
    struct slice headers;    /* raw, their count in front; record_headers_next() reads them */
};

/* --- all records with their contents: conversion, tools, rebuilding --- */

#define RECORD_MAX_BYTES (256u << 20) /* of one that must be held: ERR_MESSAGE_TOO_LARGE beyond */

struct record_reader {
    const uint8_t *batch;
    struct stream stream;
    struct buf held; /* a record that does not lie whole in the stream's window */
    int32_t left_count;
};

/* The batch must be whole and its sum right; it is borrowed until close. On error nothing is left
 * to close. */
MUST_USE enum err record_reader_open(struct record_reader *reader, const uint8_t *batch);
/* ERR_NOT_FOUND after the last. The slices live until the next call. */
MUST_USE enum err record_reader_next(struct record_reader *reader, struct record *ret);
void record_reader_close(struct record_reader *reader);

/* Headers: *position begins at 0. False after the last. */
struct record_header {
    struct slice key, value;
};
bool record_headers_next(const struct record *record, size_t *position, struct record_header *ret);

/* --- only what checking needs --- */

struct record_outline {
    int64_t timestamp_delta;
    int32_t offset_delta;
    bool has_key;
};

struct outline_walk {
    struct stream *stream;
    int32_t left_count;
};

/* The next records, at most `room`; *ret_count 0 after the last, when it is sure that nothing lies
 * behind it. On error *ret_count says how many were read before. */
MUST_USE enum err outline_walk_next(struct outline_walk *walk, struct record_outline *ret,
                                    size_t room, size_t *ret_count);

/* --- formats 0 and 1 --- */

struct legacy_message {
    int64_t offset, timestamp_ms; /* NO_TIMESTAMP in format 0 */
    struct slice key, value;
    int8_t magic;
    int16_t attributes;
};

/* Read one whole message in place. ERR_UNKNOWN_SERVER_ERROR, key or value do not fit into it (as
 * the JVM answers). */
MUST_USE enum err legacy_message_read(const uint8_t *message, struct legacy_message *ret);

/* Each message of the outer one, which is a wrapper if it is compressed; offsets and timestamps
 * made absolute. `each` gets slices that live for the call. Inner messages of the wrapper's format
 * have had their checksums verified. Errors also: ERR_INVALID_RECORD (nested compression, nothing
 * within, a null wrapper, zstd), ERR_CORRUPT_MESSAGE (a checksum or a size within). */
MUST_USE enum err legacy_message_each(const uint8_t *message,
                                      enum err (*each)(void *context,
                                                       const struct legacy_message *inner),
                                      void *context);
