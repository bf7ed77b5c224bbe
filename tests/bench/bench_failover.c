/* How long a cluster is without leaders after a broker's death, as clients see it.
 *
 *     bench_failover ZOOKEEPER GONE PARTITIONS SECONDS ID=PORT...
 *
 * Watches /brokers/ids/GONE, prints "watching", and when the znode goes asks every surviving
 * broker ID at PORT for Metadata, a thread each, until it names a leader other than GONE for each
 * of PARTITIONS partitions. Then one record goes to every partition with acks=1, and one more with
 * acks=all; who refuses is asked again. Seconds count from the moment the znode was seen gone:
 * named (every survivor names all leaders), accepted (acks=1), replicated (acks=all). gone_ns is
 * that moment by CLOCK_MONOTONIC. Fails after SECONDS. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#include "tests/bench/client.h"
#include "tests/bench/failover_metadata.h"

#define SESSION_MS     30000
#define PAUSE_LEAST_US 2000
#define SURVIVORS_MAX  16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_connected; /* under the lock, as the next */
static int64_t gone_us;

struct survivor {
    int32_t id, gone;
    uint16_t port;
    int fd, acks;
    size_t wanted;
    int64_t end_us, done_us;
    pthread_t thread;
    struct metadata_view view;
    size_t refusals;
};

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    (void)path;
    (void)context;
    int64_t now_us = bench_now_us();
    pthread_mutex_lock(&lock);
    is_connected |= type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE;
    if (type == ZOO_DELETED_EVENT)
        gone_us = now_us;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void await_node_gone(const char *address, long id)
{
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init(address, on_event, SESSION_MS, NULL, NULL, 0);
    if (!zh)
        bench_fail("zookeeper_init: %m");
    pthread_mutex_lock(&lock);
    while (!is_connected)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    char path[64];
    snprintf(path, sizeof path, "/brokers/ids/%ld", id);
    int rc = zoo_wexists(zh, path, on_event, NULL, NULL);
    if (rc != ZOK)
        bench_fail("%s: %s", path, zerror(rc));
    printf("watching\n");
    fflush(stdout);
    pthread_mutex_lock(&lock);
    while (!gone_us)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    zookeeper_close(zh);
}

static void pause_us(int64_t us)
{
    struct timespec pause = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

/* It pauses as long as an answer took, so that asking takes no more than half of a core. */
static void *await_named(void *context)
{
    struct survivor *survivor = context;
    for (;;) {
        int64_t asked_us = bench_now_us();
        if (asked_us > survivor->end_us)
            bench_fail("broker %d names %zu leaders of %zu partitions, %zu were wanted",
                       survivor->id, survivor->view.led, survivor->view.count, survivor->wanted);
        if (!metadata_ask(survivor->fd, survivor->gone, &survivor->view))
            bench_fail("broker %d closed the connection", survivor->id);
        survivor->done_us = bench_now_us();
        if (survivor->view.count == survivor->wanted && survivor->view.led == survivor->wanted)
            return NULL;
        int64_t took_us = survivor->done_us - asked_us;
        pause_us(took_us > PAUSE_LEAST_US ? took_us : PAUSE_LEAST_US);
    }
}

static void *produce(void *context)
{
    struct survivor *survivor = context;
    for (size_t i = 0; i < survivor->view.count; i++)
        survivor->view.partitions[i].is_done = false;
    for (size_t refused = 1; refused > 0; survivor->refusals += refused) {
        if (bench_now_us() > survivor->end_us)
            bench_fail("broker %d still refuses records", survivor->id);
        if (!produce_to_led(survivor->fd, &survivor->view, survivor->id, (int16_t)survivor->acks,
                            &refused))
            bench_fail("broker %d closed the connection", survivor->id);
        survivor->done_us = bench_now_us();
        if (refused > 0)
            pause_us(PAUSE_LEAST_US);
    }
    return NULL;
}

/* Seconds from the znode's end to the last of them done. */
static double all(struct survivor *survivors, int count, void *(*run)(void *), int acks)
{
    int64_t last_us = 0;
    for (int i = 0; i < count; i++) {
        survivors[i].acks = acks;
        if (pthread_create(&survivors[i].thread, NULL, run, &survivors[i]))
            bench_fail("no thread");
    }
    for (int i = 0; i < count; i++) {
        pthread_join(survivors[i].thread, NULL);
        if (survivors[i].done_us > last_us)
            last_us = survivors[i].done_us;
    }
    return (double)(last_us - gone_us) / 1e6;
}

static void survivor_open(struct survivor *survivor, const char *text, long gone, long wanted)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        bench_fail("'%s' is not ID=PORT", text);
    OWNED_MEM char *id = mem_strndup(text, (size_t)(equals - text));
    *survivor = (struct survivor){.id = (int32_t)bench_number(id),
                                  .gone = (int32_t)gone,
                                  .port = (uint16_t)bench_number(equals + 1),
                                  .wanted = (size_t)wanted};
    survivor->fd = bench_connect(survivor->port);
    if (survivor->fd < 0)
        bench_fail("broker %d does not listen", survivor->id);
}

int main(int argc, char **argv)
{
    int count = argc - 5;
    if (count < 1 || count > SURVIVORS_MAX)
        bench_fail("bench_failover ZOOKEEPER GONE PARTITIONS SECONDS ID=PORT...");
    struct survivor survivors[SURVIVORS_MAX];
    for (int i = 0; i < count; i++)
        survivor_open(&survivors[i], argv[5 + i], bench_number(argv[2]), bench_number(argv[3]));
    await_node_gone(argv[1], bench_number(argv[2]));
    for (int i = 0; i < count; i++)
        survivors[i].end_us = bench_now_us() + 1000000 * bench_number(argv[4]);
    double named = all(survivors, count, await_named, 0);
    double accepted = all(survivors, count, produce, 1);
    double replicated = all(survivors, count, produce, -1);
    size_t refusals = 0;
    for (int i = 0; i < count; i++) {
        refusals += survivors[i].refusals;
        metadata_view_clear(&survivors[i].view);
        close(survivors[i].fd);
    }
    printf("named=%.4f accepted=%.4f replicated=%.4f refusals=%zu gone_ns=%lld\n", named, accepted,
           replicated, refusals, (long long)gone_us * 1000);
    return 0;
}
