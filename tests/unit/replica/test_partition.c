/* A partition's rules: what a new leader epoch keeps and forgets, and the in-sync replicas. */
#include "partition_fixture.h"

#include <errno.h>

/* --- a new leader epoch --- */

static void test_a_leader_again_keeps_what_it_knew_of_its_followers(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 3);
    struct partition *p = take_role(r, &spec);
    append_to(p, 10);
    be_at(p, 2, 10);
    be_at(p, 3, 7);
    spec = led(2, 3);
    partition_unref(take_role(r, &spec));
    assert_int_equal(partition_high_watermark(p), 7);
    be_at(p, 3, 10); /* number 2 is known to have it still */
    assert_int_equal(partition_high_watermark(p), 10);
    partition_unref(p);
}

static void test_a_new_epoch_forgets_how_long_ago_an_outsider_had_caught_up(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 3);
    struct partition *p = take_role(r, &spec);
    append_to(p, 10);
    be_at(p, 2, 10);
    be_at(p, 3, 10);
    spec = led(2, 2); /* number 3 is out: the watermark need not wait for it any more */
    partition_unref(take_role(r, &spec));
    append_to(p, 5);
    be_at(p, 2, 15);
    assert_int_equal(partition_high_watermark(p), 15);
    partition_unref(p);
}

static void test_a_new_epoch_gives_those_in_sync_their_time_anew(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    append_to(p, 10);
    clock_manual_advance_ms(&r->logs->clock, 3 * LAG_MS);
    spec = led(2, 2);
    partition_unref(take_role(r, &spec));
    assert_null(partition_shrink_isr(p));
    clock_manual_advance_ms(&r->logs->clock, LAG_MS + 1);
    struct isr_change *change = partition_shrink_isr(p);
    assert_non_null(change);
    assert_int_equal(change->isr_count, 1);
    assert_int_equal(change->isr[0], SELF);
    isr_change_free(change);
    partition_unref(p);
}

static void test_the_first_fetch_after_an_election_does_not_make_a_replica_lag(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    append_to(p, 10);
    be_at(p, 2, 4); /* in the ISR, and a little behind */
    assert_null(partition_shrink_isr(p));
    partition_unref(p);
}

static void test_a_follower_that_leads_again_knows_nothing_of_the_others(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    append_to(p, 10);
    be_at(p, 2, 10);
    spec = followed(2);
    partition_unref(take_role(r, &spec));
    spec = led(3, 2);
    partition_unref(take_role(r, &spec));
    append_to(p, 1);
    assert_int_equal(partition_high_watermark(p), 10); /* kept, and not moved on what was known */
    be_at(p, 2, 11);
    assert_int_equal(partition_high_watermark(p), 11);
    partition_unref(p);
}

static void test_each_epoch_begins_at_the_log_end_even_without_records(void **state)
{
    struct replicas *r = *state;
    struct partition *p = take_role(r, &(struct role_spec){.leader_epoch = 1});
    append_to(p, 4);
    for (int32_t epoch = 3; epoch <= 5; epoch++)
        partition_unref(
            take_role(r, &(struct role_spec){.leader_epoch = epoch, .partition_epoch = epoch}));
    append_to(p, 2);
    static const struct {
        int32_t asked, epoch;
        int64_t end;
    } ends[] = {{0, 0, 0}, {1, 1, 4}, {2, 1, 4}, {3, 1, 4}, {4, 1, 4}, {5, 5, 6}, {6, -1, -1}};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        int32_t epoch;
        int64_t end;
        log_epoch_end(partition_log(p), ends[i].asked, &epoch, &end);
        assert_int_equal(epoch, ends[i].epoch);
        assert_int_equal(end, ends[i].end);
    }
    partition_unref(p);
}

static int no_fsync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

static void test_leading_with_a_log_that_failed_changes_nothing(void **state)
{
    struct replicas *r = *state;
    struct log *log = fixture_log(r->logs, "t", 0);
    append_many(log, 1, 3, 8);
    struct file_ops faulty = file_ops_system;
    faulty.fsync = faulty.fdatasync = no_fsync;
    file_ops = &faulty;
    assert_err(log_flush(log), ERR_IO); /* the directory is offline now */
    file_ops = &file_ops_system;
    struct partition *p = partition_new("t", 0, UUID_ZERO, SELF, &r->logs->clock.clock);
    int32_t self[] = {SELF};
    struct partition_assignment assignment = {.leader = SELF,
                                              .leader_epoch = 4,
                                              .partition_epoch = 4,
                                              .isr = self,
                                              .isr_count = 1,
                                              .replicas = self,
                                              .replicas_count = 1};
    assert_int_not_equal(partition_lead(p, &assignment, log, 3, 1), ERR_OK);
    assert_int_equal(partition_role(p), ROLE_NONE);
    assert_null(partition_log(p));
    assert_int_equal(partition_high_watermark(p), 0);
    assert_int_equal(partition_leader_epoch(p), NO_LEADER_EPOCH);
    partition_unref(p);
}

/* --- the in-sync replicas --- */

/* KIP-704: one that still said RECOVERING would be refused whomever it lets in. */
static void test_an_unclean_leader_says_that_it_has_recovered_when_it_lets_others_in(void **state)
{
    struct role_spec spec = led(1, 1);
    spec.is_recovering = true;
    struct partition *p = take_role(*state, &spec);
    append_to(p, 3);
    be_at(p, 2, 3);
    struct isr_change *change = partition_expand_isr(p, 2);
    assert_non_null(change);
    assert_int_equal(change->isr_count, 2);
    assert_int_equal(change->recovery_state, 0);
    isr_change_free(change);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, replicas_setup, replicas_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_leader_again_keeps_what_it_knew_of_its_followers),
        TEST(test_a_new_epoch_forgets_how_long_ago_an_outsider_had_caught_up),
        TEST(test_a_new_epoch_gives_those_in_sync_their_time_anew),
        TEST(test_the_first_fetch_after_an_election_does_not_make_a_replica_lag),
        TEST(test_a_follower_that_leads_again_knows_nothing_of_the_others),
        TEST(test_each_epoch_begins_at_the_log_end_even_without_records),
        TEST(test_leading_with_a_log_that_failed_changes_nothing),
        TEST(test_an_unclean_leader_says_that_it_has_recovered_when_it_lets_others_in),
    };
    return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
