/* Proves the small value parts: checksums, variable-length integers, identifiers, slices, errors.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "broker/base/address.h"
#include "broker/base/crc32c.h"
#include "broker/base/err.h"
#include "broker/base/slice.h"
#include "broker/base/uuid.h"
#include "broker/base/varint.h"

static void test_crc32c_gives_the_published_check_values(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283); /* RFC 3720, B.4 */
    uint8_t zeros[32] = {0};
    assert_int_equal(crc32c(0, zeros, sizeof zeros), 0x8a9136aa);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
}

static void test_crc32c_hardware_agrees_with_tables_at_every_length_and_cut(void **state)
{
    (void)state;
    size_t size = 40000;
    uint8_t *bytes = malloc(size);
    srandom(7);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random();
    for (size_t length = 0; length < 1700; length++)
        assert_int_equal(crc32c(0, bytes + length % 9, length),
                         crc32c_portable(0, bytes + length % 9, length));
    uint32_t whole = crc32c_portable(0, bytes, size);
    assert_int_equal(crc32c(0, bytes, size), whole);
    for (size_t cut = 1; cut < size; cut += 997)
        assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, size - cut), whole);
    free(bytes);
}

static void test_varints_round_trip_and_know_their_size(void **state)
{
    (void)state;
    uint8_t bytes[VARLONG_MAX_BYTES];
    for (int shift = 0; shift < 64; shift++) {
        int64_t values[] = {(int64_t)(1ull << shift), -(int64_t)(1ull << (shift % 63)),
                            (int64_t)((1ull << shift) - 1)};
        for (size_t i = 0; i < 3; i++) {
            int64_t read;
            size_t used = varlong_put(bytes, values[i]);
            assert_int_equal(used, varlong_size(values[i]));
            assert_int_equal(varlong_get(bytes, used, &read), used);
            assert_true(read == values[i]);
            assert_int_equal(varlong_get(bytes, used - 1, &read), 0);
            int32_t narrow = (int32_t)values[i], narrow_read;
            used = varint_put(bytes, narrow);
            assert_int_equal(used, varint_size(narrow));
            assert_int_equal(varint_get(bytes, used, &narrow_read), used);
            assert_int_equal(narrow_read, narrow);
        }
    }
    assert_int_equal(varint_put(bytes, 1), 1);
    assert_int_equal(bytes[0], 0x02); /* zig-zag */
    memset(bytes, 0xff, sizeof bytes);
    uint32_t value;
    assert_int_equal(uvarint_get(bytes, sizeof bytes, &value), 0); /* never ends */
}

static void test_uuid_text_is_kafkas(void **state)
{
    (void)state;
    struct uuid id = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    char text[UUID_TEXT_SIZE];
    uuid_text(id, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAQ");
    for (int i = 0; i < 100; i++) {
        struct uuid random = uuid_random(), parsed;
        uuid_text(random, text);
        assert_int_not_equal(text[0], '-');
        assert_true(uuid_parse(slice_str(text), &parsed));
        assert_true(uuid_equal(random, parsed));
    }
    assert_false(uuid_parse(SLICE_LITERAL("short"), &id));
    assert_false(uuid_parse(SLICE_LITERAL("AAAAAAAAAAAAAAAAAAAA+Q"), &id));
}

static void test_integers_are_read_strictly(void **state)
{
    (void)state;
    int64_t v;
    assert_true(slice_to_int64(SLICE_LITERAL("-9223372036854775808"), &v) && v == INT64_MIN);
    assert_true(slice_to_int64(SLICE_LITERAL("9223372036854775807"), &v) && v == INT64_MAX);
    assert_false(slice_to_int64(SLICE_LITERAL("9223372036854775808"), &v));
    assert_false(slice_to_int64(SLICE_LITERAL("-9223372036854775809"), &v));
    assert_false(slice_to_int64(SLICE_LITERAL("12 "), &v));
    assert_false(slice_to_int64(SLICE_LITERAL("-"), &v));
    assert_false(slice_to_int64(SLICE_LITERAL(""), &v));
}

static void test_utf8_refuses_overlong_and_surrogates(void **state)
{
    (void)state;
    assert_true(slice_is_utf8(SLICE_LITERAL("aé€𝄞")));
    assert_false(slice_is_utf8(SLICE_LITERAL("\xc0\x80")));
    assert_false(slice_is_utf8(SLICE_LITERAL("\xed\xa0\x80")));
    assert_false(slice_is_utf8(SLICE_LITERAL("\xf4\x90\x80\x80")));
    assert_false(slice_is_utf8(SLICE_LITERAL("\xe2\x82")));
}

static void test_null_and_empty_slices_differ(void **state)
{
    (void)state;
    assert_false(slice_equal(SLICE_NULL, SLICE_LITERAL("")));
    assert_true(slice_equal(SLICE_NULL, SLICE_NULL));
    assert_true(slice_compare(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")) < 0);
}

static void test_an_errors_sentence_goes_from_wide_to_narrow(void **state)
{
    (void)state;
    errno = ENOSPC;
    enum err e = err_note_errno("write %d bytes", 812);
    assert_int_equal(e, ERR_NO_SPACE);
    e = err_wrap(e, "segment %s", "00042.log");
    e = err_wrap(e, "append to %s-%d", "orders", 3);
    assert_string_equal(err_sentence(e), "append to orders-3: segment 00042.log: write 812 bytes: "
                                         "No space left on device");
    assert_string_equal(err_sentence(ERR_NOT_FOUND), err_text(ERR_NOT_FOUND));
    assert_int_equal(err_wire_code(e), 56);
}

static void test_a_sentence_is_as_long_as_an_answer_can_tell(void **state)
{
    (void)state;
    char text[30000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    enum err e = err_wrap(err_note(ERR_INVALID_CONFIG, "Unknown topic config name: %s", text), "a");
    assert_int_equal(strlen(err_sentence(e)), strlen("a: Unknown topic config name: ") + 29999);
    assert_int_equal(ERR_SENTENCE_MAX - 1, INT16_MAX);
}

static void test_a_sentence_too_long_ends_in_dots(void **state)
{
    (void)state;
    char text[3 * ERR_SENTENCE_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    enum err e = err_wrap(err_note(ERR_IO, "%s", text), "%s", text);
    assert_int_equal(strlen(err_sentence(e)), ERR_SENTENCE_MAX - 1);
    assert_string_equal(err_sentence(e) + ERR_SENTENCE_MAX - 4, "...");
}

static void test_wire_codes_read_back_as_kafkas_errors(void **state)
{
    (void)state;
    assert_int_equal(err_from_wire(6), ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(err_from_wire(56), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(err_from_wire(0), ERR_OK);
    assert_int_equal(err_from_wire(9999), ERR_UNKNOWN_SERVER_ERROR);
}

static void test_ipv4_addresses_come_before_others_in_the_order_found(void **state)
{
    (void)state;
    struct addrinfo found[4] = {{.ai_family = AF_INET6, .ai_next = &found[1]},
                                {.ai_family = AF_INET, .ai_next = &found[2]},
                                {.ai_family = AF_INET6, .ai_next = &found[3]},
                                {.ai_family = AF_INET}};
    const int wanted[] = {1, 3, 0, 2, 1};
    assert_int_equal(address_count(found), 4);
    for (uint32_t n = 0; n < 5; n++)
        assert_ptr_equal(address_nth(found, n), &found[wanted[n]]);
    assert_ptr_equal(address_nth(found, UINT32_MAX), &found[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4_addresses_come_before_others_in_the_order_found),
        cmocka_unit_test(test_crc32c_gives_the_published_check_values),
        cmocka_unit_test(test_crc32c_hardware_agrees_with_tables_at_every_length_and_cut),
        cmocka_unit_test(test_varints_round_trip_and_know_their_size),
        cmocka_unit_test(test_uuid_text_is_kafkas),
        cmocka_unit_test(test_integers_are_read_strictly),
        cmocka_unit_test(test_utf8_refuses_overlong_and_surrogates),
        cmocka_unit_test(test_null_and_empty_slices_differ),
        cmocka_unit_test(test_an_errors_sentence_goes_from_wide_to_narrow),
        cmocka_unit_test(test_a_sentence_is_as_long_as_an_answer_can_tell),
        cmocka_unit_test(test_a_sentence_too_long_ends_in_dots),
        cmocka_unit_test(test_wire_codes_read_back_as_kafkas_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
