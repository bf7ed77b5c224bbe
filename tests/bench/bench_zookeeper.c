/* The floor of a controller's fail-over: a bare client that does the same ZooKeeper operations and
 * nothing else. It reads who is there, every topic's assignment and every partition's state, all
 * of a kind in flight at once, and then writes back the state of one partition in THIRD, each with
 * a check of /controller_epoch in one multi.
 *
 *     bench_zookeeper ADDRESS CLUSTER COPY THIRD
 *
 * CLUSTER is the chroot of the cluster, which is not touched: its znodes are copied to COPY first.
 * Prints the number of partitions and writes, and seconds from the first read to the last answer.
 */
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

static void on_created(int rc, const char *name, const void *context)
{
    (void)name;
    (void)context;
    end(rc == ZNODEEXISTS ? ZOK : rc);
}

/* Operations of one client keep their order, so parents need no waiting for. */
static void create(zhandle_t *zh, const char *path, const char *data, int size)
{
    begin();
    int rc = zoo_acreate(zh, path, data, size, &ZOO_OPEN_ACL_UNSAFE, 0, on_created, NULL);
    if (rc != ZOK)
        bench_fail("%s: %s", path, zerror(rc));
}

static void create_with_parents(zhandle_t *zh, const char *path, const char *data, int size)
{
    char parent[PATH_BYTES];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
        create(zh, parent, NULL, -1);
    }
    create(zh, path, data, size);
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

/* What a new controller reads of a cluster. */
struct tree {
    struct String_vector names;
    struct node epoch, *topics, *states;
    size_t count;
};

static void list_states(struct tree *tree, const char *chroot)
{
    tree->states = mem_new_array(struct node, PARTITIONS_MAX);
    for (int t = 0; t < tree->names.count; t++) {
        int partitions = count_partitions(tree->topics[t].data);
        for (int i = 0; i < partitions && tree->count < PARTITIONS_MAX; i++)
            snprintf(tree->states[tree->count++].path, PATH_BYTES,
                     "%s/brokers/topics/%s/partitions/%d/state", chroot, tree->names.data[t], i);
    }
}

static void tree_read(zhandle_t *zh, const char *chroot, struct tree *tree)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/brokers/topics", chroot);
    if (zoo_get_children(zh, path, 0, &tree->names) != ZOK)
        bench_fail("the children of %s cannot be listed", path);
    snprintf(tree->epoch.path, PATH_BYTES, "%s/controller_epoch", chroot);
    read_node(zh, &tree->epoch);
    tree->topics = mem_new_array(struct node, (size_t)tree->names.count + 1);
    for (int t = 0; t < tree->names.count; t++) {
        snprintf(tree->topics[t].path, PATH_BYTES, "%s/%s", path, tree->names.data[t]);
        read_node(zh, &tree->topics[t]);
    }
    await_all();
    list_states(tree, chroot);
    for (size_t i = 0; i < tree->count; i++)
        read_node(zh, &tree->states[i]);
    await_all();
}

static void tree_done(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        free(tree->states[i].data);
    for (int t = 0; t < tree->names.count; t++)
        free(tree->topics[t].data);
    free(tree->states);
    free(tree->topics);
    free(tree->epoch.data);
    deallocate_String_vector(&tree->names);
}

static void node_copy(zhandle_t *zh, const struct node *node, const char *from, const char *to)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s%s", to, node->path + strlen(from));
    create_with_parents(zh, path, node->data, node->size);
}

static void tree_copy(zhandle_t *zh, const char *from, const char *to)
{
    struct tree tree = {0};
    tree_read(zh, from, &tree);
    node_copy(zh, &tree.epoch, from, to);
    for (int t = 0; t < tree.names.count; t++)
        node_copy(zh, &tree.topics[t], from, to);
    for (size_t i = 0; i < tree.count; i++)
        node_copy(zh, &tree.states[i], from, to);
    await_all();
    tree_done(&tree);
}

static void write_state(zhandle_t *zh, struct node *state, const struct node *epoch)
{
    zoo_check_op_init(&state->ops[0], epoch->path, epoch->version);
    zoo_set_op_init(&state->ops[1], state->path, state->data, state->size, state->version,
                    &state->stat);
    begin();
    int rc = zoo_amulti(zh, 2, state->ops, state->results, on_multi, state);
    if (rc != ZOK)
        bench_fail("%s: %s", state->path, zerror(rc));
}

int main(int argc, char **argv)
{
    if (argc != 5)
        bench_fail("bench_zookeeper ADDRESS CLUSTER COPY THIRD");
    long third = bench_number(argv[4]);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = zookeeper_init(argv[1], on_session, SESSION_MS, NULL, NULL, 0);
    if (!zh)
        bench_fail("zookeeper_init: %m");
    /* As the broker has it: else the library asks the resolver again at each turn of its loop. */
    zoo_set_servers_resolution_delay(zh, -1);
    pthread_mutex_lock(&lock);
    while (!is_connected)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    tree_copy(zh, argv[2], argv[3]);

    struct tree tree = {0};
    int64_t began_us = bench_now_us();
    tree_read(zh, argv[3], &tree);
    int64_t read_us = bench_now_us();
    long writes = 0;
    for (size_t i = 0; i < tree.count; i += (size_t)third, writes++)
        write_state(zh, &tree.states[i], &tree.epoch);
    await_all();
    int64_t ended_us = bench_now_us();
    printf("partitions=%zu writes=%ld read_seconds=%.4f seconds=%.4f\n", tree.count, writes,
           (double)(read_us - began_us) / 1e6, (double)(ended_us - began_us) / 1e6);
    tree_done(&tree);
    zookeeper_close(zh);
    return 0;
}
