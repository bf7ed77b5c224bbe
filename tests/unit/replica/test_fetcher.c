/* A follower's requests to its leader: the session (KIP-227), topic ids, and what each error makes
 * of a partition (storage-and-replication §15.3). Truncation stands in test_fetcher_truncation.c.
 */
#include "fetcher_world.h"

#include "broker/replica/fetcher_internal.h"

/* Partitions 0 to count - 1 of "t", in a session, with nothing new to say. */
static struct partition *settled(struct world *w, int32_t count)
{
    struct part parts[8];
    for (int32_t i = 0; i < count; i++) {
        follow(w, hosted(w, i, 4));
        parts[i] = (struct part){.id = i};
    }
    fetcher_run(w->fetcher);
    answer_session(w, SESSION, parts, count);
    assert_int_equal(asked_count(w), 0);
    struct partition *p = replica_manager_get(w->r->manager, SLICE_LITERAL("t"), 0);
    partition_unref(p);
    return p;
}

/* --- the session --- */

static void test_a_session_begins_in_full_and_goes_on_with_what_has_changed(void **state)
{
    struct world *w = *state;
    for (int32_t i = 0; i < 3; i++)
        follow(w, hosted(w, i, 4));
    fetcher_run(w->fetcher);
    assert_session(w, 0, 0);
    assert_int_equal(w->api_version, 17);
    assert_int_equal(asked_count(w), 3);
    assert_asked(w, 2, 0, -1);
    assert_int_equal(asked_of(w, 2)->current_leader_epoch, 4);
    answer_session(
        w, SESSION,
        (struct part[]){{.id = 0}, {.id = 1, .records = with(batches(), 0, 5, 4)}, {.id = 2}}, 3);
    assert_session(w, SESSION, 1);
    assert_int_equal(asked_count(w), 1); /* the others stand where they stood */
    assert_asked(w, 1, 5, 4);
    answer_nothing(w);
    assert_session(w, SESSION, 2);
    assert_int_equal(asked_count(w), 0);
    answer(w, (struct part){.id = 2, .records = with(batches(), 0, 1, 4)});
    assert_session(w, SESSION, 3);
    assert_int_equal(asked_count(w), 1);
    assert_asked(w, 2, 1, 4);
}

static void test_a_request_says_who_asks_and_how_much(void **state)
{
    struct world *w = *state;
    settled(w, 1);
    assert_int_equal(asked_fetch(w)->replica_id, -1); /* from version 15 on it is tagged */
    assert_int_equal(asked_fetch(w)->replica_state.replica_id, SELF);
    assert_int_equal(asked_fetch(w)->replica_state.replica_epoch, BROKER_EPOCH);
    assert_int_equal(asked_fetch(w)->max_wait_ms, 500);
    assert_int_equal(asked_fetch(w)->min_bytes, 1);
    assert_int_equal(asked_fetch(w)->max_bytes, 10 << 20);
}

static void test_partitions_that_come_are_added_and_those_that_go_forgotten(void **state)
{
    struct world *w = *state;
    struct partition *first = settled(w, 2);
    followed(w, 2, 4);
    fetcher_unfollow(w->fetcher, first);
    answer_nothing(w);
    assert_session(w, SESSION, 2);
    assert_int_equal(asked_count(w), 1);
    assert_asked(w, 2, 0, -1);
    assert_int_equal(forgotten_count(w), 1);
    assert_true(is_forgotten(w, 0));
    answer_nothing(w);
    assert_int_equal(asked_count(w), 0);
    assert_int_equal(forgotten_count(w), 0); /* said once */
}

static void test_a_partition_that_is_followed_anew_is_told_and_not_forgotten(void **state)
{
    struct world *w = *state;
    settled(w, 2);
    follow(w, hosted(w, 0, 5));
    answer_nothing(w);
    assert_asked(w, 0, 0, -1);
    assert_int_equal(asked_of(w, 0)->current_leader_epoch, 5);
    assert_int_equal(forgotten_count(w), 0);
}

/* By name they are the same partition, so to forget the old one would end replication of the new.
 */
static void test_a_topic_made_anew_is_not_forgotten_where_names_count(void **state)
{
    struct world *w = *state;
    w->settings.fetch_version = 12;
    world_restart(w);
    struct partition *old = settled(w, 1);
    fetcher_unfollow(w->fetcher, old);
    assert_int_equal(tell_stop(w->r, "t", 0, -2, true), 0);
    struct partition *p = hosted_of(w, "t", id_of(2), 0, 0);
    follow(w, p);
    answer_nothing(w);
    assert_asked(w, 0, 0, -1);
    assert_int_equal(forgotten_count(w), 0);
}

static void test_a_topic_made_anew_is_forgotten_by_its_old_id(void **state)
{
    struct world *w = *state;
    struct partition *old = settled(w, 1);
    fetcher_unfollow(w->fetcher, old);
    assert_int_equal(tell_stop(w->r, "t", 0, -2, true), 0);
    follow(w, hosted_of(w, "t", id_of(2), 0, 0));
    answer_nothing(w);
    assert_int_equal(asked_count(w), 1);
    assert_true(uuid_equal(asked_fetch(w)->topics[0].topic_id, id_of(2)));
    assert_int_equal(forgotten_count(w), 1);
    assert_true(is_forgotten(w, 0)); /* of id 1 */
}

static void lose_session(struct world *w, enum err e, int32_t session_id)
{
    settled(w, 2);
    answer_error(w, e);
    assert_session(w, session_id, 0);
    assert_int_equal(asked_count(w), 2);
    answer_session(w, 5, (struct part[]){{.id = 0}, {.id = 1}}, 2);
    assert_session(w, 5, 1);
    assert_int_equal(asked_count(w), 0);
}

static void test_a_session_that_the_leader_does_not_know_begins_anew(void **state)
{
    lose_session(*state, ERR_FETCH_SESSION_ID_NOT_FOUND, 0);
}

static void test_a_session_of_another_epoch_is_closed_and_begins_anew(void **state)
{
    lose_session(*state, ERR_INVALID_FETCH_SESSION_EPOCH, SESSION);
}

static void test_a_session_of_other_ids_is_closed_and_begins_anew(void **state)
{
    lose_session(*state, ERR_FETCH_SESSION_TOPIC_ID_ERROR, SESSION);
}

static void test_another_error_of_the_whole_answer_waits_before_all_is_asked_anew(void **state)
{
    struct world *w = *state;
    settled(w, 2);
    answer_error(w, ERR_UNKNOWN_SERVER_ERROR);
    assert_false(w->is_asked);
    pass(w, BACKOFF_MS - 1);
    assert_false(w->is_asked);
    pass(w, 1);
    assert_session(w, SESSION, 0);
    assert_int_equal(asked_count(w), 2);
}

static void test_a_leader_that_keeps_no_session_is_asked_in_full_each_time(void **state)
{
    struct world *w = *state;
    for (int32_t i = 0; i < 2; i++)
        follow(w, hosted(w, i, 4));
    fetcher_run(w->fetcher);
    for (int64_t round = 0; round < 3; round++) {
        assert_session(w, 0, 0);
        assert_int_equal(asked_count(w), 2);
        assert_asked(w, 0, round, round ? 4 : -1);
        struct buf *records = with(batches(), round, 1, 4);
        answer_session(w, 0, (struct part[]){{.id = 0, .records = records}, {.id = 1}}, 2);
    }
}

static void test_the_epoch_of_a_session_goes_from_the_largest_to_one(void **state)
{
    struct world *w = *state;
    settled(w, 1);
    int32_t leader_id = LEADER;
    struct fetch_source *source = map_get(&w->fetcher->sources, MAP_KEY(leader_id));
    source->session_epoch = INT32_MAX - 1;
    answer_nothing(w);
    assert_session(w, SESSION, INT32_MAX);
    answer_nothing(w);
    assert_session(w, SESSION, 1);
}

/* --- topic ids --- */

static void test_one_partition_without_an_id_makes_the_whole_request_go_by_names(void **state)
{
    struct world *w = *state;
    settled(w, 2);
    struct partition *old = hosted_of(w, "old", UUID_ZERO, 0, 4);
    follow(w, old);
    answer_nothing(w);
    assert_int_equal(w->api_version, 12);
    assert_session(w, SESSION, 0); /* the other session is closed: it was made with ids */
    assert_int_equal(asked_count(w), 3);
    assert_int_equal(asked_fetch(w)->replica_id, SELF);
    struct buf *records = with(batches(), 0, 3, 4);
    answer_session(w, 5,
                   (struct part[]){{.id = 0}, {.id = 1}, {.topic = "old", .records = records}}, 3);
    assert_int_equal(end_of(old), 3);
    assert_session(w, 5, 1);

    fetcher_unfollow(w->fetcher, old);
    answer_session(w, 5, NULL, 0);
    assert_int_equal(w->api_version, 17);
    assert_session(w, 5, 0);
    assert_int_equal(asked_count(w), 2);
}

/* --- errors of a partition --- */

static void is_put_off_and_comes_back(struct world *w, enum err e)
{
    answer(w, (struct part){.id = 0, .error = e});
    assert_int_equal(asked_count(w), 0);
    assert_true(is_forgotten(w, 0)); /* or the leader would repeat the error at once */
    assert_int_equal(failed_count(w), 0);
    answer(w, (struct part){.id = 1, .records = with(batches(), 0, 1, 4)}); /* others go on */
    assert_asked(w, 1, 1, 4);
    pass(w, BACKOFF_MS);
    answer_nothing(w);
    assert_int_equal(asked_count(w), 1);
    assert_asked(w, 0, 0, -1);
}

#define PUT_OFF(name, e)                                                                           \
    static void test_##name##_puts_a_partition_off(void **state)                                   \
    {                                                                                              \
        struct world *w = *state;                                                                  \
        settled(w, 2);                                                                             \
        is_put_off_and_comes_back(w, e);                                                           \
    }
PUT_OFF(unknown_leader_epoch, ERR_UNKNOWN_LEADER_EPOCH)
PUT_OFF(not_leader, ERR_NOT_LEADER_OR_FOLLOWER)
PUT_OFF(unknown_partition, ERR_UNKNOWN_TOPIC_OR_PARTITION)
PUT_OFF(unknown_topic_id, ERR_UNKNOWN_TOPIC_ID)
PUT_OFF(inconsistent_topic_id, ERR_INCONSISTENT_TOPIC_ID)
PUT_OFF(storage_error, ERR_KAFKA_STORAGE_ERROR)
PUT_OFF(tiered_storage, ERR_OFFSET_MOVED_TO_TIERED_STORAGE)
PUT_OFF(any_other_error, ERR_UNKNOWN_SERVER_ERROR)

/* Producers with acks=all wait for us: the leader will know in a moment. */
static void test_a_leader_that_has_not_heard_of_its_role_is_asked_again_soon(void **state)
{
    struct world *w = *state;
    settled(w, 2);
    int32_t asked = 0;
    for (int32_t pause_ms = 10; pause_ms < BACKOFF_MS; pause_ms *= 2, asked++) {
        answer(w, (struct part){.id = 0, .error = ERR_NOT_LEADER_OR_FOLLOWER});
        pass(w, pause_ms - 1);
        answer_nothing(w);
        assert_int_equal(asked_count(w), 0);
        pass(w, 1);
        answer_nothing(w);
        assert_asked(w, 0, 0, -1);
    }
    assert_int_equal(asked, 7);
    for (int i = 0; i < 2; i++) { /* and in the end as seldom as anything else */
        answer(w, (struct part){.id = 0, .error = ERR_NOT_LEADER_OR_FOLLOWER});
        pass(w, BACKOFF_MS - 1);
        answer_nothing(w);
        assert_int_equal(asked_count(w), 0);
        pass(w, 1);
        answer_nothing(w);
        assert_asked(w, 0, 0, -1);
    }
}

static void test_a_fenced_partition_stops_until_it_is_followed_anew(void **state)
{
    struct world *w = *state;
    settled(w, 2);
    answer(w, (struct part){.id = 0, .error = ERR_FENCED_LEADER_EPOCH});
    assert_true(is_forgotten(w, 0));
    assert_int_equal(failed_count(w), 1);
    for (int i = 0; i < 10; i++) {
        pass(w, BACKOFF_MS);
        answer_nothing(w);
        assert_int_equal(asked_count(w), 0);
    }
    follow(w, hosted(w, 0, 5)); /* LeaderAndIsr has come */
    assert_int_equal(failed_count(w), 0);
    answer_nothing(w);
    assert_asked(w, 0, 0, -1);
    assert_int_equal(asked_of(w, 0)->current_leader_epoch, 5);
}

static void test_a_corrupt_batch_is_discarded_and_fetched_again(void **state)
{
    struct world *w = *state;
    struct partition *p = settled(w, 2);
    struct buf *records = with(with(batches(), 0, 5, 4), 5, 5, 4);
    records->data[records->size - 1] ^= 1;
    struct traced traced;
    traced_begin(&traced, TRACE_WARN);
    answer(w, (struct part){.id = 0, .high_watermark = 10, .records = records});
    traced_end();
    assert_int_equal(traced.lines, 1);
    assert_non_null(strstr(traced.last, "records of a leader not appended topic=t partition=0"));
    assert_non_null(strstr(traced.last, "error=CORRUPT_MESSAGE"));
    assert_int_equal(end_of(p), 0);
    assert_int_equal(partition_high_watermark(p), 0);
    assert_int_equal(failed_count(w), 0);
    assert_true(is_forgotten(w, 0));
    pass(w, BACKOFF_MS);
    answer_nothing(w);
    assert_asked(w, 0, 0, -1);
    records = with(with(batches(), 0, 5, 4), 5, 5, 4);
    answer(w, (struct part){.id = 0, .high_watermark = 10, .records = records});
    assert_int_equal(end_of(p), 10);
    assert_int_equal(partition_high_watermark(p), 10);
}

static void test_half_a_batch_at_the_end_is_left_out(void **state)
{
    struct world *w = *state;
    struct partition *p = settled(w, 1);
    struct buf *records = with(with(batches(), 0, 5, 4), 5, 5, 4);
    records->size -= 3;
    answer(w, (struct part){.id = 0, .high_watermark = 10, .records = records});
    assert_int_equal(end_of(p), 5);
    assert_asked(w, 0, 5, 4);
}

/* --- late answers --- */

static void test_an_answer_of_an_older_epoch_changes_nothing(void **state)
{
    struct world *w = *state;
    struct partition *p = settled(w, 2);
    follow(w, hosted(w, 0, 5));
    answer(w, (struct part){.id = 0, .high_watermark = 5, .records = with(batches(), 0, 5, 4)});
    assert_int_equal(end_of(p), 0);
    answer(w, (struct part){.id = 0, .high_watermark = 5, .records = with(batches(), 0, 5, 5)});
    assert_int_equal(end_of(p), 5);
}

static void test_an_answer_that_finds_a_leader_changes_nothing(void **state)
{
    struct world *w = *state;
    struct partition *p = settled(w, 1);
    take_role(w->r, &(struct role_spec){.id = id_of(1),
                                        .replicas = {1, 2},
                                        .replicas_count = 2,
                                        .leader_epoch = 5,
                                        .partition_epoch = 5});
    partition_unref(p);
    answer(w, (struct part){.id = 0, .high_watermark = 5, .records = with(batches(), 0, 5, 4)});
    assert_int_equal(end_of(p), 0);
    assert_false(w->is_asked); /* nothing is left to fetch */
}

static void test_an_answer_for_a_partition_that_is_gone_changes_nothing(void **state)
{
    struct world *w = *state;
    struct partition *p = settled(w, 2);
    fetcher_unfollow(w->fetcher, p);
    answer(w, (struct part){.id = 0, .records = with(batches(), 0, 5, 4)});
    assert_int_equal(end_of(p), 0);
    answer(w, (struct part){.id = 6, .records = with(batches(), 0, 5, 4)}); /* never asked for */
    assert_int_equal(asked_count(w), 0);
}

/* --- connections --- */

static void test_after_a_lost_connection_all_is_asked_anew_when_the_pause_is_over(void **state)
{
    struct world *w = *state;
    settled(w, 2);
    answer_lost(w, ERR_NETWORK_EXCEPTION);
    assert_false(w->is_asked);
    assert_int_equal(fetcher_next_ms(w->fetcher),
                     clock_mono_ms(&w->r->logs->clock.clock) + BACKOFF_MS);
    pass(w, BACKOFF_MS - 1);
    assert_false(w->is_asked);
    pass(w, 1);
    assert_session(w, SESSION, 0);
    assert_int_equal(asked_count(w), 2);
}

static void test_a_leader_that_is_not_known_yet_is_tried_again(void **state)
{
    struct world *w = *state;
    w->refusal = ERR_NOT_FOUND;
    followed(w, 0, 4);
    assert_int_equal(w->sends, 1);
    fetcher_run(w->fetcher); /* other work meanwhile */
    assert_int_equal(w->sends, 1);
    pass(w, BACKOFF_MS);
    assert_int_equal(w->sends, 2);
    w->refusal = ERR_OK;
    pass(w, BACKOFF_MS);
    assert_session(w, 0, 0);
    assert_int_equal(asked_count(w), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_session_begins_in_full_and_goes_on_with_what_has_changed),
        TEST(test_a_request_says_who_asks_and_how_much),
        TEST(test_partitions_that_come_are_added_and_those_that_go_forgotten),
        TEST(test_a_partition_that_is_followed_anew_is_told_and_not_forgotten),
        TEST(test_a_topic_made_anew_is_not_forgotten_where_names_count),
        TEST(test_a_topic_made_anew_is_forgotten_by_its_old_id),
        TEST(test_a_session_that_the_leader_does_not_know_begins_anew),
        TEST(test_a_session_of_another_epoch_is_closed_and_begins_anew),
        TEST(test_a_session_of_other_ids_is_closed_and_begins_anew),
        TEST(test_another_error_of_the_whole_answer_waits_before_all_is_asked_anew),
        TEST(test_a_leader_that_keeps_no_session_is_asked_in_full_each_time),
        TEST(test_the_epoch_of_a_session_goes_from_the_largest_to_one),
        TEST(test_one_partition_without_an_id_makes_the_whole_request_go_by_names),
        TEST(test_unknown_leader_epoch_puts_a_partition_off),
        TEST(test_not_leader_puts_a_partition_off),
        TEST(test_unknown_partition_puts_a_partition_off),
        TEST(test_unknown_topic_id_puts_a_partition_off),
        TEST(test_inconsistent_topic_id_puts_a_partition_off),
        TEST(test_storage_error_puts_a_partition_off),
        TEST(test_tiered_storage_puts_a_partition_off),
        TEST(test_any_other_error_puts_a_partition_off),
        TEST(test_a_leader_that_has_not_heard_of_its_role_is_asked_again_soon),
        TEST(test_a_fenced_partition_stops_until_it_is_followed_anew),
        TEST(test_a_corrupt_batch_is_discarded_and_fetched_again),
        TEST(test_half_a_batch_at_the_end_is_left_out),
        TEST(test_an_answer_of_an_older_epoch_changes_nothing),
        TEST(test_an_answer_that_finds_a_leader_changes_nothing),
        TEST(test_an_answer_for_a_partition_that_is_gone_changes_nothing),
        TEST(test_after_a_lost_connection_all_is_asked_anew_when_the_pause_is_over),
        TEST(test_a_leader_that_is_not_known_yet_is_tried_again),
    };
    return cmocka_run_group_tests_name("fetcher", tests, NULL, NULL);
}
