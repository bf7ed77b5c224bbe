/* Proves who leads when the last member of an ISR comes back from an unclean stop (KIP-966 in
 * ZooKeeper mode): the rule as pure functions, on a partition with replicas 1, 2, 3. */
#include "fixture.h"

#include "coordinator/controller/last_standing.h"
#include "coordinator/controller/leader_pick.h"
#include "coordinator/zk/znode.h"

#define LED_ZXID    100 /* the state that names leader 1 was written then */
#define LED_VERSION 4
#define CRASHED     200 /* broker epochs later than that state */
#define BEFORE      50

struct scene {
    struct context context;
    struct partition *partition;
    struct znode_complete_replica noted[2];
    struct znode_complete note;
};

static void broker(struct scene *scene, int32_t id, int64_t broker_epoch, int64_t intact_since)
{
    struct broker_node *node = context_broker(&scene->context, id);
    node->registered = true;
    node->broker_epoch = broker_epoch;
    node->intact_since = intact_since;
}

/* ISR 1 and nobody leads; 2 left it last and has everything, says the note. Nobody is registered.
 */
static void scene_init(struct scene *scene)
{
    struct ids replicas = {.ids = (int32_t[]){1, 2, 3}, .count = 3};
    *scene = (struct scene){0};
    context_init(&scene->context);
    struct topic *topic = context_add_topic(&scene->context, SLICE_LITERAL("orders"));
    scene->partition = context_add_partition(&scene->context, topic, 0);
    partition_assign(&scene->context, scene->partition, &replicas, NULL, NULL);
    struct leadership state = {.leader = LEADER_NONE,
                               .zk_version = LED_VERSION + 1,
                               .led_zxid = LED_ZXID,
                               .led_version = LED_VERSION};
    ids_add(&state.isr, 1);
    partition_set_leadership(scene->partition, &state);
    scene->noted[0] = (struct znode_complete_replica){.broker_id = 2, .broker_epoch = BEFORE};
    scene->note = (struct znode_complete){.leader = 1,
                                          .leader_broker_epoch = BEFORE,
                                          .state_version = LED_VERSION,
                                          .replicas = scene->noted,
                                          .replica_count = 1};
}

static void scene_done(struct scene *scene)
{
    context_done(&scene->context);
}

static int32_t pick(struct scene *scene, enum election how, bool has_note, bool *ret_unclean)
{
    struct leader_choice choice;
    if (!leader_pick(&scene->context, scene->partition, how, has_note ? &scene->note : NULL,
                     &choice))
        return LEADER_NONE;
    int32_t leader = choice.leader;
    *ret_unclean = choice.unclean;
    assert_true(ids_contains(&choice.isr, leader));
    if (choice.from_note || choice.unclean)
        assert_int_equal(choice.isr.count, 1);
    ids_done(&choice.isr);
    ids_done(&choice.told);
    return leader;
}

static void expect_pick(struct scene *scene, enum election how, bool has_note, int32_t leader,
                        bool unclean)
{
    bool was_unclean = false;
    assert_int_equal(pick(scene, how, has_note, &was_unclean), leader);
    assert_int_equal(was_unclean, unclean);
}

static void test_the_complete_one_leads_instead_of_the_damaged_last_member(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 1, CRASHED, CRASHED);
    broker(&scene, 2, CRASHED + 1, BEFORE); /* stopped in order, and back */
    expect_pick(&scene, ELECT_OFFLINE, true, 2, false);
    scene_done(&scene);
}

static void test_a_complete_one_that_is_away_is_waited_for(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 1, CRASHED, CRASHED);
    broker(&scene, 3, CRASHED, BEFORE);
    expect_pick(&scene, ELECT_OFFLINE, true, LEADER_NONE, false);
    expect_pick(&scene, ELECT_PREFERRED, true, LEADER_NONE, false);
    scene_done(&scene);
}

static void test_where_it_is_allowed_the_damaged_member_is_an_unclean_leader(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 1, CRASHED, CRASHED);
    broker(&scene, 3, CRASHED, BEFORE);
    expect_pick(&scene, ELECT_OFFLINE_UNCLEAN, true, 1, true);
    scene_done(&scene);
}

static void test_a_member_that_stopped_in_order_leads_whatever_the_note_says(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 1, CRASHED, BEFORE);
    broker(&scene, 2, CRASHED, BEFORE);
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    scene_done(&scene);
}

static void test_the_last_member_is_waited_for_while_it_is_away(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 2, CRASHED, BEFORE);
    expect_pick(&scene, ELECT_OFFLINE, true, LEADER_NONE, false);
    scene_done(&scene);
}

static void
test_an_unclean_election_takes_the_complete_one_before_others_and_is_clean_then(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 3, CRASHED, BEFORE);
    expect_pick(&scene, ELECT_OFFLINE_UNCLEAN, true, 3, true);
    broker(&scene, 2, BEFORE, BEFORE);
    scene.partition->replicas.ids[1] = 3; /* whatever the order */
    scene.partition->replicas.ids[2] = 2;
    expect_pick(&scene, ELECT_OFFLINE_UNCLEAN, true, 2, false);
    scene_done(&scene);
}

static void test_where_the_noted_one_crashed_too_the_member_leads_as_in_kafka(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 1, CRASHED, CRASHED);
    broker(&scene, 2, CRASHED + 1, CRASHED + 1);
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    scene_done(&scene);
}

/* The crash was hidden by a later clean restart of the noted broker. */
static void test_a_clean_stop_after_an_unclean_one_does_not_make_it_complete_again(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 1, CRASHED + 9, CRASHED); /* crashed, and was restarted in order since */
    broker(&scene, 2, CRASHED + 9, CRASHED);
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    broker(&scene, 2, CRASHED + 9, BEFORE);
    expect_pick(&scene, ELECT_OFFLINE, true, 2, false);
    scene_done(&scene);
}

static void test_without_a_note_or_with_one_of_another_state_it_is_as_in_kafka(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 1, CRASHED, CRASHED);
    broker(&scene, 2, CRASHED, BEFORE);
    expect_pick(&scene, ELECT_OFFLINE, false, 1, false);
    scene.note.state_version = LED_VERSION - 1;
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    scene.note.state_version = LED_VERSION + 1;
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    scene.note.state_version = LED_VERSION;
    scene.note.leader = 3;
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    scene_done(&scene);
}

static void
test_a_jvm_broker_that_does_not_tell_is_never_doubted_nor_taken_for_complete(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 1, CRASHED, INTACT_SINCE_UNKNOWN);
    broker(&scene, 2, CRASHED, BEFORE);
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    broker(&scene, 1, CRASHED, CRASHED);
    broker(&scene, 2, CRASHED, INTACT_SINCE_UNKNOWN);
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    broker(&scene, 2, BEFORE, INTACT_SINCE_UNKNOWN); /* it has never left */
    expect_pick(&scene, ELECT_OFFLINE, true, 2, false);
    scene_done(&scene);
}

static void
test_a_noted_replica_on_a_failed_directory_or_out_of_the_assignment_is_none(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    broker(&scene, 1, CRASHED, CRASHED);
    broker(&scene, 2, CRASHED, BEFORE);
    partition_replica(scene.partition, 2)->dir_offline = true;
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    partition_replica(scene.partition, 2)->dir_offline = false;
    scene.partition->replicas.count = 1;
    expect_pick(&scene, ELECT_OFFLINE, true, 1, false);
    scene_done(&scene);
}

static void test_a_whole_member_leads_and_a_damaged_one_leaves_the_isr(void **state)
{
    (void)state;
    struct scene scene;
    struct leader_choice choice;
    scene_init(&scene);
    ids_add(&scene.partition->leadership.isr, 3);
    broker(&scene, 1, CRASHED, CRASHED);
    broker(&scene, 3, BEFORE, BEFORE);
    assert_true(leader_pick(&scene.context, scene.partition, ELECT_OFFLINE, NULL, &choice));
    assert_int_equal(choice.leader, 3);
    assert_int_equal(choice.isr.count, 1);
    ids_done(&choice.isr);
    ids_done(&choice.told);
    scene_done(&scene);
}

static void test_a_leader_that_crashed_and_came_back_unseen_is_doubtful(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    struct leadership *now = &scene.partition->leadership;
    now->leader = 1;
    broker(&scene, 1, CRASHED, CRASHED);
    assert_true(standing_is_doubtful(&scene.context, scene.partition, 1));
    ids_add(&now->isr, 2);
    assert_false(standing_is_doubtful(&scene.context, scene.partition, 1)); /* 2 is away */
    broker(&scene, 2, CRASHED, BEFORE);
    assert_true(standing_is_doubtful(&scene.context, scene.partition, 1));
    now->led_zxid = 0;
    leadership_stands(now, 9, CRASHED + 1); /* chosen since */
    assert_false(standing_is_doubtful(&scene.context, scene.partition, 1));
    scene_done(&scene);
}

/* Else it counts as one that has everything, long after it has fetched it again: the two would look
 * alike once the leader crashes as well. */
static void test_a_follower_that_crashed_and_came_back_unseen_is_doubtful(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    scene.partition->leadership.leader = 1;
    ids_add(&scene.partition->leadership.isr, 2);
    broker(&scene, 1, BEFORE, BEFORE);
    broker(&scene, 2, CRASHED, CRASHED);
    assert_true(standing_is_doubtful(&scene.context, scene.partition, 2));
    assert_false(standing_is_doubtful(&scene.context, scene.partition, 1));
    scene_done(&scene);
}

/* Had both stayed in one state, no controller could tell who of them loses something once more:
 * the first to lose power would lead again with less, in the same epoch. */
static void test_where_all_members_crashed_unseen_one_goes_on_and_the_others_join_anew(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    struct leadership *now = &scene.partition->leadership;
    now->leader = 2;
    ids_add(&now->isr, 2);
    ids_add(&now->isr, 3);
    for (int32_t id = 1; id <= 3; id++)
        broker(&scene, id, CRASHED, CRASHED);
    assert_true(standing_is_doubtful(&scene.context, scene.partition, 1));
    assert_false(standing_is_doubtful(&scene.context, scene.partition, 2));
    assert_true(standing_is_doubtful(&scene.context, scene.partition, 3));
    now->leader = LEADER_NONE; /* then the one that will be chosen */
    assert_false(standing_is_doubtful(&scene.context, scene.partition, 1));
    assert_true(standing_is_doubtful(&scene.context, scene.partition, 2));
    scene_done(&scene);
}

static void test_a_state_without_a_leader_remembers_the_one_that_had_one(void **state)
{
    (void)state;
    struct leadership now = {.leader = 1};
    leadership_stands(&now, 7, 70);
    now.leader = LEADER_NONE;
    leadership_stands(&now, 8, 80);
    leadership_stands(&now, 9, 90);
    assert_int_equal(now.led_version, 7);
    assert_int_equal(now.led_zxid, 70);

    struct leadership of_a_jvm_controller = {.leader = LEADER_NONE};
    leadership_stands(&of_a_jvm_controller, 8, 80);
    assert_int_equal(of_a_jvm_controller.led_version, 7);
    assert_int_equal(of_a_jvm_controller.led_zxid, 80);
}

/* The controller took 2 out and did not know yet that 1 had come back empty. */
static void test_a_member_that_came_back_just_before_its_state_was_written_has_lost(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    ids_add(&scene.partition->leadership.isr, 3);
    broker(&scene, 1, BEFORE, BEFORE);
    broker(&scene, 3, BEFORE + 1, BEFORE + 1);
    struct leadership next = leadership_copy(&scene.partition->leadership);
    next.leader = 1;
    standing_begins(&scene.context, scene.partition, &next);
    leadership_stands(&next, 9, CRASHED + 5);
    assert_int_equal(next.led_zxid, BEFORE + 1);
    partition_set_leadership(scene.partition, &next);
    assert_false(standing_has_lost(&scene.context, &scene.partition->leadership, 1));
    broker(&scene, 1, CRASHED, CRASHED);
    assert_true(standing_has_lost(&scene.context, &scene.partition->leadership, 1));

    ids_add(&scene.partition->leadership.isr, 2);
    next = leadership_copy(&scene.partition->leadership);
    standing_begins(&scene.context, scene.partition, &next); /* nobody is missing */
    leadership_stands(&next, 10, CRASHED + 6);
    assert_int_equal(next.led_zxid, CRASHED + 6);
    leadership_done(&next);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_complete_one_leads_instead_of_the_damaged_last_member),
        cmocka_unit_test(test_a_complete_one_that_is_away_is_waited_for),
        cmocka_unit_test(test_where_it_is_allowed_the_damaged_member_is_an_unclean_leader),
        cmocka_unit_test(test_a_member_that_stopped_in_order_leads_whatever_the_note_says),
        cmocka_unit_test(test_the_last_member_is_waited_for_while_it_is_away),
        cmocka_unit_test(
            test_an_unclean_election_takes_the_complete_one_before_others_and_is_clean_then),
        cmocka_unit_test(test_where_the_noted_one_crashed_too_the_member_leads_as_in_kafka),
        cmocka_unit_test(test_a_clean_stop_after_an_unclean_one_does_not_make_it_complete_again),
        cmocka_unit_test(test_without_a_note_or_with_one_of_another_state_it_is_as_in_kafka),
        cmocka_unit_test(
            test_a_jvm_broker_that_does_not_tell_is_never_doubted_nor_taken_for_complete),
        cmocka_unit_test(
            test_a_noted_replica_on_a_failed_directory_or_out_of_the_assignment_is_none),
        cmocka_unit_test(test_a_whole_member_leads_and_a_damaged_one_leaves_the_isr),
        cmocka_unit_test(test_a_leader_that_crashed_and_came_back_unseen_is_doubtful),
        cmocka_unit_test(test_a_follower_that_crashed_and_came_back_unseen_is_doubtful),
        cmocka_unit_test(
            test_where_all_members_crashed_unseen_one_goes_on_and_the_others_join_anew),
        cmocka_unit_test(test_a_member_that_came_back_just_before_its_state_was_written_has_lost),
        cmocka_unit_test(test_a_state_without_a_leader_remembers_the_one_that_had_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
