/* How far a partition's high watermark stands, and who holds it. */
#include "partition_fixture.h"

static void test_alone_the_high_watermark_is_the_log_end(void **state)
{
    struct partition *p = take_role(*state, &(struct role_spec){.leader_epoch = 1});
    assert_int_equal(append_to(p, 3), 3);
    assert_int_equal(partition_high_watermark(p), 3);
    assert_err(partition_ack_state(p, 3), ERR_OK);
    partition_unref(p);
}

static void test_the_high_watermark_waits_for_the_slowest_in_sync_replica(void **state)
{
    struct role_spec spec = led(1, 3);
    struct partition *p = take_role(*state, &spec);
    append_to(p, 10);
    assert_int_equal(partition_high_watermark(p), 0); /* nobody has asked for anything yet */
    be_at(p, 2, 10);
    assert_int_equal(partition_high_watermark(p), 0);
    be_at(p, 3, 4);
    assert_int_equal(partition_high_watermark(p), 4);
    assert_err(partition_ack_state(p, 10), ERR_AGAIN);
    be_at(p, 3, 10);
    assert_int_equal(partition_high_watermark(p), 10);
    assert_err(partition_ack_state(p, 10), ERR_OK);
    partition_unref(p);
}

static void test_the_high_watermark_never_goes_back_on_a_leader(void **state)
{
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(*state, &spec);
    append_to(p, 10);
    be_at(p, 2, 10);
    assert_int_equal(partition_high_watermark(p), 10);
    be_at(p, 2, 3); /* it lost its disk and begins anew */
    assert_int_equal(partition_high_watermark(p), 10);
    append_to(p, 1);
    assert_int_equal(partition_high_watermark(p), 10);
    partition_unref(p);
}

static void test_a_replica_out_of_the_isr_that_never_came_does_not_hold_it(void **state)
{
    struct role_spec spec = led(1, 1);
    struct partition *p = take_role(*state, &spec);
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 5);
    be_at(p, 3, 1); /* nor one that is far behind */
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 10);
    partition_unref(p);
}

static void test_a_caught_up_replica_out_of_the_isr_holds_it_until_it_lags(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 1);
    struct partition *p = take_role(r, &spec);
    append_to(p, 5);
    be_at(p, 2, 5); /* about to join */
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 5);
    clock_manual_advance_ms(&r->logs->clock, LAG_MS);
    append_to(p, 1);
    assert_int_equal(partition_high_watermark(p), 5);
    clock_manual_advance_ms(&r->logs->clock, 1);
    append_to(p, 1);
    assert_int_equal(partition_high_watermark(p), 12);
    partition_unref(p);
}

static void test_a_follower_that_keeps_pace_counts_as_caught_up(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 1);
    struct partition *p = take_role(r, &spec);
    be_at(p, 2, 0);
    for (int i = 1; i <= 4; i++) { /* always one batch behind, never 30 s */
        append_to(p, 1);
        clock_manual_advance_ms(&r->logs->clock, LAG_MS / 2);
        be_at(p, 2, i - 1);
        assert_int_equal(partition_high_watermark(p), i - 1);
    }
    partition_unref(p);
}

static void test_it_stands_while_the_isr_is_smaller_than_asked(void **state)
{
    struct replicas *r = *state;
    r->min_insync_replicas = 2;
    struct role_spec spec = led(1, 1);
    struct partition *p = take_role(r, &spec);
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 0);
    assert_err(try_append_to(p, ACKS_ALL, &(struct batch_spec){0}), ERR_NOT_ENOUGH_REPLICAS);
    assert_int_equal(log_end_offset(partition_log(p)), 5);
    spec = led(2, 2);
    partition_unref(take_role(r, &spec));
    be_at(p, 2, 5);
    assert_int_equal(partition_high_watermark(p), 5);
    partition_unref(p);
}

static void test_more_in_sync_than_replicas_cannot_be_asked(void **state)
{
    struct replicas *r = *state;
    r->min_insync_replicas = 5;
    struct partition *p = take_role(r, &(struct role_spec){.leader_epoch = 1});
    assert_err(try_append_to(p, ACKS_ALL, &(struct batch_spec){0}), ERR_OK);
    assert_int_equal(partition_high_watermark(p), 1);
    partition_unref(p);
}

static void test_records_written_with_too_few_replicas_say_so(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    append_to(p, 1);
    be_at(p, 2, 1);
    partition_set_min_insync_replicas(p, 3);
    assert_err(partition_ack_state(p, 1), ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    partition_unref(p);
}

static void test_it_is_what_the_last_checkpoint_said_after_a_restart(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    append_to(p, 8);
    be_at(p, 2, 6);
    assert_err(replica_manager_checkpoint(r->manager), ERR_OK);
    partition_unref(p);
    struct buf text = file_get(r->logs, "replication-offset-checkpoint");
    assert_string_equal((char *)text.data, "0\n1\nt 0 6\n");
    buf_done(&text);
    assert_int_equal(log_manager_checkpointed_high_watermark(r->logs->manager, "t", 0), 6);
}

static void test_nothing_is_checkpointed_before_the_first_role(void **state)
{
    struct replicas *r = *state;
    fixture_log(r->logs, "t", 0);
    assert_err(replica_manager_checkpoint(r->manager), ERR_OK);
    assert_false(file_exists(r->logs, "replication-offset-checkpoint"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, replicas_setup, replicas_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_alone_the_high_watermark_is_the_log_end),
        TEST(test_the_high_watermark_waits_for_the_slowest_in_sync_replica),
        TEST(test_the_high_watermark_never_goes_back_on_a_leader),
        TEST(test_a_replica_out_of_the_isr_that_never_came_does_not_hold_it),
        TEST(test_a_caught_up_replica_out_of_the_isr_holds_it_until_it_lags),
        TEST(test_a_follower_that_keeps_pace_counts_as_caught_up),
        TEST(test_it_stands_while_the_isr_is_smaller_than_asked),
        TEST(test_more_in_sync_than_replicas_cannot_be_asked),
        TEST(test_records_written_with_too_few_replicas_say_so),
        TEST(test_it_is_what_the_last_checkpoint_said_after_a_restart),
        TEST(test_nothing_is_checkpointed_before_the_first_role),
    };
    return cmocka_run_group_tests_name("partition watermark", tests, NULL, NULL);
}
