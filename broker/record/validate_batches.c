/* Checks of batches as wholes, in the order that decides which error a client sees. */
#include "broker/record/validate_internal.h"

#define ZSTD_SINCE_VERSION      7
#define ONE_BATCH_SINCE_VERSION 3

/* Whatever follows at `at`; *ret_is_end when nothing whole does. */
static enum err next_batch(struct slice records, size_t at, struct batch_info *ret,
                           bool *ret_is_end)
{
    enum err e = batch_peek(slice_of(records.data + at, records.size - at), ret);
    *ret_is_end = e == ERR_AGAIN || (!e && (size_t)ret->size_bytes > records.size - at);
    return e == ERR_AGAIN ? ERR_OK : e;
}

static enum err check_codec(int codec)
{
    if (codec >= CODEC_COUNT)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "Unknown compression type id: %d", codec);
    return ERR_OK;
}

/* The codec is looked at only where the version forbids one: a later check has its turn before. */
static enum err check_codec_of_version(int codec, int16_t api_version)
{
    if (api_version >= ZSTD_SINCE_VERSION)
        return ERR_OK;
    if (codec == CODEC_ZSTD)
        return err_note(
            ERR_UNSUPPORTED_COMPRESSION_TYPE,
            "Produce requests with version %d are not allowed to use ZStandard compression",
            api_version);
    return check_codec(codec);
}

static enum err check_first(const struct validate_input *input, const struct batch_info *info)
{
    if (info->magic != 2)
        return err_note(ERR_INVALID_RECORD,
                        "Produce requests with version %d are only allowed to contain record "
                        "batches with magic version 2",
                        input->api_version);
    return check_codec_of_version(info->attributes & BATCH_CODEC_MASK, input->api_version);
}

enum err check_version(const struct validate_input *input)
{
    if (input->api_version < ONE_BATCH_SINCE_VERSION)
        return ERR_OK;
    struct slice records = slice_of(input->records, input->size);
    struct batch_info info, second;
    bool is_end = true;
    enum err e = input->size ? next_batch(records, 0, &info, &is_end) : ERR_OK;
    if (!e && is_end)
        e = err_note(
            ERR_INVALID_RECORD,
            "Produce requests with version %d must have at least one record batch per partition",
            input->api_version);
    if (!e)
        e = check_first(input, &info);
    if (!e)
        e = next_batch(records, (size_t)info.size_bytes, &second, &is_end);
    if (!e && !is_end)
        e = err_note(
            ERR_INVALID_RECORD,
            "Produce requests with version %d are only allowed to contain exactly one record batch "
            "per partition",
            input->api_version);
    return e;
}

enum err records_check_version(struct slice records, int16_t api_version)
{
    struct validate_input input = {.records = (uint8_t *)(uintptr_t)records.data,
                                   .size = records.size,
                                   .api_version = api_version};
    return check_version(&input);
}

static enum err check_batch(const struct validation *v, const uint8_t *at,
                            const struct batch_info *info)
{
    if (v->input->is_client && info->magic >= 2 && info->base_offset != 0)
        return err_note(ERR_INVALID_RECORD,
                        "The baseOffset of the record batch should be 0, but it is %lld",
                        (long long)info->base_offset);
    if (info->size_bytes > v->config->max_message_bytes)
        return err_note(
            ERR_MESSAGE_TOO_LARGE,
            "The record batch size is %lld bytes which exceeds the maximum configured value of %d",
            (long long)info->size_bytes, v->config->max_message_bytes);
    if (!batch_crc_is_right(at))
        return err_note(ERR_CORRUPT_MESSAGE, "Record is corrupt (stored crc does not match)");
    return check_codec(info->attributes & BATCH_CODEC_MASK);
}

enum err look_shallowly(const struct validation *v, struct shallow *ret)
{
    struct slice records = slice_of(v->input->records, v->input->size);
    *ret = (struct shallow){0};
    while (ret->size < records.size) {
        struct batch_info info;
        bool is_end;
        enum err e = next_batch(records, ret->size, &info, &is_end);
        if (!e && !is_end)
            e = check_batch(v, records.data + ret->size, &info);
        if (e)
            return e;
        if (is_end)
            break;
        if (ret->count++ == 0)
            ret->first = info;
        if (info.attributes & BATCH_CODEC_MASK)
            ret->codec = (enum codec)(info.attributes & BATCH_CODEC_MASK);
        ret->size += (size_t)info.size_bytes;
    }
    return ERR_OK;
}

enum err check_number(const struct shallow *shallow)
{
    bool is_one = shallow->first.magic >= 2 || shallow->codec != CODEC_NONE;
    if (is_one && shallow->count != 1)
        return err_note(ERR_INVALID_RECORD, "Compressed outer record has more than one batch");
    return ERR_OK;
}

static enum err check_client_head(const struct batch_info *info)
{
    int64_t from_offsets = info->last_offset - info->base_offset + 1;
    if (from_offsets <= 0)
        return err_note(ERR_INVALID_RECORD, "Batch has an invalid offset range: [%lld, %lld]",
                        (long long)info->base_offset, (long long)info->last_offset);
    if (info->record_count <= 0)
        return err_note(ERR_INVALID_RECORD, "Invalid reported count for record batch: %d",
                        info->record_count);
    if (from_offsets != info->record_count)
        return err_note(ERR_INVALID_RECORD,
                        "Inconsistent batch offset range [%lld, %lld] and count of records %d",
                        (long long)info->base_offset, (long long)info->last_offset,
                        info->record_count);
    if (info->attributes & BATCH_CONTROL)
        return err_note(ERR_INVALID_RECORD, "Clients are not allowed to write control records");
    if (info->producer_id >= 0 && info->base_sequence < 0)
        return err_note(ERR_INVALID_RECORD,
                        "Invalid sequence number %d in record batch with producerId %lld",
                        info->base_sequence, (long long)info->producer_id);
    return ERR_OK;
}

enum err check_head(const struct validation *v, const struct shallow *shallow,
                    const struct batch_info *info)
{
    if (info->magic != shallow->first.magic)
        return err_note(ERR_INVALID_RECORD,
                        "Batch magic %d is not the same as the first batch's magic byte %d",
                        info->magic, shallow->first.magic);
    return v->input->is_client && info->magic >= 2 ? check_client_head(info) : ERR_OK;
}
