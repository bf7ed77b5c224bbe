/* A table of counts under one short lock. The rates are token buckets that hold as much as Kafka's
 * ten windows of a second let pass at once. */
#include "broker/server/limits.h"

#include <netdb.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/base/map.h"
#include "broker/base/thread.h"
#include "broker/base/trace.h"

#define RATE_BURST_SECONDS 10

struct bucket {
    int32_t rate; /* per second; INT32_MAX: no limit */
    double tokens;
    int64_t filled_ms;
};

struct address_count {
    int32_t count;
};

/* What is known of one listener; a slot that no listener has is not `in_use`. */
struct listener_limit {
    bool in_use, is_inter_broker;
    int32_t max, count;
    struct bucket rate;
};

struct limits {
    int slot_fd; /* fixed */

    struct lock lock; /* RANK_LEAF; guards all below */
    struct listener_limit listeners[LISTENERS_MAX];
    int listeners_count; /* in use */
    int32_t max_connections, max_per_ip;
    struct map ip_max; /* address to int32_t */
    int32_t total;
    struct map by_address; /* to struct address_count */
    bool is_waited_for;
    bool is_changing; /* nobody is accepted by limits of which some are old and some are new */
    struct bucket all;
};

struct in6_addr limits_address(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ((const struct sockaddr_in6 *)address)->sin6_addr;
    struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&mapped.s6_addr[12], &((const struct sockaddr_in *)address)->sin_addr, 4);
    return mapped;
}

/* A name that is not found is told and left out, as is one that a JVM broker does not find. */
static void add_override(struct map *ip_max, const struct ip_limit *limit)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(limit->host, NULL, &hints, &found);
    if (code != 0) {
        trace_warn("override of connections per address is not used host=%s reason=%s", limit->host,
                   gai_strerror(code));
        return;
    }
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        struct sockaddr_storage storage = {0};
        memcpy(&storage, a->ai_addr, a->ai_addrlen);
        struct in6_addr address = limits_address(&storage);
        int32_t *max = mem_new(int32_t);
        *max = limit->max_connections;
        free(map_put(ip_max, MAP_KEY(address), max));
    }
    freeaddrinfo(found);
}

static void free_values(struct map *map)
{
    size_t position = 0;
    for (struct map_entry *e; (e = map_next(map, &position));)
        free(e->value);
    map_done(map);
}

/* A new rate begins with all that it may let pass at once. */
static void set_rate(struct bucket *bucket, int32_t rate)
{
    if (bucket->rate != rate)
        *bucket = (struct bucket){.rate = rate, .tokens = (double)rate * RATE_BURST_SECONDS};
}

struct limits *limits_new(const struct network_options *options)
{
    struct limits *limits = mem_new(struct limits);
    limits->slot_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    lock_init(&limits->lock, RANK_LEAF, "connection limits");
    limits_begin_change(limits, options);
    limits_end_change(limits);
    return limits;
}

void limits_free(struct limits *limits)
{
    if (!limits)
        return;
    free_values(&limits->ip_max);
    free_values(&limits->by_address);
    if (limits->slot_fd >= 0)
        close(limits->slot_fd);
    lock_done(&limits->lock);
    free(limits);
}

/* Whoever waits looks again: there may be more room now. */
static void wake(struct limits *limits)
{
    assert_held(&limits->lock);
    if (limits->is_changing)
        return;
    if (limits->is_waited_for)
        eventfd_write(limits->slot_fd, 1);
    limits->is_waited_for = false;
}

void limits_begin_change(struct limits *limits, const struct network_options *options)
{
    struct map ip_max = {0};
    for (size_t i = 0; i < options->ip_limits_count; i++)
        add_override(&ip_max, &options->ip_limits[i]);
    lock_acquire(&limits->lock);
    struct map old = limits->ip_max;
    limits->ip_max = ip_max;
    limits->max_connections = options->max_connections;
    limits->max_per_ip = options->max_connections_per_ip;
    set_rate(&limits->all, options->max_creation_rate);
    limits->is_changing = true;
    lock_release(&limits->lock);
    free_values(&old);
}

void limits_end_change(struct limits *limits)
{
    LOCK_SCOPE(&limits->lock);
    limits->is_changing = false;
    wake(limits);
}

void limits_set_listener(struct limits *limits, size_t listener,
                         const struct listener_options *options)
{
    LOCK_SCOPE(&limits->lock);
    struct listener_limit *of = &limits->listeners[listener];
    limits->listeners_count += !of->in_use;
    of->in_use = true;
    of->is_inter_broker = options->is_inter_broker;
    of->max = options->max_connections;
    set_rate(&of->rate, options->max_creation_rate);
    wake(limits);
}

void limits_remove_listener(struct limits *limits, size_t listener)
{
    LOCK_SCOPE(&limits->lock);
    struct listener_limit *of = &limits->listeners[listener];
    assert(of->in_use);
    of->in_use = false;
    limits->listeners_count--;
}

/* The listener of the brokers, beside others: max.connections does not hold it up. */
static bool is_protected(const struct limits *limits, size_t listener)
{
    assert_held(&limits->lock);
    return limits->listeners[listener].is_inter_broker && limits->listeners_count > 1;
}

bool limits_protects(struct limits *limits, size_t listener)
{
    LOCK_SCOPE(&limits->lock);
    return is_protected(limits, listener);
}

int32_t limits_excess(struct limits *limits)
{
    LOCK_SCOPE(&limits->lock);
    return limits->total > limits->max_connections ? limits->total - limits->max_connections : 0;
}

int limits_slot_fd(const struct limits *limits)
{
    return limits->slot_fd;
}

enum limits_answer limits_may_accept(struct limits *limits, size_t listener)
{
    LOCK_SCOPE(&limits->lock);
    const struct listener_limit *of = &limits->listeners[listener];
    bool is_full = limits->is_changing || of->count >= of->max ||
                   (!is_protected(limits, listener) && limits->total >= limits->max_connections);
    limits->is_waited_for |= is_full;
    return is_full ? LIMITS_WAIT : LIMITS_OK;
}

static int32_t max_of_address(const struct limits *limits, struct in6_addr address)
{
    const int32_t *max = map_get(&limits->ip_max, MAP_KEY(address));
    return max ? *max : limits->max_per_ip;
}

enum limits_answer limits_take(struct limits *limits, size_t listener, struct in6_addr address)
{
    LOCK_SCOPE(&limits->lock);
    struct address_count *of = map_get(&limits->by_address, MAP_KEY(address));
    if ((of ? of->count : 0) >= max_of_address(limits, address))
        return LIMITS_PER_IP;
    if (!of) {
        of = mem_new(struct address_count);
        map_put(&limits->by_address, MAP_KEY(address), of);
    }
    of->count++;
    limits->listeners[listener].count++;
    limits->total++;
    return limits->total > limits->max_connections ? LIMITS_EVICT : LIMITS_OK;
}

void limits_release(struct limits *limits, size_t listener, struct in6_addr address)
{
    LOCK_SCOPE(&limits->lock);
    struct address_count *of = map_get(&limits->by_address, MAP_KEY(address));
    assert(of && of->count > 0);
    if (--of->count == 0)
        free(map_remove(&limits->by_address, MAP_KEY(address)));
    limits->listeners[listener].count--;
    limits->total--;
    wake(limits);
}

static int64_t bucket_take(struct bucket *bucket, int64_t now_ms)
{
    if (bucket->rate == INT32_MAX)
        return 0;
    if (bucket->filled_ms == 0)
        bucket->filled_ms = now_ms;
    bucket->tokens += (double)(now_ms - bucket->filled_ms) * bucket->rate / 1000.0;
    bucket->filled_ms = now_ms;
    double most = (double)bucket->rate * RATE_BURST_SECONDS;
    if (bucket->tokens > most)
        bucket->tokens = most;
    bucket->tokens -= 1;
    if (bucket->rate == 0)
        return 1000; /* none are allowed: one a second, as nobody could raise the rate otherwise */
    return bucket->tokens >= 0 ? 0 : (int64_t)(-bucket->tokens * 1000.0 / bucket->rate) + 1;
}

int64_t limits_rate(struct limits *limits, size_t listener, int64_t now_ms)
{
    LOCK_SCOPE(&limits->lock);
    int64_t all_ms = bucket_take(&limits->all, now_ms);
    int64_t listener_ms = bucket_take(&limits->listeners[listener].rate, now_ms);
    return all_ms > listener_ms ? all_ms : listener_ms;
}
