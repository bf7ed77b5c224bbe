/* An answer on its way out: memory by send(), slices of files by sendfile(), in order, as far as
 * the socket takes them. Small slices are copied first, so that header and records leave in one
 * call. */
#pragma once

#include "broker/server/api_entry.h"

#define OUTPUT_COPY_MAX_BYTES (16 << 10) /* slices up to this are copied rather than spliced */
#define OUTPUT_KEEP_MAX_BYTES (64 << 10) /* a larger buffer is given back after its answer */
#define OUTPUT_TURN_MAX_BYTES                                                                      \
    (512 << 10) /* what one connection may send before others have their turn */

struct output {
    struct answer answer;
    size_t sent_bytes;    /* of answer.bytes */
    size_t splice;        /* the next one */
    size_t spliced_bytes; /* of that one */
};

enum output_state { OUTPUT_DONE, OUTPUT_BLOCKED, OUTPUT_FAILED };

/* Read small slices into the bytes. Errors: IO, the file could not be read or is shorter than
 * promised. */
MUST_USE enum err output_prepare(struct output *output);

/* Send on. OUTPUT_FAILED: the connection is of no more use; err_sentence() says why.
 * more_follows: the kernel may keep the end back, until more is sent or TCP_NODELAY is set again.
 * ret_sent, ret_spliced: bytes of this call, the second those by sendfile. */
MUST_USE enum output_state output_send(struct output *output, int fd, bool more_follows,
                                       size_t *ret_sent, size_t *ret_spliced);

/* Release what is left and be empty; keeps the buffer for the next answer. */
void output_reset(struct output *output);
void output_done(struct output *output);
