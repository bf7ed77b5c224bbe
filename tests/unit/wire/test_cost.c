/* What a stranger's bytes may cost, for every message in every version: memory by the tables and by
 * hostile bytes, work by counting. decode.c is compiled for this test a second time so that it
 * calls
 * __sanitizer_cov_trace_pc() at each step of its flow; four times the bytes may take somewhat more
 * than four times the steps (sorting), never sixteen times. */
#include "broker/base/varint.h"
#include "broker/wire/wire_internal.h"
#include "tests/bytes/wire_random.h"
#include "tests/unit/wire/messages.h"

#define FEW              4096
#define MANY             (4 * FEW)
#define MOST_GROWTH      6 /* 4 log(4n) / log(n) is 4.7 here */
#define HOSTILE_BYTES    2048
#define VALUES_A_VERSION 2
#define MOST_CUT_BYTES   600 /* of long values only some cuts are tried */

void __sanitizer_cov_trace_pc(void);

static uint64_t steps;

void __sanitizer_cov_trace_pc(void)
{
    steps++;
}

static enum err decode(const struct wire_message *message, int16_t version, struct slice bytes,
                       size_t *ret_arena_bytes)
{
    OWNED(arena) struct arena *arena = arena_new();
    void *value = mem_alloc(message->body->size_bytes);
    enum err e = wire_decode(message, bytes, version, arena, value, NULL);
    free(value);
    *ret_arena_bytes = arena_used_bytes(arena);
    return e;
}

/* --- by the tables --- */

static size_t least_size(const struct wire_struct *body, int16_t version, bool is_flexible);

static size_t least_field_size(const struct wire_field *field, int16_t version, bool is_flexible)
{
    if (field->is_array)
        return is_flexible ? 1 : 4;
    if (field->type == WIRE_STRUCT)
        return wire_is_pointer(field) ? 1 : least_size(field->of, version, is_flexible);
    if (field->type == WIRE_STRING)
        return is_flexible && !field->is_inflexible ? 1 : 2;
    if (field->type == WIRE_BYTES || field->type == WIRE_RECORDS)
        return is_flexible ? 1 : 4;
    return wire_type_size(field->type);
}

static size_t least_size(const struct wire_struct *body, int16_t version, bool is_flexible)
{
    size_t size = is_flexible;
    for (uint16_t i = 0; i < body->fields_count; i++)
        if (wire_has_version(&body->fields[i], version) &&
            (body->fields[i].tag < 0 || !is_flexible))
            size += least_field_size(&body->fields[i], version, is_flexible);
    return size;
}

/* The dearest thing below `body` that the sender may repeat. What lies in an element adds both to
 * its bytes and to its memory, so the ratio of a whole message is never above that of its dearest
 * element alone. */
static double dearest(const struct wire_struct *body, int16_t version, bool is_flexible)
{
    double worst = is_flexible ? (double)sizeof(struct wire_tag) / WIRE_LEAST_TAG_BYTES : 0;
    for (uint16_t i = 0; i < body->fields_count; i++) {
        struct wire_field field = body->fields[i];
        if (!wire_has_version(&field, version))
            continue;
        if (field.is_array || wire_is_pointer(&field)) {
            field.is_array = false;
            field.nullable_max = -1;
            size_t bytes = least_field_size(&field, version, is_flexible);
            assert_true(bytes > 0); /* else elements would be free */
            double ratio = (double)wire_rounded(wire_element_size(&field)) / (double)bytes;
            worst = ratio > worst ? ratio : worst;
        }
        if (field.type == WIRE_STRUCT) {
            double ratio = dearest(field.of, version, is_flexible);
            worst = ratio > worst ? ratio : worst;
        }
    }
    return worst;
}

static void test_the_named_bound_is_the_dearest_element_of_all_schemas(void **state)
{
    (void)state;
    double worst = 0;
    for (size_t i = 0; i < wire_messages_count; i++) {
        const struct wire_message *message = wire_messages[i];
        for (int16_t version = message->min_version; version <= message->max_version; version++) {
            double ratio = dearest(message->body, version, version >= message->flexible_version);
            worst = ratio > worst ? ratio : worst;
        }
    }
    if (worst > WIRE_AMPLIFICATION || worst <= WIRE_AMPLIFICATION - 1)
        fail_msg("WIRE_AMPLIFICATION is %d, the dearest element takes %.2f", WIRE_AMPLIFICATION,
                 worst);
}

/* --- by hostile bytes --- */

static void assert_cheap(const struct wire_message *message, int16_t version, struct slice bytes)
{
    size_t arena_bytes;
    enum err e = decode(message, version, bytes, &arena_bytes);
    (void)e; /* any will do */
    if (arena_bytes > bytes.size * WIRE_AMPLIFICATION)
        fail_msg("%s version %d: %zu bytes took %zu", message->name, version, bytes.size,
                 arena_bytes);
}

static void test_hostile_bytes_take_no_more_memory_than_the_bound(void **state)
{
    (void)state;
    struct wire_random random = {.state = 9};
    uint8_t bytes[HOSTILE_BYTES];
    for (size_t i = 0; i < wire_messages_count; i++) {
        const struct wire_message *message = wire_messages[i];
        for (int16_t version = message->min_version; version <= message->max_version; version++) {
            for (int fill = 0; fill < 4; fill++) { /* zeroes, ones, counts, disorder */
                for (size_t b = 0; b < sizeof bytes; b++)
                    bytes[b] = (uint8_t)(fill < 3 ? (uint32_t)fill : wire_random_below(&random, 4));
                assert_cheap(message, version, slice_of(bytes, sizeof bytes));
            }
        }
    }
}

static void test_lies_within_lies_do_not_add_up(void **state)
{
    (void)state;
    /* Topics claim all bytes; the first one's partitions claim them again. */
    struct buf bytes = {0};
    uint8_t zeroes[HOSTILE_BYTES] = {0};
    buf_put(&bytes, zeroes, 17); /* the fields before */
    buf_put_be32(&bytes, sizeof zeroes / 6);
    buf_put_be16(&bytes, 0);
    buf_put_be32(&bytes, (sizeof zeroes - 6) / 16);
    buf_put(&bytes, zeroes, sizeof zeroes - 6);
    size_t arena_bytes;
    assert_int_equal(decode(MESSAGE(fetch_request), 4, buf_slice(&bytes), &arena_bytes),
                     ERR_MALFORMED);
    assert_int_equal(arena_bytes,
                     wire_rounded(sizeof zeroes / 6 * sizeof(struct fetch_request_fetch_topic)));
    buf_done(&bytes);
}

/* --- cut anywhere --- */

static void cut_everywhere(const struct wire_message *message, int16_t version, struct slice whole)
{
    size_t step = whole.size / MOST_CUT_BYTES + 1, arena_bytes;
    for (size_t size = 0; size < whole.size; size += step) {
        uint8_t *part = malloc(size ? size : 1); /* exactly so many: the sanitizer sees more */
        memcpy(part, whole.data, size);
        enum err e = decode(message, version, slice_of(part, size), &arena_bytes);
        if (e != ERR_MALFORMED || arena_bytes > size * WIRE_AMPLIFICATION)
            fail_msg("%s version %d cut at %zu of %zu: error %d, %zu bytes of arena", message->name,
                     version, size, whole.size, (int)e, arena_bytes);
        free(part);
    }
}

static void test_a_message_cut_anywhere_is_malformed(void **state)
{
    (void)state;
    struct wire_random random = {.state = 77, .arena = arena_new()};
    for (size_t i = 0; i < wire_messages_count; i++) {
        const struct wire_message *message = wire_messages[i];
        for (int16_t version = message->min_version; version <= message->max_version; version++) {
            for (int round = 0; round < VALUES_A_VERSION; round++) {
                void *value = arena_alloc(random.arena, message->body->size_bytes);
                struct buf out = {0};
                wire_random_fill(&random, message, version, value);
                assert_int_equal(wire_encode(message, &out, version, value), ERR_OK);
                cut_everywhere(message, version, buf_slice(&out));
                buf_done(&out);
                arena_reset(random.arena);
            }
        }
    }
    arena_free(random.arena);
}

/* --- growth --- */

static void put_uvarint(struct buf *out, uint32_t value)
{
    uint8_t bytes[VARINT_MAX_BYTES];
    buf_put(out, bytes, uvarint_put(bytes, value));
}

/* A request header with so many tags nobody knows, the highest first: the worst for who keeps them
 * in order one by one. */
static void put_tags_descending(struct buf *out, uint32_t count)
{
    buf_put(out, "\0\x12\0\2\0\0\0\7\xff\xff", 10);
    put_uvarint(out, count);
    for (uint32_t i = count; i > 0; i--) {
        put_uvarint(out, 100 + i);
        put_uvarint(out, 0);
    }
}

static void put_known_tags(struct buf *out, uint32_t count)
{
    buf_put(out, "\0\0\1\0\0\0\0", 7); /* ApiVersionsResponse up to its tags */
    put_uvarint(out, count);
    for (uint32_t i = 0; i < count; i++)
        buf_put(out, "\3\1\1", 3);
}

static void put_topics(struct buf *out, uint32_t count)
{
    buf_put_be32(out, count);
    for (uint32_t i = 0; i < count; i++)
        buf_put(out, "\0\1t", 3);
}

static uint64_t steps_of(const struct wire_message *message, int16_t version,
                         void (*put)(struct buf *out, uint32_t count), uint32_t count)
{
    struct buf bytes = {0};
    size_t arena_bytes;
    put(&bytes, count);
    steps = 0;
    assert_int_equal(decode(message, version, buf_slice(&bytes), &arena_bytes), ERR_OK);
    assert_true(arena_bytes <= bytes.size * WIRE_AMPLIFICATION);
    buf_done(&bytes);
    assert_true(steps >= count); /* the counting counts */
    return steps;
}

static void test_work_grows_with_the_bytes(void **state)
{
    (void)state;
    const struct {
        const struct wire_message *message;
        int16_t version;
        void (*put)(struct buf *out, uint32_t count);
    } rows[] = {{MESSAGE(request_header), 2, put_tags_descending},
                {MESSAGE(api_versions_response), 3, put_known_tags},
                {MESSAGE(metadata_request), 1, put_topics}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t few = steps_of(rows[i].message, rows[i].version, rows[i].put, FEW);
        uint64_t many = steps_of(rows[i].message, rows[i].version, rows[i].put, MANY);
        if (many > MOST_GROWTH * few)
            fail_msg("%s: %d take %llu steps, %d take %llu", rows[i].message->name, FEW,
                     (unsigned long long)few, MANY, (unsigned long long)many);
    }
}

static void test_many_tags_in_disorder_come_out_in_order(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    struct buf bytes = {0};
    struct request_header header;
    put_tags_descending(&bytes, MANY);
    assert_int_equal(request_header_decode(buf_slice(&bytes), 2, arena, &header, NULL), ERR_OK);
    assert_int_equal(header.unknown_tags.tags_count, MANY);
    for (int32_t i = 0; i < MANY; i++)
        assert_int_equal(header.unknown_tags.tags[i].tag, 101 + i);
    buf_done(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_named_bound_is_the_dearest_element_of_all_schemas),
        cmocka_unit_test(test_hostile_bytes_take_no_more_memory_than_the_bound),
        cmocka_unit_test(test_lies_within_lies_do_not_add_up),
        cmocka_unit_test(test_a_message_cut_anywhere_is_malformed),
        cmocka_unit_test(test_work_grows_with_the_bytes),
        cmocka_unit_test(test_many_tags_in_disorder_come_out_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
