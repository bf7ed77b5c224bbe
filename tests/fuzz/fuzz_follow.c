/* Fuzzes what a follower takes from its leader: answers to Fetch with records in any state, offsets
 * and epochs that do not fit together, errors at any time. The fetcher, the partition and the log
 * are the real ones, on a real directory; the leader is the input.
 *
 * The input is a byte that says what the follower holds at first, then steps: STEP_BYTES of what is
 * answered, and for a Fetch so many changes, each of CHANGE_BYTES, of batches that were right. A
 * batch may be summed again after that, or only a checksum would ever be tried. Run it with
 * -len_control=0.
 *
 * What must hold: nothing crashes or reads beyond its bytes; whatever came, the log is whole
 * batches in ascending order, and its watermark and its start lie within it. */
#include "tests/unit/replica/fetcher_world.h"

#include "broker/log/file_ops.h"

#define STEPS_MAX    24
#define STEP_BYTES   7
#define CHANGE_BYTES 3
#define LEADER_EPOCH 4
#define WORLD_INPUTS 64 /* that share a world, each with a partition of its own */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t take(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static void change(struct input *in, struct buf *records, size_t start)
{
    for (int left = take(in) & 7; left > 0 && in->left >= CHANGE_BYTES; left--) {
        size_t at = start + ((size_t)take(in) << 8 | take(in)) % (records->size - start);
        records->data[at] = take(in);
    }
}

/* Up to three batches, behind what the follower has or anywhere. */
static struct buf *records_of(struct input *in, struct partition *p, uint8_t flags)
{
    struct buf *records = batches();
    int64_t offset = end_of(p);
    for (int i = 0; i < (flags & 3); i++) {
        uint8_t kind = take(in);
        size_t start = records->size;
        struct batch_spec spec = {.base_offset = offset,
                                  .records = 1 + (kind & 3),
                                  .leader_epoch = kind >> 2 & 7,
                                  .has_producer = kind & 0x20,
                                  .is_transactional = kind & 0x40};
        if (kind & 0x80)
            spec.base_offset += (int8_t)take(in);
        batch_make(records, &spec);
        offset = spec.base_offset + spec.records;
        change(in, records, start);
        if (flags & 4 && batch_size(records->data + start) == (int64_t)(records->size - start))
            batch_seal(records->data + start);
    }
    if (flags & 8 && records->size > 0)
        records->size -= take(in) % records->size;
    return records;
}

static void answer_a_fetch(struct world *w, struct input *in, struct partition *p)
{
    static const enum err errors[] = {
        ERR_OFFSET_OUT_OF_RANGE,    ERR_FENCED_LEADER_EPOCH,        ERR_UNKNOWN_LEADER_EPOCH,
        ERR_NOT_LEADER_OR_FOLLOWER, ERR_UNKNOWN_TOPIC_OR_PARTITION, ERR_KAFKA_STORAGE_ERROR,
        ERR_CORRUPT_MESSAGE,        ERR_OFFSET_NOT_AVAILABLE};
    uint8_t flags = take(in), error = take(in);
    struct part part = {.id = partition_id(p),
                        .error = error < ARRAY_SIZE(errors) ? errors[error] : ERR_OK,
                        .high_watermark = (int8_t)take(in),
                        .log_start_offset = (int8_t)take(in),
                        .diverges = (flags & 16) && w->api_version >= 12,
                        .diverging_epoch = (int8_t)take(in),
                        .diverging_end = (int8_t)take(in)};
    part.records = records_of(in, p, flags);
    answer(w, part);
}

static void answer_what_was_asked(struct world *w, struct input *in, struct partition *p)
{
    switch (w->api_key) {
    case API_FETCH:
        answer_a_fetch(w, in, p);
        break;
    case API_LIST_OFFSETS:
        answer_offset(w, partition_id(p), take(in) == 0 ? ERR_NOT_LEADER_OR_FOLLOWER : ERR_OK,
                      (int8_t)take(in));
        break;
    default:
        answer_epoch(w, partition_id(p), take(in) == 0 ? ERR_UNKNOWN_LEADER_EPOCH : ERR_OK,
                     (int8_t)take(in), (int8_t)take(in));
    }
}

static void check(struct partition *p)
{
    struct log *log = partition_log(p);
    int64_t start = log_start_offset(log), end = log_end_offset(log);
    assert(start <= end);
    assert(partition_high_watermark(p) >= 0 && partition_high_watermark(p) <= end);
    check_readable(log, start, end);
}

static struct world *shared;

static void end_world(void)
{
    void *state = shared;
    if (shared)
        world_teardown(&state);
    shared = NULL;
}

/* Making one takes longer than most inputs. */
static struct world *a_world(int *ret_id)
{
    static int used = WORLD_INPUTS;
    if (used == WORLD_INPUTS) {
        void *state;
        if (shared)
            end_world();
        else
            atexit(end_world); /* its directory goes, too */
        world_setup(&state);
        shared = state;
        used = 0;
    }
    *ret_id = used++;
    return shared;
}

/* A world that outlives the input looks like a leak after each, and the search for it would be most
 * of the time. The one at the end stays. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char no_search[] = "-detect_leaks=0";
    char **more = mem_new_array(char *, (size_t)*argc + 2);
    memcpy(more, *argv, (size_t)*argc * sizeof *more);
    more[(*argc)++] = no_search;
    *argv = more;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    int id;
    fixture_leave_out_the_disk();
    struct world *w = a_world(&id);
    uint8_t first = take(&in);
    w->settings.truncates_on_fetch = !(first & 1);
    w->settings.fetch_version = first & 1 ? 11 : 17;
    w->settings.epoch_version = first & 1 ? 3 : 4;
    w->is_asked = false;
    world_restart(w);
    struct partition *p = hosted(w, id, LEADER_EPOCH);
    hold(p, 1, first >> 1 & 3);
    hold(p, 3, first >> 3 & 7);
    follow(w, p);
    fetcher_run(w->fetcher);
    for (int step = 0; step < STEPS_MAX && in.left >= STEP_BYTES; step++) {
        if (!w->is_asked)
            pass(w, BACKOFF_MS);
        if (!w->is_asked)
            break;
        answer_what_was_asked(w, &in, p);
        await_flushes(w);
        check(p);
    }
    return 0;
}
