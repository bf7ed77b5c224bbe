/* Batches for tests: what a client might send. */
#pragma once

#include "broker/record/build.h"
#include "broker/record/validate.h"

#define NOW_MS 1700000000000

/* Append a batch of `count` records "key", "value N" at offset 0, their times NOW_MS and on. */
void put_batch(struct buf *out, enum codec codec, int count);
/* The same with one record of `value_bytes` zeros each. */
void put_zeros(struct buf *out, enum codec codec, int count, size_t value_bytes);

/* No limits, codec kept. */
struct validate_config plain_config(void);
/* As a client sends in the newest version of Produce, at offset 100 in epoch 4. */
struct validate_input input_of(struct buf *records);

/* Peak memory of the process in KiB. */
long peak_kib(void);
