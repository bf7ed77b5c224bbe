/* Birth and death of the network: listeners are bound before any thread starts, so a port that is
 * taken is an error of network_start() and not a surprise later. */
#include "broker/server/network.h"

#include <event2/thread.h>

#include "broker/server/network_internal.h"

void network_options_init(struct network_options *options)
{
    *options = (struct network_options){
        .threads_count = 3,
        .request_max_bytes = 104857600,
        .unfinished_max_bytes = 512LL << 20,
        .max_connections = INT32_MAX,
        .max_connections_per_ip = INT32_MAX,
        .max_creation_rate = INT32_MAX,
        .idle_max_ms = 600000,
        .send_buffer_bytes = 102400,
        .receive_buffer_bytes = 102400,
        .backlog = 50,
        .clock = &clock_system,
    };
}

static void copy_listeners(struct network *network)
{
    const struct network_options *options = &network->options;
    network->listeners = mem_new_array(struct listener, options->listeners_count);
    for (size_t i = 0; i < options->listeners_count; i++) {
        struct listener *listener = &network->listeners[i];
        *listener = (struct listener){
            .network = network, .options = options->listeners[i], .index = (uint32_t)i, .fd = -1};
        listener->options.name = mem_strdup(options->listeners[i].name);
        const char *host = options->listeners[i].host;
        listener->options.host = host ? mem_strdup(host) : NULL;
    }
}

static void start_threads(struct network *network)
{
    network->threads = mem_new_array(struct network_thread, (size_t)network->options.threads_count);
    for (int i = 0; i < network->options.threads_count; i++) {
        struct network_thread *thread = &network->threads[i];
        thread_init(thread, network, i);
        char name[32];
        snprintf(name, sizeof name, "network-%d", i);
        thread->pthread = thread_start(name, network_thread_run, thread);
        network->threads_count++;
    }
}

enum err network_start(const struct network_options *options, struct network **ret_network)
{
    assert(options->threads_count > 0);
    assert(options->lookup);
    evthread_use_pthreads();
    struct network *network = mem_new(struct network);
    network->options = *options;
    copy_listeners(network);
    network->limits = limits_new(options);
    enum err e = acceptor_init(network);
    if (e) {
        network_free(network);
        return e;
    }
    start_threads(network);
    acceptor_start(network);
    network->options.listeners = NULL; /* the copies are in network->listeners */
    network->options.ip_limits = NULL;
    *ret_network = network;
    return ERR_OK;
}

uint16_t network_port(const struct network *network, size_t listener)
{
    return network->listeners[listener].port;
}

void network_stop_accepting(struct network *network)
{
    acceptor_stop(network);
}

void network_stop(struct network *network, int64_t drain_ms)
{
    acceptor_stop(network);
    network->drain_ms = drain_ms;
    for (int i = 0; i < network->threads_count; i++)
        mailbox_post(network->threads[i].mailbox, &network->threads[i].stop.node);
    for (int i = 0; i < network->threads_count; i++)
        pthread_join(network->threads[i].pthread, NULL);
}

void network_free(struct network *network)
{
    if (!network)
        return;
    for (int i = 0; i < network->threads_count; i++)
        thread_done(&network->threads[i]);
    free(network->threads);
    acceptor_done(network);
    for (size_t i = 0; i < network->options.listeners_count; i++) {
        free((char *)network->listeners[i].options.name);
        free((char *)network->listeners[i].options.host);
    }
    free(network->listeners);
    limits_free(network->limits);
    free(network);
}

void network_counters(const struct network *network, struct network_counters *ret)
{
    struct network_counters sum = {
        .unfinished_bytes = counted(&network->unfinished_bytes),
        .accepted = counted(&network->acceptor.accepted),
        .refused_per_ip = counted(&network->acceptor.refused_per_ip),
        .accept_errors = counted(&network->acceptor.accept_errors),
    };
    for (int i = 0; i < network->threads_count; i++) {
        const struct thread_counters *c = &network->threads[i].counters;
        sum.connections += counted(&c->connections);
        sum.idle_closed += counted(&c->idle_closed);
        sum.bad_frames += counted(&c->bad_frames);
        sum.evicted += counted(&c->evicted);
        sum.requests += counted(&c->requests);
        sum.answers += counted(&c->answers);
        sum.received_bytes += counted(&c->received_bytes);
        sum.sent_bytes += counted(&c->sent_bytes);
        sum.sendfile_bytes += counted(&c->sendfile_bytes);
        sum.send_blocked += counted(&c->send_blocked);
        sum.memory_pauses += counted(&c->memory_pauses);
    }
    *ret = sum;
}
