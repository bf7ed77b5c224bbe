/* See answers.h. */
#include "tests/unit/record/answers.h"

#include <stdio.h>

#define DEFAULT_LZ4_LEVEL  9
#define DEFAULT_ZSTD_LEVEL 3

void source_open(struct source *source, const char *path)
{
    *source = (struct source){0};
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        abort();
    }
    for (size_t got = 1; got;) {
        buf_reserve(&source->bytes, 1 << 16);
        got = fread(source->bytes.data + source->bytes.size, 1, 1 << 16, file);
        source->bytes.size += got;
    }
    fclose(file);
}

void source_close(struct source *source)
{
    buf_done(&source->bytes);
}

struct slice source_take_bytes(struct source *source, size_t size)
{
    if (size > source->bytes.size - source->at)
        abort();
    struct slice taken = slice_of(source->bytes.data + source->at, size);
    source->at += size;
    return taken;
}

int64_t source_take(struct source *source, int size_bytes)
{
    const uint8_t *p = source_take_bytes(source, (size_t)size_bytes).data;
    switch (size_bytes) {
    case 1:
        return (int8_t)*p;
    case 2:
        return (int16_t)get_be16(p);
    case 4:
        return (int32_t)get_be32(p);
    default:
        return (int64_t)get_be64(p);
    }
}

void validate_case_read(struct source *source, struct validate_case *ret)
{
    *ret = (struct validate_case){0};
    struct validate_config *config = &ret->config;
    struct validate_input *input = &ret->input;
    input->api_version = (int16_t)source_take(source, 2);
    input->is_client = source_take(source, 1) == 0;
    config->max_message_bytes = (int32_t)source_take(source, 4);
    config->is_log_append_time = source_take(source, 1);
    config->is_compacted = source_take(source, 1);
    config->before_max_ms = source_take(source, 8);
    config->after_max_ms = source_take(source, 8);
    config->codec = (int)source_take(source, 1);
    int level = (int)source_take(source, 4);
    config->gzip_level = level ? level : -1;
    config->lz4_level = level ? level : DEFAULT_LZ4_LEVEL;
    config->zstd_level = level ? level : DEFAULT_ZSTD_LEVEL;
    input->next_offset = source_take(source, 8);
    input->leader_epoch = (int32_t)source_take(source, 4);
    input->now_ms = source_take(source, 8);
    input->size = (size_t)source_take(source, 4);
    struct slice records = source_take_bytes(source, input->size);
    /* Not a byte more than there is, so that the sanitizer sees a read beyond. */
    input->records = malloc(input->size ? input->size : 1);
    if (input->size)
        memcpy(input->records, records.data, records.size);
}

void validate_case_done(struct validate_case *c)
{
    free(c->input.records);
}

void validate_answer_read(struct source *source, struct validate_answer *ret)
{
    *ret = (struct validate_answer){.code = (int16_t)source_take(source, 2),
                                    .errors_count = (int32_t)source_take(source, 4)};
    if (ret->errors_count > (int32_t)ARRAY_SIZE(ret->indexes))
        abort();
    for (int32_t i = 0; i < ret->errors_count; i++) {
        ret->indexes[i] = (int32_t)source_take(source, 4);
        size_t size = (size_t)source_take(source, 2);
        ret->messages[i] = source_take_bytes(source, size);
    }
    size_t size = (size_t)source_take(source, 4);
    ret->stored = source_take_bytes(source, size);
    ret->log_append_time_ms = source_take(source, 8);
    ret->max_timestamp = source_take(source, 8);
}
