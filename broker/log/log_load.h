/* What the files about opening a log share. Internal to this folder. */
#pragma once

#include "broker/log/segment.h"

/* The files of a base offset, by state and kind. */
struct found_segment {
    int64_t base_offset;
    bool has[STATE_COUNT][SEGMENT_FILE_COUNT];
};

struct found {
    struct found_segment *items; /* ascending */
    size_t count, capacity;
    bool has_metadata, has_epochs, has_unfinished;
};

MUST_USE enum err log_list_dir(struct log *log, struct found *ret);

/* log_swap.c: complete or undo what the cleaner was doing; `found` is read again. */
MUST_USE enum err log_finish_swaps(struct log *log, struct found *found);

/* log_recover.c: read and check from the recovery point on; end offset, indexes, producers, epochs
 * follow. */
MUST_USE enum err log_recover(struct log *log, int64_t recovery_point);
/* log_sanity.c: look at the indexes of segments that are not read, make them again where needed. */
MUST_USE enum err log_check_indexes(struct log *log, int first, int count);
/* The transaction indexes of the first `count` segments, into memory. Log lock. */
MUST_USE enum err log_load_txn_indexes(struct log *log, int count);
/* All three indexes of a segment; the producers' state is lost with it. Log lock. */
MUST_USE enum err log_rebuild_txn_index(struct log *log, struct segment *seg);
MUST_USE enum err log_rebuild_indexes(struct log *log, struct segment *seg);
/* The newest segment holds `valid` bytes of batches, and behind them what the thread's sentence
 * says: cut it off. */
MUST_USE enum err log_cut_tail(struct log *log, struct segment *seg, int64_t valid);

/* After a clean stop without any snapshot nothing is read: there were no producers worth it. */
MUST_USE enum err log_load_producers_clean(struct log *log, int64_t end);
