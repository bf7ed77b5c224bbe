/* A follower tells its leader when its log start has moved: the leader's DeleteRecords waits for it
 * (KIP-107), and a session repeats what was said before. */
#include "replica_fixture.h"

#include "broker/replica/fetcher.h"
#include "broker/wire/api_key.h"
#include "wire/fetch.h"

#define LEADER     2
#define SESSION_ID 9

/* The leader as the follower meets it: one request under way at a time. */
struct leader {
    fetcher_answered_fn *answered;
    void *answered_context;
    int32_t named; /* partitions that the last Fetch named */
    int64_t fetch_offset, log_start_offset;
};

static enum err send_to(void *context, int32_t leader_id, int16_t api_key, int16_t api_version,
                        const void *request, fetcher_answered_fn *answered, void *answered_context)
{
    struct leader *leader = context;
    const struct fetch_request *fetch = request;
    assert_int_equal(leader_id, LEADER);
    assert_int_equal(api_key, API_FETCH);
    assert_int_equal(api_version, 17);
    leader->answered = answered;
    leader->answered_context = answered_context;
    leader->named = 0;
    for (int32_t t = 0; t < fetch->topics_count; t++) {
        assert_int_equal(fetch->topics[t].partitions_count, 1);
        leader->named++;
        leader->fetch_offset = fetch->topics[t].partitions[0].fetch_offset;
        leader->log_start_offset = fetch->topics[t].partitions[0].log_start_offset;
    }
    return ERR_OK;
}

struct world {
    struct replicas *r;
    struct leader leader;
    struct fetcher *fetcher;
    struct partition *partition;
};

static int setup(void **state)
{
    struct world *w = mem_new(struct world);
    w->r = replicas_new();
    w->partition = take_role(w->r, &(struct role_spec){.leader = LEADER,
                                                       .id = id_of(1),
                                                       .replicas = {1, 2},
                                                       .replicas_count = 2,
                                                       .leader_epoch = 4});
    struct fetcher_settings settings = {.broker_id = SELF,
                                        .fetch_version = 17,
                                        .truncates_on_fetch = true,
                                        .wait_max_ms = 500,
                                        .min_bytes = 1,
                                        .response_max_bytes = 1 << 20,
                                        .max_bytes = 1 << 20,
                                        .backoff_ms = 1000};
    struct fetcher_leaders leaders = {.send = send_to, .context = &w->leader};
    w->fetcher = fetcher_new(&settings, &leaders, &w->r->logs->clock.clock);
    partition_ref(w->partition);
    fetcher_follow(w->fetcher, w->partition, LEADER, 4);
    fetcher_run(w->fetcher);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    fetcher_free(w->fetcher);
    partition_unref(w->partition);
    replicas_free(w->r);
    free(w);
    return 0;
}

/* Answer the request under way with these records and offsets; the next request leaves. */
static void answer(struct world *w, struct slice records, int64_t high_watermark,
                   int64_t log_start_offset)
{
    struct fetch_response response;
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response_partition_data data;
    fetch_response_init(&response);
    fetch_response_fetchable_topic_response_init(&topic);
    fetch_response_partition_data_init(&data);
    response.session_id = SESSION_ID;
    response.responses = &topic;
    response.responses_count = 1;
    topic.topic_id = id_of(1);
    topic.partitions = &data;
    topic.partitions_count = 1;
    data.high_watermark = high_watermark;
    data.log_start_offset = log_start_offset;
    data.records.bytes = records;
    w->leader.named = -1; /* until the next request */
    w->leader.answered(w->leader.answered_context, ERR_OK, &response);
    fetcher_run(w->fetcher);
}

static void answer_nothing(struct world *w)
{
    struct fetch_response response;
    fetch_response_init(&response);
    response.session_id = SESSION_ID;
    w->leader.named = -1;
    w->leader.answered(w->leader.answered_context, ERR_OK, &response);
    fetcher_run(w->fetcher);
}

static void fill(struct world *w)
{
    struct buf bytes = {0};
    batch_make(&bytes, &(struct batch_spec){.records = 6, .leader_epoch = 4});
    assert_int_equal(w->leader.named, 1);
    answer(w, buf_slice(&bytes), 6, 0);
    buf_done(&bytes);
    assert_int_equal(w->leader.named, 1); /* where it goes on */
    assert_int_equal(w->leader.fetch_offset, 6);
    assert_int_equal(w->leader.log_start_offset, 0);
    answer(w, SLICE_NULL, 6, 0);
    assert_int_equal(w->leader.named, 0); /* nothing is new */
}

static void test_the_leader_is_told_that_its_log_start_was_followed(void **state)
{
    struct world *w = *state;
    fill(w);
    answer(w, SLICE_NULL, 6, 4);
    assert_int_equal(log_start_offset(partition_log(w->partition)), 4);
    assert_int_equal(w->leader.named, 1);
    assert_int_equal(w->leader.fetch_offset, 6);
    assert_int_equal(w->leader.log_start_offset, 4);
    answer_nothing(w);
    assert_int_equal(w->leader.named, 0); /* once */
}

/* Retention has cut more here already, which the leader has not heard. */
static void test_a_log_start_beyond_the_leaders_is_told_too(void **state)
{
    struct world *w = *state;
    fill(w);
    assert_err(log_raise_start(partition_log(w->partition), 5, 6), ERR_OK);
    answer(w, SLICE_NULL, 6, 4);
    assert_int_equal(w->leader.named, 1);
    assert_int_equal(w->leader.log_start_offset, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_leader_is_told_that_its_log_start_was_followed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_log_start_beyond_the_leaders_is_told_too, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("fetcher log start", tests, NULL, NULL);
}
