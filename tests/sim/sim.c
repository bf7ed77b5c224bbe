/* Random histories of a cluster of real brokers and controllers over a modelled ZooKeeper, on
 * virtual time. Each run is a seed; a failing one prints itself and `sim --seed N` replays it
 * exactly. What may happen is in faults.h, what must hold after each step in promises.h and
 * world_check.c.
 *
 *     sim [--seed N] [--runs N] [--seconds N] [--steps N] [--past FILE]
 *         [--without-guard] [--without-notes] [--expect-failure]
 *
 * --seed without --runs: that one. --seconds: fresh seeds for so long, real time. --without-…,
 * and the programs that sim.cmake makes of broken sources, are variants that some seed must catch:
 * --expect-failure says so. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker/base/trace.h"
#include "tests/sim/clients.h"
#include "tests/sim/faults.h"
#include "tests/sim/promises.h"

#define BROKERS        4
#define DEFAULT_RUNS   20
#define DEFAULT_STEPS  300
#define STEP_MOVES_MAX 150
#define CALM_MS        300000

struct totals {
    int64_t acknowledged, refused, moves;
    int64_t kept; /* see may_know_deleted() */
};

static void be_quiet(enum trace_level level, const char *line, void *context)
{
    (void)level, (void)line, (void)context;
}

static void speak(enum trace_level level, const char *line, void *context)
{
    const struct node *node = node_current();
    (void)level, (void)context;
    if (node && node->is_dying)
        return;
    fprintf(stderr, "%lld [%d] %s\n", node ? (long long)clock_mono_ms(node->server.clock) : 0LL,
            node ? node->id : -1, line);
}

/* ---- The end of a run ---- */

static void fail(struct world *world, const char *what, const char *topic, int32_t partition)
{
    world_complain(world, "at the end: %s (%s-%d)", what, topic, partition);
}

static int32_t known_leader(struct cluster *cluster, int32_t id, const char *topic, int32_t p)
{
    struct metadata_cache *cache = cluster->nodes[id].server.broker.metadata_cache;
    metadata_cache_lock(cache);
    const struct topic_metadata *known = metadata_topic(cache, slice_str(topic));
    const struct partition_metadata *found = known ? metadata_partition(known, p) : NULL;
    int32_t leader = found ? found->leader : -2;
    metadata_cache_unlock(cache);
    return leader;
}

/* Known, and so with JVM brokers: nobody waits until all brokers have heard of a deletion. A
 * controller that is replaced before takes its word along, the next one knows the topic no more,
 * and UpdateMetadata only adds. Such a broker names the topic until it starts anew or the topic is
 * made again. Under the controller that deleted it, all hear of it; and who has heard of it has
 * forgotten that topic for good. */
static bool may_know_deleted(struct cluster *cluster, int32_t id, int32_t t, int32_t p)
{
    const struct world *world = cluster->world;
    struct metadata_cache *cache = cluster->nodes[id].server.broker.metadata_cache;
    metadata_cache_lock(cache);
    const struct topic_metadata *known = metadata_topic(cache, slice_str(world->topics[t]));
    bool has_heard =
        known && !uuid_is_zero(known->id) && uuid_equal(known->id, cluster->told_deleted[id][t][p]);
    metadata_cache_unlock(cache);
    return !has_heard && (world->brokers[id].outlived_a_session ||
                          world->deleting_epoch[t] < world->last_controller_epoch);
}

/* Gives how many brokers know what they may. */
static int32_t check_partition(struct cluster *cluster, const char *topic, int32_t t, int32_t p,
                               int32_t count)
{
    int32_t kept = 0;
    struct world *world = cluster->world;
    int32_t leader = world_leader(world, topic, p);
    if (p < count && leader < 0)
        fail(world, "a partition has no leader", topic, p);
    for (int32_t b = 0; b < BROKERS; b++) {
        int32_t known = known_leader(cluster, b, topic, p);
        if (p < count && known != leader)
            fail(world, "a broker was not told the leader", topic, p);
        if (p < count || known == -2)
            continue;
        kept++;
        if (!may_know_deleted(cluster, b, t, p))
            fail(world, "a broker still knows a deleted partition", topic, p);
    }
    const char *difference = promises_differ(cluster, t, p);
    if (p < count && difference)
        world_complain(world, "at the end: %s-%d %s", topic, p, difference);
    return kept;
}

/* With everybody back and no more faults, everything has a leader and everybody knows. */
static int32_t check_end(struct cluster *cluster)
{
    int32_t kept = 0;
    struct world *world = cluster->world;
    if (!world_controller(world))
        fail(world, "nobody is controller", "", 0);
    if (zk_memory_children_count(world->zk, "/admin/delete_topics") != 0)
        fail(world, "a topic is still being deleted", "", 0);
    for (int32_t t = 0; t < WORLD_TOPICS_MAX && world->topics[t][0]; t++) {
        char path[128];
        snprintf(path, sizeof path, "/brokers/topics/%s", world->topics[t]);
        bool exists = world_znode(world, path);
        snprintf(path, sizeof path, "/brokers/topics/%s/partitions", world->topics[t]);
        int32_t count = exists ? zk_memory_children_count(world->zk, path) : 0;
        if (exists && count <= 0)
            fail(world, "a topic has no partitions", world->topics[t], 0);
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++)
            kept += check_partition(cluster, world->topics[t], t, p, count);
    }
    return kept;
}

static bool never(struct cluster *cluster)
{
    (void)cluster;
    return false;
}

static void calm_down(struct cluster *cluster, struct faults *faults, struct totals *totals)
{
    faults_end(faults);
    if (!cluster_run_until(cluster, cluster_is_whole, CALM_MS))
        world_complain(cluster->world, "at the end: it does not become whole");
    cluster_run_until(cluster, never, 60000);
    if (!cluster->world->complaint[0])
        totals->kept += check_end(cluster);
}

/* ---- Runs ---- */

static void move(struct cluster *cluster, struct totals *totals)
{
    totals->moves++;
    if (world_random(cluster->world, 6) == 0)
        clients_step(cluster);
    else if (world_random(cluster->world, 12) == 0)
        cluster_pass(cluster, 1 + world_random(cluster->world, 20));
    else
        cluster_step(cluster);
}

static bool simulate(uint64_t seed, int32_t steps, enum world_mutation mutation,
                     struct totals *totals)
{
    struct cluster *cluster = cluster_new(seed, BROKERS);
    struct world *world = cluster->world;
    world->mutation = mutation;
    struct faults *faults = faults_new(cluster, seed % 2 == 1);
    if (mutation == WORLD_WITHOUT_NOTES)
        world->settings.min_insync_replicas = 0;
    for (int32_t i = 0; i < BROKERS; i++)
        world_start(world, i);
    for (int32_t i = 0; i < steps && !world->complaint[0]; i++) {
        faults_strike(faults);
        for (uint32_t k = world_random(world, STEP_MOVES_MAX); k > 0 && !world->complaint[0]; k--)
            move(cluster, totals);
    }
    if (!world->complaint[0])
        calm_down(cluster, faults, totals);
    bool ok = !world->complaint[0];
    if (!ok)
        printf("sim --seed %llu --steps %d: %s\n", (unsigned long long)seed, steps,
               world->complaint);
    totals->acknowledged += promises_count(cluster->promises);
    totals->refused += clients_refused(cluster->clients);
    cluster_free(cluster); /* answers to what was asked come until then */
    faults_free(faults);
    return ok;
}

/* Seeds that failed once, one a line with the number of steps; what follows is for people. */
static bool simulate_past(const char *path, struct totals *totals)
{
    FILE *file = fopen(path, "r");
    char line[512];
    bool ok = file != NULL;
    if (!file)
        fprintf(stderr, "sim: %s cannot be opened\n", path);
    while (ok && fgets(line, sizeof line, file)) {
        unsigned long long seed;
        int steps;
        if (sscanf(line, "%llu %d", &seed, &steps) == 2)
            ok = simulate(seed, steps, WORLD_AS_IT_IS, totals);
    }
    if (file)
        fclose(file);
    return ok;
}

struct options {
    uint64_t seed;
    int32_t runs, steps, seconds; /* seconds: 0, so many runs */
    const char *past;
    enum world_mutation mutation;
    bool expects_failure;
};

static bool read_options(int argc, char **argv, struct options *ret)
{
    *ret = (struct options){
        .seed = (uint64_t)time(NULL) * 1000, .runs = DEFAULT_RUNS, .steps = DEFAULT_STEPS};
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--without-guard") == 0) {
            ret->mutation = WORLD_WITHOUT_GUARD;
        } else if (strcmp(argv[i], "--without-notes") == 0) {
            ret->mutation = WORLD_WITHOUT_NOTES;
        } else if (strcmp(argv[i], "--seconds") == 0 && has_value) {
            ret->seconds = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--expect-failure") == 0) {
            ret->expects_failure = true;
        } else if (strcmp(argv[i], "--seed") == 0 && has_value) {
            ret->seed = strtoull(argv[++i], NULL, 10);
            ret->runs = 1;
        } else if (strcmp(argv[i], "--runs") == 0 && has_value) {
            ret->runs = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--steps") == 0 && has_value) {
            ret->steps = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--past") == 0 && has_value) {
            ret->past = argv[++i];
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options;
    struct totals totals = {0};
    if (!read_options(argc, argv, &options)) {
        fprintf(stderr, "sim [--seed N] [--runs N] [--seconds N] [--steps N] [--past FILE] "
                        "[--without-guard] [--without-notes] [--expect-failure]\n");
        return 2;
    }
    trace_set_sink(getenv("STOKER_TRACE") ? speak : be_quiet, NULL);
    bool ok = !options.past || simulate_past(options.past, &totals);
    int32_t done = 0;
    time_t end = time(NULL) + options.seconds;
    while (ok && (options.seconds > 0 ? time(NULL) < end : done < options.runs))
        ok = simulate(options.seed + (uint64_t)done++, options.steps, options.mutation, &totals);
    if (ok)
        printf("%d runs from seed %llu kept every promise: %lld moves, %lld records acknowledged, "
               "%lld requests refused or lost; known: deleted partitions kept by brokers %lld\n",
               done, (unsigned long long)options.seed, (long long)totals.moves,
               (long long)totals.acknowledged, (long long)totals.refused, (long long)totals.kept);
    fflush(stdout);
    return ok == !options.expects_failure ? 0 : 1;
}
