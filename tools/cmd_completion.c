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
           "  local word=${COMP_WORDS[COMP_CWORD]}\n"
           "  if ((COMP_CWORD == 1)); then\n"
           "    COMPREPLY=($(compgen -W \"");
    for (const struct command *command = commands; command->name; command++)
        printf("%s ", command->name);
    printf("\" -- \"$word\"))\n"
           "  else\n"
           "    COMPREPLY=($(compgen -W \"$(stoker \"${COMP_WORDS[1]}\" --help 2>/dev/null |"
           " sed -n 's/^  \\(--[a-z-]*\\).*/\\1/p')\" -- \"$word\"))\n"
           "  fi\n"
           "}\n"
           "complete -F _stoker stoker\n");
    return 0;
}
