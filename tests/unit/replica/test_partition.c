/* A partition's rules: roles and epochs, the high watermark, who may append and read what. */
#include "replica_fixture.h"

#include <errno.h>

#include "broker/replica/replication.h"

#define LAG_MS REPLICA_LAG_DEFAULT_MS

static void be_at(struct partition *partition, int32_t broker_id, int64_t offset)
{
    assert_err(partition_follower_fetched(partition, partition_leader_epoch(partition), broker_id,
                                          offset, log_end_offset(partition_log(partition)), 0),
               ERR_OK);
}

/* Leads with these replicas; `in_sync` of them, the first ones, are in the ISR. */
static struct role_spec led(int32_t leader_epoch, int32_t in_sync)
{
    return (struct role_spec){.leader_epoch = leader_epoch,
                              .partition_epoch = leader_epoch,
                              .id = id_of(1),
                              .replicas = {1, 2, 3},
                              .replicas_count = 3,
                              .isr = {1, 2, 3},
                              .isr_count = in_sync};
}

static struct role_spec followed(int32_t leader_epoch)
{
    struct role_spec spec = led(leader_epoch, 3);
    spec.leader = 2;
    return spec;
}

static enum err read_at(struct replicas *r, struct partition *partition, struct partition_read read,
                        struct partition_read_result *ret)
{
    if (!read.max_bytes)
        read.max_bytes = 1 << 20;
    read.may_block = true;
    enum err e = partition_read(partition, &read, r->arena, ret);
    if (!e && ret->slice.file)
        log_file_unref(ret->slice.file);
    return e;
}

/* What a consumer reads, with nothing checked beyond what is given. */
#define CONSUMER                                                                                   \
    .replica_id = CONSUMER_REPLICA_ID, .current_leader_epoch = -1, .last_fetched_epoch = -1

/* --- high watermark --- */

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
        TEST(test_an_unclean_leader_says_that_it_has_recovered_when_it_lets_others_in),
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
        TEST(test_a_leader_again_keeps_what_it_knew_of_its_followers),
        TEST(test_a_new_epoch_forgets_how_long_ago_an_outsider_had_caught_up),
        TEST(test_a_new_epoch_gives_those_in_sync_their_time_anew),
        TEST(test_the_first_fetch_after_an_election_does_not_make_a_replica_lag),
        TEST(test_a_follower_that_leads_again_knows_nothing_of_the_others),
        TEST(test_each_epoch_begins_at_the_log_end_even_without_records),
        TEST(test_leading_with_a_log_that_failed_changes_nothing),
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
    return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
