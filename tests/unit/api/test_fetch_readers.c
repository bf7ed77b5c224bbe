/* Fetch: who may read what, of whom, and in which history; what read_committed hides. */
#include "fetch_fixture.h"

/* --- leaders, epochs, ids --- */

static void test_epochs_fence(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct asked asked = {.topic = "t", .leader_epoch = EPOCH - 1};
    assert_failed(fetched(fetch(api, NEWEST_OLD, &asked, 1)), ERR_FENCED_LEADER_EPOCH);
    asked.leader_epoch = EPOCH + 1;
    assert_failed(fetched(fetch(api, NEWEST_OLD, &asked, 1)), ERR_UNKNOWN_LEADER_EPOCH);
    asked.leader_epoch = EPOCH;
    assert_int_equal(fetched(fetch(api, NEWEST_OLD, &asked, 1))->error_code, 0);
    asked.leader_epoch = -2; /* none */
    assert_int_equal(fetched(fetch(api, NEWEST_OLD, &asked, 1))->error_code, 0);
    partition_unref(p);
}

static void test_a_follower_serves_consumers_of_new_versions_only(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 2);
    lose_leadership(api, "t");
    assert_failed(fetched(fetch(api, 10, &at_start, 1)), ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(seen_in(fetched(fetch(api, 11, &at_start, 1))).records, 2);
    api->fetch.replica_id = 3;
    assert_failed(fetched(fetch(api, 11, &at_start, 1)), ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unref(p);
}

static void test_a_partition_elsewhere_names_its_leader(void **state)
{
    struct api *api = *state;
    tell_topic(api->r, "t", id_of(1), 1, 3, 9);
    struct fake_call *call = fetch(api, NEWEST, &at_start_by_id, 1);
    assert_failed(fetched(call), ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(fetched(call)->current_leader.leader_id, 3);
    assert_int_equal(fetched(call)->current_leader.leader_epoch, 9);
    call = fetch(api, 15, &at_start_by_id, 1);
    assert_int_equal(fetched(call)->current_leader.leader_id, -1);
}

static void test_ids_are_resolved_and_must_be_those_of_the_log(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct asked unknown = {.id = id_of(9)}, none = {.id = UUID_ZERO};
    struct fake_call *call = fetch(api, NEWEST, &unknown, 1);
    assert_failed(fetched(call), ERR_UNKNOWN_TOPIC_ID);
    const struct fetch_response *response = fake_answer(call);
    assert_true(uuid_equal(response->responses[0].topic_id, id_of(9)));
    assert_failed(fetched(fetch(api, NEWEST, &none, 1)), ERR_UNKNOWN_TOPIC_ID);
    tell_topic(api->r, "t", id_of(2), 1, SELF, EPOCH); /* made anew; LeaderAndIsr is on its way */
    struct asked newer = {.id = id_of(2)};
    assert_failed(fetched(fetch(api, NEWEST, &newer, 1)), ERR_INCONSISTENT_TOPIC_ID);
    assert_failed(fetched(fetch(api, NEWEST, &at_start_by_id, 1)), ERR_UNKNOWN_TOPIC_ID);
    partition_unref(p);
}

static void test_a_reader_of_another_history_is_told_where_it_parts(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 4);
    partition_unref(take_role(api->r, &(struct role_spec){.topic = "t",
                                                          .id = id_of(1),
                                                          .leader_epoch = EPOCH + 2,
                                                          .partition_epoch = EPOCH + 2}));
    append_to(p, 4);
    wait_for(api, 1);
    struct asked asked = {.topic = "t", .offset = 6, .last_epoch = EPOCH};
    const struct fetch_response_partition_data *data = fetched(fetch(api, NEWEST_OLD, &asked, 1));
    assert_int_equal(data->error_code, 0);
    assert_int_equal(data->diverging_epoch.epoch, EPOCH);
    assert_int_equal(data->diverging_epoch.end_offset, 4);
    assert_int_equal(data->records.bytes.size, 0);
    partition_unref(p);
}

/* --- followers --- */

static void test_a_followers_fetch_moves_the_watermark_it_is_told_next_time(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    append_to(p, 4);
    api->fetch.replica_id = 2;
    const struct fetch_response_partition_data *data = fetched(fetch(api, 11, &at_start, 1));
    assert_int_equal(seen_in(data).next_offset, 4);
    assert_int_equal(partition_high_watermark(p), 0); /* sent is not yet written */
    struct asked next = {.topic = "t", .offset = 4};
    data = fetched(fetch(api, 11, &next, 1));
    assert_int_equal(data->high_watermark, 0);
    assert_int_equal(partition_high_watermark(p), 4);
    assert_int_equal(fetched(fetch(api, 11, &next, 1))->high_watermark, 4);
    partition_unref(p);
}

static void test_who_is_no_replica_is_turned_away(void **state)
{
    struct api *api = *state;
    struct partition *p = replicated_topic(api, "t", 2);
    api->fetch.replica_id = 7;
    assert_failed(fetched(fetch(api, NEWEST_OLD, &at_start, 1)), ERR_NOT_LEADER_OR_FOLLOWER);
    struct asked asked = {.topic = "t", .leader_epoch = EPOCH};
    assert_failed(fetched(fetch(api, NEWEST_OLD, &asked, 1)), ERR_UNKNOWN_LEADER_EPOCH);
    api->fetch.replica_id = -1;
    api->fetch.replica_state.replica_id = 7; /* where versions from 15 on say it */
    assert_failed(fetched(fetch(api, NEWEST, &at_start_by_id, 1)), ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unref(p);
}

/* --- transactions --- */

static void test_read_committed_stops_at_the_first_open_transaction(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_to(p, 3);
    append_txn(p, 5, 0); /* 3 and 4 */
    append_to(p, 2);     /* 5 and 6: committed, and behind it */
    api->fetch.isolation_level = READ_COMMITTED;
    struct fake_call *call = fetch(api, NEWEST_OLD, &at_start, 1);
    assert_int_equal(fetched(call)->high_watermark, 7);
    assert_int_equal(fetched(call)->last_stable_offset, 3);
    assert_int_equal(seen_in(fetched(call)).next_offset, 3);
    assert_int_equal(fetched(call)->aborted_transactions_count, 0); /* empty, not null */
    wait_for(api, 1);
    struct asked behind = {.topic = "t", .offset = 3};
    call = fetch(api, NEWEST_OLD, &behind, 1);
    append_to(p, 1); /* the append is no news for this reader */
    fake_settle(api->loop);
    assert_false(fake_is_over(call));
    end_txn(p, 5, false);
    fake_settle(api->loop);
    assert_int_equal(seen_in(fetched(call)).first_offset, 3);
    assert_int_equal(seen_in(fetched(call)).next_offset, 9);
    partition_unref(p);
}

static void test_aborted_transactions_are_listed_by_first_offset(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    append_txn(p, 5, 0); /* 0, 1 */
    append_txn(p, 6, 0); /* 2, 3 */
    append_txn(p, 7, 0); /* 4, 5 */
    end_txn(p, 7, true); /* 6 */
    end_txn(p, 6, false);
    end_txn(p, 5, true);
    api->fetch.isolation_level = READ_COMMITTED;
    const struct fetch_response_partition_data *data =
        fetched(fetch(api, NEWEST_OLD, &at_start, 1));
    assert_int_equal(data->last_stable_offset, 9);
    assert_int_equal(seen_in(data).batches, 6); /* with the markers */
    assert_int_equal(data->aborted_transactions_count, 2);
    assert_int_equal(data->aborted_transactions[0].producer_id, 5);
    assert_int_equal(data->aborted_transactions[0].first_offset, 0);
    assert_int_equal(data->aborted_transactions[1].producer_id, 7);
    assert_int_equal(data->aborted_transactions[1].first_offset, 4);
    api->fetch.isolation_level = READ_UNCOMMITTED;
    data = fetched(fetch(api, NEWEST_OLD, &at_start, 1));
    assert_int_equal(data->aborted_transactions_count, -1);
    assert_int_equal(seen_in(data).batches, 6);
    partition_unref(p);
}

static void test_an_unknown_isolation_level_is_an_error(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    api->fetch.isolation_level = 2;
    const struct fetch_response *response = fake_answer(fetch(api, NEWEST_OLD, &at_start, 1));
    assert_code(response->error_code, ERR_UNKNOWN_SERVER_ERROR);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_epochs_fence),
        TEST(test_a_follower_serves_consumers_of_new_versions_only),
        TEST(test_a_partition_elsewhere_names_its_leader),
        TEST(test_ids_are_resolved_and_must_be_those_of_the_log),
        TEST(test_a_reader_of_another_history_is_told_where_it_parts),
        TEST(test_a_followers_fetch_moves_the_watermark_it_is_told_next_time),
        TEST(test_who_is_no_replica_is_turned_away),
        TEST(test_read_committed_stops_at_the_first_open_transaction),
        TEST(test_aborted_transactions_are_listed_by_first_offset),
        TEST(test_an_unknown_isolation_level_is_an_error),
    };
    return cmocka_run_group_tests_name("fetch readers", tests, NULL, NULL);
}
