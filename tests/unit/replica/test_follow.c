/* A partition as a follower, and what passes over from one role to the other: offsets, watermark,
 * epochs and the producers' state (storage-and-replication §14 to §16, traps 48 to 54). */
#include "replica_fixture.h"

#include "broker/log/log_internal.h"
#include "broker/replica/replication.h"

#define LEADER 2

static struct partition *follow(struct replicas *r, int32_t leader_epoch)
{
    return take_role(r, &(struct role_spec){.leader = LEADER,
                                            .leader_epoch = leader_epoch,
                                            .partition_epoch = leader_epoch,
                                            .id = id_of(1),
                                            .replicas = {1, 2},
                                            .replicas_count = 2});
}

static struct partition *lead(struct replicas *r, int32_t leader_epoch)
{
    return take_role(r, &(struct role_spec){.leader_epoch = leader_epoch,
                                            .partition_epoch = leader_epoch,
                                            .id = id_of(1),
                                            .replicas = {1, 2},
                                            .replicas_count = 2});
}

static int64_t end_of(struct partition *p)
{
    return log_end_offset(partition_log(p));
}

/* What a leader sends for our log end: `count` records of an epoch. */
struct sent {
    int32_t leader_epoch; /* in which we follow */
    int32_t count, record_epoch;
    int64_t high_watermark, log_start_offset;
    bool has_producer;
    int32_t base_sequence;
};

static enum err take(struct partition *p, struct sent sent)
{
    struct buf bytes = {0};
    struct leader_data data = {.fetch_offset = end_of(p),
                               .high_watermark = sent.high_watermark,
                               .log_start_offset = sent.log_start_offset};
    struct batch_spec spec = {.records = sent.count,
                              .base_offset = end_of(p),
                              .leader_epoch = sent.record_epoch,
                              .has_producer = sent.has_producer,
                              .producer_id = 9,
                              .base_sequence = sent.base_sequence};
    if (sent.count)
        batch_make(&bytes, &spec);
    data.records = buf_slice(&bytes);
    bool needs_flush;
    enum err e = partition_append_follower(p, sent.leader_epoch, &data, &needs_flush);
    buf_done(&bytes);
    return e;
}

static struct follower_position position_of(struct partition *p, int32_t leader_epoch)
{
    struct follower_position position;
    assert_err(partition_follower_position(p, leader_epoch, &position), ERR_OK);
    return position;
}

/* --- following --- */

static void test_a_follower_goes_on_at_its_log_end_in_the_epoch_of_its_last_record(void **state)
{
    struct partition *p = follow(*state, 5);
    struct follower_position at = position_of(p, 5);
    assert_int_equal(at.fetch_offset, 0);
    assert_int_equal(at.last_fetched_epoch, NO_LEADER_EPOCH);
    assert_err(take(p, (struct sent){.leader_epoch = 5, .count = 4, .record_epoch = 3}), ERR_OK);
    at = position_of(p, 5);
    assert_int_equal(at.fetch_offset, 4);
    assert_int_equal(at.last_fetched_epoch, 3);
    assert_int_equal(at.log_start_offset, 0);
    partition_unref(p);
}

static void is_fenced(struct partition *p, int32_t leader_epoch)
{
    struct follower_position at;
    bool is_done;
    int64_t end = end_of(p);
    struct sent sent = {.leader_epoch = leader_epoch, .count = 1, .record_epoch = 1};
    assert_err(partition_follower_position(p, leader_epoch, &at), ERR_FENCED_LEADER_EPOCH);
    assert_err(take(p, sent), ERR_FENCED_LEADER_EPOCH);
    assert_err(partition_truncate(p, leader_epoch, 0), ERR_FENCED_LEADER_EPOCH);
    assert_err(partition_restart_at(p, leader_epoch, 50), ERR_FENCED_LEADER_EPOCH);
    assert_err(partition_truncate_to_epoch(p, leader_epoch, 0, 0, &is_done),
               ERR_FENCED_LEADER_EPOCH);
    assert_int_equal(end_of(p), end);
}

static void test_whatever_comes_for_another_epoch_or_role_changes_nothing(void **state)
{
    struct partition *p = follow(*state, 5);
    assert_err(take(p, (struct sent){.leader_epoch = 5, .count = 4, .record_epoch = 5}), ERR_OK);
    is_fenced(p, 4);
    is_fenced(p, 6);
    partition_unref(lead(*state, 6));
    is_fenced(p, 5);
    is_fenced(p, 6);
    partition_unref(p);
}

static void test_a_followers_watermark_is_the_leaders_as_far_as_its_log_goes(void **state)
{
    struct partition *p = follow(*state, 5);
    struct sent sent = {.leader_epoch = 5, .count = 4, .record_epoch = 5, .high_watermark = 2};
    assert_err(take(p, sent), ERR_OK);
    assert_int_equal(partition_high_watermark(p), 2);
    sent.high_watermark = 100;
    assert_err(take(p, sent), ERR_OK);
    assert_int_equal(partition_high_watermark(p), 8);
    sent.high_watermark = 3; /* a new leader may lag behind for a moment */
    assert_err(take(p, sent), ERR_OK);
    assert_int_equal(partition_high_watermark(p), 8);
    partition_unref(p);
}

struct told {
    struct partition_waiter waiter;
    int count;
};
static void count_told(struct partition_waiter *waiter)
{
    CONTAINER_OF(waiter, struct told, waiter)->count++;
}

struct watching {
    struct partition_watcher watcher;
    int count[MOVED_ROLE + 1];
};
static void count_movement(struct partition_watcher *watcher, enum movement movement)
{
    CONTAINER_OF(watcher, struct watching, watcher)->count[movement]++;
}

static void test_consumers_that_wait_at_a_follower_are_told_of_its_watermark(void **state)
{
    struct partition *p = follow(*state, 5);
    struct watching told = {.watcher.moved = count_movement};
    partition_watch(p, &told.watcher);
    assert_err(take(p, (struct sent){.leader_epoch = 5, .count = 4, .record_epoch = 5}), ERR_OK);
    assert_int_equal(told.count[MOVED_WATERMARK], 0); /* nothing that a consumer may see */
    assert_err(take(p, (struct sent){.leader_epoch = 5, .high_watermark = 4}), ERR_OK);
    assert_int_equal(told.count[MOVED_WATERMARK], 1);
    partition_unwatch(p, &told.watcher);
    partition_unref(p);
}

static void test_consumers_read_to_a_followers_watermark_and_no_further(void **state)
{
    struct replicas *r = *state;
    struct partition *p = follow(r, 5);
    struct sent sent = {.leader_epoch = 5, .count = 4, .record_epoch = 5, .high_watermark = 4};
    assert_err(take(p, sent), ERR_OK);
    assert_err(take(p, sent), ERR_OK);
    struct partition_read read = {.fetch_offset = 4,
                                  .max_bytes = 1 << 20,
                                  .current_leader_epoch = 5,
                                  .last_fetched_epoch = -1,
                                  .replica_id = CONSUMER_REPLICA_ID,
                                  .may_block = true};
    struct partition_read_result got;
    assert_err(partition_read(p, &read, r->arena, &got), ERR_NOT_LEADER_OR_FOLLOWER);
    read.may_follow = true;
    assert_err(partition_read(p, &read, r->arena, &got), ERR_OK);
    assert_int_equal(got.high_watermark, 4);
    assert_int_equal(got.slice.size_bytes, 0);
    read.replica_id = LEADER; /* another follower never reads here */
    read.may_follow = false;
    assert_err(partition_read(p, &read, r->arena, &got), ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unref(p);
}

/* --- cutting --- */

static void test_cutting_lowers_a_followers_watermark_with_the_log(void **state)
{
    struct replicas *r = *state;
    struct partition *p = follow(r, 5);
    for (int i = 0; i < 10; i++)
        assert_err(take(p, (struct sent){.leader_epoch = 5,
                                         .count = 1,
                                         .record_epoch = 5,
                                         .high_watermark = i + 1}),
                   ERR_OK);
    assert_int_equal(partition_high_watermark(p), 10);
    assert_err(partition_truncate(p, 5, 6), ERR_OK);
    assert_int_equal(end_of(p), 6);
    assert_int_equal(partition_high_watermark(p), 6);
    assert_int_equal(log_last_stable_offset(partition_log(p), 6), 6);
    assert_err(partition_restart_at(p, 5, 40), ERR_OK);
    assert_int_equal(partition_high_watermark(p), 40);
    assert_int_equal(position_of(p, 5).last_fetched_epoch, NO_LEADER_EPOCH);
    partition_unref(p);
}

/* The answer may name an end beyond ours, or an epoch older than all of ours. */
static void test_no_more_is_cut_than_what_differs(void **state)
{
    struct replicas *r = *state;
    struct partition *p = follow(r, 9);
    bool is_done;
    for (int32_t epoch = 3; epoch <= 5; epoch++)
        for (int i = 0; i < 5; i++)
            assert_err(take(p, (struct sent){.leader_epoch = 9, .count = 1, .record_epoch = epoch}),
                       ERR_OK);
    assert_err(partition_truncate_to_epoch(p, 9, 5, 1000, &is_done), ERR_OK);
    assert_true(is_done);
    assert_int_equal(end_of(p), 15);
    assert_err(partition_truncate_to_epoch(p, 9, 4, 1000, &is_done), ERR_OK);
    assert_true(is_done);
    assert_int_equal(end_of(p), 10); /* what we have of epoch 5 the leader has not */
    assert_err(partition_truncate_to_epoch(p, 9, 4, 7, &is_done), ERR_OK);
    assert_int_equal(end_of(p), 7);
    assert_err(partition_truncate_to_epoch(p, 9, 2, 9, &is_done), ERR_OK);
    assert_true(is_done);
    assert_int_equal(end_of(p), 0); /* nothing in common */
    partition_unref(p);
}

/* --- from role to role --- */

/* Trap 51. */
static void test_leading_for_a_moment_cuts_nothing_of_the_next_leaders(void **state)
{
    struct replicas *r = *state;
    struct partition *p = follow(r, 4);
    struct sent sent = {.leader_epoch = 4, .count = 5, .record_epoch = 4, .high_watermark = 5};
    assert_err(take(p, sent), ERR_OK);
    partition_unref(lead(r, 5));
    assert_int_equal(log_latest_epoch(partition_log(p)), 5);
    partition_unref(follow(r, 6));
    bool is_done;
    assert_int_equal(position_of(p, 6).last_fetched_epoch, 5);
    assert_err(partition_truncate_to_epoch(p, 6, 4, 5, &is_done), ERR_OK);
    assert_int_equal(end_of(p), 5);
    assert_int_equal(partition_high_watermark(p), 5);
    assert_int_equal(position_of(p, 6).last_fetched_epoch, 4);
    partition_unref(p);
}

static void test_a_new_leader_begins_with_the_watermark_it_had_and_raises_it(void **state)
{
    struct replicas *r = *state;
    struct partition *p = follow(r, 4);
    struct sent sent = {.leader_epoch = 4, .count = 5, .record_epoch = 4, .high_watermark = 3};
    assert_err(take(p, sent), ERR_OK);
    partition_unref(lead(r, 5));
    assert_int_equal(partition_high_watermark(p), 3); /* number 2 is in the ISR, and unheard of */
    assert_err(partition_follower_fetched(p, 5, LEADER, 5, 5, 0), ERR_OK);
    assert_int_equal(partition_high_watermark(p), 5);
    partition_unref(p);
}

static void
test_what_was_appended_and_not_committed_is_there_for_the_next_leader_to_judge(void **state)
{
    struct replicas *r = *state;
    struct partition *p = lead(r, 4);
    append_to(p, 5);
    assert_int_equal(partition_high_watermark(p), 0);
    partition_unref(follow(r, 5));
    struct follower_position at = position_of(p, 5);
    assert_int_equal(at.fetch_offset, 5); /* not cut to the watermark: the leader may have it */
    assert_int_equal(at.last_fetched_epoch, 4);
    assert_int_equal(partition_high_watermark(p), 0);
    partition_unref(p);
}

static enum err produce(struct partition *p, int32_t sequence)
{
    return try_append_to(
        p, ACKS_LEADER,
        &(struct batch_spec){
            .records = 5, .has_producer = true, .producer_id = 9, .base_sequence = sequence});
}

/* A producer repeats at the new leader what the old one did not acknowledge. */
static void test_a_follower_that_leads_knows_what_producers_have_written(void **state)
{
    struct replicas *r = *state;
    struct partition *p = follow(r, 4);
    struct sent sent = {.leader_epoch = 4, .count = 5, .record_epoch = 4, .has_producer = true};
    assert_err(take(p, sent), ERR_OK);
    sent.base_sequence = 5;
    assert_err(take(p, sent), ERR_OK);
    partition_unref(lead(r, 5));
    assert_err(produce(p, 5), ERR_OK);
    assert_int_equal(end_of(p), 10); /* once */
    assert_err(produce(p, 15), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_err(produce(p, 10), ERR_OK);
    assert_int_equal(end_of(p), 15);
    partition_unref(p);
}

static void roll(struct log *log)
{
    LOCK_SCOPE(&log->lock);
    assert_err(log_roll(log, log_end_offset(log)), ERR_OK);
}

static enum err produce_to_all(struct partition *p, int32_t sequence)
{
    return try_append_to(
        p, ACKS_ALL,
        &(struct batch_spec){
            .records = 5, .has_producer = true, .producer_id = 9, .base_sequence = sequence});
}

/* Five in flight had come here when the leader went, then a segment rolled, with a snapshot of the
 * last of them, and what followed was cut off. The new leader refuses the producer as long as it is
 * alone, and then knows each of the five. */
static void test_what_is_in_flight_is_known_after_a_cut_and_too_small_an_isr(void **state)
{
    struct replicas *r = *state;
    r->min_insync_replicas = 2;
    struct partition *p = follow(r, 4);
    struct sent sent = {.leader_epoch = 4, .count = 5, .record_epoch = 4, .has_producer = true};
    for (; sent.base_sequence < 25; sent.base_sequence += 5)
        assert_err(take(p, sent), ERR_OK);
    roll(partition_log(p));
    assert_err(take(p, (struct sent){.leader_epoch = 4, .count = 5, .record_epoch = 4}), ERR_OK);
    assert_err(partition_truncate(p, 4, 25), ERR_OK);
    struct role_spec alone = {.leader_epoch = 5,
                              .partition_epoch = 5,
                              .id = id_of(1),
                              .replicas = {1, 2},
                              .replicas_count = 2,
                              .isr = {1},
                              .isr_count = 1};
    partition_unref(take_role(r, &alone));
    assert_err(produce_to_all(p, 0), ERR_NOT_ENOUGH_REPLICAS);
    partition_unref(lead(r, 6));
    for (int32_t sequence = 0; sequence < 25; sequence += 5)
        assert_err(produce_to_all(p, sequence), ERR_OK);
    assert_int_equal(end_of(p), 25);
    assert_err(produce_to_all(p, 25), ERR_OK);
    assert_int_equal(end_of(p), 30);
    partition_unref(p);
}

static void test_what_is_cut_is_no_longer_known_of_its_producer(void **state)
{
    struct replicas *r = *state;
    struct partition *p = follow(r, 4);
    struct sent sent = {.leader_epoch = 4, .count = 5, .record_epoch = 4, .has_producer = true};
    assert_err(take(p, sent), ERR_OK);
    sent.base_sequence = 5;
    assert_err(take(p, sent), ERR_OK);
    assert_err(partition_truncate(p, 4, 5), ERR_OK);
    partition_unref(lead(r, 5));
    assert_err(produce(p, 5), ERR_OK);
    assert_int_equal(end_of(p), 10); /* written again, not taken for a repetition */
    partition_unref(p);
}

static void test_a_leader_that_follows_tells_all_who_wait(void **state)
{
    struct replicas *r = *state;
    struct partition *p = lead(r, 4);
    append_to(p, 5);
    struct told ack = {.waiter = {.moved = count_told, .offset = 5}};
    struct watching fetch = {.watcher.moved = count_movement};
    assert_true(partition_wait_ack(p, &ack.waiter));
    partition_watch(p, &fetch.watcher);
    partition_unref(follow(r, 5));
    assert_int_equal(ack.count, 1);
    assert_int_equal(fetch.count[MOVED_ROLE], 1);
    assert_err(partition_ack_state(p, 5), ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unwatch(p, &fetch.watcher);
    partition_unref(p);
}

/* A follower's fetch that waits names the epoch before: it is to be refused now, not when its time
 * is up, as the follower can ask for nothing else until then. */
static void test_a_leader_that_leads_on_in_a_new_epoch_tells_the_fetches_that_wait(void **state)
{
    struct replicas *r = *state;
    struct partition *p = lead(r, 4);
    struct watching fetch = {.watcher.moved = count_movement};
    partition_watch(p, &fetch.watcher);
    partition_unref(lead(r, 5));
    assert_int_equal(fetch.count[MOVED_ROLE], 1);
    partition_unwatch(p, &fetch.watcher);
    partition_unref(p);
}

/* A restart without a checkpoint of the watermark: nothing may be cut for it. */
static void test_a_follower_that_knows_epochs_keeps_its_log_whatever_its_watermark(void **state)
{
    struct replicas *r = *state;
    struct partition *p = follow(r, 4);
    struct sent sent = {.leader_epoch = 4, .count = 5, .record_epoch = 4, .high_watermark = 5};
    assert_err(take(p, sent), ERR_OK);
    partition_unref(p);
    replica_manager_free(r->manager);
    fixture_crash(r->logs);
    replicas_make_manager(r);
    p = follow(r, 5);
    struct follower_position at = position_of(p, 5);
    assert_int_equal(at.fetch_offset, 5);
    assert_int_equal(at.last_fetched_epoch, 4);
    assert_true(partition_high_watermark(p) <= 5);
    partition_unref(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, replicas_setup, replicas_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_follower_goes_on_at_its_log_end_in_the_epoch_of_its_last_record),
        TEST(test_whatever_comes_for_another_epoch_or_role_changes_nothing),
        TEST(test_a_followers_watermark_is_the_leaders_as_far_as_its_log_goes),
        TEST(test_consumers_that_wait_at_a_follower_are_told_of_its_watermark),
        TEST(test_consumers_read_to_a_followers_watermark_and_no_further),
        TEST(test_cutting_lowers_a_followers_watermark_with_the_log),
        TEST(test_no_more_is_cut_than_what_differs),
        TEST(test_leading_for_a_moment_cuts_nothing_of_the_next_leaders),
        TEST(test_a_new_leader_begins_with_the_watermark_it_had_and_raises_it),
        TEST(test_what_was_appended_and_not_committed_is_there_for_the_next_leader_to_judge),
        TEST(test_a_follower_that_leads_knows_what_producers_have_written),
        TEST(test_what_is_in_flight_is_known_after_a_cut_and_too_small_an_isr),
        TEST(test_what_is_cut_is_no_longer_known_of_its_producer),
        TEST(test_a_leader_that_follows_tells_all_who_wait),
        TEST(test_a_leader_that_leads_on_in_a_new_epoch_tells_the_fetches_that_wait),
        TEST(test_a_follower_that_knows_epochs_keeps_its_log_whatever_its_watermark),
    };
    return cmocka_run_group_tests_name("follow", tests, NULL, NULL);
}
