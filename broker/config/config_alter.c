/* Changes of settings: Kafka's ConfigAdminManager and DynamicBrokerConfig, as functions on maps.
 *
 * A broker's dynamic settings are judged by what they would make of the broker: the layer is put
 * over the snapshot in force, and whatever a start would refuse is refused here. */
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "broker/base/map.h"
#include "broker/config/config_alter.h"
#include "broker/config/config_internal.h"

static bool has_name_twice(const struct config_op *ops, int32_t ops_count)
{
    struct map names = {0};
    bool is_twice = false;
    for (int32_t i = 0; !is_twice && i < ops_count; i++)
        is_twice = map_put(&names, ops[i].name, (void *)&ops[i]) != NULL;
    map_done(&names);
    return is_twice;
}

enum err config_ops_check_names(const struct config_op *ops, int32_t ops_count)
{
    if (has_name_twice(ops, ops_count))
        return err_note(ERR_INVALID_REQUEST, "Error due to duplicate config keys");
    struct buf nulls = {0};
    for (int32_t i = 0; i < ops_count; i++) {
        if (ops[i].kind != CONFIG_OP_DELETE && slice_is_null(ops[i].value))
            buf_printf(&nulls, "%s%.*s", nulls.size ? ", " : "", SLICE_ARG(ops[i].name));
    }
    enum err e = nulls.size ? err_note(ERR_INVALID_REQUEST, "Null value not supported for : %.*s",
                                       SLICE_ARG(buf_slice(&nulls)))
                            : ERR_OK;
    buf_done(&nulls);
    return e;
}

static bool is_same(struct slice value, const char *text)
{
    return text && slice_equal_str(value, text);
}

enum err config_ops_check_live(const struct config *config, const struct config_op *ops,
                               int32_t ops_count, const struct config_map *before)
{
    for (int32_t i = 0; i < ops_count; i++) {
        OWNED_MEM char *name = mem_strndup((const char *)ops[i].name.data, ops[i].name.size);
        const struct config_key *key = config_key_find(name);
        bool is_frozen = key && (key->flags & KEY_AT_START) && ops[i].kind != CONFIG_OP_DELETE;
        if (is_frozen && !is_same(ops[i].value, config_map_get(before, name)) &&
            !is_same(ops[i].value, config_text(config, key)))
            return err_note(ERR_INVALID_REQUEST, "Cannot update these configs dynamically: Set(%s)",
                            name);
    }
    return ERR_OK;
}

/* Split at every comma and keep empty parts but trailing ones, as Java's String.split does. */
static struct config_list split_plain(const char *text, struct arena *arena)
{
    size_t size = strlen(text), count = 1;
    for (size_t i = 0; i < size; i++)
        count += text[i] == ',';
    const char **items = arena_new_array(arena, const char *, count);
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(text, ",");
        items[i] = arena_strdup(arena, slice_of(text, length));
        text += length + (text[length] == ',');
    }
    while (count > 1 && items[count - 1][0] == 0)
        count--;
    return (struct config_list){items, (int32_t)count};
}

static void put_items(struct map *set, const struct config_list *list)
{
    for (int32_t i = 0; i < list->count; i++)
        map_put(set, slice_str(list->items[i]), (void *)list);
}

static bool contains(const struct map *set, const char *item)
{
    return map_get(set, slice_str(item)) != NULL;
}

static void join(struct buf *out, const char *item)
{
    buf_printf(out, "%s%s", out->size ? "," : "", item);
}

/* append: the old items, then the new ones that are not there; subtract: the old ones that are not
 * named. */
static char *change_list(const char *old, const char *change, bool is_append)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct config_list before = split_plain(old, arena), named = split_plain(change, arena);
    struct map old_items = {0}, named_items = {0};
    struct buf out = {0};
    put_items(&old_items, &before);
    put_items(&named_items, &named);
    for (int32_t i = 0; i < before.count; i++) {
        if (before.items[i][0] && (is_append || !contains(&named_items, before.items[i])))
            join(&out, before.items[i]);
    }
    for (int32_t i = 0; is_append && i < named.count; i++) {
        if (!contains(&old_items, named.items[i]))
            join(&out, named.items[i]);
    }
    map_done(&old_items);
    map_done(&named_items);
    char *text = mem_strndup(out.data ? (const char *)out.data : "", out.size);
    buf_done(&out);
    return text;
}

static enum err apply_to_list(enum config_target target, const struct config_op *op,
                              const char *name, const char *value, struct config_map *properties)
{
    const struct config_key *key =
        target == TARGET_TOPIC ? topic_key_find(name) : config_key_find(name);
    bool is_append = op->kind == CONFIG_OP_APPEND;
    if (!key)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "Unknown config name: %s", name);
    if (key->type != CONFIG_LIST)
        return err_note(ERR_INVALID_CONFIG, "Config value %s is not allowed for config key: %s",
                        is_append ? "append" : "subtract", name);
    const char *old = config_map_get(properties, name);
    if (!old)
        old = config_key_fallback(key) ? config_key_fallback(key) : "";
    OWNED_MEM char *text = change_list(old, value, is_append);
    config_map_set(properties, name, text);
    return ERR_OK;
}

static enum err apply(enum config_target target, const struct config_op *op,
                      struct config_map *properties)
{
    OWNED_MEM char *name = mem_strndup((const char *)op->name.data, op->name.size);
    OWNED_MEM char *value = mem_strndup((const char *)op->value.data, op->value.size);
    switch (op->kind) {
    case CONFIG_OP_SET:
        config_map_set(properties, name, value);
        return ERR_OK;
    case CONFIG_OP_DELETE: /* all of them at the end */
        return ERR_OK;
    case CONFIG_OP_APPEND:
    case CONFIG_OP_SUBTRACT:
        return apply_to_list(target, op, name, value, properties);
    default:
        if (target != TARGET_TOPIC)
            return err_note(ERR_INVALID_REQUEST, "Unknown operations type %d", op->kind);
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "unknown config operation %d for %s", op->kind,
                        name);
    }
}

static bool is_not_in(void *set, const char *name)
{
    return !map_get(set, slice_str(name));
}

/* Names are distinct, so it does not matter that deletes come last. */
static void apply_deletes(const struct config_op *ops, int32_t ops_count,
                          struct config_map *properties)
{
    struct map deleted = {0};
    for (int32_t i = 0; i < ops_count; i++) {
        if (ops[i].kind == CONFIG_OP_DELETE)
            map_put(&deleted, ops[i].name, (void *)&ops[i]);
    }
    if (deleted.count)
        config_map_keep(properties, is_not_in, &deleted);
    map_done(&deleted);
}

enum err config_ops_apply(enum config_target target, const struct config_op *ops, int32_t ops_count,
                          struct config_map *properties)
{
    enum err e = config_ops_check_names(ops, ops_count);
    for (int32_t i = 0; !e && i < ops_count; i++)
        e = apply(target, &ops[i], properties);
    if (!e)
        apply_deletes(ops, ops_count, properties);
    return e;
}

enum err config_ops_replace(const struct config_op *ops, int32_t ops_count,
                            struct config_map *ret_properties)
{
    enum err e = config_ops_check_names(ops, ops_count);
    for (int32_t i = 0; !e && i < ops_count; i++)
        config_map_set_slices(ret_properties, ops[i].name, ops[i].value);
    return e;
}

/* "listener.name.<listener>.<setting>": the setting, or NULL. */
static const char *behind_listener_prefix(const char *name)
{
    const char *dot = NULL;
    if (strncmp(name, "listener.name.", 14) == 0)
        dot = strchr(name + 14, '.');
    return dot ? dot + 1 : NULL;
}

/* Stores of keys and of certificates, which a listener reads anew. */
static bool is_security(const struct config_key *key)
{
    return strncmp(key->name, "ssl.keystore.", 13) == 0 ||
           strncmp(key->name, "ssl.truststore.", 15) == 0 ||
           strcmp(key->name, "ssl.key.password") == 0;
}

/* A listener's own settings that may also be said for all brokers at once. */
static bool is_for_any_broker(const char *inner)
{
    return strcmp(inner, "max.connections") == 0 ||
           strcmp(inner, "max.connection.creation.rate") == 0 ||
           strcmp(inner, "num.network.threads") == 0;
}

static bool is_read_only(enum config_target target, const char *name)
{
    (void)target;
    const struct config_key *key = config_key_find(name);
    return key && key->update == UPDATE_READ_ONLY;
}

static bool is_bare_security(enum config_target target, const char *name)
{
    (void)target;
    const struct config_key *key = config_key_find(name);
    return key && is_security(key);
}

static bool is_not_for_all(enum config_target target, const char *name)
{
    const char *inner = behind_listener_prefix(name);
    const struct config_key *key = config_key_find(name);
    if (target != TARGET_BROKER_DEFAULT)
        return false;
    return inner ? !is_for_any_broker(inner) : key && key->update == UPDATE_PER_BROKER;
}

/* What may not be changed while the broker runs, or not on this target, in the order of the JVM
 * broker's questions. Unknown names are let through, since a plug-in may know them. */
static const struct {
    bool (*is_refused)(enum config_target target, const char *name);
    const char *sentence, *set;
} refusals[] = {
    {is_read_only, "Cannot update these configs dynamically", "Set"},
    {is_bare_security,
     "These security configs can be dynamically updated only per-listener using the listener "
     "prefix",
     "HashSet"},
    {is_not_for_all,
     "Cannot update these configs at default cluster level, broker id must be specified", "Set"},
};

static enum err check_names(enum config_target target, const struct config_map *properties)
{
    enum err e = ERR_OK;
    for (size_t r = 0; !e && r < ARRAY_SIZE(refusals); r++) {
        struct buf names = {0};
        for (int32_t i = 0; i < properties->count; i++) {
            const char *name = properties->entries[i].name;
            if (refusals[r].is_refused(target, name))
                buf_printf(&names, "%s%s", names.size ? ", " : "", name);
        }
        if (names.size)
            e = err_note(ERR_INVALID_REQUEST, "%s: %s(%.*s)", refusals[r].sentence, refusals[r].set,
                         SLICE_ARG(buf_slice(&names)));
        buf_done(&names);
    }
    return e;
}

static const char *const thread_pools[] = {
    "num.io.threads", "num.network.threads", "num.replica.fetchers",
    "num.recovery.threads.per.data.dir", "background.threads"};

static int64_t number_of(const struct config *config, const char *name)
{
    const struct config_key *key = config_key_find(name);
    struct config_value value = {0};
    OWNED(arena) struct arena *arena = arena_new();
    if (config_value_parse(key, config_text(config, key), arena, &value))
        return 0;
    return value.number;
}

/* How the JVM broker wraps what its parts say of a dynamic setting. */
#define NESTED     "Invalid value org.apache.kafka.common.config.ConfigException: "
#define NESTED_END " for configuration Invalid dynamic configuration"

static enum err check_thread_count(const char *name, int64_t before, int64_t after)
{
    const char *rule = NULL;
    if (after == before)
        return ERR_OK;
    if (after <= 0)
        return err_note(ERR_INVALID_REQUEST,
                        NESTED "Dynamic thread count update validation failed for %s=%" PRId64
                               ", value should be at least 1" NESTED_END,
                        name, after);
    if (after < before / 2)
        rule = "at least half";
    else if (after > before * 2)
        rule = "not be greater than double";
    if (rule)
        return err_note(ERR_INVALID_REQUEST,
                        NESTED "Dynamic thread count update validation failed for %s=%" PRId64
                               ", value should %s%s the current value %" PRId64 NESTED_END,
                        name, after, after < before ? "be " : "", rule, before);
    return ERR_OK;
}

/* A pool of threads may at most double or halve in one step. */
static enum err check_threads(const struct config *now, const struct config *next)
{
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < ARRAY_SIZE(thread_pools); i++)
        e = check_thread_count(thread_pools[i], number_of(now, thread_pools[i]),
                               number_of(next, thread_pools[i]));
    return e;
}

/* What a listener has for this setting: its own, or the broker's. */
static int64_t number_of_listener(const struct config *config, const char *listener,
                                  const char *setting)
{
    const char *text = config_listener_text(config, listener, setting);
    struct config_value value = {0};
    OWNED(arena) struct arena *arena = arena_new();
    if (!text || config_value_parse(config_key_find(setting), text, arena, &value))
        return number_of(config, setting);
    return value.number;
}

/* Each listener that is open judges its limits, and its threads, by itself. */
static enum err check_listener_limits(const struct config *now, const struct config *next)
{
    static const char *const limits[] = {"max.connections", "max.connection.creation.rate"};
    for (int32_t i = 0; i < now->listeners_count; i++) {
        const char *name = now->listeners[i].name;
        for (size_t l = 0; l < ARRAY_SIZE(limits); l++) {
            int64_t after = number_of_listener(next, name, limits[l]);
            if (after <= 0 && after != number_of_listener(now, name, limits[l]))
                return err_note(ERR_INVALID_REQUEST, NESTED "Invalid %s %" PRId64 NESTED_END,
                                limits[l], after);
        }
        const char *threads = "num.network.threads";
        enum err e = check_thread_count(threads, number_of_listener(now, name, threads),
                                        number_of_listener(next, name, threads));
        if (e)
            return e;
    }
    return ERR_OK;
}

static bool differs(const struct config *a, const struct config *b, const char *name)
{
    return config_key_differs(config_key_find(name), a, b);
}

/* Is this a listener's own setting that a listener which stays open cannot change? */
static bool is_fixed_for_listener(const char *name, const char *listener)
{
    size_t size = strlen(listener);
    const char *inner = behind_listener_prefix(name);
    return inner && strncasecmp(name + strlen("listener.name."), listener, size) == 0 &&
           inner == name + strlen("listener.name.") + size + 1 && !is_for_any_broker(inner) &&
           strncmp(inner, "ssl.", 4) != 0 && strncmp(inner, "sasl.", 5) != 0;
}

static bool same_fixed_settings(const struct config *from, const struct config *to,
                                const char *listener)
{
    const struct config_map *map = &from->inside->merged;
    for (int32_t i = 0; i < map->count; i++) {
        const char *name = map->entries[i].name;
        const char *other = config_map_get(&to->inside->merged, name);
        if (is_fixed_for_listener(name, listener) &&
            (!other || strcmp(other, map->entries[i].value) != 0))
            return false;
    }
    return true;
}

/* DynamicListenerConfig: what may not change for a listener that stays. */
static enum err check_listeners(const struct config *now, const struct config *next)
{
    if (!differs(now, next, "listeners") && !differs(now, next, "advertised.listeners") &&
        !differs(now, next, "listener.security.protocol.map"))
        return ERR_OK;
    for (int32_t i = 0; i < next->listeners_count; i++) {
        const char *name = next->listeners[i].name;
        const struct listener_config *old = config_listener(now, name);
        if (!old)
            continue;
        if (!same_fixed_settings(now, next, name) || !same_fixed_settings(next, now, name))
            return err_note(ERR_INVALID_REQUEST,
                            NESTED "Configs cannot be updated dynamically for existing listener "
                                   "ListenerName(%s), restart broker or create a new listener for "
                                   "update" NESTED_END,
                            name);
        if (old->protocol != next->listeners[i].protocol)
            return err_note(ERR_INVALID_REQUEST,
                            NESTED "Security protocol cannot be updated for existing listener "
                                   "ListenerName(%s)" NESTED_END,
                            name);
    }
    return ERR_OK;
}

/* Plug-ins are Java classes, of which none can be loaded here. */
static enum err check_plug_ins(const struct config *now, const struct config *next)
{
    const char *text = config_text(next, config_key_find("metric.reporters"));
    if (differs(now, next, "metric.reporters") && text && text[strspn(text, " ,")])
        return err_note(ERR_INVALID_REQUEST,
                        NESTED "Validation of dynamic config update of Set(metric.reporters) "
                               "failed with class class "
                               "kafka.server.DynamicMetricsReporters" NESTED_END);
    return ERR_OK;
}

/* A listener's own settings have the types of the broker's, whether there is such a listener or
 * not. */
static enum err check_types_of_listeners(const struct config_map *properties)
{
    OWNED(arena) struct arena *arena = arena_new();
    for (int32_t i = 0; i < properties->count; i++) {
        const char *inner = behind_listener_prefix(properties->entries[i].name);
        const struct config_key *key = inner ? config_key_find(inner) : NULL;
        struct config_value value = {0};
        if (key && config_value_parse(key, properties->entries[i].value, arena, &value))
            return err_note(ERR_INVALID_REQUEST, "%s", err_sentence(ERR_INVALID_CONFIG));
    }
    return ERR_OK;
}

static enum err check_change(const struct config *now, const struct config *next)
{
    enum err e = check_threads(now, next);
    if (!e)
        e = check_listener_limits(now, next);
    if (!e)
        e = check_listeners(now, next);
    return e ? e : check_plug_ins(now, next);
}

enum err broker_config_check(const struct config *config, enum config_target target,
                             const struct config_map *properties)
{
    struct config_problems problems = {.is_dynamic = true};
    const struct config_map *layers[LAYERS_COUNT];
    enum err e = check_names(target, properties);
    if (!e)
        e = check_types_of_listeners(properties);
    if (e)
        return e;
    for (int i = 0; i < LAYERS_COUNT; i++)
        layers[i] = &config->inside->layers[i];
    layers[target == TARGET_BROKER ? LAYER_DYNAMIC_BROKER : LAYER_DYNAMIC_DEFAULT] = properties;

    struct config *next = config_build(NULL, layers, &problems);
    e = next ? check_change(config, next)
             : err_note(ERR_INVALID_REQUEST, "%s", problems.first_error);
    config_unref(next);
    config_problems_done(&problems);
    return e;
}
