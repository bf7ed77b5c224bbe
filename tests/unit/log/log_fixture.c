/* See log_fixture.h. */
#include "log_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/crc32c.h"
#include "broker/base/trace.h"
#include "broker/base/varint.h"

#define WALL_START_MS INT64_C(1700000000000)

static void be_quiet(enum trace_level level, const char *line, void *context)
{
    (void)level, (void)context;
    if (getenv("LOG_TEST_TRACE"))
        fprintf(stderr, "%s\n", line);
}

static const struct log_config test_config = {
    .segment_bytes = 1 << 20,
    .index_bytes = 1 << 16,
    .index_interval_bytes = 256,
    .max_message_bytes = 1 << 20,
    .segment_ms = INT64_C(7) * 24 * 3600 * 1000,
    .retention_bytes = -1,
    .retention_ms = -1,
    .flush_messages = INT64_MAX,
    .flush_ms = INT64_MAX,
    .file_delete_delay_ms = 1000,
    .timestamp_before_max_ms = INT64_MAX,
    .timestamp_after_max_ms = INT64_MAX,
    .cleanup_policy = CLEANUP_DELETE,
    .timestamp_type = TIMESTAMP_CREATE,
    .compression = COMPRESSION_PRODUCER,
};

static const char *fixture_parent = "/tmp";

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

void fixture_leave_out_the_disk(void)
{
    static struct file_ops quick;
    quick = file_ops_system;
    quick.fsync = quick.fdatasync = quick.syncfs = no_sync;
    file_ops = &quick;
    if (access("/dev/shm", W_OK) == 0)
        fixture_parent = "/dev/shm";
}

static char said[65536];

static void hear(enum trace_level level, const char *line, void *context)
{
    (void)context;
    size_t size = strlen(said);
    if (level == TRACE_WARN || level == TRACE_ERROR)
        snprintf(said + size, sizeof said - size, "%s\n", line);
}

void fixture_listen(void)
{
    said[0] = 0;
    trace_set_sink(hear, NULL);
}

const char *fixture_said(void)
{
    return said;
}

int fixture_said_count(const char *words)
{
    int count = 0;
    for (const char *at = said; (at = strstr(at, words)); at++)
        count++;
    return count;
}

int fixture_setup(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    snprintf(f->dir, sizeof f->dir, "%.40s/stoker-log-XXXXXX", fixture_parent);
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->second_dir, sizeof f->second_dir, "%s-b", f->dir);
    f->dirs_count = 1;
    clock_manual_init(&f->clock, WALL_START_MS);
    f->config = test_config;
    trace_set_sink(be_quiet, NULL);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    if (f->manager)
        fixture_kill(f);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    nftw(f->second_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void give_config(void *context, const char *topic, struct log_config *ret)
{
    (void)topic;
    *ret = ((struct fixture *)context)->config;
}

static void count_failed(void *context, const struct log_dir *dir)
{
    (void)dir;
    ((struct fixture *)context)->dirs_failed++;
}

enum err fixture_try_start(struct fixture *f)
{
    const char *dirs[] = {f->dir, f->second_dir};
    struct log_manager_options options = {
        .dirs = dirs,
        .dirs_count = f->dirs_count,
        .workers_count = 1,
        .recovery_threads_per_dir = 2,
        .broker_id = 1,
        .retention_check_interval_ms = INT64_MAX,
        .flush_check_interval_ms = INT64_MAX,
        .recovery_point_checkpoint_interval_ms = INT64_MAX,
        .start_offset_checkpoint_interval_ms = INT64_MAX,
        .initial_task_delay_ms = INT64_MAX / 4,
        .producer_id_expiration_ms =
            f->producer_id_expiration_ms ? f->producer_id_expiration_ms : INT64_C(1) << 60,
        .producer_id_expiration_check_interval_ms =
            f->producer_id_expiration_ms ? f->producer_id_expiration_ms : INT64_MAX / 4,
        .max_open_files = 100,
        .max_mapped_indexes = 100,
        .clock = &f->clock.clock,
        .default_config = f->config,
        .topic_config = give_config,
        .dir_failed = count_failed,
        .context = f,
    };
    enum err e = log_manager_open(&options, &f->manager);
    if (e)
        return e;
    e = log_manager_claim(f->manager, 1, "test-cluster-id-000000");
    if (!e)
        e = log_manager_start(f->manager);
    if (e) {
        log_manager_free(f->manager);
        f->manager = NULL;
    }
    return e;
}

void fixture_start(struct fixture *f)
{
    assert_err(fixture_try_start(f), ERR_OK);
}

void fixture_stop(struct fixture *f)
{
    log_manager_stop(f->manager, 7);
    log_manager_free(TAKE(f->manager));
}

void fixture_kill(struct fixture *f)
{
    log_manager_free(TAKE(f->manager));
}

void fixture_restart(struct fixture *f)
{
    fixture_stop(f);
    fixture_start(f);
}

void fixture_crash(struct fixture *f)
{
    fixture_kill(f);
    fixture_start(f);
}

struct log *fixture_find(struct fixture *f, const char *topic, int32_t partition)
{
    return log_manager_get(f->manager, topic, partition, NULL);
}

struct log *fixture_log(struct fixture *f, const char *topic, int32_t partition)
{
    struct log *log = fixture_find(f, topic, partition);
    if (!log)
        assert_err(log_manager_create(f->manager, topic, partition, UUID_ZERO, &log), ERR_OK);
    return log;
}

/* --- batches --- */

static void put_varint(struct buf *out, int64_t value)
{
    uint8_t bytes[VARLONG_MAX_BYTES];
    buf_put(out, bytes, varlong_put(bytes, value));
}

static void put_record(struct buf *out, int64_t timestamp_delta, int offset_delta, struct slice key,
                       struct slice value)
{
    struct buf body = {0};
    buf_put_u8(&body, 0);
    put_varint(&body, timestamp_delta);
    put_varint(&body, offset_delta);
    put_varint(&body, slice_is_null(key) ? -1 : (int64_t)key.size);
    buf_put_slice(&body, key);
    put_varint(&body, (int64_t)value.size);
    buf_put_slice(&body, value);
    put_varint(&body, 0);
    put_varint(out, (int64_t)body.size);
    buf_put_slice(out, buf_slice(&body));
    buf_done(&body);
}

/* Fill in what depends on the rest: length and checksum. */
static void seal(struct buf *out, size_t start)
{
    uint8_t *batch = out->data + start;
    size_t size = out->size - start;
    put_be32(batch + BATCH_LENGTH_AT, (uint32_t)(size - BATCH_PREFIX_SIZE));
    put_be32(batch + BATCH_CRC_AT,
             crc32c(0, batch + BATCH_ATTRIBUTES_AT, size - BATCH_ATTRIBUTES_AT));
}

static void put_head(struct buf *out, const struct batch_spec *spec, int records,
                     int16_t attributes, int64_t timestamp)
{
    buf_put_be64(out, (uint64_t)spec->base_offset);
    buf_put_be32(out, 0);
    buf_put_be32(out, (uint32_t)spec->leader_epoch);
    buf_put_u8(out, 2);
    buf_put_be32(out, 0);
    buf_put_be16(out, (uint16_t)attributes);
    buf_put_be32(out, (uint32_t)(records - 1));
    buf_put_be64(out, (uint64_t)timestamp);
    buf_put_be64(out, (uint64_t)(timestamp + records - 1));
    buf_put_be64(out, spec->has_producer ? (uint64_t)spec->producer_id : UINT64_MAX);
    buf_put_be16(out, spec->has_producer ? (uint16_t)spec->producer_epoch : UINT16_MAX);
    buf_put_be32(out, spec->has_producer ? (uint32_t)spec->base_sequence : UINT32_MAX);
    buf_put_be32(out, (uint32_t)records);
}

void batch_make(struct buf *out, const struct batch_spec *spec)
{
    int records = spec->records ? spec->records : 1;
    int value_size = spec->value_size ? spec->value_size : 8;
    size_t start = out->size;
    uint8_t *value = mem_alloc((size_t)value_size);
    memset(value, 'v', (size_t)value_size);
    put_head(out, spec, records, spec->is_transactional ? BATCH_TRANSACTIONAL : 0,
             spec->timestamp ? spec->timestamp : 1000);
    for (int i = 0; i < records; i++)
        put_record(out, i, i, SLICE_LITERAL("k"), slice_of(value, (size_t)value_size));
    free(value);
    seal(out, start);
}

void marker_make(struct buf *out, int64_t producer_id, int16_t producer_epoch,
                 int32_t coordinator_epoch, bool is_abort, int64_t timestamp)
{
    struct batch_spec spec = {.has_producer = true,
                              .producer_id = producer_id,
                              .producer_epoch = producer_epoch,
                              .base_sequence = NO_SEQUENCE};
    uint8_t key[4] = {0, 0, 0, is_abort ? 0 : 1}, value[6] = {0};
    put_be32(value + 2, (uint32_t)coordinator_epoch);
    size_t start = out->size;
    put_head(out, &spec, 1, BATCH_TRANSACTIONAL | BATCH_CONTROL, timestamp);
    put_record(out, 0, 0, slice_of(key, sizeof key), slice_of(value, sizeof value));
    seal(out, start);
}

static enum err append_bytes(struct log *log, struct buf *bytes, int32_t leader_epoch,
                             enum append_origin origin, struct append_result *ret)
{
    struct append_result result;
    struct arena *arena = arena_new();
    enum err e =
        log_append_leader(log, bytes->data, bytes->size, leader_epoch, origin, 9, arena, &result);
    if (!e && ret)
        *ret = result;
    arena_free(arena);
    buf_done(bytes);
    return e;
}

enum err append(struct log *log, const struct batch_spec *spec, struct append_result *ret)
{
    struct buf bytes = {0};
    batch_make(&bytes, spec);
    return append_bytes(log, &bytes, spec->leader_epoch, APPEND_CLIENT, ret);
}

enum err append_marker(struct log *log, int64_t producer_id, int16_t producer_epoch,
                       int32_t coordinator_epoch, bool is_abort)
{
    struct buf bytes = {0};
    marker_make(&bytes, producer_id, producer_epoch, coordinator_epoch, is_abort, 1000);
    return append_bytes(log, &bytes, 0, APPEND_COORDINATOR, NULL);
}

void append_many(struct log *log, int batches, int records, int value_size)
{
    for (int i = 0; i < batches; i++) {
        struct batch_spec spec = {
            .records = records, .value_size = value_size, .timestamp = 1000 + 10 * i};
        assert_err(append(log, &spec, NULL), ERR_OK);
    }
    log_set_high_watermark(log, log_end_offset(log));
}

enum err append_replica(struct log *log, const struct batch_spec *spec)
{
    struct buf bytes = {0};
    struct append_result result;
    batch_make(&bytes, spec);
    enum err e = log_append_follower(log, bytes.data, bytes.size, &result);
    buf_done(&bytes);
    return e;
}

static int64_t check_slice(const struct log_slice *slice, int64_t *next)
{
    uint8_t *bytes = mem_alloc((size_t)slice->size_bytes);
    int64_t records = 0;
    assert_int_equal(
        pread(log_file_fd(slice->file), bytes, (size_t)slice->size_bytes, slice->position),
        slice->size_bytes);
    for (int64_t at = 0; at < slice->size_bytes;) {
        struct batch_info b;
        if (batch_peek(slice_of(bytes + at, (size_t)(slice->size_bytes - at)), &b) ||
            at + b.size_bytes > slice->size_bytes)
            break; /* cut by the limit of bytes */
        assert_true(batch_crc_is_right(bytes + at));
        assert_true(b.last_offset >= *next);
        *next = b.last_offset + 1;
        records += b.record_count;
        at += b.size_bytes;
    }
    free(bytes);
    return records;
}

int64_t check_readable(struct log *log, int64_t offset, int64_t upper_offset)
{
    int64_t records = 0;
    for (;;) {
        struct log_slice slice;
        assert_err(log_read(log, offset, upper_offset, 10000, true, true, &slice), ERR_OK);
        if (!slice.file)
            return records;
        int64_t before = offset;
        records += check_slice(&slice, &offset);
        assert_true(offset > before);
        log_file_unref(slice.file);
    }
}

/* --- files --- */

static void full_path(struct fixture *f, const char *name, char path[static PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", f->dir, name);
}

bool file_exists(struct fixture *f, const char *name)
{
    return file_size(f, name) >= 0;
}

int64_t file_size(struct fixture *f, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    full_path(f, name, path);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

void file_put(struct fixture *f, const char *name, const void *data, size_t size, int64_t position)
{
    char path[PATH_MAX];
    full_path(f, name, path);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, position), size);
    close(fd);
}

void file_append_bytes(struct fixture *f, const char *name, const void *data, size_t size)
{
    file_put(f, name, data, size, file_size(f, name));
}

void file_cut(struct fixture *f, const char *name, int64_t size)
{
    char path[PATH_MAX];
    full_path(f, name, path);
    assert_int_equal(truncate(path, size), 0);
}

void file_remove(struct fixture *f, const char *name)
{
    char path[PATH_MAX];
    full_path(f, name, path);
    assert_int_equal(unlink(path), 0);
}

struct buf file_get(struct fixture *f, const char *name)
{
    struct buf bytes = {0};
    int64_t size = file_size(f, name);
    char path[PATH_MAX];
    full_path(f, name, path);
    assert_true(size >= 0);
    buf_extend(&bytes, (size_t)size + 1);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, bytes.data, (size_t)size, 0), size);
    close(fd);
    bytes.data[size] = 0;
    bytes.size = (size_t)size;
    return bytes;
}
