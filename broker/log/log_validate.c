/* See log_validate.h. */
#include "broker/log/log_validate.h"

#include "broker/base/arena.h"
#include "broker/record/validate.h"

static struct validate_config rules_of(const struct log_config *config)
{
    return (struct validate_config){
        .max_message_bytes = config->max_message_bytes,
        .is_log_append_time = config->timestamp_type == TIMESTAMP_LOG_APPEND,
        .is_compacted = config->cleanup_policy & CLEANUP_COMPACT,
        .before_max_ms = config->timestamp_before_max_ms,
        .after_max_ms = config->timestamp_after_max_ms,
        .codec =
            config->compression == COMPRESSION_PRODUCER ? VALIDATE_KEEP_CODEC : config->compression,
        .gzip_level = config->gzip_level,
        .lz4_level = config->lz4_level,
        .zstd_level = config->zstd_level,
    };
}

static void take_record_errors(const struct validate_result *checked, struct arena *arena,
                               struct append_result *ret)
{
    ret->record_errors = arena_new_array(arena, struct record_error, checked->errors_count);
    ret->record_errors_count = checked->errors_count;
    for (int32_t i = 0; i < checked->errors_count; i++)
        ret->record_errors[i] = (struct record_error){.batch_index = checked->errors[i].batch_index,
                                                      .message = checked->errors[i].message};
}

enum err log_validate(struct log *log, uint8_t *records, size_t size, int32_t leader_epoch,
                      enum append_origin origin, int16_t api_version, struct arena *arena,
                      struct slice *ret_records, struct append_result *ret)
{
    struct validate_config rules = rules_of(&log->config);
    struct validate_input input = {
        .records = records,
        .size = size,
        .is_client = origin == APPEND_CLIENT,
        .api_version = api_version,
        .next_offset = log_end_offset(log),
        .leader_epoch = leader_epoch,
        .now_ms = log_now_ms(log),
        .topic = log->topic,
        .partition = log->partition,
    };
    struct validate_result checked = {.log_append_time_ms = NO_TIMESTAMP};
    enum err e = records_validate(&rules, &input, arena, &checked);
    if (checked.errors_count > 0)
        take_record_errors(&checked, arena, ret);
    if (e)
        return e;
    *ret_records = checked.records;
    ret->log_append_time_ms = checked.log_append_time_ms;
    ret->record_count = checked.record_count;
    return ERR_OK;
}
