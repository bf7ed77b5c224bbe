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

/* Both move `input` past what they read. Errors: ERR_UNKNOWN_SERVER_ERROR. */
MUST_USE enum err lz4_frame_open(struct lz4_frame *frame, int8_t magic, struct slice *input);
/* The next block into `window`, replacing what was there. */
MUST_USE enum err lz4_frame_next(struct lz4_frame *frame, struct slice *input, struct buf *window);

/* Writing, in pieces: begin, blocks of at most LZ4_WRITTEN_BLOCK_BYTES, end. All append. The state
 * is memory of lz4_frame_state_bytes(), its contents not looked at. level 1 to 17: above 1 the
 * high-compression encoder, which takes 12 for all beyond. */
#define LZ4_WRITTEN_BLOCK_BYTES (64 << 10)
size_t lz4_frame_state_bytes(void);
void lz4_frame_begin(int8_t magic, struct buf *out);
void lz4_frame_block(void *state, struct slice block, int level, struct buf *out);
void lz4_frame_end(struct buf *out);
