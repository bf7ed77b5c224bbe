/* Records for clients of old formats: read from the file, converted in memory (fetches below
 * version 4 only). */
#pragma once

#include "broker/api/fetch_read.h"

/* Where the first batch that was found is newer than the client understands: part->converted.
 * Errors: UNSUPPORTED_VERSION (the topic forbids it), UNSUPPORTED_COMPRESSION_TYPE, AGAIN (it must
 * read: come back on a worker), those of reading. */
MUST_USE enum err fetch_convert_if_needed(struct fetch_part *part, bool may_block);
