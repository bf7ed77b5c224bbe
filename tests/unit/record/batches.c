/* See batches.h. */
#include "tests/unit/record/batches.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void begin(struct batch_builder *builder, enum codec codec, struct buf *out)
{
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    options.codec = codec;
    options.level = codec == CODEC_GZIP ? -1 : 1;
    batch_builder_init(builder, &options, out);
}

static void end(struct batch_builder *builder)
{
    if (batch_builder_finish(builder))
        abort();
    batch_builder_done(builder);
}

void put_batch(struct buf *out, enum codec codec, int count)
{
    struct batch_builder builder;
    begin(&builder, codec, out);
    for (int i = 0; i < count; i++) {
        char value[32];
        int size = snprintf(value, sizeof value, "value %d", i);
        batch_builder_add(&builder, i, NOW_MS + i, SLICE_LITERAL("key"),
                          slice_of(value, (size_t)size), SLICE_NULL);
    }
    end(&builder);
}

/* The zeros are pages that nobody wrote to, so they take no memory themselves. */
void put_zeros(struct buf *out, enum codec codec, int count, size_t value_bytes)
{
    void *zeros = mmap(NULL, value_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (zeros == MAP_FAILED)
        abort();
    struct batch_builder builder;
    begin(&builder, codec, out);
    for (int i = 0; i < count; i++)
        batch_builder_add(&builder, i, NOW_MS, SLICE_NULL, slice_of(zeros, value_bytes),
                          SLICE_NULL);
    end(&builder);
    munmap(zeros, value_bytes);
}

struct validate_config plain_config(void)
{
    return (struct validate_config){.max_message_bytes = 1048588,
                                    .before_max_ms = INT64_MAX,
                                    .after_max_ms = INT64_MAX,
                                    .codec = VALIDATE_KEEP_CODEC,
                                    .gzip_level = -1,
                                    .lz4_level = 9,
                                    .zstd_level = 3};
}

struct validate_input input_of(struct buf *records)
{
    return (struct validate_input){.records = records->data,
                                   .size = records->size,
                                   .is_client = true,
                                   .api_version = 11,
                                   .next_offset = 100,
                                   .leader_epoch = 4,
                                   .now_ms = NOW_MS};
}

long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}
