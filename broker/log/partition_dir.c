/* See partition_dir.h. */
#include "broker/log/partition_dir.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/slice.h"
#include "broker/base/uuid.h"

#define HEX_DIGITS    32
#define OFFSET_DIGITS 20

static const char *const dir_mark[] = {
    [DIR_LOG] = "", [DIR_DELETE] = "-delete", [DIR_FUTURE] = "-future", [DIR_STRAY] = "-stray"};

const char *const segment_file_suffix[SEGMENT_FILE_COUNT] = {
    [SEGMENT_LOG] = ".log",
    [SEGMENT_INDEX] = ".index",
    [SEGMENT_TIMEINDEX] = ".timeindex",
    [SEGMENT_TXNINDEX] = ".txnindex",
    [SEGMENT_SNAPSHOT] = ".snapshot",
};
const char *const segment_state_suffix[STATE_COUNT] = {[STATE_PLAIN] = "",
                                                       [STATE_DELETED] = ".deleted",
                                                       [STATE_CLEANED] = ".cleaned",
                                                       [STATE_SWAP] = ".swap"};

static bool all_hex(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr("0123456789abcdef", text[i]) || !text[i])
            return false;
    return true;
}

/* "topic-partition", the last dash separating. */
static bool parse_plain(struct slice name, struct partition_dir *ret)
{
    size_t dash = name.size;
    while (dash > 0 && name.data[dash - 1] != '-')
        dash--;
    if (dash < 2 || dash == name.size || dash - 1 > TOPIC_NAME_MAX)
        return false;
    int64_t partition;
    struct slice digits = slice_of(name.data + dash, name.size - dash);
    if (digits.data[0] == '+' || !slice_to_int64(digits, &partition) || partition < 0 ||
        partition > INT32_MAX)
        return false;
    memcpy(ret->topic, name.data, dash - 1);
    ret->topic[dash - 1] = 0;
    ret->partition = (int32_t)partition;
    return true;
}

/* The kind that the name's end tells, and the length of what stands before ".<32 hex>-mark". */
static enum partition_dir_kind split_mark(const char *name, size_t *ret_size)
{
    size_t size = strlen(name);
    *ret_size = size;
    for (enum partition_dir_kind kind = DIR_DELETE; kind <= DIR_STRAY; kind++) {
        size_t tail = 1 + HEX_DIGITS + strlen(dir_mark[kind]);
        if (size <= tail || strcmp(name + size - strlen(dir_mark[kind]), dir_mark[kind]) != 0)
            continue;
        const char *dot = name + size - tail;
        if (*dot == '.' && all_hex(dot + 1, HEX_DIGITS)) {
            *ret_size = size - tail;
            return kind;
        }
    }
    return DIR_LOG;
}

bool partition_dir_parse(const char *name, struct partition_dir *ret)
{
    size_t size;
    struct partition_dir dir = {.kind = split_mark(name, &size)};
    if (!parse_plain(slice_of(name, size), &dir))
        return false;
    *ret = dir;
    return true;
}

void partition_dir_name(const char *topic, int32_t partition,
                        char ret_name[static PARTITION_DIR_NAME_SIZE])
{
    snprintf(ret_name, PARTITION_DIR_NAME_SIZE, "%.*s-%" PRId32, TOPIC_NAME_MAX, topic, partition);
}

void partition_dir_marked_name(const char *topic, int32_t partition, enum partition_dir_kind kind,
                               char ret_name[static DIR_NAME_MAX + 1])
{
    struct uuid id = uuid_random();
    char hex[HEX_DIGITS + 1], tail[64];
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", id.bytes[i]);
    int tail_size =
        snprintf(tail, sizeof tail, "-%" PRId32 ".%s%s", partition, hex, dir_mark[kind]);
    char whole[TOPIC_NAME_MAX + sizeof tail];
    int room = kind == DIR_FUTURE ? TOPIC_NAME_MAX : DIR_NAME_MAX - tail_size;
    room = room < TOPIC_NAME_MAX ? room : TOPIC_NAME_MAX;
    snprintf(whole, sizeof whole, "%.*s%s", room, topic, tail);
    snprintf(ret_name, DIR_NAME_MAX + 1, "%.*s", DIR_NAME_MAX,
             whole); /* a move refuses longer names before */
}

void segment_file_name(int64_t base_offset, enum segment_file file, enum segment_file_state state,
                       char ret_name[static SEGMENT_FILE_NAME_SIZE])
{
    snprintf(ret_name, SEGMENT_FILE_NAME_SIZE, "%020" PRId64 "%s%s", base_offset,
             segment_file_suffix[file], segment_state_suffix[state]);
}

bool segment_file_parse(const char *name, int64_t *ret_base_offset, enum segment_file *ret_file,
                        enum segment_file_state *ret_state)
{
    int64_t base_offset;
    if (strlen(name) <= OFFSET_DIGITS || name[0] < '0' || name[0] > '9' ||
        !slice_to_int64(slice_of(name, OFFSET_DIGITS), &base_offset) || base_offset > LOG_END_MAX)
        return false;
    const char *rest = name + OFFSET_DIGITS;
    for (int file = 0; file < SEGMENT_FILE_COUNT; file++) {
        size_t size = strlen(segment_file_suffix[file]);
        if (strncmp(rest, segment_file_suffix[file], size) != 0)
            continue;
        for (int state = 0; state < STATE_COUNT; state++) {
            if (strcmp(rest + size, segment_state_suffix[state]) != 0)
                continue;
            *ret_base_offset = base_offset;
            *ret_file = (enum segment_file)file;
            *ret_state = (enum segment_file_state)state;
            return true;
        }
    }
    return false;
}
