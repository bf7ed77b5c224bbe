/* Produce of transactions: what a JVM broker without a coordinator answers (KIP-890). */
#include "produce_fixture.h"

static struct sent transactional(int32_t partition)
{
    struct sent sent = first_of_5;
    sent.spec.is_transactional = true;
    sent.partition = partition;
    return sent;
}

static void test_transactional_records_need_a_transactional_id(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct sent sent = transactional(0);
    assert_refused(produce(api, NEWEST, ACKS_ALL, &sent, 1),
                   ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_int_equal(end_of(p), 0);
    partition_unref(p);
}

static void test_no_transaction_begins_without_a_coordinator(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    api->transactional_id = "tid";
    struct sent sent = transactional(0);
    for (int16_t version = 3; version <= NEWEST; version++) {
        struct fake_call *call = produce(api, version, ACKS_ALL, &sent, 1);
        assert_refused(call, ERR_NOT_ENOUGH_REPLICAS); /* clients of all ages try again */
        if (version >= 8)
            assert_true(
                slice_equal_str(produced(call)->error_message,
                                "Unable to verify the partition has been added to the transaction. "
                                "Underlying error: COORDINATOR_NOT_AVAILABLE"));
        if (version >= 5)
            assert_int_equal(produced(call)->log_start_offset, -1);
    }
    assert_int_equal(end_of(p), 0);
    partition_unref(p);
}

static void test_the_check_comes_before_acks_and_checksums_and_after_existence(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    api->transactional_id = "tid";
    struct sent sent = transactional(0);
    assert_refused(produce(api, NEWEST, 7, &sent, 1), ERR_NOT_ENOUGH_REPLICAS);
    struct buf bytes = {0};
    batch_make(&bytes, &sent.spec);
    bytes.data[bytes.size - 1] ^= 1;
    sent.raw = buf_slice(&bytes);
    assert_refused(produce(api, NEWEST, ACKS_ALL, &sent, 1), ERR_NOT_ENOUGH_REPLICAS);
    buf_done(&bytes);
    sent = transactional(9);
    assert_refused(produce(api, NEWEST, ACKS_ALL, &sent, 1), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    tell_topic(api->r, "t", id_of(1), 10, 2, EPOCH);
    assert_refused(produce(api, NEWEST, ACKS_ALL, &sent, 1), ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unref(p);
}

static void test_only_the_transactional_part_of_a_request_is_refused(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api), *q = led_topic(api, "t", 1);
    api->transactional_id = "tid";
    const struct sent sent[] = {transactional(0), {.topic = "t", .partition = 1}};
    const struct produce_response *response = fake_answer(produce(api, NEWEST, ACKS_ALL, sent, 2));
    assert_code(response->responses[0].partition_responses[0].error_code, ERR_NOT_ENOUGH_REPLICAS);
    assert_code(response->responses[0].partition_responses[1].error_code, ERR_OK);
    assert_int_equal(end_of(p), 0);
    assert_int_equal(end_of(q), 1);
    partition_unref(p);
    partition_unref(q);
}

static void test_the_flag_without_a_producer_is_no_transaction(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    api->transactional_id = "tid";
    struct sent sent = transactional(0);
    sent.spec.has_producer = false;
    assert_int_equal(produced(produce(api, NEWEST, ACKS_ALL, &sent, 1))->error_code, 0);
    assert_int_equal(end_of(p), 2);
    partition_unref(p);
}

static void test_two_producers_in_one_transactional_request_fail_all_of_it(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api), *q = led_topic(api, "t", 1);
    api->transactional_id = "tid";
    struct sent sent[] = {transactional(0), transactional(1)};
    sent[1].spec.producer_id = 6;
    const struct produce_response *response = fake_answer(produce(api, NEWEST, ACKS_ALL, sent, 2));
    for (int i = 0; i < 2; i++) {
        const struct produce_response_partition_produce_response *one =
            &response->responses[0].partition_responses[i];
        assert_code(one->error_code, ERR_INVALID_PRODUCER_ID_MAPPING);
        assert_true(slice_equal_str(one->error_message,
                                    "Transactional records contained more than one producer ID"));
    }
    assert_int_equal(end_of(p) + end_of(q), 0);
    partition_unref(p);
    partition_unref(q);
}

/* The broker that led before us was another one, with a coordinator. */
static void test_a_transaction_that_is_open_in_the_log_goes_on(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    struct batch_spec opened = transactional(0).spec;
    assert_err(append(partition_log(p), &opened, NULL), ERR_OK);
    api->transactional_id = "tid";
    struct sent next = transactional(0);
    next.spec.base_sequence = 2;
    const struct produce_response_partition_produce_response *one =
        produced(produce(api, NEWEST, ACKS_ALL, &next, 1));
    assert_int_equal(one->error_code, 0);
    assert_int_equal(one->base_offset, 2);
    struct sent outside = next; /* beside its own transaction */
    outside.spec.is_transactional = false;
    outside.spec.base_sequence = 4;
    assert_refused(produce(api, NEWEST, ACKS_ALL, &outside, 1), ERR_INVALID_TXN_STATE);
    assert_err(append_marker(partition_log(p), 5, 0, 0, false), ERR_OK);
    next.spec.base_sequence = 4;
    assert_refused(produce(api, NEWEST, ACKS_ALL, &next, 1), ERR_NOT_ENOUGH_REPLICAS);
    partition_unref(p);
}

static void test_verification_may_be_switched_off(void **state)
{
    struct api *api = *state;
    struct partition *p = lead_t(api);
    api_configure(api, "transaction.partition.verification.enable=false");
    api->transactional_id = "tid";
    struct sent sent = transactional(0);
    assert_int_equal(produced(produce(api, NEWEST, ACKS_ALL, &sent, 1))->error_code, 0);
    assert_int_equal(log_last_stable_offset(partition_log(p), 2), 0);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_transactional_records_need_a_transactional_id),
        TEST(test_no_transaction_begins_without_a_coordinator),
        TEST(test_the_check_comes_before_acks_and_checksums_and_after_existence),
        TEST(test_only_the_transactional_part_of_a_request_is_refused),
        TEST(test_the_flag_without_a_producer_is_no_transaction),
        TEST(test_two_producers_in_one_transactional_request_fail_all_of_it),
        TEST(test_a_transaction_that_is_open_in_the_log_goes_on),
        TEST(test_verification_may_be_switched_off),
    };
    return cmocka_run_group_tests_name("produce transactions", tests, NULL, NULL);
}
