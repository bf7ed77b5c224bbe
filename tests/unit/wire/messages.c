/* See the header. */
#include "tests/unit/wire/messages.h"

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct slice bytes_of_hex(const char *hex)
{
    uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
    size_t nibbles = 0;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        assert_true(nibble(*hex) >= 0);
        uint8_t *byte = &bytes[nibbles / 2];
        *byte = (uint8_t)(nibbles++ % 2 ? *byte << 4 | nibble(*hex) : nibble(*hex));
    }
    assert_int_equal(nibbles % 2, 0);
    size_t size = nibbles / 2;
    return slice_of(realloc(bytes, size ? size : 1), size);
}

static void assert_same_bytes(struct slice got, struct slice expected)
{
    for (size_t i = 0; i < got.size && i < expected.size; i++)
        if (got.data[i] != expected.data[i])
            fail_msg("byte %zu is %02x and not %02x", i, got.data[i], expected.data[i]);
    assert_int_equal(got.size, expected.size);
}

void assert_encodes(const struct wire_message *message, int16_t version, const void *value,
                    const char *hex)
{
    struct buf out = {0};
    struct slice expected = bytes_of_hex(hex);
    enum err e = wire_encode(message, &out, version, value);
    if (e)
        fail_msg("%s", err_sentence(e));
    assert_same_bytes(buf_slice(&out), expected);
    buf_done(&out);
    free((void *)expected.data);
}

void decode_hex(const struct wire_message *message, int16_t version, const char *hex,
                struct arena *arena, void *ret)
{
    struct slice given = bytes_of_hex(hex), bytes = arena_copy(arena, given);
    free((void *)given.data);
    size_t used = 0;
    enum err e = wire_decode(message, bytes, version, arena, ret, &used);
    if (e)
        fail_msg("%s", err_sentence(e));
    assert_int_equal(used, bytes.size);
}

void assert_round_trip(const struct wire_message *message, int16_t version, const char *hex)
{
    OWNED(arena) struct arena *arena = arena_new();
    void *value = arena_alloc(arena, message->body->size_bytes);
    decode_hex(message, version, hex, arena, value);
    assert_encodes(message, version, value, hex);
}

static void assert_sentence(enum err e, enum err expected, const char *part)
{
    assert_int_equal(e, expected);
    if (!strstr(err_sentence(e), part))
        fail_msg("'%s' does not say '%s'", err_sentence(e), part);
}

void assert_malformed(const struct wire_message *message, int16_t version, const char *hex,
                      const char *part)
{
    OWNED(arena) struct arena *arena = arena_new();
    void *value = arena_alloc(arena, message->body->size_bytes);
    struct slice bytes = bytes_of_hex(hex);
    assert_sentence(wire_decode(message, bytes, version, arena, value, NULL), ERR_MALFORMED, part);
    free((void *)bytes.data);
}

void assert_refused(const struct wire_message *message, int16_t version, const void *value,
                    enum err error, const char *part)
{
    struct buf out = {0};
    assert_sentence(wire_encode(message, &out, version, value), error, part);
    buf_done(&out);
}
