/* See epoch_cache.h. */
#include "broker/log/epoch_cache.h"

#include "broker/log/checkpoint_file.h"
#include "broker/record/batch.h"

void epoch_cache_done(struct epoch_cache *cache)
{
    free(cache->entries);
    *cache = (struct epoch_cache){0};
}

void epoch_cache_clear(struct epoch_cache *cache)
{
    cache->count = 0;
}

bool epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset)
{
    if (cache->count > 0) {
        const struct epoch_entry *last = &cache->entries[cache->count - 1];
        if (last->epoch == epoch && last->start_offset <= start_offset)
            return false; /* the epoch goes on */
    }
    while (cache->count > 0) {
        const struct epoch_entry *last = &cache->entries[cache->count - 1];
        if (last->epoch < epoch && last->start_offset < start_offset)
            break;
        cache->count--;
    }
    cache->entries =
        mem_grow(cache->entries, &cache->capacity, cache->count + 1, sizeof *cache->entries);
    cache->entries[cache->count++] =
        (struct epoch_entry){.epoch = epoch, .start_offset = start_offset};
    return true;
}

void epoch_cache_forget_newer(struct epoch_cache *cache, int32_t epoch)
{
    while (cache->count > 0 && cache->entries[cache->count - 1].epoch > epoch)
        cache->count--;
}

bool epoch_cache_truncate_start(struct epoch_cache *cache, int64_t start_offset)
{
    size_t below = 0;
    while (below < cache->count && cache->entries[below].start_offset <= start_offset)
        below++;
    if (below == 0 || (below == 1 && cache->entries[0].start_offset == start_offset))
        return false;
    /* The newest of those below is the one that holds the first offset: it stays, beginning there.
     */
    size_t drop = below - 1;
    memmove(cache->entries, cache->entries + drop, (cache->count - drop) * sizeof *cache->entries);
    cache->count -= drop;
    cache->entries[0].start_offset = start_offset;
    return true;
}

bool epoch_cache_truncate_end(struct epoch_cache *cache, int64_t end_offset)
{
    size_t before = cache->count;
    while (cache->count > 0 && cache->entries[cache->count - 1].start_offset >= end_offset)
        cache->count--;
    return cache->count != before;
}

int32_t epoch_cache_latest(const struct epoch_cache *cache)
{
    return cache->count > 0 ? cache->entries[cache->count - 1].epoch : NO_LEADER_EPOCH;
}

int32_t epoch_cache_for_offset(const struct epoch_cache *cache, int64_t offset)
{
    size_t low = 0, high = cache->count; /* the first entry that begins above */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cache->entries[middle].start_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? cache->entries[low - 1].epoch : NO_LEADER_EPOCH;
}

void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end_offset,
                     int32_t *ret_epoch, int64_t *ret_end_offset)
{
    *ret_epoch = NO_LEADER_EPOCH;
    *ret_end_offset = -1;
    int32_t latest = epoch_cache_latest(cache);
    if (epoch == NO_LEADER_EPOCH || cache->count == 0 || epoch > latest)
        return;
    *ret_epoch = epoch;
    if (epoch == latest) {
        *ret_end_offset = log_end_offset;
        return;
    }
    size_t higher = 0;
    while (cache->entries[higher].epoch <= epoch)
        higher++;
    *ret_end_offset = cache->entries[higher].start_offset;
    if (higher > 0)
        *ret_epoch = cache->entries[higher - 1].epoch;
}

static enum err add_decoded(void *context, int32_t epoch, int64_t start_offset)
{
    epoch_cache_assign(context, epoch, start_offset);
    return ERR_OK;
}

enum err epoch_cache_decode(struct epoch_cache *cache, struct slice text)
{
    return checkpoint_read_epochs(text, add_decoded, cache);
}

void epoch_cache_encode(const struct epoch_cache *cache, struct buf *out)
{
    checkpoint_begin(out, cache->count);
    for (size_t i = 0; i < cache->count; i++)
        checkpoint_put_epoch(out, cache->entries[i].epoch, cache->entries[i].start_offset);
}
