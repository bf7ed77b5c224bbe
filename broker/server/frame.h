/* The head of a request, read as leniently as the JVM broker reads it: a client id of any negative
 * length is null, tagged fields may repeat and come in any order. Pure: bytes in, header out. */
#pragma once

#include "broker/server/api_entry.h"

#define FRAME_SIZE_BYTES 4

struct frame_header {
    int16_t api_key, api_version;
    int32_t correlation_id;
    struct slice client_id;
    size_t size_bytes; /* of the header; the body follows */
    const struct api_entry *entry;
    bool version_unknown; /* only ApiVersions: to be answered with its version 0 and error 35 */
};

/* Errors: UNSUPPORTED_VERSION (key or version not served), MALFORMED (too few bytes). Both close
 * the connection. */
MUST_USE enum err frame_header_parse(struct slice frame, const struct api_entry *(*lookup)(int16_t),
                                     struct frame_header *ret_header);

/* The header of an answer: room for its size, correlation id, tagged fields where the version has
 * them. */
void frame_answer_begin(struct buf *bytes, const struct api_entry *entry, int16_t api_version,
                        int32_t correlation_id);

/* Write the size once all is known. ERR_MESSAGE_TOO_LARGE: it does not fit in an int32. */
MUST_USE enum err frame_answer_end(struct answer *answer);
