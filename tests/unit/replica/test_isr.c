/* The ISR of a partition that is led here (KIP-497): who may join, who must leave, and for whom the
 * high watermark waits meanwhile (storage-and-replication §13, traps 47 to 50). What the controller
 * answers is test_isr_answers.c's. */
#include "isr_wishes.h"

/* --- joining --- */

static void test_a_replica_joins_once_it_has_what_is_committed(void **state)
{
    struct partition *p = lead(*state, 1, 1);
    append_to(p, 10);
    be_at(p, 2, 9);
    assert_null(partition_expand_isr(p, 2));
    be_at(p, 2, 10);
    struct isr_change *change = expand(p, 2);
    assert_wishes(change, 1, 2);
    assert_int_equal(change->leader_epoch, 1);
    assert_int_equal(change->partition_epoch, 10);
    assert_true(uuid_equal(change->topic_id, id_of(1)));
    grant(p, change);
    assert_counts(p, 2, 2);
    assert_null(partition_expand_isr(p, 2)); /* it is in */
    assert_null(partition_expand_isr(p, 7)); /* no replica */
}

/* It may lack the records that an earlier leader had committed. */
static void test_a_replica_joins_only_with_all_of_the_earlier_epochs(void **state)
{
    struct leading_world *w = *state;
    w->r->min_insync_replicas = 2; /* the watermark stands at 0 */
    struct partition *p = lead(w, 1, 1);
    append_to(p, 10);
    lead(w, 2, 1);
    be_at(p, 2, 7);
    assert_null(partition_expand_isr(p, 2));
    be_at(p, 2, 10);
    struct isr_change *change = expand(p, 2);
    grant(p, change);
    assert_int_equal(partition_high_watermark(p), 10);
}

static void test_a_replica_that_is_not_alive_does_not_join(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 1);
    live_brokers_set(w->live, (int32_t[]){1, 3}, 2);
    be_at(p, 2, 0);
    assert_null(partition_expand_isr(p, 2));
    live_brokers_set(w->live, (int32_t[]){1, 2, 3}, 3);
    isr_change_free(expand(p, 2));
}

static void test_one_change_is_under_way_at_a_time(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 2);
    append_to(p, 5);
    be_at(p, 2, 5);
    be_at(p, 3, 5);
    struct isr_change *change = expand(p, 3);
    assert_null(partition_expand_isr(p, 3));
    append_to(p, 5);
    leading_pass(w, LAG_MS + 1);
    assert_null(partition_shrink_isr(p));
    grant(p, change);
    assert_non_null(change = partition_shrink_isr(p)); /* both lag */
    assert_wishes(change, 1);
    be_at(p, 3, 10);
    assert_null(partition_expand_isr(p, 3));
    isr_change_free(change);
}

/* Trap 50. */
static void test_a_joining_replica_holds_the_watermark_however_slow_it_is(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 1);
    be_at(p, 2, 0);
    struct isr_change *change = expand(p, 2);
    assert_counts(p, 1, 2);
    leading_pass(w, 10 * LAG_MS);
    live_brokers_set(w->live, (int32_t[]){1}, 1);
    append_to(p, 5); /* the controller may have agreed by now */
    assert_int_equal(partition_high_watermark(p), 0);
    assert_err(partition_ack_state(p, 5), ERR_AGAIN);
    be_at(p, 2, 3);
    assert_int_equal(partition_high_watermark(p), 3);
    grant(p, change);
    assert_int_equal(partition_high_watermark(p), 3);
    be_at(p, 2, 5);
    assert_err(partition_ack_state(p, 5), ERR_OK);
}

static void test_a_joining_replica_does_not_count_towards_min_isr_before_it_is_in(void **state)
{
    struct leading_world *w = *state;
    w->r->min_insync_replicas = 2;
    struct partition *p = lead(w, 1, 1);
    be_at(p, 2, 0);
    struct isr_change *change = expand(p, 2);
    assert_err(try_append_to(p, ACKS_ALL, &(struct batch_spec){0}), ERR_NOT_ENOUGH_REPLICAS);
    assert_int_equal(end_of(p), 0);
    grant(p, change);
    assert_err(try_append_to(p, ACKS_ALL, &(struct batch_spec){0}), ERR_OK);
}

/* --- leaving --- */

static void test_a_replica_that_lags_too_long_leaves(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 3);
    append_to(p, 5);
    be_at(p, 2, 5);
    be_at(p, 3, 4);
    leading_pass(w, LAG_MS);
    assert_null(partition_shrink_isr(p));
    leading_pass(w, 1);
    struct isr_change *change = partition_shrink_isr(p);
    assert_wishes(change, 1, 2);
    assert_counts(p, 3, 3);
    assert_int_equal(partition_high_watermark(p), 4); /* it may be in still */
    grant(p, change);
    assert_counts(p, 2, 2);
    assert_int_equal(partition_high_watermark(p), 5);
}

static void test_a_replica_that_has_everything_never_leaves(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 2);
    append_to(p, 5);
    be_at(p, 2, 5);
    leading_pass(w, 1000 * LAG_MS); /* nothing is written, and it says nothing */
    assert_null(partition_shrink_isr(p));
}

static void test_a_replica_that_is_always_one_batch_behind_stays(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 2);
    for (int i = 1; i <= 8; i++) {
        append_to(p, 1);
        leading_pass(w, LAG_MS / 2);
        be_at(p, 2, i - 1);
        assert_null(partition_shrink_isr(p));
    }
}

static void test_a_replica_that_fetches_and_falls_behind_leaves(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 2);
    for (int i = 0; i < 4; i++) {
        append_to(p, 10);
        leading_pass(w, LAG_MS / 4);
        be_at(p, 2, i); /* busy, and ever farther */
    }
    leading_pass(w, LAG_MS / 4);
    struct isr_change *change = partition_shrink_isr(p);
    assert_wishes(change, 1);
    isr_change_free(change);
}

static void test_the_leader_alone_stays(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 1);
    append_to(p, 5);
    leading_pass(w, 10 * LAG_MS);
    assert_null(partition_shrink_isr(p));
}

static void test_those_in_sync_have_their_time_from_the_election_on(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 2);
    append_to(p, 5);
    leading_pass(w, 10 * LAG_MS);
    lead(w, 2, 2);
    leading_pass(w, LAG_MS);
    assert_null(partition_shrink_isr(p));
    leading_pass(w, 1);
    struct isr_change *change = partition_shrink_isr(p);
    assert_wishes(change, 1);
    isr_change_free(change);
}

/* --- the watermark --- */

/* Trap 47. */
static void test_what_was_sent_to_a_follower_is_not_what_it_has(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 2);
    append_to(p, 10);
    struct partition_read read = {.fetch_offset = 0,
                                  .max_bytes = 1 << 20,
                                  .current_leader_epoch = 1,
                                  .last_fetched_epoch = -1,
                                  .replica_id = 2,
                                  .may_block = true};
    struct partition_read_result got;
    assert_err(partition_read(p, &read, w->r->arena, &got), ERR_OK);
    assert_true(got.slice.size_bytes > 0);
    log_file_unref(got.slice.file);
    be_at(p, 2, 0); /* the fetch that took them */
    assert_int_equal(partition_high_watermark(p), 0);
    be_at(p, 2, 10);
    assert_int_equal(partition_high_watermark(p), 10);
}

/* Trap 48. */
static void test_below_min_isr_nothing_is_committed_until_enough_are_back(void **state)
{
    struct leading_world *w = *state;
    w->r->min_insync_replicas = 2;
    struct partition *p = lead(w, 1, 2);
    append_to(p, 5);
    be_at(p, 2, 5);
    append_to(p, 5);
    leading_pass(w, LAG_MS + 1);
    grant(p, partition_shrink_isr(p));
    assert_int_equal(partition_high_watermark(p), 5);
    append_to(p, 5); /* acks=1 */
    assert_int_equal(partition_high_watermark(p), 5);
    be_at(p, 2, 15);
    assert_int_equal(partition_high_watermark(p), 5);
    grant(p, expand(p, 2));
    assert_int_equal(partition_high_watermark(p), 15);
}

/* Trap 49. */
static void test_a_caught_up_replica_holds_the_watermark_only_while_it_is_alive(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 1);
    be_at(p, 2, 0);
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 0);
    live_brokers_set(w->live, (int32_t[]){1, 3}, 2);
    append_to(p, 1);
    assert_int_equal(partition_high_watermark(p), 6);
}

/* Nobody appends or fetches any more, and a producer waits for acks=all. */
static void test_the_look_for_laggards_sets_the_watermark_free_too(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 1);
    be_at(p, 2, 0);
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 0);
    leading_pass(w, LAG_MS + 1);
    assert_null(partition_shrink_isr(p));
    assert_int_equal(partition_high_watermark(p), 5);
}

/* What it asked for was checked against an epoch that has gone by: its records may be others. */
static void test_a_position_of_an_earlier_epoch_does_not_count(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 2);
    append_to(p, 10);
    lead(w, 3, 2);
    assert_err(partition_follower_fetched(p, 1, 2, 10, 10, 0), ERR_FENCED_LEADER_EPOCH);
    assert_int_equal(partition_high_watermark(p), 0);
    assert_err(partition_follower_fetched(p, 3, 2, 10, 10, 0), ERR_OK);
    assert_int_equal(partition_high_watermark(p), 10);
}

/* --- where consumers may read (KIP-392) --- */

static void test_consumers_may_read_where_the_offset_is_and_in_sync(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 2);
    struct read_candidate *found;
    append_to(p, 10);
    be_at(p, 2, 6);
    be_at(p, 3, 10); /* has more, but is not in the ISR */
    assert_int_equal(partition_read_candidates(p, 6, w->r->arena, &found), 1);
    assert_int_equal(found[0].broker_id, 2);
    assert_int_equal(found[0].end_offset, 6);
    assert_int_equal(partition_read_candidates(p, 7, w->r->arena, &found), 0);
    assert_err(partition_follower_fetched(p, 1, 2, 6, 10, 5), ERR_OK);
    assert_int_equal(partition_read_candidates(p, 4, w->r->arena, &found), 0); /* deleted there */
}

/* The end of a reassignment: replicas 1 alone, and 3 is still in the ISR. */
static void test_a_member_of_the_isr_that_is_no_replica_holds_the_watermark(void **state)
{
    struct leading_world *w = *state;
    w->p = take_role(w->r, &(struct role_spec){.leader_epoch = 1,
                                               .partition_epoch = 10,
                                               .id = id_of(1),
                                               .replicas = {1},
                                               .replicas_count = 1,
                                               .isr = {1, 3},
                                               .isr_count = 2});
    append_to(w->p, 5);
    assert_int_equal(partition_high_watermark(w->p), 0);
    partition_unref(take_role(w->r, &(struct role_spec){.leader_epoch = 2,
                                                        .partition_epoch = 20,
                                                        .id = id_of(1),
                                                        .replicas = {1},
                                                        .replicas_count = 1}));
    assert_int_equal(partition_high_watermark(w->p), 5);
}

/* Epoch 2 was another's, of which this broker has not heard: 2 and 3 may have cut what they had. */
static void test_what_followers_had_counts_no_more_once_an_epoch_was_missed(void **state)
{
    struct leading_world *w = *state;
    struct partition *p = lead(w, 1, 3);
    append_to(p, 5);
    be_at(p, 2, 5);
    be_at(p, 3, 4);
    assert_int_equal(partition_high_watermark(p), 4);
    lead(w, 3, 2); /* 3 has left the ISR */
    assert_int_equal(partition_high_watermark(p), 4);
    be_at(p, 2, 4);
    append_to(p, 1);
    assert_int_equal(partition_high_watermark(p), 4);
    be_at(p, 2, 6);
    assert_int_equal(partition_high_watermark(p), 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, leading_setup, leading_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_replica_joins_once_it_has_what_is_committed),
        TEST(test_a_replica_joins_only_with_all_of_the_earlier_epochs),
        TEST(test_a_replica_that_is_not_alive_does_not_join),
        TEST(test_one_change_is_under_way_at_a_time),
        TEST(test_a_joining_replica_holds_the_watermark_however_slow_it_is),
        TEST(test_a_joining_replica_does_not_count_towards_min_isr_before_it_is_in),
        TEST(test_a_replica_that_lags_too_long_leaves),
        TEST(test_a_replica_that_has_everything_never_leaves),
        TEST(test_a_replica_that_is_always_one_batch_behind_stays),
        TEST(test_a_replica_that_fetches_and_falls_behind_leaves),
        TEST(test_the_leader_alone_stays),
        TEST(test_those_in_sync_have_their_time_from_the_election_on),
        TEST(test_what_was_sent_to_a_follower_is_not_what_it_has),
        TEST(test_a_member_of_the_isr_that_is_no_replica_holds_the_watermark),
        TEST(test_what_followers_had_counts_no_more_once_an_epoch_was_missed),
        TEST(test_below_min_isr_nothing_is_committed_until_enough_are_back),
        TEST(test_a_caught_up_replica_holds_the_watermark_only_while_it_is_alive),
        TEST(test_the_look_for_laggards_sets_the_watermark_free_too),
        TEST(test_a_position_of_an_earlier_epoch_does_not_count),
        TEST(test_consumers_may_read_where_the_offset_is_and_in_sync),
    };
    return cmocka_run_group_tests_name("isr", tests, NULL, NULL);
}
