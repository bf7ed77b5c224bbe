/* The disks of the nodes: the log's calls go to the disk that forgets (tests/fake), and are refused
 * while the process that makes them is being cleared away. */
#include <errno.h>
#include <fcntl.h>

#include "broker/log/file_ops.h"
#include "tests/fake/forgetful_disk.h"
#include "tests/sim/node.h"

static bool refuses;

static bool is_refused(void)
{
    if (refuses)
        errno = EIO;
    return refuses;
}

static int sim_open(int dir_fd, const char *path, int flags, mode_t mode)
{
    return is_refused() ? -1 : forgetful_open(dir_fd, path, flags, mode);
}

static ssize_t sim_pwrite(int fd, const void *data, size_t size, off_t position)
{
    return is_refused() ? -1 : forgetful_pwrite(fd, data, size, position);
}

static int sim_ftruncate(int fd, off_t size)
{
    return is_refused() ? -1 : forgetful_ftruncate(fd, size);
}

static int sim_fsync(int fd)
{
    return is_refused() ? -1 : forgetful_fsync(fd);
}

static int sim_syncfs(int fd)
{
    return is_refused() ? -1 : forgetful_syncfs(fd);
}

/* Write-back that was only begun promises nothing. */
static int sim_sync_range(int fd, off_t position, off_t size)
{
    (void)fd, (void)position, (void)size;
    return is_refused() ? -1 : 0;
}

static int sim_rename(const char *from, const char *to)
{
    return is_refused() ? -1 : forgetful_rename(AT_FDCWD, from, AT_FDCWD, to);
}

static int sim_unlink(const char *path)
{
    return is_refused() ? -1 : forgetful_unlink(AT_FDCWD, path, 0);
}

static int sim_mkdir(const char *path, mode_t mode)
{
    return is_refused() ? -1 : forgetful_mkdir(AT_FDCWD, path, mode);
}

static int sim_rmdir(const char *path)
{
    return is_refused() ? -1 : forgetful_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

void node_disk_begin(const char *dir)
{
    static struct file_ops table;
    table = file_ops_system;
    table.open = sim_open;
    table.close = forgetful_close;
    table.pwrite = sim_pwrite;
    table.ftruncate = sim_ftruncate;
    table.fsync = sim_fsync;
    table.fdatasync = sim_fsync;
    table.syncfs = sim_syncfs;
    table.sync_range = sim_sync_range;
    table.rename = sim_rename;
    table.unlink = sim_unlink;
    table.mkdir = sim_mkdir;
    table.rmdir = sim_rmdir;
    forgetful_begin(dir);
    file_ops = &table;
}

void node_disk_end(void)
{
    file_ops = &file_ops_system;
    forgetful_end();
}

void node_disk_refuse(bool is_on)
{
    refuses = is_on;
}

int node_disk_cut(const struct node *node, uint64_t seed)
{
    return forgetful_cut_below(node->dir, seed % 3 ? CUT_SOME : CUT_ALL, seed);
}
