/* A leader whose own disk stood still: whom it does not blame for that, and what it does not
 * acknowledge once others were asked to lead. */
#include "leading_world.h"

static enum err add_one(struct partition *p)
{
    struct batch_spec spec = {.records = 1};
    return try_append_to(p, ACKS_LEADER, &spec);
}

static void hand_over(struct leading_world *w)
{
    atomic_store(&w->host.is_handing_over, true);
    atomic_fetch_add(&w->host.hand_overs, 1);
}

static void test_a_follower_is_not_behind_for_the_time_in_which_our_disk_stood_still(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 3);
    append_to(p, 1);
    atomic_store(&w->host.disk_stood_until_ms, leading_pass(w, LAG_MS * 3));
    assert_null(partition_shrink_isr(p));
    leading_pass(w, LAG_MS);
    assert_null(partition_shrink_isr(p)); /* since the disk answers they have not been late */
    leading_pass(w, 1);
    struct isr_change *change = partition_shrink_isr(p);
    assert_non_null(change);
    assert_int_equal(change->isr_count, 1);
    isr_change_free(change);
}

static void test_a_replica_out_of_the_isr_does_not_hold_the_watermark_because_of_it(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 1);
    assert_err(partition_follower_fetched(p, 1, 2, 0, 0, 0), ERR_OK);
    append_to(p, 5);
    atomic_store(&w->host.disk_stood_until_ms, leading_pass(w, LAG_MS + 1));
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 10);
}

static void test_handed_over_it_acknowledges_nothing_until_the_controller_confirms_it(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 3);
    assert_err(add_one(p), ERR_OK);
    hand_over(w);
    assert_err(add_one(p), ERR_NOT_LEADER_OR_FOLLOWER);
    struct role_spec same = leading_role(1, 3);
    tell_role(w->r, &same); /* sent before we were relieved, perhaps */
    assert_err(add_one(p), ERR_NOT_LEADER_OR_FOLLOWER);
    atomic_store(&w->host.is_handing_over, false); /* registered anew */
    assert_err(add_one(p), ERR_NOT_LEADER_OR_FOLLOWER);
    tell_role(w->r, &same);
    assert_err(add_one(p), ERR_OK);
    hand_over(w);
    atomic_store(&w->host.is_handing_over, false);
    p = lead(w, 2, 3);
    assert_err(add_one(p), ERR_OK);
}

static void test_who_is_alone_in_sync_goes_on(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 1);
    hand_over(w);
    assert_err(add_one(p), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_follower_is_not_behind_for_the_time_in_which_our_disk_stood_still, leading_setup,
            leading_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_replica_out_of_the_isr_does_not_hold_the_watermark_because_of_it, leading_setup,
            leading_teardown),
        cmocka_unit_test_setup_teardown(
            test_handed_over_it_acknowledges_nothing_until_the_controller_confirms_it,
            leading_setup, leading_teardown),
        cmocka_unit_test_setup_teardown(test_who_is_alone_in_sync_goes_on, leading_setup,
                                        leading_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
