/* What the programs that measure logs alone share: a log manager over one directory, and errors
 * that end the program. */
#pragma once

#include "broker/log/log_manager.h"

/* Print the sentence and end with 1, unless `e` is ERR_OK. */
void bench_check(enum err e);

/* Open the directory as broker 1 of cluster "bench", with segments that never roll by themselves.
 */
struct log_manager *bench_logs_start(const char *dir);
