/* Fuzzes what the cluster's mind takes from strangers: the znodes that other brokers and tools
 * write, and, where the embedded server runs, the frames of any client and the files it kept.
 *
 * The input's first byte says which of them the rest is. Frames stand one behind the other, each
 * behind 2 bytes of length, on two connections in turn (the highest bit of the length); the first
 * of each should be a handshake, so one is made where the input says so. Run it with
 * -len_control=0.
 *
 * What must hold: nothing crashes, reads beyond its bytes or takes memory without bound; what was
 * decoded and is encoded again decodes; a state restored from a snapshot of its own is the same. */
#include "coordinator/embedded/embedded_core.h"
#include "coordinator/embedded/jute.h"
#include "coordinator/embedded/protocol.h"
#include "coordinator/zk/znode.h"

#define FRAMES_MAX 64
#define JOURNAL_AT 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- znodes --- */

static void fuzz_znodes(struct slice text)
{
    OWNED(arena) struct arena *arena = arena_new();
    struct znode_broker broker;
    struct znode_controller controller;
    struct znode_topic topic;
    struct znode_partition_state state;
    struct znode_complete complete;
    struct znode_config config;
    struct znode_partition_list list;
    struct znode_producer_id_block block;
    struct znode_features features;
    struct slice name;
    int32_t number;
    enum err e;

    if (!znode_broker_decode(arena, text, &broker))
        znode_broker_set_intact_since(arena, text, 7);
    e = znode_controller_decode(text, &controller);
    e = znode_controller_epoch_decode(text, &number);
    e = znode_cluster_id_decode(arena, text, &name);
    if (!znode_topic_decode(arena, text, &topic)) {
        e = znode_topic_decode(arena, znode_topic_encode(arena, &topic), &topic);
        assert(!e);
        e = znode_topic_decode(arena, znode_topic_update(arena, text, &topic), &topic);
        assert(!e);
    }
    if (!znode_partition_state_decode(arena, text, &state)) {
        struct slice again = znode_partition_state_update(arena, text, &state);
        e = znode_partition_state_decode(arena, again, &state);
        assert(!e);
    }
    if (!znode_complete_decode(arena, text, &complete)) {
        e = znode_complete_decode(arena, znode_complete_encode(arena, &complete), &complete);
        assert(!e);
    }
    if (!znode_config_decode(arena, text, &config)) {
        e = znode_config_decode(arena, znode_config_update(arena, text, &config), &config);
        assert(!e);
    }
    e = znode_config_change_decode(arena, text, &name);
    e = znode_isr_change_decode(arena, text, &list);
    e = znode_preferred_election_decode(arena, text, &list);
    e = znode_reassign_decode(arena, text, &list);
    e = znode_log_dir_event_decode(text, &number);
    e = znode_producer_id_block_decode(text, &block);
    e = znode_features_decode(arena, text, &features);
    if (!znode_unsanitise(arena, text, &name))
        znode_sanitise(arena, name);
    (void)e;
}

/* What brokers write. The rest of the input changes it: a place, and a byte for it. */
static const char *const znodes[] = {
    "{\"features\":{\"f\":{\"min_version\":1,\"max_version\":3}},\"listener_security_protocol_"
    "map\":"
    "{\"PLAINTEXT\":\"PLAINTEXT\"},\"endpoints\":[\"PLAINTEXT://"
    "h:9092\"],\"jmx_port\":-1,\"port\":9092,"
    "\"host\":\"h\",\"version\":5,\"timestamp\":\"1700000000000\",\"rack\":\"r\"}",
    "{\"version\":2,\"brokerid\":1,\"timestamp\":\"1700000000000\",\"kraftControllerEpoch\":-1}",
    "{\"version\":\"1\",\"id\":\"AAAAAAAAAAAAAAAAAAAABQ\"}",
    "{\"removing_replicas\":{\"0\":[1]},\"partitions\":{\"0\":[1,2],\"1\":[2]},"
    "\"topic_id\":\"AAAAAAAAAAAAAAAAAAAABQ\",\"adding_replicas\":{\"0\":[2]},\"version\":3}",
    "{\"controller_epoch\":3,\"leader\":2,\"version\":1,\"leader_epoch\":7,\"isr\":[2,3],"
    "\"leader_recovery_state\":1}",
    "{\"version\":1,\"config\":{\"retention.ms\":\"5\",\"cleanup.policy\":\"compact,delete\"}}",
    "{\"version\":2,\"entity_path\":\"topics/t\"}",
    "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,2]}]}",
    "{\"version\":1,\"broker\":1,\"block_start\":\"1000\",\"block_end\":\"1999\"}",
    "{\"features\":{\"f\":{\"min_version_level\":1,\"max_version_level\":3}},\"version\":2,"
    "\"status\":1}",
    "a%2Fb%25+c",
};

static void fuzz_changed_znode(size_t which, const uint8_t *data, size_t size)
{
    struct buf text = {0};
    buf_put_slice(&text, slice_str(znodes[which % ARRAY_SIZE(znodes)]));
    for (; size >= 3; data += 3, size -= 3)
        text.data[get_be16(data) % text.size] = data[2];
    fuzz_znodes(buf_slice(&text));
    buf_done(&text);
}

/* --- the embedded server --- */

static void connect_to(struct core *core, struct core_connection *connection)
{
    struct buf b = {0};
    jute_put_int(&b, 0);
    jute_put_long(&b, 0);
    jute_put_int(&b, 1000);
    jute_put_long(&b, 0);
    jute_put_bytes(&b, SLICE_LITERAL("0123456789abcdef"));
    buf_put_u8(&b, 0);
    core_receive(core, connection, buf_slice(&b), 0, 1000);
    buf_done(&b);
}

static void check_copies(struct core *core)
{
    struct buf snapshot = {0}, again = {0};
    struct core *restored = core_new(100, 200, 2000, 0x1000), *replayed;
    core_snapshot(core, &snapshot);
    enum err e = core_restore(restored, buf_slice(&snapshot));
    assert(!e);
    core_snapshot(restored, &again);
    assert(slice_equal(buf_slice(&snapshot), buf_slice(&again)));
    core_free(restored);
    replayed = core_new(100, 200, 2000, 0x1000);
    e = core_replay(replayed, buf_slice(core_journal(core)));
    assert(!e);
    again.size = 0;
    core_snapshot(replayed, &again);
    assert(slice_equal(buf_slice(&snapshot), buf_slice(&again)));
    core_free(replayed);
    buf_done(&snapshot);
    buf_done(&again);
}

static void fuzz_frames(bool is_connected, const uint8_t *data, size_t size)
{
    struct core *core = core_new(100, 200, 2000, 0x1000);
    struct core_connection connections[2];
    int64_t now_ms = 0;
    for (int i = 0; i < 2; i++) {
        core_connection_init(&connections[i], "10.1.2.3");
        if (is_connected)
            connect_to(core, &connections[i]);
    }
    for (int i = 0; i < FRAMES_MAX && size >= 2; i++, now_ms += 30) {
        struct core_connection *one = &connections[data[0] >> 7];
        size_t length = get_be16(data) & 0x7fff;
        data += 2, size -= 2;
        if (length > size)
            length = size;
        if (!one->closing)
            core_receive(core, one, slice_of(data, length), now_ms, 1000 + now_ms);
        core_tick(core, now_ms, 1000 + now_ms);
        data += length, size -= length;
    }
    check_copies(core);
    for (int i = 0; i < 2; i++) {
        core_connection_lost(core, &connections[i]);
        buf_done(&connections[i].out);
    }
    core_free(core);
}

/* What was taken from a file goes on as if it had been made here: a client comes and asks for all
 * of it, the other sessions end, and it is kept and restored again. */
static void ask_for_all(struct core *core, struct core_connection *c, struct slice path)
{
    static const int32_t reads[] = {OP_EXISTS, OP_GET_DATA, OP_GET_ACL, OP_GET_CHILDREN2,
                                    OP_GET_EPHEMERALS};
    for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
        struct buf b = {0};
        jute_put_int(&b, 1);
        jute_put_int(&b, reads[i]);
        jute_put_bytes(&b, path);
        buf_put_u8(&b, 1);
        core_receive(core, c, buf_slice(&b), 0, 1000);
        buf_done(&b);
    }
}

static void live_on(struct core *core)
{
    struct core_connection connection;
    struct buf snapshot = {0};
    core_connection_init(&connection, "10.1.2.3");
    core_revive(core, 0);
    connect_to(core, &connection);
    ask_for_all(core, &connection, SLICE_LITERAL("/"));
    ask_for_all(core, &connection, SLICE_LITERAL("/a"));
    core_tick(core, INT32_MAX, INT32_MAX);
    core_snapshot(core, &snapshot);
    struct core *again = core_new(100, 200, 2000, 0x1000);
    enum err e = core_restore(again, buf_slice(&snapshot));
    assert(!e);
    core_free(again);
    buf_done(&snapshot);
    core_connection_lost(core, &connection);
}

/* A snapshot and a journal of who knows whom. */
static void fuzz_files(const uint8_t *data, size_t size)
{
    struct core *core = core_new(100, 200, 2000, 0x1000);
    size_t snapshot = size > JOURNAL_AT ? JOURNAL_AT : size;
    enum err e = core_restore(core, slice_of(data, snapshot));
    if (!e)
        e = core_replay(core, slice_of(data + snapshot, size - snapshot));
    if (!e)
        live_on(core);
    core_free(core);
    core = core_new(100, 200, 2000, 0x1000);
    e = core_replay(core, slice_of(data, size));
    if (!e)
        live_on(core);
    core_free(core);
}

static void create(struct core *core, struct core_connection *c, struct slice path, int32_t flags)
{
    struct buf b = {0};
    jute_put_int(&b, 1);
    jute_put_int(&b, OP_CREATE);
    jute_put_bytes(&b, path);
    jute_put_bytes(&b, SLICE_LITERAL("data"));
    jute_put_int(&b, 1); /* one ACL: all to everybody */
    jute_put_int(&b, PERM_ALL);
    jute_put_bytes(&b, SLICE_LITERAL("world"));
    jute_put_bytes(&b, SLICE_LITERAL("anyone"));
    jute_put_int(&b, flags);
    core_receive(core, c, buf_slice(&b), 0, 1000);
    buf_done(&b);
}

/* What a server of ours writes: a snapshot, and a journal that goes on from there. */
static void make_files(struct buf *snapshot, struct buf *journal)
{
    struct core *core = core_new(100, 200, 2000, 0x1000);
    struct core_connection staying, leaving;
    core_connection_init(&staying, "10.1.2.3");
    core_connection_init(&leaving, "10.1.2.3");
    connect_to(core, &staying);
    connect_to(core, &leaving);
    create(core, &staying, SLICE_LITERAL("/a"), 0);
    create(core, &staying, SLICE_LITERAL("/a/b"), CREATE_EPHEMERAL);
    create(core, &leaving, SLICE_LITERAL("/e"), CREATE_EPHEMERAL);
    core_snapshot(core, snapshot);
    core_journal(core)->size = 0;
    create(core, &leaving, SLICE_LITERAL("/a/c"), CREATE_EPHEMERAL | CREATE_SEQUENCE);
    create(core, &staying, SLICE_LITERAL("/d"), 0);
    core_connection_lost(core, &leaving);
    core_tick(core, 5000, 6000); /* both sessions end */
    buf_put_slice(journal, buf_slice(core_journal(core)));
    core_connection_lost(core, &staying);
    core_free(core);
}

/* The input changes them: a place, and a byte for it. */
static void fuzz_changed_files(const uint8_t *data, size_t size)
{
    static struct buf snapshot, journal;
    struct buf files = {0};
    bool is_whole = size < 3;
    if (snapshot.size == 0)
        make_files(&snapshot, &journal);
    buf_put_slice(&files, buf_slice(&snapshot));
    buf_put_slice(&files, buf_slice(&journal));
    for (; size >= 3; data += 3, size -= 3)
        files.data[get_be16(data) % files.size] = data[2];
    struct core *core = core_new(100, 200, 2000, 0x1000);
    enum err e = core_restore(core, slice_of(files.data, snapshot.size));
    if (!e) {
        live_on(core);
        core_free(core);
        core = core_new(100, 200, 2000, 0x1000);
        e = core_restore(core, slice_of(files.data, snapshot.size));
        assert(!e);
        e = core_replay(core, slice_of(files.data + snapshot.size, journal.size));
    }
    assert(!e || !is_whole);
    if (!e)
        live_on(core);
    core_free(core);
    buf_done(&files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    switch (data[0] & 3) {
    case 0:
        if (data[0] & 4)
            fuzz_changed_znode(data[0] >> 3, data + 1, size - 1);
        else
            fuzz_znodes(slice_of(data + 1, size - 1));
        break;
    case 1:
        if (data[0] & 4)
            fuzz_changed_files(data + 1, size - 1);
        else
            fuzz_files(data + 1, size - 1);
        break;
    default:
        fuzz_frames((data[0] & 1) == 0, data + 1, size - 1);
    }
    return 0;
}
