/* Parsing of options. A command-line program lives for a moment: what is allocated here is kept in
 * one arena, which ends with the process. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/arena.h"
#include "broker/base/buf.h"
#include "broker/base/slice.h"
#include "tools/cli.h"

static const char *running = "stoker";
static struct arena *kept;

static void forget(void)
{
    arena_free(kept);
    kept = NULL;
}

static struct arena *keep(void)
{
    if (!kept) {
        kept = arena_new();
        atexit(forget);
    }
    return kept;
}

void cli_fail(const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "stoker %s: ", running);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void cli_check(enum err e)
{
    if (e)
        cli_fail("%s", err_sentence(e));
}

void texts_add(struct texts *texts, const char *item)
{
    if ((size_t)texts->count == texts->capacity) {
        texts->capacity = texts->capacity ? 2 * texts->capacity : 8;
        const char **items = arena_new_array(keep(), const char *, texts->capacity);
        if (texts->count > 0)
            memcpy(items, texts->items, (size_t)texts->count * sizeof(items[0]));
        texts->items = items;
    }
    texts->items[texts->count++] = item;
}

struct texts texts_split(const char *text)
{
    struct texts texts = {0};
    while (*text) {
        size_t size = strcspn(text, ",");
        if (size > 0)
            texts_add(&texts, arena_strdup(keep(), slice_of(text, size)));
        text += size + (text[size] == ',');
    }
    return texts;
}

bool texts_has(const struct texts *texts, const char *item)
{
    for (int32_t i = 0; i < texts->count; i++) {
        if (strcmp(texts->items[i], item) == 0)
            return true;
    }
    return false;
}

const char *cli_kept(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        cli_fail("out of memory");
    const char *copy = arena_strdup(keep(), slice_of(text, (size_t)size));
    free(text);
    return copy;
}

const char *cli_pair(const char *text, int *ret_name_size)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return NULL;
    *ret_name_size = (int)(equals - text);
    return equals + 1;
}

static void print_help(const struct option_row *rows, int rows_count)
{
    for (const struct command *command = commands; command->name; command++) {
        if (strcmp(command->name, running) == 0)
            printf("stoker %s: %s\n\nUsage: stoker %s %s\n\nOptions:\n", command->name,
                   command->summary, command->name, command->usage);
    }
    for (int i = 0; i < rows_count; i++) {
        char left[64];
        snprintf(left, sizeof(left), "%s%s%s", rows[i].name, rows[i].argument ? " " : "",
                 rows[i].argument ? rows[i].argument : "");
        printf("  %-42s %s\n", left, rows[i].help);
    }
    printf("  %-42s %s\n  %-42s %s\n", "--version", "the version", "--help", "this text");
    exit(0);
}

static void store(const struct option_row *row, const char *text)
{
    int64_t number;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)row->value = true;
        break;
    case OPTION_TEXT:
    case OPTION_TEXT_OR_NOTHING:
        *(const char **)row->value = text;
        break;
    case OPTION_INT:
        if (!slice_to_int64(slice_str(text), &number))
            cli_fail("Cannot parse argument '%s' of option %s", text, row->name + 2);
        *(int64_t *)row->value = number;
        break;
    case OPTION_MANY:
        texts_add(row->value, text);
        break;
    }
}

/* Handle argv[at]; gives back how many words it took. */
static int take_option(const struct option_row *row, const char *inline_value, int at, int argc,
                       char **argv)
{
    if (row->kind == OPTION_FLAG) {
        store(row, NULL);
        return 1;
    }
    if (inline_value) {
        store(row, inline_value);
        return 1;
    }
    bool has_next = at + 1 < argc;
    if (row->kind == OPTION_TEXT_OR_NOTHING && (!has_next || strncmp(argv[at + 1], "--", 2) == 0)) {
        store(row, "");
        return 1;
    }
    if (!has_next)
        cli_fail("Option %s requires an argument", row->name + 2);
    store(row, argv[at + 1]);
    return 2;
}

static void print_version(void)
{
    printf("stoker %s (Kafka 3.9)\n", STOKER_VERSION);
    exit(0);
}

/* The option of this name, or the only one that begins so; NULL. */
static const struct option_row *find_option(const struct option_row *rows, int rows_count,
                                            const char *word, size_t size)
{
    const struct option_row *found = NULL;
    int begin_so = 0;
    for (int i = 0; i < rows_count; i++) {
        if (strncmp(rows[i].name, word, size) != 0)
            continue;
        if (strlen(rows[i].name) == size)
            return &rows[i];
        found = &rows[i];
        begin_so++;
    }
    return begin_so == 1 && size > strlen("--") ? found : NULL;
}

/* Of two values one would be ignored, and nobody knows which was meant. */
static void take_once(uint64_t *taken, const struct option_row *row, int at)
{
    if (row->kind == OPTION_FLAG || row->kind == OPTION_MANY)
        return;
    assert(at < 64);
    if (*taken & UINT64_C(1) << at)
        cli_fail("Found multiple arguments for option %s, but you asked for only one",
                 row->name + 2);
    *taken |= UINT64_C(1) << at;
}

void cli_parse(const char *name, const struct option_row *rows, int rows_count, int argc,
               char **argv, struct texts *ret_rest)
{
    uint64_t taken = 0; /* bits of rows */
    running = name;
    for (int i = 1; i < argc;) {
        const char *word = argv[i], *equals = strchr(word, '=');
        bool is_option = strncmp(word, "--", 2) == 0;
        size_t size = equals && is_option ? (size_t)(equals - word) : strlen(word);
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            print_help(rows, rows_count);
        if (strcmp(word, "--version") == 0)
            print_version();
        const struct option_row *found =
            is_option ? find_option(rows, rows_count, word, size) : NULL;
        if (found) {
            take_once(&taken, found, (int)(found - rows));
            i += take_option(found, equals ? word + size + 1 : NULL, i, argc, argv);
        } else if (ret_rest && !is_option) {
            texts_add(ret_rest, word);
            i++;
        } else if (is_option) {
            cli_fail("%.*s is not a recognized option; see stoker %s --help", (int)size - 2,
                     word + 2, name);
        } else {
            cli_fail("unexpected word '%s'; see stoker %s --help", word, name);
        }
    }
}

const char *cli_digest_auth(const char *text)
{
    static const char scheme[] = "digest:";
    if (!text)
        return NULL;
    if (strncmp(text, scheme, strlen(scheme)) != 0 || !strchr(text + strlen(scheme), ':'))
        cli_fail("--zookeeper-auth is digest:USER:PASSWORD");
    return text + strlen(scheme);
}

void cli_topic_regex(const char *text, regex_t *ret_regex)
{
    OWNED_MEM char *names = mem_strdup(text ? text : ".*");
    for (char *c = names; *c; c++)
        *c = *c == ',' ? '|' : *c;
    OWNED_MEM char *pattern = mem_printf("^(%s)$", names);
    if (regcomp(ret_regex, pattern, REG_EXTENDED | REG_NOSUB))
        cli_fail("%s is an invalid regex.", text);
}

void cli_json_print(json_t *json)
{
    json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', stdout);
    json_decref(json);
}

static json_t *base64_json(struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buf text = {0};
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16 |
                         (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                         (left > 2 ? bytes.data[i + 2] : 0);
        buf_printf(&text, "%c%c%c%c", digits[group >> 18], digits[group >> 12 & 63],
                   left > 1 ? digits[group >> 6 & 63] : '=', left > 2 ? digits[group & 63] : '=');
    }
    json_t *json = json_pack("{s:s%}", "base64", text.data ? (char *)text.data : "", text.size);
    buf_done(&text);
    return json;
}

json_t *cli_json_text(struct slice text)
{
    if (slice_is_null(text))
        return json_null();
    json_t *json = json_stringn(text.data ? (const char *)text.data : "", text.size);
    return json ? json : base64_json(text);
}
