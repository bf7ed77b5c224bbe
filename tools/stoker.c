/* `stoker COMMAND …`: one tool for what Kafka's scripts do, each command with the options of its
 * script. */
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"

static int help(FILE *out)
{
    fprintf(out, "stoker: work with a cluster of Kafka-compatible brokers\n\n"
                 "Usage: stoker COMMAND [OPTION]…    stoker COMMAND --help tells more\n"
                 "       stoker --version\n\nCommands:\n");
    for (const struct command *command = commands; command->name; command++)
        fprintf(out, "  %-22s %s\n", command->name, command->summary);
    return out == stdout ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(stdout);
    if (strcmp(argv[1], "--version") == 0)
        return printf("stoker %s (Kafka 3.9)\n", STOKER_VERSION) < 0;
    for (const struct command *command = commands; command->name; command++) {
        if (strcmp(command->name, argv[1]) == 0)
            return command->run(argc - 1, argv + 1);
    }
    fprintf(stderr, "stoker: unknown command '%s'; see stoker --help\n", argv[1]);
    return 1;
}
