/* What it costs to make the logs of a new topic: directory, first segment, topic id, and the first
 * leader epoch, as a LeaderAndIsr for partitions that are new asks for. A second epoch follows, as
 * after an election, and then one append to each. bench_log_create [PARTITIONS] [THREADS] [DIR]
 *
 * One line a step: wall time, processor time, and how often the system was asked to wait for the
 * disk. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/base/crc32c.h"
#include "broker/base/trace.h"
#include "broker/log/file_ops.h"
#include "tests/bench/bench_logs.h"

#define PARTITIONS_DEFAULT 1000
#define THREADS_MAX        16
#define RECORD_BYTES       10

static struct file_ops counting;
static _Atomic int syncs, opens;

static int counting_fsync(int fd)
{
    syncs++;
    return file_ops_system.fsync(fd);
}

static int counting_fdatasync(int fd)
{
    syncs++;
    return file_ops_system.fdatasync(fd);
}

static int counting_open(int dir_fd, const char *path, int flags, mode_t mode)
{
    opens++;
    return file_ops_system.open(dir_fd, path, flags, mode);
}

static void count_calls(void)
{
    counting = file_ops_system;
    counting.open = counting_open;
    counting.fsync = counting_fsync;
    counting.fdatasync = counting_fdatasync;
    file_ops = &counting;
}

struct bench {
    struct log_manager *manager;
    struct log **logs;
    int partitions, threads;
    void (*step)(struct bench *bench, int partition);
    _Atomic int next;
};

static void create(struct bench *bench, int partition)
{
    bench_check(log_manager_create(bench->manager, "bench", partition, uuid_random(),
                                   &bench->logs[partition]));
}

static void assign_first_epoch(struct bench *bench, int partition)
{
    bench_check(log_assign_epoch(bench->logs[partition], 0, 0));
}

static void assign_second_epoch(struct bench *bench, int partition)
{
    struct log *log = bench->logs[partition];
    bench_check(log_assign_epoch(log, 1, log_end_offset(log)));
}

/* One record without key or headers, in the format that replicas send. */
static void append_one(struct bench *bench, int partition)
{
    static const uint8_t record[RECORD_BYTES] = {18, 0, 0, 0, 1, 6, 'a', 'b', 'c', 0};
    uint8_t batch[BATCH_HEADER_SIZE + RECORD_BYTES] = {0};
    struct append_result result;
    size_t size = sizeof batch;
    put_be32(batch + BATCH_LENGTH_AT, (uint32_t)(size - BATCH_PREFIX_SIZE));
    batch[BATCH_MAGIC_AT] = 2;
    put_be32(batch + 12, 1);
    memset(batch + 43, 0xff, 14); /* no producer */
    put_be32(batch + 57, 1);
    memcpy(batch + BATCH_HEADER_SIZE, record, sizeof record);
    put_be32(batch + BATCH_CRC_AT,
             crc32c(0, batch + BATCH_ATTRIBUTES_AT, size - BATCH_ATTRIBUTES_AT));
    bench_check(log_append_follower(bench->logs[partition], batch, size, &result));
}

static void *run_share(void *context)
{
    struct bench *bench = context;
    int partition;
    while ((partition = bench->next++) < bench->partitions)
        bench->step(bench, partition);
    return NULL;
}

static double cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static void measure(struct bench *bench, const char *name,
                    void (*step)(struct bench *bench, int partition))
{
    pthread_t threads[THREADS_MAX];
    double cpu = cpu_ms();
    int64_t began = clock_mono_us(&clock_system);
    bench->step = step;
    bench->next = syncs = opens = 0;
    for (int i = 1; i < bench->threads; i++)
        pthread_create(&threads[i], NULL, run_share, bench);
    run_share(bench);
    for (int i = 1; i < bench->threads; i++)
        pthread_join(threads[i], NULL);
    printf("step=%s partitions=%d threads=%d wall_ms=%.1f cpu_ms=%.1f opens=%d syncs=%d\n", name,
           bench->partitions, bench->threads, (double)(clock_mono_us(&clock_system) - began) / 1e3,
           cpu_ms() - cpu, opens, syncs);
}

int main(int argc, char **argv)
{
    char own_dir[] = "/tmp/bench-log-create-XXXXXX";
    struct bench bench = {.partitions = argc > 1 ? atoi(argv[1]) : PARTITIONS_DEFAULT,
                          .threads = argc > 2 ? atoi(argv[2]) : 1};
    const char *dir = argc > 3 ? argv[3] : mkdtemp(own_dir);
    if (bench.partitions < 1 || bench.threads < 1 || bench.threads > THREADS_MAX) {
        fprintf(stderr, "usage: bench_log_create [PARTITIONS] [THREADS, to %d] [DIR]\n",
                THREADS_MAX);
        return 2;
    }
    trace_set_level(TRACE_ERROR);
    count_calls();
    bench.logs = mem_new_array(struct log *, (size_t)bench.partitions);
    bench.manager = bench_logs_start(dir);
    measure(&bench, "create", create);
    measure(&bench, "first-epoch", assign_first_epoch);
    measure(&bench, "second-epoch", assign_second_epoch);
    measure(&bench, "append", append_one);
    int64_t began = clock_mono_us(&clock_system);
    log_manager_stop(bench.manager, 1);
    log_manager_free(bench.manager);
    printf("step=stop wall_ms=%.1f\n", (double)(clock_mono_us(&clock_system) - began) / 1e3);
    free(bench.logs);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) != 0;
}
