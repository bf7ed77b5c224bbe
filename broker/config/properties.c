/* java.util.Properties, to the letter, since files that work with a JVM broker must mean the same
 * here:
 *
 *     # comment, ! comment           blanks before a line are skipped
 *     name = value    name: value    name value      the first blank, = or : ends the name
 *     long = one \                   a line that ends in an odd number of backslashes goes on,
 *            two                     blanks before the rest are skipped, a # there is no comment
 *     a\ b\=c = \t\u00e9             escapes: t n r f, uXXXX, any other character is itself
 *
 * Java reads the bytes as Latin-1 and makes UTF-16 of them; we keep UTF-8, so a byte from 0x80 on
 * becomes two. Two phases, as in the JVM: gather a logical line, then split and unescape it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/buf.h"
#include "broker/config/properties.h"

struct reader {
    const char *name; /* of the file */
    struct slice text;
    size_t position;
    int32_t line; /* number of the natural line at position */
    struct buf logical;
    int32_t logical_line; /* where the logical line began */
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_line_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

/* Past "\n", "\r" or "\r\n". */
static void skip_line_end(struct reader *reader)
{
    if (reader->position >= reader->text.size)
        return;
    uint8_t c = reader->text.data[reader->position++];
    if (c == '\r' && reader->position < reader->text.size &&
        reader->text.data[reader->position] == '\n')
        reader->position++;
    reader->line++;
}

static void skip_blanks(struct reader *reader)
{
    while (reader->position < reader->text.size && is_blank(reader->text.data[reader->position]))
        reader->position++;
}

/* Append the rest of the natural line; true if it ends in an odd number of backslashes (the last
 * one is left out then), so the logical line goes on. */
static bool append_natural_line(struct reader *reader)
{
    bool backslash = false;
    while (reader->position < reader->text.size &&
           !is_line_end(reader->text.data[reader->position])) {
        uint8_t c = reader->text.data[reader->position++];
        buf_put_u8(&reader->logical, c);
        backslash = c == '\\' ? !backslash : false;
    }
    if (backslash)
        reader->logical.size--;
    return backslash;
}

/* The next logical line that is neither blank nor a comment; false at the end. */
static bool next_logical_line(struct reader *reader)
{
    reader->logical.size = 0;
    while (reader->position < reader->text.size) {
        skip_blanks(reader);
        if (reader->position == reader->text.size)
            break;
        uint8_t c = reader->text.data[reader->position];
        if (is_line_end(c)) {
            skip_line_end(reader);
            continue;
        }
        reader->logical_line = reader->line;
        bool is_comment = c == '#' || c == '!';
        bool goes_on = append_natural_line(reader);
        skip_line_end(reader);
        while (goes_on && !is_comment && reader->position < reader->text.size) {
            skip_blanks(reader);
            goes_on = append_natural_line(reader);
            skip_line_end(reader);
        }
        if (!is_comment && reader->logical.size > 0)
            return true;
        reader->logical.size = 0;
    }
    return false;
}

static void put_utf8(struct buf *out, uint32_t code)
{
    if (code < 0x80) {
        buf_put_u8(out, (uint8_t)code);
    } else if (code < 0x800) {
        buf_put_u8(out, (uint8_t)(0xC0 | code >> 6));
        buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3F)));
    } else if (code < 0x10000) {
        buf_put_u8(out, (uint8_t)(0xE0 | code >> 12));
        buf_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3F)));
        buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3F)));
    } else {
        buf_put_u8(out, (uint8_t)(0xF0 | code >> 18));
        buf_put_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3F)));
        buf_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3F)));
        buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3F)));
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four digits at data[at…]; -1 if they are none. */
static int32_t hex_unit(struct slice s, size_t at)
{
    int32_t unit = 0;
    if (at + 4 > s.size)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        int digit = hex_digit(s.data[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* A \u at `at` (its first digit). Two units that are a surrogate pair are one character; a lone one
 * cannot be written in UTF-8 and becomes '?', as in Java. Gives back the place behind, 0 if
 * malformed. */
static size_t unescape_unit(struct slice s, size_t at, struct buf *out)
{
    int32_t unit = hex_unit(s, at);
    if (unit < 0)
        return 0;
    at += 4;
    if (unit >= 0xD800 && unit < 0xDC00 && at + 6 <= s.size && s.data[at] == '\\' &&
        s.data[at + 1] == 'u') {
        int32_t low = hex_unit(s, at + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            put_utf8(out, 0x10000 + ((uint32_t)(unit - 0xD800) << 10) + (uint32_t)(low - 0xDC00));
            return at + 6;
        }
    }
    put_utf8(out, unit >= 0xD800 && unit < 0xE000 ? '?' : (uint32_t)unit);
    return at;
}

static bool unescape(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.size;) {
        uint8_t c = s.data[i++];
        if (c != '\\' || i == s.size) {
            put_utf8(out, c);
            continue;
        }
        c = s.data[i++];
        if (c == 'u') {
            i = unescape_unit(s, i, out);
            if (i == 0)
                return false;
            continue;
        }
        put_utf8(out, c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c);
    }
    return true;
}

/* Where the name ends, and where the value begins. */
static void split_line(struct slice line, size_t *ret_name_size, size_t *ret_value)
{
    size_t i = 0;
    for (bool backslash = false; i < line.size; i++) {
        uint8_t c = line.data[i];
        if (!backslash && (c == '=' || c == ':' || is_blank(c)))
            break;
        backslash = c == '\\' ? !backslash : false;
    }
    *ret_name_size = i;
    while (i < line.size && is_blank(line.data[i]))
        i++;
    if (i < line.size && (line.data[i] == '=' || line.data[i] == ':'))
        i++;
    while (i < line.size && is_blank(line.data[i]))
        i++;
    *ret_value = i;
}

/* A NUL would end our strings early; Java keeps it, and no setting can mean anything by it. */
static bool has_nul(const struct buf *buf)
{
    return buf->size > 1 && memchr(buf->data, 0, buf->size - 1);
}

static enum err parse_line(const struct reader *reader, struct buf *name, struct buf *value,
                           struct config_map *map)
{
    size_t name_size, value_at;
    struct slice line = buf_slice(&reader->logical);
    split_line(line, &name_size, &value_at);
    name->size = value->size = 0;
    if (!unescape(slice_of(line.data, name_size), name) ||
        !unescape(slice_of(line.data + value_at, line.size - value_at), value))
        return err_note(ERR_INVALID_CONFIG,
                        "%s:%" PRId32 ": \\u is not followed by four hex digits", reader->name,
                        reader->logical_line);
    buf_put_u8(name, 0);
    buf_put_u8(value, 0);
    if (has_nul(name) || has_nul(value))
        return err_note(ERR_INVALID_CONFIG, "%s:%" PRId32 ": a NUL character", reader->name,
                        reader->logical_line);
    config_map_set_line(map, (const char *)name->data, (const char *)value->data,
                        reader->logical_line);
    return ERR_OK;
}

enum err properties_parse(const char *name, struct slice text, struct config_map *map)
{
    struct reader reader = {.name = name, .text = text, .line = 1};
    struct buf key = {0}, value = {0};
    enum err e = ERR_OK;
    while (!e && next_logical_line(&reader))
        e = parse_line(&reader, &key, &value, map);
    buf_done(&key);
    buf_done(&value);
    buf_done(&reader.logical);
    return e;
}

static enum err read_all(int fd, const char *path, struct buf *buf)
{
    for (;;) {
        buf_reserve(buf, 64 << 10);
        ssize_t n = read(fd, buf->data + buf->size, buf->capacity - buf->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_note_errno("read %s", path);
        if (n == 0)
            return ERR_OK;
        buf->size += (size_t)n;
        if (buf->size > PROPERTIES_MAX_BYTES)
            return err_note(ERR_INVALID_CONFIG, "%s is larger than %d bytes", path,
                            PROPERTIES_MAX_BYTES);
    }
}

enum err properties_read(const char *path, struct config_map *map)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_note(ERR_NOT_FOUND, "there is no file %s", path);
    if (fd < 0)
        return err_note_errno("open %s", path);
    struct buf buf = {0};
    enum err e = read_all(fd, path, &buf);
    close(fd);
    if (!e)
        e = properties_parse(path, buf_slice(&buf), map);
    buf_done(&buf);
    return e;
}
