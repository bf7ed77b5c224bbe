/* Reads /proc/vmstat, and once which control group we are in. */
#include "broker/log/dirty_pages.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_EVERY_MS    200
#define VMSTAT_MAX_BYTES 16384
#define LIMIT_MAX_BYTES  (INT64_MAX / 2) /* of a control group: more is none */

static size_t read_file(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, ret_text, size - 1);
    close(fd);
    ret_text[got > 0 ? got : 0] = 0;
    return got > 0 ? (size_t)got : 0;
}

/* --- the machine --- */

/* The number behind "name " at the beginning of a line; -1: none. */
static int64_t number_of(struct slice text, const char *name)
{
    size_t size = strlen(name);
    for (size_t at = 0; at + size < text.size;) {
        const char *line = (const char *)text.data + at;
        const char *end = memchr(line, '\n', text.size - at);
        size_t line_size = end ? (size_t)(end - line) : text.size - at;
        int64_t number;
        if (line_size > size + 1 && memcmp(line, name, size) == 0 && line[size] == ' ' &&
            slice_to_int64(slice_of(line + size + 1, line_size - size - 1), &number))
            return number;
        at += line_size + 1;
    }
    return -1;
}

bool dirty_pages_judge(struct slice vmstat)
{
    int64_t dirty = number_of(vmstat, "nr_dirty"), going = number_of(vmstat, "nr_writeback");
    int64_t begins = number_of(vmstat, "nr_dirty_background_threshold");
    int64_t ends = number_of(vmstat, "nr_dirty_threshold");
    if (dirty < 0 || going < 0 || begins <= 0 || ends < begins)
        return true;
    return dirty + going > begins + (ends - begins) / 4;
}

/* --- the control group --- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_limited;

/* "max", or in version 1 as many pages as a number can count, is no limit. */
static bool is_limit(char *text)
{
    int64_t bytes;
    text[strcspn(text, "\n")] = 0;
    if (strcmp(text, "max") == 0)
        return false;
    return !slice_to_int64(slice_str(text), &bytes) || bytes < LIMIT_MAX_BYTES;
}

/* A limit counts on the way up to the root, too; the root that is mounted in a container is its
 * own group. ret_found: whether there was anything to read. */
static bool has_limit(const char *root, const char *name, char *path, bool *ret_found)
{
    char file[PATH_MAX], text[64];
    for (;;) {
        snprintf(file, sizeof file, "%s%s/%s", root, path, name);
        if (read_file(file, text, sizeof text)) {
            *ret_found = true;
            if (is_limit(text))
                return true;
        }
        char *slash = strrchr(path, '/');
        if (!slash)
            return false;
        *slash = 0;
    }
}

/* The path behind `key` at the end of its line. False: there is none. */
static bool group_path(const char *groups, const char *key, char *ret_path, size_t size)
{
    const char *at = strstr(groups, key);
    if (!at)
        return false;
    at += strlen(key);
    snprintf(ret_path, size, "%.*s", (int)strcspn(at, "\n"), at);
    return true;
}

bool dirty_pages_group_is_limited(const char *groups, const char *root)
{
    char path[PATH_MAX], of_memory[PATH_MAX];
    bool is_found = false;
    if (group_path(groups, ":memory:", path, sizeof path)) {
        snprintf(of_memory, sizeof of_memory, "%s/memory", root);
        return has_limit(of_memory, "memory.limit_in_bytes", path, &is_found) || !is_found;
    }
    return group_path(groups, "0::", path, sizeof path) &&
           has_limit(root, "memory.max", path, &is_found);
}

static void look_at_group(void)
{
    char groups[4096];
    read_file("/proc/self/cgroup", groups, sizeof groups);
    is_limited = dirty_pages_group_is_limited(groups, "/sys/fs/cgroup");
}

bool dirty_pages_are_many(int64_t now_mono_ms)
{
    static _Atomic int64_t looked_ms = INT64_MIN / 2;
    static _Atomic bool are_many = true;
    pthread_once(&once, look_at_group);
    if (is_limited)
        return true;
    int64_t before = atomic_load(&looked_ms);
    if (now_mono_ms - before < LOOK_EVERY_MS ||
        !atomic_compare_exchange_strong(&looked_ms, &before, now_mono_ms))
        return atomic_load(&are_many);
    char text[VMSTAT_MAX_BYTES];
    size_t size = read_file("/proc/vmstat", text, sizeof text);
    bool many = dirty_pages_judge(slice_of(text, size));
    atomic_store(&are_many, many);
    return many;
}
