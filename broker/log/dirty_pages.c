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
#define CGROUP_ROOT      "/sys/fs/cgroup"

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

/* A limit counts on the way up to the root, too. */
static bool has_limit(char *path)
{
    char file[PATH_MAX], text[64];
    for (;;) {
        snprintf(file, sizeof file, "%s%s/memory.max", CGROUP_ROOT, path);
        if (read_file(file, text, sizeof text) && strncmp(text, "max", 3) != 0)
            return true;
        char *slash = strrchr(path, '/');
        if (!slash || slash == path)
            return false;
        *slash = 0;
    }
}

/* "0::/path" is version 2; a memory controller of version 1 is taken for a limit. */
static void look_at_group(void)
{
    char text[4096];
    read_file("/proc/self/cgroup", text, sizeof text);
    is_limited = strstr(text, ":memory:") && !strstr(text, ":memory:/\n");
    char *path = strstr(text, "0::/");
    if (is_limited || !path)
        return;
    path += 3;
    path[strcspn(path, "\n")] = 0;
    is_limited = has_limit(path);
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
