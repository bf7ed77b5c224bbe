/* Parsing of options. A command-line program lives for a moment: what is allocated here is kept in
 * one arena, which ends with the process. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/arena.h"
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
    printf("  %-42s %s\n", "--help", "this text");
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
            cli_fail("%s takes a number, not '%s'", row->name, text);
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
        cli_fail("%s needs a value", row->name);
    store(row, argv[at + 1]);
    return 2;
}

void cli_parse(const char *name, const struct option_row *rows, int rows_count, int argc,
               char **argv, struct texts *ret_rest)
{
    running = name;
    for (int i = 1; i < argc;) {
        const char *word = argv[i], *equals = strchr(word, '=');
        size_t size =
            equals && strncmp(word, "--", 2) == 0 ? (size_t)(equals - word) : strlen(word);
        const struct option_row *found = NULL;
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            print_help(rows, rows_count);
        for (int r = 0; r < rows_count && !found; r++) {
            if (strlen(rows[r].name) == size && strncmp(rows[r].name, word, size) == 0)
                found = &rows[r];
        }
        if (found) {
            i += take_option(found, equals && word[size] ? word + size + 1 : NULL, i, argc, argv);
        } else if (ret_rest && strncmp(word, "--", 2) != 0) {
            texts_add(ret_rest, word);
            i++;
        } else {
            cli_fail("unknown option '%s'; see stoker %s --help", word, name);
        }
    }
}
