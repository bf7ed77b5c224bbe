/* Fuzzes the codec: the first two bytes choose a message and a version, the rest is decoded. What
 * decodes must encode, decode again to the same text, and never cost more memory than its bound. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct wire_message *message, int16_t version, const void *first,
                       const void *second)
{
    struct buf a = {0}, b = {0};
    wire_print(message, &a, version, first);
    wire_print(message, &b, version, second);
    if (!slice_equal(buf_slice(&a), buf_slice(&b))) {
        fprintf(stderr, "%s version %d changes by a round trip:\n%.*s\n%.*s\n", message->name,
                version, SLICE_ARG(buf_slice(&a)), SLICE_ARG(buf_slice(&b)));
        abort();
    }
    buf_done(&a);
    buf_done(&b);
}

static void round_trip(const struct wire_message *message, int16_t version, struct slice bytes,
                       struct arena *arena)
{
    void *value = arena_alloc(arena, message->body->size_bytes);
    size_t used = 0, before = arena_used_bytes(arena);
    if (wire_decode(message, bytes, version, arena, value, &used))
        return;
    if (used > bytes.size || arena_used_bytes(arena) > bytes.size * WIRE_AMPLIFICATION + before)
        abort();
    struct buf out = {0};
    if (wire_encode(message, &out, version, value))
        abort();
    void *again = arena_alloc(arena, message->body->size_bytes);
    if (wire_decode(message, buf_slice(&out), version, arena, again, NULL))
        abort();
    check_same(message, version, value, again);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct wire_message *message = wire_messages[data[0] % wire_messages_count];
    int16_t versions = (int16_t)(message->max_version - message->min_version + 1);
    int16_t version = (int16_t)(message->min_version + data[1] % versions);
    struct arena *arena = arena_new();
    round_trip(message, version, slice_of(data + 2, size - 2), arena);
    arena_free(arena);
    return 0;
}
