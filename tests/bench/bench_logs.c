/* See bench_logs.h. */
#include "tests/bench/bench_logs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct log_config config = {
    .segment_bytes = 1 << 30,
    .index_bytes = 10 << 20,
    .index_interval_bytes = 4096,
    .max_message_bytes = 1 << 20,
    .segment_ms = INT64_C(7) * 24 * 3600 * 1000,
    .retention_bytes = -1,
    .retention_ms = -1,
    .flush_messages = INT64_MAX,
    .flush_ms = INT64_MAX,
    .file_delete_delay_ms = 60000,
    .timestamp_before_max_ms = INT64_MAX,
    .timestamp_after_max_ms = INT64_MAX,
    .cleanup_policy = CLEANUP_DELETE,
    .compression = COMPRESSION_PRODUCER,
};

void bench_check(enum err e)
{
    if (!e)
        return;
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, err_sentence(e));
    exit(1);
}

struct log_manager *bench_logs_start(const char *dir)
{
    struct log_manager *manager;
    struct log_manager_options options = {
        .dirs = &dir,
        .dirs_count = 1,
        .workers_count = 2,
        .recovery_threads_per_dir = 1,
        .retention_check_interval_ms = 300000,
        .flush_check_interval_ms = INT64_MAX,
        .recovery_point_checkpoint_interval_ms = 60000,
        .start_offset_checkpoint_interval_ms = 60000,
        .initial_task_delay_ms = 300000,
        .producer_id_expiration_ms = 86400000,
        .producer_id_expiration_check_interval_ms = 600000,
        .max_open_files = 1000,
        .max_mapped_indexes = 1000,
        .clock = &clock_system,
        .default_config = config,
    };
    bench_check(log_manager_open(&options, &manager));
    bench_check(log_manager_claim(manager, 1, "bench"));
    bench_check(log_manager_start(manager));
    return manager;
}
