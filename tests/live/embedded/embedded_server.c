/* The embedded server as a program: says its port on standard output, serves until standard input
 * ends or a signal comes.
 *
 *     embedded_server [DATA_DIR] [PORT] [TICK_MS] */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "coordinator/embedded/embedded.h"

int main(int argc, char **argv)
{
    struct embedded_options options = {
        .data_dir = argc > 1 && argv[1][0] ? argv[1] : NULL,
        .port = (uint16_t)(argc > 2 ? atoi(argv[2]) : 0),
        .tick_ms = argc > 3 ? atoi(argv[3]) : 0,
    };
    struct embedded *embedded = NULL;
    enum err e = embedded_start(&options, &embedded);
    if (e) {
        (void)fprintf(stderr, "%s\n", err_sentence(e));
        return 1;
    }
    (void)printf("%u\n", embedded_port(embedded));
    (void)fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    embedded_stop(embedded);
    return 0;
}
