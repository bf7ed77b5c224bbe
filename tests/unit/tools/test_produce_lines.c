/* Proves that a line becomes headers, key and value as Kafka's LineMessageReader cuts it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tools/produce_lines.h"

static struct line_format keyed(void)
{
    struct line_format format = LINE_FORMAT_DEFAULT;
    format.parse_key = true;
    format.key_separator = "::";
    format.null_marker = "NULL";
    return format;
}

static enum err parse(const struct line_format *format, const char *line, struct line_parts *ret)
{
    return line_parse(format, slice_str(line), 7, ret);
}

static void test_a_line_is_a_value_unless_a_key_is_asked_for(void **state)
{
    (void)state;
    struct line_format plain = LINE_FORMAT_DEFAULT, format = keyed();
    struct line_parts parts = {0};
    assert_int_equal(parse(&plain, "a\tb", &parts), ERR_OK);
    assert_true(slice_is_null(parts.key) && slice_equal_str(parts.value, "a\tb"));
    assert_int_equal(parse(&format, "k::v::w", &parts), ERR_OK);
    assert_true(slice_equal_str(parts.key, "k") && slice_equal_str(parts.value, "v::w"));
    assert_int_equal(parse(&format, "::", &parts), ERR_OK);
    assert_true(!slice_is_null(parts.key) && parts.key.size == 0);
    assert_true(!slice_is_null(parts.value) && parts.value.size == 0);
    assert_int_equal(parse(&format, "NULL::NULL", &parts), ERR_OK);
    assert_true(slice_is_null(parts.key) && slice_is_null(parts.value));
    line_parts_done(&parts);
}

static void test_a_missing_separator_is_a_mistake_unless_mistakes_are_ignored(void **state)
{
    (void)state;
    struct line_format format = keyed();
    struct line_parts parts = {0};
    assert_int_equal(parse(&format, "k:v", &parts), ERR_MALFORMED);
    assert_string_equal(err_sentence(ERR_MALFORMED),
                        "No key separator found on line number 7: 'k:v'");
    format.ignore_error = true;
    assert_int_equal(parse(&format, "k:v", &parts), ERR_OK);
    assert_true(slice_is_null(parts.key) && slice_equal_str(parts.value, "k:v"));
    line_parts_done(&parts);
}

static void test_headers_come_before_the_key_and_may_be_many(void **state)
{
    (void)state;
    struct line_format format = keyed();
    struct line_parts parts = {0};
    format.parse_headers = true;
    assert_int_equal(parse(&format, "a:1,b:NULL,c:\tk::v", &parts), ERR_OK);
    assert_int_equal(parts.headers_count, 3);
    assert_true(slice_equal_str(parts.headers[0].key, "a"));
    assert_true(slice_equal_str(parts.headers[0].value, "1"));
    assert_true(slice_is_null(parts.headers[1].value));
    assert_true(!slice_is_null(parts.headers[2].value) && parts.headers[2].value.size == 0);
    assert_true(slice_equal_str(parts.key, "k") && slice_equal_str(parts.value, "v"));
    assert_int_equal(parse(&format, "NULL\tk::v", &parts), ERR_OK);
    assert_int_equal(parts.headers_count, 0);
    assert_int_equal(parse(&format, "a\tk::v", &parts), ERR_MALFORMED);
    assert_int_equal(parse(&format, "NULL:1\tk::v", &parts), ERR_MALFORMED);
    line_parts_done(&parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_a_value_unless_a_key_is_asked_for),
        cmocka_unit_test(test_a_missing_separator_is_a_mistake_unless_mistakes_are_ignored),
        cmocka_unit_test(test_headers_come_before_the_key_and_may_be_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
