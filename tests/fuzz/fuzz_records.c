/* Fuzzes what a broker does with the records of a stranger: checking them as a leader under several settings, reading them, and
 * converting them for old clients. The first byte chooses the settings; the checksum is made right, so that what lies behind it is reached. */
#include <stdlib.h>

#include "broker/record/convert.h"
#include "broker/record/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LONGEST (1 << 20)

static void make_sum_right(uint8_t *records, size_t size)
{
    struct batch_info info;
    if (!batch_peek(slice_of(records, size), &info) && info.magic == 2 && (size_t)info.size_bytes <= size)
        batch_seal(records);
}

static void convert(struct slice records)
{
    for (int8_t magic = 0; magic <= 1; magic++) {
        struct buf out = {0};
        enum err e = records_convert_down(records, magic, 0, &out);
        (void)e;
        buf_done(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > LONGEST)
        return 0;
    struct validate_config config = {
        .max_message_bytes = LONGEST,
        .is_log_append_time = data[0] & 1,
        .is_compacted = data[0] & 2,
        .before_max_ms = data[0] & 4 ? 1000 : INT64_MAX,
        .after_max_ms = INT64_MAX,
        .codec = (data[0] >> 3) % (CODEC_COUNT + 1) - 1,
        .gzip_level = 1,
        .lz4_level = 1,
        .zstd_level = 1,
    };
    size_t length = size - 1;
    uint8_t *records = malloc(length);
    memcpy(records, data + 1, length);
    make_sum_right(records, length);
    struct validate_input input = {.records = records,
                                   .size = length,
                                   .is_client = !(data[0] & 128),
                                   .api_version = data[0] & 64 ? 2 : 11,
                                   .next_offset = 1000,
                                   .leader_epoch = 3,
                                   .now_ms = 1700000000000};
    struct arena *arena = arena_new();
    struct validate_result result;
    if (!records_validate(&config, &input, arena, &result))
        convert(result.records);
    arena_free(arena);
    free(records);
    return 0;
}
