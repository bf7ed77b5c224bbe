/* What the controller asks of a broker: LeaderAndIsr and StopReplica, and what is refused. */
#include "replica_fixture.h"

#include <errno.h>

static const struct role_spec first = {.leader_epoch = 5, .partition_epoch = 5, .id = {{0x70, 1}}};

#define assert_role(answer_, request_error, one_error)                                             \
    do {                                                                                           \
        struct role_answer got_ = (answer_);                                                       \
        assert_code(got_.error, request_error);                                                    \
        assert_code(got_.partition_error, one_error);                                              \
    } while (0)

static struct partition *find(struct replicas *r)
{
    return replica_manager_get(r->manager, SLICE_LITERAL("t"), 0);
}

static int32_t epoch_now(struct replicas *r)
{
    struct partition *p = find(r);
    int32_t epoch = p ? partition_leader_epoch(p) : -1;
    partition_unref(p);
    return epoch;
}

/* --- LeaderAndIsr --- */

static void test_a_role_makes_the_log_with_its_id(void **state)
{
    struct replicas *r = *state;
    assert_role(tell_role(r, &first), ERR_OK, ERR_OK);
    struct partition *p = find(r);
    assert_int_equal(partition_role(p), ROLE_LEADER);
    assert_int_equal(partition_leader_id(p), SELF);
    assert_true(uuid_equal(partition_topic_id(p), first.id));
    assert_true(uuid_equal(log_topic_id(partition_log(p)), first.id));
    assert_true(file_exists(r->logs, "t-0"));
    partition_unref(p);
}

/* A power cut may tear the file with the id, or take a deletion back. */
static void test_a_new_replica_does_not_inherit_a_log_without_an_id(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = first;
    append_many(fixture_log(r->logs, "t", 0), 3, 1, 8);
    spec.is_new = true;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_OK);
    struct partition *p = find(r);
    assert_int_equal(log_end_offset(partition_log(p)), 0);
    assert_true(uuid_equal(log_topic_id(partition_log(p)), first.id));
    partition_unref(p);
}

static void test_a_replica_that_is_known_keeps_a_log_that_lost_its_id(void **state)
{
    struct replicas *r = *state;
    append_many(fixture_log(r->logs, "t", 0), 3, 1, 8);
    assert_role(tell_role(r, &first), ERR_OK, ERR_OK);
    struct partition *p = find(r);
    assert_int_equal(log_end_offset(partition_log(p)), 3);
    partition_unref(p);
}

static void test_an_old_controller_is_refused_whole(void **state)
{
    struct replicas *r = *state;
    assert_role(tell_role(r, &first), ERR_OK, ERR_OK);
    struct role_spec spec = first;
    spec.leader_epoch = 6;
    spec.controller_epoch = CONTROL_EPOCH - 1;
    assert_role(tell_role(r, &spec), ERR_STALE_CONTROLLER_EPOCH, ERR_STALE_CONTROLLER_EPOCH);
    assert_int_equal(epoch_now(r), 5);
    spec.controller_epoch = CONTROL_EPOCH + 1; /* a newer one is remembered */
    assert_role(tell_role(r, &spec), ERR_OK, ERR_OK);
    spec.leader_epoch = 7;
    spec.controller_epoch = CONTROL_EPOCH;
    assert_role(tell_role(r, &spec), ERR_STALE_CONTROLLER_EPOCH, ERR_STALE_CONTROLLER_EPOCH);
    assert_int_equal(epoch_now(r), 6);
}

static void test_a_request_for_an_earlier_life_of_the_broker_is_refused(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = first;
    spec.broker_epoch = BROKER_EPOCH - 1;
    spec.controller_epoch = CONTROL_EPOCH + 5; /* not remembered: the gate was not passed */
    assert_role(tell_role(r, &spec), ERR_STALE_BROKER_EPOCH, ERR_STALE_BROKER_EPOCH);
    assert_int_equal(epoch_now(r), -1);
    spec = first;
    spec.broker_epoch = -1; /* an old controller does not tell it */
    assert_role(tell_role(r, &spec), ERR_OK, ERR_OK);
    spec.leader_epoch++;
    spec.broker_epoch = BROKER_EPOCH + 1; /* ours is not known here yet */
    assert_role(tell_role(r, &spec), ERR_OK, ERR_OK);
}

static void test_a_kraft_controller_is_refused(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = first;
    spec.is_kraft = true;
    assert_role(tell_role(r, &spec), ERR_INVALID_REQUEST, ERR_INVALID_REQUEST);
    assert_int_equal(epoch_now(r), -1);
}

static void test_the_same_leader_epoch_again_is_stale(void **state)
{
    struct replicas *r = *state;
    assert_role(tell_role(r, &first), ERR_OK, ERR_OK);
    struct role_spec spec = first;
    spec.leader = 2;
    spec.replicas[0] = 1, spec.replicas[1] = 2, spec.replicas_count = 2;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_STALE_CONTROLLER_EPOCH);
    struct partition *p = find(r);
    assert_int_equal(partition_role(p), ROLE_LEADER);
    assert_int_equal(partition_leader_id(p), SELF);
    partition_unref(p);
}

/* What is told again is no news; what is of the past is traced. */
static void test_an_older_leader_epoch_is_refused_and_traced(void **state)
{
    struct replicas *r = *state;
    struct traced traced;
    assert_role(tell_role(r, &first), ERR_OK, ERR_OK);
    traced_begin(&traced, TRACE_WARN);
    assert_role(tell_role(r, &first), ERR_OK, ERR_STALE_CONTROLLER_EPOCH);
    assert_int_equal(traced.lines, 0);
    struct role_spec spec = first;
    spec.leader = 2;
    spec.replicas[0] = 1, spec.replicas[1] = 2, spec.replicas_count = 2;
    spec.leader_epoch = 4;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_STALE_CONTROLLER_EPOCH);
    traced_end();
    assert_int_equal(traced.lines, 1);
    assert_non_null(strstr(traced.last, "no role taken topic=t partition=0 leader=2 "
                                        "leader_epoch=4 error=STALE_CONTROLLER_EPOCH"));
    assert_non_null(strstr(traced.last, "leader epoch 5"));
    struct partition *p = find(r);
    assert_int_equal(partition_role(p), ROLE_LEADER);
    assert_int_equal(partition_leader_id(p), SELF);
    assert_int_equal(partition_leader_epoch(p), 5);
    partition_unref(p);
}

static void test_the_same_epoch_may_bring_the_topic_id(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = first;
    spec.id = UUID_ZERO;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_OK);
    assert_false(file_exists(r->logs, "t-0/partition.metadata"));
    assert_role(tell_role(r, &first), ERR_OK, ERR_OK);
    struct partition *p = find(r);
    assert_true(uuid_equal(partition_topic_id(p), first.id));
    assert_true(uuid_equal(log_topic_id(partition_log(p)), first.id));
    partition_unref(p);
    assert_role(tell_role(r, &first), ERR_OK, ERR_STALE_CONTROLLER_EPOCH); /* once */
}

static void test_another_topic_id_is_inconsistent_whatever_the_epoch(void **state)
{
    struct replicas *r = *state;
    assert_role(tell_role(r, &first), ERR_OK, ERR_OK);
    struct role_spec spec = first;
    spec.id = id_of(9);
    for (spec.leader_epoch = 4; spec.leader_epoch <= 6; spec.leader_epoch++)
        assert_role(tell_role(r, &spec), ERR_OK, ERR_INCONSISTENT_TOPIC_ID);
    assert_int_equal(epoch_now(r), 5);
}

/* The topic was deleted and made anew while the broker was away. */
static void test_a_log_left_of_another_topic_is_not_taken(void **state)
{
    struct replicas *r = *state;
    struct log *log;
    assert_err(log_manager_create(r->logs->manager, "t", 0, id_of(9), &log), ERR_OK);
    append_many(log, 1, 2, 8);
    assert_role(tell_role(r, &first), ERR_OK, ERR_INCONSISTENT_TOPIC_ID);
    assert_int_equal(log_end_offset(log), 2);
    assert_int_equal(epoch_now(r), -1);
}

static void test_who_is_no_replica_takes_no_role(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = first;
    spec.leader = 2;
    spec.replicas[0] = 2, spec.replicas[1] = 3, spec.replicas_count = 2;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_null(find(r));
    assert_false(file_exists(r->logs, "t-0"));
}

static void test_names_and_numbers_that_cannot_be_are_unknown(void **state)
{
    struct replicas *r = *state;
    char name[251];
    memset(name, 'n', 250);
    name[250] = 0;
    struct role_spec spec = first;
    spec.topic = name;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    spec.topic = "";
    assert_role(tell_role(r, &spec), ERR_OK, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    spec = first;
    spec.partition = -1;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_UNKNOWN_TOPIC_OR_PARTITION);
}

static void test_an_older_state_of_the_znode_is_accepted_and_ignored(void **state)
{
    struct replicas *r = *state;
    assert_role(tell_role(r, &first), ERR_OK, ERR_OK);
    struct role_spec spec = first;
    spec.leader_epoch = 6;
    spec.partition_epoch = 4;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_OK);
    assert_int_equal(epoch_now(r), 5);
}

static void test_a_leader_becomes_a_follower_and_leads_again(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = first;
    struct partition *p = take_role(r, &spec);
    append_to(p, 4);
    spec.leader_epoch = spec.partition_epoch = 6;
    spec.leader = 2;
    spec.replicas[0] = 1, spec.replicas[1] = 2, spec.replicas_count = 2;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_OK);
    assert_int_equal(partition_role(p), ROLE_FOLLOWER);
    assert_int_equal(partition_leader_id(p), 2);
    spec.leader_epoch = spec.partition_epoch = 7;
    spec.leader = SELF;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_OK);
    assert_int_equal(partition_role(p), ROLE_LEADER);
    assert_int_equal(partition_high_watermark(p), 4);
    partition_unref(p);
}

static int no_fsync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

/* The directory of the log fails, and the server is told. */
static void fail_dir_of(struct replicas *r, struct log *log)
{
    struct file_ops faulty = file_ops_system;
    faulty.fsync = faulty.fdatasync = no_fsync;
    file_ops = &faulty;
    assert_err(log_flush(log), ERR_IO);
    file_ops = &file_ops_system;
    assert_int_equal(r->logs->dirs_failed, 1);
    replica_manager_dir_failed(r->manager, log_dir_of(log));
}

static void test_a_failed_directory_takes_its_partitions_and_new_ones_offline(void **state)
{
    struct replicas *r = *state;
    struct partition *p = take_role(r, &first);
    append_to(p, 2);
    fail_dir_of(r, partition_log(p));
    assert_int_equal(partition_role(p), ROLE_OFFLINE);
    partition_unref(p);
    struct partition *found = NULL;
    assert_err(replica_manager_find(r->manager, SLICE_LITERAL("t"), 0, &found), ERR_OK);
    struct log *log;
    assert_err(partition_check(found, -1, true, &log), ERR_KAFKA_STORAGE_ERROR);
    partition_unref(found);
    struct role_spec spec = first;
    spec.leader_epoch = 6;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_KAFKA_STORAGE_ERROR);
    spec.partition = 1; /* its data may be on the directory that is away */
    assert_role(tell_role(r, &spec), ERR_OK, ERR_KAFKA_STORAGE_ERROR);
    assert_code(tell_stop(r, "t", 0, 7, true), ERR_KAFKA_STORAGE_ERROR);
}

static int two_dirs_setup(void **state)
{
    struct replicas *r = replicas_new();
    replica_manager_free(TAKE(r->manager));
    fixture_stop(r->logs);
    r->logs->dirs_count = 2;
    fixture_start(r->logs);
    replicas_make_manager(r);
    *state = r;
    return 0;
}

static void test_beside_a_failed_directory_only_what_is_new_is_made(void **state)
{
    struct replicas *r = *state;
    struct partition *p = take_role(r, &first);
    append_to(p, 1);
    fail_dir_of(r, partition_log(p));
    partition_unref(p);
    struct role_spec spec = first;
    spec.partition = 1;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_KAFKA_STORAGE_ERROR);
    spec.is_new = true;
    assert_role(tell_role(r, &spec), ERR_OK, ERR_OK);
}

/* Versions before 2 list partitions without topics around them, those before 5 answer so. */
static void test_old_versions_answer_by_name(void **state)
{
    struct replicas *r = *state;
    int32_t self[] = {SELF};
    struct leader_and_isr_request_leader_and_isr_partition_state states[2];
    for (int i = 0; i < 2; i++) {
        leader_and_isr_request_leader_and_isr_partition_state_init(&states[i]);
        states[i].topic_name = SLICE_LITERAL("old");
        states[i].partition_index = i;
        states[i].leader = SELF;
        states[i].leader_epoch = i == 0 ? 3 : 0;
        states[i].isr = states[i].replicas = self;
        states[i].isr_count = states[i].replicas_count = i == 0 ? 1 : 0;
    }
    struct leader_and_isr_request request;
    leader_and_isr_request_init(&request);
    request.controller_epoch = CONTROL_EPOCH;
    request.ungrouped_partition_states = states;
    request.ungrouped_partition_states_count = 2;
    struct leader_and_isr_response response;
    replica_manager_leader_and_isr(r->manager, &request, 1, r->arena, &response);
    assert_int_equal(response.error_code, 0);
    assert_int_equal(response.partition_errors_count, 2);
    assert_true(slice_equal_str(response.partition_errors[0].topic_name, "old"));
    assert_int_equal(response.partition_errors[0].error_code, 0);
    assert_int_equal(response.partition_errors[1].partition_index, 1);
    assert_code(response.partition_errors[1].error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
}

/* --- StopReplica --- */

static void test_a_stop_without_deletion_keeps_the_log(void **state)
{
    struct replicas *r = *state;
    struct partition *p = take_role(r, &first);
    append_to(p, 3);
    partition_unref(p);
    assert_code(tell_stop(r, "t", 0, 5, false), ERR_OK);
    assert_true(file_exists(r->logs, "t-0"));
    struct role_spec spec = first;
    spec.leader_epoch = spec.partition_epoch = 6;
    p = take_role(r, &spec);
    assert_int_equal(partition_high_watermark(p), 3);
    partition_unref(p);
}

static void test_a_stop_of_an_older_epoch_is_fenced(void **state)
{
    struct replicas *r = *state;
    partition_unref(take_role(r, &first));
    assert_code(tell_stop(r, "t", 0, 4, true), ERR_FENCED_LEADER_EPOCH);
    assert_true(file_exists(r->logs, "t-0"));
    assert_int_equal(epoch_now(r), 5);
}

static void test_a_stop_deletes_when_told_for_equal_newer_or_no_epoch(void **state)
{
    struct replicas *r = *state;
    static const int32_t epochs[] = {5, 6, -1, -2};
    for (size_t i = 0; i < ARRAY_SIZE(epochs); i++) {
        partition_unref(take_role(r, &first));
        assert_code(tell_stop(r, "t", 0, epochs[i], true), ERR_OK);
        assert_null(find(r));
        assert_false(file_exists(r->logs, "t-0"));
        assert_null(fixture_find(r->logs, "t", 0));
    }
    /* It is known to the cluster still, until UpdateMetadata says otherwise. */
    struct partition *found = NULL;
    assert_err(replica_manager_find(r->manager, SLICE_LITERAL("t"), 0, &found),
               ERR_NOT_LEADER_OR_FOLLOWER);
}

static int broken_fsync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

/* The controller forgets what is deleted: nothing would delete what a power cut brought back. */
static void test_a_deletion_is_on_stable_storage_before_it_is_answered(void **state)
{
    struct replicas *r = *state;
    struct log_dir *dir = &r->logs->manager->dirs[0];
    struct file_ops broken = *file_ops;
    partition_unref(take_role(r, &first));
    assert_code(tell_stop(r, "t", 0, 5, true), ERR_OK);
    assert_false(atomic_load(&dir->has_unsettled_deletion));

    partition_unref(take_role(r, &first));
    broken.fsync = broken_fsync;
    file_ops = &broken;
    assert_code(tell_stop(r, "t", 0, 5, true), ERR_KAFKA_STORAGE_ERROR);
    file_ops = &file_ops_system;
    assert_false(atomic_load(&dir->is_online));
}

static void test_a_deleted_partition_is_made_anew_and_empty(void **state)
{
    struct replicas *r = *state;
    struct partition *p = take_role(r, &first);
    append_to(p, 3);
    partition_unref(p);
    assert_code(tell_stop(r, "t", 0, -2, true), ERR_OK);
    p = take_role(r, &(struct role_spec){.id = id_of(9), .is_new = true});
    assert_int_equal(partition_leader_epoch(p), 0);
    assert_int_equal(log_end_offset(partition_log(p)), 0);
    assert_int_equal(partition_high_watermark(p), 0);
    partition_unref(p);
}

static void test_a_deletion_reaches_logs_that_have_no_role(void **state)
{
    struct replicas *r = *state;
    fixture_log(r->logs, "t", 0);
    assert_code(tell_stop(r, "t", 0, -2, true), ERR_OK);
    assert_false(file_exists(r->logs, "t-0"));
    assert_code(tell_stop(r, "t", 0, -2, true), ERR_OK); /* a repeat finds nothing, and is right */
    assert_code(tell_stop(r, "never was", 3, -2, false), ERR_OK);
}

struct noted_waiter {
    struct partition_waiter waiter;
    int moves;
};

static void note(struct partition_waiter *waiter)
{
    ((struct noted_waiter *)waiter)->moves++;
}

struct noted_watcher {
    struct partition_watcher watcher;
    int moves;
};

static void note_movement(struct partition_watcher *watcher, enum movement movement)
{
    ((struct noted_watcher *)watcher)->moves += movement == MOVED_ROLE;
}

static void test_who_waits_is_told_when_the_replica_is_deleted(void **state)
{
    struct replicas *r = *state;
    struct partition *p = take_role(r, &first);
    struct noted_watcher fetch = {.watcher.moved = note_movement};
    struct noted_waiter ack = {.waiter = {.moved = note, .offset = 9}};
    partition_watch(p, &fetch.watcher);
    assert_true(partition_wait_ack(p, &ack.waiter));
    assert_code(tell_stop(r, "t", 0, -2, true), ERR_OK);
    assert_int_equal(fetch.moves, 1);
    assert_int_equal(ack.moves, 1);
    assert_err(partition_ack_state(p, 9), ERR_NOT_LEADER_OR_FOLLOWER);
    partition_unwatch(p, &fetch.watcher);
    partition_unref(p);
}

static void test_stops_of_all_versions_name_their_partitions(void **state)
{
    struct replicas *r = *state;
    partition_unref(take_role(r, &first));
    struct stop_replica_request request;
    stop_replica_request_init(&request);
    request.controller_epoch = CONTROL_EPOCH;
    request.delete_partitions = true;
    struct stop_replica_request_stop_replica_partition_v0 one = {.topic_name = SLICE_LITERAL("t")};
    int32_t indexes[] = {0, 7};
    struct stop_replica_request_stop_replica_topic_v1 topic = {
        .name = SLICE_LITERAL("t"), .partition_indexes = indexes, .partition_indexes_count = 2};
    request.ungrouped_partitions = &one;
    request.ungrouped_partitions_count = 1;
    struct stop_replica_response response;
    replica_manager_stop_replica(r->manager, &request, 0, r->arena, &response);
    assert_int_equal(response.partition_errors_count, 1);
    assert_code(response.partition_errors[0].error_code, ERR_OK);
    assert_false(file_exists(r->logs, "t-0"));
    request.ungrouped_partitions_count = 0;
    request.topics = &topic;
    request.topics_count = 1;
    replica_manager_stop_replica(r->manager, &request, 1, r->arena, &response);
    assert_int_equal(response.partition_errors_count, 2);
    assert_int_equal(response.partition_errors[1].partition_index, 7);
    request.controller_epoch = CONTROL_EPOCH - 1;
    replica_manager_stop_replica(r->manager, &request, 1, r->arena, &response);
    assert_code(response.error_code, ERR_STALE_CONTROLLER_EPOCH);
    assert_int_equal(response.partition_errors_count, 0);
}

/* --- what clients are told --- */

static void test_a_partition_that_is_elsewhere_is_not_unknown(void **state)
{
    struct replicas *r = *state;
    struct partition *found = NULL;
    assert_err(replica_manager_find(r->manager, SLICE_LITERAL("t"), 0, &found),
               ERR_UNKNOWN_TOPIC_OR_PARTITION);
    tell_topic(r, "t", id_of(1), 1, 2, 0);
    assert_err(replica_manager_find(r->manager, SLICE_LITERAL("t"), 0, &found),
               ERR_NOT_LEADER_OR_FOLLOWER);
    assert_err(replica_manager_find(r->manager, SLICE_LITERAL("t"), 1, &found),
               ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_null(found);
}

static void test_a_changed_min_isr_reaches_the_partitions_of_its_topic(void **state)
{
    struct replicas *r = *state;
    struct role_spec spec = first;
    spec.replicas[0] = 1, spec.replicas[1] = 2, spec.replicas_count = 2;
    spec.isr[0] = 1, spec.isr_count = 1;
    struct partition *p = take_role(r, &spec);
    assert_err(try_append_to(p, ACKS_ALL, &(struct batch_spec){0}), ERR_OK);
    r->min_insync_replicas = 2;
    replica_manager_topic_changed(r->manager, "another");
    assert_err(try_append_to(p, ACKS_ALL, &(struct batch_spec){0}), ERR_OK);
    replica_manager_topic_changed(r->manager, "t");
    assert_err(try_append_to(p, ACKS_ALL, &(struct batch_spec){0}), ERR_NOT_ENOUGH_REPLICAS);
    partition_unref(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, replicas_setup, replicas_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_role_makes_the_log_with_its_id),
        TEST(test_a_replica_that_is_known_keeps_a_log_that_lost_its_id),
        TEST(test_a_new_replica_does_not_inherit_a_log_without_an_id),
        TEST(test_an_old_controller_is_refused_whole),
        TEST(test_a_request_for_an_earlier_life_of_the_broker_is_refused),
        TEST(test_a_kraft_controller_is_refused),
        TEST(test_the_same_leader_epoch_again_is_stale),
        TEST(test_an_older_leader_epoch_is_refused_and_traced),
        TEST(test_the_same_epoch_may_bring_the_topic_id),
        TEST(test_another_topic_id_is_inconsistent_whatever_the_epoch),
        TEST(test_a_log_left_of_another_topic_is_not_taken),
        TEST(test_who_is_no_replica_takes_no_role),
        TEST(test_names_and_numbers_that_cannot_be_are_unknown),
        TEST(test_an_older_state_of_the_znode_is_accepted_and_ignored),
        TEST(test_a_leader_becomes_a_follower_and_leads_again),
        TEST(test_a_failed_directory_takes_its_partitions_and_new_ones_offline),
        cmocka_unit_test_setup_teardown(test_beside_a_failed_directory_only_what_is_new_is_made,
                                        two_dirs_setup, replicas_teardown),
        TEST(test_old_versions_answer_by_name),
        TEST(test_a_stop_without_deletion_keeps_the_log),
        TEST(test_a_stop_of_an_older_epoch_is_fenced),
        TEST(test_a_stop_deletes_when_told_for_equal_newer_or_no_epoch),
        TEST(test_a_deletion_is_on_stable_storage_before_it_is_answered),
        TEST(test_a_deleted_partition_is_made_anew_and_empty),
        TEST(test_a_deletion_reaches_logs_that_have_no_role),
        TEST(test_who_waits_is_told_when_the_replica_is_deleted),
        TEST(test_stops_of_all_versions_name_their_partitions),
        TEST(test_a_partition_that_is_elsewhere_is_not_unknown),
        TEST(test_a_changed_min_isr_reaches_the_partitions_of_its_topic),
    };
    return cmocka_run_group_tests_name("replica control", tests, NULL, NULL);
}
