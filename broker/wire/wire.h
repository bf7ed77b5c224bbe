/* The codec of Kafka's protocol: it reads the tables that generate.py makes from schema/, so one
 * piece of code decodes, encodes and prints every message in every version. Typed wrappers
 * (`produce_request_decode()` and so on) are generated beside the structs.
 *
 * One struct serves all versions of a message; a field that a version lacks has its default.
 * Strings, bytes and records are slices of the input, arrays lie in the arena. NULL data is null;
 * an array's count of -1 is a null array. Tagged fields that we do not know are kept and written
 * again (KIP-482).
 *
 * Bounds: a count or length is never trusted beyond the bytes that are there, so what decoding
 * takes of the arena is at most WIRE_AMPLIFICATION times the input; that is the dearest element of
 * all schemas, a topic of CreateTopics' first answer (112 bytes of memory for 4 of the wire), and a
 * test computes it from the tables. Nesting is that of the schema. Threads: any. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/buf.h"
#include "broker/base/err.h"
#include "broker/base/slice.h"
#include "broker/base/uuid.h"

#define WIRE_AMPLIFICATION 28
#define WIRE_NEVER         INT16_MAX /* a version that does not come */
#define WIRE_NO_TAGS       UINT16_MAX

enum wire_type {
    WIRE_BOOL,
    WIRE_INT8,
    WIRE_INT16,
    WIRE_UINT16,
    WIRE_INT32,
    WIRE_UINT32,
    WIRE_INT64,
    WIRE_FLOAT64,
    WIRE_UUID,
    WIRE_STRING,
    WIRE_BYTES,
    WIRE_RECORDS,
    WIRE_STRUCT,
};

/* Records in a message. Decoding fills `bytes`. Encoding writes `bytes`, or, where `external` is
 * set, only the length, and notes where the caller is to put external_size bytes of its own (a
 * slice of a file). */
struct wire_records {
    struct slice bytes;
    void *external;
    size_t external_size;
};

struct wire_tag {
    uint32_t tag;
    struct slice data;
};

struct wire_tags {
    struct wire_tag *tags; /* ascending */
    int32_t tags_count;
};

/* --- the tables --- */

struct wire_field {
    const char *name;
    enum wire_type type;
    bool is_array, is_ignorable, is_inflexible;
    bool default_is_null;
    int16_t min_version, max_version;   /* that have the field */
    int16_t nullable_min, nullable_max; /* WIRE_NEVER, -1: never null */
    int16_t tag;                        /* -1: not tagged */
    uint16_t offset, count_offset;      /* in the struct */
    int64_t default_value;
    const void *default_struct;   /* of a struct that may be null: NULL means null */
    const struct wire_struct *of; /* WIRE_STRUCT */
};

struct wire_struct {
    const char *name;
    const struct wire_field *fields;
    uint16_t fields_count;
    uint16_t
        tags_offset; /* of its struct wire_tags, or WIRE_NO_TAGS where no version is flexible */
    uint32_t size_bytes;
};

struct wire_message {
    const char *name; /* "ProduceRequest" */
    const struct wire_struct *body;
    int16_t min_version, max_version, flexible_version;
};

struct wire_api {
    int16_t api_key;
    const char *name; /* "Produce" */
    const struct wire_message *request, *response;
};

/* NULL for a key that a ZooKeeper-mode broker does not know. */
const struct wire_api *wire_api(int16_t api_key);
int16_t wire_request_header_version(const struct wire_api *api, int16_t api_version);
int16_t wire_response_header_version(const struct wire_api *api, int16_t api_version);

/* Every message there is: APIs, headers, data. For tests and tools. */
extern const struct wire_message *const wire_messages[];
extern const size_t wire_messages_count;
const struct wire_message *wire_message_by_name(const char *name);

/* --- coding --- */

/* Fill with the defaults. */
void wire_init(const struct wire_struct *body, void *ret);

/* Decode from the start of `bytes`; ret_used (may be NULL): how many were read. What follows is
 * ignored. Errors: ERR_MALFORMED with a sentence that names the field; ERR_UNSUPPORTED_VERSION. */
MUST_USE enum err wire_decode(const struct wire_message *message, struct slice bytes,
                              int16_t version, struct arena *arena, void *ret, size_t *ret_used);

struct wire_splice {
    size_t at; /* the external bytes belong before this byte of `bytes` */
    size_t size;
    void *external;
};

struct wire_out {
    struct buf bytes;
    struct wire_splice *splices;
    size_t splices_count, splices_capacity;
};

void wire_out_done(struct wire_out *out);

/* Append to `out`. Errors: ERR_UNSUPPORTED_VERSION when a field that this version lacks, and that
 * may not be ignored, has a value of its own; ERR_MALFORMED when a null stands where none may.
 * Something may have been appended then. */
MUST_USE enum err wire_encode_out(const struct wire_message *message, struct wire_out *out,
                                  int16_t version, const void *value);

/* The same for messages without external records. */
MUST_USE enum err wire_encode(const struct wire_message *message, struct buf *out, int16_t version,
                              const void *value);

/* One line of text, JSON-like, records and bytes as their sizes. For traces and tests. */
void wire_print(const struct wire_message *message, struct buf *out, int16_t version,
                const void *value);
