/* Does a disk stand still? Every file operation of the log (file_ops.h) is noted while the system
 * has it in hand, so that anybody can ask how long the oldest one has been under way. A disk that
 * answers late, or not at all, is seen by a thread that does not wait for it itself.
 *
 * Noting costs a store before and one after the operation: each thread has a slot of its own, and
 * no lock is taken but where a path must be looked at. Times are those of CLOCK_MONOTONIC, as
 * coarse as the kernel's tick (a few ms). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Beyond so many in the process, directories are not watched: they always seem at rest. */
#define DISK_WATCH_DIRS_MAX 255

/* The log directories of one broker. */
struct disk_watch;

/* Watch what is done below these absolute paths. Borrows them. */
struct disk_watch *disk_watch_new(const char *const *dirs, size_t count);
/* No operation on its directories is under way any more. */
void disk_watch_free(struct disk_watch *watch);

/* When the oldest operation began that is still under way in this directory (its place among those
 * given to disk_watch_new()): ns of CLOCK_MONOTONIC; 0 if none is. Any thread; never waits. */
int64_t disk_watch_oldest(const struct disk_watch *watch, size_t dir);

/* --- for those who carry out the operations: file_ops.c --- */

/* The directory a path or an open file belongs to; 0: one that nobody watches. */
uint8_t disk_watch_of_path(const char *path);
uint8_t disk_watch_of_fd(int fd);
/* A descriptor begins or ends (0). */
void disk_watch_note_fd(int fd, uint8_t dir);

/* Around each operation. This thread has one at a time. */
void disk_watch_begin(uint8_t dir);
void disk_watch_end(void);
