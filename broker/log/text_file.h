/* Small text files: checkpoints, partition.metadata, meta.properties. Read whole; replaced by
 * writing
 * `<name>.tmp` and renaming it over the old one, so that a crash leaves one or the other. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/err.h"

#define TEXT_FILE_MAX_BYTES (256u << 20)

/* Append the file's bytes to `out`. Errors: ERR_NOT_FOUND, ERR_IO. */
MUST_USE enum err text_file_read(int dir_fd, const char *path, struct buf *out);

/* `sync`: file and directory are on stable storage when this returns. */
MUST_USE enum err text_file_replace(const char *dir, const char *name, struct slice text,
                                    bool sync);

/* The content is on stable storage before it takes the old one's place; the name is not yet: sync
 * the directory. */
MUST_USE enum err text_file_replace_synced(const char *dir, const char *name, struct slice text);

/* fsync a file or directory by name. A file that is not there is no error. */
MUST_USE enum err path_sync(const char *path);

/* The same in two steps, for many files: write the new text beside the old one, unsynced; when it
 * is on stable storage (the caller's syncfs), let it take the old one's place. */
MUST_USE enum err text_file_prepare(const char *dir, const char *name, struct slice text);
MUST_USE enum err text_file_place(const char *dir, const char *name);
