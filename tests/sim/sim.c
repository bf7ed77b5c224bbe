/* Random histories of a cluster: brokers crash and return, sessions expire, connections break,
 * topics are made, grown and deleted. Each run is a seed; a failing one prints itself and `sim
 * --seed N` replays it exactly.
 *
 *
 * After each step the promises are looked at: an acknowledged record is in the log of every later
 * leader, a leader epoch has one leader, the ISR has all that is below the watermark, epochs never
 * go back, and no znode is written by a fenced controller. --mutations breaks the cluster in every
 * way of enum sim_mutation: each must be caught by some seed, or the promises do not bite.
 *
 *     sim [--seed N] [--runs N] [--steps N] [--past FILE] [--mutations N] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker/base/trace.h"
#include "tests/sim/partitions.h"
#include "tests/sim/requests.h"

#define BROKERS       4
#define TOPICS        4
#define DEFAULT_RUNS  20
#define DEFAULT_STEPS 400
#define CALM_MS       120000
#define ANSWERS       4096
#define TARGET_MAX    3

static const char *const names[TOPICS] = {"orders", "payments", "a.b", "clicks"};

struct run {
    struct world *world;
    int16_t answers[ANSWERS];
    struct world_answer asked[ANSWERS];
    int32_t answer_count;
};

static int16_t *answer_slot(struct run *run)
{
    return &run->answers[run->answer_count++ % ANSWERS];
}

static struct world_answer *asked_slot(struct run *run)
{
    return &run->asked[run->answer_count++ % ANSWERS];
}

/* Other replicas for a partition, or a cancellation. */
static void move_partition(struct run *run, const char *topic)
{
    struct world *world = run->world;
    int32_t target[TARGET_MAX], count = 1 + (int32_t)world_random(world, TARGET_MAX);
    int32_t first = (int32_t)world_random(world, BROKERS);
    for (int32_t i = 0; i < count; i++)
        target[i] = (first + i) % BROKERS;
    world_reassign(world, topic, (int32_t)world_random(world, 3), target,
                   world_random(world, 5) ? count : -1, asked_slot(run));
}

static void disturb(struct run *run)
{
    struct world *world = run->world;
    int32_t id = (int32_t)world_random(world, BROKERS);
    struct world_broker *broker = &world->brokers[id];
    const char *topic = names[world_random(world, TOPICS)];
    switch (world_random(world, 15)) {
    case 0:
        if (broker->up)
            world_crash(world, id);
        break;
    case 1:
    case 2:
        if (!broker->up)
            world_start(world, id);
        break;
    case 3:
        world_expire(world, id);
        break;
    case 4:
        world_disconnect(world, id, (int32_t)world_random(world, BROKERS));
        break;
    case 5:
        if (broker->up)
            zk_memory_lose_operation(broker->session, 1 + (int32_t)world_random(world, 20),
                                     world_random(world, 2));
        break;
    case 6:
    case 7:
        world_create_topic(world, topic, 1 + (int32_t)world_random(world, 5),
                           (int16_t)(1 + world_random(world, 3)), 10000, answer_slot(run));
        break;
    case 8:
        world_grow_topic(world, topic, 2 + (int32_t)world_random(world, 10), answer_slot(run));
        break;
    case 9:
        if (world_random(world, 4) == 0)
            world_delete_topic(world, topic, answer_slot(run));
        break;
    case 11: /* an operator forces an election: the old controller may be in the middle of an event
              */
        zk_memory_delete(world->zk, "/controller");
        break;
    case 12:
        world_pause(world, id, world_random(world, 2));
        break;
    case 13:
        move_partition(run, topic);
        break;
    case 14:
        world_elect(world, 0, topic, -1, 10000, 2, asked_slot(run));
        break;
    case 10:
        clock_manual_advance_ms(&world->clock, world_random(world, 2000));
        for (int32_t i = 0; i < BROKERS; i++) {
            if (world->brokers[i].controller && !world->brokers[i].paused)
                controller_run_timers(world->brokers[i].controller);
        }
        break;
    }
}

static void fail(struct world *world, const char *what, const char *topic, int32_t partition)
{
    if (!world->complaint[0])
        snprintf(world->complaint, sizeof world->complaint, "at the end: %s (%s-%d)", what, topic,
                 partition);
}

/* With everybody back and no more faults, everything has a leader and everybody knows. */
static void check_end(struct world *world)
{
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
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++) {
            int32_t leader = world_leader(world, world->topics[t], p);
            if (p < count && leader < 0)
                fail(world, "a partition has no leader", world->topics[t], p);
            for (int32_t b = 0; b < BROKERS; b++) {
                const struct world_metadata *metadata = &world->brokers[b].metadata[t][p];
                if (p < count && (!metadata->known || metadata->leader != leader))
                    fail(world, "a broker was not told the leader", world->topics[t], p);
                if (p >= count && metadata->known && !world->brokers[b].outlived_a_session)
                    fail(world, "a broker still knows a deleted partition", world->topics[t], p);
            }
            if (p < count && leader >= 0 && world->brokers[leader].replicas[t][p].leader != leader)
                fail(world, "a leader was not told to lead", world->topics[t], p);
        }
    }
}

/* Everybody comes back and nothing is lost any more. */
static void calm_down(struct world *world)
{
    world->loses_answers = false;
    for (int32_t i = 0; i < BROKERS; i++) {
        world_pause(world, i, false);
        if (!world->brokers[i].up)
            world_start(world, i);
    }
    world_settle(world, CALM_MS);
    if (!world->complaint[0] && sim_partitions_settle(world->partitions))
        world_settle(world, CALM_MS);
    if (!world->complaint[0])
        check_end(world);
}

struct totals {
    int64_t acknowledged;
};

static bool simulate(uint64_t seed, int32_t steps, int mutation, struct totals *totals)
{
    struct run *run = mem_new(struct run);
    run->world = world_new(seed, BROKERS);
    struct world *world = run->world;
    world->mutation = mutation;
    world->settings.unclean_leader_election_enable = mutation == MUTATION_UNCLEAN;
    world->partitions = sim_partitions_new(world);
    world->loses_answers = true;
    for (int32_t i = 0; i < BROKERS; i++)
        world_start(world, i);
    for (int32_t i = 0; i < steps && !world->complaint[0]; i++) {
        disturb(run);
        for (uint32_t k = world_random(world, 200); k > 0 && !world->complaint[0]; k--) {
            if (world_random(world, 5) < 2)
                world_step(world);
            else
                sim_partitions_step(world->partitions, true);
        }
    }
    if (!world->complaint[0])
        calm_down(world);
    bool ok = !world->complaint[0];
    if (!ok && !mutation)
        fprintf(stderr, "sim --seed %llu --steps %d: %s\n", (unsigned long long)seed, steps,
                world->complaint);
    if (!ok && mutation)
        printf("mutation %d: seed %llu: %s\n", mutation, (unsigned long long)seed,
               world->complaint);
    totals->acknowledged += sim_partitions_acknowledged(world->partitions);
    world_free(world);
    free(run);
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
            ok = simulate(seed, steps, MUTATION_NONE, totals);
    }
    if (file)
        fclose(file);
    return ok;
}

/* Each way to break it must be caught by one of so many seeds. */
static bool simulate_mutations(uint64_t seed, int32_t seeds, int32_t steps)
{
    struct totals totals = {0};
    for (int mutation = MUTATION_NONE + 1; mutation < MUTATION_COUNT; mutation++) {
        bool is_caught = false;
        for (int32_t i = 0; i < seeds && !is_caught; i++)
            is_caught = !simulate(seed + (uint64_t)i, steps, mutation, &totals);
        if (!is_caught) {
            fprintf(stderr, "sim: mutation %d was not caught by %d seeds from %llu\n", mutation,
                    seeds, (unsigned long long)seed);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL) * 1000;
    int32_t runs = DEFAULT_RUNS, steps = DEFAULT_STEPS, mutation_seeds = 0;
    const char *past = NULL;
    struct totals totals = {0};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 10);
            runs = 1;
        } else if (strcmp(argv[i], "--runs") == 0) {
            runs = atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--steps") == 0) {
            steps = atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--past") == 0) {
            past = argv[i + 1];
        } else if (strcmp(argv[i], "--mutations") == 0) {
            mutation_seeds = atoi(argv[i + 1]);
        } else {
            fprintf(stderr,
                    "sim [--seed N] [--runs N] [--steps N] [--past FILE] [--mutations N]\n");
            return 2;
        }
    }
    if (!getenv("STOKER_TRACE"))
        trace_set_level(TRACE_ERROR);
    if (mutation_seeds > 0)
        return simulate_mutations(seed, mutation_seeds, steps) ? 0 : 1;
    if (past && !simulate_past(past, &totals))
        return 1;
    for (int32_t i = 0; i < runs; i++) {
        if (!simulate(seed + (uint64_t)i, steps, MUTATION_NONE, &totals))
            return 1;
    }
    printf("%d runs from seed %llu kept every promise, %lld records acknowledged\n", runs,
           (unsigned long long)seed, (long long)totals.acknowledged);
    return 0;
}
