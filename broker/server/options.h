/* The command line of stokerd. */
#pragma once

#include "broker/config/config.h"

enum action { ACTION_SERVE, ACTION_CHECK, ACTION_PRINT_REFERENCE };

struct options {
    enum action action;
    const char *file; /* NULL: none */
    bool is_standalone;
    struct config_pair *overrides; /* those given, behind those that --standalone means */
    int32_t overrides_count;
    char *owned[8];
    int owned_count;
};

/* -1: go on; else the exit status: help was printed (0) or the words were wrong (2). */
int options_parse(int argc, char **argv, struct options *ret);
void options_done(struct options *options);
