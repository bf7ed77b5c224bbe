/* Internal to this folder. */
#pragma once

#include "broker/log/segment.h"

/* The first record of the batch with offset >= start_offset and timestamp >= timestamp_ms. */
MUST_USE enum err log_record_at_time(struct slice batch, int64_t timestamp_ms, int64_t start_offset,
                                     struct timestamp_offset *ret, bool *ret_found);
