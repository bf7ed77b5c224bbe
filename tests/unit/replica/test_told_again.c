/* LeaderAndIsr that says what is known, or that nobody leads: controllers send both as a matter of
 * course (zookeeper-and-controller.md §9 T28, T29), and nothing may be cut, fetched anew or lost.
 */
#include "replica_fixture.h"

#define EPOCH 5

struct heard {
    int32_t follows, unfollows, leader_id, leader_epoch;
};

static void follow(void *context, struct partition *partition, int32_t leader_id,
                   int32_t leader_epoch)
{
    (void)partition;
    struct heard *heard = context;
    heard->follows++;
    heard->leader_id = leader_id;
    heard->leader_epoch = leader_epoch;
}

static void unfollow(void *context, struct partition *partition)
{
    (void)partition;
    ((struct heard *)context)->unfollows++;
}

static void listen_to(struct replicas *r, struct heard *heard)
{
    replica_manager_set_fetchers(r->manager, (struct replica_fetchers){follow, unfollow, heard});
}

static struct role_spec role(int32_t leader, int32_t leader_epoch)
{
    return (struct role_spec){.id = id_of(1),
                              .leader = leader,
                              .leader_epoch = leader_epoch,
                              .partition_epoch = leader_epoch,
                              .replicas = {1, 2, 3},
                              .replicas_count = 3};
}

static void assert_answer(struct replicas *r, struct role_spec spec, enum err e)
{
    struct role_answer answer = tell_role(r, &spec);
    assert_int_equal(answer.error, 0);
    assert_code(answer.partition_error, e);
}

/* T28 */
static void test_a_follower_told_again_goes_on_fetching_where_it_is(void **state)
{
    struct replicas *r = *state;
    struct heard heard = {0};
    listen_to(r, &heard);
    struct role_spec spec = role(SELF, EPOCH);
    struct partition *p = take_role(r, &spec);
    append_to(p, 3); /* of nobody else */
    spec = role(2, EPOCH + 1);
    assert_answer(r, spec, ERR_OK);
    assert_int_equal(heard.follows, 1);
    int32_t unfollows = heard.unfollows;
    for (int i = 0; i < 3; i++)
        assert_answer(r, spec, ERR_STALE_CONTROLLER_EPOCH);
    assert_int_equal(heard.follows, 1);
    assert_int_equal(heard.unfollows, unfollows);
    assert_int_equal(log_end_offset(partition_log(p)), 3);
    partition_unref(p);
}

/* Its fetches would have the leader ask for it in the ISR, in vain. */
static void test_a_broker_that_leaves_follows_nobody_who_does_without_it(void **state)
{
    struct replicas *r = *state;
    struct heard heard = {0};
    listen_to(r, &heard);
    struct role_spec spec = role(SELF, EPOCH);
    struct partition *p = take_role(r, &spec);
    replica_manager_leave(r->manager);
    spec = role(2, EPOCH + 1); /* the whole ISR: it is wanted still */
    assert_answer(r, spec, ERR_OK);
    assert_int_equal(heard.follows, 1);
    spec = role(3, EPOCH + 2);
    spec.isr[0] = 2, spec.isr[1] = 3, spec.isr_count = 2;
    int32_t unfollows = heard.unfollows;
    assert_answer(r, spec, ERR_OK);
    assert_int_equal(heard.follows, 1);
    assert_int_equal(heard.unfollows, unfollows + 1);
    assert_int_equal(partition_role(p), ROLE_FOLLOWER);
    assert_int_equal(partition_leader_id(p), 3);
    assert_true(partition_is_stopped(p));
    partition_unref(p);
}

/* A broker whose disk stood still is taken for one that shuts down, and stays: where it was not in
 * the ISR the leader epoch is the same when it is told anew. */
static void test_a_follower_that_was_stopped_fetches_again_when_it_is_told_the_same(void **state)
{
    struct replicas *r = *state;
    struct heard heard = {0};
    listen_to(r, &heard);
    struct role_spec spec = role(2, EPOCH);
    struct partition *p = take_role(r, &spec);
    assert_int_equal(heard.follows, 1);
    assert_code(tell_stop(r, "t", 0, EPOCH, false), ERR_OK);
    assert_int_equal(heard.unfollows, 1);
    replica_manager_follow_all(r->manager); /* another number of fetchers is no role */
    assert_int_equal(heard.follows, 1);
    assert_answer(r, spec, ERR_OK);
    assert_int_equal(heard.follows, 2);
    assert_int_equal(heard.leader_epoch, EPOCH);
    assert_answer(r, spec, ERR_STALE_CONTROLLER_EPOCH);
    assert_int_equal(heard.follows, 2);
    partition_unref(p);
}

/* T28: nor does a leader begin its epoch anew, or forget what its followers have. */
static void test_a_leader_told_again_keeps_what_it_knows(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = role(SELF, EPOCH);
    struct partition *p = take_role(r, &spec);
    append_to(p, 3);
    for (int32_t id = 2; id <= 3; id++)
        assert_err(partition_follower_fetched(p, EPOCH, id, 3, 3, 0), ERR_OK);
    assert_int_equal(partition_high_watermark(p), 3);
    append_to(p, 2);
    assert_answer(r, spec, ERR_STALE_CONTROLLER_EPOCH);
    assert_int_equal(partition_high_watermark(p), 3);
    for (int32_t id = 2; id <= 3; id++)
        assert_err(partition_follower_fetched(p, EPOCH, id, 5, 5, 0), ERR_OK);
    assert_int_equal(partition_high_watermark(p), 5);
    partition_unref(p);
}

/* T29: as in Kafka it is answered without an error, and who led leads on until somebody else does.
 */
static void test_a_leader_leads_on_where_nobody_is_named_and_gives_way_to_the_next(void **state)
{
    struct replicas *r = *state;
    struct heard heard = {0};
    listen_to(r, &heard);
    struct role_spec spec = role(SELF, EPOCH);
    struct partition *p = take_role(r, &spec);
    append_to(p, 3);
    assert_answer(r, role(-1, EPOCH + 1), ERR_OK);
    assert_int_equal(partition_role(p), ROLE_LEADER);
    assert_int_equal(partition_leader_epoch(p), EPOCH);
    assert_int_equal(heard.follows, 0);
    assert_answer(r, role(2, EPOCH + 2), ERR_OK);
    assert_int_equal(partition_role(p), ROLE_FOLLOWER);
    assert_int_equal(heard.follows, 1);
    assert_int_equal(heard.leader_id, 2);
    partition_unref(p);
}

/* T29: it keeps its records, and follows as soon as there is somebody. */
static void test_a_follower_waits_where_nobody_is_named_and_follows_the_next(void **state)
{
    struct replicas *r = *state;
    struct heard heard = {0};
    listen_to(r, &heard);
    struct role_spec spec = role(SELF, EPOCH);
    struct partition *p = take_role(r, &spec);
    append_to(p, 3);
    assert_answer(r, role(2, EPOCH + 1), ERR_OK);
    assert_answer(r, role(-1, EPOCH + 2), ERR_OK);
    assert_int_equal(heard.follows, 1);
    assert_int_equal(log_end_offset(partition_log(p)), 3);
    assert_answer(r, role(3, EPOCH + 3), ERR_OK);
    assert_int_equal(heard.follows, 2);
    assert_int_equal(heard.leader_id, 3);
    assert_int_equal(heard.leader_epoch, EPOCH + 3);
    assert_int_equal(log_end_offset(partition_log(p)), 3);
    partition_unref(p);
}

/* T29: a leader that metadata do not know (yet) is followed all the same: the fetcher tries until
 * it is there. Kafka's follower would wait for the next LeaderAndIsr. */
static void test_a_leader_that_is_not_known_to_live_is_followed(void **state)
{
    struct replicas *r = *state;
    struct heard heard = {0};
    listen_to(r, &heard);
    tell_brokers(r);
    struct role_spec spec = role(6, EPOCH);
    spec.replicas[2] = 6;
    assert_answer(r, spec, ERR_OK);
    assert_int_equal(heard.follows, 1);
    assert_int_equal(heard.leader_id, 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, replicas_setup, replicas_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_follower_told_again_goes_on_fetching_where_it_is),
        TEST(test_a_broker_that_leaves_follows_nobody_who_does_without_it),
        TEST(test_a_follower_that_was_stopped_fetches_again_when_it_is_told_the_same),
        TEST(test_a_leader_told_again_keeps_what_it_knows),
        TEST(test_a_leader_leads_on_where_nobody_is_named_and_gives_way_to_the_next),
        TEST(test_a_follower_waits_where_nobody_is_named_and_follows_the_next),
        TEST(test_a_leader_that_is_not_known_to_live_is_followed),
    };
    return cmocka_run_group_tests_name("told again", tests, NULL, NULL);
}
