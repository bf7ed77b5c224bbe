/* The system's own file calls, each noted in disk_watch.h while it lasts, and the two loops that
 * complete short reads and writes. Only the read that never waits is not noted. */
#include "broker/log/file_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "broker/log/disk_watch.h"

static uint8_t begin(uint8_t dir)
{
    disk_watch_begin(dir);
    return dir;
}

static void end(uint8_t *dir)
{
    if (*dir > 0)
        disk_watch_end();
}

/* An operation on the directory, to the end of the scope. */
#define WATCH_SCOPE(dir) __attribute__((cleanup(end))) UNUSED uint8_t watch_scope_ = begin(dir)

static int system_open(int dir_fd, const char *path, int flags, mode_t mode)
{
    uint8_t dir = path[0] == '/' ? disk_watch_of_path(path) : disk_watch_of_fd(dir_fd);
    WATCH_SCOPE(dir);
    int fd = openat(dir_fd, path, flags | O_CLOEXEC, mode);
    disk_watch_note_fd(fd, dir);
    return fd;
}

static int system_close(int fd)
{
    WATCH_SCOPE(disk_watch_of_fd(fd));
    disk_watch_note_fd(fd, 0); /* before somebody else is given the number */
    return close(fd);
}

static ssize_t system_pread(int fd, void *data, size_t size, off_t position)
{
    WATCH_SCOPE(disk_watch_of_fd(fd));
    return pread(fd, data, size, position);
}

static ssize_t system_pread_resident(int fd, void *data, size_t size, off_t position)
{
    struct iovec vector = {.iov_base = data, .iov_len = size};
    ssize_t n = preadv2(fd, &vector, 1, position, RWF_NOWAIT);
    /* A file system that cannot say counts as cold. */
    if (n < 0 && (errno == EOPNOTSUPP || errno == EINVAL))
        errno = EAGAIN;
    return n;
}

static ssize_t system_pwrite(int fd, const void *data, size_t size, off_t position)
{
    WATCH_SCOPE(disk_watch_of_fd(fd));
    return pwrite(fd, data, size, position);
}

static int system_ftruncate(int fd, off_t size)
{
    WATCH_SCOPE(disk_watch_of_fd(fd));
    return ftruncate(fd, size);
}

static int system_allocate(int fd, off_t position, off_t size)
{
    WATCH_SCOPE(disk_watch_of_fd(fd));
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, position, size);
}

/* ext4 books each block of a delayed allocation. Others do not, or refuse, or would have to copy
 * what was allocated ahead. */
static int64_t system_room_ahead(int fd)
{
    struct statfs fs;
    WATCH_SCOPE(disk_watch_of_fd(fd));
    if (fstatfs(fd, &fs) != 0 || fs.f_type != EXT4_SUPER_MAGIC)
        return -1;
    return (int64_t)fs.f_bavail * (int64_t)fs.f_bsize;
}

static int system_fsync(int fd)
{
    WATCH_SCOPE(disk_watch_of_fd(fd));
    return fsync(fd);
}

static int system_fdatasync(int fd)
{
    WATCH_SCOPE(disk_watch_of_fd(fd));
    return fdatasync(fd);
}

static int system_syncfs(int fd)
{
    WATCH_SCOPE(disk_watch_of_fd(fd));
    return syncfs(fd);
}

static int system_sync_range(int fd, off_t position, off_t size)
{
    WATCH_SCOPE(disk_watch_of_fd(fd));
    return sync_file_range(fd, position, size, SYNC_FILE_RANGE_WRITE);
}

static int system_rename(const char *from, const char *to)
{
    WATCH_SCOPE(disk_watch_of_path(to));
    return rename(from, to);
}

static int system_unlink(const char *path)
{
    WATCH_SCOPE(disk_watch_of_path(path));
    return unlink(path);
}

static int system_mkdir(const char *path, mode_t mode)
{
    WATCH_SCOPE(disk_watch_of_path(path));
    return mkdir(path, mode);
}

static int system_rmdir(const char *path)
{
    WATCH_SCOPE(disk_watch_of_path(path));
    return rmdir(path);
}

const struct file_ops file_ops_system = {
    .open = system_open,
    .close = system_close,
    .pread = system_pread,
    .pread_resident = system_pread_resident,
    .pwrite = system_pwrite,
    .ftruncate = system_ftruncate,
    .allocate = system_allocate,
    .room_ahead = system_room_ahead,
    .fsync = system_fsync,
    .fdatasync = system_fdatasync,
    .syncfs = system_syncfs,
    .sync_range = system_sync_range,
    .rename = system_rename,
    .unlink = system_unlink,
    .mkdir = system_mkdir,
    .rmdir = system_rmdir,
};

const struct file_ops *_Atomic file_ops = &file_ops_system;

ssize_t file_read(int fd, void *data, size_t size, int64_t position, bool may_block)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = may_block ? file_ops->pread(fd, (char *)data + done, size - done,
                                                position + (int64_t)done)
                              : file_ops->pread_resident(fd, (char *)data + done, size - done,
                                                         position + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int file_write(int fd, const void *data, size_t size, int64_t position)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n =
            file_ops->pwrite(fd, (const char *)data + done, size - done, position + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0) {
            errno = EIO;
            return -1;
        }
        done += (size_t)n;
    }
    return 0;
}
