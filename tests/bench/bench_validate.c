/* What checking a batch costs beside its checksum alone, which every broker must pay.
 *
 *     bench_validate [SECONDS]     for each shape and codec: GB/s of the bytes as they came, and of
 *                                  the records within, validated and merely summed */
#include <stdio.h>
#include <time.h>

#include "broker/base/crc32c.h"
#include "broker/record/build.h"
#include "broker/record/validate.h"

#define NOW_MS 1700000000000

struct shape {
    enum codec codec;
    size_t value_bytes;
    int count;
};

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Text that squeezes about as far as logs do. */
static void fill_value(uint8_t *value, size_t size, uint32_t *seed)
{
    static const char *const words[] = {
        "GET ", "/orders/", "status=200 ", "user=", "latency", "=", "POST ", "retry "};
    for (size_t at = 0; at < size;) {
        *seed = *seed * 1664525 + 1013904223;
        char text[32];
        int length = snprintf(text, sizeof text, "%s%u ", words[*seed >> 29], *seed >> 20 & 0xff);
        for (int i = 0; i < length && at < size; i++)
            value[at++] = (uint8_t)text[i];
    }
}

static size_t build(const struct shape *shape, struct buf *out)
{
    static uint8_t value[4096];
    uint32_t seed = 1;
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    options.codec = shape->codec;
    options.level = shape->codec == CODEC_GZIP ? -1 : 3;
    struct batch_builder builder;
    batch_builder_init(&builder, &options, out);
    for (int i = 0; i < shape->count; i++) {
        fill_value(value, shape->value_bytes, &seed);
        batch_builder_add(&builder, i, NOW_MS + i / 4, SLICE_NULL,
                          slice_of(value, shape->value_bytes), SLICE_NULL);
    }
    if (batch_builder_finish(&builder))
        abort();
    batch_builder_done(&builder);
    return shape->value_bytes * (size_t)shape->count;
}

static double rounds_per_second(struct buf *batch, bool is_sum_only, double seconds)
{
    struct validate_config config = {.max_message_bytes = 1 << 20,
                                     .before_max_ms = INT64_MAX,
                                     .after_max_ms = INT64_MAX,
                                     .codec = VALIDATE_KEEP_CODEC};
    struct arena *arena = arena_new();
    double begin = now_seconds(), end = begin;
    long rounds = 0;
    volatile uint32_t sink = 0;
    do {
        for (int i = 0; i < 16; i++, rounds++) {
            if (is_sum_only) {
                sink +=
                    crc32c(0, batch->data + BATCH_ATTRIBUTES_AT, batch->size - BATCH_ATTRIBUTES_AT);
                continue;
            }
            batch_set_base_offset(batch->data, 0);
            struct validate_input input = {.records = batch->data,
                                           .size = batch->size,
                                           .is_client = true,
                                           .api_version = 11,
                                           .next_offset = rounds,
                                           .leader_epoch = 3,
                                           .now_ms = NOW_MS};
            struct validate_result result;
            if (records_validate(&config, &input, arena, &result))
                abort();
        }
        end = now_seconds();
    } while (end - begin < seconds);
    arena_free(arena);
    return (double)rounds / (end - begin);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    double seconds = argc > 1 ? atof(argv[1]) : 0.3;
    printf(
        "codec   value  records  batch bytes   sum only   validated  (of bytes sent)  inflated\n");
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++)
        for (int small = 0; small < 2; small++) {
            struct shape shape = {.codec = (enum codec)codec,
                                  .value_bytes = small ? 100 : 1024,
                                  .count = small ? 600 : 63};
            struct buf batch = {0};
            size_t inside = build(&shape, &batch);
            double sum = rounds_per_second(&batch, true, seconds);
            double all = rounds_per_second(&batch, false, seconds);
            printf("%-7s %5zu  %7d  %11zu  %5.2f GB/s  %5.2f GB/s  %11.2f us  %5.2f GB/s\n",
                   names[codec], shape.value_bytes, shape.count, batch.size,
                   1e-9 * sum * (double)batch.size, 1e-9 * all * (double)batch.size, 1e6 / all,
                   1e-9 * all * (double)inside);
            buf_done(&batch);
        }
    return 0;
}
