/* The names of directories and files in a log directory: `topic-partition`, the marked ones of logs
 * that are being deleted, moved or set aside, and the twenty digits of a segment's files. The last
 * dash separates the partition, and only `…-<partition>.<32 hex>-<mark>` is a marked name: a topic
 * `x-5-delete` is an ordinary one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/base/attributes.h"

#define TOPIC_NAME_MAX          249 /* bytes */
#define DIR_NAME_MAX            255 /* bytes */
#define PARTITION_DIR_NAME_SIZE 264 /* topic, dash, digits, NUL */

enum partition_dir_kind { DIR_LOG, DIR_DELETE, DIR_FUTURE, DIR_STRAY };

struct partition_dir {
    char topic[TOPIC_NAME_MAX + 1];
    int32_t partition;
    enum partition_dir_kind kind;
};

/* False where the name is none of a partition's. */
MUST_USE bool partition_dir_parse(const char *name, struct partition_dir *ret);

void partition_dir_name(const char *topic, int32_t partition,
                        char ret_name[static PARTITION_DIR_NAME_SIZE]);
/* With a random id. For -delete and -stray the topic is cut so that the name fits into 255 bytes.
 */
void partition_dir_marked_name(const char *topic, int32_t partition, enum partition_dir_kind kind,
                               char ret_name[static DIR_NAME_MAX + 1]);

enum segment_file {
    SEGMENT_LOG,
    SEGMENT_INDEX,
    SEGMENT_TIMEINDEX,
    SEGMENT_TXNINDEX,
    SEGMENT_SNAPSHOT,
    SEGMENT_FILE_COUNT,
};
/* What stands behind the plain name. */
enum segment_file_state { STATE_PLAIN, STATE_DELETED, STATE_CLEANED, STATE_SWAP, STATE_COUNT };

extern const char *const segment_file_suffix[SEGMENT_FILE_COUNT]; /* ".log", … */
extern const char *const segment_state_suffix[STATE_COUNT];       /* "", ".deleted", … */

/* No log ends above it, so that offsets can be counted on from any end: an append brings fewer
 * records than the rest of an int64. What says otherwise, a file or a leader, is damaged. */
#define LOG_END_MAX (INT64_MAX - (INT64_C(1) << 40))

#define SEGMENT_FILE_NAME_SIZE 48
void segment_file_name(int64_t base_offset, enum segment_file file, enum segment_file_state state,
                       char ret_name[static SEGMENT_FILE_NAME_SIZE]);
MUST_USE bool segment_file_parse(const char *name, int64_t *ret_base_offset,
                                 enum segment_file *ret_file, enum segment_file_state *ret_state);
