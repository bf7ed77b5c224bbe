/* Proves what the controller answers brokers: AlterPartition in its order of checks, producer ids,
 * controlled shutdown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "broker/base/trace.h"
#include "tests/sim/world.h"

#define SETTLE_MS 5000

struct fixture {
    struct world *world;
    struct arena *arena;
    int32_t leader;
    int16_t top_error, error, partition_epoch_seen;
    int32_t remaining;
    int64_t first_id;
};

static struct fixture begin(int32_t brokers)
{
    struct fixture f = {.world = world_new(3, brokers), .arena = arena_new()};
    for (int32_t i = 0; i < brokers; i++) {
        world_start(f.world, i);
        world_settle(f.world, SETTLE_MS);
    }
    int16_t error;
    world_create_topic(f.world, "orders", 1, (int16_t)brokers, 30000, &error);
    world_settle(f.world, SETTLE_MS);
    assert_int_equal(error, 0);
    f.leader = world_leader(f.world, "orders", 0);
    return f;
}

static void end(struct fixture *f)
{
    assert_string_equal(f->world->complaint, "");
    world_free(f->world);
    arena_free(f->arena);
}

static void altered(void *context, const void *response)
{
    struct fixture *f = context;
    const struct alter_partition_response *r = response;
    f->top_error = r->error_code;
    f->error = r->topics_count > 0 ? r->topics[0].partitions[0].error_code : -100;
    f->partition_epoch_seen =
        (int16_t)(r->topics_count > 0 ? r->topics[0].partitions[0].partition_epoch : -1);
}

static void alter(struct fixture *f, int32_t leader_epoch, int32_t partition_epoch, int32_t *isr,
                  int32_t isr_count)
{
    struct world_broker *sender = &f->world->brokers[f->leader];
    struct alter_partition_request *request = arena_alloc(f->arena, sizeof *request);
    alter_partition_request_init(request);
    request->broker_id = sender->id;
    request->broker_epoch = sender->broker_epoch;
    request->topics_count = 1;
    request->topics = arena_alloc(f->arena, sizeof *request->topics);
    alter_partition_request_topic_data_init(request->topics);
    request->topics->topic_id = sender->metadata[0][0].topic_id;
    request->topics->partitions_count = 1;
    request->topics->partitions = arena_alloc(f->arena, sizeof *request->topics->partitions);
    struct alter_partition_request_partition_data *partition = request->topics->partitions;
    alter_partition_request_partition_data_init(partition);
    partition->leader_epoch = leader_epoch;
    partition->partition_epoch = partition_epoch;
    partition->new_isr = isr;
    partition->new_isr_count = isr_count;
    controller_alter_partition(world_controller(f->world)->controller, request, 2, f->arena,
                               altered, f);
    world_settle(f->world, SETTLE_MS);
}

/* T13 to T16 */
static void test_alter_partition_checks_in_kafkas_order_and_keeps_the_leader_epoch(void **state)
{
    (void)state;
    struct fixture f = begin(3);
    int32_t one[] = {f.leader};
    int32_t dead[] = {f.leader, 99};
    alter(&f, 0, 0, one, 1);
    assert_int_equal(f.error, 0);
    assert_int_equal(f.partition_epoch_seen, 1);
    assert_int_equal(world_leader_epoch(f.world, "orders", 0), 0);
    alter(&f, 0, 0, one, 1); /* the answer was lost: the same again */
    assert_int_equal(f.error, 0);
    assert_int_equal(f.partition_epoch_seen, 1);
    int32_t two[] = {f.leader, (f.leader + 1) % 3};
    alter(&f, 0, 0, two, 2);
    assert_int_equal(f.error, err_wire_code(ERR_INVALID_UPDATE_VERSION));
    alter(&f, 1, 1, two, 2);
    assert_int_equal(f.error, err_wire_code(ERR_NOT_CONTROLLER));
    alter(&f, 0, 7, two, 2);
    assert_int_equal(f.error, err_wire_code(ERR_NOT_CONTROLLER));
    alter(&f, -1, 1, two, 2);
    assert_int_equal(f.error, err_wire_code(ERR_FENCED_LEADER_EPOCH));
    alter(&f, 0, 1, dead, 2);
    assert_int_equal(f.error, err_wire_code(ERR_INELIGIBLE_REPLICA));
    alter(&f, 0, 1, two, 2);
    assert_int_equal(f.error, 0);
    f.world->brokers[f.leader].broker_epoch++; /* exact here, unlike at the brokers (T31) */
    alter(&f, 0, 2, one, 1);
    assert_int_equal(f.top_error, err_wire_code(ERR_STALE_BROKER_EPOCH));
    end(&f);
}

static void allocated(void *context, const void *response)
{
    struct fixture *f = context;
    const struct allocate_producer_ids_response *r = response;
    f->error = r->error_code;
    f->first_id = r->producer_id_start;
    assert_int_equal(r->producer_id_len, r->error_code ? 0 : 1000);
}

static void allocate(struct fixture *f, int32_t broker_id, int64_t broker_epoch)
{
    struct allocate_producer_ids_request *request = arena_alloc(f->arena, sizeof *request);
    allocate_producer_ids_request_init(request);
    request->broker_id = broker_id;
    request->broker_epoch = broker_epoch;
    controller_allocate_producer_ids(world_controller(f->world)->controller, request, f->arena,
                                     allocated, f);
    world_settle(f->world, SETTLE_MS);
}

/* T7: null data is where it begins. The znode names who asked, not who controls. */
static void test_blocks_of_producer_ids_follow_one_another(void **state)
{
    (void)state;
    struct fixture f = begin(2);
    assert_int_equal(world_controller(f.world)->id, 0);
    int64_t broker_epoch = f.world->brokers[0].broker_epoch;
    allocate(&f, 0, broker_epoch);
    assert_int_equal(f.error, 0);
    assert_int_equal(f.first_id, 0);
    allocate(&f, 0, broker_epoch);
    assert_int_equal(f.first_id, 1000);
    assert_string_equal(
        world_znode(f.world, "/latest_producer_id_block"),
        "{\"version\":1,\"broker\":0,\"block_start\":\"1000\",\"block_end\":\"1999\"}");
    allocate(&f, 1, f.world->brokers[1].broker_epoch);
    assert_int_equal(f.first_id, 2000);
    assert_string_equal(
        world_znode(f.world, "/latest_producer_id_block"),
        "{\"version\":1,\"broker\":1,\"block_start\":\"2000\",\"block_end\":\"2999\"}");
    allocate(&f, 0, broker_epoch - 1);
    assert_int_equal(f.error, err_wire_code(ERR_STALE_BROKER_EPOCH));
    allocate(&f, 5, 1);
    assert_int_equal(f.error, err_wire_code(ERR_BROKER_ID_NOT_REGISTERED));
    end(&f);
}

static void shut_down(void *context, const void *response)
{
    struct fixture *f = context;
    const struct controlled_shutdown_response *r = response;
    f->error = r->error_code;
    f->remaining = r->remaining_partitions_count;
}

/* T17 */
static void test_a_broker_that_shuts_down_leads_nothing_more_and_may_not_join_an_isr(void **state)
{
    (void)state;
    struct fixture f = begin(3);
    struct controlled_shutdown_request *request = arena_alloc(f.arena, sizeof *request);
    controlled_shutdown_request_init(request);
    request->broker_id = f.leader;
    request->broker_epoch = f.world->brokers[f.leader].broker_epoch;
    controller_controlled_shutdown(world_controller(f.world)->controller, request, f.arena,
                                   shut_down, &f);
    world_settle(f.world, SETTLE_MS);
    assert_int_equal(f.error, 0);
    assert_int_equal(f.remaining, 0);
    int32_t old = f.leader;
    f.leader = world_leader(f.world, "orders", 0);
    assert_int_not_equal(f.leader, old);
    assert_int_equal(world_leader_epoch(f.world, "orders", 0), 1);
    int32_t with_old[] = {f.leader, old};
    alter(&f, 1, 1, with_old, 2);
    assert_int_equal(f.error, err_wire_code(ERR_INELIGIBLE_REPLICA));
    end(&f);
}

/* T26 */
static void test_a_preferred_election_by_znode_works_twice(void **state)
{
    (void)state;
    struct fixture f = begin(3);
    for (int round = 0; round < 2; round++) {
        int32_t preferred = f.leader;
        world_crash(f.world, preferred);
        world_expire(f.world, preferred);
        world_settle(f.world, SETTLE_MS);
        world_start(f.world, preferred);
        world_settle(f.world, SETTLE_MS);
        f.leader = world_leader(f.world, "orders", 0);
        assert_int_not_equal(f.leader, preferred);
        int32_t all[] = {0, 1, 2};
        int32_t epoch = world_leader_epoch(f.world, "orders", 0);
        for (int32_t v = 0; v < 20; v++) { /* whatever the version is now */
            alter(&f, epoch, v, all, 3);
            if (f.error == 0)
                break;
        }
        assert_int_equal(f.error, 0);
        zk_memory_put(f.world->zk, "/admin/preferred_replica_election",
                      "{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0}]}");
        world_settle(f.world, SETTLE_MS);
        assert_null(world_znode(f.world, "/admin/preferred_replica_election"));
        f.leader = world_leader(f.world, "orders", 0);
        assert_int_equal(f.leader, preferred);
    }
    end(&f);
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alter_partition_checks_in_kafkas_order_and_keeps_the_leader_epoch),
        cmocka_unit_test(test_blocks_of_producer_ids_follow_one_another),
        cmocka_unit_test(test_a_broker_that_shuts_down_leads_nothing_more_and_may_not_join_an_isr),
        cmocka_unit_test(test_a_preferred_election_by_znode_works_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
