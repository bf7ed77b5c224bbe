/* The version of the read guards the write: two clients that change different settings of a topic
 * at the same moment do not undo each other. */
#include "broker/server/config_store.h"

#include "coordinator/zk/zk_session.h"
#include "coordinator/zk/znode.h"

#define ATTEMPTS_MAX 20 /* of the read and write, and of the change node, together */

struct change {
    struct config_store_options options;
    const char *path;
    int32_t attempts;
};

static void read_entity(struct change *change);
static void notify(struct change *change);

static void finish(struct change *change, enum err e)
{
    change->options.stored(change->options.context, e);
}

static bool may_repeat(struct change *change, enum err e)
{
    bool is_passing = e == ERR_ZK_UNAVAILABLE || e == ERR_SESSION_EXPIRED ||
                      e == ERR_ZK_BAD_VERSION || e == ERR_EXISTS || e == ERR_NOT_FOUND;
    return is_passing && ++change->attempts < ATTEMPTS_MAX;
}

static void notified(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct change *change = context;
    enum err e = results[0].error;
    if (e && may_repeat(change, e))
        notify(change);
    else
        finish(change, e ? err_note(e, "the change of %s is stored, but not announced: %s",
                                    change->path, err_text(e))
                         : ERR_OK);
}

static void notify(struct change *change)
{
    struct arena *arena = change->options.arena;
    const char *entity = change->path + strlen("/config/");
    struct zk_op op = {
        .kind = ZK_OP_CREATE,
        .path = slice_str(ZNODE_CONFIG_CHANGE_PREFIX),
        .data = znode_config_change_encode(arena, slice_str(entity)),
        .flags = ZK_CREATE_SEQUENTIAL,
    };
    zk_submit(change->options.zk, &op, notified, change);
}

static void written(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct change *change = context;
    enum err e = results[0].error;
    if (!e)
        notify(change);
    else if (may_repeat(change, e))
        read_entity(change);
    else
        finish(change, err_note(e, "%s is not written: %s", change->path, err_text(e)));
}

static struct znode_config config_of(const struct config_map *map, struct arena *arena)
{
    struct znode_setting *settings = arena_new_array(arena, struct znode_setting, map->count + 1);
    for (int32_t i = 0; i < map->count; i++)
        settings[i] = (struct znode_setting){slice_str(map->entries[i].name),
                                             slice_str(map->entries[i].value)};
    return (struct znode_config){settings, map->count};
}

static void write_entity(struct change *change, const struct zk_result *read,
                         const struct config_map *properties)
{
    struct arena *arena = change->options.arena;
    struct znode_config config = config_of(properties, arena);
    bool is_there = read->error == ERR_OK;
    struct zk_op op = {
        .kind = is_there ? ZK_OP_SET : ZK_OP_CREATE,
        .path = slice_str(change->path),
        .data = is_there ? znode_config_update(arena, read->data, &config)
                         : znode_config_encode(arena, &config),
        .zk_version = read->stat.zk_version,
    };
    zk_submit(change->options.zk, &op, written, change);
}

static void change_and_write(struct change *change, const struct zk_result *read)
{
    struct config_map properties = {0};
    struct slice data = read->error ? SLICE_NULL : read->data;
    enum err e = config_store_decode(change->options.arena, data, &properties);
    if (!e)
        e = change->options.change(change->options.context, &properties);
    if (e || change->options.validate_only)
        finish(change, e);
    else
        write_entity(change, read, &properties);
    config_map_done(&properties);
}

static void entity_came(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct change *change = context;
    enum err e = results[0].error;
    if (!e || e == ERR_NOT_FOUND)
        change_and_write(change, &results[0]);
    else if (may_repeat(change, e))
        read_entity(change);
    else
        finish(change, err_note(e, "%s is not read: %s", change->path, err_text(e)));
}

static void read_entity(struct change *change)
{
    struct zk_op op = {.kind = ZK_OP_GET, .path = slice_str(change->path)};
    zk_read(change->options.zk, &op, entity_came, change);
}

void config_store_change(const struct config_store_options *options)
{
    struct change *change = arena_alloc(options->arena, sizeof *change);
    *change = (struct change){
        .options = *options,
        .path = znode_config_path(options->arena, options->type, options->name),
    };
    read_entity(change);
}

enum err config_store_decode(struct arena *arena, struct slice data,
                             struct config_map *ret_properties)
{
    struct znode_config config = {0};
    enum err e = znode_config_decode(arena, data, &config);
    for (int32_t i = 0; !e && i < config.count; i++)
        config_map_set_slices(ret_properties, config.settings[i].name, config.settings[i].value);
    return e;
}
