/* Every call by which the log changes or reads a file, in one table, so that a test can fail the
 * n-th call, fill the disk, or play a disk that forgets what was not synced. The log never calls
 * the system beside it, except to list a directory and to look at sizes.
 *
 * The functions mean what the system's calls of the same name mean, errno included. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "broker/base/attributes.h"

struct file_ops {
    int (*open)(int dir_fd, const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *data, size_t size, off_t position);
    /* preadv2 with RWF_NOWAIT: EAGAIN where the disk would have to be asked. */
    ssize_t (*pread_resident)(int fd, void *data, size_t size, off_t position);
    ssize_t (*pwrite)(int fd, const void *data, size_t size, off_t position);
    int (*ftruncate)(int fd, off_t size);
    /* Blocks for the range; the file's size stays. */
    int (*allocate)(int fd, off_t position, off_t size);
    /* Free bytes of the file system that holds the file, where writing gains by blocks that are
     * there ahead; else -1. */
    int64_t (*room_ahead)(int fd);
    int (*fsync)(int fd);
    int (*fdatasync)(int fd);
    int (*syncfs)(int fd); /* the whole file system that holds the file */
    int (*sync_range)(int fd, off_t position,
                      off_t size); /* begins write-back, waits for nothing */
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*rmdir)(const char *path);
};

extern const struct file_ops file_ops_system;

/* The table in use. Changed only by tests. */
extern const struct file_ops *_Atomic file_ops;

/* Read exactly `size` bytes, or as many as there are before the end of the file. -1 and errno on
 * failure. */
MUST_USE ssize_t file_read(int fd, void *data, size_t size, int64_t position, bool may_block);
/* Write all; 0, or -1 with errno set and an unknown part written. */
MUST_USE int file_write(int fd, const void *data, size_t size, int64_t position);
