/* A watermark that waits for a replica which is out of the ISR and has caught up (trap 49) is set
 * free when that replica dies or lags, although nothing happens at the partition. */
#include "replica_fixture.h"

#define LAG_MS REPLICA_LAG_DEFAULT_MS

struct counted_waiter {
    struct partition_waiter waiter;
    int fired;
};

static void count_fired(struct partition_waiter *waiter)
{
    ((struct counted_waiter *)waiter)->fired++;
}

/* Led here with followers 2 and 3, both out of the ISR; 2 has everything but the records that come
 * then. */
static struct partition *held(struct replicas *r, int32_t number)
{
    struct partition *p = take_role(r, &(struct role_spec){.partition = number,
                                                           .id = id_of(1),
                                                           .leader_epoch = 1,
                                                           .partition_epoch = 1,
                                                           .replicas = {1, 2, 3},
                                                           .replicas_count = 3,
                                                           .isr = {1},
                                                           .isr_count = 1});
    assert_err(partition_follower_fetched(p, 1, 2, 0, 0, 0), ERR_OK);
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 0);
    return p;
}

static void kill_2(struct replicas *r)
{
    r->alive[0] = 1;
    r->alive[1] = 3;
    r->alive_count = 2;
    tell_brokers(r);
}

static void test_the_death_of_the_replica_sets_it_free(void **state)
{
    struct replicas *r = *state;
    struct partition *p = held(r, 0);
    struct counted_waiter ack = {.waiter = {.moved = count_fired, .offset = 5}};
    assert_true(partition_wait_ack(p, &ack.waiter));
    tell_brokers(r); /* all are alive */
    assert_int_equal(partition_high_watermark(p), 0);
    kill_2(r);
    assert_int_equal(partition_high_watermark(p), 5);
    assert_int_equal(ack.fired, 1);
    assert_int_equal(replica_manager_release_watermarks(r->manager), INT64_MAX);
    partition_unref(p);
}

static void test_the_end_of_its_time_sets_it_free(void **state)
{
    struct replicas *r = *state;
    int64_t caught_up_ms = clock_mono_ms(&r->logs->clock.clock);
    struct partition *p = held(r, 0);
    assert_int_equal(r->look_at_ms, caught_up_ms + LAG_MS + 1);
    clock_manual_advance_ms(&r->logs->clock, LAG_MS);
    assert_int_equal(replica_manager_release_watermarks(r->manager), caught_up_ms + LAG_MS + 1);
    assert_int_equal(partition_high_watermark(p), 0);
    clock_manual_advance_ms(&r->logs->clock, 1);
    assert_int_equal(replica_manager_release_watermarks(r->manager), INT64_MAX);
    assert_int_equal(partition_high_watermark(p), 5);
    partition_unref(p);
}

static void test_a_look_is_wanted_for_the_first_whose_time_is_over(void **state)
{
    struct replicas *r = *state;
    struct partition *p = held(r, 0);
    int64_t first_ms = r->look_at_ms;
    append_to(p, 1);
    assert_int_equal(r->looks_wanted, 1);
    clock_manual_advance_ms(&r->logs->clock, 1000);
    struct partition *q = held(r, 1);
    assert_int_equal(r->look_at_ms, first_ms);
    clock_manual_advance_ms(&r->logs->clock, LAG_MS - 999);
    assert_int_equal(replica_manager_release_watermarks(r->manager), first_ms + 1000);
    assert_int_equal(partition_high_watermark(p), 6);
    assert_int_equal(partition_high_watermark(q), 0);
    partition_unref(p);
    partition_unref(q);
}

static void test_a_replica_that_goes_on_fetching_holds_it_on(void **state)
{
    struct replicas *r = *state;
    struct partition *p = held(r, 0);
    clock_manual_advance_ms(&r->logs->clock, LAG_MS);
    assert_err(partition_follower_fetched(p, 1, 2, 4, 4, 0), ERR_OK); /* 4 was the end, for it */
    clock_manual_advance_ms(&r->logs->clock, LAG_MS);
    assert_int_equal(partition_high_watermark(p), 4);
    assert_int_not_equal(replica_manager_release_watermarks(r->manager), INT64_MAX);
    assert_int_equal(partition_high_watermark(p), 4);
    partition_unref(p);
}

static void test_a_partition_that_is_deleted_meanwhile_is_let_go_of(void **state)
{
    struct replicas *r = *state;
    struct partition *p = held(r, 0);
    assert_code(tell_stop(r, "t", 0, -2, true), ERR_OK);
    kill_2(r);
    assert_int_equal(partition_high_watermark(p), 0);
    assert_int_equal(replica_manager_release_watermarks(r->manager), INT64_MAX);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, replicas_setup, replicas_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_death_of_the_replica_sets_it_free),
        TEST(test_the_end_of_its_time_sets_it_free),
        TEST(test_a_look_is_wanted_for_the_first_whose_time_is_over),
        TEST(test_a_replica_that_goes_on_fetching_holds_it_on),
        TEST(test_a_partition_that_is_deleted_meanwhile_is_let_go_of),
    };
    return cmocka_run_group_tests_name("held watermarks", tests, NULL, NULL);
}
