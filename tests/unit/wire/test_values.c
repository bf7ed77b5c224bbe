/* One rule of the codec at a time: lengths, nulls, tags, defaults, what is refused, what is
 * printed.
 */
#include <stdio.h>

#include "tests/unit/wire/messages.h"

#define MESSAGE_ID_HEADER "0012 0002 00000007 ffff " /* a request header up to its tags */

/* --- lengths and nulls --- */

static void test_null_and_empty_are_not_the_same(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    static const struct {
        int16_t version;
        const char *null, *empty;
    } rows[] = {{1, "ffffffff", "00000000"}, {9, "00 01 00 00 00", "01 01 00 00 00"}};
    for (size_t i = 0; i < 2; i++) {
        struct metadata_request request;
        decode_hex(MESSAGE(metadata_request), rows[i].version, rows[i].null, arena, &request);
        assert_int_equal(request.topics_count, -1);
        assert_encodes(MESSAGE(metadata_request), rows[i].version, &request, rows[i].null);
        decode_hex(MESSAGE(metadata_request), rows[i].version, rows[i].empty, arena, &request);
        assert_int_equal(request.topics_count, 0);
        assert_non_null(request.topics);
        assert_encodes(MESSAGE(metadata_request), rows[i].version, &request, rows[i].empty);
    }
}

static void test_a_null_is_refused_where_none_may_stand(void **state)
{
    (void)state;
    assert_malformed(MESSAGE(metadata_request), 0, "ffffffff", "topics: a null array");
    assert_malformed(MESSAGE(metadata_request), 1, "00000001 ffff", "name: null");
    assert_malformed(MESSAGE(metadata_request), 9, "02 00 00 01 00 00 00", "name: null");
    assert_malformed(MESSAGE(add_offsets_to_txn_request), 3, "00", "transactional_id: null");
    assert_malformed(MESSAGE(consumer_protocol_subscription), 0, "00000001 ffff", "topics: null");
}

static void test_any_negative_length_is_null(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct metadata_request request;
    decode_hex(MESSAGE(metadata_request), 1, "80000000", arena, &request);
    assert_int_equal(request.topics_count, -1);
    struct request_header header;
    decode_hex(MESSAGE(request_header), 1, "0012 0002 00000007 8000", arena, &header);
    assert_null(header.client_id.data);
    assert_malformed(MESSAGE(metadata_request), 0, "fffffffe", "a null array");
}

static void test_compact_lengths_take_two_bytes_from_127_on(void **state)
{
    (void)state;
    char text[200];
    memset(text, 'x', sizeof text);
    struct api_versions_request request = {.client_software_version = SLICE_LITERAL("")};
    struct buf out = {0};
    for (size_t size = 126; size <= 128; size++) {
        out.size = 0;
        request.client_software_name = slice_of(text, size);
        assert_int_equal(api_versions_request_encode(&out, 3, &request), ERR_OK);
        size_t length_size = size < 127 ? 1 : 2;
        assert_int_equal(out.size, length_size + size + 2);
        assert_int_equal(out.data[0], size < 127 ? 127 : (uint8_t)((size + 1) & 0x7f) | 0x80);
    }
    buf_done(&out);
}

static void test_a_string_has_at_most_32767_bytes(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    uint8_t *text = arena_alloc(arena, 40000);
    struct api_versions_request request = {.client_software_name = slice_of(text, 32767),
                                           .client_software_version = SLICE_LITERAL("")};
    struct buf out = {0};
    assert_int_equal(api_versions_request_encode(&out, 3, &request), ERR_OK);
    assert_int_equal(api_versions_request_decode(buf_slice(&out), 3, arena, &request, NULL),
                     ERR_OK);
    assert_int_equal(request.client_software_name.size, 32767);
    request.client_software_name.size = 32768;
    assert_refused(MESSAGE(api_versions_request), 3, &request, ERR_MALFORMED, "32768 bytes");

    out.size = 0;
    buf_put(&out, "\x81\x80\x02", 3); /* 32769: 32768 bytes */
    buf_put(&out, text, 32768);
    buf_put(&out, "\1\0", 2);
    assert_int_equal(api_versions_request_decode(buf_slice(&out), 3, arena, &request, NULL),
                     ERR_MALFORMED);
    buf_done(&out);
}

static void test_a_variable_length_number_ends_within_five_bytes(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct api_versions_request request;
    decode_hex(MESSAGE(api_versions_request), 3, "8280808000 61 01 00", arena, &request);
    assert_true(slice_equal_str(request.client_software_name, "a"));
    assert_malformed(MESSAGE(api_versions_request), 3, "828080808000 61 01 00", "does not end");
    assert_malformed(MESSAGE(api_versions_request), 3, "8280", "does not end");
    assert_malformed(MESSAGE(api_versions_request), 3, "ffffffff0f 61 01 00", "a string of");
}

static void test_lengths_beyond_the_bytes_are_refused(void **state)
{
    (void)state;
    assert_malformed(MESSAGE(request_header), 1, "0012 0002 00000007 0003 6d65", "ends too soon");
    assert_malformed(MESSAGE(produce_request), 9,
                     "00 ffff 000003e8 02 02 74 02 00000002 ffffffff07",
                     "records: the message ends too soon");
    assert_malformed(MESSAGE(metadata_request), 1, "7fffffff 0001 74", "2147483647 elements");
    assert_malformed(MESSAGE(metadata_request), 1, "00000002 0001 74", "2 elements");
    assert_malformed(MESSAGE(metadata_request), 9, "ffffffff0f 01", "4294967294 elements");
    assert_malformed(MESSAGE(request_header), 2, MESSAGE_ID_HEADER "ffffffff0f 00 00",
                     "4294967295 tagged fields");
    assert_malformed(MESSAGE(request_header), 2, MESSAGE_ID_HEADER "01 05 03 aa", "ends too soon");
}

static void test_a_count_within_an_element_cannot_have_the_bytes_of_its_neighbours(void **state)
{
    (void)state;
    /* Of two groups the first claims four topics: there would be bytes, but not beside the second.
     */
    assert_malformed(MESSAGE(offset_fetch_request), 8, "03 0267 05 01 01 00 01 01 00 01 01 00 00",
                     "topics: 4 elements");
    /* Four topics, of which the first claims all bytes that are left. */
    assert_malformed(MESSAGE(fetch_request), 4,
                     "ffffffff 00000000 00000000 00000000 00 00000004 0000 00000001"
                     "0000 00000000 0000 00000000 0000 00000000",
                     "partitions: 1 elements");
}

/* --- tagged fields --- */

static void test_unknown_tags_are_kept_and_written_again(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct request_header header;
    const char *hex = MESSAGE_ID_HEADER "03 00 00 05 02 abcd 8001 01 ff";
    decode_hex(MESSAGE(request_header), 2, hex, arena, &header);
    assert_int_equal(header.unknown_tags.tags_count, 3);
    assert_int_equal(header.unknown_tags.tags[2].tag, 128);
    assert_encodes(MESSAGE(request_header), 2, &header, hex);
    assert_encodes(MESSAGE(request_header), 1, &header, MESSAGE_ID_HEADER);
}

static void test_tags_in_disorder_are_written_ascending_and_equal_ones_as_they_came(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct request_header header;
    decode_hex(MESSAGE(request_header), 2,
               MESSAGE_ID_HEADER "06 07 01 aa 03 00 07 01 bb ffffffff0f 01 cc 07 00 00 01 dd",
               arena, &header);
    assert_encodes(MESSAGE(request_header), 2, &header,
                   MESSAGE_ID_HEADER "06 00 01 dd 03 00 07 01 aa 07 01 bb 07 00 ffffffff0f 01 cc");
}

static void test_unknown_tags_stand_between_known_ones(void **state)
{
    (void)state;
    /* Version 3 of an answer from a newer broker: 9 is unknown, 0 and 3 are known. */
    assert_round_trip(MESSAGE(api_versions_response), 3, "0000 01 00000000 02 03 01 01 09 01 aa");
    OWNED(arena) struct arena *arena = arena_new();
    struct api_versions_response response;
    decode_hex(MESSAGE(api_versions_response), 3, "0000 01 00000000 02 09 01 aa 03 01 01", arena,
               &response);
    assert_true(response.zk_migration_ready);
    assert_encodes(MESSAGE(api_versions_response), 3, &response,
                   "0000 01 00000000 02 03 01 01 09 01 aa");
}

static void test_a_tag_of_a_later_version_is_unknown(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct fetch_request request;
    const char *hex = "ffffffff 00000000 00000000 00000000 00 00000000 00000000 01 01 01"
                      "01 01 0d 00000001 0000000000000002 00";
    decode_hex(MESSAGE(fetch_request), 12, hex, arena, &request);
    assert_int_equal(request.replica_state.replica_id, -1);
    assert_int_equal(request.unknown_tags.tags_count, 1);
    assert_encodes(MESSAGE(fetch_request), 12, &request, hex);
}

static void test_a_known_tag_is_read_within_its_own_bytes(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct api_versions_response response;
    decode_hex(MESSAGE(api_versions_response), 3, "0000 01 00000000 01 03 04 01 ffffff", arena,
               &response); /* a newer broker may have put more there */
    assert_true(response.zk_migration_ready);
    assert_malformed(MESSAGE(api_versions_response), 3,
                     "0000 01 00000000 02 01 04 00000000 03 01 01", "finalized_features_epoch");
    decode_hex(MESSAGE(api_versions_response), 3, "0000 01 00000000 02 03 01 01 03 01 00", arena,
               &response); /* twice: the last counts */
    assert_false(response.zk_migration_ready);
}

/* --- a struct that may be null, in a tagged field, and is not null by default --- */

#define MEMBER "00 00 02 63 02 68 01 00 ffffffff 00 "

static void test_a_tagged_struct_is_default_null_or_its_own(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    const struct wire_message *message = MESSAGE(consumer_group_member_metadata_value);
    struct consumer_group_member_metadata_value member;
    decode_hex(message, 0, MEMBER "00", arena, &member);
    assert_non_null(member.classic_member_metadata);
    assert_int_equal(member.classic_member_metadata->session_timeout_ms, 0);
    assert_encodes(message, 0, &member, MEMBER "00");

    decode_hex(message, 0, MEMBER "01 00 01 00", arena, &member);
    assert_null(member.classic_member_metadata);
    assert_encodes(message, 0, &member, MEMBER "01 00 01 00");

    const char *own = MEMBER "01 00 0d 01 00001770 02 02 72 03 aabb 00 00";
    decode_hex(message, 0, own, arena, &member);
    assert_int_equal(member.classic_member_metadata->session_timeout_ms, 6000);
    assert_true(slice_equal_str(member.classic_member_metadata->supported_protocols[0].name, "r"));
    assert_encodes(message, 0, &member, own);
}

static void test_an_untagged_struct_that_may_be_null_has_a_signed_mark(void **state)
{
    (void)state;
    const char *heartbeat = "00000000 0000 00 00 00000001 00000002";
    char hex[200];
    snprintf(hex, sizeof hex, "%s ff 00", heartbeat);
    assert_round_trip(MESSAGE(consumer_group_heartbeat_response), 0, hex);
    snprintf(hex, sizeof hex, "%s 01 01 00 00", heartbeat);
    assert_round_trip(MESSAGE(consumer_group_heartbeat_response), 0, hex);
}

/* --- what is refused when writing --- */

static void test_a_null_cannot_be_written_where_none_may_stand(void **state)
{
    (void)state;
    struct produce_request_topic_produce_data topic = {0};
    struct produce_request request = {.topic_data = &topic, .topic_data_count = 1};
    assert_refused(MESSAGE(produce_request), 3, &request, ERR_MALFORMED, "name: null");
    assert_refused(MESSAGE(produce_request), 9, &request, ERR_MALFORMED, "name: null");
    request.topic_data_count = -1;
    assert_refused(MESSAGE(produce_request), 9, &request, ERR_MALFORMED,
                   "topic_data: a null array");
    struct metadata_request metadata = {.topics_count = -1};
    assert_refused(MESSAGE(metadata_request), 0, &metadata, ERR_MALFORMED, "topics: a null array");
}

static void
test_a_value_that_a_version_cannot_carry_is_refused_unless_it_may_be_ignored(void **state)
{
    (void)state;
    struct produce_request produce = {.transactional_id = SLICE_LITERAL("t")};
    assert_refused(MESSAGE(produce_request), 2, &produce, ERR_UNSUPPORTED_VERSION,
                   "transactional_id has a value that version 2 cannot carry");
    produce.transactional_id = SLICE_NULL;
    assert_encodes(MESSAGE(produce_request), 2, &produce, "0000 00000000 00000000");
    struct fetch_request fetch;
    fetch_request_init(&fetch);
    fetch.rack_id = SLICE_LITERAL("r"); /* ignorable */
    assert_encodes(MESSAGE(fetch_request), 2, &fetch, "ffffffff 00000000 00000000 00000000");
    fetch.replica_state.replica_id = 1; /* not */
    assert_refused(MESSAGE(fetch_request), 12, &fetch, ERR_UNSUPPORTED_VERSION, "replica_state");
}

static void test_a_version_out_of_range_is_unsupported(void **state)
{
    (void)state;
    struct api_versions_request request;
    api_versions_request_init(&request);
    assert_refused(MESSAGE(api_versions_request), 5, &request, ERR_UNSUPPORTED_VERSION,
                   "ApiVersionsRequest has no version 5");
    OWNED(arena) struct arena *arena = arena_new();
    assert_int_equal(api_versions_request_decode(SLICE_NULL, -1, arena, &request, NULL),
                     ERR_UNSUPPORTED_VERSION);
    assert_int_equal(api_versions_request_decode(SLICE_NULL, 0, arena, &request, NULL), ERR_OK);
}

/* --- printing --- */

static void test_a_message_prints_as_one_line_without_user_data(void **state)
{
    (void)state;
    struct produce_request_partition_produce_data partitions[] = {
        {.index = 2, .records.bytes = SLICE_LITERAL("abc")}, {.index = 3}};
    struct produce_request_topic_produce_data topic = {
        .name = SLICE_LITERAL("a\"b\\\n"), .partition_data = partitions, .partition_data_count = 2};
    struct produce_request request = {
        .acks = -1, .timeout_ms = 5, .topic_data = &topic, .topic_data_count = 1};
    struct buf out = {0};
    produce_request_print(&out, 3, &request);
    assert_true(slice_equal_str(
        buf_slice(&out),
        "ProduceRequest {\"transactional_id\":null,\"acks\":-1,\"timeout_ms\":5,"
        "\"topic_data\":[{\"name\":\"a\\\"b\\\\\\u000a\",\"partition_data\":["
        "{\"index\":2,\"records\":\"3 bytes\"},{\"index\":3,\"records\":null}]}]}"));
    out.size = 0;
    produce_request_print(&out, 2, &request); /* a version without transactional ids */
    assert_memory_equal(out.data, "ProduceRequest {\"acks\":-1,", 26);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_and_empty_are_not_the_same),
        cmocka_unit_test(test_a_null_is_refused_where_none_may_stand),
        cmocka_unit_test(test_any_negative_length_is_null),
        cmocka_unit_test(test_compact_lengths_take_two_bytes_from_127_on),
        cmocka_unit_test(test_a_string_has_at_most_32767_bytes),
        cmocka_unit_test(test_a_variable_length_number_ends_within_five_bytes),
        cmocka_unit_test(test_lengths_beyond_the_bytes_are_refused),
        cmocka_unit_test(test_a_count_within_an_element_cannot_have_the_bytes_of_its_neighbours),
        cmocka_unit_test(test_unknown_tags_are_kept_and_written_again),
        cmocka_unit_test(test_tags_in_disorder_are_written_ascending_and_equal_ones_as_they_came),
        cmocka_unit_test(test_unknown_tags_stand_between_known_ones),
        cmocka_unit_test(test_a_tag_of_a_later_version_is_unknown),
        cmocka_unit_test(test_a_known_tag_is_read_within_its_own_bytes),
        cmocka_unit_test(test_a_tagged_struct_is_default_null_or_its_own),
        cmocka_unit_test(test_an_untagged_struct_that_may_be_null_has_a_signed_mark),
        cmocka_unit_test(test_a_null_cannot_be_written_where_none_may_stand),
        cmocka_unit_test(
            test_a_value_that_a_version_cannot_carry_is_refused_unless_it_may_be_ignored),
        cmocka_unit_test(test_a_version_out_of_range_is_unsupported),
        cmocka_unit_test(test_a_message_prints_as_one_line_without_user_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
