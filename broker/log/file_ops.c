/* The system's own file calls, and the two loops that complete short reads and writes. */
#include "broker/log/file_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int system_open(int dir_fd, const char *path, int flags, mode_t mode)
{
    return openat(dir_fd, path, flags | O_CLOEXEC, mode);
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

static int system_sync_range(int fd, off_t position, off_t size)
{
    return sync_file_range(fd, position, size, SYNC_FILE_RANGE_WRITE);
}

static int system_rename(const char *from, const char *to)
{
    return rename(from, to);
}

const struct file_ops file_ops_system = {
    .open = system_open,
    .close = close,
    .pread = pread,
    .pread_resident = system_pread_resident,
    .pwrite = pwrite,
    .ftruncate = ftruncate,
    .fsync = fsync,
    .fdatasync = fdatasync,
    .syncfs = syncfs,
    .sync_range = system_sync_range,
    .rename = system_rename,
    .unlink = unlink,
    .mkdir = mkdir,
    .rmdir = rmdir,
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
