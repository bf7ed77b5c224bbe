/* Proves the containers: map, list, timers, arena, buffer, mailbox. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "broker/base/arena.h"
#include "broker/base/buf.h"
#include "broker/base/clock.h"
#include "broker/base/mailbox.h"
#include "broker/base/map.h"
#include "broker/base/thread.h"
#include "broker/base/timers.h"

static void test_a_map_agrees_with_a_plain_array_under_random_use(void **state)
{
    (void)state;
    enum { KEYS = 500 };
    void *expected[KEYS] = {0};
    struct map map = {0};
    srandom(11);
    for (int step = 0; step < 50000; step++) {
        uint32_t key = (uint32_t)random() % KEYS;
        if (random() % 3) {
            void *value = (void *)(uintptr_t)(random() + 1);
            assert_ptr_equal(map_put(&map, MAP_KEY(key), value), expected[key]);
            expected[key] = value;
        } else {
            assert_ptr_equal(map_remove(&map, MAP_KEY(key)), expected[key]);
            expected[key] = NULL;
        }
    }
    size_t present = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        assert_ptr_equal(map_get(&map, MAP_KEY(key)), expected[key]);
        present += expected[key] != NULL;
    }
    assert_int_equal(map.count, present);
    size_t seen = 0;
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&map, &i));)
        seen++;
    assert_int_equal(seen, present);
    map_done(&map);
}

static void test_an_empty_key_is_a_key(void **state)
{
    (void)state;
    struct map map = {0};
    int value;
    assert_null(map_put(&map, SLICE_LITERAL(""), &value));
    assert_ptr_equal(map_get(&map, SLICE_LITERAL("")), &value);
    map_done(&map);
}

struct fired {
    struct timer timer;
    int64_t *last;
};

static void note_fire(struct timer *timer)
{
    struct fired *fired = CONTAINER_OF(timer, struct fired, timer);
    assert_true(timer->deadline_ms >= *fired->last);
    *fired->last = timer->deadline_ms;
}

static void test_timers_fire_in_order_whatever_was_set_moved_or_cancelled(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    struct timers timers = {0};
    struct fired fired[COUNT] = {0};
    int64_t last = 0;
    srandom(3);
    for (int i = 0; i < COUNT; i++) {
        fired[i].timer.fire = note_fire;
        fired[i].last = &last;
        timer_set(&timers, &fired[i].timer, random() % 1000);
    }
    size_t left = COUNT;
    for (int i = 0; i < COUNT; i += 3)
        timer_set(&timers, &fired[i].timer, random() % 1000);
    for (int i = 0; i < COUNT; i += 7, left--)
        timer_cancel(&timers, &fired[i].timer);
    assert_false(timer_is_set(&fired[7].timer));
    size_t early = timers_run(&timers, 500);
    assert_true(last <= 500 && timers_next_ms(&timers) > 500);
    assert_int_equal(early + timers_run(&timers, 1000), left);
    assert_true(timers_next_ms(&timers) == INT64_MAX);
    timers_done(&timers);
}

static void test_an_arena_gives_zeroed_aligned_memory_and_keeps_its_limit(void **state)
{
    (void)state;
    OWNED(arena) struct arena *arena = arena_new();
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size < 9000; size = size * 2 + 1) {
            uint8_t *bytes = arena_alloc(arena, size);
            assert_int_equal((uintptr_t)bytes % 16, 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(bytes[i], 0);
            memset(bytes, 0xee, size);
        }
        arena_reset(arena);
    }
    arena_limit(arena, 10000);
    assert_non_null(arena_try(arena, 9000));
    assert_null(arena_try(arena, 2000));
    assert_null(arena_try_array(arena, SIZE_MAX / 2, 16));
    assert_non_null(arena_try(arena, 100));
}

static void test_a_buffer_reads_back_what_was_put(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_put_u8(&buf, 1);
    buf_put_be16(&buf, 0x0203);
    buf_put_be32(&buf, 0x04050607);
    buf_put_be64(&buf, 0x08090a0b0c0d0e0full);
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(buf.data[i], i + 1);
    buf_printf(&buf, "%s=%d", "key", 7);
    assert_int_equal(buf.size, 20);
    assert_memory_equal(buf.data + 15, "key=7", 5);
    buf_done(&buf);
}

struct numbered {
    struct list_node node;
    int poster, number;
};

struct poster {
    struct mailbox *mailbox;
    int id;
};
enum { POSTERS = 4, EACH = 5000 };

static void *post_all(void *context)
{
    struct poster *poster = context;
    for (int i = 0; i < EACH; i++) {
        struct numbered *message = mem_new(struct numbered);
        message->poster = poster->id;
        message->number = i;
        mailbox_post(poster->mailbox, &message->node);
    }
    return NULL;
}

static void test_a_mailbox_loses_nothing_and_keeps_each_posters_order(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_new();
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){mailbox, i};
        threads[i] = thread_start("poster", post_all, &posters[i]);
    }
    int next[POSTERS] = {0}, total = 0;
    while (total < POSTERS * EACH) {
        mailbox_wait(mailbox, 10000);
        struct list_node messages;
        list_init(&messages);
        mailbox_receive(mailbox, &messages);
        assert_false(list_is_empty(&messages)); /* the descriptor promised some */
        for (struct list_node *node; (node = list_pop_front(&messages)); total++) {
            struct numbered *message = list_entry(node, struct numbered, node);
            assert_int_equal(message->number, next[message->poster]++);
            free(message);
        }
    }
    struct pollfd idle = {.fd = mailbox_fd(mailbox), .events = POLLIN};
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(poll(&idle, 1, 0), 0);
    mailbox_free(mailbox);
}

static void test_a_manual_clock_moves_only_by_hand(void **state)
{
    (void)state;
    struct clock_manual manual;
    clock_manual_init(&manual, 1700000000000);
    int64_t before = clock_mono_ms(&manual.clock);
    assert_true(clock_wall_ms(&manual.clock) == 1700000000000);
    clock_manual_advance_ms(&manual, 250);
    assert_true(clock_mono_ms(&manual.clock) == before + 250);
    assert_true(clock_wall_ms(&manual.clock) == 1700000000250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_map_agrees_with_a_plain_array_under_random_use),
        cmocka_unit_test(test_an_empty_key_is_a_key),
        cmocka_unit_test(test_timers_fire_in_order_whatever_was_set_moved_or_cancelled),
        cmocka_unit_test(test_an_arena_gives_zeroed_aligned_memory_and_keeps_its_limit),
        cmocka_unit_test(test_a_buffer_reads_back_what_was_put),
        cmocka_unit_test(test_a_mailbox_loses_nothing_and_keeps_each_posters_order),
        cmocka_unit_test(test_a_manual_clock_moves_only_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
