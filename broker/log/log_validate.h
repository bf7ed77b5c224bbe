/* What stands between a client's bytes and the log: the record layer's rules, under this log's
 * settings. */
#pragma once

#include "broker/log/log_internal.h"

/* Check and stamp: offsets from the log end, leader epoch, timestamps. ret_records is `records` in
 * place, or a rebuilt batch in the arena. On error ret->record_errors may be set. Log lock. */
MUST_USE enum err log_validate(struct log *log, uint8_t *records, size_t size, int32_t leader_epoch,
                               enum append_origin origin, int16_t api_version, struct arena *arena,
                               struct slice *ret_records, struct append_result *ret);
