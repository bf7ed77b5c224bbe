/* The calls of the forgetful disk: each is carried out, and what it takes to undo it is remembered.
 */
#include "tests/fake/forgetful_internal.h"

static bool path_of(int dir_fd, const char *path, char ret[static PATH_MAX])
{
    char joined[2 * PATH_MAX];
    if (path[0] == '/' || dir_fd == AT_FDCWD)
        return forgetful_clean_path(path, ret);
    if (dir_fd < 0 || dir_fd >= FDS_MAX || !forgetful.dir_paths[dir_fd])
        return false;
    snprintf(joined, sizeof joined, "%s/%s", forgetful.dir_paths[dir_fd], path);
    return forgetful_clean_path(joined, ret);
}

/* What the number meant before: closedir and fclose close without our knowing. */
static void forget_fd(int fd)
{
    forgetful.is_tracked[fd] = false;
    free(forgetful.dir_paths[fd]);
    forgetful.dir_paths[fd] = NULL;
}

static int open_inside(const char *path, int flags, mode_t mode)
{
    struct stat st;
    bool existed = stat(path, &st) == 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags & ~O_TRUNC, mode);
    if (fd < 0 || fd >= FDS_MAX)
        return fd;
    forget_fd(fd);
    if (existed && S_ISDIR(st.st_mode)) {
        forgetful.dir_paths[fd] = strdup(path);
        return fd;
    }
    forgetful.is_tracked[fd] = true;
    if (!existed)
        forgetful_remember_name(NAME_CREATE, path, NULL, NULL);
    if (existed && (flags & O_TRUNC) && st.st_size > 0) {
        forgetful_remember(fd, 0, 0, true);
        syscall(SYS_ftruncate, fd, 0);
    }
    return fd;
}

int forgetful_open(int dir_fd, const char *path, int flags, mode_t mode)
{
    char clean[PATH_MAX];
    pthread_mutex_lock(&forgetful.mutex);
    bool is_inside_now = path_of(dir_fd, path, clean);
    int fd = is_inside_now ? open_inside(clean, flags, mode)
                           : (int)syscall(SYS_openat, dir_fd, path, flags, mode);
    int code = errno;
    if (!is_inside_now && fd >= 0 && fd < FDS_MAX)
        forget_fd(fd);
    pthread_mutex_unlock(&forgetful.mutex);
    errno = code;
    return fd;
}

int forgetful_close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) {
        pthread_mutex_lock(&forgetful.mutex);
        forget_fd(fd);
        pthread_mutex_unlock(&forgetful.mutex);
    }
    return (int)syscall(SYS_close, fd);
}

bool forgetful_knows(int fd)
{
    return fd >= 0 && fd < FDS_MAX && forgetful.is_tracked[fd];
}

ssize_t forgetful_pwrite(int fd, const void *data, size_t size, off_t position)
{
    if (!forgetful_knows(fd))
        return syscall(SYS_pwrite64, fd, data, size, position);
    pthread_mutex_lock(&forgetful.mutex);
    forgetful_remember(fd, position, (int64_t)size, false);
    ssize_t n = syscall(SYS_pwrite64, fd, data, size, position);
    int code = errno;
    pthread_mutex_unlock(&forgetful.mutex);
    errno = code;
    return n;
}

ssize_t forgetful_write(int fd, const void *data, size_t size)
{
    if (!forgetful_knows(fd))
        return syscall(SYS_write, fd, data, size);
    pthread_mutex_lock(&forgetful.mutex);
    struct stat st;
    int64_t position = (fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &st) == 0
                           ? st.st_size
                           : syscall(SYS_lseek, fd, 0, SEEK_CUR);
    forgetful_remember(fd, position, (int64_t)size, false);
    ssize_t n = syscall(SYS_write, fd, data, size);
    int code = errno;
    pthread_mutex_unlock(&forgetful.mutex);
    errno = code;
    return n;
}

int forgetful_ftruncate(int fd, off_t size)
{
    if (!forgetful_knows(fd))
        return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&forgetful.mutex);
    forgetful_remember(fd, size, 0, true);
    int ret = (int)syscall(SYS_ftruncate, fd, size);
    int code = errno;
    pthread_mutex_unlock(&forgetful.mutex);
    errno = code;
    return ret;
}

static void take_time(void)
{
    if (forgetful.sync_us > 0)
        nanosleep(
            &(struct timespec){forgetful.sync_us / 1000000, forgetful.sync_us % 1000000 * 1000},
            NULL);
}

static int sync_dir(int fd)
{
    size_t before = forgetful.names_count;
    char *path = strdup(forgetful.dir_paths[fd]);
    pthread_mutex_unlock(&forgetful.mutex);
    take_time();
    pthread_mutex_lock(&forgetful.mutex);
    forgetful_settle_names(path, before);
    free(path);
    return 0;
}

static int sync_file(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    struct file *file = forgetful_find_file(st.st_ino);
    size_t before = file ? file->count : 0;
    pthread_mutex_unlock(&forgetful.mutex);
    take_time();
    pthread_mutex_lock(&forgetful.mutex);
    file = forgetful_find_file(st.st_ino); /* another sync may have been quicker */
    if (file) {
        forgetful_drop_changes(file, before < file->count ? before : file->count);
        forgetful_forget_file_if_stable(file);
    }
    return 0;
}

int forgetful_fsync(int fd)
{
    if (fd < 0 || fd >= FDS_MAX || (!forgetful.is_tracked[fd] && !forgetful.dir_paths[fd]))
        return (int)syscall(SYS_fsync, fd);
    pthread_mutex_lock(&forgetful.mutex);
    forgetful.syncs++;
    int ret = forgetful.dir_paths[fd] ? sync_dir(fd) : sync_file(fd);
    pthread_mutex_unlock(&forgetful.mutex);
    return ret;
}

int forgetful_syncfs(int fd)
{
    if (fd < 0 || fd >= FDS_MAX || (!forgetful.is_tracked[fd] && !forgetful.dir_paths[fd]))
        return (int)syscall(SYS_syncfs, fd);
    pthread_mutex_lock(&forgetful.mutex);
    forgetful.syncs++;
    while (forgetful.files_count > 0) {
        forgetful_drop_changes(forgetful.files[0], forgetful.files[0]->count);
        forgetful_forget_file_if_stable(forgetful.files[0]);
    }
    forgetful_settle_names(NULL, forgetful.names_count);
    pthread_mutex_unlock(&forgetful.mutex);
    take_time();
    return 0;
}

static int rename_inside(const char *from, const char *to)
{
    struct stat st;
    bool is_dir = stat(from, &st) == 0 && S_ISDIR(st.st_mode);
    char *kept = forgetful_keep(to);
    if (syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to) != 0) {
        int code = errno;
        if (kept)
            syscall(SYS_unlinkat, AT_FDCWD, kept, 0);
        free(kept);
        errno = code;
        return -1;
    }
    forgetful_remember_name(NAME_RENAME, to, from, kept);
    if (is_dir)
        forgetful_move_names(from, to);
    return 0;
}

int forgetful_rename(int from_fd, const char *from, int to_fd, const char *to)
{
    char clean_from[PATH_MAX], clean_to[PATH_MAX];
    pthread_mutex_lock(&forgetful.mutex);
    bool is_ours = path_of(from_fd, from, clean_from) && path_of(to_fd, to, clean_to);
    int ret = is_ours ? rename_inside(clean_from, clean_to)
                      : (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
    int code = errno;
    pthread_mutex_unlock(&forgetful.mutex);
    errno = code;
    return ret;
}

static int remove_inside(const char *path, enum name_kind kind)
{
    char *kept = kind == NAME_UNLINK ? forgetful_keep(path) : NULL;
    int ret = (int)syscall(SYS_unlinkat, AT_FDCWD, path, kind == NAME_RMDIR ? AT_REMOVEDIR : 0);
    if (ret == 0) {
        forgetful_remember_name(kind, path, NULL, kept);
        return 0;
    }
    int code = errno;
    if (kept)
        syscall(SYS_unlinkat, AT_FDCWD, kept, 0);
    free(kept);
    errno = code;
    return ret;
}

int forgetful_unlink(int dir_fd, const char *path, int flags)
{
    char clean[PATH_MAX];
    pthread_mutex_lock(&forgetful.mutex);
    int ret = path_of(dir_fd, path, clean)
                  ? remove_inside(clean, flags & AT_REMOVEDIR ? NAME_RMDIR : NAME_UNLINK)
                  : (int)syscall(SYS_unlinkat, dir_fd, path, flags);
    int code = errno;
    pthread_mutex_unlock(&forgetful.mutex);
    errno = code;
    return ret;
}

int forgetful_mkdir(int dir_fd, const char *path, mode_t mode)
{
    char clean[PATH_MAX];
    pthread_mutex_lock(&forgetful.mutex);
    bool is_ours = path_of(dir_fd, path, clean);
    int ret = (int)syscall(SYS_mkdirat, dir_fd, path, mode);
    int code = errno;
    if (ret == 0 && is_ours && strcmp(clean, forgetful.root) != 0)
        forgetful_remember_name(NAME_MKDIR, clean, NULL, NULL);
    pthread_mutex_unlock(&forgetful.mutex);
    errno = code;
    return ret;
}
