/* Proves the lines of dump-log against the format that Kafka's own tool prints (compared with it by
 * hand over directories that a JVM broker wrote). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "broker/base/crc32c.h"
#include "broker/record/build.h"
#include "tools/dump_log.h"

static char folder[] = "/tmp/stoker-dump.XXXXXX";

static char *write_file(const char *name, struct slice bytes)
{
    char *path = mem_printf("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    fclose(file);
    return path;
}

/* Everything that a dump of the file prints: its lines, then the summary; the caller frees it. */
static char *dump_text(const char *path, struct dump_options options, enum err *ret_error)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    options.max_bytes = options.max_bytes ? options.max_bytes : INT32_MAX;
    struct dump dump = {.options = options, .out = out};
    *ret_error = dump_file(&dump, path);
    dump_summary(&dump, out);
    dump_done(&dump);
    fclose(out);
    return text;
}

static void assert_dump(const char *path, struct dump_options options, const char *format, ...)
{
    enum err e;
    char *wanted = NULL;
    va_list arguments;
    va_start(arguments, format);
    assert_true(vasprintf(&wanted, format, arguments) >= 0);
    va_end(arguments);
    OWNED_MEM char *text = dump_text(path, options, &e);
    assert_int_equal(e, ERR_OK);
    assert_string_equal(text, wanted);
    free(wanted);
}

static void put_batch(struct buf *out, enum codec codec, int64_t base_offset)
{
    struct batch_builder builder;
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    options.codec = codec;
    options.base_offset = base_offset;
    options.leader_epoch = 4;
    options.producer_id = 9;
    options.producer_epoch = 1;
    options.base_sequence = INT32_MAX;
    batch_builder_init(&builder, &options, out);
    batch_builder_add(&builder, base_offset, 1000, SLICE_LITERAL("k"), SLICE_LITERAL("one"),
                      SLICE_LITERAL("\x04\x02x\x02y\x04zz\x01"));
    batch_builder_add(&builder, base_offset + 1, 1005, SLICE_NULL, SLICE_NULL, SLICE_NULL);
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    batch_builder_done(&builder);
}

static void test_batches_and_records_print_as_the_jvm_prints_them(void **state)
{
    (void)state;
    struct buf log = {0};
    put_batch(&log, CODEC_NONE, 20);
    size_t second = log.size;
    put_batch(&log, CODEC_LZ4, 30);
    OWNED_MEM char *path = write_file("00000000000000000020.log", buf_slice(&log));
    assert_dump(
        path, (struct dump_options){.deep = true, .print_data = true},
        "Dumping %s\nLog starting offset: 20\n"
        "baseOffset: 20 lastOffset: 21 count: 2 baseSequence: 2147483647 lastSequence: 0 "
        "producerId: 9 producerEpoch: 1 partitionLeaderEpoch: 4 isTransactional: false isControl: "
        "false deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 1005 size: %zu magic: 2 "
        "compresscodec: none crc: %u isvalid: true\n"
        "| offset: 20 CreateTime: 1000 keySize: 1 valueSize: 3 sequence: 2147483647 headerKeys: "
        "[x,zz] key: k payload: one\n"
        "| offset: 21 CreateTime: 1005 keySize: -1 valueSize: -1 sequence: 0 headerKeys: []\n"
        "baseOffset: 30 lastOffset: 31 count: 2 baseSequence: 2147483647 lastSequence: 0 "
        "producerId: 9 producerEpoch: 1 partitionLeaderEpoch: 4 isTransactional: false isControl: "
        "false deleteHorizonMs: OptionalLong.empty position: %zu CreateTime: 1005 size: %zu magic: "
        "2 compresscodec: lz4 crc: %u isvalid: true\n"
        "| offset: 30 CreateTime: 1000 keySize: 1 valueSize: 3 sequence: 2147483647 headerKeys: "
        "[x,zz] key: k payload: one\n"
        "| offset: 31 CreateTime: 1005 keySize: -1 valueSize: -1 sequence: 0 headerKeys: []\n"
        "Non-consecutive offsets in %s\n  21 is followed by 30\n",
        path, second, batch_crc(log.data), second, log.size - second, batch_crc(log.data + second),
        path);
    buf_done(&log);
}

static void test_markers_of_transactions_tell_their_kind(void **state)
{
    (void)state;
    struct buf log = {0};
    batch_put_txn_marker(&log, 5, 2, false, 11, 777);
    OWNED_MEM char *path = write_file("00000000000000000000.log", buf_slice(&log));
    assert_dump(path, (struct dump_options){.deep = true},
                "Dumping %s\nLog starting offset: 0\n"
                "baseOffset: 0 lastOffset: 0 count: 1 baseSequence: -1 lastSequence: -1 "
                "producerId: 5 producerEpoch: 2 partitionLeaderEpoch: %d isTransactional: true "
                "isControl: true deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 777 "
                "size: 78 magic: 2 compresscodec: none crc: %u isvalid: true\n"
                "| offset: 0 CreateTime: 777 keySize: 4 valueSize: 6 sequence: -1 headerKeys: [] "
                "endTxnMarker: ABORT coordinatorEpoch: 11\n",
                path, batch_leader_epoch(log.data), batch_crc(log.data));
    buf_done(&log);
}

static void test_a_torn_tail_is_counted_at_every_cut(void **state)
{
    (void)state;
    struct buf log = {0};
    put_batch(&log, CODEC_NONE, 0);
    size_t first = log.size;
    put_batch(&log, CODEC_NONE, 2);
    for (size_t cut = first + 1; cut < log.size; cut++) {
        enum err e;
        OWNED_MEM char *path = write_file("00000000000000000000.log", slice_of(log.data, cut));
        OWNED_MEM char *text = dump_text(path, (struct dump_options){.deep = true}, &e);
        OWNED_MEM char *wanted = mem_printf(
            "Found %zu invalid bytes at the end of 00000000000000000000.log\n", cut - first);
        assert_int_equal(e, ERR_OK);
        assert_non_null(strstr(text, wanted));
        assert_null(strstr(text, "baseOffset: 2 "));
    }
    buf_done(&log);
}

static void test_indexes_are_compared_with_the_log(void **state)
{
    (void)state;
    struct buf log = {0}, index = {0}, times = {0};
    put_batch(&log, CODEC_NONE, 0);
    uint32_t second = (uint32_t)log.size;
    put_batch(&log, CODEC_GZIP, 2);
    buf_put_be32(&index, 3);
    buf_put_be32(&index, second);
    buf_put_be32(&index, 7); /* a wrong one */
    buf_put_be32(&index, second);
    buf_put_be64(&index, 0);
    buf_put_be64(&times, 1005);
    buf_put_be32(&times, 3);
    buf_put_be64(&times, 1001); /* out of order, and not what the log says */
    buf_put_be32(&times, 3);
    OWNED_MEM char *log_path = write_file("00000000000000000000.log", buf_slice(&log));
    OWNED_MEM char *index_path = write_file("00000000000000000000.index", buf_slice(&index));
    OWNED_MEM char *times_path = write_file("00000000000000000000.timeindex", buf_slice(&times));
    struct dump_options none = {0};
    assert_dump(index_path, none,
                "Dumping %s\noffset: 3 position: %u\noffset: 7 position: %u\n"
                "Mismatches in :%s\n  Index offset: 7, log offset: 3\n",
                index_path, second, second, index_path);
    assert_dump(index_path, (struct dump_options){.verify_only = true},
                "Dumping %s\nMismatches in :%s\n  Index offset: 7, log offset: 3\n", index_path,
                index_path);
    assert_dump(index_path, (struct dump_options){.sanity_only = true},
                "Dumping %s\n%s passed sanity check.\n", index_path, index_path);
    assert_dump(times_path, none,
                "Dumping %s\ntimestamp: 1005 offset: 3\ntimestamp: 1001 offset: 3\n"
                "Found timestamp mismatch in :%s\n  Index timestamp: 1001, log timestamp: 1005\n"
                "Found out of order timestamp in :%s\n"
                "  Index timestamp: 1001, Previously indexed timestamp: 1005\n",
                times_path, times_path, times_path);
    enum err e;
    OWNED_MEM char *text = dump_text(times_path, (struct dump_options){.sanity_only = true}, &e);
    assert_int_equal(e, ERR_MALFORMED);
    buf_done(&log);
    buf_done(&index);
    buf_done(&times);
}

static void test_transactions_snapshots_and_epochs_print_their_entries(void **state)
{
    (void)state;
    struct buf txns = {0}, snapshot = {0};
    buf_put_be16(&txns, 0);
    for (uint64_t i = 1; i <= 4; i++)
        buf_put_be64(&txns, i);
    OWNED_MEM char *txn_path = write_file("00000000000000000000.txnindex", buf_slice(&txns));
    assert_dump(txn_path, (struct dump_options){0},
                "Dumping %s\nversion: 0 producerId: 1 firstOffset: 2 lastOffset: 3 "
                "lastStableOffset: 4\n",
                txn_path);

    buf_put_be16(&snapshot, 1);
    buf_put_be32(&snapshot, 0);
    buf_put_be32(&snapshot, 1);
    buf_put_be64(&snapshot, 6);
    buf_put_be16(&snapshot, 2);
    buf_put_be32(&snapshot, 1); /* the sequence wrapped within the batch */
    buf_put_be64(&snapshot, 40);
    buf_put_be32(&snapshot, 3);
    buf_put_be64(&snapshot, 99);
    buf_put_be32(&snapshot, (uint32_t)-1);
    buf_put_be64(&snapshot, 37);
    put_be32(snapshot.data + 2, crc32c(0, snapshot.data + 6, snapshot.size - 6));
    OWNED_MEM char *path = write_file("00000000000000000041.snapshot", buf_slice(&snapshot));
    assert_dump(path, (struct dump_options){0},
                "Dumping %s\nproducerId: 6 producerEpoch: 2 coordinatorEpoch: -1 "
                "currentTxnFirstOffset: OptionalLong[37] lastTimestamp: 99 firstSequence: "
                "2147483646 lastSequence: 1 lastOffset: 40 offsetDelta: 3 timestamp: 99\n",
                path);
    for (size_t at = 0; at < snapshot.size; at++) {
        enum err e;
        snapshot.data[at] ^= 1;
        OWNED_MEM char *broken = write_file("00000000000000000041.snapshot", buf_slice(&snapshot));
        OWNED_MEM char *text = dump_text(broken, (struct dump_options){0}, &e);
        assert_int_equal(e, ERR_MALFORMED);
        snapshot.data[at] ^= 1;
    }
    OWNED_MEM char *epochs =
        write_file("leader-epoch-checkpoint", SLICE_LITERAL("0\n2\n0 0\n3 17\n"));
    assert_dump(epochs, (struct dump_options){0},
                "Dumping %s\nleaderEpoch: 0 startOffset: 0\nleaderEpoch: 3 startOffset: 17\n",
                epochs);
    buf_done(&txns);
    buf_done(&snapshot);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {
        "00000000000000000020.log",      "00000000000000000000.log",
        "00000000000000000000.index",    "00000000000000000000.timeindex",
        "00000000000000000000.txnindex", "00000000000000000041.snapshot",
        "leader-epoch-checkpoint",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        OWNED_MEM char *path = mem_printf("%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_and_records_print_as_the_jvm_prints_them),
        cmocka_unit_test(test_markers_of_transactions_tell_their_kind),
        cmocka_unit_test(test_a_torn_tail_is_counted_at_every_cut),
        cmocka_unit_test(test_indexes_are_compared_with_the_log),
        cmocka_unit_test(test_transactions_snapshots_and_epochs_print_their_entries),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
