/* The controller is lost in the middle of what it does, at every step of it: by death, or by the
 * end of its session, so that it comes back and is fenced. Another one brings it to its end (issue:
 * the fail-over of the controller itself in the middle of any operation). Creations are swept in
 * test_traps_sessions.c, reassignments in test_reassignment.c. */
#include "fixture.h"

#include "wire/controlled_shutdown.h"

#define SWEEP_MAX      400
#define PREFERRED_PATH "/admin/preferred_replica_election"
#define DELETION_PATH  "/admin/delete_topics/orders"
#define TOPIC_PATH     "/brokers/topics/orders"
#define TOPIC_SETTINGS "/config/topics/orders"

static int16_t ignored; /* what the lost controller says, if it still does */

struct operation {
    const char *name;
    void (*prepare)(struct world *world);
    void (*begin)(struct world *world);
    void (*ask_again)(struct world *world); /* what a client does that got no answer; or NULL */
    void (*check)(struct world *world);
};

/* ---- Preferred election ---- */

static void let_another_lead(struct world *world)
{
    stop(world, 1);
    start(world, 1);
    set_isr(world, IDS(2, 3, 1));
    assert_int_equal(world_leader(world, "orders", 0), 2);
}

static void put_preferred_znode(struct world *world)
{
    zk_memory_put(world->zk, PREFERRED_PATH,
                  "{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0}]}");
}

static void first_leads(struct world *world)
{
    assert_int_equal(world_leader(world, "orders", 0), 1);
    assert_null(world_znode(world, PREFERRED_PATH));
}

/* ---- Unclean election when the topic's setting is changed ---- */

static void leave_a_lagging_survivor(struct world *world)
{
    set_isr(world, IDS(1));
    stop(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), -1);
}

static void allow_unclean(struct world *world)
{
    zk_memory_put(world->zk, TOPIC_SETTINGS,
                  "{\"version\":1,\"config\":{\"unclean.leader.election.enable\":\"true\"}}");
    controller_topic_unclean_enabled(world->brokers[0].controller, SLICE_LITERAL("orders"));
}

static void survivor_leads(struct world *world)
{
    assert_int_equal(world_leader(world, "orders", 0), 2);
}

/* ---- Controlled shutdown ---- */

static void relieved(void *context, const void *response)
{
    (void)response;
    arena_free(context);
}

static void shut_down(struct world *world)
{
    struct world_broker *controller = world_controller(world);
    if (!controller)
        return;
    struct arena *arena = arena_new();
    struct controlled_shutdown_request *request = arena_alloc(arena, sizeof *request);
    controlled_shutdown_request_init(request);
    request->broker_id = 1;
    request->broker_epoch = world->brokers[1].broker_epoch;
    controller_controlled_shutdown(controller->controller, request, arena, relieved, arena);
}

static void another_leads(struct world *world)
{
    assert_int_equal(world_leader(world, "orders", 0), 2);
    assert_non_null(strstr(world_znode(world, TOPIC_PATH "/partitions/0/state"), "\"isr\":[2,3]"));
}

/* ---- Deletion that waits for a broker that is away ---- */

static void take_one_away(struct world *world)
{
    stop(world, 3);
}

static void delete_topic(struct world *world)
{
    zk_memory_put(world->zk, TOPIC_SETTINGS, "{\"version\":1,\"config\":{}}");
    zk_memory_put(world->zk, DELETION_PATH, NULL);
}

static void delete_without_one(struct world *world)
{
    stop(world, 3);
    delete_topic(world);
    world_settle(world, SETTLE_MS);
    assert_non_null(world_znode(world, TOPIC_PATH));
}

static void it_returns(struct world *world)
{
    world_start(world, 3);
}

static void is_deleted(struct world *world)
{
    assert_null(world_znode(world, TOPIC_PATH));
    assert_null(world_znode(world, TOPIC_SETTINGS));
    assert_int_equal(zk_memory_children_count(world->zk, "/admin/delete_topics"), 0);
    for (int32_t b = 1; b < 4; b++)
        assert_false(world->brokers[b].replicas[0][0].hosted);
}

static void is_deleted_once_it_returns(struct world *world)
{
    assert_non_null(world_znode(world, TOPIC_PATH));
    start(world, 3);
    world_settle(world, SETTLE_MS);
    is_deleted(world);
}

/* ---- A log directory that failed ---- */

static void lose_directory(struct world *world)
{
    world->brokers[1].role_error = err_wire_code(ERR_KAFKA_STORAGE_ERROR);
    zk_memory_put(world->zk, "/log_dir_event_notification/log_dir_event_0000000001",
                  "{\"version\":1,\"broker\":1,\"event\":1}");
}

static void another_disk_leads(struct world *world)
{
    another_leads(world);
    assert_int_equal(zk_memory_children_count(world->zk, "/log_dir_event_notification"), 0);
}

/* ---- Growth ---- */

static void grow(struct world *world)
{
    if (world_leader(world, "orders", 2) == -2 && world_controller(world))
        world_grow_topic(world, "orders", 3, &ignored);
}

static void has_grown(struct world *world)
{
    assert_in_range(world_leader(world, "orders", 2), 0, 3);
    assert_non_null(strstr(world_znode(world, TOPIC_PATH), TOPIC_ID));
}

/* ---- The last two of an ISR go, the first of them without its disk ---- */

static void start_empty(struct world *world, int32_t id)
{
    world_start(world, id);
    world->brokers[id].intact_since = INTACT_SINCE_REGISTRATION;
    world_settle(world, SETTLE_MS);
}

static void leave_two_and_let_one_die(struct world *world)
{
    zk_memory_put(world->zk, TOPIC_SETTINGS,
                  "{\"version\":1,\"config\":{\"min.insync.replicas\":\"2\"}}");
    for (int32_t i = 1; i < 4; i++) { /* so that all tell when they lost something */
        stop(world, i);
        start_empty(world, i);
        set_isr(world, IDS(1, 2, 3));
    }
    put_preferred_znode(world);
    world_settle(world, SETTLE_MS);
    first_leads(world);
    world_crash(world, 1); /* its session lives on */
    stop(world, 2);
}

static void lose_the_session_of_the_other(struct world *world)
{
    world_crash(world, 3);
    world_expire(world, 3);
}

static void a_controller_comes(struct world *world)
{
    if (!world->brokers[0].up)
        start(world, 0);
}

static void the_other_leads(struct world *world)
{
    int64_t whole_since = world->brokers[3].broker_epoch;
    world_expire(world, 1);
    world_settle(world, SETTLE_MS);
    start_empty(world, 1);
    assert_int_equal(world_leader(world, "orders", 0), -1);
    world_start(world, 3);
    world->brokers[3].intact_since = whole_since;
    world_settle(world, SETTLE_MS);
    assert_int_equal(world_leader(world, "orders", 0), 3);
}

/* ---- The sweep ---- */

static const struct operation operations[] = {
    {"preferred election", let_another_lead, put_preferred_znode, NULL, first_leads},
    {"unclean election", leave_a_lagging_survivor, allow_unclean, NULL, survivor_leads},
    {"controlled shutdown", NULL, shut_down, shut_down, another_leads},
    {"deletion", take_one_away, delete_topic, NULL, is_deleted_once_it_returns},
    {"deletion that goes on", delete_without_one, it_returns, NULL, is_deleted},
    {"failed directory", NULL, lose_directory, NULL, another_disk_leads},
    {"growth", NULL, grow, grow, has_grown},
    {"thinning", leave_two_and_let_one_die, lose_the_session_of_the_other, a_controller_comes,
     the_other_leads},
};

/* False when the operation was over before that step. */
static bool cut_short_at(const struct operation *operation, int32_t steps, bool dies)
{
    struct world *world = cluster(4, "{\"0\":[1,2,3],\"1\":[2,3,1]}");
    bool is_over = false;
    if (operation->prepare)
        operation->prepare(world);
    operation->begin(world);
    for (int32_t i = 0; i < steps && !is_over; i++)
        is_over = !world_step(world);
    if (dies)
        world_crash(world, 0);
    world_expire(world, 0);
    world_settle(world, SETTLE_MS);
    if (operation->ask_again)
        operation->ask_again(world);
    world_settle(world, SETTLE_MS);
    operation->check(world);
    finish(world);
    return !is_over;
}

static void test_another_controller_ends_it_wherever_the_first_was_lost(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        for (int dies = 0; dies < 2; dies++) {
            int32_t steps = 0;
            while (cut_short_at(&operations[i], steps, dies))
                assert_true(++steps < SWEEP_MAX);
            print_message("%s, %s: %d steps\n", operations[i].name, dies ? "death" : "expiry",
                          (int)steps);
            assert_true(steps > 3);
        }
    }
}

int main(void)
{
    trace_set_level(TRACE_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_controller_ends_it_wherever_the_first_was_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
