/* Checks of single records: all failures of a batch are listed before it is refused (KIP-467). */
#include <inttypes.h>

#include "broker/record/validate_internal.h"

static void add_error(struct validation *v, int32_t index, char *message)
{
    struct validate_result *result = v->result;
    if (result->errors_count >= RECORD_ERRORS_MAX)
        return;
    if ((size_t)result->errors_count == v->errors_capacity) {
        size_t capacity = v->errors_capacity ? 2 * v->errors_capacity : 16;
        struct validate_error *errors = arena_new_array(v->arena, struct validate_error, capacity);
        if (result->errors_count)
            memcpy(errors, result->errors, (size_t)result->errors_count * sizeof *errors);
        result->errors = errors;
        v->errors_capacity = capacity;
    }
    result->errors[result->errors_count++] = (struct validate_error){index, message};
}

static bool is_full(const struct validation *v)
{
    return v->result->errors_count >= RECORD_ERRORS_MAX;
}

static void refuse_missing_key(struct validation *v, int32_t index)
{
    static const char sentence[] = "Compacted topic cannot accept message without key";
    const struct validate_input *input = v->input;
    if (!v->no_key_message && input->topic)
        v->no_key_message = arena_printf(v->arena, "%s in topic partition %s-%" PRId32, sentence,
                                         input->topic, input->partition);
    else if (!v->no_key_message)
        v->no_key_message = arena_printf(v->arena, "%s", sentence);
    add_error(v, index, v->no_key_message);
}

/* Limits at the ends of what a number holds wrap, as the JVM's do. */
static int64_t wrapping_sum(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static bool is_out_of_range(const struct validation *v, int64_t timestamp_ms)
{
    int64_t age = (int64_t)((uint64_t)v->input->now_ms - (uint64_t)timestamp_ms);
    int64_t lead = (int64_t)(0 - (uint64_t)age);
    return age > v->config->before_max_ms || lead > v->config->after_max_ms;
}

static void refuse_timestamp(struct validation *v, const struct record_facts *record)
{
    v->has_bad_timestamp = true;
    if (is_full(v))
        return;
    int64_t now = v->input->now_ms;
    int64_t from = (int64_t)((uint64_t)now - (uint64_t)v->config->before_max_ms);
    add_error(v, record->index,
              arena_printf(v->arena,
                           "Timestamp %lld of message with offset %d is out of range. The "
                           "timestamp should be within [%lld, %lld]",
                           (long long)record->timestamp_ms, record->index, (long long)from,
                           (long long)wrapping_sum(now, v->config->after_max_ms)));
}

static void refuse_timestamp_type(struct validation *v, int32_t index)
{
    v->has_bad_timestamp = true;
    if (is_full(v))
        return;
    add_error(v, index,
              arena_printf(v->arena,
                           "Invalid timestamp type in message %d. Producer should not set "
                           "timestamp type to LogAppendTime.",
                           index));
}

bool records_need_checks(const struct validation *v, int16_t batch_attributes)
{
    const struct validate_config *config = v->config;
    return config->is_compacted || batch_attributes & BATCH_LOG_APPEND_TIME ||
           config->before_max_ms != INT64_MAX || config->after_max_ms != INT64_MAX;
}

void check_record(struct validation *v, const struct record_facts *record, int16_t batch_attributes)
{
    if (record->is_magic_wrong)
        add_error(v, record->index,
                  arena_printf(v->arena, "Record %d is of another format than its wrapper",
                               record->index));
    else if (v->config->is_compacted && !record->has_key)
        refuse_missing_key(v, record->index);
    else if (!v->config->is_log_append_time && record->timestamp_ms != NO_TIMESTAMP) {
        if (is_out_of_range(v, record->timestamp_ms))
            refuse_timestamp(v, record);
    } else if (batch_attributes & BATCH_LOG_APPEND_TIME)
        refuse_timestamp_type(v, record->index);
}

enum err judge_errors(struct validation *v)
{
    const struct validate_result *result = v->result;
    if (!result->errors_count)
        return ERR_OK;
    v->is_judged = true;
    if (v->has_bad_timestamp)
        return err_note(ERR_INVALID_TIMESTAMP,
                        "One or more records have been rejected due to invalid timestamp");
    return err_note(ERR_INVALID_RECORD,
                    "One or more records have been rejected due to %d record errors in total, the "
                    "first being: %s",
                    result->errors_count, result->errors[0].message);
}
