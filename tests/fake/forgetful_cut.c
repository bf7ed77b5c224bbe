/* The power goes: what was not synced is undone, all of it or some, from the newest change to the
 * oldest. */
#include "tests/fake/forgetful_internal.h"

void (*forgetful_after_cut)(int changes);

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
    forgetful_must(syscall(SYS_ftruncate, fd, change->old_size) == 0, "cut", "file");
    forgetful_write_bytes(fd, change->old, change->old_count, change->position);
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
        forgetful_write_bytes(fd, zeros, n, position);
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
        forgetful_drop_changes(file, file->count); /* all others stay */
        return;
    }
    if (lost->size < 2 || random_below(2) == 0)
        return;
    int64_t half = (int64_t)random_below((uint64_t)lost->size);
    uint8_t *bytes = malloc((size_t)half + 1);
    forgetful_read_bytes(fd, bytes, half, lost->position);
    int64_t position = lost->position;
    while (file->count > survivors)
        undo_change(fd, &file->changes[--file->count]);
    forgetful_write_bytes(fd, bytes, half, position);
    free(bytes);
}

static int cut_file(struct file *file, enum forgetful_cut how)
{
    size_t survivors = how == CUT_ALL ? 0 : (size_t)random_below(file->count + 1);
    int lost = (int)(file->count - survivors);
    int fd = forgetful_raw_open(file->kept, O_RDWR);
    forgetful_must(fd >= 0, "open", file->kept);
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
        forgetful_raw_remove_tree(name->path);
        break;
    case NAME_RMDIR:
        syscall(SYS_mkdirat, AT_FDCWD, name->path, 0755);
        break;
    case NAME_RENAME:
        if (syscall(SYS_renameat, AT_FDCWD, name->path, AT_FDCWD, name->from) == 0)
            forgetful_move_names(name->path, name->from);
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
    for (size_t i = 0; i < forgetful.names_count; i++) {
        char dir[PATH_MAX];
        bool is_first = true;
        size_t in_dir = 0;
        if (!is_below(forgetful.names[i].path, below))
            continue;
        dir_of(forgetful.names[i].path, dir);
        for (size_t k = 0; k < forgetful.names_count; k++) {
            if (!forgetful_is_in_dir(forgetful.names[k].path, dir))
                continue;
            is_first &= k >= i;
            in_dir++;
        }
        if (!is_first)
            continue;
        size_t survivors = how == CUT_ALL ? 0 : (size_t)random_below(in_dir + 1);
        for (size_t k = i; k < forgetful.names_count && survivors > 0; k++)
            if (forgetful_is_in_dir(forgetful.names[k].path, dir)) {
                ret_survives[k] = true;
                survivors--;
            }
    }
}

static int cut_below(const char *dir, enum forgetful_cut how)
{
    int lost = 0;
    for (size_t i = 0; i < forgetful.files_count; i++)
        if (is_below(forgetful.files[i]->born, dir))
            lost += cut_file(forgetful.files[i], how);
    bool *survives = calloc(forgetful.names_count + 1, sizeof *survives);
    choose_names(dir, how, survives);
    for (size_t i = forgetful.names_count; i-- > 0;) {
        if (survives[i] || !is_below(forgetful.names[i].path, dir))
            continue;
        undo_name(&forgetful.names[i]);
        lost++;
    }
    free(survives);
    return lost;
}

/* What is left of it is on the disk now. */
static void forget_below(const char *dir)
{
    for (size_t i = forgetful.files_count; i-- > 0;) {
        if (!is_below(forgetful.files[i]->born, dir))
            continue;
        forgetful_drop_changes(forgetful.files[i], forgetful.files[i]->count);
        forgetful_forget_file_if_stable(forgetful.files[i]);
    }
    size_t left = 0;
    for (size_t i = 0; i < forgetful.names_count; i++) {
        if (is_below(forgetful.names[i].path, dir))
            forgetful_free_name(&forgetful.names[i]);
        else
            forgetful.names[left++] = forgetful.names[i];
    }
    forgetful.names_count = left;
}

int forgetful_cut_below(const char *dir, enum forgetful_cut how, uint64_t seed)
{
    pthread_mutex_lock(&forgetful.mutex);
    random_state = seed;
    int lost = cut_below(dir, how);
    forget_below(dir);
    pthread_mutex_unlock(&forgetful.mutex);
    return lost;
}

int forgetful_cut(enum forgetful_cut how, uint64_t seed)
{
    pthread_mutex_lock(&forgetful.mutex);
    random_state = seed;
    int lost = cut_below(forgetful.root, how);
    forgetful_forget_all();
    forgetful.root_size = 0;
    forgetful_raw_remove_tree(forgetful.kept_root);
    if (forgetful_after_cut)
        forgetful_after_cut(lost);
    pthread_mutex_unlock(&forgetful.mutex);
    return lost;
}
