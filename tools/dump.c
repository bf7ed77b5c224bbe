/* A dump of several files: which printer a file needs, and what they all use. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/dump_log.h"

enum err mapped_open(const char *path, struct mapped *ret)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        enum err e = err_note_errno("%s", path);
        if (fd >= 0)
            close(fd);
        return e;
    }
    *ret = (struct mapped){.bytes = slice_of("", 0)};
    enum err e = ERR_OK;
    if (st.st_size > 0) {
        void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (at == MAP_FAILED)
            e = err_note_errno("map %s", path);
        else
            ret->bytes = slice_of(at, (size_t)st.st_size);
    }
    close(fd);
    return e;
}

void mapped_close(struct mapped *mapped)
{
    if (mapped->bytes.size > 0)
        munmap((void *)mapped->bytes.data, mapped->bytes.size);
    mapped->bytes = SLICE_NULL;
}

static size_t stem_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return (size_t)(name - path) + strcspn(name, ".");
}

char *dump_sibling(const char *path, const char *suffix)
{
    return mem_printf("%.*s%s", (int)stem_size(path), path, suffix);
}

enum err dump_base_offset(const char *path, int64_t *ret_offset)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (!slice_to_int64(slice_of(name, strcspn(name, ".")), ret_offset))
        return err_note(ERR_MALFORMED, "%s: the name does not begin with an offset", path);
    return ERR_OK;
}

void dump_row(const struct dump *dump, json_t *row)
{
    json_object_set_new(row, "file", json_string(dump->path));
    json_dumpf(row, dump->out, JSON_COMPACT);
    fputc('\n', dump->out);
    json_decref(row);
}

void dump_says(const struct dump *dump, const char *path, const char *what)
{
    if (dump->options.json)
        dump_row(dump, json_pack("{s:s}", "note", what));
    else
        fprintf(dump->out, "%s %s.\n", path, what);
}

void dump_done(struct dump *dump)
{
    buf_done(&dump->index_mismatches);
    buf_done(&dump->time_mismatches);
    buf_done(&dump->gaps);
}

enum err dump_file(struct dump *dump, const char *path)
{
    static const struct {
        const char *end;
        enum err (*print)(struct dump *dump, const char *path);
    } kinds[] = {
        {".log", dump_log},
        {".index", dump_offset_index},
        {".timeindex", dump_time_index},
        {".txnindex", dump_txn_index},
        {".snapshot", dump_snapshot},
        {"leader-epoch-checkpoint", dump_epochs},
    };
    size_t size = strlen(path);
    dump->path = path;
    if (!dump->options.json)
        fprintf(dump->out, "Dumping %s\n", path);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t end_size = strlen(kinds[i].end);
        if (size >= end_size && strcmp(path + size - end_size, kinds[i].end) == 0)
            return kinds[i].print(dump, path);
    }
    fflush(dump->out);
    fprintf(stderr, "Ignoring unknown file %s\n", path);
    return ERR_OK;
}

void dump_summary(const struct dump *dump, FILE *out)
{
    fflush(dump->out);
    fprintf(out, "%.*s%.*s%.*s", SLICE_ARG(buf_slice(&dump->index_mismatches)),
            SLICE_ARG(buf_slice(&dump->time_mismatches)), SLICE_ARG(buf_slice(&dump->gaps)));
}
