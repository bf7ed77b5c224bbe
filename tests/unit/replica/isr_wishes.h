/* Short words for a leader's wishes for another ISR, and for what the controller says to them. */
#pragma once

#include "leading_world.h"

static inline int64_t end_of(struct partition *p)
{
    return log_end_offset(partition_log(p));
}

static inline void be_at(struct partition *p, int32_t broker_id, int64_t offset)
{
    assert_err(
        partition_follower_fetched(p, partition_leader_epoch(p), broker_id, offset, end_of(p), 0),
        ERR_OK);
}

static inline void assert_isr(const struct isr_change *change, const int32_t *ids, int32_t count)
{
    assert_non_null(change);
    assert_int_equal(change->isr_count, count);
    for (int32_t i = 0; i < count; i++)
        assert_int_equal(change->isr[i], ids[i]);
}
#define assert_wishes(change, ...)                                                                 \
    assert_isr(change, (int32_t[]){__VA_ARGS__},                                                   \
               (int32_t)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))

static inline void assert_counts(struct partition *p, int32_t committed, int32_t maximal)
{
    struct isr_view view = partition_isr_view(p);
    assert_int_equal(view.committed_count, committed);
    assert_int_equal(view.maximal_count, maximal);
}

/* The controller's yes: the ISR as wished, and the next partition epoch. */
static inline void grant(struct partition *p, struct isr_change *change)
{
    struct isr_answer answer = {.leader = SELF,
                                .leader_epoch = change->leader_epoch,
                                .partition_epoch = change->partition_epoch + 1,
                                .isr = change->isr,
                                .isr_count = change->isr_count};
    assert_false(partition_isr_answered(p, change, &answer));
    isr_change_free(change);
}

static inline bool refuse(struct partition *p, struct isr_change *change, enum err e)
{
    struct isr_answer answer = {.error = e};
    return partition_isr_answered(p, change, &answer);
}

static inline struct isr_change *expand(struct partition *p, int32_t id)
{
    struct isr_change *change = partition_expand_isr(p, id);
    assert_non_null(change);
    return change;
}
