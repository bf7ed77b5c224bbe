/* Options of a command: one table, from which parsing and --help follow. As Kafka's tools take
 * them:
 * `--name value` or `--name=value`, each once or (OPTION_MANY) as often as one likes. */
#pragma once

#include <jansson.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/base/err.h"
#include "broker/base/slice.h"

enum option_kind {
    OPTION_FLAG,            /* bool */
    OPTION_TEXT,            /* const char * */
    OPTION_INT,             /* int64_t */
    OPTION_MANY,            /* struct texts */
    OPTION_TEXT_OR_NOTHING, /* const char *; "" when the next word is another option */
};

struct texts {
    const char **items;
    int32_t count;
    size_t capacity;
};

struct option_row {
    const char *name; /* "--topic" */
    enum option_kind kind;
    void *value;
    const char *argument; /* how help calls it, NULL for flags */
    const char *help;
};

struct command {
    const char *name, *summary, *usage;
    int (*run)(int argc,
               char **argv); /* argv[0] is the command's name; gives back the exit status */
};

/* The commands there are, ends with a NULL name. */
extern const struct command commands[];

/* Fill the values. `--help` prints usage and options and ends the process with 0, `--version` does
 * so with the version; a mistake prints one sentence and ends it with 1. A name may be cut short
 * where it stays the only one, as Kafka's tools allow. Words that are no options are left in
 * ret_rest (may be NULL: none allowed). */
void cli_parse(const char *name, const struct option_row *rows, int rows_count, int argc,
               char **argv, struct texts *ret_rest);

/* Print "stoker NAME: sentence" and end the process with 1. */
_Noreturn void cli_fail(const char *format, ...) PRINTF_LIKE(1, 2);

/* The same with the sentence of the error; nothing when `e` is ERR_OK. */
void cli_check(enum err e);

void texts_add(struct texts *texts, const char *item);
/* Split at commas. Lists of texts are freed with the process. */
struct texts texts_split(const char *text);
bool texts_has(const struct texts *texts, const char *item);

/* A text that lives as long as the process. */
const char *cli_kept(const char *format, ...) PRINTF_LIKE(1, 2);

/* "a=b": the part behind '=', with the name's size in ret_size; NULL without '='. */
const char *cli_pair(const char *text, int *ret_name_size);

/* What --zookeeper-auth says, as the brokers' setting stoker.zookeeper.auth: of
 * "digest:USER:PASSWORD" the part behind the scheme. Ends the process where it is none; NULL where
 * text is. */
const char *cli_digest_auth(const char *text);

/* Topics as Kafka's tools name them: a regular expression for the whole name, or several behind
 * commas; NULL names all. Ends the process when it is none. regfree() it. */
void cli_topic_regex(const char *text, regex_t *ret_regex);

/* Print as one line, and free. */
void cli_json_print(json_t *json);
/* A text; null; what is not UTF-8 as {"base64": "…"}. */
json_t *cli_json_text(struct slice text);
