/* What operators and scripts ask by four letters. */
#include "coordinator/embedded/words.h"

#include <inttypes.h>

/* The protocol's version that we speak as the server of it does. */
#define SPEAKS_AS "3.8.4-stoker"

static double latency_average(const struct words_state *s)
{
    return s->latency_count ? (double)s->latency_sum_ms / (double)s->latency_count : 0;
}
static void put_srvr(const struct words_state *s, struct slice clients, struct buf *out)
{
    struct core_numbers n = core_numbers(s->core);
    buf_printf(out, "Zookeeper version: %s\n", SPEAKS_AS);
    if (clients.size > 0) {
        buf_printf(out, "Clients:\n");
        buf_put_slice(out, clients);
        buf_printf(out, "\n");
    }
    buf_printf(out, "Latency min/avg/max: %" PRId64 "/%.4f/%" PRId64 "\n", s->latency_min_ms,
               latency_average(s), s->latency_max_ms);
    buf_printf(out, "Received: %" PRId64 "\nSent: %" PRId64 "\nConnections: %d\n", s->received,
               s->sent, s->connections_count);
    buf_printf(out, "Outstanding: 0\nZxid: 0x%" PRIx64 "\nMode: standalone\nNode count: %zu\n",
               n.zxid, n.znodes);
}
static void put_mntr(const struct words_state *s, struct buf *out)
{
    struct core_numbers n = core_numbers(s->core);
    buf_printf(out, "zk_version\t%s\nzk_server_state\tstandalone\n", SPEAKS_AS);
    buf_printf(out,
               "zk_min_latency\t%" PRId64 "\nzk_avg_latency\t%.4f\nzk_max_latency\t%" PRId64 "\n",
               s->latency_min_ms, latency_average(s), s->latency_max_ms);
    buf_printf(out, "zk_packets_received\t%" PRId64 "\nzk_packets_sent\t%" PRId64 "\n", s->received,
               s->sent);
    buf_printf(out, "zk_num_alive_connections\t%d\nzk_outstanding_requests\t0\n",
               s->connections_count);
    buf_printf(out, "zk_znode_count\t%zu\nzk_watch_count\t%zu\nzk_ephemerals_count\t%zu\n",
               n.znodes, n.watches, n.ephemerals);
    buf_printf(out, "zk_approximate_data_size\t%zu\nzk_global_sessions\t%zu\n", n.bytes,
               n.sessions);
}
static void put_conf(const struct words_state *s, struct buf *out)
{
    buf_printf(out, "clientPort=%u\n", s->port);
    buf_printf(out, "dataDir=%s\n", s->data_dir ? s->data_dir : "");
    buf_printf(out, "tickTime=%" PRId32 "\nmaxClientCnxns=%d\n", s->tick_ms, s->connections_max);
    buf_printf(out, "minSessionTimeout=%" PRId32 "\nmaxSessionTimeout=%" PRId32 "\nserverId=0\n",
               s->min_timeout_ms, s->max_timeout_ms);
}
bool words_answer(const uint8_t word[4], const struct words_state *state, struct buf *clients,
                  struct buf *out)
{
    if (memcmp(word, "ruok", 4) == 0)
        buf_printf(out, "imok");
    else if (memcmp(word, "isro", 4) == 0)
        buf_printf(out, "rw");
    else if (memcmp(word, "srvr", 4) == 0)
        put_srvr(state, SLICE_NULL, out);
    else if (memcmp(word, "stat", 4) == 0)
        put_srvr(state, buf_slice(clients), out);
    else if (memcmp(word, "mntr", 4) == 0)
        put_mntr(state, out);
    else if (memcmp(word, "conf", 4) == 0)
        put_conf(state, out);
    else
        return false;
    return true;
}
