/* Who may append to a partition and read of it, and who is told when there is more. */
#include "partition_fixture.h"

/* --- who may append and read --- */

static void test_only_a_leader_appends(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = followed(1);
    struct partition *p = take_role(r, &spec);
    assert_err(try_append_to(p, ACKS_LEADER, &(struct batch_spec){0}), ERR_NOT_LEADER_OR_FOLLOWER);
    assert_err(partition_ack_state(p, 0), ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(log_end_offset(partition_log(p)), 0);
    partition_retire(p, false);
    assert_err(try_append_to(p, ACKS_LEADER, &(struct batch_spec){0}), ERR_NOT_LEADER_OR_FOLLOWER);
    partition_retire(p, true);
    assert_err(try_append_to(p, ACKS_LEADER, &(struct batch_spec){0}), ERR_KAFKA_STORAGE_ERROR);
    assert_err(partition_ack_state(p, 0), ERR_KAFKA_STORAGE_ERROR);
    partition_unref(p);
}

static void test_consumers_read_to_the_high_watermark_and_followers_to_the_end(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    append_to(p, 3);
    append_to(p, 4);
    be_at(p, 2, 3);
    struct partition_read_result got;
    assert_err(read_at(r, p, (struct partition_read){CONSUMER}, &got), ERR_OK);
    assert_int_equal(got.high_watermark, 3);
    int32_t to_consumer = got.slice.size_bytes;
    struct partition_read read = {
        .replica_id = 2, .current_leader_epoch = 1, .last_fetched_epoch = -1};
    assert_err(read_at(r, p, read, &got), ERR_OK);
    assert_true(got.slice.size_bytes > to_consumer && to_consumer > 0);
    read = (struct partition_read){CONSUMER, .fetch_offset = 5}; /* between the two: not an error */
    assert_err(read_at(r, p, read, &got), ERR_OK);
    assert_int_equal(got.slice.size_bytes, 0);
    read.fetch_offset = 8;
    assert_err(read_at(r, p, read, &got), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(got.high_watermark, -1);
    assert_int_equal(got.log_start_offset, -1);
    partition_unref(p);
}

static void test_epochs_fence_readers_before_roles_do(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = followed(5);
    struct partition *p = take_role(r, &spec);
    struct partition_read_result got;
    struct partition_read read = {CONSUMER};
    assert_err(read_at(r, p, read, &got), ERR_NOT_LEADER_OR_FOLLOWER);
    read.current_leader_epoch = 4;
    assert_err(read_at(r, p, read, &got), ERR_FENCED_LEADER_EPOCH);
    read.current_leader_epoch = 6;
    assert_err(read_at(r, p, read, &got), ERR_UNKNOWN_LEADER_EPOCH);
    read.current_leader_epoch = 5;
    read.may_follow = true;
    assert_err(read_at(r, p, read, &got), ERR_OK);
    partition_unref(p);
}

static void test_a_stranger_is_no_follower(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    struct partition_read_result got;
    struct partition_read read = {
        .replica_id = 9, .current_leader_epoch = -1, .last_fetched_epoch = -1};
    assert_err(read_at(r, p, read, &got), ERR_NOT_LEADER_OR_FOLLOWER);
    read.current_leader_epoch = 1; /* a reassignment that we have not heard of */
    assert_err(read_at(r, p, read, &got), ERR_UNKNOWN_LEADER_EPOCH);
    read.replica_id = SELF;
    assert_err(read_at(r, p, read, &got), ERR_UNKNOWN_LEADER_EPOCH);
    assert_err(partition_follower_fetched(p, partition_leader_epoch(p), 9, 0, 0, 0),
               ERR_UNKNOWN_LEADER_EPOCH);
    partition_unref(p);
}

static void test_a_diverging_reader_is_told_where_its_epoch_ended(void **state)
{
    struct replicas *r = *state;
    struct partition *p = take_role(r, &(struct role_spec){.leader_epoch = 2});
    append_to(p, 4);
    partition_unref(take_role(r, &(struct role_spec){.leader_epoch = 5, .partition_epoch = 5}));
    append_to(p, 4);
    struct partition_read_result got;
    struct partition_read read = {CONSUMER, .fetch_offset = 6};
    read.last_fetched_epoch = 2;
    assert_err(read_at(r, p, read, &got), ERR_OK);
    assert_true(got.is_diverging);
    assert_int_equal(got.diverging_epoch, 2);
    assert_int_equal(got.diverging_end_offset, 4);
    assert_int_equal(got.slice.size_bytes, 0);
    read.last_fetched_epoch = 3; /* an epoch that was not here: the one before it */
    assert_err(read_at(r, p, read, &got), ERR_OK);
    assert_int_equal(got.diverging_epoch, 2);
    read.last_fetched_epoch = 5;
    assert_err(read_at(r, p, read, &got), ERR_OK);
    assert_false(got.is_diverging);
    read.last_fetched_epoch = 6;
    assert_err(read_at(r, p, read, &got), ERR_OFFSET_OUT_OF_RANGE);
    partition_unref(p);
}

static void test_latest_is_not_known_until_the_watermark_reaches_the_new_epoch(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    append_to(p, 5);
    spec = led(2, 2);
    partition_unref(take_role(r, &spec));
    assert_err(partition_latest_is_known(p), ERR_OFFSET_NOT_AVAILABLE);
    be_at(p, 2, 5);
    assert_err(partition_latest_is_known(p), ERR_OK);
    partition_unref(p);
}

static void test_records_are_deleted_up_to_the_high_watermark_at_most(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    r->alive_count = 2;
    tell_brokers(r); /* number 3 is gone, and nobody waits for it */
    append_to(p, 5);
    append_to(p, 5);
    be_at(p, 2, 5);
    int64_t to = -7, low = -7;
    assert_err(partition_delete_records(p, 6, &to, &low), ERR_OFFSET_OUT_OF_RANGE);
    assert_err(partition_delete_records(p, -2, &to, &low), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(low, -7);
    assert_err(partition_delete_records(p, 3, &to, &low), ERR_OK);
    assert_int_equal(to, 3);
    assert_int_equal(low, 0); /* number 2 has them still */
    assert_err(partition_deleted_state(p, 3, &low), ERR_AGAIN);
    assert_err(partition_follower_fetched(p, partition_leader_epoch(p), 2, 5, 10, 3), ERR_OK);
    assert_err(partition_deleted_state(p, 3, &low), ERR_OK);
    assert_int_equal(low, 3);
    assert_err(partition_delete_records(p, 1, &to, &low), ERR_OK); /* never back */
    assert_int_equal(log_start_offset(partition_log(p)), 3);
    assert_int_equal(low, 3);
    assert_err(partition_delete_records(p, -1, &to, &low), ERR_OK);
    assert_int_equal(to, 5);
    struct partition_read_result got;
    assert_err(read_at(r, p, (struct partition_read){CONSUMER, .fetch_offset = 4}, &got),
               ERR_OFFSET_OUT_OF_RANGE);
    partition_unref(p);
}

/* --- waiting --- */

struct counted_waiter {
    struct partition_waiter waiter;
    int moves;
};

static void count_move(struct partition_waiter *waiter)
{
    ((struct counted_waiter *)waiter)->moves++;
}

struct counting_watcher {
    struct partition_watcher watcher;
    int moves[MOVED_ROLE + 1];
};

static void note_movement(struct partition_watcher *watcher, enum movement movement)
{
    ((struct counting_watcher *)watcher)->moves[movement]++;
}

static void test_readers_are_told_of_records_watermarks_and_lost_leadership(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    struct counting_watcher w = {.watcher.moved = note_movement};
    partition_watch(p, &w.watcher);
    append_to(p, 1);
    assert_int_equal(w.moves[MOVED_END], 1);
    assert_int_equal(w.moves[MOVED_WATERMARK], 0);
    be_at(p, 2, 1);
    assert_int_equal(w.moves[MOVED_WATERMARK], 1);
    be_at(p, 2, 1);
    assert_int_equal(w.moves[MOVED_WATERMARK], 1); /* nothing moved */
    int64_t to, low;
    assert_err(partition_delete_records(p, 1, &to, &low), ERR_OK);
    assert_int_equal(w.moves[MOVED_START], 1);
    spec = followed(2);
    partition_unref(take_role(r, &spec));
    assert_int_equal(w.moves[MOVED_ROLE], 1);
    partition_unwatch(p, &w.watcher);
    partition_retire(p, false);
    assert_int_equal(w.moves[MOVED_ROLE], 1);
    assert_int_equal(w.moves[MOVED_END], 1);
    partition_unref(p);
}

static void test_acks_are_told_once_and_only_of_their_offset(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = led(1, 2);
    struct partition *p = take_role(r, &spec);
    struct counted_waiter early = {.waiter = {.moved = count_move, .offset = 2}},
                          late = {.waiter = {.moved = count_move, .offset = 4}};
    append_to(p, 2);
    append_to(p, 2);
    assert_true(partition_wait_ack(p, &early.waiter));
    assert_true(partition_wait_ack(p, &late.waiter));
    be_at(p, 2, 2);
    assert_int_equal(early.moves, 1);
    assert_int_equal(late.moves, 0);
    assert_false(partition_wait_ack(p, &early.waiter)); /* it is there already */
    spec = followed(2);
    partition_unref(take_role(r, &spec));
    assert_int_equal(early.moves, 1);
    assert_int_equal(late.moves, 1);
    assert_false(partition_wait_ack(p, &late.waiter));
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, replicas_setup, replicas_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_only_a_leader_appends),
        TEST(test_consumers_read_to_the_high_watermark_and_followers_to_the_end),
        TEST(test_epochs_fence_readers_before_roles_do),
        TEST(test_a_stranger_is_no_follower),
        TEST(test_a_diverging_reader_is_told_where_its_epoch_ended),
        TEST(test_latest_is_not_known_until_the_watermark_reaches_the_new_epoch),
        TEST(test_records_are_deleted_up_to_the_high_watermark_at_most),
        TEST(test_readers_are_told_of_records_watermarks_and_lost_leadership),
        TEST(test_acks_are_told_once_and_only_of_their_offset),
    };
    return cmocka_run_group_tests_name("partition readers", tests, NULL, NULL);
}
