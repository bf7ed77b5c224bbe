/* What a leader makes of records, compared with what a JVM broker's classes made of the same bytes
 * under the same settings: error code, failing records, and every byte to be stored. Recompressed
 * batches are compared inflated, as two libraries need not squeeze alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/record/answers.h"

#define TOLERATED_ONE_IN 50

static const char *prefix = RECORD_DATA "/validate";

struct outcome {
    enum err e;
    struct validate_result result;
};

static int complaints, tolerated;
static enum err current;

static void complain(int number, const char *what, long long ours, long long theirs)
{
    printf("case %d: %s is %lld, the JVM's %lld (%s)\n", number, what, ours, theirs,
           err_sentence(current));
    complaints++;
}

static void inflate(struct slice batch, struct buf *ret)
{
    struct stream stream;
    assert_int_equal(
        stream_open(&stream, (enum codec)batch_codec(batch.data), 2,
                    slice_of(batch.data + BATCH_HEADER_SIZE, batch.size - BATCH_HEADER_SIZE)),
        ERR_OK);
    assert_int_equal(stream_read_all(&stream, 64 << 20, ret), ERR_OK);
    stream_close(&stream);
}

/* All of the head but length and checksum, and the records inflated. */
static bool is_same_but_for_compression(struct slice a, struct slice b)
{
    if (a.size < BATCH_HEADER_SIZE || b.size < BATCH_HEADER_SIZE ||
        batch_size(a.data) != (int64_t)a.size || !batch_crc_is_right(a.data))
        return false;
    if (memcmp(a.data, b.data, BATCH_LENGTH_AT) != 0 ||
        memcmp(a.data + BATCH_EPOCH_AT, b.data + BATCH_EPOCH_AT, 5) != 0 ||
        memcmp(a.data + BATCH_ATTRIBUTES_AT, b.data + BATCH_ATTRIBUTES_AT,
               BATCH_HEADER_SIZE - BATCH_ATTRIBUTES_AT) != 0)
        return false;
    struct buf ours = {0}, theirs = {0};
    inflate(a, &ours);
    inflate(b, &theirs);
    bool same = slice_equal(buf_slice(&ours), buf_slice(&theirs));
    buf_done(&ours);
    buf_done(&theirs);
    return same;
}

static bool is_same_stored(struct slice ours, struct slice theirs)
{
    if (ours.size == theirs.size &&
        (ours.size == 0 || memcmp(ours.data, theirs.data, ours.size) == 0))
        return true;
    return ours.size && theirs.size && batch_codec(ours.data) != CODEC_NONE &&
           is_same_but_for_compression(ours, theirs);
}

static enum err see_inner(void *context, const struct legacy_message *inner)
{
    (void)context;
    (void)inner;
    return ERR_OK;
}

static bool is_read_through(const uint8_t *batch)
{
    if (batch_magic(batch) < 2)
        return legacy_message_each(batch, see_inner, NULL) == ERR_OK;
    struct record_reader reader;
    struct record record;
    enum err e = record_reader_open(&reader, batch);
    if (e)
        return false;
    while (!(e = record_reader_next(&reader, &record)))
        ;
    record_reader_close(&reader);
    return e == ERR_NOT_FOUND;
}

/* Whether the first batch is compressed and what it holds cannot be read. There the JVM's error
 * depends on how many bytes its buffers inflate ahead, and a record whose own length is wrong it
 * stores, for every reader to fail on; that such a batch is refused is all that counts. */
static bool is_unreadable(struct slice records)
{
    struct batch_info info;
    if (batch_peek(records, &info) || (size_t)info.size_bytes > records.size ||
        !(info.attributes & BATCH_CODEC_MASK))
        return false;
    return !is_read_through(records.data);
}

static void compare(int number, const struct validate_case *c, const struct outcome *ours,
                    const struct validate_answer *theirs)
{
    int before = complaints;
    current = ours->e;
    if (ours->e &&
        (err_wire_code(ours->e) != theirs->code ||
         ours->result.errors_count != theirs->errors_count) &&
        is_unreadable(slice_of(c->input.records, c->input.size))) {
        tolerated++;
        return;
    }
    if (err_wire_code(ours->e) != theirs->code) {
        complain(number, "the error", err_wire_code(ours->e), theirs->code);
        return;
    }
    if (ours->result.errors_count != theirs->errors_count)
        complain(number, "the number of record errors", ours->result.errors_count,
                 theirs->errors_count);
    for (int32_t i = 0; complaints == before && i < theirs->errors_count; i++)
        if (ours->result.errors[i].batch_index != theirs->indexes[i])
            complain(number, "a failing record", ours->result.errors[i].batch_index,
                     theirs->indexes[i]);
    if (ours->e)
        return;
    if (!is_same_stored(ours->result.records, theirs->stored)) {
        size_t at = 0;
        while (at < ours->result.records.size && at < theirs->stored.size &&
               ours->result.records.data[at] == theirs->stored.data[at])
            at++;
        complain(number, "the size stored", (long long)ours->result.records.size,
                 (long long)theirs->stored.size);
        printf("    first different byte: %zu\n", at);
    }
    if (theirs->stored.size && ours->result.log_append_time_ms != theirs->log_append_time_ms)
        complain(number, "the append time", ours->result.log_append_time_ms,
                 theirs->log_append_time_ms);
}

static void test_every_answer_is_the_jvm_brokers(void **state)
{
    (void)state;
    char path[512];
    struct source cases, answers;
    snprintf(path, sizeof path, "%s.cases", prefix);
    source_open(&cases, path);
    snprintf(path, sizeof path, "%s.answers", prefix);
    source_open(&answers, path);
    int count = (int)source_take(&cases, 4);
    assert_int_equal(source_take(&answers, 4), count);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        struct validate_case c;
        struct validate_answer answer;
        validate_case_read(&cases, &c);
        validate_answer_read(&answers, &answer);
        OWNED(arena) struct arena *arena = arena_new();
        struct outcome ours = {0};
        ours.e = records_validate(&c.config, &c.input, arena, &ours.result);
        compare(i, &c, &ours, &answer);
        validate_case_done(&c);
    }
    assert_int_equal(cases.at, cases.bytes.size);
    assert_int_equal(answers.at, answers.bytes.size);
    source_close(&cases);
    source_close(&answers);
    assert_int_equal(complaints, 0);
    assert_true(tolerated <= count / TOLERATED_ONE_IN);
}

/* An argument names other files to compare with: PREFIX of PREFIX.cases and PREFIX.answers. */
int main(int argc, char **argv)
{
    if (argc > 1)
        prefix = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_answer_is_the_jvm_brokers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
