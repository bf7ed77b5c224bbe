/* The LZ4 frame as Kafka reads and writes it: version 01, independent blocks, one frame. Kafka's
 * reader refuses dependent blocks and reserved bits, checks header and block checksums, skips a
 * content size, and does not check the content checksum. In message format 0 the header checksum
 * was computed wrongly (over the magic number too), so there it is not looked at. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/err.h"

struct lz4_frame {
    size_t block_max_bytes;
    bool has_block_checksum, has_content_checksum, is_done;
};

/* Both move `input` past what they read. Errors: ERR_UNKNOWN_SERVER_ERROR, ERR_INVALID_RECORD (it
 * ends too soon). */
MUST_USE enum err lz4_frame_open(struct lz4_frame *frame, int8_t magic, struct slice *input);
/* The next block into `window`, replacing what was there. */
MUST_USE enum err lz4_frame_next(struct lz4_frame *frame, struct slice *input, struct buf *window);
/* Append a whole frame. level 1 to 17 (above 1: the high-compression encoder). */
MUST_USE enum err lz4_frame_write(struct slice bytes, int level, int8_t magic, struct buf *out);
