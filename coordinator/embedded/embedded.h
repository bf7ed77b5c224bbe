/* A ZooKeeper server of one node on a thread of its own: the coordinator of `stokerd --standalone`,
 * and what tests connect to. It speaks ZooKeeper's protocol on a socket, so that a broker needs no
 * second way to its coordinator.
 *
 * What a client was told is on disk before: each turn of the loop ends with one fsync, then the
 * replies go out. After a restart sessions have their whole timeout anew, and their ephemeral
 * znodes are there; but for the session of the process that holds the server, which ended with it.
 * When the disk fails, every connection is closed and none is accepted any more.
 * Thread: start, port and stop from one owner. */
#pragma once

#include "broker/base/clock.h"
#include "broker/base/err.h"

struct embedded;

struct embedded_options {
    const char *data_dir;  /* made if missing; NULL: in memory, forgotten at stop */
    const char *bind_host; /* a name or an address; NULL: 127.0.0.1 */
    uint16_t port;         /* 0: any free one */
    int32_t tick_ms;       /* 0: 2000 */
    int32_t min_session_timeout_ms, max_session_timeout_ms; /* 0: 2 and 20 ticks */
    const char *own_znode; /* ephemeral, by which the process that held data_dir before was known:
                              the session that owns it ends at the start; NULL: none */
    int64_t log_size_max;  /* bytes of log before a snapshot is taken; 0: 16 MiB */
    struct clock *clock;   /* NULL: the system's; kept */
};

/* Errors: ERR_INVALID_CONFIG, a timeout or the host makes no sense; ERR_EXISTS, another server
 * holds data_dir; ERR_MALFORMED, data_dir is damaged in a way that no crash explains; ERR_IO and
 * its like.
 */
MUST_USE enum err embedded_start(const struct embedded_options *options, struct embedded **ret);
uint16_t embedded_port(const struct embedded *embedded);
void embedded_stop(struct embedded *embedded); /* closes every connection; accepts NULL */
