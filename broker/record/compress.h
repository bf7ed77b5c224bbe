/* Compressing a stream of bytes in the framings that clients read, piece by piece, so that neither
 * what goes in nor what comes out has to be held whole: LZ4 in independent blocks of 64 KiB, snappy
 * in xerial's framing with blocks of 32 KiB, one gzip member, one zstd frame.
 * Thread: one owner; the compressors' contexts are kept per thread for the next stream. */
#pragma once

#include "broker/base/buf.h"
#include "broker/record/batch.h"

struct squeezer;

/* level: as compression.<codec>.level. magic: LZ4 in format 0 gets its wrong header checksum. Keeps
 * `out` and appends to it; gives the squeezer. ERR_NO_MEMORY; ERR_UNKNOWN_SERVER_ERROR, there is no
 * such codec or level. */
MUST_USE enum err squeezer_open(enum codec codec, int level, int8_t magic, struct buf *out,
                                struct squeezer **ret_squeezer);
MUST_USE enum err squeezer_put(struct squeezer *squeezer, struct slice bytes);
/* All that was put is in `out` now. */
MUST_USE enum err squeezer_finish(struct squeezer *squeezer);
void squeezer_free(struct squeezer *squeezer);

/* All of these at once. */
MUST_USE enum err records_compress(enum codec codec, int level, int8_t magic, struct slice bytes,
                                   struct buf *out);
