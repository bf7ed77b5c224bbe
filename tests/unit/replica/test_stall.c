/* A leader whose own disk stood still: whom it does not blame for that, and what it does not
 * acknowledge once others were asked to lead. */
#include "replica_fixture.h"

#include "broker/replica/replication.h"

#define LAG_MS 10000

struct stall_world {
    struct replicas *r;
    struct live_brokers *live;
    struct partition_host host;
    struct partition *p;
};

static int setup(void **state)
{
    struct stall_world *w = mem_new(struct stall_world);
    w->r = replicas_new();
    w->live = live_brokers_new();
    live_brokers_set(w->live, (int32_t[]){1, 2, 3}, 3);
    w->host.live_brokers = w->live;
    atomic_store(&w->host.replica_lag_max_ms, LAG_MS);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct stall_world *w = *state;
    partition_unref(w->p);
    live_brokers_free(w->live);
    replicas_free(w->r);
    free(w);
    return 0;
}

static struct role_spec role_of(int32_t leader_epoch, int32_t in_sync)
{
    return (struct role_spec){.leader_epoch = leader_epoch,
                              .partition_epoch = leader_epoch * 10,
                              .id = id_of(1),
                              .replicas = {1, 2, 3},
                              .replicas_count = 3,
                              .isr = {1, 2, 3},
                              .isr_count = in_sync};
}

static struct partition *lead(struct stall_world *w, int32_t leader_epoch, int32_t in_sync)
{
    struct role_spec spec = role_of(leader_epoch, in_sync);
    partition_unref(w->p);
    w->p = take_role(w->r, &spec);
    partition_set_host(w->p, &w->host);
    return w->p;
}

static int64_t pass(struct stall_world *w, int64_t ms)
{
    clock_manual_advance_ms(&w->r->logs->clock, ms);
    return clock_mono_ms(&w->r->logs->clock.clock);
}

static enum err add_one(struct partition *p)
{
    struct batch_spec spec = {.records = 1};
    return try_append_to(p, ACKS_LEADER, &spec);
}

static void hand_over(struct stall_world *w)
{
    atomic_store(&w->host.is_handing_over, true);
    atomic_fetch_add(&w->host.hand_overs, 1);
}

static void test_a_follower_is_not_behind_for_the_time_in_which_our_disk_stood_still(void **state)
{
    struct stall_world *w = *state;
    struct partition *p = lead(w, 1, 3);
    append_to(p, 1);
    atomic_store(&w->host.disk_stood_until_ms, pass(w, LAG_MS * 3));
    assert_null(partition_shrink_isr(p));
    pass(w, LAG_MS);
    assert_null(partition_shrink_isr(p)); /* since the disk answers they have not been late */
    pass(w, 1);
    struct isr_change *change = partition_shrink_isr(p);
    assert_non_null(change);
    assert_int_equal(change->isr_count, 1);
    isr_change_free(change);
}

static void test_a_replica_out_of_the_isr_does_not_hold_the_watermark_because_of_it(void **state)
{
    struct stall_world *w = *state;
    struct partition *p = lead(w, 1, 1);
    assert_err(partition_follower_fetched(p, 1, 2, 0, 0, 0), ERR_OK);
    append_to(p, 5);
    atomic_store(&w->host.disk_stood_until_ms, pass(w, LAG_MS + 1));
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 10);
}

static void test_handed_over_it_acknowledges_nothing_until_the_controller_confirms_it(void **state)
{
    struct stall_world *w = *state;
    struct partition *p = lead(w, 1, 3);
    assert_err(add_one(p), ERR_OK);
    hand_over(w);
    assert_err(add_one(p), ERR_NOT_LEADER_OR_FOLLOWER);
    struct role_spec same = role_of(1, 3);
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
    struct stall_world *w = *state;
    struct partition *p = lead(w, 1, 1);
    hand_over(w);
    assert_err(add_one(p), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_follower_is_not_behind_for_the_time_in_which_our_disk_stood_still, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            test_a_replica_out_of_the_isr_does_not_hold_the_watermark_because_of_it, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            test_handed_over_it_acknowledges_nothing_until_the_controller_confirms_it, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_who_is_alone_in_sync_goes_on, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
