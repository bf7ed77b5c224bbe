/* The disk that forgets, for a real broker: a library for LD_PRELOAD that takes over the file calls
 * of a process and, on command, cuts the power: the log directory goes back to what had been
 * synced, and the process dies by SIGKILL. How a test uses it:
 *
 *     env LD_PRELOAD=…/lib/libforgetful_disk.so      (built with -DSTOKER_TESTS=ON)
 *         FORGETFUL_DISK_DIR=/data/kafka-logs         everything below is on that disk; absolute,
 * no symbolic links; /data/kafka-logs.kept is made beside it, on the same file system
 *         FORGETFUL_DISK_TRIGGER=/data/cut            looked at every few milliseconds
 *         FORGETFUL_DISK_SYNC_MS=5                    optional: how long each fsync lasts
 *     stokerd …
 *
 * Then write "all" (nothing unsynced survives) or "some SEED" (a random part does: the first
 * changes of each file and directory, a torn end, a hole) to a file beside and rename it to the
 * trigger. Wait until the process is dead: the trigger is gone then, and "TRIGGER.done" holds the
 * number of changes that were taken back. Start the broker again, with or without the library.
 *
 * fsync does not reach the real disk, so a test is fast. What a process leaves that ends in another
 * way (kill -9, a clean stop) counts as stable for the next one, as the page cache survives it.
 * open, openat, creat, close, write, pwrite, writev, pwritev, ftruncate, truncate, fsync,
 * fdatasync, syncfs, rename, renameat, unlink, unlinkat, mkdir, mkdirat, rmdir are taken over, with
 * the names that large files give them. Not seen: stdio, mmap, io_uring, children after exec;
 * descriptors made by dup. The broker's log and the embedded ZooKeeper server use none of these on
 * their files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/fake/forgetful_disk.h"

#define LOOK_EVERY_MS 5
#define EXPORT        __attribute__((visibility("default")))

static const char *trigger;
static _Atomic int cut_changes;

static void write_done(void)
{
    char path[PATH_MAX], text[32];
    snprintf(path, sizeof path, "%s.done", trigger);
    int size = snprintf(text, sizeof text, "%d\n", cut_changes);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0)
        syscall(SYS_write, fd, text, size);
    syscall(SYS_unlinkat, AT_FDCWD, trigger, 0);
}

static void die(int changes)
{
    cut_changes = changes;
    write_done();
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

static bool read_trigger(enum forgetful_cut *ret_how, uint64_t *ret_seed)
{
    char text[64] = {0};
    int fd = (int)syscall(SYS_openat, AT_FDCWD, trigger, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    ssize_t n = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    *ret_how = n > 4 && strncmp(text, "some", 4) == 0 ? CUT_SOME : CUT_ALL;
    *ret_seed = *ret_how == CUT_SOME ? strtoull(text + 4, NULL, 10) : 0;
    return n > 0;
}

static void *look(void *context)
{
    enum forgetful_cut how;
    uint64_t seed;
    (void)context;
    while (!read_trigger(&how, &seed))
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
    forgetful_cut(how, seed); /* does not come back: die() is called at its end */
    return NULL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("FORGETFUL_DISK_DIR"), *sync_ms = getenv("FORGETFUL_DISK_SYNC_MS");
    pthread_t thread;
    trigger = getenv("FORGETFUL_DISK_TRIGGER");
    if (!dir || !trigger)
        return;
    unsetenv("LD_PRELOAD"); /* a child is another process on the same disk: it would not know */
    forgetful_begin(dir);
    forgetful_after_cut = die;
    if (sync_ms)
        forgetful_set_sync_us(strtoll(sync_ms, NULL, 10) * 1000);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_create(&thread, NULL, look, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
    EXPORT int name(const char *path, int flags, ...);                                             \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = mode_of(flags, arguments);                                                   \
        va_end(arguments);                                                                         \
        return forgetful_open(AT_FDCWD, path, flags, mode);                                        \
    }
#define OPENAT(name)                                                                               \
    EXPORT int name(int dir_fd, const char *path, int flags, ...);                                 \
    int name(int dir_fd, const char *path, int flags, ...)                                         \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = mode_of(flags, arguments);                                                   \
        va_end(arguments);                                                                         \
        return forgetful_open(dir_fd, path, flags, mode);                                          \
    }
OPEN(open)
OPEN(open64)
OPEN(__open_2)
OPEN(__open64_2)
OPENAT(openat)
OPENAT(openat64)
OPENAT(__openat_2)
OPENAT(__openat64_2)

EXPORT int creat(const char *path, mode_t mode)
{
    return forgetful_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

EXPORT int close(int fd)
{
    return forgetful_close(fd);
}

EXPORT ssize_t write(int fd, const void *data, size_t size)
{
    return forgetful_write(fd, data, size);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t position)
{
    return forgetful_pwrite(fd, data, size, position);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off64_t position)
{
    return forgetful_pwrite(fd, data, size, position);
}

/* A short count is allowed: after the first that fails or is not whole. */
EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (!forgetful_knows(fd))
        return syscall(SYS_writev, fd, parts, count);
    ssize_t sum = 0;
    for (int i = 0; i < count; i++) {
        ssize_t n = forgetful_write(fd, parts[i].iov_base, parts[i].iov_len);
        if (n < 0)
            return sum > 0 ? sum : -1;
        sum += n;
        if ((size_t)n < parts[i].iov_len)
            break;
    }
    return sum;
}

EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t position)
{
    ssize_t sum = 0;
    for (int i = 0; i < count; i++) {
        ssize_t n = forgetful_pwrite(fd, parts[i].iov_base, parts[i].iov_len, position + sum);
        if (n < 0)
            return sum > 0 ? sum : -1;
        sum += n;
        if ((size_t)n < parts[i].iov_len)
            break;
    }
    return sum;
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t position)
{
    return pwritev(fd, parts, count, position);
}

EXPORT int ftruncate(int fd, off_t size)
{
    return forgetful_ftruncate(fd, size);
}

EXPORT int ftruncate64(int fd, off64_t size)
{
    return forgetful_ftruncate(fd, size);
}

EXPORT int truncate(const char *path, off_t size)
{
    int fd = forgetful_open(AT_FDCWD, path, O_WRONLY, 0);
    if (fd < 0)
        return -1;
    int ret = forgetful_ftruncate(fd, size);
    forgetful_close(fd);
    return ret;
}

EXPORT int truncate64(const char *path, off64_t size)
{
    return truncate(path, size);
}

EXPORT int fsync(int fd)
{
    return forgetful_fsync(fd);
}

EXPORT int fdatasync(int fd)
{
    return forgetful_fsync(fd);
}

EXPORT int syncfs(int fd)
{
    return forgetful_syncfs(fd);
}

EXPORT int rename(const char *from, const char *to)
{
    return forgetful_rename(AT_FDCWD, from, AT_FDCWD, to);
}

EXPORT int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return forgetful_rename(from_fd, from, to_fd, to);
}

EXPORT int unlink(const char *path)
{
    return forgetful_unlink(AT_FDCWD, path, 0);
}

EXPORT int rmdir(const char *path)
{
    return forgetful_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

EXPORT int unlinkat(int dir_fd, const char *path, int flags)
{
    return forgetful_unlink(dir_fd, path, flags);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    return forgetful_mkdir(AT_FDCWD, path, mode);
}

EXPORT int mkdirat(int dir_fd, const char *path, mode_t mode)
{
    return forgetful_mkdir(dir_fd, path, mode);
}
