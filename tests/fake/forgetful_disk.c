/* See forgetful_disk.h. Two kinds of memory:
 *
 *     files   by inode number, which a hard link in the kept directory holds fast: each write and
 * cut since the last sync, with the size before and the bytes that were overwritten or cut. Appends
 * need no bytes, so a log costs next to nothing. names   one list in order of time: creations,
 * renames, removals, with a hard link to what was removed or replaced.
 *
 * Taking back goes from the newest change to the oldest. The system is called by number, never by
 * name, so that the library of forgetful_preload.c may take the names over. */
#include "tests/fake/forgetful_internal.h"

struct forgetful_memory forgetful = {.mutex = PTHREAD_MUTEX_INITIALIZER};

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

void forgetful_must(bool is_so, const char *what, const char *path)
{
    if (is_so)
        return;
    dprintf(2, "forgetful disk: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

static bool is_inside(const char *path)
{
    return forgetful.root_size > 0 && strncmp(path, forgetful.root, forgetful.root_size) == 0 &&
           (path[forgetful.root_size] == '/' || path[forgetful.root_size] == 0);
}

/* The path without "..", "." and double slashes; relative ones count as outside. */
bool forgetful_clean_path(const char *path, char ret[static PATH_MAX])
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

int forgetful_raw_open(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0644);
}

void forgetful_raw_remove_tree(const char *path)
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
        forgetful_raw_remove_tree(inner);
    }
    closedir(dir);
    syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/* A hard link to `path` under a name of its own; NULL where there is nothing to link. */
char *forgetful_keep(const char *path)
{
    char kept[PATH_MAX + 64];
    snprintf(kept, sizeof kept, "%s/name-%" PRId64, forgetful.kept_root, forgetful.kept_serial++);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0) != 0)
        return NULL;
    return strdup(kept);
}

void forgetful_read_bytes(int fd, uint8_t *ret, int64_t size, int64_t position)
{
    while (size > 0) {
        ssize_t n = syscall(SYS_pread64, fd, ret, size, position);
        forgetful_must(n > 0, "read", "old bytes");
        ret += n, size -= n, position += n;
    }
}

void forgetful_write_bytes(int fd, const uint8_t *bytes, int64_t size, int64_t position)
{
    while (size > 0) {
        ssize_t n = syscall(SYS_pwrite64, fd, bytes, size, position);
        forgetful_must(n > 0, "write", "old bytes");
        bytes += n, size -= n, position += n;
    }
}

/* --- what files remember --- */

struct file *forgetful_find_file(ino_t inode)
{
    for (size_t i = 0; i < forgetful.files_count; i++)
        if (forgetful.files[i]->inode == inode)
            return forgetful.files[i];
    return NULL;
}

static struct file *file_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return NULL;
    struct file *file = forgetful_find_file(st.st_ino);
    if (file)
        return file;
    file = calloc(1, sizeof *file);
    file->inode = st.st_ino;
    snprintf(file->kept, sizeof file->kept, "%s/file-%ju", forgetful.kept_root,
             (uintmax_t)st.st_ino);
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
    forgetful.files = grown(forgetful.files, &forgetful.files_capacity, forgetful.files_count + 1,
                            sizeof *forgetful.files);
    forgetful.files[forgetful.files_count++] = file;
    return file;
}

void forgetful_drop_changes(struct file *file, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(file->changes[i].old);
    file->count -= count;
    memmove(file->changes, file->changes + count, file->count * sizeof *file->changes);
}

void forgetful_forget_file_if_stable(struct file *file)
{
    if (file->count > 0)
        return;
    size_t slot = 0;
    while (forgetful.files[slot] != file)
        slot++;
    forgetful.files[slot] = forgetful.files[--forgetful.files_count];
    syscall(SYS_unlinkat, AT_FDCWD, file->kept, 0);
    free(file->changes);
    free(file->born);
    free(file);
}

void forgetful_remember(int fd, int64_t position, int64_t size, bool is_cut)
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
        int reader = forgetful_raw_open(file->kept, O_RDONLY); /* `fd` may be for writing only */
        forgetful_must(reader >= 0, "open", file->kept);
        change.old = malloc((size_t)change.old_count);
        forgetful_read_bytes(reader, change.old, change.old_count, position);
        syscall(SYS_close, reader);
    }
    file->changes = grown(file->changes, &file->capacity, file->count + 1, sizeof *file->changes);
    file->changes[file->count++] = change;
}

/* --- what names remember --- */

void forgetful_remember_name(enum name_kind kind, const char *path, const char *from, char *kept)
{
    forgetful.names = grown(forgetful.names, &forgetful.names_capacity, forgetful.names_count + 1,
                            sizeof *forgetful.names);
    forgetful.names[forgetful.names_count++] = (struct name_change){
        .kind = kind, .path = strdup(path), .from = from ? strdup(from) : NULL, .kept = kept};
}

void forgetful_free_name(struct name_change *name)
{
    if (name->kept)
        syscall(SYS_unlinkat, AT_FDCWD, name->kept, 0);
    free(name->kept);
    free(name->path);
    free(name->from);
}

bool forgetful_is_in_dir(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/' && !strchr(path + size + 1, '/');
}

/* The names of a directory are stable, up to the number that were there when the sync began. */
void forgetful_settle_names(const char *dir, size_t before)
{
    size_t left = 0;
    for (size_t i = 0; i < forgetful.names_count; i++) {
        if (i < before && (!dir || forgetful_is_in_dir(forgetful.names[i].path, dir)))
            forgetful_free_name(&forgetful.names[i]);
        else
            forgetful.names[left++] = forgetful.names[i];
    }
    forgetful.names_count = left;
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
void forgetful_move_names(const char *from, const char *to)
{
    for (size_t i = 0; i < forgetful.names_count; i++) {
        move_path(&forgetful.names[i].path, from, to);
        move_path(&forgetful.names[i].from, from, to);
    }
    for (int fd = 0; fd < FDS_MAX; fd++) {
        if (!forgetful.dir_paths[fd])
            continue;
        if (strcmp(forgetful.dir_paths[fd], from) == 0) {
            free(forgetful.dir_paths[fd]);
            forgetful.dir_paths[fd] = strdup(to);
        } else {
            move_path(&forgetful.dir_paths[fd], from, to);
        }
    }
}

/* --- beginning and end --- */

void forgetful_forget_all(void)
{
    while (forgetful.files_count > 0) {
        forgetful_drop_changes(forgetful.files[0], forgetful.files[0]->count);
        forgetful_forget_file_if_stable(forgetful.files[0]);
    }
    forgetful_settle_names(NULL, forgetful.names_count);
    memset(forgetful.is_tracked, 0, sizeof forgetful.is_tracked);
    for (int fd = 0; fd < FDS_MAX; fd++) {
        free(forgetful.dir_paths[fd]);
        forgetful.dir_paths[fd] = NULL;
    }
}

void forgetful_begin(const char *dir)
{
    pthread_mutex_lock(&forgetful.mutex);
    forgetful_forget_all();
    snprintf(forgetful.root, sizeof forgetful.root, "%s", dir);
    forgetful.root_size = strlen(forgetful.root);
    while (forgetful.root_size > 1 && forgetful.root[forgetful.root_size - 1] == '/')
        forgetful.root[--forgetful.root_size] = 0;
    snprintf(forgetful.kept_root, sizeof forgetful.kept_root, "%s.kept", forgetful.root);
    forgetful_raw_remove_tree(forgetful.kept_root);
    forgetful_must(syscall(SYS_mkdirat, AT_FDCWD, forgetful.kept_root, 0755) == 0, "create",
                   forgetful.kept_root);
    forgetful.syncs = 0;
    pthread_mutex_unlock(&forgetful.mutex);
}

void forgetful_end(void)
{
    pthread_mutex_lock(&forgetful.mutex);
    forgetful_forget_all();
    forgetful_raw_remove_tree(forgetful.kept_root);
    forgetful.root_size = 0;
    pthread_mutex_unlock(&forgetful.mutex);
}

void forgetful_set_sync_us(int64_t us)
{
    forgetful.sync_us = us;
}

int64_t forgetful_sync_count(void)
{
    return forgetful.syncs;
}
