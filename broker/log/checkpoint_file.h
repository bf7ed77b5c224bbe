/* Kafka's checkpoint files: a version line, a count line, and an entry a line. Those of a log
 * directory map partitions to offsets; leader-epoch-checkpoint in a partition's directory maps
 * epochs to start offsets. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/err.h"

/* One line: "<topic> <partition> <offset>". Topic borrowed from the text for the call. Stops on
 * error. */
typedef enum err checkpoint_offset_visit(void *context, struct slice topic, int32_t partition,
                                         int64_t offset);
MUST_USE enum err checkpoint_read_offsets(struct slice text, checkpoint_offset_visit *visit,
                                          void *context);

typedef enum err checkpoint_epoch_visit(void *context, int32_t epoch, int64_t start_offset);
MUST_USE enum err checkpoint_read_epochs(struct slice text, checkpoint_epoch_visit *visit,
                                         void *context);

/* Writing: the head, then the lines by buf_printf(), in this shape. */
void checkpoint_begin(struct buf *out, size_t count);
void checkpoint_put_offset(struct buf *out, const char *topic, int32_t partition, int64_t offset);
void checkpoint_put_epoch(struct buf *out, int32_t epoch, int64_t start_offset);
