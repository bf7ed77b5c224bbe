/* The frames of a connection: a request with its header, and the header of an answer. */
#pragma once

#include "broker/peer/peer.h"

#define FRAME_SIZE_BYTES 4

/* Append the request with its size and header. Where encoding fails nothing is appended. */
MUST_USE enum err peer_frame_put(struct buf *out, const struct peer_api *api, int16_t api_version,
                                 int32_t correlation_id, const char *client_id,
                                 const void *request);

/* The bytes of the header that `frame`, an answer without its size, begins with. ERR_MALFORMED:
 * none, or of another request. */
MUST_USE enum err peer_frame_header_size(const struct peer_api *api, int16_t api_version,
                                         int32_t correlation_id, struct slice frame,
                                         size_t *ret_size);
