/* A follower that flushes (flush.messages): the leader hears of records that are on the disk, and
 * the logs of one answer get there side by side. The disk here is a gate that the test opens. */
#include "fetcher_world.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "broker/log/file_ops.h"

#define PARTITIONS    4
#define PATIENCE_S    10
#define ANOTHER_EPOCH 5

static struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int inside, most; /* syncs that wait at the gate, now and at most */
    bool is_open, refuses;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int gated_sync(int fd)
{
    pthread_mutex_lock(&gate.mutex);
    if (++gate.inside > gate.most)
        gate.most = gate.inside;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.is_open)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    gate.inside--;
    bool refuses = gate.refuses;
    pthread_mutex_unlock(&gate.mutex);
    if (refuses) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

static struct file_ops gated;

static int flush_setup(void **state)
{
    world_setup(state);
    struct world *w = *state;
    w->r->logs->config.flush_messages = 1;
    gate.is_open = gate.refuses = false;
    gate.inside = gate.most = 0;
    gated = file_ops_system;
    gated.fdatasync = gated_sync;
    return 0;
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.mutex);
    gate.is_open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

/* So many syncs wait at once; false, if they do not come. */
static bool await_inside(int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&gate.mutex);
    int e = 0;
    while (gate.inside < count && !e)
        e = pthread_cond_timedwait(&gate.changed, &gate.mutex, &until);
    bool came = gate.inside >= count;
    pthread_mutex_unlock(&gate.mutex);
    return came;
}

static int flush_teardown(void **state)
{
    open_gate();
    int e = world_teardown(state);
    file_ops = &file_ops_system;
    return e;
}

/* Followed, fetched from the beginning, and nothing has come yet. */
static void begin(struct world *w, struct partition **ret, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        ret[i] = followed(w, i, 4);
        log_set_config(partition_log(ret[i]), &w->r->logs->config);
    }
    if (!asked_of(w, count - 1))
        answer_nothing(w);
    if (!asked_of(w, count - 1))
        fail_msg("not every partition is fetched");
}

static void fill(struct world *w, int32_t count)
{
    struct part parts[PARTITIONS];
    for (int32_t i = 0; i < count; i++)
        parts[i] = (struct part){.id = i, .records = with(batches(), 0, 5, 4)};
    answer_session(w, SESSION, parts, count);
}

static void test_records_are_on_the_disk_before_the_leader_hears_of_them(void **state)
{
    struct world *w = *state;
    struct partition *p;
    begin(w, &p, 1);
    file_ops = &gated;
    fill(w, 1);
    assert_true(await_inside(1));
    assert_false(w->is_asked); /* the next fetch would say that we have them */
    open_gate();
    await_flushes(w);
    assert_asked(w, 0, 5, 4);
    assert_int_equal(log_recovery_point(partition_log(p)), 5);
}

static void test_the_logs_of_one_answer_are_synced_side_by_side(void **state)
{
    struct world *w = *state;
    struct partition *p[PARTITIONS];
    begin(w, p, PARTITIONS);
    file_ops = &gated;
    fill(w, PARTITIONS);
    assert_true(await_inside(PARTITIONS)); /* nobody gets out before all are in */
    open_gate();
    await_flushes(w);
    for (int32_t i = 0; i < PARTITIONS; i++)
        assert_asked(w, i, 5, 4);
}

static void test_orders_are_followed_while_a_sync_runs(void **state)
{
    struct world *w = *state;
    struct partition *p[2];
    begin(w, p, 2);
    file_ops = &gated;
    fill(w, 2);
    assert_true(await_inside(2));
    fetcher_unfollow(w->fetcher, p[0]);
    open_gate();
    await_flushes(w);
    assert_asked(w, 1, 5, 4);
    assert_null(asked_of(w, 0));
    assert_true(is_forgotten(w, 0));
}

/* Its new leader must not hear of records before the sync has ended either. */
static void test_who_is_followed_anew_meanwhile_is_fetched_after_the_sync(void **state)
{
    struct world *w = *state;
    struct partition *p;
    begin(w, &p, 1);
    file_ops = &gated;
    fill(w, 1);
    assert_true(await_inside(1));
    followed(w, 0, ANOTHER_EPOCH);
    fetcher_run(w->fetcher);
    assert_false(w->is_asked);
    open_gate();
    await_flushes(w);
    assert_asked(w, 0, 5, 4);
    assert_int_equal(asked_of(w, 0)->current_leader_epoch, ANOTHER_EPOCH);
}

static void test_a_sync_that_fails_ends_the_replication_of_its_partition(void **state)
{
    struct world *w = *state;
    struct partition *p;
    begin(w, &p, 1);
    file_ops = &gated;
    gate.refuses = true;
    fill(w, 1);
    open_gate();
    await_flushes(w);
    assert_int_equal(failed_count(w), 1);
    assert_false(w->is_asked);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, flush_setup, flush_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_records_are_on_the_disk_before_the_leader_hears_of_them),
        TEST(test_the_logs_of_one_answer_are_synced_side_by_side),
        TEST(test_orders_are_followed_while_a_sync_runs),
        TEST(test_who_is_followed_anew_meanwhile_is_fetched_after_the_sync),
        TEST(test_a_sync_that_fails_ends_the_replication_of_its_partition),
    };
    return cmocka_run_group_tests_name("fetcher, flushing", tests, NULL, NULL);
}
