/* See log_validate.h. */
#include "broker/log/log_validate.h"

#include <inttypes.h>

static enum err check_batch(struct log *log, const uint8_t *at, const struct batch_info *b,
                            enum append_origin origin)
{
    if (origin == APPEND_CLIENT && b->magic >= 2 && b->base_offset != 0)
        return err_note(ERR_INVALID_RECORD,
                        "the base offset of a client's batch is %" PRId64 " instead of 0",
                        b->base_offset);
    if (b->size_bytes > log->config.max_message_bytes)
        return err_note(ERR_MESSAGE_TOO_LARGE,
                        "a batch of %" PRId64 " bytes, at most %" PRId32 " are allowed",
                        b->size_bytes, log->config.max_message_bytes);
    if (!batch_crc_is_right(at))
        return err_note(ERR_CORRUPT_MESSAGE, "the batch fails its checksum");
    return ERR_OK;
}

enum err log_validate(struct log *log, uint8_t *records, size_t size, int32_t leader_epoch,
                      enum append_origin origin, int16_t api_version, struct arena *arena,
                      struct slice *ret_records, struct append_result *ret)
{
    (void)api_version;
    (void)arena;
    size_t at = 0;
    int64_t next = log_end_offset(log);
    while (at < size) {
        struct batch_info b;
        enum err e = batch_peek(slice_of(records + at, size - at), &b);
        if (e == ERR_AGAIN || (!e && (size_t)b.size_bytes > size - at))
            break;
        if (!e)
            e = check_batch(log, records + at, &b, origin);
        if (e)
            return e;
        batch_set_base_offset(records + at, next);
        batch_set_leader_epoch(records + at, leader_epoch);
        next += b.last_offset - b.base_offset + 1;
        ret->record_count += b.record_count;
        at += (size_t)b.size_bytes;
    }
    *ret_records = slice_of(records, at);
    return ERR_OK;
}
