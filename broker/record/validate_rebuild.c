/* Writing all records into a fresh batch: for another codec, and for formats 0 and 1. One pass
 * checks and writes, as a stream; once a record has failed, the rest are only checked. */
#include "broker/record/build.h"
#include "broker/record/validate_internal.h"

struct rebuilding {
    struct validation *v;
    struct batch_builder builder;
    struct buf headers;             /* of the present record */
    const struct batch_info *batch; /* whose records are added */
    int32_t index;                  /* of the next record within it */
    bool stops_at_once;             /* at what cannot be written; else when all are checked */
    bool has_impossible_timestamp;
};

static enum err impossible_timestamp(void)
{
    return err_note(ERR_UNKNOWN_SERVER_ERROR, "Invalid negative timestamp");
}

static enum err add(struct rebuilding *r, const struct record_facts *facts, struct slice key,
                    struct slice value, struct slice headers)
{
    /* Format 0 knows no type of timestamp: the bit means nothing there. */
    check_record(r->v, facts, r->batch->magic == 0 ? 0 : r->batch->attributes);
    if (r->v->result->errors_count)
        return ERR_OK;
    if (facts->timestamp_ms < 0 && facts->timestamp_ms != NO_TIMESTAMP) {
        r->has_impossible_timestamp = true;
        return r->stops_at_once ? impossible_timestamp() : ERR_OK;
    }
    batch_builder_add(&r->builder, r->builder.options.base_offset + r->builder.count,
                      facts->timestamp_ms, key, value, headers);
    return ERR_OK;
}

static enum err add_legacy(void *context, const struct legacy_message *message)
{
    struct rebuilding *r = context;
    struct record_facts facts = {.index = r->index++,
                                 .timestamp_ms = message->timestamp_ms,
                                 .has_key = !slice_is_null(message->key),
                                 .is_magic_wrong = message->magic != r->batch->magic};
    return add(r, &facts, message->key, message->value, SLICE_NULL);
}

static enum err add_batch(struct rebuilding *r, const uint8_t *batch)
{
    struct record_reader reader;
    enum err e = record_reader_open(&reader, batch);
    if (e)
        return e;
    struct record record;
    while (!(e = record_reader_next(&reader, &record))) {
        struct record_facts facts = {.index = r->index++,
                                     .timestamp_ms = record.timestamp_ms,
                                     .has_key = !slice_is_null(record.key)};
        r->headers.size = 0;
        record_headers_put(&r->headers, &record);
        e = add(r, &facts, record.key, record.value, buf_slice(&r->headers));
        if (e)
            break;
    }
    record_reader_close(&reader);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err add_all(struct rebuilding *r, const struct shallow *shallow)
{
    const uint8_t *records = r->v->input->records;
    for (size_t at = 0; at < shallow->size;) {
        struct batch_info info;
        enum err e = batch_peek(slice_of(records + at, shallow->size - at), &info);
        if (!e)
            e = check_head(r->v, shallow, &info);
        if (e)
            return e;
        r->batch = &info;
        r->index = 0;
        e = info.magic < 2 ? legacy_message_each(records + at, add_legacy, r)
                           : add_batch(r, records + at);
        if (!e)
            e = judge_errors(r->v);
        if (e)
            return e;
        at += (size_t)info.size_bytes;
    }
    return ERR_OK;
}

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

static struct batch_options options_for(const struct validation *v, const struct shallow *shallow,
                                        enum codec codec)
{
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    options.codec = codec;
    options.level = level_of(v->config, codec);
    options.base_offset = v->input->next_offset;
    options.leader_epoch = v->input->leader_epoch;
    options.log_append_time_ms = v->result->log_append_time_ms;
    options.max_bytes = (size_t)v->config->max_message_bytes;
    if (shallow->first.magic >= 2) {
        options.producer_id = shallow->first.producer_id;
        options.producer_epoch = shallow->first.producer_epoch;
        options.base_sequence = shallow->first.base_sequence;
        options.is_transactional = shallow->first.attributes & BATCH_TRANSACTIONAL;
        options.is_control = shallow->first.attributes & BATCH_CONTROL;
    }
    return options;
}

/* Heads that may be kept, but not written. */
static enum err check_producer(const struct batch_options *options)
{
    bool is_none = options->producer_id == NO_PRODUCER_ID;
    if (options->is_transactional && is_none)
        return err_note(ERR_UNKNOWN_SERVER_ERROR,
                        "Cannot write transactional messages without a valid producer ID");
    if (!is_none && options->producer_epoch == NO_PRODUCER_EPOCH)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "Invalid negative producer epoch");
    if (!is_none && options->base_sequence < 0 && !options->is_control)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "Invalid negative sequence number used");
    return ERR_OK;
}

static enum err finish(struct rebuilding *r, struct buf *out)
{
    if (r->has_impossible_timestamp)
        return impossible_timestamp();
    enum err e = check_producer(&r->builder.options);
    if (!e)
        e = batch_builder_finish(&r->builder);
    if (e)
        return e;
    void *kept = arena_try(r->v->arena, out->size);
    if (!kept)
        return err_note(ERR_NO_MEMORY, "no room for a rebuilt batch of %zu bytes", out->size);
    memcpy(kept, out->data, out->size);
    r->v->result->records = slice_of(kept, out->size);
    r->v->result->record_count = r->builder.count;
    return ERR_OK;
}

enum err rebuild(struct validation *v, const struct shallow *shallow, enum codec codec)
{
    struct buf out = {0};
    struct batch_options options = options_for(v, shallow, codec);
    struct rebuilding r = {.v = v,
                           .stops_at_once = codec == CODEC_NONE && shallow->codec == CODEC_NONE};
    batch_builder_init(&r.builder, &options, &out);
    enum err e = add_all(&r, shallow);
    if (!e)
        e = finish(&r, &out);
    batch_builder_done(&r.builder);
    buf_done(&r.headers);
    buf_done(&out);
    return e;
}
