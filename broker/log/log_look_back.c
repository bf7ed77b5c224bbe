/* The batches of a producer that its snapshot did not tell of. A snapshot keeps the last batch of
 * each producer, as the JVM broker's format has no room for more; but five may be in flight, and
 * after a restart or a truncation the retry of an older one, which is in the log, would be refused
 * as out of order. Some clients end by that: librdkafka counts it as fatal. The log has them still:
 * where a batch is to be refused, it is read backwards from what is remembered, once for a
 * producer, and no further than is cheap. */
#include <inttypes.h>

#include "broker/base/trace.h"
#include "broker/log/log_write.h"

#define FIRST_STEP_OFFSETS 256   /* so far back goes the first step, each further one */
#define STEP_GROWTH        8     /* times as far */
#define LOOK_BATCHES_MAX   10000 /* heads that are read for one producer */

struct look {
    struct log *log;
    int64_t producer_id;
    int64_t first_offset; /* of the first batch of the step */
    int batches_left;
    size_t found; /* in the step; the newest of them are kept, around the ring */
    struct batch_info ring[PRODUCER_BATCHES_MAX];
};

static void note(struct look *look, const struct batch_info *b)
{
    if (look->first_offset == NO_OFFSET)
        look->first_offset = b->base_offset;
    if (b->magic >= 2 && b->producer_id == look->producer_id && !(b->attributes & BATCH_CONTROL))
        look->ring[look->found++ % PRODUCER_BATCHES_MAX] = *b;
}

/* Note the batches of [from, to) that lie in the segment. */
static enum err walk_segment(struct look *look, struct segment *seg, int64_t from, int64_t to)
{
    struct batch_place place;
    enum err e = segment_seek(seg, from, seg->size_bytes, true, &place);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_OK : e;
    struct segment_scan scan;
    struct batch_info b;
    struct slice bytes;
    int64_t position;
    e = segment_scan_begin(&scan, seg, place.position, seg->size_bytes, false);
    if (e)
        return e;
    while (!(e = segment_scan_next(&scan, &b, &position, &bytes)) && b.base_offset < to) {
        if (look->batches_left-- <= 0) {
            e = ERR_AGAIN;
            break;
        }
        note(look, &b);
    }
    segment_scan_end(&scan);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err walk(struct look *look, int64_t from, int64_t to)
{
    const struct segment_list *list = look->log->list;
    enum err e = ERR_OK;
    look->found = 0;
    look->first_offset = NO_OFFSET;
    for (int i = segment_list_floor(list, from); !e && i < list->count; i++) {
        if (list->items[i]->base_offset >= to)
            break;
        if (list->items[i]->size_bytes > 0)
            e = walk_segment(look, list->items[i], from, to);
    }
    return e;
}

/* The newest first. False: nothing further back is of use. */
static bool remember_found(struct look *look, int *ret_added)
{
    LOCK_SCOPE(&look->log->view);
    for (size_t i = look->found; i-- > 0 && look->found - i <= PRODUCER_BATCHES_MAX;) {
        if (!producer_state_add_older(&look->log->producers, &look->ring[i % PRODUCER_BATCHES_MAX]))
            return false;
        ++*ret_added;
    }
    return true;
}

static int look_back(struct look *look, int64_t to)
{
    struct log *log = look->log;
    int64_t start = log_start_offset(log), step = FIRST_STEP_OFFSETS;
    int added = 0;
    for (; to > start; step *= STEP_GROWTH) {
        int64_t from = to - start > step ? to - step : start;
        /* What cannot be read, or is too much, is as good as not there: the batch is refused. */
        if (walk(look, from, to) || !remember_found(look, &added))
            break;
        /* The first may begin in front of `from`. */
        to = look->first_offset != NO_OFFSET && look->first_offset < from ? look->first_offset
                                                                          : from;
    }
    return added;
}

bool log_look_back(struct log *log, const struct batch_info *b)
{
    assert_held(&log->lock);
    struct look look = {
        .log = log, .producer_id = b->producer_id, .batches_left = LOOK_BATCHES_MAX};
    lock_acquire(&log->view);
    int64_t to = producer_state_begin_look_back(&log->producers, b);
    lock_release(&log->view);
    if (to == NO_OFFSET)
        return false;
    int added = look_back(&look, to);
    trace_info("older batches of a producer looked for in the log topic=%s partition=%" PRId32
               " producer=%" PRId64 " sequence=%" PRId32 " before=%" PRId64
               " batches_found=%d batches_read=%d",
               log->topic, log->partition, b->producer_id, b->base_sequence, to, added,
               LOOK_BATCHES_MAX - look.batches_left);
    return added > 0;
}
