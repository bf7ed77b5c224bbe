/* What a partition keeps beside its records: aborted transactions, producers, leader epochs. */
#include <inttypes.h>

#include "broker/base/crc32c.h"
#include "broker/log/checkpoint_file.h"
#include "tools/dump_log.h"

#define TXN_ENTRY_SIZE      34
#define SNAPSHOT_HEAD_SIZE  10
#define SNAPSHOT_ENTRY_SIZE 46

enum err dump_txn_index(struct dump *dump, const char *path)
{
    struct mapped file;
    enum err e = mapped_open(path, &file);
    if (e)
        return e;
    size_t at = 0;
    for (; !e && at + TXN_ENTRY_SIZE <= file.bytes.size; at += TXN_ENTRY_SIZE) {
        const uint8_t *b = file.bytes.data + at;
        if (get_be16(b) != 0) {
            e = err_note(ERR_MALFORMED, "%s: an entry of the unknown version %d", path,
                         (int16_t)get_be16(b));
            break;
        }
        if (dump->options.json)
            dump_row(dump, json_pack("{s:I,s:I,s:I,s:I}", "producerId", (json_int_t)get_be64(b + 2),
                                     "firstOffset", (json_int_t)get_be64(b + 10), "lastOffset",
                                     (json_int_t)get_be64(b + 18), "lastStableOffset",
                                     (json_int_t)get_be64(b + 26)));
        else
            fprintf(dump->out,
                    "version: 0 producerId: %" PRId64 " firstOffset: %" PRId64
                    " lastOffset: %" PRId64 " lastStableOffset: %" PRId64 "\n",
                    (int64_t)get_be64(b + 2), (int64_t)get_be64(b + 10), (int64_t)get_be64(b + 18),
                    (int64_t)get_be64(b + 26));
    }
    if (!e && at < file.bytes.size)
        e = err_note(ERR_MALFORMED, "%s ends within an entry", path);
    mapped_close(&file);
    return e;
}

static enum err check_snapshot(const char *path, struct slice s)
{
    if (s.size < SNAPSHOT_HEAD_SIZE)
        return err_note(ERR_MALFORMED, "Snapshot file '%s' is corrupt: it is too short", path);
    if (get_be16(s.data) != 1)
        return err_note(ERR_MALFORMED, "Snapshot contained an unknown file version %d",
                        (int16_t)get_be16(s.data));
    uint32_t crc = crc32c(0, s.data + 6, s.size - 6);
    if (get_be32(s.data + 2) != crc)
        return err_note(ERR_MALFORMED,
                        "Snapshot is corrupt (CRC is no longer valid). Stored crc: %" PRIu32
                        ". Computed crc: %" PRIu32,
                        get_be32(s.data + 2), crc);
    uint32_t count = get_be32(s.data + 6);
    if ((s.size - SNAPSHOT_HEAD_SIZE) / SNAPSHOT_ENTRY_SIZE < count)
        return err_note(ERR_MALFORMED, "%s ends before its %" PRIu32 " entries", path, count);
    return ERR_OK;
}

/* Sequence numbers wrap below 0 to INT32_MAX. */
static int32_t first_sequence(int32_t last_sequence, int32_t delta)
{
    int64_t first = (int64_t)last_sequence - delta;
    return (int32_t)(first < 0 && delta > 0 ? first + INT32_MAX + 1 : first);
}

struct producer {
    int64_t id, last_offset, timestamp, txn_first_offset; /* offsets: -1 for none */
    int32_t last_sequence, offset_delta, coordinator_epoch;
    int16_t epoch;
};

static struct producer read_producer(const uint8_t *b)
{
    return (struct producer){
        .id = (int64_t)get_be64(b),
        .epoch = (int16_t)get_be16(b + 8),
        .last_sequence = (int32_t)get_be32(b + 10),
        .last_offset = (int64_t)get_be64(b + 14),
        .offset_delta = (int32_t)get_be32(b + 22),
        .timestamp = (int64_t)get_be64(b + 26),
        .coordinator_epoch = (int32_t)get_be32(b + 34),
        .txn_first_offset = (int64_t)get_be64(b + 38),
    };
}

static void print_producer(FILE *out, const struct producer *p)
{
    fprintf(out,
            "producerId: %" PRId64 " producerEpoch: %d coordinatorEpoch: %" PRId32
            " currentTxnFirstOffset: ",
            p->id, p->epoch, p->coordinator_epoch);
    if (p->txn_first_offset >= 0)
        fprintf(out, "OptionalLong[%" PRId64 "]", p->txn_first_offset);
    else
        fprintf(out, "OptionalLong.empty");
    fprintf(out, " lastTimestamp: %" PRId64 " ", p->timestamp);
    if (p->last_offset >= 0)
        fprintf(out,
                "firstSequence: %" PRId32 " lastSequence: %" PRId32 " lastOffset: %" PRId64
                " offsetDelta: %" PRId32 " timestamp: %" PRId64,
                first_sequence(p->last_sequence, p->offset_delta), p->last_sequence, p->last_offset,
                p->offset_delta, p->timestamp);
    fputc('\n', out);
}

static json_t *offset_json(int64_t offset)
{
    return offset >= 0 ? json_integer(offset) : json_null();
}

static json_t *producer_json(const struct producer *p)
{
    json_t *row =
        json_pack("{s:I,s:i,s:i,s:o,s:I,s:o}", "producerId", (json_int_t)p->id, "producerEpoch",
                  p->epoch, "coordinatorEpoch", p->coordinator_epoch, "currentTxnFirstOffset",
                  offset_json(p->txn_first_offset), "lastTimestamp", (json_int_t)p->timestamp,
                  "lastOffset", offset_json(p->last_offset));
    if (p->last_offset >= 0) {
        json_object_set_new(row, "firstSequence",
                            json_integer(first_sequence(p->last_sequence, p->offset_delta)));
        json_object_set_new(row, "lastSequence", json_integer(p->last_sequence));
        json_object_set_new(row, "offsetDelta", json_integer(p->offset_delta));
    }
    return row;
}

enum err dump_snapshot(struct dump *dump, const char *path)
{
    struct mapped file;
    enum err e = mapped_open(path, &file);
    if (e)
        return e;
    e = check_snapshot(path, file.bytes);
    uint32_t count = e ? 0 : get_be32(file.bytes.data + 6);
    for (uint32_t i = 0; i < count; i++) {
        struct producer producer =
            read_producer(file.bytes.data + SNAPSHOT_HEAD_SIZE + i * SNAPSHOT_ENTRY_SIZE);
        if (dump->options.json)
            dump_row(dump, producer_json(&producer));
        else
            print_producer(dump->out, &producer);
    }
    mapped_close(&file);
    return e;
}

static enum err print_epoch(void *context, int32_t epoch, int64_t start_offset)
{
    struct dump *dump = context;
    if (dump->options.json)
        dump_row(dump, json_pack("{s:i,s:I}", "leaderEpoch", epoch, "startOffset",
                                 (json_int_t)start_offset));
    else
        fprintf(dump->out, "leaderEpoch: %" PRId32 " startOffset: %" PRId64 "\n", epoch,
                start_offset);
    return ERR_OK;
}

enum err dump_epochs(struct dump *dump, const char *path)
{
    struct mapped file;
    enum err e = mapped_open(path, &file);
    if (e)
        return e;
    e = checkpoint_read_epochs(file.bytes, print_epoch, dump);
    mapped_close(&file);
    return err_wrap(e, "%s", path);
}
