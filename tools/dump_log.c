/* The .log file: batches, and on request the records within them. */
#include "tools/dump_log.h"

#include <inttypes.h>

#include "broker/record/record.h"
#include "tools/cli.h"

#define MARKER_ABORT  0
#define MARKER_COMMIT 1

static const char *const codec_names[8] = {"none", "gzip", "snappy", "lz4", "zstd"};

static const char *timestamp_type(const struct batch_info *info)
{
    if (info->magic == 0)
        return "NoTimestampType";
    return info->attributes & BATCH_LOG_APPEND_TIME ? "LogAppendTime" : "CreateTime";
}

enum err dump_next_batch(struct slice bytes, struct batch_info *ret)
{
    enum err e = batch_peek(bytes, ret);
    if (e == ERR_AGAIN || (!e && (uint64_t)ret->size_bytes > bytes.size))
        return ERR_NOT_FOUND;
    return e;
}

static void print_batch(struct dump *dump, const uint8_t *batch, const struct batch_info *info,
                        int64_t position)
{
    FILE *out = dump->out;
    const char *codec = codec_names[info->attributes & BATCH_CODEC_MASK];
    if (info->magic >= 2) {
        fprintf(out,
                "baseOffset: %" PRId64 " lastOffset: %" PRId64 " count: %" PRId32
                " baseSequence: %" PRId32 " lastSequence: %" PRId32 " producerId: %" PRId64
                " producerEpoch: %d partitionLeaderEpoch: %" PRId32
                " isTransactional: %s isControl: %s deleteHorizonMs: ",
                info->base_offset, info->last_offset, info->record_count, info->base_sequence,
                batch_last_sequence(batch), info->producer_id, info->producer_epoch,
                info->leader_epoch, batch_is_transactional(batch) ? "true" : "false",
                batch_is_control(batch) ? "true" : "false");
        if (info->attributes & BATCH_DELETE_HORIZON)
            fprintf(out, "OptionalLong[%" PRId64 "]", batch_base_timestamp(batch));
        else
            fprintf(out, "OptionalLong.empty");
    } else {
        fprintf(out, "offset: %" PRId64, info->last_offset);
    }
    uint32_t crc = info->magic >= 2 ? batch_crc(batch) : get_be32(batch + BATCH_PREFIX_SIZE);
    fprintf(out,
            " position: %" PRId64 " %s: %" PRId64 " size: %" PRId64
            " magic: %d compresscodec: %s crc: %" PRIu32 " isvalid: %s\n",
            position, timestamp_type(info), info->max_timestamp, info->size_bytes, info->magic,
            codec ? codec : "unknown", crc, batch_crc_is_right(batch) ? "true" : "false");
}

static json_t *batch_json(const uint8_t *batch, const struct batch_info *info, int64_t position)
{
    const char *codec = codec_names[info->attributes & BATCH_CODEC_MASK];
    json_t *row = json_pack(
        "{s:s,s:I,s:I,s:I,s:I,s:i,s:s,s:s,s:I,s:b}", "kind", "batch", "lastOffset",
        (json_int_t)info->last_offset, "position", (json_int_t)position, "size",
        (json_int_t)info->size_bytes, "timestamp", (json_int_t)info->max_timestamp, "magic",
        info->magic, "timestampType", timestamp_type(info), "codec", codec ? codec : "unknown",
        "crc",
        (json_int_t)(info->magic >= 2 ? batch_crc(batch) : get_be32(batch + BATCH_PREFIX_SIZE)),
        "isValid", batch_crc_is_right(batch));
    if (info->magic < 2)
        return row;
    json_t *more = json_pack(
        "{s:I,s:i,s:i,s:i,s:I,s:i,s:i,s:b,s:b}", "baseOffset", (json_int_t)info->base_offset,
        "count", info->record_count, "baseSequence", info->base_sequence, "lastSequence",
        batch_last_sequence(batch), "producerId", (json_int_t)info->producer_id, "producerEpoch",
        info->producer_epoch, "partitionLeaderEpoch", info->leader_epoch, "isTransactional",
        batch_is_transactional(batch), "isControl", batch_is_control(batch));
    json_object_update(row, more);
    json_decref(more);
    return row;
}

struct record_walk {
    struct dump *dump;
    const char *path;
    const uint8_t *batch;
    const struct batch_info *info;
    int64_t last_offset; /* -1: none yet */
    bool has_gaps;
};

static void note_offset(struct record_walk *walk, int64_t offset)
{
    if (walk->last_offset >= 0 && offset != walk->last_offset + 1) {
        if (!walk->has_gaps)
            buf_printf(&walk->dump->gaps, "Non-consecutive offsets in %s\n", walk->path);
        walk->has_gaps = true;
        buf_printf(&walk->dump->gaps, "  %" PRId64 " is followed by %" PRId64 "\n",
                   walk->last_offset, offset);
    }
    walk->last_offset = offset;
}

/* -1 stands for null. */
static int size_of(struct slice s)
{
    return slice_is_null(s) ? -1 : (int)s.size;
}

static void print_bytes(FILE *out, const char *label, struct slice s)
{
    fputs(label, out);
    if (s.size > 0)
        fwrite(s.data, 1, s.size, out);
}

/* A record without value shows neither key nor value, as the JVM's tool does it. */
static void print_contents(struct dump *dump, struct slice key, struct slice value)
{
    const char *prefix = dump->options.skip_metadata ? "| " : " ";
    if (slice_is_null(value))
        return;
    if (!slice_is_null(key)) {
        fputs(prefix, dump->out);
        print_bytes(dump->out, "key: ", key);
    }
    print_bytes(dump->out, " payload: ", value);
}

static void print_header_keys(FILE *out, const struct record *record)
{
    struct record_header header;
    size_t position = 0;
    bool is_first = true;
    fputs(" headerKeys: [", out);
    while (record_headers_next(record, &position, &header)) {
        print_bytes(out, is_first ? "" : ",", header.key);
        is_first = false;
    }
    fputc(']', out);
}

/* Key: version 2, type 2. Value of an end of a transaction: version 2, coordinator epoch 4. */
static void print_control(FILE *out, const struct record *record)
{
    int16_t type = record->key.size >= 4 ? (int16_t)get_be16(record->key.data + 2) : -1;
    if ((type == MARKER_ABORT || type == MARKER_COMMIT) && record->value.size >= 6)
        fprintf(out, " endTxnMarker: %s coordinatorEpoch: %" PRId32,
                type == MARKER_COMMIT ? "COMMIT" : "ABORT",
                (int32_t)get_be32(record->value.data + 2));
    else
        fprintf(out, " controlType: UNKNOWN(%d)", type);
}

static json_t *headers_json(const struct record *record)
{
    struct record_header header;
    size_t position = 0;
    json_t *headers = json_array();
    while (record_headers_next(record, &position, &header))
        json_array_append_new(headers, json_pack("{s:o,s:o}", "key", cli_json_text(header.key),
                                                 "value", cli_json_text(header.value)));
    return headers;
}

static json_t *record_json(const struct record_walk *walk, const struct record *record)
{
    const struct batch_info *info = walk->info;
    int64_t timestamp =
        info->attributes & BATCH_LOG_APPEND_TIME ? info->max_timestamp : record->timestamp_ms;
    json_t *row = json_pack(
        "{s:s,s:I,s:I,s:i,s:i,s:i}", "kind", "record", "offset", (json_int_t)record->offset,
        "timestamp", (json_int_t)timestamp, "keySize", size_of(record->key), "valueSize",
        size_of(record->value), "sequence",
        info->base_sequence < 0 ? NO_SEQUENCE
                                : sequence_add(info->base_sequence, record->offset_delta));
    if (batch_is_control(walk->batch)) {
        int type = record->key.size >= 4 ? (int16_t)get_be16(record->key.data + 2) : -1;
        json_object_set_new(row, "controlType", json_integer(type));
    } else if (walk->dump->options.print_data) {
        json_object_set_new(row, "key", cli_json_text(record->key));
        json_object_set_new(row, "value", cli_json_text(record->value));
        json_object_set_new(row, "headers", headers_json(record));
    }
    return row;
}

static void print_record(struct record_walk *walk, const struct record *record)
{
    struct dump *dump = walk->dump;
    const struct batch_info *info = walk->info;
    note_offset(walk, record->offset);
    if (dump->options.json) {
        dump_row(dump, record_json(walk, record));
        return;
    }
    if (!dump->options.skip_metadata) {
        int32_t sequence = info->base_sequence < 0
                               ? NO_SEQUENCE
                               : sequence_add(info->base_sequence, record->offset_delta);
        int64_t timestamp =
            info->attributes & BATCH_LOG_APPEND_TIME ? info->max_timestamp : record->timestamp_ms;
        fprintf(dump->out,
                "| offset: %" PRId64 " %s: %" PRId64
                " keySize: %d valueSize: %d sequence: %" PRId32,
                record->offset, timestamp_type(info), timestamp, size_of(record->key),
                size_of(record->value), sequence);
        print_header_keys(dump->out, record);
        if (batch_is_control(walk->batch))
            print_control(dump->out, record);
    }
    if (dump->options.print_data && !batch_is_control(walk->batch))
        print_contents(dump, record->key, record->value);
    fputc('\n', dump->out);
}

static enum err print_legacy(void *context, const struct legacy_message *message)
{
    struct record_walk *walk = context;
    struct dump *dump = walk->dump;
    note_offset(walk, message->offset);
    if (dump->options.json) {
        json_t *row =
            json_pack("{s:s,s:I,s:I,s:i,s:i}", "kind", "record", "offset",
                      (json_int_t)message->offset, "timestamp", (json_int_t)message->timestamp_ms,
                      "keySize", size_of(message->key), "valueSize", size_of(message->value));
        if (dump->options.print_data) {
            json_object_set_new(row, "key", cli_json_text(message->key));
            json_object_set_new(row, "value", cli_json_text(message->value));
        }
        dump_row(dump, row);
        return ERR_OK;
    }
    if (!dump->options.skip_metadata) {
        fprintf(dump->out, "| offset: %" PRId64 " %s: %" PRId64 " keySize: %d valueSize: %d",
                message->offset, timestamp_type(walk->info), message->timestamp_ms,
                size_of(message->key), size_of(message->value));
        /* Only a message that is its own batch has a sum to tell; the brace is the JVM's. */
        if ((walk->info->attributes & BATCH_CODEC_MASK) == CODEC_NONE)
            fprintf(dump->out, " isValid: %s crc: %" PRIu32 "}",
                    batch_crc_is_right(walk->batch) ? "true" : "false",
                    get_be32(walk->batch + BATCH_PREFIX_SIZE));
    }
    if (dump->options.print_data)
        print_contents(dump, message->key, message->value);
    fputc('\n', dump->out);
    return ERR_OK;
}

static enum err each_record(const uint8_t *batch,
                            void (*each)(struct record_walk *walk, const struct record *record),
                            struct record_walk *walk)
{
    struct record_reader reader;
    struct record record;
    enum err e = record_reader_open(&reader, batch);
    if (e)
        return e;
    while (!(e = record_reader_next(&reader, &record)))
        each(walk, &record);
    record_reader_close(&reader);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err print_records(struct record_walk *walk)
{
    if (walk->info->magic < 2)
        return legacy_message_each(walk->batch, print_legacy, walk);
    return each_record(walk->batch, print_record, walk);
}

struct latest {
    struct record_walk walk; /* first: what each_record() hands on */
    int64_t timestamp;
};

static void take_latest(struct record_walk *walk, const struct record *record)
{
    struct latest *latest = (struct latest *)walk;
    if (record->timestamp_ms > latest->timestamp)
        latest->timestamp = record->timestamp_ms;
}

static enum err take_latest_legacy(void *context, const struct legacy_message *message)
{
    struct latest *latest = context;
    if (message->timestamp_ms > latest->timestamp)
        latest->timestamp = message->timestamp_ms;
    return ERR_OK;
}

enum err dump_max_timestamp(const uint8_t *batch, int64_t *ret_timestamp)
{
    struct latest latest = {.timestamp = NO_TIMESTAMP};
    enum err e = ERR_OK;
    if (batch_magic(batch) < 2)
        e = legacy_message_each(batch, take_latest_legacy, &latest);
    else if (batch_attributes(batch) & BATCH_LOG_APPEND_TIME)
        latest.timestamp =
            batch_record_count(batch) > 0 ? batch_max_timestamp(batch) : NO_TIMESTAMP;
    else
        e = each_record(batch, take_latest, &latest.walk);
    if (!e)
        *ret_timestamp = latest.timestamp;
    return e;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum err dump_log(struct dump *dump, const char *path)
{
    struct mapped file;
    struct record_walk walk = {.dump = dump, .path = path, .last_offset = -1};
    int64_t base_offset, position = 0;
    enum err e = dump_base_offset(path, &base_offset);
    if (!e)
        e = mapped_open(path, &file);
    if (e)
        return e;
    if (!dump->options.json)
        fprintf(dump->out, "Log starting offset: %" PRId64 "\n", base_offset);
    bool is_cut = (uint64_t)dump->options.max_bytes < file.bytes.size;
    struct slice rest = file.bytes;
    if (is_cut)
        rest.size = (size_t)dump->options.max_bytes;
    struct batch_info info;
    while (!e && !(e = dump_next_batch(rest, &info))) {
        walk.batch = rest.data;
        walk.info = &info;
        if (dump->options.json)
            dump_row(dump, batch_json(rest.data, &info, position));
        else
            print_batch(dump, rest.data, &info, position);
        if (dump->options.deep)
            e = print_records(&walk);
        position += info.size_bytes;
        rest = slice_of(rest.data + info.size_bytes, rest.size - (size_t)info.size_bytes);
    }
    if (e == ERR_NOT_FOUND)
        e = ERR_OK;
    if (!e && rest.size > 0 && !is_cut && dump->options.json)
        dump_row(dump, json_pack("{s:s,s:I}", "note", "invalid bytes at the end", "size",
                                 (json_int_t)rest.size));
    else if (!e && rest.size > 0 && !is_cut)
        fprintf(dump->out, "Found %zu invalid bytes at the end of %s\n", rest.size, name_of(path));
    mapped_close(&file);
    return err_wrap(e, "%s at position %" PRId64, path, position);
}
