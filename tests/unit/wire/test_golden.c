/* Bytes worked out by hand from the protocol's description, so that the codec is not judged by
 * itself: headers, ApiVersions in every version, Produce and Fetch. What all messages have in
 * common is compared with the JVM's classes by tests/interop/test_wire_jvm. */
#include "broker/wire/api_key.h"
#include "tests/unit/wire/messages.h"

#define TOPIC_ID     "0102030405060708090a0b0c0d0e0f10"
#define DIRECTORY_ID "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

static const struct uuid topic_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void test_a_request_header_gains_a_client_id_and_then_tags(void **state)
{
    (void)state;
    struct request_header header = {.request_api_key = 18,
                                    .request_api_version = 2,
                                    .correlation_id = 7,
                                    .client_id = SLICE_LITERAL("me")};
    assert_encodes(MESSAGE(request_header), 0, &header, "0012 0002 00000007");
    assert_encodes(MESSAGE(request_header), 1, &header, "0012 0002 00000007 0002 6d65");
    /* The client id keeps its two bytes of length, so that any broker can read it (KIP-482). */
    assert_encodes(MESSAGE(request_header), 2, &header, "0012 0002 00000007 0002 6d65 00");
    header.client_id = SLICE_NULL;
    assert_encodes(MESSAGE(request_header), 2, &header, "0012 0002 00000007 ffff 00");
    assert_round_trip(MESSAGE(request_header), 2, "0012 0002 00000007 0002 6d65 00");
}

static void test_a_response_header_gains_tags(void **state)
{
    (void)state;
    struct response_header header = {.correlation_id = -2};
    assert_encodes(MESSAGE(response_header), 0, &header, "fffffffe");
    assert_encodes(MESSAGE(response_header), 1, &header, "fffffffe 00");
}

static void test_headers_follow_the_message_except_where_kafka_has_exceptions(void **state)
{
    (void)state;
    const struct wire_api *versions = wire_api(API_API_VERSIONS), *produce = wire_api(API_PRODUCE),
                          *shutdown = wire_api(API_CONTROLLED_SHUTDOWN);
    assert_int_equal(wire_request_header_version(produce, 8), 1);
    assert_int_equal(wire_request_header_version(produce, 9), 2);
    assert_int_equal(wire_response_header_version(produce, 8), 0);
    assert_int_equal(wire_response_header_version(produce, 9), 1);
    assert_int_equal(wire_request_header_version(versions, 3), 2);
    assert_int_equal(wire_response_header_version(versions, 3), 0);
    assert_int_equal(wire_request_header_version(shutdown, 0), 0);
    assert_int_equal(wire_request_header_version(shutdown, 1), 1);
    assert_null(wire_api(-1));
    assert_null(wire_api(INT16_MAX));
}

static void test_api_versions_requests_of_every_version(void **state)
{
    (void)state;
    struct api_versions_request request;
    api_versions_request_init(&request);
    for (int16_t version = 0; version <= 2; version++)
        assert_encodes(MESSAGE(api_versions_request), version, &request, "");
    request.client_software_name = SLICE_LITERAL("ab");
    request.client_software_version = SLICE_LITERAL("1");
    for (int16_t version = 0; version <= 2; version++) /* ignorable: left out */
        assert_encodes(MESSAGE(api_versions_request), version, &request, "");
    for (int16_t version = 3; version <= 4; version++)
        assert_encodes(MESSAGE(api_versions_request), version, &request, "03 6162 02 31 00");
}

static void test_api_versions_responses_of_every_version(void **state)
{
    (void)state;
    struct api_versions_response_api_version key = {.api_key = 0, .max_version = 11};
    struct api_versions_response_supported_feature_key can = {
        .name = SLICE_LITERAL("f"), .min_version = 0, .max_version = 1};
    struct api_versions_response_finalized_feature_key is = {
        .name = SLICE_LITERAL("f"), .max_version_level = 1, .min_version_level = 1};
    struct api_versions_response response;
    api_versions_response_init(&response);
    response.error_code = 35;
    response.api_keys = &key;
    response.api_keys_count = 1;
    response.throttle_time_ms = 5;
    assert_encodes(MESSAGE(api_versions_response), 0, &response, "0023 00000001 0000 0000 000b");
    for (int16_t version = 1; version <= 2; version++)
        assert_encodes(MESSAGE(api_versions_response), version, &response,
                       "0023 00000001 0000 0000 000b 00000005");
    assert_encodes(MESSAGE(api_versions_response), 3, &response,
                   "0023 02 0000 0000 000b 00 00000005 00");

    response.supported_features = &can;
    response.finalized_features = &is;
    response.supported_features_count = response.finalized_features_count = 1;
    response.finalized_features_epoch = 7;
    response.zk_migration_ready = true;
    for (int16_t version = 3; version <= 4; version++)
        assert_encodes(MESSAGE(api_versions_response), version, &response,
                       "0023 02 0000 0000 000b 00 00000005 04"
                       "00 08 02 0266 0000 0001 00"
                       "01 08 0000000000000007"
                       "02 08 02 0266 0001 0001 00"
                       "03 01 01");
}

static void test_produce_classic_and_compact(void **state)
{
    (void)state;
    struct produce_request_partition_produce_data partition = {
        .index = 2, .records.bytes = SLICE_LITERAL("abc")};
    struct produce_request_topic_produce_data topic = {
        .name = SLICE_LITERAL("t"), .partition_data = &partition, .partition_data_count = 1};
    struct produce_request request = {
        .acks = -1, .timeout_ms = 1000, .topic_data = &topic, .topic_data_count = 1};
    assert_encodes(MESSAGE(produce_request), 2, &request,
                   "ffff 000003e8 00000001 0001 74 00000001 00000002 00000003 616263");
    assert_encodes(MESSAGE(produce_request), 3, &request,
                   "ffff ffff 000003e8 00000001 0001 74 00000001 00000002 00000003 616263");
    assert_encodes(MESSAGE(produce_request), 9, &request,
                   "00 ffff 000003e8 02 02 74 02 00000002 04 616263 00 00 00");
    request.transactional_id = SLICE_LITERAL("");
    assert_encodes(MESSAGE(produce_request), 9, &request,
                   "01 ffff 000003e8 02 02 74 02 00000002 04 616263 00 00 00");
    partition.records.bytes = SLICE_NULL;
    assert_encodes(MESSAGE(produce_request), 9, &request,
                   "01 ffff 000003e8 02 02 74 02 00000002 00 00 00 00");
}

#define FETCH_17                                                                                   \
    "000001f4 00000001 7fffffff 01 00000000 ffffffff"                                              \
    "02 " TOPIC_ID " 02 00000003 ffffffff 0000000000000064 ffffffff ffffffffffffffff 00100000"     \
    "   01 00 10 " DIRECTORY_ID " 00"                                                              \
    "01 01 02 00 02 0263 01 0d 00000001 0000000000000002 00"

static void test_fetch_with_topic_ids_and_tags_at_every_level(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct fetch_request request;
    decode_hex(MESSAGE(fetch_request), 17, FETCH_17, arena, &request);
    assert_int_equal(request.max_wait_ms, 500);
    assert_int_equal(request.max_bytes, INT32_MAX);
    assert_int_equal(request.session_epoch, -1);
    assert_true(slice_equal_str(request.cluster_id, "c"));
    assert_int_equal(request.replica_state.replica_id, 1);
    assert_int_equal(request.replica_state.replica_epoch, 2);
    assert_int_equal(request.replica_id, -1); /* not of this version: its default */
    assert_int_equal(request.topics_count, 1);
    assert_true(uuid_equal(request.topics[0].topic_id, topic_id));
    assert_true(slice_equal_str(request.topics[0].topic, ""));
    const struct fetch_request_fetch_partition *partition = &request.topics[0].partitions[0];
    assert_int_equal(partition->partition, 3);
    assert_int_equal(partition->fetch_offset, 100);
    assert_int_equal(partition->partition_max_bytes, 1 << 20);
    assert_int_equal(partition->replica_directory_id.bytes[15], 0xff);
    assert_int_equal(request.forgotten_topics_data_count, 0);
    assert_encodes(MESSAGE(fetch_request), 17, &request, FETCH_17);
}

static void test_records_elsewhere_leave_a_place_for_them_behind_their_length(void **state)
{
    (void)state;
    int file;
    struct fetch_response_partition_data partitions[2];
    for (int i = 0; i < 2; i++) {
        fetch_response_partition_data_init(&partitions[i]);
        partitions[i].records = (struct wire_records){.external = &file, .external_size = 300};
    }
    struct fetch_response_fetchable_topic_response topic = {
        .topic = SLICE_LITERAL("t"), .partitions = partitions, .partitions_count = 2};
    struct fetch_response response = {.responses = &topic, .responses_count = 1};
    struct wire_out out = {0};
    assert_int_equal(wire_encode_out(MESSAGE(fetch_response), &out, 12, &response), ERR_OK);
    assert_int_equal(out.splices_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_ptr_equal(out.splices[i].external, &file);
        assert_int_equal(out.splices[i].size, 300);
        assert_memory_equal(out.bytes.data + out.splices[i].at - 2, "\xad\x02", 2); /* 301 */
    }
    assert_int_equal(out.splices[1].at, out.bytes.size - 3); /* tags: partition, topic, response */
    assert_int_equal(out.bytes.data[out.splices[1].at], 0);
    wire_out_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_header_gains_a_client_id_and_then_tags),
        cmocka_unit_test(test_a_response_header_gains_tags),
        cmocka_unit_test(test_headers_follow_the_message_except_where_kafka_has_exceptions),
        cmocka_unit_test(test_api_versions_requests_of_every_version),
        cmocka_unit_test(test_api_versions_responses_of_every_version),
        cmocka_unit_test(test_produce_classic_and_compact),
        cmocka_unit_test(test_fetch_with_topic_ids_and_tags_at_every_level),
        cmocka_unit_test(test_records_elsewhere_leave_a_place_for_them_behind_their_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
