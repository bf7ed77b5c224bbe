/* Fetch sessions (KIP-227): what a request is to fetch, what an answer must name, and who goes when
 * there is no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/replica/fetch_session.h"

#define SLOTS       2
#define TWO_MINUTES 120000
#define BY_NAME     12
#define BY_ID       13

#define assert_err(expression, code) assert_string_equal(err_name(expression), err_name(code))

struct world {
    struct clock_manual clock;
    struct fetch_sessions *sessions;
    struct arena *arena;
};

static int setup(void **state)
{
    struct world *w = mem_new(struct world);
    clock_manual_init(&w->clock, 1700000000000);
    w->sessions = fetch_sessions_new(SLOTS, &w->clock.clock);
    w->arena = arena_new();
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    fetch_sessions_free(w->sessions);
    arena_free(w->arena);
    free(w);
    return 0;
}

/* --- requests --- */

struct wanted {
    const char *topic; /* or the id */
    uint8_t id;
    int32_t partition;
    int64_t offset;
};

static struct uuid id_of(uint8_t number)
{
    return (struct uuid){{0x70, number}};
}

static struct fetch_request *request_of(struct world *w, int32_t session_id, int32_t epoch,
                                        const struct wanted *wanted, int32_t count)
{
    struct fetch_request *request = arena_alloc(w->arena, sizeof *request);
    fetch_request_init(request);
    request->session_id = session_id;
    request->session_epoch = epoch;
    request->topics = arena_new_array(w->arena, struct fetch_request_fetch_topic, count + 1);
    request->topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct fetch_request_fetch_partition *partition =
            arena_new_array(w->arena, struct fetch_request_fetch_partition, 1);
        fetch_request_fetch_partition_init(partition);
        partition->partition = wanted[i].partition;
        partition->fetch_offset = wanted[i].offset;
        partition->partition_max_bytes = 1000;
        request->topics[i] = (struct fetch_request_fetch_topic){.topic = slice_str(wanted[i].topic),
                                                                .topic_id = id_of(wanted[i].id),
                                                                .partitions = partition,
                                                                .partitions_count = 1};
    }
    return request;
}

static void forget(struct world *w, struct fetch_request *request, const char *topic, uint8_t id,
                   int32_t partition)
{
    request->forgotten_topics_data =
        arena_new_array(w->arena, struct fetch_request_forgotten_topic, 1);
    request->forgotten_topics_data_count = 1;
    int32_t *partitions = arena_new_array(w->arena, int32_t, 1);
    *partitions = partition;
    *request->forgotten_topics_data =
        (struct fetch_request_forgotten_topic){.topic = slice_str(topic),
                                               .topic_id = id_of(id),
                                               .partitions = partitions,
                                               .partitions_count = 1};
}

/* With everything in hand that is to be looked at. */
static struct fetch_context begin_request(struct world *w, struct fetch_request *request,
                                          int16_t api_version, bool is_follower)
{
    struct fetch_context context;
    request->replica_id = is_follower ? 2 : CONSUMER_REPLICA_ID;
    assert_err(fetch_sessions_begin(w->sessions, request, api_version, w->arena, &context), ERR_OK);
    fetch_context_take(&context);
    return context;
}

/* There was something in each. */
static void end(struct fetch_context *context)
{
    for (int32_t i = 0; i < context->partitions_count; i++)
        fetch_context_keep(context, context->partitions[i]);
    fetch_session_end(context);
}

static enum err try_begin(struct world *w, int32_t session_id, int32_t epoch, int16_t api_version)
{
    struct fetch_context context;
    struct fetch_request *request = request_of(w, session_id, epoch, NULL, 0);
    request->replica_id = CONSUMER_REPLICA_ID;
    enum err e = fetch_sessions_begin(w->sessions, request, api_version, w->arena, &context);
    if (!e)
        fetch_session_end(&context);
    return e;
}

/* A new session of so many partitions; 0 when there was no room. */
static int32_t new_session(struct world *w, int32_t partitions, bool is_follower)
{
    struct wanted wanted[8];
    for (int32_t i = 0; i < partitions; i++)
        wanted[i] = (struct wanted){.topic = "t", .partition = i};
    struct fetch_context context =
        begin_request(w, request_of(w, 0, 0, wanted, partitions), BY_NAME, is_follower);
    end(&context);
    return context.session_id;
}

static bool exists(struct world *w, int32_t session_id)
{
    /* A wrong epoch is told only of a session that is there, and does not use it. */
    return try_begin(w, session_id, INT32_MAX, BY_NAME) == ERR_INVALID_FETCH_SESSION_EPOCH;
}

static void use(struct world *w, int32_t session_id, int32_t epoch)
{
    assert_err(try_begin(w, session_id, epoch, BY_NAME), ERR_OK);
}

static bool answers(struct fetch_context *context, int32_t place, enum err error,
                    int64_t high_watermark, int64_t log_start, bool has_records)
{
    return fetch_session_must_answer(context, context->partitions[place], error, high_watermark,
                                     log_start, has_records, false);
}

static const struct wanted two[] = {{.topic = "a", .offset = 5}, {.topic = "b", .offset = 6}};

/* --- life --- */

static void test_a_full_fetch_makes_a_session_and_lists_everything(void **state)
{
    struct world *w = *state;
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    assert_true(c.session_id > 0);
    assert_false(c.is_incremental);
    assert_int_equal(c.partitions_count, 2);
    assert_true(slice_equal_str(c.partitions[0]->topic, "a"));
    assert_int_equal(c.partitions[1]->fetch_offset, 6);
    assert_true(answers(&c, 0, ERR_OK, 0, 0, false));
    assert_true(answers(&c, 1, ERR_OK, 0, 0, false));
    end(&c);
    assert_int_equal(fetch_sessions_count(w->sessions), 1);
}

static void test_an_incremental_fetch_keeps_what_it_does_not_name(void **state)
{
    struct world *w = *state;
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    int32_t id = c.session_id;
    end(&c);
    struct wanted moved = {.topic = "b", .offset = 60};
    c = begin_request(w, request_of(w, id, 1, &moved, 1), BY_NAME, false);
    assert_true(c.is_incremental);
    assert_int_equal(c.session_id, id);
    assert_int_equal(c.partitions_count, 2);
    assert_int_equal(c.partitions[0]->fetch_offset, 5); /* as asked before: never moved on by us */
    assert_int_equal(c.partitions[1]->fetch_offset, 60);
    end(&c);
}

static void test_an_incremental_answer_names_only_what_moved(void **state)
{
    struct world *w = *state;
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    int32_t id = c.session_id;
    answers(&c, 0, ERR_OK, 10, 0, false);
    answers(&c, 1, ERR_OK, 20, 0, false);
    end(&c);
    c = begin_request(w, request_of(w, id, 1, NULL, 0), BY_NAME, false);
    assert_false(answers(&c, 0, ERR_OK, 10, 0, false));
    assert_true(answers(&c, 1, ERR_OK, 21, 0, false)); /* the high watermark alone is news */
    end(&c);
    c = begin_request(w, request_of(w, id, 2, NULL, 0), BY_NAME, false);
    assert_true(answers(&c, 0, ERR_OK, 10, 3, false)); /* so is the log start */
    assert_false(answers(&c, 1, ERR_OK, 21, 0, false));
    end(&c);
    c = begin_request(w, request_of(w, id, 3, NULL, 0), BY_NAME, false);
    assert_true(answers(&c, 0, ERR_OK, 10, 3, true));
    assert_true(fetch_session_must_answer(&c, c.partitions[1], ERR_OK, 21, 0, false, true));
    end(&c);
}

static void test_an_error_is_told_each_time_and_its_end_too(void **state)
{
    struct world *w = *state;
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    int32_t id = c.session_id;
    answers(&c, 0, ERR_OK, 10, 0, false);
    end(&c);
    for (int32_t epoch = 1; epoch <= 2; epoch++) {
        c = begin_request(w, request_of(w, id, epoch, NULL, 0), BY_NAME, false);
        assert_true(answers(&c, 0, ERR_NOT_LEADER_OR_FOLLOWER, -1, -1, false));
        end(&c);
    }
    c = begin_request(w, request_of(w, id, 3, NULL, 0), BY_NAME, false);
    assert_true(answers(&c, 0, ERR_OK, 10, 0, false));
    end(&c);
}

static void test_who_was_given_records_goes_to_the_end_of_the_order(void **state)
{
    struct world *w = *state;
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    int32_t id = c.session_id;
    answers(&c, 0, ERR_OK, 10, 0, true); /* a full answer does not change the order */
    end(&c);
    c = begin_request(w, request_of(w, id, 1, NULL, 0), BY_NAME, false);
    assert_true(slice_equal_str(c.partitions[0]->topic, "a"));
    answers(&c, 0, ERR_OK, 10, 0, true);
    end(&c);
    c = begin_request(w, request_of(w, id, 2, NULL, 0), BY_NAME, false);
    assert_true(slice_equal_str(c.partitions[0]->topic, "b"));
    assert_true(slice_equal_str(c.partitions[1]->topic, "a"));
    end(&c);
}

static void test_forgotten_partitions_go_and_an_emptied_session_with_them(void **state)
{
    struct world *w = *state;
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    int32_t id = c.session_id;
    end(&c);
    struct fetch_request *request = request_of(w, id, 1, NULL, 0);
    forget(w, request, "a", 0, 0);
    c = begin_request(w, request, BY_NAME, false);
    assert_int_equal(c.partitions_count, 1);
    assert_true(slice_equal_str(c.partitions[0]->topic, "b"));
    end(&c);
    request = request_of(w, id, 2, NULL, 0);
    forget(w, request, "never was", 0, 4);
    c = begin_request(w, request, BY_NAME, false);
    assert_int_equal(c.partitions_count, 1);
    end(&c);
    request = request_of(w, id, 3, NULL, 0);
    forget(w, request, "b", 0, 0);
    c = begin_request(w, request, BY_NAME, false);
    assert_null(c.session);
    assert_int_equal(c.session_id, 0);
    assert_int_equal(c.partitions_count, 0);
    assert_err(try_begin(w, id, 4, BY_NAME), ERR_FETCH_SESSION_ID_NOT_FOUND);
}

static void test_epochs_go_up_by_one_and_a_wrong_one_changes_nothing(void **state)
{
    struct world *w = *state;
    int32_t id = new_session(w, 1, false);
    assert_err(try_begin(w, id, 2, BY_NAME), ERR_INVALID_FETCH_SESSION_EPOCH);
    assert_err(try_begin(w, id, -2, BY_NAME), ERR_INVALID_FETCH_SESSION_EPOCH);
    use(w, id, 1);
    assert_err(try_begin(w, id, 1, BY_NAME), ERR_INVALID_FETCH_SESSION_EPOCH);
    use(w, id, 2);
}

static void test_a_session_that_is_not_there_is_not_found(void **state)
{
    struct world *w = *state;
    assert_err(try_begin(w, 123456, 1, BY_NAME), ERR_FETCH_SESSION_ID_NOT_FOUND);
    assert_err(try_begin(w, 0, 5, BY_NAME), ERR_FETCH_SESSION_ID_NOT_FOUND);
}

static void test_an_id_that_no_shard_could_hold_is_a_server_error(void **state)
{
    struct world *w = *state;
    assert_err(try_begin(w, INT32_MAX, 1, BY_NAME), ERR_UNKNOWN_SERVER_ERROR);
    assert_err(try_begin(w, INT32_MIN, 1, BY_NAME), ERR_UNKNOWN_SERVER_ERROR);
}

static void test_old_versions_and_the_final_epoch_have_no_session(void **state)
{
    struct world *w = *state;
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, two, 2), 6, false);
    assert_int_equal(c.session_id, 0);
    assert_int_equal(c.partitions_count, 2);
    assert_true(answers(&c, 0, ERR_OK, 0, 0, false));
    end(&c);
    int32_t id = new_session(w, 1, false);
    c = begin_request(w, request_of(w, id, -1, two, 2), BY_NAME, false);
    assert_int_equal(c.session_id, 0);
    assert_int_equal(c.partitions_count, 2);
    assert_int_equal(fetch_sessions_count(w->sessions), 0); /* and closes the one it names */
    end(&c);
}

static void test_a_full_fetch_replaces_the_session_it_names(void **state)
{
    struct world *w = *state;
    int32_t id = new_session(w, 1, false);
    struct fetch_context c = begin_request(w, request_of(w, id, 0, two, 2), BY_NAME, false);
    assert_true(c.session_id > 0 && c.session_id != id);
    end(&c);
    assert_int_equal(fetch_sessions_count(w->sessions), 1);
    assert_false(exists(w, id));
}

/* --- names and ids --- */

static void test_a_session_of_names_cannot_go_on_with_ids(void **state)
{
    struct world *w = *state;
    int32_t id = new_session(w, 1, false);
    assert_err(try_begin(w, id, 1, BY_ID), ERR_FETCH_SESSION_TOPIC_ID_ERROR);
    use(w, id, 1); /* and is not harmed */
}

static void test_two_ids_of_one_name_are_two_partitions(void **state)
{
    struct world *w = *state;
    struct wanted first = {.id = 1}, second = {.id = 2, .offset = 9};
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, &first, 1), BY_ID, false);
    int32_t id = c.session_id;
    fetch_context_remember_name(&c, c.partitions[0], SLICE_LITERAL("t"));
    end(&c);
    /* The topic was made anew: the client adds the new id and forgets the old one. */
    struct fetch_request *request = request_of(w, id, 1, &second, 1);
    forget(w, request, NULL, 1, 0);
    c = begin_request(w, request, BY_ID, false);
    assert_int_equal(c.partitions_count, 1);
    assert_true(uuid_equal(c.partitions[0]->topic_id, id_of(2)));
    assert_true(slice_is_null(c.partitions[0]->topic));
    assert_int_equal(c.partitions[0]->fetch_offset, 9);
    end(&c);
}

static void test_the_name_of_an_id_is_remembered(void **state)
{
    struct world *w = *state;
    struct wanted first = {.id = 1};
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, &first, 1), BY_ID, false);
    int32_t id = c.session_id;
    assert_true(slice_is_null(c.partitions[0]->topic));
    end(&c);
    c = begin_request(w, request_of(w, id, 1, NULL, 0), BY_ID, false);
    assert_true(slice_is_null(c.partitions[0]->topic));
    fetch_context_remember_name(&c, c.partitions[0], SLICE_LITERAL("t"));
    end(&c);
    c = begin_request(w, request_of(w, id, 2, NULL, 0), BY_ID, false);
    assert_true(slice_equal_str(c.partitions[0]->topic, "t"));
    end(&c);
}

static void test_of_a_partition_named_twice_the_last_counts(void **state)
{
    struct world *w = *state;
    struct wanted wanted[24];
    for (int32_t i = 0; i < 24; i++)
        wanted[i] = (struct wanted){.topic = "t", .partition = i % 12, .offset = 100 * i};
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, wanted, 24), BY_NAME, false);
    assert_int_equal(c.partitions_count, 12);
    for (int32_t i = 0; i < 12; i++) {
        assert_int_equal(c.partitions[i]->partition, i);
        assert_int_equal(c.partitions[i]->fetch_offset, 100 * (i + 12));
    }
    end(&c);
    wanted[1] = (struct wanted){.topic = "t", .offset = 7};
    c = begin_request(w, request_of(w, 0, -1, wanted, 2), BY_NAME, false);
    assert_int_equal(c.partitions_count, 1);
    assert_int_equal(c.partitions[0]->fetch_offset, 7);
    end(&c);
}

/* Such topics cannot be, but must be told apart all the same. */
static void test_names_longer_than_any_topic_are_told_apart(void **state)
{
    struct world *w = *state;
    char names[12][302];
    struct wanted wanted[12];
    for (int32_t i = 0; i < 12; i++) {
        memset(names[i], 'x', 300);
        names[i][299] = (char)('a' + i);
        names[i][300] = 0;
        wanted[i] = (struct wanted){.topic = names[i], .offset = i};
    }
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, wanted, 12), BY_NAME, false);
    assert_int_equal(c.partitions_count, 12);
    for (int32_t i = 0; i < 12; i++)
        assert_int_equal(c.partitions[i]->fetch_offset, i);
    end(&c);
}

/* --- a full cache --- */

static void test_without_room_the_fetch_has_no_session(void **state)
{
    struct world *w = *state;
    int32_t first = new_session(w, 1, false), second = new_session(w, 1, false);
    struct fetch_context c = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    assert_int_equal(c.session_id, 0);
    assert_null(c.session);
    assert_int_equal(c.partitions_count, 2);
    assert_true(answers(&c, 0, ERR_OK, 0, 0, false));
    assert_true(exists(w, first) && exists(w, second));
    end(&c);
}

static void test_the_longest_unused_goes_after_two_minutes(void **state)
{
    struct world *w = *state;
    int32_t follower = new_session(w, 8, true), consumer = new_session(w, 1, false);
    clock_manual_advance_ms(&w->clock, 10);
    use(w, consumer, 1);
    clock_manual_advance_ms(&w->clock, TWO_MINUTES - 10);
    assert_int_equal(new_session(w, 1, false), 0); /* two minutes, and not a moment more */
    clock_manual_advance_ms(&w->clock, 1);
    assert_int_not_equal(new_session(w, 1, false), 0);
    assert_false(exists(w, follower)); /* whatever its worth */
    assert_true(exists(w, consumer));
}

static void test_a_follower_takes_the_place_of_a_consumer_of_any_size(void **state)
{
    struct world *w = *state;
    int32_t large = new_session(w, 8, false), small = new_session(w, 7, false);
    assert_int_not_equal(new_session(w, 1, true), 0);
    assert_true(exists(w, large));
    assert_false(exists(w, small)); /* the one of fewest partitions */
}

static void test_a_young_follower_is_not_evicted(void **state)
{
    struct world *w = *state;
    int32_t first = new_session(w, 1, true), second = new_session(w, 1, true);
    assert_int_equal(new_session(w, 8, true), 0);
    assert_int_equal(new_session(w, 8, false), 0);
    assert_true(exists(w, first) && exists(w, second));
}

/* Used now and again, so not stale; touched after two minutes, so old. */
static void grow_old(struct world *w, int32_t first, int32_t second)
{
    for (int32_t epoch = 1; epoch <= 3; epoch++) {
        clock_manual_advance_ms(&w->clock, TWO_MINUTES / 2);
        use(w, first, epoch);
        use(w, second, epoch);
    }
}

static void test_an_old_consumer_gives_way_to_a_larger_one_only(void **state)
{
    struct world *w = *state;
    int32_t small = new_session(w, 2, false), large = new_session(w, 5, false);
    assert_int_equal(new_session(w, 8, false), 0); /* the young do not */
    grow_old(w, small, large);
    assert_int_equal(new_session(w, 1, false), 0);
    assert_int_equal(new_session(w, 2, false), 0); /* as large is not larger */
    assert_true(exists(w, small));
    assert_int_not_equal(new_session(w, 3, false), 0);
    assert_false(exists(w, small));
    assert_true(exists(w, large));
}

static void test_an_old_follower_gives_way_to_a_larger_follower_never_to_a_consumer(void **state)
{
    struct world *w = *state;
    int32_t small = new_session(w, 2, true), large = new_session(w, 5, true);
    grow_old(w, small, large);
    assert_int_equal(new_session(w, 8, false), 0);
    assert_int_equal(new_session(w, 2, true), 0);
    assert_int_not_equal(new_session(w, 3, true), 0);
    assert_false(exists(w, small));
    assert_true(exists(w, large));
}

static void test_age_is_that_of_the_last_use(void **state)
{
    struct world *w = *state;
    int32_t first = new_session(w, 1, false), second = new_session(w, 1, false);
    clock_manual_advance_ms(&w->clock, TWO_MINUTES);
    use(w, first, 1); /* not older than two minutes yet */
    use(w, second, 1);
    clock_manual_advance_ms(&w->clock, TWO_MINUTES);
    assert_int_equal(new_session(w, 8, false), 0);
    use(w, first, 2);
    assert_int_not_equal(new_session(w, 8, false), 0);
    assert_false(exists(w, first));
}

/* Most sessions are in use at any moment, by fetches that wait. */
static void test_a_session_in_use_is_evicted_and_ends_with_its_request(void **state)
{
    struct world *w = *state;
    struct fetch_context waiting[SLOTS];
    for (int i = 0; i < SLOTS; i++)
        waiting[i] = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    assert_int_not_equal(new_session(w, 1, true), 0);
    assert_int_equal(fetch_sessions_count(w->sessions), SLOTS);
    for (int i = 0; i < SLOTS; i++) {
        assert_true(answers(&waiting[i], 1, ERR_OK, 1, 0, true));
        end(&waiting[i]);
    }
    assert_int_equal(fetch_sessions_count(w->sessions), SLOTS);
    assert_int_equal(exists(w, waiting[0].session_id) + exists(w, waiting[1].session_id), 1);
}

static void test_sessions_lent_when_the_broker_stops_are_freed(void **state)
{
    struct world *w = *state;
    struct fetch_context lent = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    struct fetch_context replaced = begin_request(w, request_of(w, 0, 0, two, 2), BY_NAME, false);
    struct fetch_context c =
        begin_request(w, request_of(w, replaced.session_id, 0, two, 2), BY_NAME, false);
    (void)lent, (void)c; /* the leak checker sees what teardown leaves */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_full_fetch_makes_a_session_and_lists_everything),
        TEST(test_an_incremental_fetch_keeps_what_it_does_not_name),
        TEST(test_an_incremental_answer_names_only_what_moved),
        TEST(test_an_error_is_told_each_time_and_its_end_too),
        TEST(test_who_was_given_records_goes_to_the_end_of_the_order),
        TEST(test_forgotten_partitions_go_and_an_emptied_session_with_them),
        TEST(test_epochs_go_up_by_one_and_a_wrong_one_changes_nothing),
        TEST(test_a_session_that_is_not_there_is_not_found),
        TEST(test_an_id_that_no_shard_could_hold_is_a_server_error),
        TEST(test_old_versions_and_the_final_epoch_have_no_session),
        TEST(test_a_full_fetch_replaces_the_session_it_names),
        TEST(test_a_session_of_names_cannot_go_on_with_ids),
        TEST(test_two_ids_of_one_name_are_two_partitions),
        TEST(test_the_name_of_an_id_is_remembered),
        TEST(test_of_a_partition_named_twice_the_last_counts),
        TEST(test_names_longer_than_any_topic_are_told_apart),
        TEST(test_without_room_the_fetch_has_no_session),
        TEST(test_the_longest_unused_goes_after_two_minutes),
        TEST(test_a_follower_takes_the_place_of_a_consumer_of_any_size),
        TEST(test_a_young_follower_is_not_evicted),
        TEST(test_an_old_consumer_gives_way_to_a_larger_one_only),
        TEST(test_an_old_follower_gives_way_to_a_larger_follower_never_to_a_consumer),
        TEST(test_age_is_that_of_the_last_use),
        TEST(test_a_session_in_use_is_evicted_and_ends_with_its_request),
        TEST(test_sessions_lent_when_the_broker_stops_are_freed),
    };
    return cmocka_run_group_tests_name("fetch session", tests, NULL, NULL);
}
