/* Records for clients of old formats: format 2 becomes 1 or 0 on the way out (Fetch below version
 * 4). Control batches and headers are dropped, the codec is kept; uncompressed records below the
 * fetch offset are left out, as such clients seek by exact offset. */
#pragma once

#include "broker/record/record.h"

/* Append the conversion of all whole batches in `bytes`. Batches that are old enough already are
 * copied. Errors: UNSUPPORTED_COMPRESSION_TYPE, the first convertible batch is zstd (a later one
 * ends the conversion before it); those of reading a batch. On error `out` may have grown. */
MUST_USE enum err records_convert_down(struct slice bytes, int8_t magic, int64_t fetch_offset,
                                       struct buf *out);
