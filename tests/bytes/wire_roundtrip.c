/* Our side of the proof that we and the JVM write the same bytes (wire_jvm.sh runs both).
 *
 *   wire_roundtrip list              every message: name, first and last version, first flexible
 * one wire_roundtrip make SEED COUNT   random values: name, version, hex bytes, our print, a line
 * each wire_roundtrip check             reads such lines; each must decode, use all its bytes, and
 *                                    encode to the same bytes again
 *   wire_roundtrip seeds DIR SEED    files for the fuzzer's corpus, one a message and version
 */
#include <inttypes.h>
#include <stdio.h>

#include "tests/bytes/wire_random.h"

#define MOST_LINE_BYTES (1 << 20)
#define OUTSIDE_VERSION (-1)

static void print_hex(struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
    if (!bytes.size)
        putchar('-');
}

static int list(void)
{
    for (size_t i = 0; i < wire_messages_count; i++)
        printf("%s %d %d %d\n", wire_messages[i]->name, wire_messages[i]->min_version,
               wire_messages[i]->max_version, wire_messages[i]->flexible_version);
    return 0;
}

/* Random value of a message, encoded into `out`; the value lies in the random's arena. */
static void *make_one(struct wire_random *random, const struct wire_message *message,
                      int16_t version, struct buf *out)
{
    void *value = arena_alloc(random->arena, message->body->size_bytes);
    wire_random_fill(random, message, version, value);
    enum err e = wire_encode(message, out, version, value);
    if (e) {
        fprintf(stderr, "%s version %d: cannot encode: %s\n", message->name, version,
                err_sentence(e));
        exit(1);
    }
    return value;
}

static int make(uint64_t seed, int count)
{
    struct wire_random random = {.state = seed * 2 + 1, .arena = arena_new()};
    for (size_t i = 0; i < wire_messages_count; i++) {
        const struct wire_message *message = wire_messages[i];
        for (int16_t version = message->min_version; version <= message->max_version; version++) {
            for (int round = 0; round < count; round++) {
                struct buf out = {0}, text = {0};
                void *value = make_one(&random, message, version, &out);
                wire_print(message, &text, version, value);
                printf("%s %d ", message->name, version);
                print_hex(buf_slice(&out));
                printf(" %.*s\n", SLICE_ARG(buf_slice(&text)));
                buf_done(&out);
                buf_done(&text);
                arena_reset(random.arena);
            }
        }
    }
    arena_free(random.arena);
    return 0;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t read_hex(const char *hex, uint8_t *ret_bytes)
{
    size_t size = 0;
    while (nibble(hex[0]) >= 0 && nibble(hex[1]) >= 0) {
        ret_bytes[size++] = (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1]));
        hex += 2;
    }
    return size;
}

/* NULL, or what is wrong. */
static const char *check_one(const struct wire_message *message, int16_t version,
                             struct slice bytes, struct arena *arena, struct buf *out)
{
    void *value = arena_alloc(arena, message->body->size_bytes);
    size_t used = 0;
    enum err e = wire_decode(message, bytes, version, arena, value, &used);
    if (e)
        return err_sentence(e);
    if (used != bytes.size)
        return "not all bytes were used";
    e = wire_encode(message, out, version, value);
    if (e)
        return err_sentence(e);
    return slice_equal(buf_slice(out), bytes) || (!bytes.size && !out->size) ? NULL : "other bytes";
}

static int check(void)
{
    static char line[MOST_LINE_BYTES], hex[MOST_LINE_BYTES];
    static uint8_t bytes[MOST_LINE_BYTES / 2];
    struct arena *arena = arena_new();
    int lines = 0, wrong = 0;
    while (fgets(line, sizeof line, stdin)) {
        char name[128];
        int version = OUTSIDE_VERSION;
        lines++;
        if (sscanf(line, "%127s %d %1048575s", name, &version, hex) != 3) {
            fprintf(stderr, "line %d cannot be read\n", lines);
            wrong++;
            continue;
        }
        const struct wire_message *message = wire_message_by_name(name);
        struct buf out = {0};
        size_t size = read_hex(hex, bytes);
        const char *fault =
            message ? check_one(message, (int16_t)version, slice_of(bytes, size), arena, &out)
                    : "no such message";
        if (fault) {
            fprintf(stderr, "%s version %d: %s\n  was %s\n", name, version, fault, line);
            wrong++;
        }
        buf_done(&out);
        arena_reset(arena);
    }
    arena_free(arena);
    printf("%d values, %d wrong\n", lines, wrong);
    return wrong || !lines;
}

/* The form fuzz_request.c reads: which message, which version, its bytes. */
static int write_seeds(const char *dir, uint64_t seed)
{
    struct wire_random random = {.state = seed * 2 + 1, .arena = arena_new()};
    for (size_t i = 0; i < wire_messages_count; i++) {
        const struct wire_message *message = wire_messages[i];
        for (int16_t version = message->min_version; version <= message->max_version; version++) {
            struct buf out = {0};
            buf_put_u8(&out, (uint8_t)i);
            buf_put_u8(&out, (uint8_t)version);
            make_one(&random, message, version, &out);
            char path[4096];
            snprintf(path, sizeof path, "%s/%s-%d", dir, message->name, version);
            FILE *file = fopen(path, "wb");
            if (!file || fwrite(out.data, 1, out.size, file) != out.size || fclose(file)) {
                perror(path);
                return 1;
            }
            buf_done(&out);
            arena_reset(random.arena);
        }
    }
    arena_free(random.arena);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "list"))
        return list();
    if (argc == 4 && !strcmp(argv[1], "make"))
        return make(strtoull(argv[2], NULL, 10), atoi(argv[3]));
    if (argc == 2 && !strcmp(argv[1], "check"))
        return check();
    if (argc == 4 && !strcmp(argv[1], "seeds"))
        return write_seeds(argv[2], strtoull(argv[3], NULL, 10));
    fprintf(stderr, "usage: wire_roundtrip list | make SEED COUNT | check | seeds DIR SEED\n");
    return 2;
}
