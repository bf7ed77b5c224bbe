/* The files of all logs that are open at the moment, in a bounded cache: a broker with 100,000
 * partitions keeps few descriptors. A file is named by the slot that its owner embeds; it opens on
 * first use, and the one used longest ago that nobody holds is closed when the bound is reached.
 * While all are held the bound is exceeded: a reader is never refused for want of a descriptor that
 * we could open.
 *
 * Segments and index files have a bound each, so that a sweep over indexes does not close the
 * segments. Index files are read with pread, not mapped: a mapping would stop the event loop at a
 * page fault, raise SIGBUS when a file is cut, and count against the system's limit of mappings.
 *
 * A log_file is counted: the slot holds one reference, and everyone who was given the file holds
 * another, so the descriptor lives until the last slice of it has been sent, whatever became of the
 * segment.
 *
 * Threads: any (RANK_FILE_CACHE inside). */
#pragma once

#include "broker/base/err.h"
#include "broker/base/list.h"

struct file_cache;
struct log_file;

enum file_kind { FILE_SEGMENT, FILE_INDEX, FILE_KIND_COUNT };

struct file_slot {
    struct log_file *file; /* guarded by the cache's lock; NULL: not open */
};

/* The bounds are made smaller where they exceed half of the descriptors that the process may have
 * (RLIMIT_NOFILE at this moment). */
struct file_cache *file_cache_new(int max_segments, int max_indexes);
void file_cache_free(struct file_cache *cache); /* every slot has been closed before */

/* The file of the slot, opened if it is not. `create` makes it where it is missing. ret_file is a
 * reference that the caller gives back with log_file_unref(). Errors: ERR_NOT_FOUND, no such file;
 * ERR_IO; ERR_NO_SPACE. */
MUST_USE enum err file_cache_get(struct file_cache *cache, struct file_slot *slot,
                                 enum file_kind kind, const char *path, bool create,
                                 struct log_file **ret_file);

/* The file if it is open already, without any system call; NULL if not. */
MUST_USE struct log_file *file_cache_peek(struct file_cache *cache, struct file_slot *slot);

/* Forget the slot's file; it closes with its last holder. */
void file_cache_close(struct file_cache *cache, struct file_slot *slot);

int file_cache_open_count(struct file_cache *cache, enum file_kind kind);
