/* How a follower's log becomes a prefix of its leader's: diverging epochs (KIP-595, KIP-279), the
 * epoch requests of old inter.broker.protocol.versions (KIP-101), offsets out of the leader's
 * range, and records that do not fit (storage-and-replication §15.4, §15.5, §16). */
#include "fetcher_world.h"

#define LATEST   (-1)
#define EARLIEST (-2)

static struct partition *holding(struct world *w, int32_t leader_epoch, int32_t held_epoch,
                                 int32_t records)
{
    struct partition *p = hosted(w, 0, leader_epoch);
    hold(p, held_epoch, records);
    follow(w, p);
    fetcher_run(w->fetcher);
    return p;
}

/* A leader's epochs, as its answers come from them. */
struct epoch {
    int32_t epoch;
    int64_t start;
};
struct truth {
    struct epoch epochs[8];
    int32_t count;
    int64_t end;
};

static struct epoch end_at_leader(const struct truth *truth, int32_t epoch)
{
    int32_t i = truth->count - 1;
    while (i > 0 && truth->epochs[i].epoch > epoch)
        i--;
    return (struct epoch){truth->epochs[i].epoch,
                          i == truth->count - 1 ? truth->end : truth->epochs[i + 1].start};
}

/* Answer as that leader would until it finds nothing diverging; gives how many rounds it took. */
static int32_t agree(struct world *w, const struct truth *truth)
{
    for (int32_t rounds = 0;; rounds++) {
        assert_true(rounds <= truth->count + 8);
        const struct fetch_request_fetch_partition *asked = asked_of(w, 0);
        assert_non_null(asked);
        if (asked->last_fetched_epoch < 0)
            return rounds;
        struct epoch end = end_at_leader(truth, asked->last_fetched_epoch);
        if (end.epoch == asked->last_fetched_epoch && end.start >= asked->fetch_offset)
            return rounds;
        answer(w, (struct part){.id = 0,
                                .diverges = true,
                                .diverging_epoch = end.epoch,
                                .diverging_end = end.start});
    }
}

/* --- diverging epochs --- */

static void test_three_leaders_tails_are_cut_in_as_many_rounds(void **state)
{
    struct world *w = *state;
    struct partition *p = hosted(w, 0, 6);
    hold(p, 1, 10);
    hold(p, 3, 10);
    hold(p, 5, 10);
    follow(w, p);
    fetcher_run(w->fetcher);
    assert_asked(w, 0, 30, 5);
    struct truth truth = {.epochs = {{1, 0}, {2, 8}, {4, 15}}, .count = 3, .end = 25};
    assert_int_equal(agree(w, &truth), 3);
    assert_asked(w, 0, 8, 1);
    assert_int_equal(end_of(p), 8);
    answer(w, (struct part){.id = 0, .records = with(batches(), 8, 7, 2)});
    assert_asked(w, 0, 15, 2);
}

static void test_an_epoch_in_which_nothing_was_appended_is_let_go_of(void **state)
{
    struct world *w = *state;
    struct partition *p = hosted(w, 0, 6);
    hold(p, 1, 10);
    assert_err(log_assign_epoch(partition_log(p), 3, 10), ERR_OK); /* we led, for a moment */
    follow(w, p);
    fetcher_run(w->fetcher);
    assert_asked(w, 0, 10, 3);
    struct truth truth = {.epochs = {{1, 0}, {4, 10}}, .count = 2, .end = 20};
    assert_int_equal(agree(w, &truth), 1);
    assert_asked(w, 0, 10, 1);
    assert_int_equal(end_of(p), 10);
}

static void test_an_empty_log_with_an_epoch_of_its_own_gets_on_too(void **state)
{
    struct world *w = *state;
    struct partition *p = hosted(w, 0, 6);
    assert_err(partition_restart_at(p, 6, 100), ERR_OK);
    assert_err(log_assign_epoch(partition_log(p), 5, 100), ERR_OK);
    follow(w, p);
    fetcher_run(w->fetcher);
    struct truth truth = {.epochs = {{4, 50}, {6, 200}}, .count = 2, .end = 210};
    assert_int_equal(agree(w, &truth), 1);
    assert_asked(w, 0, 100, -1); /* nothing to compare */
}

/* An answer that leaves everything as it was must not be asked for at once again. */
static void test_a_divergence_without_anything_to_cut_does_not_spin(void **state)
{
    struct world *w = *state;
    struct partition *p = holding(w, 6, 5, 10);
    answer(w,
           (struct part){.id = 0, .diverges = true, .diverging_epoch = 5, .diverging_end = 1000});
    assert_int_equal(end_of(p), 10);
    assert_false(w->is_asked);
    pass(w, BACKOFF_MS);
    assert_asked(w, 0, 10, 5);
}

static void test_what_is_asked_for_has_the_epoch_of_the_last_record(void **state)
{
    struct world *w = *state;
    followed(w, 0, 6);
    answer(w, (struct part){.id = 0, .records = with(with(batches(), 0, 5, 1), 5, 5, 2)});
    assert_asked(w, 0, 10, 2);
    assert_int_equal(asked_of(w, 0)->current_leader_epoch, 6);
}

static void test_what_was_committed_here_is_cut_after_an_unclean_election(void **state)
{
    struct world *w = *state;
    struct partition *p = followed(w, 0, 4);
    answer(w, (struct part){.id = 0, .high_watermark = 10, .records = with(batches(), 0, 10, 4)});
    assert_int_equal(partition_high_watermark(p), 10);
    follow(w, hosted(w, 0, 6));
    answer_nothing(w);
    answer(w, (struct part){.id = 0, .diverges = true, .diverging_epoch = 2, .diverging_end = 0});
    assert_int_equal(end_of(p), 0);
    assert_int_equal(partition_high_watermark(p), 0);
    assert_asked(w, 0, 0, -1);
}

/* --- a log that knows no epochs --- */

/* As it is with records of before KIP-101. */
static void clear_epochs(struct partition *p)
{
    struct log *log = partition_log(p);
    lock_acquire(&log->view);
    epoch_cache_clear(&log->epochs);
    lock_release(&log->view);
}

static void test_without_epochs_only_what_is_below_the_watermark_is_kept(void **state)
{
    struct world *w = *state;
    struct partition *p = followed(w, 0, 4);
    struct buf *records = with(with(batches(), 0, 6, 4), 6, 4, 4);
    answer(w, (struct part){.id = 0, .high_watermark = 6, .records = records});
    clear_epochs(p);
    follow(w, hosted(w, 0, 5));
    assert_int_equal(end_of(p), 6);
}

/* --- out of range --- */

static struct partition *out_of_range(struct world *w)
{
    struct partition *p = holding(w, 4, 4, 10);
    assert_asked(w, 0, 10, 4);
    answer(w, (struct part){.id = 0, .error = ERR_OFFSET_OUT_OF_RANGE});
    assert_asked_offset(w, 0, LATEST);
    return p;
}

static void test_what_the_leader_does_not_have_is_cut(void **state)
{
    struct world *w = *state;
    struct partition *p = out_of_range(w);
    answer_offset(w, 0, ERR_OK, 7);
    assert_int_equal(end_of(p), 7);
    assert_asked(w, 0, 7, 4);
}

static void test_a_leader_whose_log_begins_later_is_followed_from_there(void **state)
{
    struct world *w = *state;
    struct partition *p = out_of_range(w);
    answer_offset(w, 0, ERR_OK, 500);
    assert_asked_offset(w, 0, EARLIEST);
    answer_offset(w, 0, ERR_OK, 300);
    assert_int_equal(log_start_offset(partition_log(p)), 300);
    assert_int_equal(end_of(p), 300);
    assert_int_equal(partition_high_watermark(p), 300);
    assert_asked(w, 0, 300, -1);
}

/* The leader has grown meanwhile; or contradicts itself, and is not asked without a pause. */
static void test_a_log_that_is_in_range_after_all_goes_on_where_it_was(void **state)
{
    struct world *w = *state;
    struct partition *p = out_of_range(w);
    answer_offset(w, 0, ERR_OK, 500);
    answer_offset(w, 0, ERR_OK, 3);
    assert_int_equal(end_of(p), 10);
    assert_int_equal(log_start_offset(partition_log(p)), 0);
    assert_false(w->is_asked);
    pass(w, BACKOFF_MS);
    assert_asked(w, 0, 10, 4);
}

static void test_a_question_that_is_refused_is_put_again(void **state)
{
    struct world *w = *state;
    out_of_range(w);
    answer_offset(w, 0, ERR_NOT_LEADER_OR_FOLLOWER, -1);
    assert_false(w->is_asked);
    pass(w, BACKOFF_MS);
    assert_asked_offset(w, 0, LATEST);
    answer_lost(w, ERR_NETWORK_EXCEPTION);
    assert_false(w->is_asked);
    pass(w, BACKOFF_MS);
    assert_asked_offset(w, 0, LATEST);
    answer_offset(w, 0, ERR_FENCED_LEADER_EPOCH, -1);
    pass(w, BACKOFF_MS);
    assert_false(w->is_asked);
    assert_int_equal(failed_count(w), 1);
}

static void test_offsets_that_cannot_be_cut_nothing(void **state)
{
    struct world *w = *state;
    struct partition *p = out_of_range(w);
    answer_offset(w, 0, ERR_OK, -1);
    assert_int_equal(end_of(p), 10);
    assert_false(w->is_asked);
    pass(w, BACKOFF_MS);
    assert_asked_offset(w, 0, LATEST);
}

static void test_an_answer_that_comes_after_the_next_epoch_cuts_nothing(void **state)
{
    struct world *w = *state;
    struct partition *p = out_of_range(w);
    follow(w, hosted(w, 0, 5));
    answer_offset(w, 0, ERR_OK, 2);
    assert_int_equal(end_of(p), 10);
    assert_asked(w, 0, 10, 4);
}

static void test_questions_go_before_the_fetch_of_the_others(void **state)
{
    struct world *w = *state;
    out_of_range(w);
    struct partition *other = followed(w, 1, 4);
    answer_offset(w, 0, ERR_OK, 7);
    assert_asked(w, 0, 7, 4);
    assert_asked(w, 1, 0, -1);
    assert_int_equal(end_of(other), 0);
}

/* --- records that do not fit --- */

/* DeleteRecords has moved the leader's log start into a batch, and we began there. */
static void test_an_empty_log_begins_with_the_batch_that_holds_its_first_offset(void **state)
{
    struct world *w = *state;
    struct partition *p = hosted(w, 0, 4);
    assert_err(partition_restart_at(p, 4, 105), ERR_OK);
    follow(w, p);
    fetcher_run(w->fetcher);
    assert_asked(w, 0, 105, -1);
    answer(w, (struct part){.id = 0,
                            .high_watermark = 112,
                            .log_start_offset = 105,
                            .records = with(with(batches(), 100, 10, 4), 110, 2, 4)});
    assert_int_equal(end_of(p), 112);
    assert_int_equal(partition_high_watermark(p), 112);
    assert_int_equal(log_start_offset(partition_log(p)), 105);
    assert_asked(w, 0, 112, 4);
}

static void test_its_watermark_is_not_left_above_the_log_when_that_batch_is_corrupt(void **state)
{
    struct world *w = *state;
    struct partition *p = hosted(w, 0, 4);
    assert_err(partition_restart_at(p, 4, 105), ERR_OK);
    follow(w, p);
    fetcher_run(w->fetcher);
    struct buf *records = with(batches(), 100, 10, 4);
    records->data[records->size - 1] ^= 1;
    answer(w, (struct part){.id = 0, .high_watermark = 110, .records = records});
    assert_true(partition_high_watermark(p) <= end_of(p));
    assert_true(log_start_offset(partition_log(p)) <= end_of(p));
}

static void test_an_empty_log_does_not_begin_with_batches_that_end_before_it(void **state)
{
    struct world *w = *state;
    struct partition *p = hosted(w, 0, 4);
    assert_err(partition_restart_at(p, 4, 105), ERR_OK);
    follow(w, p);
    fetcher_run(w->fetcher);
    answer(w, (struct part){.id = 0, .records = with(batches(), 90, 5, 4)});
    assert_int_equal(end_of(p), 105);
    assert_int_equal(failed_count(w), 1);
}

static void test_records_below_the_log_end_stop_a_partition(void **state)
{
    struct world *w = *state;
    struct partition *p = holding(w, 4, 4, 10);
    answer(w, (struct part){.id = 0, .records = with(batches(), 8, 5, 4)});
    assert_int_equal(end_of(p), 10);
    assert_int_equal(failed_count(w), 1);
    pass(w, BACKOFF_MS);
    assert_false(w->is_asked);
    follow(w, hosted(w, 0, 5));
    fetcher_run(w->fetcher);
    assert_asked(w, 0, 10, 4);
}

static void test_records_for_another_log_end_stop_a_partition(void **state)
{
    struct world *w = *state;
    struct partition *p = holding(w, 4, 4, 10);
    assert_err(partition_truncate(p, 4, 6), ERR_OK); /* by something else than the answer */
    answer(w, (struct part){.id = 0, .records = with(batches(), 10, 5, 4)});
    assert_int_equal(end_of(p), 6);
    assert_int_equal(failed_count(w), 1);
}

/* Compaction leaves gaps. */
static void test_records_may_begin_above_the_log_end(void **state)
{
    struct world *w = *state;
    struct partition *p = holding(w, 4, 4, 10);
    answer(w, (struct part){.id = 0, .records = with(with(batches(), 20, 5, 4), 40, 1, 4)});
    assert_int_equal(end_of(p), 41);
    assert_asked(w, 0, 41, 4);
}

static void test_the_log_start_follows_only_as_far_as_the_watermark(void **state)
{
    struct world *w = *state;
    struct partition *p = followed(w, 0, 4);
    answer(w, (struct part){.id = 0,
                            .high_watermark = 20,
                            .log_start_offset = 15,
                            .records = with(batches(), 0, 10, 4)});
    assert_int_equal(partition_high_watermark(p), 10);
    assert_int_equal(log_start_offset(partition_log(p)), 10);
    answer(w, (struct part){.id = 0,
                            .high_watermark = 20,
                            .log_start_offset = 15,
                            .records = with(batches(), 10, 10, 4)});
    assert_int_equal(partition_high_watermark(p), 20);
    assert_int_equal(log_start_offset(partition_log(p)), 15);
}

/* Settings were lowered after the leader had written. */
static void test_batches_larger_than_a_segment_are_followed(void **state)
{
    struct world *w = *state;
    struct partition *p = hosted(w, 0, 4);
    w->r->logs->config.segment_bytes = 1024;
    w->r->logs->config.max_message_bytes = 256;
    log_set_config(partition_log(p), &w->r->logs->config);
    follow(w, p);
    fetcher_run(w->fetcher);
    struct buf *records = with(batches(), 0, 3, 4);
    for (int i = 1; i < 4; i++)
        batch_make(records, &(struct batch_spec){.base_offset = 3 * i,
                                                 .records = 3,
                                                 .leader_epoch = 4,
                                                 .value_size = i == 2 ? 2000 : 100});
    answer(w, (struct part){.id = 0, .high_watermark = 12, .records = records});
    assert_int_equal(failed_count(w), 0);
    assert_int_equal(end_of(p), 12);
    assert_int_equal(check_readable(partition_log(p), 0, 12), 12);
    assert_true(file_size(w->r->logs, "t-0/00000000000000000006.log") > 6000); /* alone */
    assert_true(file_size(w->r->logs, "t-0/00000000000000000009.log") < 1024);
}

/* Offsets within a segment are 32 bits wide. */
static void test_batches_with_offsets_far_apart_are_followed(void **state)
{
    struct world *w = *state;
    struct partition *p = followed(w, 0, 4);
    struct buf *records = with(with(batches(), 7, 3, 4), 5000000000, 2, 4);
    answer(w, (struct part){.id = 0, .high_watermark = 5000000002, .records = records});
    assert_int_equal(end_of(p), 5000000002);
    assert_int_equal(check_readable(partition_log(p), 7, 5000000002), 5);
    assert_true(file_exists(w->r->logs, "t-0/00000000005000000000.log"));
}

static void test_a_batch_that_ends_before_it_begins_is_corrupt(void **state)
{
    struct world *w = *state;
    struct partition *p = followed(w, 0, 4);
    struct buf *records = with(batches(), 7, 3, 4);
    put_be32(records->data + 23, (uint32_t)-5); /* last offset delta */
    batch_seal(records->data);
    answer(w, (struct part){.id = 0, .high_watermark = 10, .records = records});
    assert_int_equal(end_of(p), 0);
    assert_int_equal(failed_count(w), 0);
    pass(w, BACKOFF_MS);
    assert_asked(w, 0, 0, -1);
}

/* --- the epoch requests of old versions --- */

static struct partition *old_version(struct world *w)
{
    w->settings.truncates_on_fetch = false;
    w->settings.fetch_version = 11;
    w->settings.epoch_version = 3;
    world_restart(w);
    struct partition *p = hosted(w, 0, 6);
    hold(p, 1, 10);
    hold(p, 3, 10);
    hold(p, 5, 10);
    follow(w, p);
    fetcher_run(w->fetcher);
    assert_asked_epoch(w, 0, 5);
    return p;
}

static void test_epochs_are_asked_before_the_first_fetch_until_both_know_one(void **state)
{
    struct world *w = *state;
    struct partition *p = old_version(w);
    answer_epoch(w, 0, ERR_OK, 4, 25);
    assert_int_equal(end_of(p), 20);
    assert_asked_epoch(w, 0, 3);
    answer_epoch(w, 0, ERR_OK, 2, 15);
    assert_int_equal(end_of(p), 10);
    assert_asked_epoch(w, 0, 1);
    answer_epoch(w, 0, ERR_OK, 1, 8);
    assert_int_equal(end_of(p), 8);
    assert_asked(w, 0, 8, -1); /* this version says no epoch */
    assert_int_equal(w->api_version, 11);
}

static void test_a_leader_that_knows_no_end_leaves_what_is_committed(void **state)
{
    struct world *w = *state;
    struct partition *p = old_version(w);
    answer_epoch(w, 0, ERR_OK, -1, -1);
    assert_int_equal(end_of(p), 0);
    assert_asked(w, 0, 0, -1);
}

static void test_a_leader_that_names_no_epoch_is_followed_from_its_offset(void **state)
{
    struct world *w = *state;
    struct partition *p = old_version(w);
    answer_epoch(w, 0, ERR_OK, -1, 13);
    assert_int_equal(end_of(p), 13);
    assert_asked(w, 0, 13, -1);
}

static void test_an_epoch_that_is_refused_is_asked_again(void **state)
{
    struct world *w = *state;
    struct partition *p = old_version(w);
    answer_epoch(w, 0, ERR_UNKNOWN_LEADER_EPOCH, -1, -1);
    assert_false(w->is_asked);
    pass(w, BACKOFF_MS);
    assert_asked_epoch(w, 0, 5);
    answer_epoch(w, 0, ERR_FENCED_LEADER_EPOCH, -1, -1);
    pass(w, BACKOFF_MS);
    assert_false(w->is_asked);
    assert_int_equal(end_of(p), 30);
    assert_int_equal(failed_count(w), 1);
}

static void test_a_later_epoch_than_any_of_ours_cuts_nothing_that_the_leader_has(void **state)
{
    struct world *w = *state;
    struct partition *p = old_version(w);
    answer_epoch(w, 0, ERR_OK, 9, 25);
    assert_int_equal(end_of(p), 25);
    assert_asked(w, 0, 25, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_three_leaders_tails_are_cut_in_as_many_rounds),
        TEST(test_an_epoch_in_which_nothing_was_appended_is_let_go_of),
        TEST(test_an_empty_log_with_an_epoch_of_its_own_gets_on_too),
        TEST(test_a_divergence_without_anything_to_cut_does_not_spin),
        TEST(test_what_is_asked_for_has_the_epoch_of_the_last_record),
        TEST(test_what_was_committed_here_is_cut_after_an_unclean_election),
        TEST(test_without_epochs_only_what_is_below_the_watermark_is_kept),
        TEST(test_what_the_leader_does_not_have_is_cut),
        TEST(test_a_leader_whose_log_begins_later_is_followed_from_there),
        TEST(test_a_log_that_is_in_range_after_all_goes_on_where_it_was),
        TEST(test_a_question_that_is_refused_is_put_again),
        TEST(test_offsets_that_cannot_be_cut_nothing),
        TEST(test_an_answer_that_comes_after_the_next_epoch_cuts_nothing),
        TEST(test_questions_go_before_the_fetch_of_the_others),
        TEST(test_an_empty_log_begins_with_the_batch_that_holds_its_first_offset),
        TEST(test_its_watermark_is_not_left_above_the_log_when_that_batch_is_corrupt),
        TEST(test_an_empty_log_does_not_begin_with_batches_that_end_before_it),
        TEST(test_records_below_the_log_end_stop_a_partition),
        TEST(test_records_for_another_log_end_stop_a_partition),
        TEST(test_records_may_begin_above_the_log_end),
        TEST(test_the_log_start_follows_only_as_far_as_the_watermark),
        TEST(test_batches_larger_than_a_segment_are_followed),
        TEST(test_batches_with_offsets_far_apart_are_followed),
        TEST(test_a_batch_that_ends_before_it_begins_is_corrupt),
        TEST(test_epochs_are_asked_before_the_first_fetch_until_both_know_one),
        TEST(test_a_leader_that_knows_no_end_leaves_what_is_committed),
        TEST(test_a_leader_that_names_no_epoch_is_followed_from_its_offset),
        TEST(test_an_epoch_that_is_refused_is_asked_again),
        TEST(test_a_later_epoch_than_any_of_ours_cuts_nothing_that_the_leader_has),
    };
    return cmocka_run_group_tests_name("fetcher truncation", tests, NULL, NULL);
}
