/* Birth, changes and death of the network: listeners are bound before any thread starts, so a port
 * that is taken is an error of network_start() and not a surprise later. */
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
        .send_buffer_bytes = -1,
        .receive_buffer_bytes = -1,
        .backlog = 50,
        .clock = &clock_system,
    };
}

static int threads_of(const struct network_options *options)
{
    return options->threads_count < NETWORK_THREADS_MAX ? options->threads_count
                                                        : NETWORK_THREADS_MAX;
}

/* Those there are, or more of them. */
void network_start_threads(struct network *network, int count)
{
    for (int i = atomic_load(&network->threads_count); i < count; i++) {
        struct network_thread *thread = &network->threads[i];
        thread_init(thread, network, i);
        char name[32];
        snprintf(name, sizeof name, "network-%d", i);
        thread->pthread = thread_start(name, network_thread_run, thread);
        atomic_store(&network->threads_count, i + 1);
    }
    atomic_store(&network->threads_in_use, count);
}

static void make_places(struct network *network)
{
    network->listeners = mem_new_array(struct listener, LISTENERS_MAX);
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        struct listener *listener = &network->listeners[i];
        listener->network = network;
        listener->index = (uint32_t)i;
        listener->fd = -1;
    }
    network->threads = mem_new_array(struct network_thread, NETWORK_THREADS_MAX);
}

enum err network_start(const struct network_options *options, struct network **ret_network)
{
    assert(options->threads_count > 0);
    assert(options->lookup);
    evthread_use_pthreads();
    struct network *network = mem_new(struct network);
    network->options = *options;
    network->options.listeners = NULL; /* the copies are in network->listeners */
    network->options.ip_limits = NULL;
    network->options.congestion_control =
        options->congestion_control ? mem_strdup(options->congestion_control) : NULL;
    pthread_mutex_init(&network->update_lock, NULL);
    make_places(network);
    network->limits = limits_new(options);
    acceptor_init(network);
    enum err e = listeners_change(network, options);
    if (e) {
        network_free(network);
        return e;
    }
    network_start_threads(network, threads_of(options));
    acceptor_start(network);
    *ret_network = network;
    return ERR_OK;
}

static void evict_excess(struct network *network)
{
    for (int32_t i = limits_excess(network->limits); i > 0; i--)
        network_ask_for_eviction(network);
}

enum err network_update(struct network *network, const struct network_options *options)
{
    enum err e = ERR_OK;
    pthread_mutex_lock(&network->update_lock);
    if (!network->is_stopped) {
        limits_begin_change(network->limits, options);
        network_start_threads(network, threads_of(options));
        e = listeners_change(network, options);
        limits_end_change(network->limits);
        evict_excess(network);
    }
    pthread_mutex_unlock(&network->update_lock);
    return e;
}

uint16_t network_port(const struct network *network, size_t listener)
{
    return network->listeners[listener].port;
}

void network_stop_accepting(struct network *network)
{
    pthread_mutex_lock(&network->update_lock);
    network->is_stopped = true;
    acceptor_stop(network);
    pthread_mutex_unlock(&network->update_lock);
}

void network_stop(struct network *network, int64_t drain_ms)
{
    network_stop_accepting(network);
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
    for (size_t i = 0; i < network->listeners_count; i++)
        free((char *)network->listeners[i].options.name);
    free(network->listeners);
    limits_free(network->limits);
    free((char *)network->options.congestion_control);
    pthread_mutex_destroy(&network->update_lock);
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
        sum.answers_away += counted(&c->answers_away);
        sum.received_bytes += counted(&c->received_bytes);
        sum.sent_bytes += counted(&c->sent_bytes);
        sum.sendfile_bytes += counted(&c->sendfile_bytes);
        sum.send_blocked += counted(&c->send_blocked);
        sum.memory_pauses += counted(&c->memory_pauses);
    }
    *ret = sum;
}
