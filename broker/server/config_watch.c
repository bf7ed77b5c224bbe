/* A change node names an entity; its settings are read anew each time, so a change that is heard
 * twice does no harm and one that came before the start has been read already. Nodes older than a
 * quarter of an hour are removed, as every Kafka broker does. */
#include "broker/server/config_watch.h"

#include "broker/base/trace.h"
#include "coordinator/zk/znode.h"

#define CHANGES_KEPT_MS (15 * 60 * 1000)

struct config_watch {
    struct config_watch_options options;
    int64_t last_seen; /* the highest number of a change node */
    enum err load_error;
    bool has_topics; /* at the start */
};

static void apply_topic(struct config_watch *watch, const char *topic, struct slice data)
{
    struct arena *arena = arena_new();
    struct znode_config config = {0};
    enum err e = znode_config_decode(arena, data, &config);
    if (e) {
        trace_warn("settings not read topic=%s: %s", topic, err_sentence(e));
    } else {
        struct config_map map = {0};
        for (int32_t i = 0; i < config.count; i++)
            config_map_set_slices(&map, config.settings[i].name, config.settings[i].value);
        topic_settings_put(watch->options.topics, topic, &map);
        config_map_done(&map);
    }
    arena_free(arena);
}

static void apply_broker(struct config_watch *watch, enum dynamic_layer layer, struct slice data)
{
    struct arena *arena = arena_new();
    struct znode_config config = {0};
    struct config_map map = {0};
    enum err e = znode_config_decode(arena, data, &config);
    if (e)
        trace_warn("dynamic broker settings not read: %s", err_sentence(e));
    for (int32_t i = 0; !e && i < config.count; i++)
        config_map_set_slices(&map, config.settings[i].name, config.settings[i].value);
    if (!e)
        config_live_apply(watch->options.live, layer, &map);
    config_map_done(&map);
    arena_free(arena);
}

/* --- reading one entity: "topics/foo", "brokers/1", "brokers/<default>" --- */

struct entity_read {
    struct config_watch *watch;
    char *entity;
};

static void entity_came(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct entity_read *read = context;
    struct config_watch *watch = read->watch;
    const char *name = strchr(read->entity, '/') + 1;
    bool is_there = results[0].error == ERR_OK;
    if (!is_there && results[0].error != ERR_NOT_FOUND) {
        trace_warn("settings not read entity=%s error=%s", read->entity,
                   err_name(results[0].error));
    } else if (slice_starts_with(slice_str(read->entity), "topics/")) {
        apply_topic(watch, name, is_there ? results[0].data : SLICE_NULL);
        watch->options.topic_changed(watch->options.context, name);
    } else {
        bool is_default = strcmp(name, ZNODE_CONFIG_DEFAULT) == 0;
        apply_broker(watch, is_default ? DYNAMIC_DEFAULT : DYNAMIC_BROKER,
                     is_there ? results[0].data : SLICE_NULL);
    }
    free(read->entity);
    free(read);
}

static bool concerns_us(const struct config_watch *watch, const char *entity)
{
    char own[32];
    snprintf(own, sizeof own, "brokers/%d", watch->options.broker_id);
    return slice_starts_with(slice_str(entity), "topics/") || strcmp(entity, own) == 0 ||
           strcmp(entity, "brokers/" ZNODE_CONFIG_DEFAULT) == 0;
}

static void read_entity(struct config_watch *watch, struct slice entity)
{
    OWNED_MEM char *name = slice_dup(entity);
    if (!concerns_us(watch, name))
        return;
    struct entity_read *read = mem_new(struct entity_read);
    read->watch = watch;
    OWNED_MEM char *path = mem_printf("/config/%s", name);
    read->entity = TAKE(name);
    struct zk_op op = {.kind = ZK_OP_GET, .path = slice_str(path)};
    zk_read(watch->options.zk, &op, entity_came, read);
}

/* --- topics that come to this broker --- */

struct topics_read {
    struct config_watch *watch;
    int32_t open_count;
    void (*done)(void *context);
    void *context;
};

static void one_closed(struct topics_read *read)
{
    if (--read->open_count)
        return;
    read->done(read->context);
    free(read);
}

static void topic_came(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct topics_read *read = context;
    OWNED_MEM char *path = slice_dup(results[0].path);
    const char *topic = strrchr(path, '/') + 1;
    if (!results[0].error || results[0].error == ERR_NOT_FOUND)
        apply_topic(read->watch, topic, results[0].error ? SLICE_NULL : results[0].data);
    else
        trace_warn("settings not read topic=%s error=%s", topic, err_name(results[0].error));
    one_closed(read);
}

void config_watch_read_topics(struct config_watch *watch, const struct slice *topics, int32_t count,
                              void (*done)(void *context), void *context)
{
    struct topics_read *read = mem_new(struct topics_read);
    *read = (struct topics_read){
        .watch = watch, .open_count = count + 1, .done = done, .context = context};
    struct arena *arena = arena_new();
    for (int32_t i = 0; i < count; i++) {
        struct zk_op op = {.kind = ZK_OP_GET,
                           .path = slice_str(znode_config_path(arena, "topics", topics[i]))};
        zk_read(watch->options.zk, &op, topic_came, read);
    }
    arena_free(arena);
    one_closed(read);
}

/* --- change nodes --- */

static void change_came(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct config_watch *watch = context;
    if (results[0].error)
        return; /* gone meanwhile */
    struct arena *arena = arena_new();
    struct slice entity;
    if (!znode_config_change_decode(arena, results[0].data, &entity))
        read_entity(watch, entity);
    arena_free(arena);
}

static void remove_if_old(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct config_watch *watch = context;
    if (results[0].error ||
        clock_wall_ms(watch->options.clock) - results[0].stat.ctime_ms < CHANGES_KEPT_MS)
        return;
    struct zk_op op = {.kind = ZK_OP_DELETE, .path = results[0].path, .zk_version = ZK_ANY_VERSION};
    zk_submit(watch->options.zk, &op, NULL, NULL);
}

static int compare_names(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static void see_change(struct config_watch *watch, struct arena *arena, struct slice child)
{
    int64_t number;
    if (!slice_starts_with(child, "config_change_") || !znode_sequence_number(child, &number))
        return;
    const char *path = znode_child_path(arena, znode_path(ZNODE_CONFIG_CHANGES), child);
    bool is_new = number > watch->last_seen;
    struct zk_op op = {.kind = is_new ? ZK_OP_GET : ZK_OP_EXISTS, .path = slice_str(path)};
    if (is_new)
        watch->last_seen = number;
    zk_read(watch->options.zk, &op, is_new ? change_came : remove_if_old, watch);
}

static void children_came(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct config_watch *watch = context;
    if (results[0].error) {
        trace_warn("changes of settings not listed error=%s", err_name(results[0].error));
        return;
    }
    struct arena *arena = arena_new();
    int32_t children = results[0].children_count;
    struct slice *names = arena_new_array(arena, struct slice, children + 1);
    if (children)
        memcpy(names, results[0].children, (size_t)children * sizeof *names);
    qsort(names, (size_t)children, sizeof *names, compare_names);
    for (int32_t i = 0; i < children; i++)
        see_change(watch, arena, names[i]);
    arena_free(arena);
}

void config_watch_look(struct config_watch *watch)
{
    struct zk_op op = {
        .kind = ZK_OP_CHILDREN, .path = slice_str(znode_path(ZNODE_CONFIG_CHANGES)), .watch = true};
    zk_read(watch->options.zk, &op, children_came, watch);
}

bool config_watch_fired(struct config_watch *watch, struct slice path)
{
    if (!slice_equal_str(path, znode_path(ZNODE_CONFIG_CHANGES)))
        return false;
    config_watch_look(watch);
    return true;
}

/* --- start-up --- */

#define LOAD_TRIES 10 /* lost connections in a row; each one waited for the next connection */

static void loaded_topic(void *context, const struct zk_result *results, int32_t count)
{
    struct config_watch *watch = context;
    for (int32_t i = 0; i < count; i++) {
        if (results[i].error == ERR_NOT_FOUND)
            continue;
        if (results[i].error) {
            watch->load_error = results[i].error;
            return;
        }
        OWNED_MEM char *path = slice_dup(results[i].path);
        apply_topic(watch, strrchr(path, '/') + 1, results[i].data);
    }
}

static void loaded_topics(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct config_watch *watch = context;
    watch->load_error = results[0].error;
    if (results[0].error)
        return;
    watch->has_topics = results[0].children_count > 0;
    struct arena *arena = arena_new();
    for (int32_t i = 0; i < results[0].children_count; i++) {
        struct zk_op op = {
            .kind = ZK_OP_GET,
            .path = slice_str(znode_config_path(arena, "topics", results[0].children[i]))};
        zk_read(watch->options.zk, &op, loaded_topic, watch);
    }
    arena_free(arena);
}

static void loaded_broker(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct config_watch *watch = context;
    if (!results[0].error)
        apply_broker(watch,
                     slice_equal_str(results[0].path, "/config/brokers/" ZNODE_CONFIG_DEFAULT)
                         ? DYNAMIC_DEFAULT
                         : DYNAMIC_BROKER,
                     results[0].data);
    else if (results[0].error != ERR_NOT_FOUND)
        watch->load_error = results[0].error;
}

static void nothing_more(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct config_watch *watch = context;
    if (results[0].error && results[0].error != ERR_NOT_FOUND)
        watch->load_error = results[0].error;
}

static void wait_for(struct config_watch *watch, enum zk_op_kind kind, const char *path,
                     zk_done_fn *done)
{
    struct zk_op op = {.kind = kind, .path = slice_str(path)};
    zk_session_wait(watch->options.zk, &op, 1, done, watch);
}

static enum err load(struct config_watch *watch)
{
    OWNED_MEM char *own = mem_printf("/config/brokers/%d", watch->options.broker_id);
    watch->load_error = ERR_OK;
    wait_for(watch, ZK_OP_GET, "/config/brokers/" ZNODE_CONFIG_DEFAULT, loaded_broker);
    if (!watch->load_error)
        wait_for(watch, ZK_OP_GET, own, loaded_broker);
    if (!watch->load_error)
        wait_for(watch, ZK_OP_CHILDREN, znode_path(ZNODE_CONFIG_TOPICS), loaded_topics);
    if (!watch->load_error) /* results come in order: once this has come, so have the topics' */
        wait_for(watch, ZK_OP_EXISTS, znode_path(ZNODE_CONFIG_TOPICS), nothing_more);
    return watch->load_error;
}

/* Of a connection or a session. To read it all again does no harm. */
static bool is_lost(enum err e)
{
    return e == ERR_ZK_UNAVAILABLE || e == ERR_SESSION_EXPIRED;
}

enum err config_watch_new(const struct config_watch_options *options, struct config_watch **ret)
{
    struct config_watch *watch = mem_new(struct config_watch);
    watch->options = *options;
    watch->last_seen =
        -1; /* changes that race with the loading are heard: reading twice does no harm */
    enum err e = ERR_ZK_UNAVAILABLE;
    for (int32_t i = 0; i < LOAD_TRIES && is_lost(e); i++)
        e = load(watch);
    if (e) {
        config_watch_free(watch);
        return err_wrap(e, "read the settings in ZooKeeper");
    }
    *ret = watch;
    return ERR_OK;
}

bool config_watch_saw_topics(const struct config_watch *watch)
{
    return watch->has_topics;
}

void config_watch_free(struct config_watch *watch)
{
    free(watch);
}
