/* ZooKeeper's four-letter words: a client that sends one instead of a request is answered in plain
 * text, and the connection closes. */
#pragma once

#include "broker/base/buf.h"
#include "coordinator/embedded/embedded_core.h"

struct words_state {
    const struct core *core;
    uint16_t port;
    const char *data_dir; /* NULL: in memory */
    int32_t tick_ms, min_timeout_ms, max_timeout_ms;
    int connections_count, connections_max;
    int64_t received, sent; /* frames, since the start */
    int64_t latency_count, latency_sum_ms, latency_min_ms, latency_max_ms;
};

/* False: the four bytes are no word. `out` gets the answer; the list of connections that "stat"
 * shows is the caller's to add where *ret_wants_connections is set. */
bool words_answer(const uint8_t word[4], const struct words_state *state, struct buf *clients,
                  struct buf *out);
