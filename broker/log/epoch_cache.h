/* The leader epochs of a log and where each began: what leader-epoch-checkpoint holds. Ascending in
 * both. Pure memory; the log writes it. Thread: the log's view lock guards it. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/err.h"

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epoch_cache {
    struct epoch_entry *entries;
    size_t count, capacity;
};

void epoch_cache_done(struct epoch_cache *cache);
void epoch_cache_clear(struct epoch_cache *cache);

/* Each gives whether anything changed. Entries that the new one contradicts go. */
bool epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset);
bool epoch_cache_truncate_start(struct epoch_cache *cache, int64_t start_offset);
bool epoch_cache_truncate_end(struct epoch_cache *cache, int64_t end_offset);

void epoch_cache_forget_newer(struct epoch_cache *cache, int32_t epoch); /* those above `epoch` */

int32_t epoch_cache_latest(const struct epoch_cache *cache); /* NO_LEADER_EPOCH if none */
int32_t epoch_cache_for_offset(const struct epoch_cache *cache,
                               int64_t offset); /* NO_LEADER_EPOCH if none */
/* KIP-279; -1 and -1 where nothing is known. */
void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end_offset,
                     int32_t *ret_epoch, int64_t *ret_end_offset);

MUST_USE enum err epoch_cache_decode(struct epoch_cache *cache, struct slice text);
void epoch_cache_encode(const struct epoch_cache *cache, struct buf *out);
