/* Look at and change znodes from a shell, in the words of ZooKeeper's own: one command given as
 * arguments, or one a line of standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/mem.h"
#include "broker/base/trace.h"
#include "tools/commands.h"
#include "tools/zk_shell.h"

#define SESSION_TIMEOUT_MS 30000
#define WORDS_MAX          16

static void print_usage(void)
{
    for (size_t i = 0; shell_commands[i].name; i++)
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
    for (size_t i = 0; shell_commands[i].name; i++) {
        struct line line;
        if (strcmp(shell_commands[i].name, words[0]) != 0)
            continue;
        if (!read_line_words(&shell_commands[i], words, count, &line)) {
            fprintf(stderr, "%s\n", shell_commands[i].usage);
            return false;
        }
        if (!shell_commands[i].takes_no_path && line.path[0] != '/') {
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

static void shell_open(struct shell *shell, const char *connect, const char *digest,
                       int64_t wait_seconds)
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
        .auth_scheme = "digest",
        .auth = digest,
    };
    cli_check(zk_session_open(&settings, &shell->session));
    shell->mailbox = mailbox_new();
    shell->zk = zk_session_view(shell->session, shell->mailbox);
}

static void shell_close(struct shell *shell)
{
    struct list_node left;
    zk_session_view_free(shell->zk);
    list_init(&left);
    mailbox_receive(shell->mailbox, &left); /* what nobody waited for, as the first "connected" */
    zk_session_run(&left);
    zk_session_close(shell->session);
    mailbox_free(shell->mailbox);
    free(shell->chroot);
}

int cmd_zk_shell(int argc, char **argv)
{
    struct shell shell = {0};
    struct texts words = {0};
    const char *server = NULL, *auth = NULL;
    int64_t wait_seconds = 15;
    const struct option_row rows[] = {
        {"--server", OPTION_TEXT, &server, "HOST:PORT", "ZooKeeper, instead of as first word"},
        {"--wait", OPTION_INT, &wait_seconds, "SECONDS", "for a connection (default 15)"},
        {"--zookeeper-auth", OPTION_TEXT, &auth, "digest:USER:PASSWORD",
         "who we are, as stoker.zookeeper.auth; addauth in the shell keeps it off the command "
         "line"},
        {"--json", OPTION_FLAG, &shell.json, NULL, "print JSON"},
    };
    cli_parse("zk-shell", rows, ARRAY_SIZE(rows), argc, argv, &words);
    if (wait_seconds < 1 || wait_seconds > 3600)
        cli_fail("--wait is 1 to 3600 seconds");
    int32_t first = server ? 0 : 1;
    if (!server && words.count == 0)
        cli_fail("name ZooKeeper: HOST:PORT");
    if (!getenv("STOKER_TRACE"))
        trace_set_level(TRACE_ERROR); /* what is said here is for people at a terminal */
    shell_open(&shell, server ? server : words.items[0], cli_digest_auth(auth), wait_seconds);
    bool is_well = words.count > first ? run_words(&shell, words.items + first, words.count - first)
                                       : run_input(&shell);
    shell_close(&shell);
    return is_well ? 0 : 1;
}
