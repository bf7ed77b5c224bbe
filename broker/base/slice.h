/* Bytes that someone else owns. A NULL pointer is "null" (as on the wire), which is not the same as
 * empty. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data; /* NULL: the null string or null bytes */
    size_t size;
};

#define SLICE_NULL          ((struct slice){0})
#define SLICE_LITERAL(text) ((struct slice){(const uint8_t *)(text), sizeof(text) - 1})
#define SLICE_ARG(s)        (int)(s).size, (s).data ? (const char *)(s).data : "" /* for "%.*s" */

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){(const uint8_t *)data, size};
}

/* NULL gives the null slice. */
static inline struct slice slice_str(const char *text)
{
    return text ? slice_of(text, strlen(text)) : SLICE_NULL;
}

static inline bool slice_is_null(struct slice s)
{
    return s.data == NULL;
}

/* Equal in length and bytes; null equals only null. */
static inline bool slice_equal(struct slice a, struct slice b)
{
    return (a.data == NULL) == (b.data == NULL) && a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equal_str(struct slice a, const char *text)
{
    return slice_equal(a, slice_str(text));
}

/* memcmp order, shorter first; for sorting. */
int slice_compare(struct slice a, struct slice b);

bool slice_starts_with(struct slice s, const char *prefix);

/* A NUL-terminated copy on the heap, NULL for null; the caller frees it. */
char *slice_dup(struct slice s);

/* True when the bytes are well-formed UTF-8 (RFC 3629). */
bool slice_is_utf8(struct slice s);

/* Strict decimal integer over the whole slice, optional '-' or '+'; false if it is none or out of
 * range. */
bool slice_to_int64(struct slice s, int64_t *ret_value);
