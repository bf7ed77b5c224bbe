/* The commands of `stoker zk-shell`: one question to ZooKeeper each, and its answer in the lines of
 * ZooKeeper's own shell. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/base/buf.h"
#include "tools/zk_shell.h"

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
           "\naclVersion = %" PRId32 "\nephemeralOwner = 0x%" PRIx64 "\ndataLength = %" PRId32
           "\nnumChildren = %" PRId32 "\n",
           stat->pzxid, stat->children_version, stat->zk_version, stat->acl_version,
           stat->ephemeral_owner, stat->data_size, stat->children_count);
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

/* What lies below a path, in the order of `ls -R` in ZooKeeper's shell: all children of a node,
 * then what lies below the first of them, and so on. Parents stand before their children. */
static bool walk_below(struct shell *shell, const char *path, bool may_be_gone,
                       struct texts *ret_paths)
{
    struct answer answer;
    int32_t first = ret_paths->count;
    ask(shell, (struct zk_op){.kind = ZK_OP_CHILDREN}, path, &answer);
    bool is_well = (may_be_gone && answer.error == ERR_NOT_FOUND) || went_well(&answer, path);
    int32_t count = is_well ? answer.children_count : 0;
    for (int32_t i = 0; i < count; i++)
        texts_add(ret_paths,
                  cli_kept("%s/%s", strcmp(path, "/") == 0 ? "" : path, answer.children[i]));
    answer_done(&answer);
    for (int32_t i = 0; is_well && i < count; i++)
        is_well = walk_below(shell, ret_paths->items[first + i], true, ret_paths);
    return is_well;
}

/* The path itself, and all below it; no deeper than a path may be long. */
static bool walk(struct shell *shell, const char *path, struct texts *ret_paths)
{
    texts_add(ret_paths, cli_kept("%s", path));
    return walk_below(shell, path, false, ret_paths);
}

static bool list_below(struct shell *shell, const char *path)
{
    struct texts paths = {0};
    if (!walk(shell, path, &paths))
        return false;
    json_t *all = shell->json ? json_array() : NULL;
    for (int32_t i = 0; i < paths.count; i++) {
        if (all)
            json_array_append_new(all, json_string(paths.items[i]));
        else
            printf("%s\n", paths.items[i]);
    }
    if (all)
        cli_json_print(all);
    return true;
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
        cli_json_print(names);
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
        struct slice data = answer.is_null     ? SLICE_NULL
                            : answer.data.data ? buf_slice(&answer.data)
                                               : slice_of("", 0);
        cli_json_print(
            json_pack("{s:o,s:o}", "data", cli_json_text(data), "stat", stat_json(&answer.stat)));
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
        cli_json_print(stat_json(&answer.stat));
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
    if (is_well && answer.path.size >= prefix) {
        struct slice path = slice_of(answer.path.data + prefix, answer.path.size - prefix);
        if (shell->json)
            cli_json_print(json_pack("{s:o}", "created", cli_json_text(path)));
        else
            printf("Created %.*s\n", SLICE_ARG(path));
    }
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
    if (is_well && shell->json)
        cli_json_print(stat_json(&answer.stat));
    else if (is_well && line->with_stat)
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

/* Children before their parents; what somebody else deletes meanwhile is deleted, too. */
static bool run_delete_all(struct shell *shell, const struct line *line)
{
    struct texts paths = {0};
    if (strcmp(line->path, "/") == 0) {
        fprintf(stderr, "the root cannot be deleted\n");
        return false;
    }
    bool is_well = walk(shell, line->path, &paths);
    for (int32_t i = paths.count - 1; is_well && i >= 0; i--) {
        struct answer answer;
        ask(shell, (struct zk_op){.kind = ZK_OP_DELETE, .zk_version = ZK_ANY_VERSION},
            paths.items[i], &answer);
        is_well = answer.error == ERR_NOT_FOUND || went_well(&answer, paths.items[i]);
        answer_done(&answer);
    }
    return is_well;
}

static bool run_count(struct shell *shell, const struct line *line)
{
    struct texts paths = {0};
    bool is_well = walk(shell, line->path, &paths);
    if (is_well)
        printf("%" PRId32 "\n", paths.count - 1);
    return is_well;
}

/* For what follows in this shell, beside those that were given before. */
static bool run_add_auth(struct shell *shell, const struct line *line)
{
    if (strcmp(line->path, "digest") != 0 || !strchr(line->data, ':')) {
        fprintf(stderr, "addauth takes digest USER:PASSWORD\n");
        return false;
    }
    zk_session_add_auth(shell->session, line->path, line->data);
    return true;
}

const struct shell_command shell_commands[] = {
    {"ls", "ls [-R] [-s] PATH", run_ls, false, false, false},
    {"get", "get [-s] PATH", run_get, false, false, false},
    {"stat", "stat PATH", run_stat, false, false, false},
    {"create", "create [-e] [-s] PATH [DATA]", run_create, true, false, false},
    {"set", "set [-s] [-v VERSION] PATH DATA", run_set, true, true, false},
    {"delete", "delete [-v VERSION] PATH", run_delete, false, false, false},
    {"deleteall", "deleteall PATH", run_delete_all, false, false, false},
    {"getAllChildrenNumber", "getAllChildrenNumber PATH", run_count, false, false, false},
    {"addauth", "addauth digest USER:PASSWORD", run_add_auth, true, true, true},
    {NULL, NULL, NULL, false, false, false},
};
