/* What the tests of Produce share: a partition that this broker leads, what is sent to it, and what
 * a refusal looks like. */
#pragma once

#include "api_fixture.h"

#include "broker/log/log_manager_internal.h"

#define NEWEST 11

static inline struct partition *lead_t(struct api *api)
{
    return led_topic(api, "t", 0);
}

static inline int64_t end_of(struct partition *partition)
{
    return log_end_offset(partition_log(partition));
}

static const struct sent plain = {.topic = "t", .spec = {.records = 3}};
/* Two records of an idempotent producer. */
static const struct sent first_of_5 = {
    .topic = "t", .spec = {.records = 2, .has_producer = true, .producer_id = 5}};

#define assert_refused(call, name)                                                                 \
    do {                                                                                           \
        const struct produce_response_partition_produce_response *p_ = produced(call);             \
        assert_code(p_->error_code, name);                                                         \
        assert_int_equal(p_->base_offset, -1);                                                     \
        assert_int_equal(p_->log_append_time_ms, -1);                                              \
    } while (0)
