/* The wishes for another ISR on their way to the controller (zookeeper-and-controller §6.5): the
 * control thread and the way to the controller are the test's, the partitions are real. */
#include "replica_fixture.h"

#include "broker/server/controller_ask.h"
#include "broker/server/isr_sender.h"
#include "broker/wire/api_key.h"
#include "wire/alter_partition.h"

#define LAG_MS   10000
#define RETRY_MS 50

static struct sender_world {
    struct replicas *r;
    struct server server;
    struct config config;
    struct partition_host host;
    struct timers timers;
    struct list_node posted;
    struct controller_ask *asked; /* under way */
    int32_t asks;
    struct isr_sender *sender;
    struct partition *partitions[4];
} world;

/* --- what the sender stands on --- */

void control_thread_post(struct control_thread *thread, struct control_work *work)
{
    (void)thread;
    list_push_back(&world.posted, &work->node);
}

struct timers *control_thread_timers(struct control_thread *thread)
{
    (void)thread;
    return &world.timers;
}

void controller_ask_send(struct controller_ask *ask)
{
    assert_null(world.asked); /* one at a time */
    assert_int_equal(ask->api_key, API_ALTER_PARTITION);
    world.asked = ask;
    world.asks++;
}

void controller_ask_answered(void *ask, const void *response)
{
    (void)ask;
    (void)response;
}

void controller_alter_partition(struct controller *controller,
                                const struct alter_partition_request *request, int16_t api_version,
                                struct arena *arena, controller_done_fn *done, void *context)
{
    (void)controller;
    (void)request;
    (void)api_version;
    (void)arena;
    (void)done;
    (void)context;
}

static void run_posted(void)
{
    for (struct list_node *node; (node = list_pop_front(&world.posted));) {
        struct control_work *work = list_entry(node, struct control_work, node);
        work->run(work);
    }
}

static void pass(int64_t ms)
{
    clock_manual_advance_ms(&world.r->logs->clock, ms);
    timers_run(&world.timers, clock_mono_ms(&world.r->logs->clock.clock));
    run_posted();
}

/* --- partitions that want something --- */

static int setup(void **state)
{
    (void)state;
    world = (struct sender_world){.r = replicas_new()};
    list_init(&world.posted);
    world.config.replica_lag_time_max_ms = LAG_MS;
    atomic_store(&world.host.replica_lag_max_ms, LAG_MS);
    world.server.config = &world.config;
    world.server.clock = &world.r->logs->clock.clock;
    world.server.broker.id = SELF;
    world.server.broker.replica_manager = world.r->manager;
    world.server.broker_epoch = BROKER_EPOCH;
    world.sender = isr_sender_new(&world.server);
    isr_sender_start(world.sender);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    run_posted();
    isr_sender_free(world.sender);
    for (size_t i = 0; i < ARRAY_SIZE(world.partitions); i++)
        partition_unref(world.partitions[i]);
    timers_done(&world.timers);
    replicas_free(world.r);
    return 0;
}

static struct partition *lead(const char *topic, struct uuid id, int32_t number,
                              int32_t leader_epoch, int32_t in_sync)
{
    struct role_spec spec = {.topic = topic,
                             .id = id,
                             .partition = number,
                             .leader_epoch = leader_epoch,
                             .partition_epoch = leader_epoch * 10,
                             .replicas = {1, 2},
                             .replicas_count = 2,
                             .isr = {1, 2},
                             .isr_count = in_sync};
    struct partition *p = take_role(world.r, &spec);
    partition_set_host(p, &world.host);
    partition_unref(world.partitions[number]);
    world.partitions[number] = p;
    return p;
}

/* Broker 2 has caught up with partition `number` of "t": it is to join. */
static void wish(int32_t number)
{
    struct partition *p = world.partitions[number];
    if (!p)
        p = lead("t", id_of(1), number, 1, 1);
    int64_t end = log_end_offset(partition_log(p));
    assert_err(partition_follower_fetched(p, partition_leader_epoch(p), 2, end, end, 0), ERR_OK);
    struct isr_change *change = partition_expand_isr(p, 2);
    assert_non_null(change);
    isr_sender_post(world.sender, change);
    run_posted();
}

static bool has_joined(int32_t number)
{
    return partition_isr_view(world.partitions[number]).committed_count == 2;
}

/* --- what was asked, and answers --- */

static const struct alter_partition_request *request(void)
{
    assert_non_null(world.asked);
    return world.asked->request;
}

static void assert_names(const int32_t *numbers, int32_t count)
{
    assert_int_equal(request()->topics_count, 1);
    assert_int_equal(request()->topics[0].partitions_count, count);
    for (int32_t i = 0; i < count; i++)
        assert_int_equal(request()->topics[0].partitions[i].partition_index, numbers[i]);
}
#define assert_asked(...)                                                                          \
    assert_names((int32_t[]){__VA_ARGS__},                                                         \
                 (int32_t)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))

struct verdict {
    int32_t number;
    enum err error;
};

static void answer(enum err e, enum err whole, const struct verdict *verdicts, int32_t count)
{
    struct alter_partition_response response;
    struct alter_partition_response_topic_data topic;
    struct alter_partition_response_partition_data parts[4];
    int32_t isr[] = {1, 2};
    alter_partition_response_init(&response);
    alter_partition_response_topic_data_init(&topic);
    response.error_code = err_wire_code(whole);
    response.topics = &topic;
    response.topics_count = whole ? 0 : 1;
    topic.topic_name = world.asked->api_version < 2 ? SLICE_LITERAL("t") : SLICE_NULL;
    topic.topic_id = world.asked->api_version < 2 ? UUID_ZERO : id_of(1);
    topic.partitions = parts;
    topic.partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct partition *p = world.partitions[verdicts[i].number];
        alter_partition_response_partition_data_init(&parts[i]);
        parts[i].partition_index = verdicts[i].number;
        parts[i].error_code = err_wire_code(verdicts[i].error);
        parts[i].leader_id = SELF;
        parts[i].leader_epoch = partition_leader_epoch(p);
        parts[i].partition_epoch = partition_isr_view(p).partition_epoch + 1;
        parts[i].isr = isr;
        parts[i].isr_count = 2;
    }
    struct controller_ask *ask = TAKE(world.asked);
    ask->answered(ask, e, e ? NULL : &response);
    run_posted();
}
#define answer_each(...)                                                                           \
    answer(ERR_OK, ERR_OK, (struct verdict[]){__VA_ARGS__},                                        \
           (int32_t)(sizeof((struct verdict[]){__VA_ARGS__}) / sizeof(struct verdict)))

/* --- tests --- */

static void test_one_request_is_under_way_and_the_next_takes_all_that_have_gathered(void **state)
{
    (void)state;
    wish(0);
    assert_asked(0);
    wish(1);
    wish(2);
    assert_int_equal(world.asks, 1);
    answer_each({0, ERR_OK});
    assert_true(has_joined(0));
    assert_asked(1, 2);
    answer_each({1, ERR_OK}, {2, ERR_OK});
    assert_true(has_joined(1) && has_joined(2));
    assert_null(world.asked);
}

static void test_a_request_says_what_a_controller_of_zookeeper_mode_wants(void **state)
{
    (void)state;
    wish(0);
    assert_int_equal(world.asked->api_version, 3);
    assert_int_equal(request()->broker_id, SELF);
    assert_int_equal(request()->broker_epoch, BROKER_EPOCH);
    assert_true(uuid_equal(request()->topics[0].topic_id, id_of(1)));
    const struct alter_partition_request_partition_data *part = request()->topics[0].partitions;
    assert_int_equal(part->leader_epoch, 1);
    assert_int_equal(part->partition_epoch, 10);
    assert_int_equal(part->leader_recovery_state, 0);
    assert_int_equal(part->new_isr_with_epochs_count, 2);
    for (int32_t i = 0; i < 2; i++) {
        assert_int_equal(part->new_isr_with_epochs[i].broker_id, i + 1);
        assert_int_equal(part->new_isr_with_epochs[i].broker_epoch, -1);
    }
    answer_each({0, ERR_OK});
}

static void test_a_topic_without_an_id_goes_by_its_name(void **state)
{
    (void)state;
    lead("t", UUID_ZERO, 0, 1, 1);
    wish(0);
    assert_int_equal(world.asked->api_version, 1);
    assert_true(slice_equal_str(request()->topics[0].topic_name, "t"));
    assert_int_equal(request()->topics[0].partitions[0].new_isr_count, 2);
    answer_each({0, ERR_OK});
    assert_true(has_joined(0));
}

static void is_sent_again_after_the_pause(void)
{
    assert_null(world.asked);
    pass(RETRY_MS - 1);
    assert_null(world.asked);
    pass(1);
    assert_non_null(world.asked);
}

static void test_a_request_that_failed_as_a_whole_is_sent_again_after_a_pause(void **state)
{
    (void)state;
    wish(0);
    answer(ERR_NETWORK_EXCEPTION, ERR_OK, NULL, 0);
    is_sent_again_after_the_pause();
    answer(ERR_OK, ERR_STALE_BROKER_EPOCH, NULL, 0);
    is_sent_again_after_the_pause();
    assert_asked(0);
    answer_each({0, ERR_OK});
    assert_true(has_joined(0));
}

static void test_a_request_that_fails_for_a_minute_is_told_ever_more_seldom(void **state)
{
    (void)state;
    struct traced traced;
    wish(0);
    traced_begin(&traced, TRACE_INFO);
    for (int64_t ms = 0; ms < 60000; ms += RETRY_MS) {
        answer(ERR_NETWORK_EXCEPTION, ERR_OK, NULL, 0);
        pass(RETRY_MS);
    }
    assert_int_equal(traced.lines, 3); /* at 0, 10 and 30 s */
    assert_non_null(strstr(traced.last, "times=601 since_ms=30000"));
    answer_each({0, ERR_OK});
    traced_end();
    assert_int_equal(traced.lines, 5); /* it is answered again, and the ISR confirmed */
    assert_true(has_joined(0));
}

static void gather(int32_t first, int32_t second)
{
    wish(3); /* so that both go together */
    wish(first);
    wish(second);
    answer_each({3, ERR_OK});
    assert_asked(first, second);
}

static void test_another_controller_at_one_partition_sends_all_of_them_again(void **state)
{
    (void)state;
    gather(0, 1);
    answer_each({0, ERR_OK}, {1, ERR_NOT_CONTROLLER});
    assert_false(has_joined(0));
    is_sent_again_after_the_pause();
    assert_asked(0, 1);
    answer_each({0, ERR_OK}, {1, ERR_OK});
    assert_true(has_joined(0) && has_joined(1));
}

static void test_only_partitions_that_may_succeed_later_are_sent_again(void **state)
{
    (void)state;
    gather(0, 1);
    answer_each({0, ERR_UNKNOWN_SERVER_ERROR}, {1, ERR_INELIGIBLE_REPLICA});
    is_sent_again_after_the_pause();
    assert_asked(0);
    answer_each({0, ERR_OK});
}

static void test_a_partition_that_the_answer_leaves_out_is_sent_again(void **state)
{
    (void)state;
    gather(0, 1);
    answer_each({1, ERR_OK});
    assert_true(has_joined(1));
    is_sent_again_after_the_pause();
    assert_asked(0);
    answer_each({0, ERR_OK});
}

/* The answers of two wishes for one partition would be taken for one another. */
static void test_a_wish_that_leader_and_isr_has_overtaken_is_not_sent_again(void **state)
{
    (void)state;
    wish(0);
    answer(ERR_NETWORK_EXCEPTION, ERR_OK, NULL, 0);
    lead("t", id_of(1), 0, 2, 1);
    wish(0);
    pass(RETRY_MS);
    assert_asked(0);
    assert_int_equal(request()->topics[0].partitions[0].leader_epoch, 2);
    answer_each({0, ERR_OK});
    assert_true(has_joined(0));
    assert_null(world.asked);
}

static void test_laggards_are_looked_for_every_half_of_the_lag_allowed(void **state)
{
    (void)state;
    lead("t", id_of(1), 0, 1, 2);
    append_to(world.partitions[0], 1);
    pass(LAG_MS / 2);
    pass(LAG_MS / 2);
    assert_null(world.asked); /* at its limit, not beyond */
    pass(LAG_MS / 2);
    assert_asked(0);
    assert_int_equal(request()->topics[0].partitions[0].new_isr_with_epochs_count, 1);
    answer(ERR_OK, ERR_OK, (struct verdict[]){{0, ERR_OPERATION_NOT_ATTEMPTED}}, 1);
    pass(LAG_MS / 2);
    assert_asked(0); /* it lags still */
    answer(ERR_OK, ERR_OK, (struct verdict[]){{0, ERR_FENCED_LEADER_EPOCH}}, 1);
    pass(LAG_MS);
    assert_null(world.asked); /* LeaderAndIsr is to come */
}

static void test_nothing_is_left_behind_when_the_broker_ends(void **state)
{
    (void)state;
    wish(0);
    wish(1);
    answer(ERR_CANCELLED, ERR_OK, NULL, 0); /* both wait now, and are let go of */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_request_is_under_way_and_the_next_takes_all_that_have_gathered),
        TEST(test_a_request_says_what_a_controller_of_zookeeper_mode_wants),
        TEST(test_a_topic_without_an_id_goes_by_its_name),
        TEST(test_a_request_that_failed_as_a_whole_is_sent_again_after_a_pause),
        TEST(test_a_request_that_fails_for_a_minute_is_told_ever_more_seldom),
        TEST(test_another_controller_at_one_partition_sends_all_of_them_again),
        TEST(test_only_partitions_that_may_succeed_later_are_sent_again),
        TEST(test_a_partition_that_the_answer_leaves_out_is_sent_again),
        TEST(test_a_wish_that_leader_and_isr_has_overtaken_is_not_sent_again),
        TEST(test_laggards_are_looked_for_every_half_of_the_lag_allowed),
        TEST(test_nothing_is_left_behind_when_the_broker_ends),
    };
    return cmocka_run_group_tests_name("isr sender", tests, NULL, NULL);
}
