/* What the tests of reassignments share: asking for one or its end, and what the znode then says.
 */
#pragma once

#include "fixture.h"

static inline void reassign(struct world *world, const int32_t *ids, size_t count,
                            enum err expected)
{
    struct world_answer answer;
    assert_true(world_reassign(world, "orders", 0, ids, (int32_t)count, &answer));
    world_settle(world, 0);
    assert_int_equal(answer.error, err_wire_code(expected));
}

static inline void cancel(struct world *world, enum err expected)
{
    struct world_answer answer;
    assert_true(world_reassign(world, "orders", 0, NULL, -1, &answer));
    world_settle(world, 0);
    assert_int_equal(answer.error, err_wire_code(expected));
}

static inline bool topic_says(struct world *world, const char *json)
{
    return strstr(world_znode(world, "/brokers/topics/orders"), json) != NULL;
}

static inline void assert_settled_on(struct world *world, const char *partitions)
{
    assert_true(topic_says(world, partitions));
    assert_true(topic_says(world, "\"adding_replicas\":{}"));
    assert_true(topic_says(world, "\"removing_replicas\":{}"));
    assert_true(topic_says(world, TOPIC_ID)); /* T20 */
    assert_int_equal(world_reassigning_count(world), 0);
}
