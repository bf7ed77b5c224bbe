/* How long a broker with many partitions takes to open them after a clean stop, and what they cost
 * in memory. bench_log_open [PARTITIONS] [BATCHES] [DIR] Makes PARTITIONS logs with BATCHES small
 * batches each (default 10000 and 1), stops cleanly, opens them again. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/base/crc32c.h"
#include "broker/base/trace.h"
#include "tests/bench/bench_logs.h"

#define PARTITIONS_DEFAULT 10000
#define RECORD_BYTES       10

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double wall_seconds(void)
{
    return (double)clock_mono_us(&clock_system) / 1e6;
}

/* One record without key or headers, in the format that replicas send. */
static size_t make_batch(uint8_t *batch, int64_t offset)
{
    memset(batch, 0, BATCH_HEADER_SIZE + RECORD_BYTES);
    size_t size = BATCH_HEADER_SIZE + RECORD_BYTES;
    put_be64(batch, (uint64_t)offset);
    put_be32(batch + BATCH_LENGTH_AT, (uint32_t)(size - BATCH_PREFIX_SIZE));
    batch[BATCH_MAGIC_AT] = 2;
    memset(batch + 43, 0xff, 14); /* no producer */
    put_be32(batch + 57, 1);
    static const uint8_t record[RECORD_BYTES] = {18, 0, 0, 0, 1, 6, 'a', 'b', 'c', 0};
    memcpy(batch + BATCH_HEADER_SIZE, record, sizeof record);
    put_be32(batch + BATCH_CRC_AT,
             crc32c(0, batch + BATCH_ATTRIBUTES_AT, size - BATCH_ATTRIBUTES_AT));
    return size;
}

static void fill(struct log *log, int batches)
{
    uint8_t batch[BATCH_HEADER_SIZE + RECORD_BYTES];
    struct append_result result;
    for (int i = 0; i < batches; i++)
        bench_check(log_append_follower(log, batch, make_batch(batch, i), &result));
}

int main(int argc, char **argv)
{
    int partitions = argc > 1 ? atoi(argv[1]) : PARTITIONS_DEFAULT,
        batches = argc > 2 ? atoi(argv[2]) : 1;
    char own_dir[] = "/tmp/bench-log-open-XXXXXX";
    const char *dir = argc > 3 ? argv[3] : mkdtemp(own_dir);
    trace_set_level(TRACE_ERROR);

    struct log_manager *manager = bench_logs_start(dir);
    double began = wall_seconds();
    for (int i = 0; i < partitions; i++) {
        struct log *log;
        bench_check(log_manager_create(manager, "bench", i, uuid_random(), &log));
        fill(log, batches);
    }
    printf("create_ms=%.0f\n", (wall_seconds() - began) * 1e3);
    began = wall_seconds();
    log_manager_stop(manager, 1);
    log_manager_free(manager);
    printf("stop_ms=%.0f\n", (wall_seconds() - began) * 1e3);

    size_t heap_before = mallinfo2().uordblks;
    double cpu = cpu_seconds();
    began = wall_seconds();
    manager = bench_logs_start(dir);
    printf("open_ms=%.0f open_cpu_ms=%.0f heap_bytes_per_partition=%zu\n",
           (wall_seconds() - began) * 1e3, (cpu_seconds() - cpu) * 1e3,
           (mallinfo2().uordblks - heap_before) / (size_t)partitions);
    log_manager_stop(manager, 2);
    log_manager_free(manager);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) != 0;
}
