/* A disk that forgets what was not synced: every change of a file or directory below one path is
 * really made, and remembered with what undoes it until an fsync makes it stable. A power cut takes
 * the rest back.
 *
 * The rules are those of POSIX and stricter than most file systems: fsync of a file makes its bytes
 * and size stable, not its name; names (creation, rename, removal) become stable with an fsync of
 * their directory. A file whose name became stable before its bytes is empty after the cut.
 *
 * Calls mean what the system's calls of the same name mean. Paths outside are passed on untouched.
 * Threads: any; calls below the path are made one at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Begin: all that is below `dir` now is stable. What undoing needs is kept in `dir`.kept, beside
 * it.
 */
void forgetful_begin(const char *dir);
/* Forget the bookkeeping, keep the files; removes `dir`.kept. */
void forgetful_end(void);

enum forgetful_cut {
    CUT_ALL,  /* nothing that was not synced survives */
    CUT_SOME, /* of each file and each directory survive the first changes, by chance; the last of a
                 file's may be half there; appended bytes may be missing with later ones there */
};
/* The power goes. No call may run or come until forgetful_begin(). Gives how many changes were
 * taken back. */
int forgetful_cut(enum forgetful_cut how, uint64_t seed);
/* The power of what lies below `dir` goes, a machine of its own; the rest goes on, and so does the
 * bookkeeping. Files below it must be closed. */
int forgetful_cut_below(const char *dir, enum forgetful_cut how, uint64_t seed);
/* Called at the end of a cut, while every other thread that calls is held: to end the process. */
extern void (*forgetful_after_cut)(int changes);

/* Every fsync lasts this long, and covers what was written before it began. 0 at first. */
void forgetful_set_sync_us(int64_t sync_us);
int64_t forgetful_sync_count(void); /* fsync, fdatasync and syncfs since the beginning */

int forgetful_open(int dir_fd, const char *path, int flags, mode_t mode);
int forgetful_close(int fd);
ssize_t forgetful_pwrite(int fd, const void *data, size_t size, off_t position);
ssize_t forgetful_write(int fd, const void *data, size_t size);
int forgetful_ftruncate(int fd, off_t size);
int forgetful_fsync(int fd);
int forgetful_syncfs(int fd);
bool forgetful_knows(int fd); /* an open file below the path */
int forgetful_rename(int from_fd, const char *from, int to_fd, const char *to);
int forgetful_unlink(int dir_fd, const char *path, int flags); /* AT_REMOVEDIR: a directory */
int forgetful_mkdir(int dir_fd, const char *path, mode_t mode);
