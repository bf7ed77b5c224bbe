/* A single-node ZooKeeper server on a thread of its own, for tests. State is in memory only so far:
 * a data_dir is refused rather than forgotten. Thread: start, port and stop from one owner. */
#pragma once

#include "broker/base/clock.h"
#include "broker/base/err.h"

struct embedded;

struct embedded_options {
    const char *data_dir;  /* NULL: in memory; else refused with ERR_INVALID_CONFIG */
    const char *bind_host; /* NULL: 127.0.0.1 */
    uint16_t port;         /* 0: any free one */
    int32_t tick_ms;       /* 0: 2000 */
    int32_t min_session_timeout_ms, max_session_timeout_ms; /* 0: 2 and 20 ticks */
    struct clock *clock;                                    /* NULL: the system's; kept */
};

MUST_USE enum err embedded_start(const struct embedded_options *options, struct embedded **ret);
uint16_t embedded_port(const struct embedded *embedded);
void embedded_stop(struct embedded *embedded); /* closes every connection; accepts NULL */
