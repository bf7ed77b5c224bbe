/* The first record of a batch that is late enough, for the search by time. */
#include <inttypes.h>

#include "broker/base/varint.h"
#include "broker/log/log_times.h"

/* The head of a record: length, attributes, timestamp delta, offset delta. */
static bool read_record_head(struct slice *records, int64_t *ret_timestamp_delta,
                             int32_t *ret_offset_delta)
{
    int32_t length;
    size_t n = varint_get(records->data, records->size, &length);
    if (n == 0 || length < 1 || (size_t)length > records->size - n)
        return false;
    struct slice body = slice_of(records->data + n + 1, (size_t)length - 1);
    size_t t = varlong_get(body.data, body.size, ret_timestamp_delta);
    if (t == 0 || varint_get(body.data + t, body.size - t, ret_offset_delta) == 0)
        return false;
    *records = slice_of(records->data + n + length, records->size - n - (size_t)length);
    return true;
}

static enum err search_plain(struct slice batch, int64_t timestamp_ms, int64_t start_offset,
                             struct timestamp_offset *ret, bool *ret_found)
{
    struct slice records = slice_of(batch.data + BATCH_HEADER_SIZE, batch.size - BATCH_HEADER_SIZE);
    for (int32_t left = batch_record_count(batch.data); left > 0; left--) {
        int64_t timestamp_delta;
        int32_t offset_delta;
        if (!read_record_head(&records, &timestamp_delta, &offset_delta))
            return err_note(ERR_CORRUPT_MESSAGE,
                            "records of the batch at offset %" PRId64 " are damaged",
                            batch_base_offset(batch.data));
        int64_t timestamp = batch_base_timestamp(batch.data) + timestamp_delta;
        int64_t offset = batch_base_offset(batch.data) + offset_delta;
        if (timestamp < timestamp_ms || offset < start_offset)
            continue;
        *ret = (struct timestamp_offset){.timestamp_ms = timestamp, .offset = offset};
        *ret_found = true;
        return ERR_OK;
    }
    return ERR_OK;
}

/* Where every record has the batch's time, or is not to be read singly, the batch answers for its
 * first record. */
static void answer_batch(struct slice batch, const struct batch_info *b, int64_t start_offset,
                         struct timestamp_offset *ret, bool *ret_found)
{
    (void)batch;
    int64_t offset = b->base_offset < start_offset ? start_offset : b->base_offset;
    *ret = (struct timestamp_offset){.timestamp_ms = b->max_timestamp, .offset = offset};
    *ret_found = true;
}

enum err log_record_at_time(struct slice batch, int64_t timestamp_ms, int64_t start_offset,
                            struct timestamp_offset *ret, bool *ret_found)
{
    struct batch_info b;
    enum err e = batch_peek(batch, &b);
    *ret_found = false;
    if (e)
        return e;
    bool is_plain = b.magic >= 2 && (b.attributes & BATCH_CODEC_MASK) == CODEC_NONE;
    if (is_plain && !(b.attributes & BATCH_LOG_APPEND_TIME))
        return search_plain(batch, timestamp_ms, start_offset, ret, ret_found);
    answer_batch(batch, &b, start_offset, ret, ret_found);
    return ERR_OK;
}
