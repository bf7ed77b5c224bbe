/* `stoker zk-shell`: what its two files share. cmd_zk_shell.c reads words and holds the session,
 * zk_shell_commands.c does what a command says. */
#pragma once

#include "coordinator/zk/zk_session.h"
#include "tools/cli.h"

struct shell {
    struct zk_session *session;
    struct mailbox *mailbox;
    struct zk *zk;
    char *chroot; /* "" or "/kafka": ours to prefix, so that a mistyped one is not created */
    bool json;
};

/* The words of a command: options taken out, a path (of addauth: a scheme), data. */
struct line {
    const char *name, *path, *data;
    int64_t zk_version; /* -v VERSION */
    bool is_recursive, with_stat, is_ephemeral, is_sequential;
};

struct shell_command {
    const char *name, *usage;
    bool (*run)(struct shell *shell, const struct line *line); /* false: it has said why not */
    bool takes_data, needs_data, takes_no_path;
};

/* Ends with a NULL name. */
extern const struct shell_command shell_commands[];
