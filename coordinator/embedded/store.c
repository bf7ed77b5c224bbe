/* Durability of the embedded server: a write-ahead log with group commit, and snapshots. */
#include "coordinator/embedded/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/crc32c.h"
#include "broker/base/trace.h"

#define HEAD_SIZE      8           /* of a batch and of a snapshot: length, CRC-32C */
#define FILE_SIZE_MAX  (1LL << 35) /* bytes of a log or snapshot that is read into memory */
#define BATCH_SIZE_MAX ((size_t)UINT32_MAX) /* bytes that the length in a head can say */

struct store {
    char *path;
    int directory_fd, lock_fd, log_fd;
    int64_t log_size, log_size_max;
    int64_t snapshot_at; /* bytes of log */
    struct buf frame;
};

/* ---- files ---- */

static enum err write_all(int fd, struct slice s)
{
    while (s.size > 0) {
        ssize_t n = write(fd, s.data, s.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_note_errno("write %zu bytes", s.size);
        s = slice_of(s.data + n, s.size - (size_t)n);
    }
    return ERR_OK;
}
static enum err read_all(int fd, struct buf *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_note_errno("ask for the size");
    if (st.st_size > FILE_SIZE_MAX)
        return err_note(ERR_MALFORMED, "%" PRId64 " bytes are more than this server ever writes",
                        (int64_t)st.st_size);
    buf_reserve(out, (size_t)st.st_size + 1);
    while (out->size < (size_t)st.st_size) {
        ssize_t n =
            pread(fd, out->data + out->size, (size_t)st.st_size - out->size, (off_t)out->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_note_errno("read");
        if (n == 0)
            break;
        out->size += (size_t)n;
    }
    return ERR_OK;
}
static enum err read_file(struct store *store, const char *name, struct buf *out)
{
    int fd = openat(store->directory_fd, name, O_RDONLY | O_CLOEXEC);
    enum err e = fd < 0 ? err_note_errno("open") : read_all(fd, out);
    if (fd >= 0)
        (void)close(fd);
    return err_wrap(e, "%s/%s", store->path, name);
}
static enum err sync_fd(int fd)
{
    return fsync(fd) == 0 ? ERR_OK : err_note_errno("fsync");
}
static void name_of(char name[64], const char *kind, int64_t zxid)
{
    (void)snprintf(name, 64, "%s.%016" PRIx64, kind, (uint64_t)zxid);
}
static bool zxid_of(const char *name, const char *kind, int64_t *ret_zxid)
{
    size_t size = strlen(kind);
    if (strncmp(name, kind, size) != 0 || name[size] != '.' || strlen(name + size + 1) != 16)
        return false;
    char *end = NULL;
    *ret_zxid = (int64_t)strtoull(name + size + 1, &end, 16);
    return *end == 0;
}
/* The zxids of the files of one kind, ascending. */
struct zxids {
    int64_t *items;
    size_t count, capacity;
};
static int compare_zxids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}
static enum err list_files(struct store *store, const char *kind, struct zxids *ret)
{
    int fd = openat(store->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return err_note_errno("list %s", store->path);
    struct dirent *item;
    int64_t zxid;
    while ((item = readdir(dir))) {
        if (!zxid_of(item->d_name, kind, &zxid))
            continue;
        ret->items = mem_grow(ret->items, &ret->capacity, ret->count + 1, sizeof *ret->items);
        ret->items[ret->count++] = zxid;
    }
    (void)closedir(dir);
    if (ret->count > 0)
        qsort(ret->items, ret->count, sizeof *ret->items, compare_zxids);
    return ERR_OK;
}

/* ---- frames: length, checksum, bytes ---- */

static void frame_head(uint8_t head[HEAD_SIZE], struct slice bytes)
{
    put_be32(head, (uint32_t)bytes.size);
    put_be32(head + 4, crc32c(crc32c(0, head, 4), bytes.data, bytes.size));
}
/* The whole frame at `at`, or nothing. */
static bool frame_at(struct slice file, size_t at, struct slice *ret_bytes)
{
    if (file.size - at < HEAD_SIZE)
        return false;
    size_t size = get_be32(file.data + at);
    if (size == 0 || size > file.size - at - HEAD_SIZE)
        return false;
    uint8_t head[HEAD_SIZE];
    *ret_bytes = slice_of(file.data + at + HEAD_SIZE, size);
    frame_head(head, *ret_bytes);
    return memcmp(head, file.data + at, HEAD_SIZE) == 0;
}
/* A crash leaves at most one batch torn, the last. A whole one behind the fault was written after
 * the faulty one had been made durable, so that clients were told of what is damaged. */
static bool whole_frame_follows(struct slice file, size_t fault, size_t *ret_at)
{
    struct slice bytes;
    for (size_t at = fault + 1; at + HEAD_SIZE < file.size; at++) {
        if (!frame_at(file, at, &bytes))
            continue;
        *ret_at = at;
        return true;
    }
    return false;
}

/* ---- recovery ---- */

static enum err load_snapshot(struct store *store, struct core *core, int64_t zxid)
{
    char name[64];
    name_of(name, "snapshot", zxid);
    struct buf file = {0};
    struct slice bytes;
    enum err e = read_file(store, name, &file);
    if (!e && (!frame_at(buf_slice(&file), 0, &bytes) || bytes.size + HEAD_SIZE != file.size))
        e = err_note(ERR_MALFORMED, "%s/%s fails its checksum; it was whole when it was written",
                     store->path, name);
    if (!e)
        e = err_wrap(core_restore(core, bytes), "%s/%s", store->path, name);
    buf_done(&file);
    return e;
}
static enum err judge_fault(struct store *store, const char *name, struct slice file, size_t at,
                            bool is_last)
{
    size_t next;
    if (!is_last)
        return err_note(ERR_MALFORMED, "%s/%s is damaged at byte %zu, and a later log exists",
                        store->path, name, at);
    if (whole_frame_follows(file, at, &next))
        return err_note(ERR_MALFORMED,
                        "%s/%s is damaged at byte %zu, and whole again from byte %zu: "
                        "this is no torn write, transactions that were acknowledged are lost",
                        store->path, name, at, next);
    return ERR_OK;
}
/* ret_size: up to where the log is whole. */
static enum err replay_log(struct store *store, struct core *core, int64_t zxid, bool is_last,
                           size_t *ret_size)
{
    char name[64];
    name_of(name, "log", zxid);
    struct buf file = {0};
    struct slice bytes;
    size_t at = 0;
    enum err e = read_file(store, name, &file);
    while (!e && frame_at(buf_slice(&file), at, &bytes)) {
        e = err_wrap(core_replay(core, bytes), "%s/%s at byte %zu", store->path, name, at);
        at += HEAD_SIZE + bytes.size;
    }
    if (!e && at < file.size) {
        e = judge_fault(store, name, buf_slice(&file), at, is_last);
        if (!e)
            trace_warn("embedded log cut file=%s/%s size_bytes=%zu was_bytes=%zu", store->path,
                       name, at, file.size);
    }
    buf_done(&file);
    *ret_size = at;
    return e;
}
static enum err log_open(struct store *store, int64_t zxid, size_t size)
{
    char name[64];
    name_of(name, "log", zxid);
    int fd = openat(store->directory_fd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_note_errno("open %s/%s", store->path, name);
    enum err e = ERR_OK;
    if (ftruncate(fd, (off_t)size) != 0)
        e = err_note_errno("cut %s/%s to %zu bytes", store->path, name, size);
    if (!e)
        e = sync_fd(fd);
    if (!e)
        e = sync_fd(store->directory_fd);
    if (e) {
        (void)close(fd);
        if (e == ERR_NO_SPACE &&
            size == 0) /* else a torn end of the log before is taken for damage */
            (void)unlinkat(store->directory_fd, name, 0);
        return e;
    }
    if (store->log_fd >= 0)
        (void)close(store->log_fd);
    store->log_fd = fd;
    store->log_size = (int64_t)size;
    return ERR_OK;
}
static enum err recover(struct store *store, struct core *core, const struct zxids *snapshots,
                        const struct zxids *logs)
{
    size_t size = 0;
    enum err e = ERR_OK;
    if (snapshots->count > 0)
        e = load_snapshot(store, core, snapshots->items[snapshots->count - 1]);
    for (size_t i = 0; i < logs->count && !e; i++)
        e = replay_log(store, core, logs->items[i], i + 1 == logs->count, &size);
    if (e)
        return e;
    return log_open(store, logs->count > 0 ? logs->items[logs->count - 1] : core_numbers(core).zxid,
                    size);
}

/* ---- snapshots ---- */

static enum err snapshot_write(struct store *store, const struct core *core, const char *name)
{
    struct buf bytes = {0};
    (void)buf_extend(&bytes, HEAD_SIZE);
    core_snapshot(core, &bytes);
    if (bytes.size - HEAD_SIZE > BATCH_SIZE_MAX) {
        buf_done(&bytes);
        return err_note(ERR_NO_SPACE, "%s/%s would be too large", store->path, name);
    }
    frame_head(bytes.data, slice_of(bytes.data + HEAD_SIZE, bytes.size - HEAD_SIZE));
    int fd =
        openat(store->directory_fd, "snapshot.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    enum err e = fd < 0 ? err_note_errno("open") : write_all(fd, buf_slice(&bytes));
    if (!e)
        e = sync_fd(fd);
    if (fd >= 0 && close(fd) != 0 && !e)
        e = err_note_errno("close");
    if (!e && renameat(store->directory_fd, "snapshot.tmp", store->directory_fd, name) != 0)
        e = err_note_errno("rename");
    if (!e)
        e = sync_fd(store->directory_fd);
    buf_done(&bytes);
    return err_wrap(e, "%s/%s", store->path, name);
}
/* Those before `zxid` have been replaced. One that stays is only in the way, so no error. */
static void delete_before(struct store *store, const char *kind, int64_t zxid)
{
    struct zxids files = {0};
    if (!list_files(store, kind, &files))
        for (size_t i = 0; i < files.count && files.items[i] < zxid; i++) {
            char name[64];
            name_of(name, kind, files.items[i]);
            (void)unlinkat(store->directory_fd, name, 0);
        }
    free(files.items);
}
/* Without a new snapshot the log is still good: it grows on, and another try comes later. */
static enum err take_snapshot(struct store *store, const struct core *core)
{
    char name[64];
    int64_t zxid = core_numbers(core).zxid;
    name_of(name, "snapshot", zxid);
    enum err e = snapshot_write(store, core, name);
    if (e) {
        trace_warn("embedded snapshot failed cause=\"%s\"", err_sentence(e));
        store->snapshot_at = 2 * store->log_size;
        return ERR_OK;
    }
    e = log_open(store, zxid, 0);
    if (e == ERR_NO_SPACE) { /* the old log goes on: what the snapshot has is skipped in it */
        store->snapshot_at = 2 * store->log_size;
        return ERR_OK;
    }
    if (e)
        return e;
    store->snapshot_at = store->log_size_max;
    delete_before(store, "log", zxid);
    delete_before(store, "snapshot", zxid);
    return ERR_OK;
}

/* ---- the contract ---- */

/* The directory's own name must be as stable as what is committed into it. */
static enum err sync_parent(const struct store *store)
{
    int fd = openat(store->directory_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = fd < 0 ? err_note_errno("open %s/..", store->path) : sync_fd(fd);
    if (fd >= 0)
        (void)close(fd);
    return e;
}

static enum err open_directory(struct store *store)
{
    bool is_new = mkdir(store->path, 0755) == 0;
    if (!is_new && errno != EEXIST)
        return err_note_errno("make %s", store->path);
    store->directory_fd = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->directory_fd < 0)
        return err_note_errno("open %s", store->path);
    enum err e = is_new ? sync_parent(store) : ERR_OK;
    if (e)
        return e;
    store->lock_fd = openat(store->directory_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (store->lock_fd < 0)
        return err_note_errno("open %s/lock", store->path);
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? err_note(ERR_EXISTS, "another server holds %s", store->path)
                                    : err_note_errno("lock %s/lock", store->path);
    return ERR_OK;
}
enum err store_open(const char *path, int64_t log_size_max, struct core *core, struct store **ret)
{
    struct store *store = mem_new(struct store);
    *store = (struct store){.path = mem_strdup(path),
                            .directory_fd = -1,
                            .lock_fd = -1,
                            .log_fd = -1,
                            .log_size_max = log_size_max ? log_size_max : STORE_LOG_SIZE_DEFAULT};
    store->snapshot_at = store->log_size_max;
    struct zxids snapshots = {0}, logs = {0};
    enum err e = open_directory(store);
    if (!e)
        e = list_files(store, "snapshot", &snapshots);
    if (!e)
        e = list_files(store, "log", &logs);
    if (!e)
        e = recover(store, core, &snapshots, &logs);
    free(snapshots.items);
    free(logs.items);
    if (e) {
        store_close(store);
        return e;
    }
    *ret = store;
    return ERR_OK;
}
enum err store_commit(struct store *store, struct core *core)
{
    struct buf *journal = core_journal(core);
    if (journal->size == 0)
        return ERR_OK;
    uint8_t head[HEAD_SIZE];
    frame_head(head, buf_slice(journal));
    store->frame.size = 0;
    buf_put(&store->frame, head, HEAD_SIZE);
    buf_put(&store->frame, journal->data, journal->size);
    enum err e = write_all(store->log_fd, buf_slice(&store->frame));
    if (!e && fdatasync(store->log_fd) != 0)
        e = err_note_errno("fdatasync");
    if (e == ERR_NO_SPACE && ftruncate(store->log_fd, (off_t)store->log_size) != 0)
        e = err_note(ERR_IO, "a torn write could not be cut: %s", strerror(errno));
    if (e)
        return err_wrap(e, "append to the log in %s", store->path);
    store->log_size += (int64_t)store->frame.size;
    journal->size = 0;
    return store->log_size < store->snapshot_at ? ERR_OK : take_snapshot(store, core);
}
void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->log_fd >= 0)
        (void)close(store->log_fd);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd); /* and with it the lock */
    if (store->directory_fd >= 0)
        (void)close(store->directory_fd);
    buf_done(&store->frame);
    free(store->path);
    free(store);
}
