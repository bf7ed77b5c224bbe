/* Completion asks `stoker COMMAND --help` for the options while the user types: it answers at once,
 * and the script can never be older than the program. */
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"

int cmd_completion(int argc, char **argv)
{
    struct texts rest = {0};
    cli_parse("completion", NULL, 0, argc, argv, &rest);
    if (rest.count != 1 || strcmp(rest.items[0], "bash") != 0)
        cli_fail("name the shell: stoker completion bash");
    printf("_stoker() {\n"
           "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} choice\n"
           "  COMPREPLY=()\n"
           "  if ((COMP_CWORD == 1)); then\n"
           "    choice=\"");
    for (const struct command *command = commands; command->name; command++)
        printf("%s ", command->name);
    printf("--help --version\"\n"
           "  else\n"
           "    case $before in\n"
           "      completion) choice=bash ;;\n"
           "      brokers) choice='check-swap --help' ;;\n"
           "      --entity-type) choice='topics brokers broker-loggers' ;;\n"
           "      --offset) choice='earliest latest' ;;\n"
           "      --time) choice='latest earliest max-timestamp' ;;\n"
           "      --isolation-level) choice='read_committed read_uncommitted' ;;\n"
           "      --compression-codec) choice='none gzip snappy lz4 zstd' ;;\n"
           "      --*config | --*-file | --files) return ;;\n"
           "      *) choice=$(\"$1\" \"${COMP_WORDS[1]}\" --help 2>/dev/null |"
           " sed -n 's/^  \\(--[a-z.-]*\\).*/\\1/p') ;;\n"
           "    esac\n"
           "  fi\n"
           "  COMPREPLY=($(compgen -W \"$choice\" -- \"$word\"))\n"
           "}\n"
           "complete -o default -F _stoker stoker\n");
    return 0;
}
