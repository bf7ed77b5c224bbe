/* Fuzzes the opening of a log directory: segments, indexes, snapshots of producers, transaction
 * indexes, checkpoints and the small files beside them, after an orderly stop or a crash.
 *
 * A directory is written once, and for every input a copy of it is damaged. The input is a byte of
 * settings, then edits: which file, what is done to it, where, and with how many bytes, which
 * follow. Run it with -len_control=0.
 *
 * What must hold: nothing crashes, reads beyond its bytes or spins; what opens can be read,
 * searched, written to, cut, and opened again. */
#include "tests/unit/log/log_fixture.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/base/crc32c.h"
#include "broker/log/file_ops.h"

#define FILES_MAX 64
#define EDITS_MAX 8
#define READS_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    char name[256]; /* below the directory */
    struct buf bytes;
} files[FILES_MAX];
static size_t files_count;

static void set_small(struct fixture *f)
{
    f->config.segment_bytes = 700;
    f->config.index_interval_bytes = 100;
}

static void keep_files(struct fixture *f, const char *below)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", f->dir, below);
    DIR *dir = opendir(path);
    struct dirent *entry;
    while ((entry = readdir(dir)) && files_count < FILES_MAX) {
        char name[256];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strcmp(entry->d_name, ".lock") == 0)
            continue;
        snprintf(name, sizeof name, "%.60s%s%.120s", below, *below ? "/" : "", entry->d_name);
        if (entry->d_type == DT_DIR) {
            keep_files(f, name);
            continue;
        }
        memcpy(files[files_count].name, name, sizeof name);
        files[files_count++].bytes = file_get(f, name);
    }
    closedir(dir);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b); /* the name is a file's first field */
}

static void make_files(void)
{
    void *state;
    fixture_setup(&state);
    struct fixture *f = state;
    set_small(f);
    fixture_start(f);
    struct log *log = fixture_log(f, "orders", 0);
    append_many(log, 6, 3, 50);
    for (int32_t i = 0; i < 4; i++) {
        struct batch_spec spec = {.has_producer = true,
                                  .is_transactional = true,
                                  .producer_id = 7 + i % 2,
                                  .records = 2,
                                  .base_sequence = i / 2 * 2,
                                  .leader_epoch = i};
        assert_err(append(log, &spec, NULL), ERR_OK);
    }
    assert_err(append_marker(log, 7, 0, 0, true), ERR_OK);
    append_many(log, 4, 3, 50);
    assert_err(append_marker(log, 8, 0, 0, true), ERR_OK);
    append_many(log, 2, 1, 50);
    assert_err(log_raise_start(log, 3, log_end_offset(log)), ERR_OK);
    fixture_stop(f);
    keep_files(f, "");
    /* An input names files by number, and must mean the same on any file system. */
    qsort(files, files_count, sizeof *files, compare_names);
    fixture_teardown(&state);
}

static void put_files(struct fixture *f)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/orders-0", f->dir);
    mkdir(path, 0755);
    for (size_t i = 0; i < files_count; i++)
        file_put(f, files[i].name, files[i].bytes.data, files[i].bytes.size, 0);
}

/* Sum anew what is summed, or nothing behind a checksum would ever be tried. */
static void seal(struct fixture *f, const char *name)
{
    struct buf bytes = file_get(f, name);
    uint8_t *at = bytes.data, *end = at + bytes.size;
    if (strstr(name, ".snapshot") && bytes.size >= 6)
        put_be32(at + 2, crc32c(0, at + 6, bytes.size - 6));
    if (strstr(name, ".log"))
        for (; end - at >= BATCH_HEADER_SIZE; at += batch_size(at)) {
            if (batch_size(at) < BATCH_HEADER_SIZE || batch_size(at) > end - at)
                break;
            batch_seal(at);
        }
    file_put(f, name, bytes.data, bytes.size, 0);
    buf_done(&bytes);
}

static void edit(struct fixture *f, const uint8_t **data, size_t *size)
{
    const uint8_t *d = *data;
    const char *name = files[d[0] % files_count].name;
    int64_t now = file_size(f, name), at = now > 0 ? get_be16(d + 2) % (now + 1) : 0;
    size_t count = d[4] & 31;
    *data += 5, *size -= 5;
    if (count > *size)
        count = *size;
    if (now < 0)
        return; /* removed before */
    switch (d[1] & 7) {
    case 0:
        file_cut(f, name, at);
        break;
    case 1:
        file_remove(f, name);
        break;
    case 2:
        file_cut(f, name, now + 500); /* zeros, as a JVM broker's indexes */
        break;
    case 3:
        file_append_bytes(f, name, *data, count);
        break;
    default:
        file_put(f, name, *data, count, at);
        if (d[1] & 2)
            seal(f, name);
    }
    *data += count, *size -= count;
}

static void read_all(struct log *log)
{
    int64_t offset = log_start_offset(log), end = log_end_offset(log);
    for (int i = 0; i < READS_MAX && offset < end; i++) {
        struct log_slice slice;
        enum err e = log_read(log, offset, end, 300, true, true, &slice);
        if (e || !slice.file)
            return;
        int64_t bound;
        e = log_slice_bound(log, &slice, true, &bound);
        log_file_unref(slice.file);
        offset = !e && bound > offset ? bound : offset + 1;
    }
}

/* What it holds may be damaged, so every answer is right that comes. */
static void use(struct log *log)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct timestamp_offset found;
    struct aborted_txn *txns;
    int32_t count;
    struct append_result result;
    struct batch_spec spec = {.has_producer = true, .producer_id = 7, .base_sequence = 4};
    int64_t end = log_end_offset(log);
    assert(log_start_offset(log) <= end);
    log_set_high_watermark(log, end);
    read_all(log);
    enum err e = log_offset_for_timestamp(log, 1010, &found);
    e = log_offset_of_max_timestamp(log, &found);
    e = log_aborted_txns(log, log_start_offset(log), end, arena, &txns, &count);
    e = append(log, &spec, NULL);
    spec.producer_id = 99;
    e = append(log, &spec, &result);
    if (!e) /* the second round may know it from the first */
        assert(result.is_duplicate ? result.base_offset < end : log_end_offset(log) > end);
    int64_t cut = end / 2 > log_start_offset(log) ? end / 2 : end;
    e = log_truncate(log, cut);
    if (!e)
        assert(log_end_offset(log) <= cut);
    e = log_retain(log);
    (void)e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fixture_leave_out_the_disk();
    if (files_count == 0)
        make_files();
    if (size < 1)
        return 0;
    void *state;
    fixture_setup(&state);
    struct fixture *f = state;
    uint8_t settings = *data++;
    size--;
    set_small(f);
    put_files(f);
    if (settings & 1)
        file_remove(f, ".kafka_cleanshutdown");
    for (int i = 0; i < EDITS_MAX && size >= 5; i++)
        edit(f, &data, &size);
    for (int round = 0; round < 2; round++) {
        if (fixture_try_start(f))
            break;
        struct log *log = fixture_find(f, "orders", 0);
        if (log)
            use(log);
        if (settings & 2)
            fixture_kill(f);
        else
            fixture_stop(f);
    }
    fixture_teardown(&state);
    return 0;
}
