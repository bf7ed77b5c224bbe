/* The decision: what may stay as it came is walked and stamped in place, the rest is rebuilt. */
#include "broker/record/validate_internal.h"

#define OUTLINES 256 /* records looked at in one go */

struct walk_facts {
    int64_t max_timestamp;
    bool has_gaps; /* inner offsets are not 0, 1, 2 … */
};

/* --- the records of a batch of format 2 --- */

static int64_t timestamp_of(const uint8_t *batch, const struct record_outline *record)
{
    if (batch_attributes(batch) & BATCH_LOG_APPEND_TIME)
        return batch_max_timestamp(batch);
    return (int64_t)((uint64_t)batch_base_timestamp(batch) + (uint64_t)record->timestamp_delta);
}

static void look_at(const uint8_t *batch, const struct record_outline *records, size_t count,
                    int64_t first_index, struct walk_facts *facts)
{
    uint64_t base = (uint64_t)batch_base_timestamp(batch);
    /* Wraps, as does the sum it is compared with, where a coordinator's base offset is absurd. */
    uint64_t expected = (uint64_t)first_index - (uint64_t)batch_base_offset(batch);
    for (size_t i = 0; i < count; i++) {
        int64_t timestamp_ms = (int64_t)(base + (uint64_t)records[i].timestamp_delta);
        if (timestamp_ms > facts->max_timestamp)
            facts->max_timestamp = timestamp_ms;
        facts->has_gaps |= (uint64_t)records[i].offset_delta != expected++;
    }
}

static void check_all(struct validation *v, const uint8_t *batch,
                      const struct record_outline *records, size_t count, int32_t first_index)
{
    for (size_t i = 0; i < count; i++) {
        struct record_facts facts = {.index = first_index + (int32_t)i,
                                     .timestamp_ms = timestamp_of(batch, &records[i]),
                                     .has_key = records[i].has_key};
        check_record(v, &facts, batch_attributes(batch));
    }
}

static enum err walk_stream(struct validation *v, const uint8_t *batch, struct stream *stream,
                            struct walk_facts *facts)
{
    struct record_outline records[OUTLINES];
    struct outline_walk walk = {.stream = stream, .left_count = batch_record_count(batch)};
    bool needs_checks = records_need_checks(v, batch_attributes(batch));
    int32_t index = 0;
    for (;;) {
        size_t count = 0;
        enum err e = outline_walk_next(&walk, records, OUTLINES, &count);
        if (e || count == 0)
            return e;
        look_at(batch, records, count, index, facts);
        if (needs_checks)
            check_all(v, batch, records, count, index);
        index += (int32_t)count;
    }
}

static enum err walk_batch(struct validation *v, const uint8_t *batch, struct walk_facts *facts)
{
    if (batch_record_count(batch) < 0) /* of a coordinator: a client's was refused by its head */
        return err_note(ERR_INVALID_RECORD, "a record count of %d", batch_record_count(batch));
    struct stream stream;
    enum err e = stream_open(
        &stream, (enum codec)batch_codec(batch), batch_magic(batch),
        slice_of(batch + BATCH_HEADER_SIZE, (size_t)batch_size(batch) - BATCH_HEADER_SIZE));
    if (e)
        return e;
    *facts = (struct walk_facts){.max_timestamp = NO_TIMESTAMP};
    e = walk_stream(v, batch, &stream, facts);
    if (batch_attributes(batch) & BATCH_LOG_APPEND_TIME &&
        batch_max_timestamp(batch) > NO_TIMESTAMP)
        facts->max_timestamp = batch_max_timestamp(batch);
    stream_close(&stream);
    return e;
}

/* --- in place --- */

/* The head is changed, and summed anew, only where it is not right already: an untouched batch
 * keeps the producer's checksum, so that damage on our way cannot hide behind a new one. */
static void set_time(const struct validation *v, uint8_t *batch, int64_t max_timestamp)
{
    bool is_append = v->config->is_log_append_time;
    bool says_append = batch_attributes(batch) & BATCH_LOG_APPEND_TIME;
    if (is_append)
        max_timestamp = v->input->now_ms;
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

/* The last record gets the last of as many offsets as there are records. */
static void assign(const struct validation *v, uint8_t *batch, const struct walk_facts *facts)
{
    int64_t last = v->input->next_offset + batch_record_count(batch) - 1;
    batch_set_base_offset(batch, last - batch_last_offset_delta(batch));
    batch_set_leader_epoch(batch, v->input->leader_epoch);
    set_time(v, batch, facts->max_timestamp);
}

static enum err keep_in_place(struct validation *v, const struct shallow *shallow)
{
    uint8_t *batch = v->input->records;
    struct walk_facts facts;
    enum err e = check_head(v, shallow, &shallow->first);
    if (!e)
        e = walk_batch(v, batch, &facts);
    if (!e)
        e = judge_errors(v);
    /* The JVM means to rebuild such a batch, but has skipped over the contents it would need. */
    if (!e && facts.has_gaps && batch_codec(batch) != CODEC_NONE)
        e = err_note(ERR_UNKNOWN_SERVER_ERROR,
                     "the offsets within a compressed batch are not 0, 1, 2 and so on");
    if (e)
        return e;
    assign(v, batch, &facts);
    v->result->records = slice_of(batch, shallow->size);
    v->result->record_count = shallow->first.record_count;
    return ERR_OK;
}

/* --- the decision --- */

static enum codec target_codec(const struct validation *v, const struct shallow *shallow)
{
    bool is_plain_control = shallow->first.magic >= 2 && shallow->codec == CODEC_NONE &&
                            (shallow->first.attributes & BATCH_CONTROL);
    if (v->config->codec == VALIDATE_KEEP_CODEC || is_plain_control)
        return shallow->codec;
    return (enum codec)v->config->codec;
}

static enum err validate(struct validation *v)
{
    struct shallow shallow;
    enum err e = v->input->is_client ? check_version(v->input) : ERR_OK;
    if (!e)
        e = look_shallowly(v, &shallow);
    if (e || shallow.count == 0)
        return e;
    e = check_number(&shallow);
    if (e)
        return e;
    enum codec codec = target_codec(v, &shallow);
    bool stays = shallow.first.magic >= 2 && codec == shallow.codec;
    return stays ? keep_in_place(v, &shallow) : rebuild(v, &shallow, codec);
}

enum err records_validate(const struct validate_config *config, const struct validate_input *input,
                          struct arena *arena, struct validate_result *ret)
{
    *ret = (struct validate_result){.log_append_time_ms =
                                        config->is_log_append_time ? input->now_ms : NO_TIMESTAMP,
                                    .records = slice_of(input->records, 0)};
    struct validation v = {.config = config, .input = input, .arena = arena, .result = ret};
    enum err e = validate(&v);
    if (!v.is_judged)
        ret->errors_count = 0;
    return e;
}
