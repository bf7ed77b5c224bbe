/* A stream of bytes that may be compressed, read through a window: what is skipped is never kept,
 * so checking a batch costs a window of memory however far it inflates. Uncompressed bytes are read
 * in place.
 *
 * Framings are those that the JVM's clients write and its broker reads: gzip with concatenated
 * members, snappy in xerial's framing or bare, one LZ4 frame with independent blocks, zstd frames.
 * Thread: one owner; the decompressors' contexts are kept per thread for the next stream. */
#pragma once

#include "broker/base/err.h"
#include "broker/base/slice.h"
#include "broker/record/batch.h"

struct stream {
    const uint8_t *at, *end;   /* what the window holds and nobody has read */
    struct inflater *inflater; /* NULL: uncompressed, the window is all there is */
};

/* magic: of the batch; LZ4 of format 0 has a wrong header checksum, which is not looked at.
 * Errors: ERR_UNKNOWN_SERVER_ERROR, the stream has no right beginning (as the JVM answers). */
MUST_USE enum err stream_open(struct stream *stream, enum codec codec, int8_t magic,
                              struct slice bytes);
void stream_close(struct stream *stream);

/* Read exactly `size` bytes. ERR_INVALID_RECORD, the stream ends before (as it should, at a frame's
 * end); ERR_UNKNOWN_SERVER_ERROR, it cannot be inflated, or is cut. What came before the damage is
 * read first. */
MUST_USE enum err stream_read(struct stream *stream, void *ret, size_t size);
MUST_USE enum err stream_skip(struct stream *stream, size_t size);

/* ERR_OK with *ret_is_end set. */
MUST_USE enum err stream_at_end(struct stream *stream, bool *ret_is_end);

/* Put more into an empty window; ERR_OK with an empty window at the end. */
MUST_USE enum err stream_refill(struct stream *stream);

/* Everything, at most `limit` bytes. ERR_MESSAGE_TOO_LARGE beyond. */
MUST_USE enum err stream_read_all(struct stream *stream, size_t limit, struct buf *ret);
