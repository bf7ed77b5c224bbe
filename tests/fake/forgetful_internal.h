/* What the files of the forgetful disk share: what they remember, and the changes of it. Everything
 * but the mutex itself is under the mutex. */
#pragma once

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

struct forgetful_memory {
    pthread_mutex_t mutex;
    char root[PATH_MAX], kept_root[PATH_MAX + 8];
    size_t root_size;
    struct file **files;
    size_t files_count, files_capacity;
    struct name_change *names;
    size_t names_count, names_capacity;
    char *dir_paths[FDS_MAX]; /* of open directories */
    bool is_tracked[FDS_MAX]; /* open files */
    int64_t kept_serial, sync_us;
    _Atomic int64_t syncs;
};
extern struct forgetful_memory forgetful;

/* Abort, saying so, unless it is. */
void forgetful_must(bool is_so, const char *what, const char *path);
/* The path without "..", "." and double slashes; false: outside, as relative ones are. */
bool forgetful_clean_path(const char *path, char ret[static PATH_MAX]);
int forgetful_raw_open(const char *path, int flags);
void forgetful_raw_remove_tree(const char *path);
void forgetful_read_bytes(int fd, uint8_t *ret, int64_t size, int64_t position);
void forgetful_write_bytes(int fd, const uint8_t *bytes, int64_t size, int64_t position);
/* A hard link to `path` under a name of its own; NULL where there is nothing to link. */
char *forgetful_keep(const char *path);
/* NULL: nothing is remembered of it. */
struct file *forgetful_find_file(ino_t inode);
/* Before a write of `size` bytes, or a cut to `position`. */
void forgetful_remember(int fd, int64_t position, int64_t size, bool is_cut);
/* The first so many are stable. */
void forgetful_drop_changes(struct file *file, size_t count);
void forgetful_forget_file_if_stable(struct file *file);
void forgetful_remember_name(enum name_kind kind, const char *path, const char *from, char *kept);
void forgetful_free_name(struct name_change *name);
bool forgetful_is_in_dir(const char *path, const char *dir);
/* The names of a directory (NULL: all) are stable, up to the number that were there when the sync
 * began. */
void forgetful_settle_names(const char *dir, size_t before);
/* A directory has a new name: so have the names in it. */
void forgetful_move_names(const char *from, const char *to);
void forgetful_forget_all(void);
