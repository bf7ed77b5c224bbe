/* The checks in the order that decides which error a client sees: what the request's version
 * allows, then each batch as a whole (base offset, size, checksum), then the records inside. */
#include "broker/record/validate.h"

#include "broker/record/build.h"

struct validation {
    const struct validate_config *config;
    const struct validate_input *input;
    struct arena *arena;
    struct validate_result *result;
    const uint8_t *batch; /* the one whose records are walked */
    int64_t max_timestamp;
    int64_t log_append_time; /* NO_TIMESTAMP with CreateTime */
    int32_t index;           /* of the next record, over all messages */
    bool has_gaps;           /* inner offsets are not 0, 1, 2 … */
    bool has_bad_timestamp;
    size_t errors_capacity;
    struct batch_builder builder; /* when rebuilding */
};

/* --- the request as a whole --- */

/* Bytes at `at`, whole batch or not; *ret_is_end when nothing whole follows. */
static enum err next_batch(struct slice records, size_t at, struct batch_info *ret,
                           bool *ret_is_end)
{
    enum err e = batch_peek(slice_of(records.data + at, records.size - at), ret);
    *ret_is_end = e == ERR_AGAIN || (!e && (size_t)ret->size_bytes > records.size - at);
    return e == ERR_AGAIN ? ERR_OK : e;
}

static enum err check_codec(int codec, int16_t api_version)
{
    if (codec >= CODEC_COUNT)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "Unknown compression type id: %d", codec);
    if (codec == CODEC_ZSTD && api_version < 7)
        return err_note(
            ERR_UNSUPPORTED_COMPRESSION_TYPE,
            "Produce requests with version %d are not allowed to use ZStandard compression",
            api_version);
    return ERR_OK;
}

/* Produce 3 and above: exactly one batch, of format 2. */
static enum err check_version(const struct validate_input *input)
{
    if (input->api_version < 3)
        return ERR_OK;
    struct slice records = slice_of(input->records, input->size);
    struct batch_info info;
    bool is_end = true;
    enum err e = input->size ? next_batch(records, 0, &info, &is_end) : ERR_OK;
    if (e)
        return e;
    if (is_end)
        return err_note(
            ERR_INVALID_RECORD,
            "Produce requests with version %d must have at least one record batch per partition",
            input->api_version);
    if (info.magic != 2)
        return err_note(ERR_INVALID_RECORD,
                        "Produce requests with version %d are only allowed to contain record "
                        "batches with magic version 2",
                        input->api_version);
    e = check_codec(info.attributes & BATCH_CODEC_MASK, input->api_version);
    if (e)
        return e;
    struct batch_info second;
    e = next_batch(records, (size_t)info.size_bytes, &second, &is_end);
    if (!e && !is_end)
        e = err_note(
            ERR_INVALID_RECORD,
            "Produce requests with version %d are only allowed to contain exactly one record batch "
            "per partition",
            input->api_version);
    return e;
}

/* Every batch from outside; ret: the whole batches' bytes, their number, the first, and the last
 * codec that is not none. */
struct shallow {
    size_t size;
    int32_t count;
    int codec;
    struct batch_info first;
    bool is_mixed; /* of several formats */
};

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
    return check_codec(info->attributes & BATCH_CODEC_MASK, INT16_MAX);
}

static enum err look_shallowly(const struct validation *v, struct shallow *ret)
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
        ret->is_mixed |= info.magic != ret->first.magic;
        if (info.attributes & BATCH_CODEC_MASK)
            ret->codec = info.attributes & BATCH_CODEC_MASK;
        ret->size += (size_t)info.size_bytes;
    }
    return ERR_OK;
}

/* --- a batch of format 2 as a whole --- */

static enum err check_whole_batch(const struct validation *v, const struct batch_info *info)
{
    if (!v->input->is_client)
        return ERR_OK;
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

/* --- one record --- */

static void add_error(struct validation *v, int32_t index, char *message)
{
    struct validate_result *result = v->result;
    if ((size_t)result->errors_count == v->errors_capacity) {
        size_t capacity = v->errors_capacity ? 2 * v->errors_capacity : 16;
        struct validate_error *errors = arena_new_array(v->arena, struct validate_error, capacity);
        if (result->errors_count)
            memcpy(errors, result->errors, (size_t)result->errors_count * sizeof *errors);
        result->errors = errors;
        v->errors_capacity = capacity;
    }
    result->errors[result->errors_count++] = (struct validate_error){index, message};
}

static bool is_time_out_of_range(const struct validation *v, int64_t timestamp_ms)
{
    int64_t difference;
    if (__builtin_sub_overflow(v->input->now_ms, timestamp_ms, &difference))
        return true;
    return difference > v->config->before_max_ms || -difference > v->config->after_max_ms;
}

static void check_record(struct validation *v, int64_t timestamp_ms, bool has_key,
                         bool batch_says_append_time)
{
    int32_t index = v->index++;
    if (v->config->is_compacted && !has_key) {
        add_error(v, index,
                  arena_printf(v->arena,
                               "Compacted topic cannot accept message without key in record %d",
                               index));
        return;
    }
    if (!v->config->is_log_append_time && timestamp_ms != NO_TIMESTAMP) {
        if (!is_time_out_of_range(v, timestamp_ms))
            return;
        v->has_bad_timestamp = true;
        add_error(v, index,
                  arena_printf(v->arena,
                               "Timestamp %lld of message with offset %d is out of range. The "
                               "timestamp should be within [%lld, %lld]",
                               (long long)timestamp_ms, index,
                               (long long)(v->input->now_ms - v->config->before_max_ms),
                               (long long)(v->input->now_ms + v->config->after_max_ms)));
    } else if (batch_says_append_time) {
        v->has_bad_timestamp = true;
        add_error(v, index,
                  arena_printf(v->arena,
                               "Invalid timestamp type in message %d. Producer should not set "
                               "timestamp type to LogAppendTime.",
                               index));
    }
}

static enum err judge_errors(const struct validation *v)
{
    const struct validate_result *result = v->result;
    if (!result->errors_count)
        return ERR_OK;
    if (v->has_bad_timestamp)
        return err_note(ERR_INVALID_TIMESTAMP,
                        "One or more records have been rejected due to invalid timestamp");
    return err_note(ERR_INVALID_RECORD,
                    "One or more records have been rejected due to %d record errors in total, and "
                    "only showing the first three "
                    "errors at most: %s",
                    result->errors_count, result->errors[0].message);
}

static enum err see_outline(void *context, int32_t index, const struct record_outline *record)
{
    struct validation *v = context;
    bool says_append_time = batch_attributes(v->batch) & BATCH_LOG_APPEND_TIME;
    int64_t timestamp_ms = says_append_time ? batch_max_timestamp(v->batch)
                                            : (int64_t)((uint64_t)batch_base_timestamp(v->batch) +
                                                        (uint64_t)record->timestamp_delta);
    v->has_gaps |= record->offset_delta != index;
    if (timestamp_ms > v->max_timestamp)
        v->max_timestamp = timestamp_ms;
    check_record(v, timestamp_ms, record->has_key, says_append_time);
    return ERR_OK;
}

static enum err walk_batch(struct validation *v, const uint8_t *batch,
                           const struct batch_info *info)
{
    struct stream stream;
    v->batch = batch;
    enum err e = stream_open(
        &stream, (enum codec)(info->attributes & BATCH_CODEC_MASK), info->magic,
        slice_of(batch + BATCH_HEADER_SIZE, (size_t)info->size_bytes - BATCH_HEADER_SIZE));
    if (e)
        return e;
    e = records_outline(&stream, info->record_count, see_outline, v);
    stream_close(&stream);
    return e;
}

/* --- in place --- */

/* The head is changed, and summed anew, only where it is not right already: an untouched batch
 * keeps the producer's checksum. */
static void set_time(const struct validation *v, uint8_t *batch)
{
    bool is_append = v->log_append_time != NO_TIMESTAMP;
    int64_t max_timestamp = is_append ? v->log_append_time : v->max_timestamp;
    bool says_append = batch_attributes(batch) & BATCH_LOG_APPEND_TIME;
    if (says_append == is_append && batch_max_timestamp(batch) == max_timestamp)
        return;
    int attributes = batch_attributes(batch) & (BATCH_CODEC_MASK | BATCH_TRANSACTIONAL |
                                                BATCH_CONTROL | BATCH_DELETE_HORIZON);
    if (is_append)
        attributes |= BATCH_LOG_APPEND_TIME;
    put_be16(batch + BATCH_ATTRIBUTES_AT, (uint16_t)attributes);
    put_be64(batch + 35, (uint64_t)max_timestamp);
    batch_seal(batch);
}

static void assign(const struct validation *v, uint8_t *batch, int64_t base_offset)
{
    batch_set_base_offset(batch, base_offset);
    batch_set_leader_epoch(batch, v->input->leader_epoch);
    set_time(v, batch);
}

/* --- rebuilding --- */

static int level_of(const struct validate_config *config, enum codec codec)
{
    switch (codec) {
    case CODEC_GZIP:
        return config->gzip_level;
    case CODEC_LZ4:
        return config->lz4_level;
    case CODEC_ZSTD:
        return config->zstd_level;
    default:
        return 0;
    }
}

static void add_to_builder(struct validation *v, int64_t timestamp_ms, struct slice key,
                           struct slice value, struct slice headers)
{
    batch_builder_add(&v->builder, v->input->next_offset + v->builder.count, timestamp_ms, key,
                      value, headers);
}

static enum err add_legacy(void *context, const struct legacy_message *message)
{
    struct validation *v = context;
    check_record(v, message->timestamp_ms, !slice_is_null(message->key),
                 message->attributes & BATCH_LOG_APPEND_TIME);
    int64_t timestamp_ms =
        v->log_append_time != NO_TIMESTAMP ? v->log_append_time : message->timestamp_ms;
    add_to_builder(v, timestamp_ms, message->key, message->value, SLICE_NULL);
    return ERR_OK;
}

static enum err add_batch(struct validation *v, const uint8_t *batch)
{
    struct record_reader reader;
    enum err e = record_reader_open(&reader, batch);
    if (e)
        return e;
    struct record record;
    while (!(e = record_reader_next(&reader, &record))) {
        check_record(v, record.timestamp_ms, !slice_is_null(record.key),
                     batch_attributes(batch) & BATCH_LOG_APPEND_TIME);
        int64_t timestamp_ms =
            v->log_append_time != NO_TIMESTAMP ? v->log_append_time : record.timestamp_ms;
        add_to_builder(v, timestamp_ms, record.key, record.value, record.headers);
    }
    record_reader_close(&reader);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err add_all(struct validation *v, const struct shallow *shallow)
{
    const uint8_t *records = v->input->records;
    enum err e = ERR_OK;
    for (size_t at = 0; !e && at < shallow->size;) {
        struct batch_info info;
        e = batch_peek(slice_of(records + at, shallow->size - at), &info);
        if (!e && info.magic < 2)
            e = legacy_message_each(records + at, add_legacy, v);
        else if (!e)
            e = add_batch(v, records + at);
        at += e ? 0 : (size_t)info.size_bytes;
    }
    return e;
}

static struct batch_options options_for(const struct validation *v, const struct shallow *shallow,
                                        enum codec codec)
{
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    options.codec = codec;
    options.level = level_of(v->config, codec);
    options.base_offset = v->input->next_offset;
    options.leader_epoch = v->input->leader_epoch;
    options.log_append_time_ms = v->log_append_time;
    if (shallow->first.magic >= 2) {
        options.producer_id = shallow->first.producer_id;
        options.producer_epoch = shallow->first.producer_epoch;
        options.base_sequence = shallow->first.base_sequence;
        options.is_transactional = shallow->first.attributes & BATCH_TRANSACTIONAL;
        options.is_control = shallow->first.attributes & BATCH_CONTROL;
    }
    return options;
}

static enum err finish_rebuild(struct validation *v, const struct shallow *shallow,
                               enum codec codec)
{
    struct batch_options options = options_for(v, shallow, codec);
    struct buf out = {0};
    enum err e = batch_builder_finish(&v->builder, &options, &out);
    if (!e && out.size > (size_t)v->config->max_message_bytes)
        e = err_note(
            ERR_MESSAGE_TOO_LARGE,
            "Message batch size is %zu bytes which exceeds the maximum configured size of %d",
            out.size, v->config->max_message_bytes);
    if (!e) {
        v->result->records = arena_copy(v->arena, buf_slice(&out));
        v->result->record_count = v->builder.count;
    }
    buf_done(&out);
    return e;
}

static enum err rebuild(struct validation *v, const struct shallow *shallow, enum codec codec)
{
    batch_builder_init(&v->builder, v->input->next_offset);
    v->index = 0;
    v->result->errors_count = 0;
    v->has_bad_timestamp = false;
    enum err e = add_all(v, shallow);
    if (!e)
        e = judge_errors(v);
    if (!e && v->builder.count)
        e = finish_rebuild(v, shallow, codec);
    batch_builder_done(&v->builder);
    return e;
}

/* --- the decision --- */

static enum codec target_codec(const struct validation *v, const struct shallow *shallow)
{
    bool is_control = shallow->first.magic >= 2 && (shallow->first.attributes & BATCH_CONTROL);
    if (v->config->codec == VALIDATE_KEEP_CODEC || is_control)
        return (enum codec)shallow->codec;
    return (enum codec)v->config->codec;
}

/* Batches of format 2 in the codec that is wanted: checked by a walk, then stamped. *ret_has_gaps:
 * a compressed one must be rebuilt. */
static enum err keep_in_place(struct validation *v, const struct shallow *shallow,
                              bool *ret_has_gaps)
{
    uint8_t *records = v->input->records;
    int64_t next = v->input->next_offset;
    *ret_has_gaps = false;
    for (size_t at = 0; at < shallow->size;) {
        struct batch_info info;
        enum err e = batch_peek(slice_of(records + at, shallow->size - at), &info);
        v->max_timestamp = NO_TIMESTAMP;
        if (!e)
            e = walk_batch(v, records + at, &info);
        if (!e)
            e = judge_errors(v);
        if (e)
            return e;
        if (v->has_gaps && info.attributes & BATCH_CODEC_MASK) {
            *ret_has_gaps = true;
            return ERR_OK;
        }
        assign(v, records + at, next);
        next += info.last_offset - info.base_offset + 1;
        v->result->record_count += info.record_count;
        at += (size_t)info.size_bytes;
    }
    v->result->records = slice_of(records, shallow->size);
    return ERR_OK;
}

static enum err check_number(const struct validation *v, const struct shallow *shallow)
{
    bool is_one = shallow->first.magic >= 2 || shallow->codec != CODEC_NONE;
    if (v->input->is_client && is_one && shallow->count != 1)
        return err_note(ERR_INVALID_RECORD, "Compressed outer record has more than one batch");
    return shallow->first.magic >= 2 ? check_whole_batch(v, &shallow->first) : ERR_OK;
}

enum err records_validate(const struct validate_config *config, const struct validate_input *input,
                          struct arena *arena, struct validate_result *ret)
{
    *ret = (struct validate_result){.log_append_time_ms =
                                        config->is_log_append_time ? input->now_ms : NO_TIMESTAMP};
    struct validation v = {.config = config,
                           .input = input,
                           .arena = arena,
                           .result = ret,
                           .log_append_time = ret->log_append_time_ms};
    struct shallow shallow;
    enum err e = input->is_client ? check_version(input) : ERR_OK;
    if (!e)
        e = look_shallowly(&v, &shallow);
    if (e)
        return e;
    ret->records = slice_of(input->records, 0);
    if (shallow.count == 0)
        return ERR_OK;
    e = check_number(&v, &shallow);
    if (e)
        return e;
    enum codec codec = target_codec(&v, &shallow);
    bool must_rebuild =
        shallow.first.magic < 2 || shallow.is_mixed || codec != (enum codec)shallow.codec;
    if (!must_rebuild)
        e = keep_in_place(&v, &shallow, &must_rebuild);
    if (!e && must_rebuild)
        e = rebuild(&v, &shallow, codec);
    return e;
}
