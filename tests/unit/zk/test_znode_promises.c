/* What Stoker adds to Kafka's znodes for the last replica standing: it comes back as it was
 * written, Kafka's own keys are not touched by it, and nonsense counts as nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/zk/znode.h"

#define ZXID ((int64_t)3 << 40)

static int setup(void **state)
{
    *state = arena_new();
    return 0;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static void test_the_note_of_the_complete_round_trips(void **state)
{
    struct znode_complete_replica replicas[] = {{2, ZXID}, {5, 1}};
    struct znode_complete note = {.leader = 1,
                                  .leader_broker_epoch = ZXID + 1,
                                  .state_version = 12,
                                  .replicas = replicas,
                                  .replica_count = 2};
    struct znode_complete read;
    struct slice text = znode_complete_encode(*state, &note);
    assert_int_equal(znode_complete_decode(*state, text, &read), ERR_OK);
    assert_int_equal(read.leader, 1);
    assert_int_equal(read.leader_broker_epoch, ZXID + 1);
    assert_int_equal(read.state_version, 12);
    assert_int_equal(read.replica_count, 2);
    assert_memory_equal(&read.replicas[0].broker_epoch, &replicas[0].broker_epoch, 8);
    assert_int_equal(read.replicas[1].broker_id, 5);
    assert_string_equal(znode_complete_path(*state, SLICE_LITERAL("orders"), 3),
                        "/brokers/topics/orders/partitions/3/stoker_complete");
}

static void test_a_note_that_is_broken_or_of_a_later_version_is_refused(void **state)
{
    static const char *const broken[] = {
        "",
        "[]",
        "{}",
        "{\"version\":2,\"leader\":1,\"broker_epoch\":5,\"state_version\":1,\"complete\":[]}",
        "{\"version\":1,\"leader\":1,\"broker_epoch\":-5,\"state_version\":1,\"complete\":[]}",
        "{\"version\":1,\"leader\":1,\"broker_epoch\":5,\"state_version\":1,\"complete\":[{}]}",
        "{\"version\":1,\"leader\":1,\"broker_epoch\":5,\"state_version\":1,\"complete\":[3]}",
        "{\"version\":1,\"leader\":1,\"broker_epoch\":5,\"state_version\":1}",
        "{\"version\":1,\"leader\":1,\"broker_epoch\":5,\"complete\":[]}",
        "{\"version\":1,\"leader\":1,\"broker_epoch\":5,\"state_version\":1,\"complete\":[],"
        "\"settings_zxid\":\"5\"}",
    };
    struct znode_complete read;
    for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
        assert_int_equal(znode_complete_decode(*state, slice_str(broken[i]), &read), ERR_MALFORMED);
}

static void test_a_note_of_a_controller_tells_of_the_settings_that_it_knew(void **state)
{
    struct znode_complete read, note = {.leader = 1, .state_version = 4};
    struct slice text = znode_complete_encode(*state, &note);
    assert_int_equal(znode_complete_decode(*state, text, &read), ERR_OK);
    assert_false(read.is_of_controller);
    note.is_of_controller = true;
    for (note.settings_zxid = 0; note.settings_zxid <= ZXID; note.settings_zxid += ZXID) {
        text = znode_complete_encode(*state, &note);
        assert_int_equal(znode_complete_decode(*state, text, &read), ERR_OK);
        assert_true(read.is_of_controller);
        assert_int_equal(read.settings_zxid, note.settings_zxid);
    }
}

static void test_a_registration_tells_since_when_its_broker_is_intact(void **state)
{
    struct znode_endpoint endpoint = {SLICE_LITERAL("PLAINTEXT"), SLICE_LITERAL("h"), 9092, 0};
    const int64_t told[] = {INTACT_SINCE_UNKNOWN, INTACT_SINCE_REGISTRATION, ZXID};
    for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
        struct znode_broker read, broker = {.endpoints = &endpoint,
                                            .endpoint_count = 1,
                                            .jmx_port = -1,
                                            .intact_since = told[i]};
        struct slice text = znode_broker_encode(*state, &broker);
        assert_int_equal(memmem(text.data, text.size, "stoker", 6) != NULL, told[i] != 0);
        assert_int_equal(znode_broker_decode(*state, text, &read), ERR_OK);
        assert_int_equal(read.intact_since, told[i]);
        text = znode_broker_set_intact_since(*state, text, 7);
        assert_int_equal(znode_broker_decode(*state, text, &read), ERR_OK);
        assert_int_equal(read.intact_since, 7);
    }
}

static void test_a_state_tells_since_when_its_members_are_known_where_that_is_known(void **state)
{
    struct znode_partition_state read, at = {.leader = -1,
                                             .leader_epoch = 3,
                                             .controller_epoch = 2,
                                             .isr = {.ids = (int32_t[]){1}, .count = 1},
                                             .led_zxid = ZXID,
                                             .led_version = 9};
    struct slice text = znode_partition_state_encode(*state, &at);
    assert_int_equal(znode_partition_state_decode(*state, text, &read), ERR_OK);
    assert_int_equal(read.led_zxid, ZXID);
    assert_int_equal(read.led_version, 9);
    struct slice updated = znode_partition_state_update(*state, text, &at);
    assert_int_equal(updated.size, text.size);
    at.leader = 1;
    updated = znode_partition_state_update(*state, text, &at);
    assert_int_equal(znode_partition_state_decode(*state, updated, &read), ERR_OK);
    assert_int_equal(read.led_zxid, ZXID);
    at.led_zxid = 0;
    updated = znode_partition_state_update(*state, text, &at);
    assert_null(memmem(updated.data, updated.size, "stoker", 6));
    assert_null(memmem(znode_partition_state_encode(*state, &at).data,
                       znode_partition_state_encode(*state, &at).size, "stoker", 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_note_of_the_complete_round_trips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_note_that_is_broken_or_of_a_later_version_is_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_note_of_a_controller_tells_of_the_settings_that_it_knew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_registration_tells_since_when_its_broker_is_intact,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_state_tells_since_when_its_members_are_known_where_that_is_known, setup,
            teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
