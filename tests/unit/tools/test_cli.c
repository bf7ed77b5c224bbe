/* Proves that options are taken as Kafka's tools take them, and that mistakes end the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "broker/base/mem.h"
#include "tools/cli.h"
#include "tools/commands.h"

struct parsed {
    bool flag;
    const char *text, *optional;
    int64_t number;
    struct texts many, rest;
};

static struct parsed parse(int argc, char **argv)
{
    struct parsed p = {.number = -1};
    const struct option_row rows[] = {
        {"--flag", OPTION_FLAG, &p.flag, NULL, "a flag"},
        {"--text", OPTION_TEXT, &p.text, "TEXT", "a text"},
        {"--number", OPTION_INT, &p.number, "COUNT", "a number"},
        {"--many", OPTION_MANY, &p.many, "TEXT", "texts"},
        {"--optional", OPTION_TEXT_OR_NOTHING, &p.optional, "TEXT", "a text or nothing"},
    };
    cli_parse("topics", rows, ARRAY_SIZE(rows), argc, argv, &p.rest);
    return p;
}
#define PARSE(...)                                                                                 \
    ({                                                                                             \
        char *words[] = {"topics", __VA_ARGS__};                                                   \
        parse(ARRAY_SIZE(words), words);                                                           \
    })

static void test_values_come_as_the_next_word_or_behind_an_equals_sign(void **state)
{
    (void)state;
    struct parsed p =
        PARSE("--flag", "--text", "a=b", "--number=-7", "word", "--many", "1", "--many=x=y");
    assert_true(p.flag);
    assert_string_equal(p.text, "a=b");
    assert_int_equal(p.number, -7);
    assert_int_equal(p.many.count, 2);
    assert_string_equal(p.many.items[0], "1");
    assert_string_equal(p.many.items[1], "x=y");
    assert_int_equal(p.rest.count, 1);
    assert_string_equal(p.rest.items[0], "word");
    assert_null(p.optional);
}

static void test_a_value_that_may_be_left_out_is_empty_before_another_option(void **state)
{
    (void)state;
    assert_string_equal(PARSE("--optional", "--flag").optional, "");
    assert_string_equal(PARSE("--optional").optional, "");
    assert_string_equal(PARSE("--optional", "x").optional, "x");
}

static void test_lists_split_at_commas_and_keep_their_order_however_many(void **state)
{
    (void)state;
    struct texts few = texts_split(",a,,bc,");
    assert_int_equal(few.count, 2);
    assert_string_equal(few.items[0], "a");
    assert_string_equal(few.items[1], "bc");
    assert_true(texts_has(&few, "bc"));
    assert_false(texts_has(&few, "b"));
    struct texts many = {0};
    const char *names[] = {"x", "y", "z"};
    for (int i = 0; i < 100; i++)
        texts_add(&many, names[i % 3]);
    assert_int_equal(many.count, 100);
    for (int i = 0; i < 100; i++)
        assert_string_equal(many.items[i], names[i % 3]);
}

/* How a process that parses these words ends. */
static int status_of(int argc, char **argv)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        (void)!freopen("/dev/null", "w", stderr);
        parse(argc, argv);
        exit(7);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}
#define STATUS(...)                                                                                \
    ({                                                                                             \
        char *words[] = {"topics", __VA_ARGS__};                                                   \
        status_of(ARRAY_SIZE(words), words);                                                       \
    })

static void test_mistakes_end_with_1_and_help_with_0_and_nothing_leaks(void **state)
{
    (void)state;
    assert_int_equal(STATUS("--flag"), 7);
    assert_int_equal(STATUS("--many", "a", "--many", "b"), 7);
    assert_int_equal(STATUS("--help"), 0);
    assert_int_equal(STATUS("--unknown"), 1);
    assert_int_equal(STATUS("--text"), 1);
    assert_int_equal(STATUS("--number", "ten"), 1);
    assert_int_equal(STATUS("--number", "99999999999999999999"), 1);
    assert_int_equal(STATUS("--version"), 0);
    assert_int_equal(STATUS("-flag"), 7); /* a word, not an option */
}

static void test_who_we_are_to_zookeeper_is_said_as_in_the_brokers_file(void **state)
{
    (void)state;
    assert_null(cli_digest_auth(NULL));
    assert_string_equal(cli_digest_auth("digest:bob:se:cret"), "bob:se:cret");
}

static void test_a_name_cut_short_is_taken_where_no_other_begins_so(void **state)
{
    (void)state;
    assert_true(PARSE("--fl").flag);
    assert_string_equal(PARSE("--te=x").text, "x");
    assert_int_equal(STATUS("--"), 1);
    assert_int_equal(STATUS("--flagg"), 1);
    char *words[] = {"topics", "--the"};
    bool this = false, that = false;
    const struct option_row rows[] = {
        {"--the", OPTION_FLAG, &this, NULL, "begins the other"},
        {"--then", OPTION_FLAG, &that, NULL, "begins with it"},
    };
    cli_parse("topics", rows, ARRAY_SIZE(rows), ARRAY_SIZE(words), words, NULL);
    assert_true(this && !that);
}

static void assert_json(struct slice text, const char *wanted)
{
    json_t *json = cli_json_text(text);
    OWNED_MEM char *printed = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(printed, wanted);
    json_decref(json);
}

static void test_a_text_is_json_and_what_is_none_is_base64(void **state)
{
    (void)state;
    assert_json(SLICE_LITERAL("a \"b\""), "\"a \\\"b\\\"\"");
    assert_json(SLICE_LITERAL(""), "\"\"");
    assert_json(SLICE_NULL, "null");
    assert_json(SLICE_LITERAL("\xff"), "{\"base64\":\"/w==\"}");
    assert_json(SLICE_LITERAL("\xff\xfe"), "{\"base64\":\"//4=\"}");
    assert_json(SLICE_LITERAL("\xff\xfe\x41\x42"), "{\"base64\":\"//5BQg==\"}");
}

static void test_every_command_tells_what_it_is(void **state)
{
    (void)state;
    int count = 0;
    for (const struct command *c = commands; c->name; c++, count++) {
        assert_non_null(c->run);
        assert_true(c->summary[0] && c->usage[0]);
        for (const struct command *other = commands; other < c; other++)
            assert_string_not_equal(other->name, c->name);
    }
    assert_true(count >= 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_as_the_next_word_or_behind_an_equals_sign),
        cmocka_unit_test(test_a_value_that_may_be_left_out_is_empty_before_another_option),
        cmocka_unit_test(test_lists_split_at_commas_and_keep_their_order_however_many),
        cmocka_unit_test(test_mistakes_end_with_1_and_help_with_0_and_nothing_leaks),
        cmocka_unit_test(test_who_we_are_to_zookeeper_is_said_as_in_the_brokers_file),
        cmocka_unit_test(test_a_name_cut_short_is_taken_where_no_other_begins_so),
        cmocka_unit_test(test_a_text_is_json_and_what_is_none_is_base64),
        cmocka_unit_test(test_every_command_tells_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
