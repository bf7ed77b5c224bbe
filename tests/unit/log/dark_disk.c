/* See dark_disk.h. */
#include "dark_disk.h"

#include <errno.h>
#include <fcntl.h>

_Atomic int dark_disk_calls_left;

static bool is_dark(void)
{
    if (dark_disk_calls_left > 0 && --dark_disk_calls_left > 0)
        return false;
    if (dark_disk_calls_left < 0)
        return false;
    errno = EIO;
    return true;
}

static int dark_open(int dir_fd, const char *path, int flags, mode_t mode)
{
    if ((flags & (O_CREAT | O_TRUNC)) && is_dark())
        return -1;
    return forgetful_open(dir_fd, path, flags, mode);
}

static ssize_t dark_pwrite(int fd, const void *data, size_t size, off_t position)
{
    return is_dark() ? -1 : forgetful_pwrite(fd, data, size, position);
}

static int dark_ftruncate(int fd, off_t size)
{
    return is_dark() ? -1 : forgetful_ftruncate(fd, size);
}

static int dark_fsync(int fd)
{
    return is_dark() ? -1 : forgetful_fsync(fd);
}

static int dark_syncfs(int fd)
{
    return is_dark() ? -1 : forgetful_syncfs(fd);
}

static int dark_rename(const char *from, const char *to)
{
    return is_dark() ? -1 : forgetful_rename(AT_FDCWD, from, AT_FDCWD, to);
}

static int dark_unlink(const char *path)
{
    return is_dark() ? -1 : forgetful_unlink(AT_FDCWD, path, 0);
}

static int dark_mkdir(const char *path, mode_t mode)
{
    return is_dark() ? -1 : forgetful_mkdir(AT_FDCWD, path, mode);
}

static int dark_rmdir(const char *path)
{
    return is_dark() ? -1 : forgetful_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

static struct file_ops dark;

void dark_disk_begin(struct fixture *f)
{
    dark = file_ops_system;
    dark.open = dark_open;
    dark.close = forgetful_close;
    dark.pwrite = dark_pwrite;
    dark.ftruncate = dark_ftruncate;
    dark.fsync = dark.fdatasync = dark_fsync;
    dark.syncfs = dark_syncfs;
    dark.rename = dark_rename;
    dark.unlink = dark_unlink;
    dark.mkdir = dark_mkdir;
    dark.rmdir = dark_rmdir;
    dark_disk_calls_left = -1;
    forgetful_begin(f->dir);
    file_ops = &dark;
}

void dark_disk_end(void)
{
    forgetful_end();
    file_ops = &file_ops_system;
}
