/* See text_file.h. */
#include "broker/log/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "broker/log/file_ops.h"

#define READ_STEP_BYTES 4096

enum err text_file_read(int dir_fd, const char *path, struct buf *out)
{
    int fd = file_ops->open(dir_fd, path, O_RDONLY, 0);
    if (fd < 0 && errno == ENOENT)
        return err_note(ERR_NOT_FOUND, "%s: no such file", path);
    if (fd < 0)
        return err_note_errno("open %s", path);
    enum err e = ERR_OK;
    size_t start = out->size;
    for (;;) {
        buf_reserve(out, READ_STEP_BYTES);
        size_t room = out->capacity - out->size;
        ssize_t n = file_read(fd, out->data + out->size, room, (int64_t)(out->size - start), true);
        if (n < 0) {
            e = err_note_errno("read %s", path);
            break;
        }
        out->size += (size_t)n;
        if ((size_t)n < room)
            break;
        if (out->size - start > TEXT_FILE_MAX_BYTES) {
            e = err_note(ERR_MALFORMED, "%s is longer than %u bytes", path, TEXT_FILE_MAX_BYTES);
            break;
        }
    }
    file_ops->close(fd);
    return e;
}

enum err path_sync(const char *path)
{
    int fd = file_ops->open(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return errno == ENOENT ? ERR_OK : err_note_errno("open %s", path);
    enum err e = ERR_OK;
    if (file_ops->fsync(fd) != 0)
        e = err_note_errno("fsync %s", path);
    file_ops->close(fd);
    return e;
}

static enum err write_new(const char *path, struct slice text, bool sync)
{
    int fd = file_ops->open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return err_note_errno("create %s", path);
    enum err e = ERR_OK;
    if (file_write(fd, text.data, text.size, 0) != 0)
        e = err_note_errno("write %s", path);
    else if (sync && file_ops->fsync(fd) != 0)
        e = err_note_errno("fsync %s", path);
    file_ops->close(fd);
    return e;
}

static enum err prepare(const char *dir, const char *name, struct slice text, bool sync)
{
    char temporary[PATH_MAX];
    snprintf(temporary, sizeof temporary, "%s/%s.tmp", dir, name);
    enum err e = write_new(temporary, text, sync);
    if (e)
        file_ops->unlink(temporary); /* what stays is overwritten next time */
    return e;
}

enum err text_file_prepare(const char *dir, const char *name, struct slice text)
{
    return prepare(dir, name, text, false);
}

enum err text_file_place(const char *dir, const char *name)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(temporary, sizeof temporary, "%s/%s.tmp", dir, name);
    if (file_ops->rename(temporary, path) == 0)
        return ERR_OK;
    enum err e = err_note_errno("rename %s", temporary);
    file_ops->unlink(temporary);
    return e;
}

static enum err replace(const char *dir, const char *name, struct slice text, bool sync)
{
    enum err e = prepare(dir, name, text, sync);
    return e ? e : text_file_place(dir, name);
}

enum err text_file_replace(const char *dir, const char *name, struct slice text, bool sync)
{
    enum err e = replace(dir, name, text, sync);
    return !e && sync ? path_sync(dir) : e;
}

enum err text_file_replace_synced(const char *dir, const char *name, struct slice text)
{
    return replace(dir, name, text, true);
}
