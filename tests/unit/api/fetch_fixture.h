/* What the tests of Fetch share: a partition that this broker leads, the plainest questions, and
 * what an error looks like. */
#pragma once

#include "api_fixture.h"

#define NEWEST     17
#define NEWEST_OLD 12 /* asks by name */

static inline struct partition *lead_t(struct api *api)
{
    return led_topic(api, "t", 0);
}

static const struct asked at_start = {.topic = "t"};
static const struct asked at_start_by_id = {.id = {{0x70, [15] = 1}}};

#define assert_failed(data, name)                                                                  \
    do {                                                                                           \
        const struct fetch_response_partition_data *d_ = (data);                                   \
        assert_code(d_->error_code, name);                                                         \
        assert_int_equal(d_->high_watermark, -1);                                                  \
        assert_int_equal(d_->last_stable_offset, -1);                                              \
        assert_int_equal(d_->log_start_offset, -1);                                                \
        assert_int_equal(d_->records.bytes.size, 0);                                               \
    } while (0)

/* One of three records. */
static inline int32_t size_of_batch(void)
{
    struct buf bytes = {0};
    batch_make(&bytes, &(struct batch_spec){.records = 3});
    int32_t size = (int32_t)bytes.size;
    buf_done(&bytes);
    return size;
}

static inline void wait_for(struct api *api, int32_t min_bytes)
{
    api->fetch.max_wait_ms = 500;
    api->fetch.min_bytes = min_bytes;
}

/* Two records in a transaction, and its end. */
static inline void append_txn(struct partition *p, int64_t producer_id, int32_t sequence)
{
    struct batch_spec spec = {.records = 2,
                              .has_producer = true,
                              .is_transactional = true,
                              .producer_id = producer_id,
                              .base_sequence = sequence};
    assert_err(append(partition_log(p), &spec, NULL), ERR_OK);
    partition_flushed(p); /* the watermark follows */
}

static inline void end_txn(struct partition *p, int64_t producer_id, bool is_abort)
{
    assert_err(append_marker(partition_log(p), producer_id, 0, 0, is_abort), ERR_OK);
    partition_flushed(p);
}
