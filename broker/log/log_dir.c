/* See log_dir.h. */
#include "broker/log/log_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "broker/base/trace.h"
#include "broker/log/checkpoint_file.h"
#include "broker/log/file_ops.h"
#include "broker/log/text_file.h"

#define CLEAN_MARK     ".kafka_cleanshutdown"
#define CLEAN_MARK_MAX 255 /* bytes of it that are looked at */

static const char *const checkpoint_name[] = {
    [CHECKPOINT_RECOVERY_POINT] = "recovery-point-offset-checkpoint",
    [CHECKPOINT_START_OFFSET] = "log-start-offset-checkpoint",
    [CHECKPOINT_HIGH_WATERMARK] = "replication-offset-checkpoint",
};

/* With its name on stable storage: all that is flushed into it later would be nowhere without. */
static enum err make_dir(const char *path)
{
    char parent[PATH_MAX];
    if (file_ops->mkdir(path, 0755) != 0)
        return errno == EEXIST ? ERR_OK : err_note_errno("create directory %s", path);
    snprintf(parent, sizeof parent, "%s/..", path);
    return path_sync(parent);
}

static enum err make_dirs(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        enum err e = make_dir(part);
        if (e)
            return e;
        *slash = '/';
    }
    return make_dir(part);
}

/* A record lock over the whole file, which is what a JVM broker takes; ours belongs to the open
 * file, so that closing some other descriptor of it does not let go. The two exclude each other. */
static enum err take_lock(struct log_dir *dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/.lock", dir->path);
    dir->lock_fd = file_ops->open(AT_FDCWD, path, O_RDWR | O_CREAT, 0644);
    if (dir->lock_fd < 0)
        return err_note_errno("open %s", path);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(dir->lock_fd, F_OFD_SETLK, &whole) == 0)
        return ERR_OK;
    if (errno == EAGAIN || errno == EACCES)
        return err_note(ERR_EXISTS, "log directory %s is in use by another broker: %s is locked",
                        dir->path, path);
    return err_note_errno("lock %s", path);
}

enum err log_dir_open(const char *path, struct log_dir *ret)
{
    *ret = (struct log_dir){.path = mem_strdup(path), .lock_fd = -1, .meta = {.broker_id = -1}};
    pthread_mutex_init(&ret->checkpoint_mutex, NULL);
    enum err e = make_dirs(path);
    if (!e)
        e = take_lock(ret);
    if (!e)
        e = meta_properties_read(path, &ret->meta);
    atomic_store(&ret->is_online, e == ERR_OK);
    return e;
}

void log_dir_close(struct log_dir *dir)
{
    if (dir->lock_fd >= 0)
        file_ops->close(dir->lock_fd);
    meta_properties_done(&dir->meta);
    pthread_mutex_destroy(&dir->checkpoint_mutex);
    free(dir->path);
}

/* {"version":0,"brokerEpoch":8589934601}; an older broker left it empty, or without an epoch. */
static int64_t marked_epoch(const char *path)
{
    char text[CLEAN_MARK_MAX + 1] = "";
    int fd = file_ops->open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    ssize_t size = fd < 0 ? -1 : file_read(fd, text, CLEAN_MARK_MAX, 0, true);
    if (fd >= 0)
        file_ops->close(fd);
    static const char key[] = "\"brokerEpoch\":";
    const char *found = size > 0 ? strstr(text, key) : NULL;
    int64_t epoch = found ? strtoll(found + sizeof key - 1, NULL, 10) : 0;
    return epoch > 0 ? epoch : -1;
}

enum err log_dir_take_clean_mark(struct log_dir *dir, bool *ret_was_clean)
{
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir->path, CLEAN_MARK);
    *ret_was_clean = stat(path, &st) == 0;
    dir->stopped_in_epoch = *ret_was_clean ? marked_epoch(path) : -1;
    if (!*ret_was_clean)
        return errno == ENOENT ? ERR_OK : err_note_errno("stat %s", path);
    if (file_ops->unlink(path) != 0)
        return err_note_errno("remove %s", path);
    return path_sync(dir->path);
}

enum err log_dir_put_clean_mark(struct log_dir *dir, int64_t broker_epoch)
{
    char text[96];
    int size =
        snprintf(text, sizeof text, "{\"version\":0,\"brokerEpoch\":%" PRId64 "}", broker_epoch);
    return text_file_replace(dir->path, CLEAN_MARK, slice_of(text, (size_t)size), true);
}

struct checkpoint_reader {
    struct map *map;
    enum checkpoint_kind kind;
};

static enum err take_line(void *context, struct slice topic, int32_t partition, int64_t offset)
{
    struct checkpoint_reader *reader = context;
    char topic_text[TOPIC_NAME_MAX + 1], name[PARTITION_DIR_NAME_SIZE];
    if (topic.size > TOPIC_NAME_MAX)
        return err_note(ERR_MALFORMED, "a topic name of %zu bytes", topic.size);
    snprintf(topic_text, sizeof topic_text, "%.*s", SLICE_ARG(topic));
    partition_dir_name(topic_text, partition, name);
    struct checkpointed *entry = map_get(reader->map, slice_str(name));
    if (!entry) {
        entry = mem_new(struct checkpointed);
        *entry = (struct checkpointed){-1, -1, -1};
        map_put(reader->map, slice_str(name), entry);
    }
    int64_t *field = reader->kind == CHECKPOINT_RECOVERY_POINT ? &entry->recovery_point
                     : reader->kind == CHECKPOINT_START_OFFSET ? &entry->start_offset
                                                               : &entry->high_watermark;
    *field = offset;
    return ERR_OK;
}

static enum err read_checkpoint(struct log_dir *dir, enum checkpoint_kind kind, struct map *map)
{
    char path[PATH_MAX];
    struct buf text = {0};
    struct checkpoint_reader reader = {.map = map, .kind = kind};
    snprintf(path, sizeof path, "%s/%s", dir->path, checkpoint_name[kind]);
    enum err e = text_file_read(AT_FDCWD, path, &text);
    if (!e)
        e = checkpoint_read_offsets(buf_slice(&text), take_line, &reader);
    buf_done(&text);
    return e == ERR_NOT_FOUND ? ERR_OK : err_wrap(e, "%s", path);
}

static void forget_recovery_points(struct map *map)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(map, &i));)
        ((struct checkpointed *)e->value)->recovery_point = -1;
}

/* Damaged recovery points only cost a longer recovery. A damaged file of high watermarks or of
 * starts takes the directory offline, as with the JVM broker: without them nobody can tell what was
 * committed, and records that were deleted would come back. */
enum err log_dir_read_checkpoints(struct log_dir *dir, struct map *ret)
{
    enum err e = read_checkpoint(dir, CHECKPOINT_RECOVERY_POINT, ret);
    if (e == ERR_MALFORMED) {
        trace_warn("checkpoint is damaged and counts as empty: %s", err_sentence(e));
        forget_recovery_points(ret);
        e = ERR_OK;
    }
    if (!e)
        e = read_checkpoint(dir, CHECKPOINT_START_OFFSET, ret);
    return e ? e : read_checkpoint(dir, CHECKPOINT_HIGH_WATERMARK, ret);
}

void log_dir_free_checkpoints(struct map *map)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(map, &i));)
        free(e->value);
    map_done(map);
    *map = (struct map){0};
}

enum err log_dir_write_checkpoint(struct log_dir *dir, enum checkpoint_kind kind,
                                  const struct checkpoint_line *lines, size_t count)
{
    struct buf text = {0};
    checkpoint_begin(&text, count);
    for (size_t i = 0; i < count; i++)
        checkpoint_put_offset(&text, lines[i].topic, lines[i].partition, lines[i].offset);
    enum err e = text_file_replace(dir->path, checkpoint_name[kind], buf_slice(&text), true);
    buf_done(&text);
    return e;
}
