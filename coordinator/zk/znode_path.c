/* Where everything stands. */
#include <inttypes.h>
#include <string.h>

#include "coordinator/zk/znode.h"

static const struct {
    const char *path;
    bool at_start;
} znodes[ZNODE_COUNT] = {
#define X(name, path, at_start) [ZNODE_##name] = {path, at_start},
    ZNODE_TABLE(X)
#undef X
};

const char *znode_path(enum znode znode)
{
    return znodes[znode].path;
}

bool znode_is_made_at_start(enum znode znode)
{
    return znodes[znode].at_start;
}

const char *znode_broker_path(struct arena *arena, int32_t broker_id)
{
    return arena_printf(arena, "/brokers/ids/%" PRId32, broker_id);
}

const char *znode_topic_path(struct arena *arena, struct slice topic)
{
    return arena_printf(arena, "/brokers/topics/%.*s", SLICE_ARG(topic));
}

const char *znode_partitions_path(struct arena *arena, struct slice topic)
{
    return arena_printf(arena, "/brokers/topics/%.*s/partitions", SLICE_ARG(topic));
}

const char *znode_partition_path(struct arena *arena, struct slice topic, int32_t partition)
{
    return arena_printf(arena, "/brokers/topics/%.*s/partitions/%" PRId32, SLICE_ARG(topic),
                        partition);
}

const char *znode_partition_state_path(struct arena *arena, struct slice topic, int32_t partition)
{
    return arena_printf(arena, "/brokers/topics/%.*s/partitions/%" PRId32 "/state",
                        SLICE_ARG(topic), partition);
}

const char *znode_delete_topic_path(struct arena *arena, struct slice topic)
{
    return arena_printf(arena, "/admin/delete_topics/%.*s", SLICE_ARG(topic));
}

const char *znode_child_path(struct arena *arena, const char *parent, struct slice child)
{
    return arena_printf(arena, "%s/%.*s", parent, SLICE_ARG(child));
}

bool znode_sequence_number(struct slice name, int64_t *ret_number)
{
    const uint8_t *underscore = name.size ? memrchr(name.data, '_', name.size) : NULL;
    if (!underscore)
        return false;
    size_t begin = (size_t)(underscore - name.data) + 1;
    struct slice digits = slice_of(name.data + begin, name.size - begin);
    return digits.size > 0 && slice_to_int64(digits, ret_number);
}

/* ---- Sanitised names ---- */

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

struct slice znode_sanitise(struct arena *arena, struct slice name)
{
    static const char hex[] = "0123456789ABCDEF";
    char *text = arena_alloc(arena, name.size * 3 + 1);
    size_t size = 0;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (is_plain(c)) {
            text[size++] = (char)c;
            continue;
        }
        text[size++] = '%';
        text[size++] = hex[c >> 4];
        text[size++] = hex[c & 15];
    }
    return slice_of(text, size);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err znode_unsanitise(struct arena *arena, struct slice text, struct slice *ret_name)
{
    uint8_t *name = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '+') { /* Java's decoder reads it as a space */
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return err_note(ERR_MALFORMED, "'%.*s' is not a sanitised name", SLICE_ARG(text));
            c = (uint8_t)(high * 16 + low);
            i += 2;
        }
        name[size++] = c;
    }
    *ret_name = slice_of(name, size);
    return ERR_OK;
}

/* ---- Settings ---- */

static struct slice entity_name(struct arena *arena, struct slice name)
{
    return slice_equal_str(name, ZNODE_CONFIG_DEFAULT) ? name : znode_sanitise(arena, name);
}

const char *znode_config_path(struct arena *arena, const char *type, struct slice name)
{
    if (strcmp(type, "users") == 0 || strcmp(type, "clients") == 0)
        name = entity_name(arena, name);
    return arena_printf(arena, "/config/%s/%.*s", type, SLICE_ARG(name));
}

const char *znode_user_client_config_path(struct arena *arena, struct slice user,
                                          struct slice client)
{
    struct slice u = entity_name(arena, user), c = entity_name(arena, client);
    return arena_printf(arena, "/config/users/%.*s/clients/%.*s", SLICE_ARG(u), SLICE_ARG(c));
}

/* ---- What a path may be ---- */

/* UTF-16 as Java counts it: characters that ZooKeeper's clients refuse, by their code points. */
static bool is_refused(uint32_t c)
{
    return (c >= 1 && c <= 0x1f) || (c >= 0x7f && c <= 0x9f) || (c >= 0xd800 && c <= 0xf8ff) ||
           (c >= 0xfff0 && c <= 0xffff) || c > 0xffff;
}

/* The code point at `text` and its length in bytes; what is no UTF-8 counts as a byte by itself. */
static uint32_t code_point(const char *text, size_t *ret_bytes)
{
    const uint8_t *b = (const uint8_t *)text;
    size_t more = b[0] >= 0xf0 ? 3 : b[0] >= 0xe0 ? 2 : b[0] >= 0xc0 ? 1 : 0;
    uint32_t c = more ? b[0] & (0x3fU >> more) : b[0];
    for (size_t i = 1; i <= more; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            *ret_bytes = 1;
            return b[0];
        }
        c = c << 6 | (b[i] & 0x3f);
    }
    *ret_bytes = more + 1;
    return c;
}

/* Is `at` the dot that ends a part of one or two dots? The path ends in a NUL of ours. */
static bool is_relative(const char *at)
{
    return at[0] == '.' && (at[1] == '/' || at[1] == 0) &&
           (at[-1] == '/' || (at[-1] == '.' && at[-2] == '/'));
}

static const char *refusal(const char *at, uint32_t c)
{
    if (c == 0)
        return "null character not allowed";
    if (c == '/' && at[-1] == '/')
        return "empty node name specified";
    if (is_relative(at))
        return "relative paths not allowed";
    return is_refused(c) ? "invalid character" : NULL;
}

enum err znode_path_check(struct arena *arena, const char *parent, struct slice child)
{
    size_t before = strlen(parent) + 1, size = before + child.size, bytes;
    char *path = arena_alloc(arena, size + 1);
    memcpy(path, parent, before - 1);
    path[before - 1] = '/';
    if (child.size)
        memcpy(path + before, child.data, child.size);
    path[size] = 0;
    if (path[size - 1] == '/')
        return err_note(ERR_MALFORMED, "Path must not end with / character");
    int32_t place = (int32_t)before; /* in Java's characters */
    for (const char *at = path + before; at < path + size; at += bytes, place++) {
        const char *why = refusal(at, code_point(at, &bytes));
        if (why)
            return err_note(ERR_MALFORMED, "Invalid path string \"%s\" caused by %s @%" PRId32,
                            path, why, place);
    }
    return ERR_OK;
}
