/* The power goes at any moment, on a disk that forgets what was not synced. Seeded histories of
 * appends, epochs, flushes, rolls, truncations, retention and checkpoints run until some call is
 * the last; then the disk forgets, and the log that is opened again must hold every record that was
 * flushed, at its offset, in its epoch, and nothing torn.
 *
 * POWER_CUT_SEED=N runs that seed alone and tells its steps, POWER_CUT_RUNS=N as many. */
#include "dark_disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/base/trace.h"

#define RUNS        300
#define STEPS_MAX   60
#define BATCHES_MAX 2000
#define PENDING_MAX 100

/* --- chance --- */

static uint64_t chance_state;

static int chance(int bound)
{
    chance_state = chance_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((chance_state >> 33) % (uint64_t)bound);
}

/* --- what must be there --- */

struct written {
    int64_t base_offset, last_offset;
    int32_t epoch;
    uint32_t crc;
};

struct history {
    struct fixture *f;
    struct log *log;
    struct written batches[BATCHES_MAX]; /* in the log, by what was acknowledged */
    int count;
    int64_t flushed_end;    /* everything below is promised */
    int64_t start_promised; /* the log start of the last checkpoint */
    int64_t start_ever;     /* the highest log start; after a cut it may be lower, as only the */
    int64_t high_watermark; /* checkpoint keeps it, while the epochs below it are forgotten */
    int32_t epoch;
    bool topic_id_promised;
    struct uuid topic_id;
    struct log *pending[PENDING_MAX]; /* work that waits for a worker */
    void (*pending_work[PENDING_MAX])(struct log *log);
    int pending_count;
};

static struct history *current;

/* Workers are played by the test itself, so that a seed replays. */
static void run_later(void *context, void (*work)(struct log *log), struct log *log)
{
    (void)context;
    if (current->pending_count == PENDING_MAX)
        return;
    current->pending_work[current->pending_count] = work;
    current->pending[current->pending_count++] = log;
}

static void run_pending(struct history *h)
{
    for (int i = 0; i < h->pending_count; i++)
        h->pending_work[i](h->pending[i]);
    h->pending_count = 0;
}

static void add_written(struct history *h, const uint8_t *batch, int64_t base, int64_t last)
{
    assert_true(h->count < BATCHES_MAX);
    h->batches[h->count++] = (struct written){.base_offset = base,
                                              .last_offset = last,
                                              .epoch = h->epoch,
                                              .crc = get_be32(batch + BATCH_CRC_AT)};
}

static bool step_append(struct history *h)
{
    struct batch_spec spec = {.records = 1 + chance(4),
                              .value_size = 1 + chance(chance(20) == 0 ? 5000 : 60),
                              .timestamp = 1 + chance(1000000),
                              .leader_epoch = h->epoch};
    struct buf bytes = {0};
    struct append_result result;
    struct arena *arena = arena_new();
    batch_make(&bytes, &spec);
    enum err e = log_append_leader(h->log, bytes.data, bytes.size, h->epoch, APPEND_CLIENT, 9,
                                   arena, &result);
    if (!e)
        add_written(h, bytes.data, result.base_offset, result.last_offset);
    arena_free(arena);
    buf_done(&bytes);
    return !e;
}

static bool step_flush(struct history *h)
{
    int64_t end = log_end_offset(h->log);
    if (log_flush(h->log))
        return false;
    assert_true(log_recovery_point(h->log) >= end);
    h->flushed_end = end;
    h->topic_id_promised |= end > 0;
    return true;
}

static bool step_lead(struct history *h)
{
    h->epoch += 1 + chance(3);
    return log_assign_epoch(h->log, h->epoch, log_end_offset(h->log)) == ERR_OK;
}

/* As a follower that must give way to a leader of a newer epoch. */
static bool step_truncate(struct history *h)
{
    int64_t end = log_end_offset(h->log), floor = log_start_offset(h->log);
    int64_t target = floor + chance((int)(end - floor) + 1);
    if (h->flushed_end > target)
        h->flushed_end = target;
    while (h->count > 0 && h->batches[h->count - 1].last_offset >= target)
        h->count--;
    if (h->high_watermark > target)
        h->high_watermark = target;
    return log_truncate(h->log, target) == ERR_OK && step_lead(h);
}

static bool step_begin_anew(struct history *h)
{
    int64_t offset = log_end_offset(h->log) + chance(50);
    h->count = 0;
    h->flushed_end = h->start_promised = 0;
    h->high_watermark = offset;
    return log_truncate_fully(h->log, offset) == ERR_OK && step_lead(h);
}

static bool step_retain(struct history *h)
{
    h->high_watermark = log_end_offset(h->log);
    log_set_high_watermark(h->log, h->high_watermark);
    return log_retain(h->log) == ERR_OK;
}

static bool step_raise_start(struct history *h)
{
    int64_t end = log_end_offset(h->log), start = log_start_offset(h->log);
    h->high_watermark = end;
    return log_raise_start(h->log, start + chance((int)(end - start) + 1), end) == ERR_OK;
}

static int64_t give_high_watermark(void *context, struct log *log)
{
    (void)log;
    return ((struct history *)context)->high_watermark;
}

static bool step_checkpoint(struct history *h)
{
    struct log_dir *dir = &h->f->manager->dirs[0];
    int64_t start = log_start_offset(h->log);
    if (log_manager_checkpoint_recovery_points(h->f->manager, dir) ||
        log_manager_checkpoint_high_watermarks(h->f->manager, give_high_watermark, h) ||
        log_manager_checkpoint_start_offsets(h->f->manager, dir))
        return false;
    /* Where the first segment says it, the checkpoint does not, and names are not synced for it. */
    h->start_promised = start > h->log->list->items[0]->base_offset ? start : 0;
    return true;
}

static bool step_small_files(struct history *h)
{
    return log_failed(h->log, log_write_small_files(h->log)) == ERR_OK;
}

static bool step_remove(struct history *h)
{
    log_manager_remove_due(h->f->manager, true);
    return true;
}

static bool step_workers(struct history *h)
{
    run_pending(h);
    return !atomic_load(&h->log->is_offline);
}

static const struct step {
    bool (*run)(struct history *h);
    const char *name;
    int weight;
} steps[] = {
    {step_append, "append", 60},
    {step_flush, "flush", 10},
    {step_lead, "lead", 5},
    {step_truncate, "truncate", 6},
    {step_retain, "retain", 4},
    {step_raise_start, "raise start", 2},
    {step_checkpoint, "checkpoint", 6},
    {step_small_files, "small files", 4},
    {step_remove, "remove", 3},
    {step_workers, "workers", 10},
    {step_begin_anew, "begin anew", 1},
};

static bool is_told; /* one seed alone */

static bool run_step(struct history *h, const struct step *step)
{
    bool is_done = step->run(h);
    struct log *log = h->log;
    if (is_told)
        print_message("%s%s: [%" PRId64 ", %" PRId64 ") recovery_point=%" PRId64 " gap=[%" PRId64
                      ", %" PRId64 ") segment=%" PRId64 " promised=%" PRId64 "\n",
                      step->name, is_done ? "" : " in the dark", log_start_offset(log),
                      log_end_offset(log), log_recovery_point(log), atomic_load(&log->gap_from),
                      atomic_load(&log->gap_to), log_active(log)->base_offset, h->flushed_end);
    return is_done;
}

static bool random_step(struct history *h)
{
    if (h->start_ever < log_start_offset(h->log))
        h->start_ever = log_start_offset(h->log);
    int sum = 0, pick;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        sum += steps[i].weight;
    pick = chance(sum);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        if (pick < steps[i].weight)
            return run_step(h, &steps[i]);
        pick -= steps[i].weight;
    }
    return true;
}

/* --- after the cut --- */

struct reading {
    struct history *h;
    int64_t next;
    int32_t last_epoch;
    int promised; /* slot of the next batch that must come */
};

static void fail_epochs(struct history *h, const struct batch_info *b)
{
    struct buf text = {0};
    epoch_cache_encode(&h->log->epochs, &text);
    buf_put_u8(&text, 0);
    fail_msg("batch %" PRId64 "-%" PRId64 " is of epoch %" PRId32 ", log [%" PRId64 ", %" PRId64
             ") with epochs %s",
             b->base_offset, b->last_offset, b->leader_epoch, log_start_offset(h->log),
             log_end_offset(h->log), (const char *)text.data);
}

static void check_batch(struct reading *r, const uint8_t *bytes, const struct batch_info *b)
{
    struct history *h = r->h;
    assert_true(batch_crc_is_right(bytes));
    assert_true(b->base_offset >= r->next);
    assert_true(b->leader_epoch >= r->last_epoch);
    int64_t known = b->base_offset < h->start_ever ? h->start_ever : b->base_offset;
    if (known <= b->last_offset && log_epoch_for_offset(h->log, known) != b->leader_epoch)
        fail_epochs(h, b);
    r->next = b->last_offset + 1;
    r->last_epoch = b->leader_epoch;
    if (r->promised < h->count && h->batches[r->promised].base_offset == b->base_offset &&
        h->batches[r->promised].crc == get_be32(bytes + BATCH_CRC_AT)) {
        assert_int_equal(h->batches[r->promised].epoch, b->leader_epoch);
        r->promised++;
    }
}

static void read_all(struct reading *r)
{
    int64_t offset = log_start_offset(r->h->log), end = log_end_offset(r->h->log);
    while (offset < end) {
        struct log_slice slice;
        assert_err(log_read(r->h->log, offset, end, 100000, true, true, &slice), ERR_OK);
        if (!slice.file)
            break;
        uint8_t *bytes = mem_alloc((size_t)slice.size_bytes);
        assert_int_equal(
            pread(log_file_fd(slice.file), bytes, (size_t)slice.size_bytes, slice.position),
            slice.size_bytes);
        int64_t before = offset;
        for (int64_t at = 0; at < slice.size_bytes;) {
            struct batch_info b;
            if (batch_peek(slice_of(bytes + at, (size_t)(slice.size_bytes - at)), &b) ||
                at + b.size_bytes > slice.size_bytes)
                break;
            if (b.base_offset >= r->next) /* the first slice may begin below the log start */
                check_batch(r, bytes + at, &b);
            offset = b.last_offset + 1;
            at += b.size_bytes;
        }
        assert_true(offset > before);
        free(bytes);
        log_file_unref(slice.file);
    }
}

static void check_promises(struct history *h)
{
    int64_t start = log_start_offset(h->log), end = log_end_offset(h->log);
    if (h->start_ever < start)
        h->start_ever = start;
    assert_true(start <= end);
    assert_true(start >= h->start_promised || end == h->start_promised);
    assert_true(log_recovery_point(h->log) <= end);
    int64_t high_watermark = atomic_load(&h->log->high_watermark);
    assert_true(high_watermark >= start && high_watermark <= end);
    if (h->topic_id_promised)
        assert_true(uuid_equal(log_topic_id(h->log), h->topic_id));
    /* The first batch that is promised and not below the log start. */
    struct reading r = {.h = h, .last_epoch = -1};
    while (r.promised < h->count && h->batches[r.promised].base_offset < start)
        r.promised++;
    read_all(&r);
    while (r.promised < h->count && h->batches[r.promised].last_offset < h->flushed_end)
        fail_msg("batch at %" PRId64 " was flushed (to %" PRId64 ") and is not there",
                 h->batches[r.promised].base_offset, h->flushed_end);
}

/* What survived is the history now. */
static void adopt(struct history *h)
{
    int64_t end = log_end_offset(h->log);
    h->count = 0; /* batches that survive unflushed were checked once: only new ones are promised */
    h->flushed_end = 0;
    if (h->epoch < log_latest_epoch(h->log))
        h->epoch = log_latest_epoch(h->log);
    h->high_watermark = end;
    h->start_promised = 0;
}

static void open_again(struct history *h)
{
    dark_disk_begin(h->f);
    assert_err(fixture_try_start(h->f), ERR_OK);
    log_manager_stop_timer(h->f->manager); /* all happens by the seed */
    h->f->manager->host.run = run_later;
    bool is_offline;
    h->log = log_manager_get(h->f->manager, "orders", 0, &is_offline);
    assert_false(is_offline);
}

/* As by the controller's first request after a start. */
static void be_told_topic_id(struct history *h)
{
    assert_err(log_manager_create(h->f->manager, "orders", 0, h->topic_id, &h->log), ERR_OK);
}

static void cut_power(struct history *h, uint64_t seed)
{
    if (h->start_ever < log_start_offset(h->log))
        h->start_ever = log_start_offset(h->log);
    h->pending_count = 0;
    dark_disk_calls_left = 0; /* nothing more reaches the disk, not even from those that leave */
    fixture_kill(h->f);
    forgetful_cut(chance(3) == 0 ? CUT_ALL : CUT_SOME, seed);
}

static void live_until_dark(struct history *h)
{
    dark_disk_calls_left = chance(4) == 0 ? -1 : 1 + chance(300);
    for (int i = chance(STEPS_MAX); i > 0; i--)
        if (!random_step(h))
            return; /* it is dark: what this step wanted is not known to have happened */
    if (chance(6) > 0)
        return;
    /* A clean stop promises everything, if it reaches its end. */
    int64_t end = log_end_offset(h->log);
    h->pending_count = 0;
    if (chance(2) == 0)
        h->f->manager->sync_one_by_one_max = 0;
    log_manager_stop(h->f->manager, 1);
    if (dark_disk_calls_left != 0)
        h->flushed_end = end;
}

static void run_seed(uint64_t seed)
{
    struct history h = {.topic_id = {.bytes = {1, 2, 3}}};
    fixture_setup((void **)&h.f);
    if (is_told)
        trace_set_sink(NULL, NULL);
    current = &h;
    chance_state = seed;
    h.f->config.segment_bytes = 600 + chance(3000);
    h.f->config.retention_bytes = 4000;
    h.f->config.index_interval_bytes = 1 + chance(300);
    h.f->config.max_message_bytes = 20000;
    if (h.f->config.segment_bytes < 1000 && chance(2))
        h.f->config.preallocate = true;
    open_again(&h);
    be_told_topic_id(&h);
    for (int cycle = 0; cycle < 3; cycle++) {
        live_until_dark(&h);
        cut_power(&h, seed + (uint64_t)cycle);
        open_again(&h);
        if (h.log)
            check_promises(&h);
        else
            assert_int_equal(h.flushed_end, 0); /* not even its directory was promised */
        be_told_topic_id(&h);
        adopt(&h);
        assert_true(step_lead(&h));
    }
    fixture_stop(h.f);
    dark_disk_end();
    fixture_teardown((void **)&h.f);
}

static void test_what_was_flushed_survives_a_power_cut_at_any_moment(void **state)
{
    (void)state;
    const char *one = getenv("POWER_CUT_SEED"), *many = getenv("POWER_CUT_RUNS");
    if (one) {
        is_told = true;
        run_seed(strtoull(one, NULL, 10));
        return;
    }
    uint64_t runs = many ? strtoull(many, NULL, 10) : RUNS;
    for (uint64_t seed = 1; seed <= runs; seed++) {
        print_message("seed %" PRIu64 "\r", seed);
        run_seed(seed);
    }
}

/* A log that came back would be taken for that of a new topic of its name. */
static void expect_deletion_lasts(bool is_settled, bool is_made_anew)
{
    struct history h = {.topic_id = {.bytes = {1, 2, 3}}};
    fixture_setup((void **)&h.f);
    current = &h;
    open_again(&h);
    be_told_topic_id(&h);
    assert_true(step_append(&h));
    assert_true(step_flush(&h)); /* all of it is on stable storage, its names as well */
    assert_err(log_manager_delete(h.f->manager, "orders", 0), ERR_OK);
    h.topic_id.bytes[0] = 9;
    if (is_settled)
        assert_err(log_manager_settle_deletions(h.f->manager), ERR_OK);
    if (is_made_anew)
        be_told_topic_id(&h);
    dark_disk_calls_left = 0;
    fixture_kill(h.f);
    forgetful_cut(CUT_ALL, 1);
    open_again(&h);
    assert_null(h.log);
    be_told_topic_id(&h);
    assert_int_equal(log_end_offset(h.log), 0);
    fixture_stop(h.f);
    dark_disk_end();
    fixture_teardown((void **)&h.f);
}

static void test_a_settled_deletion_lasts_through_a_power_cut(void **state)
{
    (void)state;
    expect_deletion_lasts(true, false);
}

static void test_a_log_made_after_a_deletion_never_finds_the_deleted_one_in_its_place(void **state)
{
    (void)state;
    expect_deletion_lasts(false, true);
}

/* Believed of the new log, the old recovery point would make its torn end a damage, and the old
 * start would drop its records. */
static void test_checkpoints_of_a_deleted_log_are_not_believed_of_its_successor(void **state)
{
    (void)state;
    struct history h = {.topic_id = {.bytes = {1, 2, 3}}};
    fixture_setup((void **)&h.f);
    current = &h;
    open_again(&h);
    be_told_topic_id(&h);
    for (int i = 0; i < 8; i++)
        assert_true(step_append(&h));
    assert_true(step_flush(&h));
    h.high_watermark = log_end_offset(h.log);
    assert_err(log_raise_start(h.log, 5, h.high_watermark), ERR_OK);
    assert_true(step_checkpoint(&h));
    assert_err(log_manager_delete(h.f->manager, "orders", 0), ERR_OK);
    h.topic_id.bytes[0] = 9;
    be_told_topic_id(&h);
    dark_disk_calls_left = 0;
    fixture_kill(h.f);
    forgetful_cut(CUT_ALL, 1);
    struct log_dir dir = {.path = h.f->dir};
    struct map checkpointed = {0};
    assert_err(log_dir_read_checkpoints(&dir, &checkpointed), ERR_OK);
    assert_null(map_get(&checkpointed, SLICE_LITERAL("orders-0")));
    log_dir_free_checkpoints(&checkpointed);
    dark_disk_end();
    fixture_teardown((void **)&h.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_flushed_survives_a_power_cut_at_any_moment),
        cmocka_unit_test(test_checkpoints_of_a_deleted_log_are_not_believed_of_its_successor),
        cmocka_unit_test(test_a_settled_deletion_lasts_through_a_power_cut),
        cmocka_unit_test(test_a_log_made_after_a_deletion_never_finds_the_deleted_one_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
