/* Whom a leader notes as complete though out of the ISR, and that its high watermark stands still
 * for as long as the note may be believed (KIP-966). */
#include "leading_world.h"

#include "broker/replica/partition_complete.h"
#include "broker/replica/partition_internal.h"

#define EPOCH_OF_2 22
#define EPOCH_OF_3 33

struct note_world {
    struct leading_world leading;
    struct arena *arena;
    int32_t told;
};

static void told(void *context, struct partition *partition)
{
    (void)partition;
    ((struct note_world *)context)->told++;
}

static int setup(void **state)
{
    struct note_world *w = mem_new(struct note_world);
    leading_world_init(&w->leading);
    w->leading.r->min_insync_replicas = 2;
    w->leading.host.isr_thinned = told;
    w->leading.host.context = w;
    w->arena = arena_new();
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct note_world *w = *state;
    leading_world_done(&w->leading);
    arena_free(w->arena);
    free(w);
    return 0;
}

static void be_at(struct partition *p, int32_t broker_id, int64_t broker_epoch, int64_t offset)
{
    assert_err(partition_follower_fetched_in(p, partition_leader_epoch(p), broker_id, broker_epoch,
                                             offset, log_end_offset(partition_log(p)), 0),
               ERR_OK);
}

static enum note_action look(struct note_world *w, struct complete_note *note)
{
    return partition_look_at_note(w->leading.p, w->arena, note);
}

/* 10 records that all three have, then 2 alone is in sync with us and has 12; then it leaves. */
static struct partition *left_by_the_second(struct note_world *w)
{
    struct partition *p = lead(&w->leading, 1, 3);
    append_to(p, 10);
    be_at(p, 2, EPOCH_OF_2, 10);
    be_at(p, 3, EPOCH_OF_3, 10);
    assert_int_equal(partition_high_watermark(p), 10);
    p = lead(&w->leading, 2, 2);
    append_to(p, 2);
    be_at(p, 2, EPOCH_OF_2, 12);
    assert_int_equal(partition_high_watermark(p), 12);
    return lead(&w->leading, 3, 1);
}

static void test_who_had_reached_the_high_watermark_is_noted_and_nobody_else(void **state)
{
    struct note_world *w = *state;
    struct complete_note note;
    left_by_the_second(w);
    assert_true(w->told > 0);
    assert_int_equal(look(w, &note), NOTE_WRITE);
    assert_int_equal(note.partition_epoch, 30);
    assert_int_equal(note.count, 1);
    assert_int_equal(note.replicas[0].broker_id, 2);
    assert_int_equal(note.replicas[0].broker_epoch, EPOCH_OF_2);
    assert_int_equal(look(w, &note), NOTE_KEEP); /* it says all there is to say */
}

static void test_with_enough_in_sync_nothing_is_noted(void **state)
{
    struct note_world *w = *state;
    struct complete_note note;
    struct partition *p = lead(&w->leading, 1, 2);
    append_to(p, 3);
    be_at(p, 2, EPOCH_OF_2, 3);
    assert_int_equal(look(w, &note), NOTE_KEEP);
    w->leading.r->min_insync_replicas = 1; /* Kafka's default */
    lead(&w->leading, 2, 1);
    assert_int_equal(look(w, &note), NOTE_KEEP);
}

static void test_a_follower_whose_broker_epoch_is_unknown_is_not_noted(void **state)
{
    struct note_world *w = *state;
    struct complete_note note;
    struct partition *p = lead(&w->leading, 1, 2);
    append_to(p, 3);
    be_at(p, 2, UNKNOWN_BROKER_EPOCH, 3);
    lead(&w->leading, 2, 1);
    assert_int_equal(look(w, &note), NOTE_KEEP);
    be_at(w->leading.p, 2, EPOCH_OF_2, 3);
    assert_int_equal(look(w, &note), NOTE_WRITE);
}

/* The checkpoint of our own watermark may be old: what was committed before we led is all that our
 * log held when we began. */
static void test_a_new_leader_notes_only_who_has_all_that_it_began_with(void **state)
{
    struct note_world *w = *state;
    struct complete_note note;
    struct partition *p = lead(&w->leading, 1, 1);
    append_to(p, 10);
    struct role_spec follow = {.leader = 2,
                               .leader_epoch = 2,
                               .partition_epoch = 20,
                               .id = id_of(1),
                               .replicas = {1, 2, 3},
                               .replicas_count = 3};
    partition_unref(take_role(w->leading.r, &follow));
    p = lead(&w->leading, 3, 1);
    assert_int_equal(partition_high_watermark(p), 0);
    be_at(p, 2, EPOCH_OF_2, 9);
    assert_int_equal(look(w, &note), NOTE_KEEP);
    be_at(p, 2, EPOCH_OF_2, 10);
    assert_int_equal(look(w, &note), NOTE_WRITE);
}

static void
test_a_lowered_minimum_moves_the_watermark_only_after_the_note_is_withdrawn(void **state)
{
    struct note_world *w = *state;
    struct complete_note note;
    struct partition *p = left_by_the_second(w);
    assert_int_equal(look(w, &note), NOTE_WRITE);
    int32_t told_before = w->told;
    partition_set_min_insync_replicas(p, 1);
    assert_true(w->told > told_before);
    append_to(p, 1);
    assert_int_equal(partition_high_watermark(p), 12);
    assert_int_equal(look(w, &note), NOTE_WITHDRAW);
    assert_int_equal(partition_high_watermark(p), 12);
    partition_note_withdrawn(p);
    assert_int_equal(partition_high_watermark(p), 13);
    assert_int_equal(look(w, &note), NOTE_KEEP);
}

static void test_a_grown_isr_voids_the_note_by_itself(void **state)
{
    struct note_world *w = *state;
    struct complete_note note;
    left_by_the_second(w);
    assert_int_equal(look(w, &note), NOTE_WRITE);
    struct partition *p = lead(&w->leading, 4, 2); /* another version of the state znode */
    append_to(p, 1);
    be_at(p, 2, EPOCH_OF_2, 13);
    assert_int_equal(partition_high_watermark(p), 13);
    assert_int_equal(look(w, &note), NOTE_WITHDRAW); /* for tidiness */
}

static void test_a_note_that_may_not_have_been_written_is_written_again(void **state)
{
    struct note_world *w = *state;
    struct complete_note note;
    left_by_the_second(w);
    assert_int_equal(look(w, &note), NOTE_WRITE);
    partition_note_unsure(w->leading.p);
    assert_int_equal(look(w, &note), NOTE_WRITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_who_had_reached_the_high_watermark_is_noted_and_nobody_else, setup, teardown),
        cmocka_unit_test_setup_teardown(test_with_enough_in_sync_nothing_is_noted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_follower_whose_broker_epoch_is_unknown_is_not_noted,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_new_leader_notes_only_who_has_all_that_it_began_with,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_lowered_minimum_moves_the_watermark_only_after_the_note_is_withdrawn, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_a_grown_isr_voids_the_note_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_note_that_may_not_have_been_written_is_written_again,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
