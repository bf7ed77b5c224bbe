/* Look at and change znodes from a shell, in the words of ZooKeeper's own: one command given as
 * arguments, or one a line of standard input. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "broker/base/buf.h"
#include "broker/base/trace.h"
#include "coordinator/zk/zk_session.h"
#include "tools/commands.h"

#define SESSION_TIMEOUT_MS 30000
#define WORDS_MAX          16

struct shell {
    struct zk_session *session;
    struct mailbox *mailbox;
    struct zk *zk;
    char *chroot; /* "" or "/kafka": ours to prefix, so that a mistyped one is not created */
    bool json;
};

/* The words of a command: options taken out, a path, data. */
struct line {
    const char *name, *path, *data;
    int64_t zk_version; /* -v VERSION */
    bool is_recursive, with_stat, is_ephemeral, is_sequential;
};

struct answer {
    enum err error;
    struct buf path, data;
    bool is_null;
    struct zk_stat stat;
    char **children;
    int32_t children_count;
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void keep_answer(void *context, const struct zk_result *results, int32_t count)
{
    struct answer *answer = context;
    (void)count;
    answer->error = results->error;
    answer->stat = results->stat;
    answer->is_null = slice_is_null(results->data);
    if (results->path.size > 0)
        buf_put_slice(&answer->path, results->path);
    if (results->data.size > 0)
        buf_put_slice(&answer->data, results->data);
    answer->children = mem_new_array(char *, (size_t)results->children_count + 1);
    for (int32_t i = 0; i < results->children_count; i++)
        answer->children[answer->children_count++] = slice_dup(results->children[i]);
    qsort(answer->children, (size_t)answer->children_count, sizeof(char *), compare_texts);
}

static void answer_done(struct answer *answer)
{
    for (int32_t i = 0; i < answer->children_count; i++)
        free(answer->children[i]);
    free(answer->children);
    buf_done(&answer->path);
    buf_done(&answer->data);
}

static void ask(struct shell *shell, struct zk_op op, const char *path, struct answer *ret_answer)
{
    bool is_root = strcmp(path, "/") == 0 && shell->chroot[0];
    OWNED_MEM char *whole = mem_printf("%s%s", shell->chroot, is_root ? "" : path);
    *ret_answer = (struct answer){0};
    op.path = slice_str(whole);
    zk_session_wait(shell->zk, &op, 1, keep_answer, ret_answer);
}

/* Say what went wrong; true if nothing did. */
static bool went_well(const struct answer *answer, const char *path)
{
    switch (answer->error) {
    case ERR_OK:
        return true;
    case ERR_NOT_FOUND:
        fprintf(stderr, "Node does not exist: %s\n", path);
        break;
    case ERR_EXISTS:
        fprintf(stderr, "Node already exists: %s\n", path);
        break;
    case ERR_ZK_NOT_EMPTY:
        fprintf(stderr, "Node not empty: %s\n", path);
        break;
    case ERR_ZK_BAD_VERSION:
        fprintf(stderr, "version No is not valid : %s\n", path);
        break;
    default:
        fprintf(stderr, "%s: %s\n", path, err_text(answer->error));
    }
    return false;
}

static void print_time(const char *label, int64_t time_ms)
{
    char text[64];
    struct tm tm;
    time_t seconds = (time_t)(time_ms / 1000);
    localtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%a %b %d %H:%M:%S %Z %Y", &tm);
    printf("%s = %s\n", label, text);
}

static void print_stat(const struct zk_stat *stat)
{
    printf("cZxid = 0x%" PRIx64 "\n", stat->czxid);
    print_time("ctime", stat->ctime_ms);
    printf("mZxid = 0x%" PRIx64 "\n", stat->mzxid);
    print_time("mtime", stat->mtime_ms);
    printf("pZxid = 0x%" PRIx64 "\ncversion = %" PRId32 "\ndataVersion = %" PRId32
           "\nephemeralOwner = 0x%" PRIx64 "\ndataLength = %" PRId32 "\nnumChildren = %" PRId32
           "\n",
           stat->pzxid, stat->children_version, stat->zk_version, stat->ephemeral_owner,
           stat->data_size, stat->children_count);
}

static json_t *stat_json(const struct zk_stat *stat)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:i,s:i,s:I,s:i,s:i}", "czxid", (json_int_t)stat->czxid,
                     "ctime_ms", (json_int_t)stat->ctime_ms, "mzxid", (json_int_t)stat->mzxid,
                     "mtime_ms", (json_int_t)stat->mtime_ms, "pzxid", (json_int_t)stat->pzxid,
                     "children_version", stat->children_version, "version", stat->zk_version,
                     "ephemeral_owner", (json_int_t)stat->ephemeral_owner, "data_size",
                     stat->data_size, "children_count", stat->children_count);
}

static void print_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    printf("\n");
    json_decref(json);
}

static bool list_below(struct shell *shell, const char *path)
{
    struct answer answer;
    ask(shell, (struct zk_op){.kind = ZK_OP_CHILDREN}, path, &answer);
    bool is_well = went_well(&answer, path);
    if (is_well)
        printf("%s\n", path);
    for (int32_t i = 0; is_well && i < answer.children_count; i++) {
        OWNED_MEM char *child =
            mem_printf("%s/%s", strcmp(path, "/") == 0 ? "" : path, answer.children[i]);
        is_well = list_below(shell, child);
    }
    answer_done(&answer);
    return is_well;
}

static bool run_ls(struct shell *shell, const struct line *line)
{
    struct answer answer;
    if (line->is_recursive)
        return list_below(shell, line->path);
    ask(shell, (struct zk_op){.kind = ZK_OP_CHILDREN}, line->path, &answer);
    bool is_well = went_well(&answer, line->path);
    if (is_well && shell->json) {
        json_t *names = json_array();
        for (int32_t i = 0; i < answer.children_count; i++)
            json_array_append_new(names, json_string(answer.children[i]));
        print_json(names);
    } else if (is_well) {
        printf("[");
        for (int32_t i = 0; i < answer.children_count; i++)
            printf("%s%s", i ? ", " : "", answer.children[i]);
        printf("]\n");
        if (line->with_stat)
            print_stat(&answer.stat);
    }
    answer_done(&answer);
    return is_well;
}

static bool run_get(struct shell *shell, const struct line *line)
{
    struct answer answer;
    ask(shell, (struct zk_op){.kind = ZK_OP_GET}, line->path, &answer);
    bool is_well = went_well(&answer, line->path);
    if (is_well && shell->json) {
        json_t *text = answer.is_null
                           ? json_null()
                           : json_stringn((const char *)answer.data.data, answer.data.size);
        print_json(json_pack("{s:o,s:o}", "data", text ? text : json_null(), "stat",
                             stat_json(&answer.stat)));
    } else if (is_well) {
        printf("%.*s\n", answer.is_null ? 4 : (int)answer.data.size,
               answer.is_null ? "null" : (const char *)answer.data.data);
        if (line->with_stat)
            print_stat(&answer.stat);
    }
    answer_done(&answer);
    return is_well;
}

static bool run_stat(struct shell *shell, const struct line *line)
{
    struct answer answer;
    ask(shell, (struct zk_op){.kind = ZK_OP_EXISTS}, line->path, &answer);
    bool is_well = went_well(&answer, line->path);
    if (is_well && shell->json)
        print_json(stat_json(&answer.stat));
    else if (is_well)
        print_stat(&answer.stat);
    answer_done(&answer);
    return is_well;
}

static bool run_create(struct shell *shell, const struct line *line)
{
    struct answer answer;
    int32_t flags = (line->is_ephemeral ? ZK_CREATE_EPHEMERAL : 0) |
                    (line->is_sequential ? ZK_CREATE_SEQUENTIAL : 0);
    ask(shell, (struct zk_op){.kind = ZK_OP_CREATE, .data = slice_str(line->data), .flags = flags},
        line->path, &answer);
    bool is_well = went_well(&answer, line->path);
    size_t prefix = strlen(shell->chroot);
    if (is_well && answer.path.size >= prefix)
        printf("Created %.*s\n", (int)(answer.path.size - prefix),
               (const char *)answer.path.data + prefix);
    answer_done(&answer);
    return is_well;
}

static bool run_set(struct shell *shell, const struct line *line)
{
    struct answer answer;
    ask(shell,
        (struct zk_op){.kind = ZK_OP_SET,
                       .data = slice_str(line->data),
                       .zk_version = (int32_t)line->zk_version},
        line->path, &answer);
    bool is_well = went_well(&answer, line->path);
    if (is_well && line->with_stat)
        print_stat(&answer.stat);
    answer_done(&answer);
    return is_well;
}

static bool run_delete(struct shell *shell, const struct line *line)
{
    struct answer answer;
    ask(shell, (struct zk_op){.kind = ZK_OP_DELETE, .zk_version = (int32_t)line->zk_version},
        line->path, &answer);
    bool is_well = went_well(&answer, line->path);
    answer_done(&answer);
    return is_well;
}

static const struct shell_command {
    const char *name, *usage;
    bool (*run)(struct shell *shell, const struct line *line);
    bool takes_data, needs_data;
} shell_commands[] = {
    {"ls", "ls [-R] [-s] PATH", run_ls, false, false},
    {"get", "get [-s] PATH", run_get, false, false},
    {"stat", "stat PATH", run_stat, false, false},
    {"create", "create [-e] [-s] PATH [DATA]", run_create, true, false},
    {"set", "set [-s] [-v VERSION] PATH DATA", run_set, true, true},
    {"delete", "delete [-v VERSION] PATH", run_delete, false, false},
};

static void print_usage(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(shell_commands); i++)
        fprintf(stderr, "\t%s\n", shell_commands[i].usage);
    fprintf(stderr, "\tquit\n");
}

static bool take_option(struct line *line, const char *const *words, int count, int *at)
{
    const char *word = words[*at];
    if (strcmp(word, "-R") == 0)
        return line->is_recursive = true;
    if (strcmp(word, "-s") == 0)
        return line->with_stat = line->is_sequential = true;
    if (strcmp(word, "-e") == 0)
        return line->is_ephemeral = true;
    return strcmp(word, "-v") == 0 && ++*at < count &&
           slice_to_int64(slice_str(words[*at]), &line->zk_version);
}

static bool read_line_words(const struct shell_command *command, const char *const *words,
                            int count, struct line *ret_line)
{
    int at = 1;
    *ret_line = (struct line){.name = words[0], .zk_version = ZK_ANY_VERSION};
    for (; at < count && words[at][0] == '-' && !ret_line->path; at++) {
        if (!take_option(ret_line, words, count, &at))
            return false;
    }
    if (at < count)
        ret_line->path = words[at++];
    if (at < count && command->takes_data)
        ret_line->data = words[at++];
    return ret_line->path && at == count && (ret_line->data || !command->needs_data);
}

static bool run_words(struct shell *shell, const char *const *words, int count)
{
    for (size_t i = 0; i < ARRAY_SIZE(shell_commands); i++) {
        struct line line;
        if (strcmp(shell_commands[i].name, words[0]) != 0)
            continue;
        if (!read_line_words(&shell_commands[i], words, count, &line)) {
            fprintf(stderr, "%s\n", shell_commands[i].usage);
            return false;
        }
        if (line.path[0] != '/') {
            fprintf(stderr, "Path must start with / character: %s\n", line.path);
            return false;
        }
        bool is_well = shell_commands[i].run(shell, &line);
        fflush(stdout);
        return is_well;
    }
    if (strcmp(words[0], "help") != 0)
        fprintf(stderr, "Command not found: %s\n", words[0]);
    print_usage();
    return strcmp(words[0], "help") == 0;
}

/* Cut a line into words in place; 'a b' and "a b" are one. */
static int cut_words(char *text, const char **words)
{
    int count = 0;
    while (count < WORDS_MAX) {
        text += strspn(text, " \t\r\n");
        if (!*text)
            break;
        char quote = *text == '\'' || *text == '"' ? *text++ : 0;
        size_t size = quote ? strcspn(text, (char[]){quote, 0}) : strcspn(text, " \t\r\n");
        words[count++] = text;
        text += size;
        if (*text)
            *text++ = 0;
    }
    return count;
}

static bool run_input(struct shell *shell)
{
    char *text = NULL;
    size_t capacity = 0;
    bool is_well = true;
    while (getline(&text, &capacity, stdin) >= 0) {
        const char *words[WORDS_MAX];
        int count = cut_words(text, words);
        if (count == 0 || words[0][0] == '#')
            continue;
        if (strcmp(words[0], "quit") == 0)
            break;
        is_well &= run_words(shell, words, count);
    }
    free(text);
    return is_well;
}

static void shell_open(struct shell *shell, const char *connect, int64_t wait_seconds)
{
    size_t size = strcspn(connect, "/");
    OWNED_MEM char *servers = mem_strndup(connect, size);
    shell->chroot = mem_strdup(connect + size);
    size_t chroot_size = strlen(shell->chroot);
    if (chroot_size > 0 && shell->chroot[chroot_size - 1] == '/')
        shell->chroot[chroot_size - 1] = 0;
    const struct zk_session_settings settings = {
        .connect = servers,
        .session_timeout_ms = SESSION_TIMEOUT_MS,
        .connection_timeout_ms = (int32_t)wait_seconds * 1000,
        .max_in_flight = 1,
    };
    cli_check(zk_session_open(&settings, &shell->session));
    shell->mailbox = mailbox_new();
    shell->zk = zk_session_view(shell->session, shell->mailbox);
}

static void shell_close(struct shell *shell)
{
    zk_session_view_free(shell->zk);
    zk_session_close(shell->session);
    mailbox_free(shell->mailbox);
    free(shell->chroot);
}

int cmd_zk_shell(int argc, char **argv)
{
    struct shell shell = {0};
    struct texts words = {0};
    const char *server = NULL;
    int64_t wait_seconds = 15;
    const struct option_row rows[] = {
        {"--server", OPTION_TEXT, &server, "HOST:PORT", "ZooKeeper, instead of as first word"},
        {"--wait", OPTION_INT, &wait_seconds, "SECONDS", "for a connection (default 15)"},
        {"--json", OPTION_FLAG, &shell.json, NULL, "print JSON (ls, get, stat)"},
    };
    cli_parse("zk-shell", rows, ARRAY_SIZE(rows), argc, argv, &words);
    if (wait_seconds < 1 || wait_seconds > 3600)
        cli_fail("--wait is 1 to 3600 seconds");
    int32_t first = server ? 0 : 1;
    if (!server && words.count == 0)
        cli_fail("name ZooKeeper: HOST:PORT");
    if (!getenv("STOKER_TRACE"))
        trace_set_level(TRACE_ERROR); /* what is said here is for people at a terminal */
    shell_open(&shell, server ? server : words.items[0], wait_seconds);
    bool is_well = words.count > first ? run_words(&shell, words.items + first, words.count - first)
                                       : run_input(&shell);
    shell_close(&shell);
    return is_well ? 0 : 1;
}
