/* What a line of `stoker produce` says: headers, key and value, as Kafka's LineMessageReader reads
 * them. By default a line is a value. */
#pragma once

#include "broker/base/err.h"
#include "broker/base/slice.h"
#include "tools/cli.h"

struct line_format {
    bool parse_key, parse_headers, ignore_error;
    const char *key_separator, *null_marker; /* the marker: NULL, nothing stands for null */
    const char *headers_delimiter, *headers_separator, *headers_key_separator;
};

#define LINE_FORMAT_DEFAULT                                                                        \
    ((struct line_format){.key_separator = "\t",                                                   \
                          .headers_delimiter = "\t",                                               \
                          .headers_separator = ",",                                                \
                          .headers_key_separator = ":"})

struct line_header {
    struct slice key, value;
};

/* Borrowed from the line. Keep one for many lines: the array of headers is used again. */
struct line_parts {
    struct slice key, value;
    struct line_header *headers;
    int32_t headers_count;
    size_t headers_capacity;
};

/* A file of properties (or NULL), then NAME=VALUE items. Ends the process when two marks are the
 * same; names that nobody knows are said on standard error and passed over, as Kafka does. */
void line_format_read(struct line_format *format, const char *file, const struct texts *properties);

/* number: of the line, for the sentence. ERR_MALFORMED: a separator is missing. */
MUST_USE enum err line_parse(const struct line_format *format, struct slice line, int64_t number,
                             struct line_parts *ret);
void line_parts_done(struct line_parts *parts);
