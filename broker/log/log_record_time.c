/* The first record of a batch that is late enough, for the search by time. */
#include <inttypes.h>

#include "broker/log/log_times.h"
#include "broker/record/record.h"

struct search {
    int64_t timestamp_ms, start_offset;
    struct timestamp_offset found;
    bool is_found;
};

static bool take(struct search *search, int64_t timestamp_ms, int64_t offset)
{
    if (timestamp_ms < search->timestamp_ms || offset < search->start_offset)
        return false;
    search->found = (struct timestamp_offset){.timestamp_ms = timestamp_ms, .offset = offset};
    search->is_found = true;
    return true;
}

static enum err search_records(struct search *search, const uint8_t *batch)
{
    struct record_reader reader;
    struct record record;
    enum err e = record_reader_open(&reader, batch);
    if (e)
        return e;
    while (!(e = record_reader_next(&reader, &record)))
        if (take(search, record.timestamp_ms, record.offset))
            break;
    record_reader_close(&reader);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err take_legacy(void *context, const struct legacy_message *inner)
{
    struct search *search = context;
    if (!search->is_found)
        take(search, inner->timestamp_ms, inner->offset);
    return ERR_OK;
}

enum err log_record_at_time(struct slice batch, int64_t timestamp_ms, int64_t start_offset,
                            struct timestamp_offset *ret, bool *ret_found)
{
    struct batch_info b;
    struct search search = {.timestamp_ms = timestamp_ms, .start_offset = start_offset};
    *ret_found = false;
    enum err e = batch_peek(batch, &b);
    if (!e)
        e = b.magic >= 2 ? search_records(&search, batch.data)
                         : legacy_message_each(batch.data, take_legacy, &search);
    if (e)
        return err_wrap(e, "batch at offset %" PRId64, b.base_offset);
    if (search.is_found)
        *ret = search.found;
    *ret_found = search.is_found;
    return ERR_OK;
}
