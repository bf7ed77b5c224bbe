/* See forgetful_disk.h. Two kinds of memory:
 *
 *     files   by inode number, which a hard link in the kept directory holds fast: each write and
 * cut since the last sync, with the size before and the bytes that were overwritten or cut. Appends
 * need no bytes, so a log costs next to nothing. names   one list in order of time: creations,
 * renames, removals, with a hard link to what was removed or replaced.
 *
 * Taking back goes from the newest change to the oldest. The system is called by number, never by
 * name, so that the library of forgetful_preload.c may take the names over. */
#include "tests/fake/forgetful_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 65536

struct change {
    int64_t position, size; /* of the write; a cut: position is the new size, size is 0 */
    int64_t old_size;
    uint8_t *old; /* the bytes of the old file that this changed, from `position` on */
    int64_t old_count;
};

struct file {
    ino_t inode;
    char kept[PATH_MAX];
    char *born; /* its path when it was first changed; renames below one directory do not matter */
    struct change *changes;
    size_t count, capacity;
};

enum name_kind { NAME_CREATE, NAME_RENAME, NAME_UNLINK, NAME_MKDIR, NAME_RMDIR };

struct name_change {
    enum name_kind kind;
    char *path, *from; /* from: of a rename */
    char *kept;        /* what stood at `path` before, or NULL */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX], kept_root[PATH_MAX + 8];
static size_t root_size;
static struct file **files;
static size_t files_count, files_capacity;
static struct name_change *names;
static size_t names_count, names_capacity;
static char *dir_paths[FDS_MAX]; /* of open directories */
static bool is_tracked[FDS_MAX]; /* open files */
static int64_t kept_serial, sync_us;
void (*forgetful_after_cut)(int changes);
static _Atomic int64_t syncs;

/* --- small things --- */

static void *grown(void *items, size_t *capacity, size_t count, size_t item_size)
{
    if (count <= *capacity)
        return items;
    *capacity = count < 16 ? 16 : 2 * count;
    items = realloc(items, *capacity * item_size);
    if (!items)
        abort();
    return items;
}

static void must(bool is_so, const char *what, const char *path)
{
    if (is_so)
        return;
    dprintf(2, "forgetful disk: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

static bool is_inside(const char *path)
{
    return root_size > 0 && strncmp(path, root, root_size) == 0 &&
           (path[root_size] == '/' || path[root_size] == 0);
}

/* The path without "..", "." and double slashes; relative ones count as outside. */
static bool clean_path(const char *path, char ret[static PATH_MAX])
{
    size_t size = 0;
    if (path[0] != '/')
        return false;
    while (*path) {
        while (*path == '/')
            path++;
        size_t part = strcspn(path, "/");
        if (part == 2 && strncmp(path, "..", 2) == 0) {
            while (size > 0 && ret[--size] != '/')
                ;
        } else if (part > 0 && !(part == 1 && *path == '.')) {
            if (size + part + 2 > PATH_MAX)
                return false;
            ret[size++] = '/';
            memcpy(ret + size, path, part);
            size += part;
        }
        path += part;
    }
    ret[size] = 0;
    return is_inside(ret);
}

static int raw_open(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0644);
}

static void raw_remove_tree(const char *path)
{
    if (syscall(SYS_unlinkat, AT_FDCWD, path, 0) == 0)
        return;
    DIR *dir = opendir(path);
    if (!dir)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        char inner[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        raw_remove_tree(inner);
    }
    closedir(dir);
    syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/* A hard link to `path` under a name of its own; NULL where there is nothing to link. */
static char *keep(const char *path)
{
    char kept[PATH_MAX + 64];
    snprintf(kept, sizeof kept, "%s/name-%" PRId64, kept_root, kept_serial++);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0) != 0)
        return NULL;
    return strdup(kept);
}

static void read_bytes(int fd, uint8_t *ret, int64_t size, int64_t position)
{
    while (size > 0) {
        ssize_t n = syscall(SYS_pread64, fd, ret, size, position);
        must(n > 0, "read", "old bytes");
        ret += n, size -= n, position += n;
    }
}

static void write_bytes(int fd, const uint8_t *bytes, int64_t size, int64_t position)
{
    while (size > 0) {
        ssize_t n = syscall(SYS_pwrite64, fd, bytes, size, position);
        must(n > 0, "write", "old bytes");
        bytes += n, size -= n, position += n;
    }
}

/* --- what files remember --- */

static struct file *find_file(ino_t inode)
{
    for (size_t i = 0; i < files_count; i++)
        if (files[i]->inode == inode)
            return files[i];
    return NULL;
}

static struct file *file_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return NULL;
    struct file *file = find_file(st.st_ino);
    if (file)
        return file;
    file = calloc(1, sizeof *file);
    file->inode = st.st_ino;
    snprintf(file->kept, sizeof file->kept, "%s/file-%ju", kept_root, (uintmax_t)st.st_ino);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    /* A file that has no name any more can never come back. */
    if (syscall(SYS_linkat, AT_FDCWD, link, AT_FDCWD, file->kept, AT_SYMLINK_FOLLOW) != 0) {
        free(file);
        return NULL;
    }
    char path[PATH_MAX] = "";
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = 0;
    file->born = strdup(path);
    files = grown(files, &files_capacity, files_count + 1, sizeof *files);
    files[files_count++] = file;
    return file;
}

static void drop_changes(struct file *file, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(file->changes[i].old);
    file->count -= count;
    memmove(file->changes, file->changes + count, file->count * sizeof *file->changes);
}

static void forget_file_if_stable(struct file *file)
{
    if (file->count > 0)
        return;
    size_t slot = 0;
    while (files[slot] != file)
        slot++;
    files[slot] = files[--files_count];
    syscall(SYS_unlinkat, AT_FDCWD, file->kept, 0);
    free(file->changes);
    free(file->born);
    free(file);
}

static void remember(int fd, int64_t position, int64_t size, bool is_cut)
{
    struct stat st;
    struct file *file = file_of(fd);
    if (!file || fstat(fd, &st) != 0)
        return;
    struct change change = {.position = position, .size = is_cut ? 0 : size};
    change.old_size = st.st_size;
    int64_t end = is_cut || position + size > st.st_size ? st.st_size : position + size;
    change.old_count = end > position ? end - position : 0;
    if (change.old_count > 0) {
        int reader = raw_open(file->kept, O_RDONLY); /* `fd` may be for writing only */
        must(reader >= 0, "open", file->kept);
        change.old = malloc((size_t)change.old_count);
        read_bytes(reader, change.old, change.old_count, position);
        syscall(SYS_close, reader);
    }
    file->changes = grown(file->changes, &file->capacity, file->count + 1, sizeof *file->changes);
    file->changes[file->count++] = change;
}

/* --- what names remember --- */

static void remember_name(enum name_kind kind, const char *path, const char *from, char *kept)
{
    names = grown(names, &names_capacity, names_count + 1, sizeof *names);
    names[names_count++] = (struct name_change){
        .kind = kind, .path = strdup(path), .from = from ? strdup(from) : NULL, .kept = kept};
}

static void free_name(struct name_change *name)
{
    if (name->kept)
        syscall(SYS_unlinkat, AT_FDCWD, name->kept, 0);
    free(name->kept);
    free(name->path);
    free(name->from);
}

static bool is_in_dir(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/' && !strchr(path + size + 1, '/');
}

/* The names of a directory are stable, up to the number that were there when the sync began. */
static void settle_names(const char *dir, size_t before)
{
    size_t left = 0;
    for (size_t i = 0; i < names_count; i++) {
        if (i < before && (!dir || is_in_dir(names[i].path, dir)))
            free_name(&names[i]);
        else
            names[left++] = names[i];
    }
    names_count = left;
}

static void move_path(char **path, const char *from, const char *to)
{
    size_t size = strlen(from);
    if (!*path || strncmp(*path, from, size) != 0 || (*path)[size] != '/')
        return;
    char moved[2 * PATH_MAX];
    snprintf(moved, sizeof moved, "%s%s", to, *path + size);
    free(*path);
    *path = strdup(moved);
}

/* A directory has a new name: so have the names in it. */
static void move_names(const char *from, const char *to)
{
    for (size_t i = 0; i < names_count; i++) {
        move_path(&names[i].path, from, to);
        move_path(&names[i].from, from, to);
    }
    for (int fd = 0; fd < FDS_MAX; fd++) {
        if (!dir_paths[fd])
            continue;
        if (strcmp(dir_paths[fd], from) == 0) {
            free(dir_paths[fd]);
            dir_paths[fd] = strdup(to);
        } else {
            move_path(&dir_paths[fd], from, to);
        }
    }
}

/* --- beginning and end --- */

static void forget_all(void)
{
    while (files_count > 0) {
        drop_changes(files[0], files[0]->count);
        forget_file_if_stable(files[0]);
    }
    settle_names(NULL, names_count);
    memset(is_tracked, 0, sizeof is_tracked);
    for (int fd = 0; fd < FDS_MAX; fd++) {
        free(dir_paths[fd]);
        dir_paths[fd] = NULL;
    }
}

void forgetful_begin(const char *dir)
{
    pthread_mutex_lock(&mutex);
    forget_all();
    snprintf(root, sizeof root, "%s", dir);
    root_size = strlen(root);
    while (root_size > 1 && root[root_size - 1] == '/')
        root[--root_size] = 0;
    snprintf(kept_root, sizeof kept_root, "%s.kept", root);
    raw_remove_tree(kept_root);
    must(syscall(SYS_mkdirat, AT_FDCWD, kept_root, 0755) == 0, "create", kept_root);
    syncs = 0;
    pthread_mutex_unlock(&mutex);
}

void forgetful_end(void)
{
    pthread_mutex_lock(&mutex);
    forget_all();
    raw_remove_tree(kept_root);
    root_size = 0;
    pthread_mutex_unlock(&mutex);
}

void forgetful_set_sync_us(int64_t us)
{
    sync_us = us;
}

int64_t forgetful_sync_count(void)
{
    return syncs;
}

/* --- the calls --- */

static bool path_of(int dir_fd, const char *path, char ret[static PATH_MAX])
{
    char joined[2 * PATH_MAX];
    if (path[0] == '/' || dir_fd == AT_FDCWD)
        return clean_path(path, ret);
    if (dir_fd < 0 || dir_fd >= FDS_MAX || !dir_paths[dir_fd])
        return false;
    snprintf(joined, sizeof joined, "%s/%s", dir_paths[dir_fd], path);
    return clean_path(joined, ret);
}

/* What the number meant before: closedir and fclose close without our knowing. */
static void forget_fd(int fd)
{
    is_tracked[fd] = false;
    free(dir_paths[fd]);
    dir_paths[fd] = NULL;
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
        dir_paths[fd] = strdup(path);
        return fd;
    }
    is_tracked[fd] = true;
    if (!existed)
        remember_name(NAME_CREATE, path, NULL, NULL);
    if (existed && (flags & O_TRUNC) && st.st_size > 0) {
        remember(fd, 0, 0, true);
        syscall(SYS_ftruncate, fd, 0);
    }
    return fd;
}

int forgetful_open(int dir_fd, const char *path, int flags, mode_t mode)
{
    char clean[PATH_MAX];
    pthread_mutex_lock(&mutex);
    bool is_inside_now = path_of(dir_fd, path, clean);
    int fd = is_inside_now ? open_inside(clean, flags, mode)
                           : (int)syscall(SYS_openat, dir_fd, path, flags, mode);
    int code = errno;
    if (!is_inside_now && fd >= 0 && fd < FDS_MAX)
        forget_fd(fd);
    pthread_mutex_unlock(&mutex);
    errno = code;
    return fd;
}

int forgetful_close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) {
        pthread_mutex_lock(&mutex);
        forget_fd(fd);
        pthread_mutex_unlock(&mutex);
    }
    return (int)syscall(SYS_close, fd);
}

bool forgetful_knows(int fd)
{
    return fd >= 0 && fd < FDS_MAX && is_tracked[fd];
}

ssize_t forgetful_pwrite(int fd, const void *data, size_t size, off_t position)
{
    if (!forgetful_knows(fd))
        return syscall(SYS_pwrite64, fd, data, size, position);
    pthread_mutex_lock(&mutex);
    remember(fd, position, (int64_t)size, false);
    ssize_t n = syscall(SYS_pwrite64, fd, data, size, position);
    int code = errno;
    pthread_mutex_unlock(&mutex);
    errno = code;
    return n;
}

ssize_t forgetful_write(int fd, const void *data, size_t size)
{
    if (!forgetful_knows(fd))
        return syscall(SYS_write, fd, data, size);
    pthread_mutex_lock(&mutex);
    struct stat st;
    int64_t position = (fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &st) == 0
                           ? st.st_size
                           : syscall(SYS_lseek, fd, 0, SEEK_CUR);
    remember(fd, position, (int64_t)size, false);
    ssize_t n = syscall(SYS_write, fd, data, size);
    int code = errno;
    pthread_mutex_unlock(&mutex);
    errno = code;
    return n;
}

int forgetful_ftruncate(int fd, off_t size)
{
    if (!forgetful_knows(fd))
        return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&mutex);
    remember(fd, size, 0, true);
    int ret = (int)syscall(SYS_ftruncate, fd, size);
    int code = errno;
    pthread_mutex_unlock(&mutex);
    errno = code;
    return ret;
}

static void take_time(void)
{
    if (sync_us > 0)
        nanosleep(&(struct timespec){sync_us / 1000000, sync_us % 1000000 * 1000}, NULL);
}

static int sync_dir(int fd)
{
    size_t before = names_count;
    char *path = strdup(dir_paths[fd]);
    pthread_mutex_unlock(&mutex);
    take_time();
    pthread_mutex_lock(&mutex);
    settle_names(path, before);
    free(path);
    return 0;
}

static int sync_file(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    struct file *file = find_file(st.st_ino);
    size_t before = file ? file->count : 0;
    pthread_mutex_unlock(&mutex);
    take_time();
    pthread_mutex_lock(&mutex);
    file = find_file(st.st_ino); /* another sync may have been quicker */
    if (file) {
        drop_changes(file, before < file->count ? before : file->count);
        forget_file_if_stable(file);
    }
    return 0;
}

int forgetful_fsync(int fd)
{
    if (fd < 0 || fd >= FDS_MAX || (!is_tracked[fd] && !dir_paths[fd]))
        return (int)syscall(SYS_fsync, fd);
    pthread_mutex_lock(&mutex);
    syncs++;
    int ret = dir_paths[fd] ? sync_dir(fd) : sync_file(fd);
    pthread_mutex_unlock(&mutex);
    return ret;
}

int forgetful_syncfs(int fd)
{
    if (fd < 0 || fd >= FDS_MAX || (!is_tracked[fd] && !dir_paths[fd]))
        return (int)syscall(SYS_syncfs, fd);
    pthread_mutex_lock(&mutex);
    syncs++;
    while (files_count > 0) {
        drop_changes(files[0], files[0]->count);
        forget_file_if_stable(files[0]);
    }
    settle_names(NULL, names_count);
    pthread_mutex_unlock(&mutex);
    take_time();
    return 0;
}

static int rename_inside(const char *from, const char *to)
{
    struct stat st;
    bool is_dir = stat(from, &st) == 0 && S_ISDIR(st.st_mode);
    char *kept = keep(to);
    if (syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to) != 0) {
        int code = errno;
        if (kept)
            syscall(SYS_unlinkat, AT_FDCWD, kept, 0);
        free(kept);
        errno = code;
        return -1;
    }
    remember_name(NAME_RENAME, to, from, kept);
    if (is_dir)
        move_names(from, to);
    return 0;
}

int forgetful_rename(int from_fd, const char *from, int to_fd, const char *to)
{
    char clean_from[PATH_MAX], clean_to[PATH_MAX];
    pthread_mutex_lock(&mutex);
    bool is_ours = path_of(from_fd, from, clean_from) && path_of(to_fd, to, clean_to);
    int ret = is_ours ? rename_inside(clean_from, clean_to)
                      : (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
    int code = errno;
    pthread_mutex_unlock(&mutex);
    errno = code;
    return ret;
}

static int remove_inside(const char *path, enum name_kind kind)
{
    char *kept = kind == NAME_UNLINK ? keep(path) : NULL;
    int ret = (int)syscall(SYS_unlinkat, AT_FDCWD, path, kind == NAME_RMDIR ? AT_REMOVEDIR : 0);
    if (ret == 0) {
        remember_name(kind, path, NULL, kept);
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
    pthread_mutex_lock(&mutex);
    int ret = path_of(dir_fd, path, clean)
                  ? remove_inside(clean, flags & AT_REMOVEDIR ? NAME_RMDIR : NAME_UNLINK)
                  : (int)syscall(SYS_unlinkat, dir_fd, path, flags);
    int code = errno;
    pthread_mutex_unlock(&mutex);
    errno = code;
    return ret;
}

int forgetful_mkdir(int dir_fd, const char *path, mode_t mode)
{
    char clean[PATH_MAX];
    pthread_mutex_lock(&mutex);
    bool is_ours = path_of(dir_fd, path, clean);
    int ret = (int)syscall(SYS_mkdirat, dir_fd, path, mode);
    int code = errno;
    if (ret == 0 && is_ours && strcmp(clean, root) != 0)
        remember_name(NAME_MKDIR, clean, NULL, NULL);
    pthread_mutex_unlock(&mutex);
    errno = code;
    return ret;
}

/* --- the power goes --- */

static uint64_t random_state;

static uint64_t random_below(uint64_t bound)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = random_state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % bound;
}

static void undo_change(int fd, struct change *change)
{
    must(syscall(SYS_ftruncate, fd, change->old_size) == 0, "cut", "file");
    write_bytes(fd, change->old, change->old_count, change->position);
    free(change->old);
}

static bool only_appended(const struct file *file, size_t from)
{
    for (size_t i = from; i < file->count; i++)
        if (file->changes[i].size == 0 || file->changes[i].position < file->changes[i].old_size)
            return false;
    return true;
}

static void zero_bytes(int fd, int64_t size, int64_t position)
{
    static const uint8_t zeros[4096];
    for (int64_t n; size > 0; size -= n, position += n) {
        n = size < (int64_t)sizeof zeros ? size : (int64_t)sizeof zeros;
        write_bytes(fd, zeros, n, position);
    }
}

/* One append is lost though later ones arrived; or half of the first lost one is there. */
static void leave_traces(int fd, struct file *file, size_t survivors)
{
    const struct change *lost = &file->changes[survivors];
    if (!only_appended(file, survivors))
        return;
    if (file->count - survivors > 1 && random_below(3) == 0) {
        zero_bytes(fd, lost->size, lost->position);
        drop_changes(file, file->count); /* all others stay */
        return;
    }
    if (lost->size < 2 || random_below(2) == 0)
        return;
    int64_t half = (int64_t)random_below((uint64_t)lost->size);
    uint8_t *bytes = malloc((size_t)half + 1);
    read_bytes(fd, bytes, half, lost->position);
    int64_t position = lost->position;
    while (file->count > survivors)
        undo_change(fd, &file->changes[--file->count]);
    write_bytes(fd, bytes, half, position);
    free(bytes);
}

static int cut_file(struct file *file, enum forgetful_cut how)
{
    size_t survivors = how == CUT_ALL ? 0 : (size_t)random_below(file->count + 1);
    int lost = (int)(file->count - survivors);
    int fd = raw_open(file->kept, O_RDWR);
    must(fd >= 0, "open", file->kept);
    if (how == CUT_SOME && lost > 0)
        leave_traces(fd, file, survivors);
    while (file->count > survivors)
        undo_change(fd, &file->changes[--file->count]);
    syscall(SYS_close, fd);
    return lost; /* what is left survived */
}

static void undo_name(const struct name_change *name)
{
    switch (name->kind) {
    case NAME_CREATE:
        syscall(SYS_unlinkat, AT_FDCWD, name->path, 0);
        break;
    case NAME_MKDIR:
        raw_remove_tree(name->path);
        break;
    case NAME_RMDIR:
        syscall(SYS_mkdirat, AT_FDCWD, name->path, 0755);
        break;
    case NAME_RENAME:
        if (syscall(SYS_renameat, AT_FDCWD, name->path, AT_FDCWD, name->from) == 0)
            move_names(name->path, name->from);
        break;
    case NAME_UNLINK:
        break;
    }
    if (name->kept)
        syscall(SYS_linkat, AT_FDCWD, name->kept, AT_FDCWD, name->path, 0);
}

static void dir_of(const char *path, char ret[static PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%.*s", (int)(strrchr(path, '/') - path), path);
}

static bool is_below(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/';
}

/* Of each directory the first changes survive. */
static void choose_names(const char *below, enum forgetful_cut how, bool *ret_survives)
{
    for (size_t i = 0; i < names_count; i++) {
        char dir[PATH_MAX];
        bool is_first = true;
        size_t in_dir = 0;
        if (!is_below(names[i].path, below))
            continue;
        dir_of(names[i].path, dir);
        for (size_t k = 0; k < names_count; k++) {
            if (!is_in_dir(names[k].path, dir))
                continue;
            is_first &= k >= i;
            in_dir++;
        }
        if (!is_first)
            continue;
        size_t survivors = how == CUT_ALL ? 0 : (size_t)random_below(in_dir + 1);
        for (size_t k = i; k < names_count && survivors > 0; k++)
            if (is_in_dir(names[k].path, dir)) {
                ret_survives[k] = true;
                survivors--;
            }
    }
}

static int cut_below(const char *dir, enum forgetful_cut how)
{
    int lost = 0;
    for (size_t i = 0; i < files_count; i++)
        if (is_below(files[i]->born, dir))
            lost += cut_file(files[i], how);
    bool *survives = calloc(names_count + 1, sizeof *survives);
    choose_names(dir, how, survives);
    for (size_t i = names_count; i-- > 0;) {
        if (survives[i] || !is_below(names[i].path, dir))
            continue;
        undo_name(&names[i]);
        lost++;
    }
    free(survives);
    return lost;
}

/* What is left of it is on the disk now. */
static void forget_below(const char *dir)
{
    for (size_t i = files_count; i-- > 0;) {
        if (!is_below(files[i]->born, dir))
            continue;
        drop_changes(files[i], files[i]->count);
        forget_file_if_stable(files[i]);
    }
    size_t left = 0;
    for (size_t i = 0; i < names_count; i++) {
        if (is_below(names[i].path, dir))
            free_name(&names[i]);
        else
            names[left++] = names[i];
    }
    names_count = left;
}

int forgetful_cut_below(const char *dir, enum forgetful_cut how, uint64_t seed)
{
    pthread_mutex_lock(&mutex);
    random_state = seed;
    int lost = cut_below(dir, how);
    forget_below(dir);
    pthread_mutex_unlock(&mutex);
    return lost;
}

int forgetful_cut(enum forgetful_cut how, uint64_t seed)
{
    pthread_mutex_lock(&mutex);
    random_state = seed;
    int lost = cut_below(root, how);
    forget_all();
    root_size = 0;
    raw_remove_tree(kept_root);
    if (forgetful_after_cut)
        forgetful_after_cut(lost);
    pthread_mutex_unlock(&mutex);
    return lost;
}
