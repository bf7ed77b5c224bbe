/* From a file to a snapshot: read, put the overrides over it, bind fields, check, refuse.
 * Everything that is wrong is gathered on the way, so that `--check` can tell it all at once; a
 * load gives back the first. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "broker/base/trace.h"
#include "broker/config/config_internal.h"
#include "broker/config/properties.h"

#define OVERRIDE_LINE (-1) /* of entries that came by --override */

static void say_where(const struct config_problems *problems, const char *key, struct buf *out)
{
    if (problems->is_dynamic)
        return;
    const struct config_entry *entry =
        key && problems->merged ? config_map_entry(problems->merged, key) : NULL;
    if (entry && entry->line == OVERRIDE_LINE)
        buf_printf(out, "--override: ");
    else if (entry && entry->line > 0 && problems->file_name)
        buf_printf(out, "%s:%" PRId32 ": ", problems->file_name, entry->line);
    else if (problems->file_name)
        buf_printf(out, "%s: ", problems->file_name);
}

static void add(struct config_problems *problems, const char *kind, const char *key,
                const char *format, va_list arguments)
{
    char sentence[ERR_SENTENCE_MAX];
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    buf_printf(&problems->text, "%s: ", kind);
    say_where(problems, key, &problems->text);
    buf_printf(&problems->text, "%s\n", sentence);
}

void config_problem_error(struct config_problems *problems, const char *key, const char *format,
                          ...)
{
    size_t begin = problems->text.size + strlen("error: ");
    va_list arguments;
    va_start(arguments, format);
    add(problems, "error", key, format, arguments);
    va_end(arguments);
    problems->errors++;
    if (!problems->first_error)
        problems->first_error =
            mem_strndup((const char *)problems->text.data + begin, problems->text.size - begin - 1);
}

void config_problem_warn(struct config_problems *problems, const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(problems, "warning", key, format, arguments);
    va_end(arguments);
    problems->warnings++;
}

void config_problems_done(struct config_problems *problems)
{
    buf_done(&problems->text);
    free(problems->first_error);
    *problems = (struct config_problems){0};
}

/* A higher layer's setting hides those it stands in for: a dynamic log.retention.ms beats the
 * file's log.retention.hours, and the other way round (DynamicBrokerConfig.overrideProps). */
static void put_layer(struct config_map *merged, const struct config_map *layer, bool is_file)
{
    for (int32_t i = 0; i < layer->count; i++) {
        const struct config_entry *entry = &layer->entries[i];
        const char *names[CONFIG_SYNONYMS_MAX];
        config_key_synonyms(entry->name, names);
        for (int n = 0; !is_file && n < CONFIG_SYNONYMS_MAX && names[n]; n++) {
            if (strcmp(names[n], entry->name) != 0) /* its own is replaced below */
                config_map_remove(merged, names[n]);
        }
    }
    for (int32_t i = 0; i < layer->count; i++) {
        const struct config_entry *entry = &layer->entries[i];
        config_map_set_line(merged, entry->name, entry->value, entry->line);
    }
}

static void warn_unknown(const struct config *config, struct config_problems *problems)
{
    const struct config_map *file = &config->inside->layers[LAYER_FILE];
    for (int32_t i = 0; i < file->count; i++) {
        const char *name = file->entries[i].name;
        if (config_key_find(name) || strncmp(name, "listener.name.", 14) == 0 ||
            config_refuse_knows(name))
            continue;
        const char *nearest = config_key_nearest(name);
        if (nearest)
            config_problem_warn(problems, name, "unknown setting '%s'; did you mean '%s'?", name,
                                nearest);
        else
            config_problem_warn(problems, name, "unknown setting '%s'", name);
    }
}

static void config_free(struct config *config)
{
    struct config_inside *inside = config->inside;
    for (int i = 0; i < LAYERS_COUNT; i++)
        config_map_done(&inside->layers[i]);
    config_map_done(&inside->merged);
    free(inside->file_name);
    arena_free(inside->arena);
    free(inside);
    free(config);
}

struct config *config_build(const char *file_name,
                            const struct config_map *const layers[LAYERS_COUNT],
                            struct config_problems *problems)
{
    struct config *config = mem_new(struct config);
    struct config_inside *inside = config->inside = mem_new(struct config_inside);
    atomic_init(&inside->references, 1);
    inside->arena = arena_new();
    inside->file_name = file_name ? mem_strdup(file_name) : NULL;
    for (int i = 0; i < LAYERS_COUNT; i++) {
        config_map_copy(&inside->layers[i], layers[i]);
        put_layer(&inside->merged, &inside->layers[i], i == LAYER_FILE);
    }
    problems->file_name = file_name;
    problems->merged = &inside->merged;

    config_bind_fields(config, problems);
    if (problems->errors == 0)
        config_resolve_units(config, problems);
    config_refuse(config, problems); /* before what only follows from it */
    config_read_listeners(config, problems);
    if (problems->errors == 0)
        config_check_together(config, problems);
    warn_unknown(config, problems);

    problems->merged = NULL;
    if (problems->errors == 0)
        return config;
    config_free(config);
    return NULL;
}

const struct config *config_ref(const struct config *config)
{
    atomic_fetch_add_explicit(&config->inside->references, 1, memory_order_relaxed);
    return config;
}

void config_unref(const struct config *config)
{
    if (config &&
        atomic_fetch_sub_explicit(&config->inside->references, 1, memory_order_acq_rel) == 1)
        config_free((struct config *)config);
}

static void put_overrides(struct config_map *file, const struct config_pair *overrides,
                          int32_t overrides_count)
{
    for (int32_t i = 0; i < overrides_count; i++)
        config_map_set_line(file, overrides[i].name, overrides[i].value, OVERRIDE_LINE);
}

static struct config *build_from(const char *name, struct config_map *file,
                                 const struct config_pair *overrides, int32_t overrides_count,
                                 struct config_problems *problems)
{
    put_overrides(file, overrides, overrides_count);
    const struct config_map *layers[LAYERS_COUNT] = {[LAYER_FILE] = file};
    return config_build(name, layers, problems);
}

static void trace_warnings(const struct config_problems *problems)
{
    const char *line = (const char *)problems->text.data;
    const char *end = line + problems->text.size;
    while (problems->warnings && line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (strncmp(line, "warning: ", 9) == 0)
            trace_warn("%.*s", (int)(stop - line - 9), line + 9);
        line = stop + 1;
    }
}

static enum err finish(const char *name, struct config_map *file,
                       const struct config_pair *overrides, int32_t overrides_count,
                       struct config **ret_config)
{
    struct config_problems problems = {0};
    struct config *config = build_from(name, file, overrides, overrides_count, &problems);
    trace_warnings(&problems);
    enum err e = ERR_OK;
    if (config)
        *ret_config = config;
    else
        e = err_note(ERR_INVALID_CONFIG, "%s", problems.first_error);
    config_problems_done(&problems);
    return e;
}

enum err config_load(const char *path, const struct config_pair *overrides, int32_t overrides_count,
                     struct config **ret_config)
{
    struct config_map file = {0};
    enum err e = path ? properties_read(path, &file) : ERR_OK;
    if (!e)
        e = finish(path, &file, overrides, overrides_count, ret_config);
    config_map_done(&file);
    return e;
}

enum err config_parse(const char *name, struct slice text, const struct config_pair *overrides,
                      int32_t overrides_count, struct config **ret_config)
{
    struct config_map file = {0};
    enum err e = properties_parse(name, text, &file);
    if (!e)
        e = finish(name, &file, overrides, overrides_count, ret_config);
    config_map_done(&file);
    return e;
}

enum err config_check(const char *path, const struct config_pair *overrides,
                      int32_t overrides_count, FILE *out)
{
    struct config_map file = {0};
    struct config_problems problems = {0};
    enum err e = path ? properties_read(path, &file) : ERR_OK;
    if (e) {
        fprintf(out, "error: %s\n", err_sentence(e));
    } else {
        config_unref(build_from(path, &file, overrides, overrides_count, &problems));
        if (problems.text.size > 0)
            fwrite(problems.text.data, 1, problems.text.size, out);
        fprintf(out, "%s: %" PRId32 " error%s, %" PRId32 " warning%s\n", path ? path : "settings",
                problems.errors, problems.errors == 1 ? "" : "s", problems.warnings,
                problems.warnings == 1 ? "" : "s");
        if (problems.errors)
            e = err_note(ERR_INVALID_CONFIG, "%s", problems.first_error);
    }
    config_problems_done(&problems);
    config_map_done(&file);
    return e;
}
