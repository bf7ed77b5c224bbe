/* Cutting lines. "a:1,b:2<tab>key<tab>value" with parse.headers and parse.key. */
#include "tools/produce_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/mem.h"
#include "broker/config/config_map.h"
#include "broker/config/properties.h"

static void take_property(struct line_format *format, const char *name, const char *value)
{
    const struct {
        const char *name;
        bool *flag;
        const char **text;
    } known[] = {
        {"parse.key", &format->parse_key, NULL},
        {"parse.headers", &format->parse_headers, NULL},
        {"ignore.error", &format->ignore_error, NULL},
        {"key.separator", NULL, &format->key_separator},
        {"null.marker", NULL, &format->null_marker},
        {"headers.delimiter", NULL, &format->headers_delimiter},
        {"headers.separator", NULL, &format->headers_separator},
        {"headers.key.separator", NULL, &format->headers_key_separator},
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(known[i].name, name) != 0)
            continue;
        if (known[i].flag)
            *known[i].flag = strcmp(value, "true") == 0;
        else
            *known[i].text = value;
        return;
    }
    fprintf(stderr, "stoker produce: --property '%s' is not known and changes nothing\n", name);
}

static void differ(const char *one_name, const char *one, const char *other_name, const char *other)
{
    if (one && other && strcmp(one, other) == 0)
        cli_fail("%s and %s may not be equal", one_name, other_name);
}

static void check(const struct line_format *f)
{
    differ("null.marker", f->null_marker, "key.separator", f->key_separator);
    if (!f->parse_headers)
        return;
    differ("headers.delimiter", f->headers_delimiter, "headers.separator", f->headers_separator);
    differ("headers.delimiter", f->headers_delimiter, "headers.key.separator",
           f->headers_key_separator);
    differ("headers.separator", f->headers_separator, "headers.key.separator",
           f->headers_key_separator);
    differ("null.marker", f->null_marker, "headers.separator", f->headers_separator);
    differ("null.marker", f->null_marker, "headers.delimiter", f->headers_delimiter);
    differ("null.marker", f->null_marker, "headers.key.separator", f->headers_key_separator);
}

void line_format_read(struct line_format *format, const char *file, const struct texts *properties)
{
    struct config_map map = {0};
    if (file)
        cli_check(properties_read(file, &map));
    for (int32_t i = 0; i < map.count; i++)
        take_property(format, map.entries[i].name, cli_kept("%s", map.entries[i].value));
    config_map_done(&map);
    for (int32_t i = 0; i < properties->count; i++) {
        int size;
        const char *item = properties->items[i], *value = cli_pair(item, &size);
        if (!value)
            cli_fail("--property takes NAME=VALUE, not '%s'", item);
        take_property(format, cli_kept("%.*s", size, item), value);
    }
    check(format);
}

/* What stands before the mark; `text` goes on behind it. False: the mark is not there. */
static bool cut(struct slice *text, const char *mark, struct slice *ret_before)
{
    const uint8_t *at = memmem(text->data, text->size, mark, strlen(mark));
    if (!at)
        return false;
    size_t size = (size_t)(at - text->data), used = size + strlen(mark);
    *ret_before = slice_of(text->data, size);
    *text = slice_of(text->data + used, text->size - used);
    return true;
}

static bool is_null(const struct line_format *format, struct slice text)
{
    return format->null_marker && slice_equal_str(text, format->null_marker);
}

static enum err add_header(const struct line_format *format, struct slice pair, int64_t number,
                           struct line_parts *parts)
{
    struct line_header header = {.key = pair, .value = SLICE_NULL};
    struct slice rest = pair;
    if (cut(&rest, format->headers_key_separator, &header.key)) {
        if (is_null(format, header.key))
            return err_note(ERR_MALFORMED,
                            "Header keys should not be equal to the null marker '%s' as they can't "
                            "be null",
                            format->null_marker);
        header.value = is_null(format, rest) ? SLICE_NULL : rest;
    } else if (!format->ignore_error) {
        return err_note(ERR_MALFORMED,
                        "No header key separator found in pair '%.*s' on line number %" PRId64,
                        SLICE_ARG(pair), number);
    }
    parts->headers = mem_grow(parts->headers, &parts->headers_capacity,
                              (size_t)parts->headers_count + 1, sizeof(parts->headers[0]));
    parts->headers[parts->headers_count++] = header;
    return ERR_OK;
}

static enum err split_headers(const struct line_format *format, struct slice text, int64_t number,
                              struct line_parts *parts)
{
    struct slice pair;
    enum err e = ERR_OK;
    while (!e && cut(&text, format->headers_separator, &pair))
        e = add_header(format, pair, number, parts);
    return e ? e : add_header(format, text, number, parts);
}

/* The part before a mark that must be there, unless errors are ignored: then there is none. */
static enum err cut_part(const struct line_format *format, struct slice line, int64_t number,
                         const char *mark, const char *what, struct slice *rest,
                         struct slice *ret_part)
{
    if (cut(rest, mark, ret_part) || format->ignore_error)
        return ERR_OK;
    return err_note(ERR_MALFORMED, "No %s found on line number %" PRId64 ": '%.*s'", what, number,
                    SLICE_ARG(line));
}

enum err line_parse(const struct line_format *format, struct slice line, int64_t number,
                    struct line_parts *ret)
{
    struct slice rest = line, headers = SLICE_NULL, key = SLICE_NULL;
    enum err e = ERR_OK;
    ret->headers_count = 0;
    if (format->parse_headers)
        e = cut_part(format, line, number, format->headers_delimiter, "headers delimiter", &rest,
                     &headers);
    if (!e && format->parse_key)
        e = cut_part(format, line, number, format->key_separator, "key separator", &rest, &key);
    if (!e && !slice_is_null(headers) && !is_null(format, headers))
        e = split_headers(format, headers, number, ret);
    ret->key = is_null(format, key) ? SLICE_NULL : key;
    ret->value = is_null(format, rest) ? SLICE_NULL : rest;
    return e;
}

void line_parts_done(struct line_parts *parts)
{
    free(parts->headers);
    *parts = (struct line_parts){0};
}
