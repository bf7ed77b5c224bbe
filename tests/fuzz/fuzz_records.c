/* Fuzzes what a broker does with the records of a stranger: checking and rewriting them as a leader
 * under many settings, reading what is stored, and converting it for old clients.
 *
 * The input is 8 bytes of settings, then records. With a bit of the settings the first checksum is
 * made right, without which hardly anything would pass the first check. Run it with
 * -max_len=4096 -rss_limit_mb=512.
 *
 * What must hold: nothing crashes, reads beyond its bytes or takes memory without bound; what is
 * accepted from a client is one whole batch, rightly summed, at the offset asked for, within the
 * size limit, and every record in it can be read. */
#include <zlib.h>

#include "broker/record/convert.h"
#include "broker/record/validate.h"

#define SETTINGS_BYTES 8
#define NOW_MS         1700000000000
#define NEXT_OFFSET    4000000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_sum_right(uint8_t *records, size_t size)
{
    struct batch_info info;
    if (batch_peek(slice_of(records, size), &info) || (size_t)info.size_bytes > size)
        return;
    size_t whole = (size_t)info.size_bytes;
    if (info.magic >= 2)
        batch_seal(records);
    else
        put_be32(records + BATCH_PREFIX_SIZE,
                 (uint32_t)crc32(0, records + BATCH_MAGIC_AT, (uInt)(whole - BATCH_MAGIC_AT)));
}

static int32_t count_headers(const struct record *record)
{
    struct record_header header;
    size_t position = 0;
    int32_t count = 0;
    while (record_headers_next(record, &position, &header))
        count++;
    return count;
}

static int32_t count_records(struct slice batch)
{
    struct record_reader reader;
    struct record record;
    int32_t count = 0;
    enum err e = record_reader_open(&reader, batch.data);
    assert(!e);
    while (!(e = record_reader_next(&reader, &record))) {
        assert(count_headers(&record) == record.headers_count);
        count++;
    }
    assert(e == ERR_NOT_FOUND);
    record_reader_close(&reader);
    return count;
}

static void check_accepted(const struct validate_config *config, const struct validate_input *input,
                           const struct validate_result *result)
{
    struct slice stored = result->records;
    struct batch_info info;
    if (stored.size == 0 || !input->is_client)
        return;
    enum err e = batch_peek(stored, &info);
    assert(!e && (size_t)info.size_bytes == stored.size && info.magic == 2);
    assert(batch_crc_is_right(stored.data));
    assert(info.size_bytes <= config->max_message_bytes);
    assert(info.base_offset == input->next_offset && info.leader_epoch == input->leader_epoch);
    assert(info.last_offset == info.base_offset + result->record_count - 1);
    assert(count_records(stored) == result->record_count);
    assert(!(info.attributes & BATCH_LOG_APPEND_TIME) == !config->is_log_append_time);
}

static void convert(struct slice records)
{
    for (int8_t magic = 0; magic < 2; magic++) {
        struct buf out = {0}, again = {0};
        enum err e = records_convert_down(records, magic, NEXT_OFFSET + 1, &out);
        if (!e)
            e = records_convert_down(buf_slice(&out), 0, 0, &again);
        (void)e; /* any error will do */
        buf_done(&out);
        buf_done(&again);
    }
}

static void validate(const uint8_t *settings, uint8_t *records, size_t size)
{
    struct validate_config config = {.max_message_bytes = settings[1] & 1 ? 1 << 20 : 300,
                                     .is_log_append_time = settings[1] & 2,
                                     .is_compacted = settings[1] & 4,
                                     .before_max_ms = settings[1] & 8 ? 1000 : INT64_MAX,
                                     .after_max_ms = settings[1] & 16 ? 1000 : INT64_MAX,
                                     .codec = settings[2] % (CODEC_COUNT + 1) - 1,
                                     .gzip_level = 1,
                                     .lz4_level = settings[3] % 3 + 1,
                                     .zstd_level = 1};
    struct validate_input input = {.records = records,
                                   .size = size,
                                   .is_client = !(settings[5] & 1),
                                   .api_version = settings[4] % 12,
                                   .next_offset = NEXT_OFFSET,
                                   .leader_epoch = 5,
                                   .now_ms = NOW_MS};
    OWNED(arena) struct arena *arena = arena_new();
    struct validate_result result;
    if (records_validate(&config, &input, arena, &result))
        return;
    check_accepted(&config, &input, &result);
    convert(result.records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SETTINGS_BYTES)
        return 0;
    /* A copy of exactly its size, so that the sanitizer sees a read beyond. */
    size_t records_size = size - SETTINGS_BYTES;
    uint8_t *records = malloc(records_size ? records_size : 1);
    memcpy(records, data + SETTINGS_BYTES, records_size);
    if (data[0] & 1)
        make_sum_right(records, records_size);
    if (data[0] & 2)
        convert(slice_of(records, records_size));
    else
        validate(data, records, records_size);
    free(records);
    return 0;
}
