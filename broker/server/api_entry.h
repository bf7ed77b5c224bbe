/* What the network has to know of an API: which versions are served, how its bytes become a message
 * and back, and where its handler begins. The table itself is joined elsewhere (broker/api); a test
 * can bring a table of its own. */
#pragma once

#include "broker/api/request.h"
#include "broker/base/buf.h"
#include "broker/base/err.h"

/* Where a handler begins. ON_CONTROLLER: handed to the controller's own queue. */
enum api_where { ON_LOOP, ON_WORKER, ON_CONTROLLER };

/* A slice of a file that leaves between two bytes of the answer. */
struct answer_splice {
    size_t at; /* before this byte of answer.bytes */
    int fd;
    int64_t position;
    size_t size_bytes;
    void (*release)(
        void *file); /* called once when the slice has left or never will; may be NULL */
    void *file;
};

/* An answer being made: bytes, and slices of files between them. */
struct answer {
    struct buf bytes;
    struct answer_splice *splices;
    size_t splices_count, splices_capacity;
};

/* Takes the reference that `release` gives back, on success and on failure of the answer alike. */
void answer_splice_file(struct answer *answer, const struct answer_splice *splice);

struct api_entry {
    int16_t api_key, min_version, max_version;
    int16_t flexible_version; /* the first one with tagged fields; INT16_MAX: none has */
    const char *name;
    enum api_where where;
    void (*handle)(struct request *request);
    /* The body, without its header, into a message of the arena. */
    enum err (*decode)(const struct api_entry *entry, struct slice body, int16_t api_version,
                       struct arena *arena, void **ret_message);
    /* Append the body of the response; what lies before in `answer` is the header. */
    enum err (*encode)(const struct api_entry *entry, struct answer *answer, int16_t api_version,
                       const void *response);
};

/* decode and encode of the APIs of broker/wire. Records whose `external` is a struct log_slice
 * leave by sendfile, and the reference of the slice to its file goes with them. */
enum err wire_request_decode(const struct api_entry *entry, struct slice body, int16_t api_version,
                             struct arena *arena, void **ret_message);
enum err wire_response_encode(const struct api_entry *entry, struct answer *answer,
                              int16_t api_version, const void *response);

#define API_KEY_CONTROLLED_SHUTDOWN 7
#define API_KEY_API_VERSIONS        18
