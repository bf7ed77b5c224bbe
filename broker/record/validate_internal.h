/* What the steps of a validation share; see validate.h. */
#pragma once

#include "broker/record/validate.h"

#define RECORD_ERRORS_MAX 65536 /* listed one by one; of more, only that there are more */

struct validation {
    const struct validate_config *config;
    const struct validate_input *input;
    struct arena *arena;
    struct validate_result *result;
    bool has_bad_timestamp;
    bool is_judged; /* the verdict is that of record errors, so they are shown */
    size_t errors_capacity;
    char *no_key_message; /* one text for all */
};

/* The whole batches of the input, looked at from outside. */
struct shallow {
    size_t size; /* of all of them: half a batch behind is cut off */
    int32_t count;
    enum codec codec; /* of the last one that has any */
    struct batch_info first;
};

/* --- validate_batches.c: a request and its batches, their records unseen --- */

/* What Produce of this version may carry. */
MUST_USE enum err check_version(const struct validate_input *input);
/* Base offset, size, checksum and codec of each batch. */
MUST_USE enum err look_shallowly(const struct validation *v, struct shallow *ret);
/* More than one batch where only one may be. */
MUST_USE enum err check_number(const struct shallow *shallow);
/* What a head claims. */
MUST_USE enum err check_head(const struct validation *v, const struct shallow *shallow,
                             const struct batch_info *info);

/* --- validate_records.c: one record --- */

struct record_facts {
    int32_t index; /* within its batch */
    int64_t timestamp_ms;
    bool has_key;
    bool is_magic_wrong; /* another one than its wrapper's */
};

/* Whether any record could fail check_record() for what is in it. */
bool records_need_checks(const struct validation *v, int16_t batch_attributes);
void check_record(struct validation *v, const struct record_facts *record,
                  int16_t batch_attributes);
/* The verdict on a batch whose records have all been checked. */
MUST_USE enum err judge_errors(struct validation *v);

/* --- validate_rebuild.c --- */

MUST_USE enum err rebuild(struct validation *v, const struct shallow *shallow, enum codec codec);
