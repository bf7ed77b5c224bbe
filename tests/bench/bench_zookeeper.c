/* The floor of a controller's fail-over: a bare client that does the same ZooKeeper operations and
 * nothing else. It reads who is there, every topic's assignment and every partition's state, all
 * of a kind in flight at once, and then writes back the state of one partition in THIRD, each with
 * a check of /controller_epoch in one multi.
 *
 *     bench_zookeeper ADDRESS THIRD
 *
 * Prints the number of partitions and writes, and seconds from the first read to the last answer.
 * Run it when the brokers are gone: it writes what it read, but a state's version moves. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#include "broker/base/mem.h"
#include "tests/bench/client.h"

#define SESSION_MS     30000
#define IN_FLIGHT_MAX  1000
#define PATH_BYTES     400
#define PARTITIONS_MAX 100000

struct node {
    char path[PATH_BYTES];
    char *data;
    int size, version;
    struct zoo_op ops[2];
    zoo_op_result_t results[2];
    struct Stat stat;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_connected;
static int in_flight;

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *context)
{
    (void)zh;
    (void)path;
    (void)context;
    pthread_mutex_lock(&lock);
    is_connected |= type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void begin(void)
{
    pthread_mutex_lock(&lock);
    while (in_flight >= IN_FLIGHT_MAX)
        pthread_cond_wait(&changed, &lock);
    in_flight++;
    pthread_mutex_unlock(&lock);
}

static void end(int rc)
{
    if (rc != ZOK)
        bench_fail("%s", zerror(rc));
    pthread_mutex_lock(&lock);
    in_flight--;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void await_all(void)
{
    pthread_mutex_lock(&lock);
    while (in_flight > 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void on_data(int rc, const char *data, int size, const struct Stat *stat, const void *to)
{
    struct node *node = (struct node *)to;
    if (rc == ZOK) {
        node->data = mem_strndup(data, (size_t)size);
        node->size = size;
        node->version = stat->version;
    }
    end(rc);
}

static void on_multi(int rc, const void *node)
{
    (void)node;
    end(rc);
}

static void read_node(zhandle_t *zh, struct node *node)
{
    begin();
    int rc = zoo_aget(zh, node->path, 0, on_data, node);
    if (rc != ZOK)
        bench_fail("%s: %s", node->path, zerror(rc));
}

/* {"partitions":{"0":[1,2,3],…},…}: how many there are. */
static int count_partitions(const char *text)
{
    const char *at = strstr(text, "\"partitions\":{");
    int count = 0;
    for (at = at ? at + strlen("\"partitions\":{") : ""; *at && *at != '}'; at++)
        count += *at == ':';
    return count;
}

static size_t list_states(struct node *topics, int count, const char *const *names,
                          struct node *states)
{
    size_t total = 0;
    for (int t = 0; t < count; t++) {
        int partitions = count_partitions(topics[t].data);
        for (int i = 0; i < partitions && total < PARTITIONS_MAX; i++)
            snprintf(states[total++].path, PATH_BYTES, "/brokers/topics/%s/partitions/%d/state",
                     names[t], i);
    }
    return total;
}

static void write_state(zhandle_t *zh, struct node *state, int epoch_version)
{
    zoo_check_op_init(&state->ops[0], "/controller_epoch", epoch_version);
    zoo_set_op_init(&state->ops[1], state->path, state->data, state->size, state->version,
                    &state->stat);
    begin();
    int rc = zoo_amulti(zh, 2, state->ops, state->results, on_multi, state);
    if (rc != ZOK)
        bench_fail("%s: %s", state->path, zerror(rc));
}

int main(int argc, char **argv)
{
    if (argc != 3)
        bench_fail("bench_zookeeper ADDRESS THIRD");
    long third = bench_number(argv[2]);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init(argv[1], on_session, SESSION_MS, NULL, NULL, 0);
    pthread_mutex_lock(&lock);
    while (!is_connected)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);

    int64_t began_us = bench_now_us();
    struct String_vector brokers = {0}, names = {0};
    struct node epoch = {.path = "/controller_epoch"};
    if (zoo_get_children(zh, "/brokers/ids", 0, &brokers) != ZOK ||
        zoo_get_children(zh, "/brokers/topics", 0, &names) != ZOK)
        bench_fail("the children of /brokers cannot be listed");
    read_node(zh, &epoch);
    struct node *topics = mem_new_array(struct node, (size_t)names.count + 1);
    for (int t = 0; t < names.count; t++) {
        snprintf(topics[t].path, PATH_BYTES, "/brokers/topics/%s", names.data[t]);
        read_node(zh, &topics[t]);
    }
    await_all();
    struct node *states = mem_new_array(struct node, PARTITIONS_MAX);
    size_t count = list_states(topics, names.count, (const char *const *)names.data, states);
    for (size_t i = 0; i < count; i++)
        read_node(zh, &states[i]);
    await_all();
    int64_t read_us = bench_now_us();
    long writes = 0;
    for (size_t i = 0; i < count; i += (size_t)third, writes++)
        write_state(zh, &states[i], epoch.version);
    await_all();
    int64_t ended_us = bench_now_us();
    printf("partitions=%zu writes=%ld read_seconds=%.4f seconds=%.4f\n", count, writes,
           (double)(read_us - began_us) / 1e6, (double)(ended_us - began_us) / 1e6);
    for (size_t i = 0; i < count; i++)
        free(states[i].data);
    for (int t = 0; t < names.count; t++)
        free(topics[t].data);
    free(states);
    free(topics);
    free(epoch.data);
    deallocate_String_vector(&brokers);
    deallocate_String_vector(&names);
    zookeeper_close(zh);
    return 0;
}
