/* What the controller's answers make of a leader's wish for another ISR (KIP-497;
 * zookeeper-and-controller §6.5). */
#include "isr_wishes.h"

static struct isr_change *joining(struct leading_world *w)
{
    struct partition *p = lead(w, 1, 1);
    append_to(p, 5);
    be_at(p, 2, 5);
    return expand(p, 2);
}

static void test_a_change_that_was_not_attempted_may_be_wished_again(void **state)
{
    static const enum err errors[] = {ERR_OPERATION_NOT_ATTEMPTED, ERR_INELIGIBLE_REPLICA};
    struct leading_world *w = *state;
    struct isr_change *change = joining(w);
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        assert_false(refuse(w->p, change, errors[i]));
        assert_counts(w->p, 1, 1);
        isr_change_free(change);
        clock_manual_advance_ms(&w->r->logs->clock, 1000);
        be_at(w->p, 2, 5);
        change = expand(w->p, 2);
    }
    isr_change_free(change);
}

/* A leader that is relieved may not have new members, for as long as that takes; and the follower
 * fetches all the time. */
static void test_a_replica_that_is_refused_is_asked_for_ever_more_seldom(void **state)
{
    struct leading_world *w = *state;
    struct traced grows, refused;
    struct isr_change *change = joining(w);
    int32_t wishes = 0;
    assert_false(refuse(w->p, change, ERR_INELIGIBLE_REPLICA));
    isr_change_free(change);
    traced_begin(&refused, TRACE_WARN);
    for (int64_t ms = 10; ms <= 60000; ms += 10) {
        clock_manual_advance_ms(&w->r->logs->clock, 10);
        be_at(w->p, 2, 5);
        if (!(change = partition_expand_isr(w->p, 2)))
            continue;
        wishes++;
        assert_false(refuse(w->p, change, ERR_INELIGIBLE_REPLICA));
        isr_change_free(change);
    }
    traced_end();
    /* After 0.2, 0.4, 0.8, 1.6 and 3.2 s more each, and then every 5 s. */
    assert_int_equal(wishes, 5 + (60000 - 6200) / 5000);
    assert_int_equal(refused.lines, 4); /* of the second, fourth, eighth and sixteenth */
    assert_non_null(strstr(refused.last, "times=16"));
    traced_begin(&grows, TRACE_INFO);
    clock_manual_advance_ms(&w->r->logs->clock, 5000);
    be_at(w->p, 2, 5);
    change = expand(w->p, 2);
    assert_int_equal(grows.lines, 1); /* of the sixteenth */
    grant(w->p, change);
    traced_end();
    assert_counts(w->p, 2, 2);
}

static void test_a_new_registration_or_leader_and_isr_ends_the_pause_after_a_refusal(void **state)
{
    struct leading_world *w = *state;
    struct isr_change *change = joining(w);
    assert_false(refuse(w->p, change, ERR_INELIGIBLE_REPLICA));
    isr_change_free(change);
    be_at(w->p, 2, 5);
    assert_null(partition_expand_isr(w->p, 2));
    assert_err(partition_follower_fetched_in(w->p, 1, 2, 4711, 5, end_of(w->p), 0), ERR_OK);
    change = expand(w->p, 2);
    assert_false(refuse(w->p, change, ERR_INELIGIBLE_REPLICA));
    isr_change_free(change);
    assert_err(partition_follower_fetched_in(w->p, 1, 2, 4711, 5, end_of(w->p), 0), ERR_OK);
    assert_null(partition_expand_isr(w->p, 2));
    lead(w, 2, 1);
    be_at(w->p, 2, 5);
    isr_change_free(expand(w->p, 2));
}

static void test_a_change_that_fails_in_passing_is_told_ever_more_seldom(void **state)
{
    struct leading_world *w = *state;
    struct traced traced;
    struct isr_change *change = joining(w);
    traced_begin(&traced, TRACE_WARN);
    for (int i = 0; i < 1000; i++)
        assert_true(refuse(w->p, change, ERR_UNKNOWN_TOPIC_OR_PARTITION));
    traced_end();
    assert_int_equal(traced.lines, 10); /* 1, 2, 4, … 512 */
    isr_change_free(change);
}

static void test_whoever_may_not_join_holds_the_watermark_no_longer(void **state)
{
    struct leading_world *w = *state;
    struct isr_change *change = joining(w);
    append_to(w->p, 5);
    live_brokers_set(w->live, (int32_t[]){1, 3}, 2);
    assert_int_equal(partition_high_watermark(w->p), 5);
    assert_false(refuse(w->p, change, ERR_INELIGIBLE_REPLICA));
    assert_int_equal(partition_high_watermark(w->p), 10);
    isr_change_free(change);
}

static void test_a_change_that_is_refused_stays_under_way_until_leader_and_isr(void **state)
{
    static const enum err errors[] = {ERR_FENCED_LEADER_EPOCH, ERR_INVALID_UPDATE_VERSION,
                                      ERR_INVALID_REQUEST, ERR_NEW_LEADER_ELECTED};
    struct leading_world *w = *state;
    struct isr_change *change = joining(w);
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        assert_false(refuse(w->p, change, errors[i]));
        assert_counts(w->p, 1, 2); /* it may have happened nevertheless */
        be_at(w->p, 2, 5);
        assert_null(partition_expand_isr(w->p, 2));
    }
    isr_change_free(change);
    lead(w, 2, 1);
    assert_counts(w->p, 1, 1);
    be_at(w->p, 2, 5);
    isr_change_free(expand(w->p, 2));
}

static void test_any_other_error_sends_the_change_again(void **state)
{
    static const enum err errors[] = {
        ERR_UNKNOWN_TOPIC_OR_PARTITION, ERR_UNKNOWN_TOPIC_ID, ERR_UNKNOWN_SERVER_ERROR,
        ERR_REQUEST_TIMED_OUT,          ERR_NOT_CONTROLLER,   ERR_CLUSTER_AUTHORIZATION_FAILED};
    struct leading_world *w = *state;
    struct isr_change *change = joining(w);
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        assert_true(refuse(w->p, change, errors[i]));
        assert_counts(w->p, 1, 2);
    }
    grant(w->p, change);
    assert_counts(w->p, 2, 2);
}

static void test_the_controllers_isr_counts_not_the_one_that_was_wished(void **state)
{
    struct leading_world *w = *state;
    struct isr_change *change = joining(w);
    struct isr_answer answer = {.leader = SELF,
                                .leader_epoch = 1,
                                .partition_epoch = 12,
                                .isr = (int32_t[]){1, 2, 3},
                                .isr_count = 3};
    assert_false(partition_isr_answered(w->p, change, &answer));
    assert_counts(w->p, 3, 3);
    assert_int_equal(partition_isr_view(w->p).partition_epoch, 12);
    isr_change_free(change);
}

static void test_answers_of_another_leader_epoch_or_an_older_state_change_nothing(void **state)
{
    struct leading_world *w = *state;
    struct isr_change *change = joining(w);
    struct isr_answer answer = {
        .leader_epoch = 2, .partition_epoch = 11, .isr = change->isr, .isr_count = 2};
    assert_false(partition_isr_answered(w->p, change, &answer));
    assert_counts(w->p, 1, 2);
    answer.leader_epoch = 1;
    answer.partition_epoch = 9;
    assert_false(partition_isr_answered(w->p, change, &answer));
    assert_counts(w->p, 1, 2);
    isr_change_free(change);
}

static void test_an_answer_after_leader_and_isr_changes_nothing(void **state)
{
    struct leading_world *w = *state;
    struct isr_change *change = joining(w);
    assert_true(partition_isr_wants(w->p, change));
    lead(w, 2, 1);
    assert_false(partition_isr_wants(w->p, change)); /* and it need not be sent again */
    grant(w->p, change);
    assert_counts(w->p, 1, 1);
    assert_int_equal(partition_isr_view(w->p).partition_epoch, 20);
}

static void test_an_answer_that_finds_a_follower_changes_nothing(void **state)
{
    struct leading_world *w = *state;
    struct isr_change *change = joining(w);
    struct role_spec spec = leading_role(2, 3);
    spec.leader = 2;
    partition_unref(take_role(w->r, &spec));
    assert_false(partition_isr_wants(w->p, change));
    grant(w->p, change);
    assert_counts(w->p, 0, 0);
    assert_null(partition_expand_isr(w->p, 2));
    assert_null(partition_shrink_isr(w->p));
}

/* It was sent twice, as its first answer got lost. */
static void test_an_answer_to_a_change_that_is_settled_does_not_settle_the_next(void **state)
{
    struct leading_world *w = *state;
    struct isr_change *first = joining(w);
    struct isr_answer late = {.leader = SELF,
                              .leader_epoch = 1,
                              .partition_epoch = 11,
                              .isr = first->isr,
                              .isr_count = 2};
    assert_false(partition_isr_answered(w->p, first, &late));
    append_to(w->p, 5);
    leading_pass(w, LAG_MS + 1);
    struct isr_change *second = partition_shrink_isr(w->p);
    assert_wishes(second, 1);
    assert_false(partition_isr_answered(w->p, first, &late));
    assert_true(partition_isr_wants(w->p, second));
    grant(w->p, second);
    assert_counts(w->p, 1, 1);
    assert_int_equal(partition_high_watermark(w->p), 10);
    isr_change_free(first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, leading_setup, leading_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_change_that_was_not_attempted_may_be_wished_again),
        TEST(test_a_replica_that_is_refused_is_asked_for_ever_more_seldom),
        TEST(test_a_new_registration_or_leader_and_isr_ends_the_pause_after_a_refusal),
        TEST(test_a_change_that_fails_in_passing_is_told_ever_more_seldom),
        TEST(test_whoever_may_not_join_holds_the_watermark_no_longer),
        TEST(test_a_change_that_is_refused_stays_under_way_until_leader_and_isr),
        TEST(test_any_other_error_sends_the_change_again),
        TEST(test_the_controllers_isr_counts_not_the_one_that_was_wished),
        TEST(test_answers_of_another_leader_epoch_or_an_older_state_change_nothing),
        TEST(test_an_answer_after_leader_and_isr_changes_nothing),
        TEST(test_an_answer_that_finds_a_follower_changes_nothing),
        TEST(test_an_answer_to_a_change_that_is_settled_does_not_settle_the_next),
    };
    return cmocka_run_group_tests_name("isr answers", tests, NULL, NULL);
}
